/**
 * The heap module: the segment module's functions, and those that change a heap.
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
export { calloc, realloc } from "./realloc";
export { lockRoots, rootGet, rootSet, unlockRoots } from "./roots";
