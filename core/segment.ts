/**
 * The segment module: what every opener of a segment needs, heap or not.
 *
 * The core is compiled to eight modules, because instantiating costs about 0.7 µs for each exported function and is done at
 * every opening: this one, one for each allocator (heap-slab.ts, heap-buddy.ts, heap-first-fit.ts: this and the allocator),
 * and four that are instantiated when they are asked for: survey.ts (what only looks), repair.ts (what makes a damaged heap
 * whole), sync.ts (locks, and what else is waited for) and channel.ts (queues, rings, topics).
 *
 * One instance belongs to one participant (or to one read-only opener). Calls are not re-entrant and never block; what
 * cannot be done now returns a code (src/layout/result.ts).
 */

export { attach } from "./state";
export { describeSegment, publishSize, setSegmentState, sizePages } from "./region";
export { recoverSlot, takeSlot } from "./recover";
export { findSlot } from "./slots";
