/**
 * Handing blocks over: a participant's own block goes into a *place*, a word of shared memory that others read, or comes out of
 * one and is a participant's own. At no instant is it both nobody's and in no place, or would be freed twice: whoever dies, it
 * is freed with what the dead one owned, or it is shared and in its place.
 *
 * The caller has the place for itself: no other participant writes it before this one says so, or is gone.
 *
 *     publish   intent = (PUBLISH, block, place)   place = block *   share(block)   intent = none
 *     take      intent = (TAKE, block, place)      adopt(block)      place = 0 *    intent = none
 *
 * The starred stores are the linearisation points. Recovery of one who died with such an intent, before it frees what that one
 * owned (core/recover.ts), and a participant itself that was cut off (core/mend.ts), look at the place:
 *     it holds the block   after the start of a publish, or before the end of a take: the block is shared (again)
 *     it does not          before the one, after the other: nothing; the block is the dead one's own, and goes with it
 * Each step can be repeated: sharing what is shared changes nothing, and the intent goes last. Since nobody else writes the
 * place until its participant is gone, what it holds cannot have come there by anybody else.
 *
 * share and adopt may be refused for a reason that passes (LOCKED, BUSY, NEED_…). Then the place is as it was before, the
 * intent is none, and the call is to be repeated.
 */

import { BUSY, LOCKED, NEED_CATCH_UP, NEED_STORAGE, OK } from "../src/layout/result";
import { ROOT_SIZE_BYTES } from "../src/layout/root";
import { INTENT_NONE, INTENT_PUBLISH, INTENT_TAKE } from "../src/layout/slot";
import { adopt, share } from "./blocks";
import { getIntentBlock, loadIntent, setIntentBlock, storeIntent } from "./mem";
import { getIntentPlace, loadPlace, setIntentPlace, storePlace } from "./mem-channel";
import { dataOffset, fail, impersonate, me, mySlot, rootCount, rootsOffset } from "./state";

function begin(intent: u32, block: u32, place: usize): void {
  setIntentBlock(mySlot, block);
  setIntentPlace(mySlot, <u32>place);
  storeIntent(mySlot, intent);
}

/** For those whose place is a part of a word that they store themselves (roots.ts): the steps before and after that store. */
export function beginPublish(block: u32, place: usize): void {
  begin(INTENT_PUBLISH, block, place);
}

export function endPublish(): void {
  storeIntent(mySlot, INTENT_NONE);
}

/** Puts this participant's own block into `place`, which holds none. OK, or why not. */
export function publish(block: u32, place: usize): i32 {
  begin(INTENT_PUBLISH, block, place);
  storePlace(place, block);
  const result = share(block);
  if (result != OK) storePlace(place, 0);
  storeIntent(mySlot, INTENT_NONE);
  return result;
}

/** Takes the block out of `place` (there is one): it is this participant's own. OK, or why not. */
export function take(place: usize): i32 {
  const block = loadPlace(place);
  begin(INTENT_TAKE, block, place);
  const result = adopt(block);
  if (result == OK) storePlace(place, 0);
  storeIntent(mySlot, INTENT_NONE);
  return result;
}

/** Whether a refusal of publish or take passes, when what stands in the way is cleared. */
export function isPassing(result: i32): bool {
  return result == LOCKED || result == BUSY || result == NEED_STORAGE || result == NEED_CATCH_UP;
}

/**
 * What the participant `number` - 1, with slot `slot`, was in the middle of handing over. OK, or a refusal that passes: then it
 * is to be called again.
 */
export function settleHandOver(slot: usize, number: u32): i32 {
  const intent = loadIntent(slot);
  if (intent != INTENT_PUBLISH && intent != INTENT_TAKE) return OK;
  const block = getIntentBlock(slot);
  const place = <usize>getIntentPlace(slot);
  if (isPlace(place) && loadPlace(place) == block) {
    const result = shareAs(number, block);
    // Damage: verification finds it.
    if (result != OK && isPassing(result)) return fail(result);
  }
  storeIntent(slot, INTENT_NONE);
  return OK;
}

/** Where a word can be that blocks are put into: in the data, or a root. */
function isPlace(place: usize): bool {
  if ((place & 3) != 0) return false;
  if (place >= dataOffset) return place >> 16 < <usize>memory.size();
  return place >= rootsOffset && place < rootsOffset + rootCount * ROOT_SIZE_BYTES;
}

function shareAs(number: u32, block: u32): i32 {
  const self = me;
  if (self == number) return share(block);
  impersonate(number);
  const result = share(block);
  impersonate(self);
  return result;
}
