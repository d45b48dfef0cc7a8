/**
 * Recovery: what is done for a participant that has died, and by a participant that leaves.
 *
 * The caller holds the dead slot's file lock, so there is one recoverer at a time; a recoverer that dies is
 * followed by another that starts again. Every step is idempotent, and the order matters:
 *
 *   1. state = RECOVERING      nobody takes the slot for a live one
 *   2. the roots lock          released if the dead one held it: whatever it was writing is not published
 *   3. the intent              the block inside an unfinished realloc goes back. For a run the compare-and-swap
 *                              to PAGE_RUN_FREEING comes first, then the intent is cleared, then the pages are
 *                              freed (step 4): so a second recoverer cannot free pages that were claimed since
 *   4. the page table          claims are undone, frees and shrinks finished, slab pages emptied or orphaned
 *   5. flags and hints         on the same walk, what the dead one may have failed to raise: the remote flags of slab
 *                              pages that it did not own, the orphan hints of classes that have orphans
 *   6. the slot                cleared; state = FREE with the next epoch, last
 *
 * After a crash at any of its own stores the state is still RECOVERING (or LIVE) and the whole is repeated.
 */

import { PAGE_SHIFT } from "../src/layout/header";
import {
  BLOCKS_PER_WORD,
  CLASS_LAST,
  CLASS_SLOTS,
  PAGE_CLAIMED,
  PAGE_FREE,
  PAGE_RUN,
  PAGE_RUN_CLAIMED,
  PAGE_RUN_EXTENDING,
  PAGE_RUN_FREEING,
  PAGE_RUN_SHRINKING,
  PAGE_SLAB,
} from "../src/layout/page";
import { OK } from "../src/layout/result";
import {
  INTENT_NONE,
  INTENT_REALLOC,
  SLOT_EPOCH_SHIFT,
  SLOT_FREE,
  SLOT_LIVE,
  SLOT_RECOVERING,
  SLOT_STATE_MASK,
  S_OPENED,
  S_PID,
  S_START,
  S_THREAD,
} from "../src/layout/slot";
import {
  addRecoveries,
  casPageState,
  getIntentBlock,
  getLocal,
  getPageCount,
  loadIntent,
  loadPageState,
  loadSlotState,
  setCurrent,
  setIntentBlock,
  setLocal,
  setSlotNumber,
  setSlotWord,
  storeIntent,
  storeOrphanHint,
  storePageState,
  storeRemoteFlag,
  storeSlotState,
} from "./mem";
import {
  classIn,
  finishFree,
  finishShrink,
  freeBodies,
  kindOf,
  lengthIn,
  noteFreed,
  otherIn,
  ownerIn,
  pagesToPass,
  runState,
  slabState,
} from "./pages";
import { releaseRootsLockOf } from "./roots";
import { noteSlotUsed } from "./slots";
import { blockIndex, collect, isEmpty, pairAt, wordCount } from "./bitmap";
import { become, firstDataPage, pageAt, reachablePages, slotAt, tableOffset } from "./state";

/**
 * Takes slot `index` for this participant, which holds the slot's file lock and has recovered it if need be.
 * The slot counts as live from the last store on.
 */
export function takeSlot(index: u32, pid: u32, startTicks: f64, thread: u32, openedMs: f64): void {
  const slot = slotAt(index);
  noteSlotUsed(index);
  setSlotWord(slot, S_PID, pid);
  setSlotNumber(slot, S_START, startTicks);
  setSlotWord(slot, S_THREAD, thread);
  setSlotNumber(slot, S_OPENED, openedMs);
  storeSlotState(slot, (loadSlotState(slot) & ~SLOT_STATE_MASK) | SLOT_LIVE);
  become(index);
}

/**
 * Recovers slot `index`. The caller holds its file lock, and has caught up with the segment's size since it does: before
 * that the dead one may have added pages and died in them. `died` tells a death from a participant's own orderly
 * leaving (only deaths are counted).
 */
export function recoverSlot(index: u32, died: bool): i32 {
  const slot = slotAt(index);
  const state = loadSlotState(slot);
  if ((state & SLOT_STATE_MASK) == SLOT_FREE) return OK;
  storeSlotState(slot, (state & ~SLOT_STATE_MASK) | SLOT_RECOVERING);
  releaseRootsLockOf(index);
  if (tableOffset != 0) {
    if (loadIntent(slot) == INTENT_REALLOC) undoIntent(slot, index + 1);
    recoverPages(index + 1);
  }
  if (died) addRecoveries(1);
  clearSlot(slot);
  // Epochs wrap after 2^30 users of one slot; nothing compares epochs across that many.
  storeSlotState(slot, ((state >> SLOT_EPOCH_SHIFT) + 1) << SLOT_EPOCH_SHIFT);
  return OK;
}

function clearSlot(slot: usize): void {
  for (let sizeClass: u32 = 0; sizeClass < <u32>CLASS_SLOTS; sizeClass++) setCurrent(slot, sizeClass, 0);
  setIntentBlock(slot, 0);
  setSlotWord(slot, S_PID, 0);
  setSlotWord(slot, S_THREAD, 0);
}

/** Gives back the block that a dead realloc had allocated and not handed over. */
function undoIntent(slot: usize, owner: u32): void {
  const handle = getIntentBlock(slot);
  const index = handle >> PAGE_SHIFT;
  if (index >= firstDataPage() && index < reachablePages()) {
    const page = pageAt(index);
    const state = loadPageState(page);
    if (kindOf(state) == PAGE_SLAB && ownerIn(state) == owner) {
      const block = blockIndex(handle, index, page);
      const count = getPageCount(page);
      if (block < count) {
        const pair = pairAt(index, page, count, block / BLOCKS_PER_WORD);
        setLocal(pair, getLocal(pair) | ((<u64>1) << (block & (BLOCKS_PER_WORD - 1))));
      }
    } else if (kindOf(state) == PAGE_RUN && lengthIn(state) != 0) {
      casPageState(page, state, runState(PAGE_RUN_FREEING, owner, lengthIn(state), 0));
    }
  }
  storeIntent(slot, INTENT_NONE);
}

function recoverPages(owner: u32): void {
  const limit = reachablePages();
  let index = firstDataPage();
  while (index < limit) {
    const page = pageAt(index);
    const state = loadPageState(page);
    // Pages of a run that is at rest are passed over: the dead one can have none of them. (Of a run that a live
    // participant is just claiming it can: that claim is going to fail there.)
    const step = pagesToPass(state);
    if (kindOf(state) == PAGE_SLAB && ownerIn(state) != owner) makeUpFor(page, state);
    else if (ownerIn(state) == owner) recoverPage(index, page, state);
    index += step;
  }
}

/**
 * A slab page that the dead one did not own. It may have freed a block there and not raised the flag any more; have
 * lowered the class's orphan hint to look for room, and not raised it again; or, recovering another, have made this
 * page an orphan and not said so.
 */
function makeUpFor(page: usize, state: u64): void {
  storeRemoteFlag(page, 1);
  if (ownerIn(state) == 0 && classIn(state) <= <u32>CLASS_LAST) storeOrphanHint(classIn(state), 1);
}

function recoverPage(index: u32, page: usize, state: u64): void {
  const length = lengthIn(state);
  const other = otherIn(state);
  switch (kindOf(state)) {
    case PAGE_CLAIMED:
      storePageState(page, <u64>PAGE_FREE);
      break;
    case PAGE_SLAB:
      orphan(index, page, classIn(state));
      break;
    case PAGE_RUN_CLAIMED:
      freeBodies(index, index + 1, boundedEnd(index, length));
      storePageState(page, <u64>PAGE_FREE);
      break;
    case PAGE_RUN_FREEING:
      finishFree(index, boundedEnd(index, length) - index);
      break;
    case PAGE_RUN_EXTENDING:
      freeBodies(index, index + other, boundedEnd(index, length));
      storePageState(page, runState(PAGE_RUN, 0, other, 0));
      break;
    case PAGE_RUN_SHRINKING:
      finishShrink(index, other, boundedEnd(index, length) - index);
      break;
  }
  noteFreed(index);
}

function boundedEnd(index: u32, length: u32): u32 {
  const limit = reachablePages();
  return index + length < limit ? index + length : limit;
}

/** A dead owner's page: freed when all its blocks are free, else up for adoption. */
function orphan(index: u32, page: usize, sizeClass: u32): void {
  const count = getPageCount(page);
  const words = wordCount(count);
  for (let word: u32 = 0; word < words; word++) collect(pairAt(index, page, count, word), count, word);
  if (isEmpty(index, page)) {
    storePageState(page, <u64>PAGE_FREE);
    return;
  }
  storePageState(page, slabState(PAGE_SLAB, sizeClass, 0));
  if (sizeClass <= <u32>CLASS_LAST) storeOrphanHint(sizeClass, 1);
}
