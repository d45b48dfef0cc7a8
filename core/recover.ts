/**
 * Recovery: what is done for a participant that has died, and by a participant that leaves.
 *
 * The caller holds the dead slot's file lock, so there is one recoverer at a time; a recoverer that dies is
 * followed by another that starts again. Every step is idempotent, and the order matters:
 *
 *   1. state = RECOVERING      nobody takes the slot for a live one
 *   2. the roots lock          released if the dead one held it: whatever it was writing is not published
 *   3. the blocks              first-fit: the heap's lock, with what was done under it; then the block that it was just
 *                              handing over (hand-over.ts); then each allocator's own: recover-slab.ts, recover-buddy.ts,
 *                              recover-fit.ts
 *   4. the slot                cleared; state = RECOVERING with the next epoch: the participant is gone
 *   5. everybody is rung       to look again at what they wait for (bells.ts)
 *   6. state = FREE            not before: one that leaves, and dies while it rings, is found and recovered like any other
 *
 * After a crash at any of its own stores the state is still RECOVERING (or LIVE) and the whole is repeated. (Then the epoch may
 * go up by more than one.)
 */

import { CLASS_SLOTS } from "../src/layout/page";
import { OK } from "../src/layout/result";
import {
  INTENT_NONE,
  SLOT_EPOCH_SHIFT,
  SLOT_FREE,
  SLOT_LIVE,
  SLOT_RECOVERING,
  SLOT_STATE_MASK,
  S_OPENED,
  S_OWNS,
  S_PID,
  S_START,
  S_THREAD,
} from "../src/layout/slot";
import {
  addRecoveries,
  loadSlotState,
  setCurrent,
  setIntentBlock,
  setSlotNumber,
  setSlotWord,
  storeIntent,
  storeSlotState,
} from "./mem";
import { clearBell, ringEverybody } from "./bells";
import { releaseLockOf } from "./fit-lock";
import { settleHandOver } from "./hand-over";
import { recoverBuddy } from "./recover-buddy";
import { recoverFit } from "./recover-fit";
import { recoverSlab } from "./recover-slab";
import { releaseRootsLockOf } from "./roots";
import { noteSlotUsed } from "./slots";
import { become, isBuddyHeap, isFitHeap, isSlabHeap, slotAt } from "./state";

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
 * leaving (only deaths are counted). Returns OK; LOCKED when a lock that is needed is held by the participant in
 * errorDetail(), which is alive: nothing is lost, the slot stays taken, and the call is to be repeated later.
 */
export function recoverSlot(index: u32, died: bool): i32 {
  const slot = slotAt(index);
  const state = loadSlotState(slot);
  if ((state & SLOT_STATE_MASK) == SLOT_FREE) return OK;
  storeSlotState(slot, (state & ~SLOT_STATE_MASK) | SLOT_RECOVERING);
  releaseRootsLockOf(index);
  const result = recoverBlocks(slot, index + 1);
  if (result != OK) return result;
  if (died) addRecoveries(1);
  clearSlot(slot);
  // Epochs wrap after 2^30 users of one slot; nothing compares epochs across that many.
  const next = ((state >> SLOT_EPOCH_SHIFT) + 1) << SLOT_EPOCH_SHIFT;
  storeSlotState(slot, next | SLOT_RECOVERING);
  ringEverybody();
  storeSlotState(slot, next | SLOT_FREE);
  return OK;
}

/** What the dead one had begun in the data and what it owned there: `owner` is its slot index + 1. */
function recoverBlocks(slot: usize, owner: u32): i32 {
  if (isFitHeap()) releaseLockOf(owner);
  if (isSlabHeap() || isBuddyHeap() || isFitHeap()) {
    const result = settleHandOver(slot, owner);
    if (result != OK) return result;
  }
  if (isSlabHeap()) return recoverSlab(slot, owner);
  if (isBuddyHeap()) return recoverBuddy(slot, owner);
  if (isFitHeap()) return recoverFit(slot, owner);
  return OK;
}

/** What a slot says of its participant is gone. (Its state is not touched.) */
export function clearSlot(slot: usize): void {
  for (let sizeClass: u32 = 0; sizeClass < <u32>CLASS_SLOTS; sizeClass++) setCurrent(slot, sizeClass, 0);
  storeIntent(slot, INTENT_NONE);
  setIntentBlock(slot, 0);
  clearBell(slot);
  setSlotWord(slot, S_PID, 0);
  setSlotWord(slot, S_THREAD, 0);
  setSlotWord(slot, S_OWNS, 0);
}
