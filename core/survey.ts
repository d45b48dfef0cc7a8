/**
 * The survey module: everything that only looks at a segment.
 *
 * Counting, listing and verifying are rare and need many functions; openers that never ask do not pay for them.
 * An instance attaches like the core's own, and becomes the same participant, whose scratch area it uses.
 */

export { attach, become } from "./state";
export { segmentState } from "./region";
export { growths, recoveries, slotOpened, slotPid, slotStart, slotState, slotThread } from "./slots";
export { rootList, rootListedHandle } from "./roots";
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
