/** The module of buddy heaps: see heap-slab.ts. */

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
export { alloc, free, usableSize } from "./buddy";
export { adopt, allocBatch, allocWith, freeBatch, noteStorage, settle, share } from "./blocks";
export { realloc } from "./realloc";
export { lockRoots, rootGet, rootSet, unlockRoots } from "./roots";
