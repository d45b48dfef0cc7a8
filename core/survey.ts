/**
 * The survey module: everything that only looks at a segment.
 *
 * Counting, listing and verifying are rare and need many functions; openers that never ask do not pay for them.
 * An instance attaches like the core's own. It is no participant, and writes nothing: what it is asked on a read-only
 * opener's private mapping leaves that a mirror of the segment.
 */

export { attach, errorDetail } from "./state";
export { highWaterPages } from "./high-water";
export { segmentState } from "./region";
export { growths, recoveries, slotOpened, slotPid, slotStart, slotState, slotThread } from "./slots";
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
} from "./verify-slab";
export {
  blocksInTree,
  buddyFlags,
  freeInTree,
  hintWord,
  nextBuddyBlock,
  nextOwnedBlock,
  treeStarts,
  treeUsed,
  verifyBuddyPage,
} from "./verify-buddy";
export {
  fitEndPage,
  fitProblemAt,
  fitWordAt,
  nextFitBlock,
  nextFitStart,
  verifyFitIndex,
  verifyFitLock,
  verifyFitPage,
} from "./verify-fit";
export { foundBytes, foundOwner, nextSlabBlock } from "./walk-slab";
export { verifyRoot, verifyRootsLock, verifySlot } from "./verify";
export { ownerOf, usableSize } from "./blocks";
