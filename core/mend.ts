/**
 * Mending: what a participant does for itself when one of its calls was cut off in the middle, by a trap or because the
 * caller's stack was full, and it lives on.
 *
 * Recovery would take away what it has. Here only what is half done is finished or undone, by the rules by which recovery
 * does it (recover-*.ts): what the call had not brought about by then is undone, and its caller, who got an error, has
 * neither lost a block nor got one that it does not know of. Every step can be repeated, so a call that is cut off while it
 * mends is mended by the next; and if the participant dies instead, recovery finds nothing that it would not know.
 */

import { OK } from "../src/layout/result";
import { INTENT_MOVE, SLOT_LIVE, SLOT_STATE_MASK } from "../src/layout/slot";
import { endMove, free, ownerOf } from "./blocks";
import { lock, unlock } from "./fit-lock";
import { settleHandOver } from "./hand-over";
import { getIntentBlock, loadIntent, loadSlotState } from "./mem";
import { mendSlab } from "./mend-slab";
import { mendBuddy } from "./recover-buddy";
import { unlockRoots } from "./roots";
import { isBuddyHeap, isFitHeap, isSlabHeap, lastError, me, mySlot } from "./state";

/**
 * Finishes or undoes what this participant's calls have left half done. Returns OK; LOCKED when a lock that is needed is
 * held by the participant in errorDetail(); or why it cannot.
 */
export function mend(): i32 {
  if (me == 0 || (loadSlotState(mySlot) & SLOT_STATE_MASK) != SLOT_LIVE) return OK;
  unlockRoots();
  let result = mendBlocks();
  if (result == OK) result = settleHandOver(mySlot, me);
  if (result == OK && loadIntent(mySlot) == INTENT_MOVE) takeBack(getIntentBlock(mySlot));
  return result;
}

function mendBlocks(): i32 {
  if (isSlabHeap()) mendSlab();
  if (isBuddyHeap()) return mendBuddy();
  // Who finds its own number in the lock does the rest.
  if (isFitHeap()) {
    if (!lock(me)) return lastError();
    unlock();
  }
  return OK;
}

/** The block that an unfinished move had allocated goes back, as long as it is this participant's own. */
function takeBack(moved: u32): void {
  if (ownerOf(moved) == me) free(moved);
  endMove();
}
