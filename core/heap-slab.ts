/**
 * The module of slab heaps: the segment module's functions, and those that change such a heap.
 *
 * Each allocator has a module of its own, with the same exports (this one has those of storage.ts besides): what is called most is called directly, and an opener
 * pays for the functions of one allocator only.
 */

export {
  attach,
  describeSegment,
  findSlot,
  publishSize,
  recoverSlot,
  setSegmentState,
  sizePages,
  takeSlot,
} from "./segment";
export { become, errorDetail, lastError } from "./state";
export { alloc, free, usableSize } from "./slab";
export { adopt, allocBatch, allocWith, freeBatch, noteStorage, settle, share } from "./blocks";
export { claimHollow, settleStorage, trimFrom } from "./storage";
export { realloc } from "./realloc";
export { lockRoots, rootGet, rootSet, unlockRoots } from "./roots";
