/** The module of first-fit heaps: see heap-slab.ts. */

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
export { alloc, free, usableSize } from "./fit";
export { adopt, allocBatch, allocWith, freeBatch, noteStorage, settle, share } from "./blocks";
export { realloc } from "./realloc";
export { lockRoots, rootGet, rootSet, unlockRoots } from "./roots";
