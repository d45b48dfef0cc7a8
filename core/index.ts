/**
 * The core's face: every function that changes a segment, or is asked on the way.
 *
 * One instance belongs to one participant (or to one read-only opener). Calls are not re-entrant and never block; what
 * cannot be done now returns a code (src/layout/result.ts). Instantiating costs about 0.7 µs for each function exported
 * here, at every opening: what only looks is in survey.ts, a module of its own that is instantiated when it is asked.
 */

export { attach, become, errorDetail, lastError } from "./state";
export { beginSegment, describeSegment, publishSize, segmentState, setSegmentState, sizePages } from "./region";
export { recoverSlot, takeSlot } from "./recover";
export { findSlot } from "./slots";
export { alloc, free, usableSize } from "./slab";
export { calloc, realloc } from "./realloc";
export { lockRoots, rootGet, rootSet, unlockRoots } from "./roots";
