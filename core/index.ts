/**
 * The core's face: every function that TypeScript may call on a segment.
 *
 * One instance belongs to one participant (or to one read-only opener). Calls are not re-entrant and never block;
 * what cannot be done now returns a code (src/layout/result.ts).
 */

export { attach, become, blocker, corruptOffset, lastError, neededPages } from "./state";
export {
  beginSegment,
  describeSegment,
  publishSegment,
  publishSize,
  retireSegment,
  segmentState,
  sizePages,
} from "./region";
export { recoverSlot, takeSlot } from "./recover";
export { growths, recoveries, slotOpened, slotPid, slotStart, slotState, slotThread } from "./slots";
export { alloc, free, usableSize } from "./slab";
export { sweep } from "./ring";
export { calloc, realloc } from "./realloc";
export { lockRoots, rootDelete, rootGet, rootList, rootListedHandle, rootSet, unlockRoots } from "./roots";
export {
  blockSizeOf,
  endPage,
  firstPage,
  pageBlockCount,
  pageClass,
  pageFreeBlocks,
  pageKind,
  pageOwner,
  pagesAt,
  verifyPage,
  verifyRing,
  verifyRoot,
  verifyRootsLock,
  verifySlot,
} from "./verify";
