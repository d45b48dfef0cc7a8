/**
 * Semaphore: how many permits are left, and how many each participant has. Both must change at once, and a death in between
 * must neither lose a permit nor make one.
 *
 *     tally u64   available (16 bits) | slot index + 1 of who changed it last (10) | the number of that change (32)
 *     share u64   held (16) | next (16) | number (32): of one participant; held != next: a change is announced
 *     owner u32   behind the shares: the ident of whom the share is
 *
 * A change is announced in the share, and happens by the tally's compare-and-swap, which names it. Before anybody makes the
 * next change of the tally it *settles* the last one: it sets `held` to `next` in the share that the tally names.
 *
 * Invariant: an announced change that the tally's present value is not the result of, when that value was read before the
 * share, has not happened. (If it had, either it is the last one, and was settled by who read the tally, or another one
 * has followed, and was settled before that.) So whether a change has happened can be told from the two words, by anybody,
 * and it happens once: a number is never used again, and a compare-and-swap from an old value fails.
 *
 * Of somebody who is gone, anybody makes the change "held -> 0", several at once with one announcement. Linearisation
 * points: the tally's compare-and-swaps.
 */

import { MAX_PERMITS, SYNC_NO, SYNC_YES, Y_LIMIT } from "../src/layout/sync";
import { ident, isGone } from "./ident";
import {
  addAbandoned,
  casShare,
  casTally,
  getObjectWord,
  loadCell,
  loadShare,
  loadTally,
  storeCell,
} from "./mem-sync";
import { me, slotCount } from "./state";
import { cellsOf } from "./waiters";

/** How often a change is tried anew; each time somebody else has made one. */
const TRIES: u32 = 1000000;

@inline
function shareAt(object: u32, index: u32): usize {
  return cellsOf(object) + (index << 3);
}

@inline
function ownerAt(object: u32, index: u32): usize {
  return cellsOf(object) + (slotCount << 3) + (index << 2);
}

@inline
function heldIn(share: u64): u32 {
  return (<u32>share) & 0xffff;
}

@inline
function nextIn(share: u64): u32 {
  return ((<u32>share) >> 16) & 0xffff;
}

@inline
function numberIn(share: u64): u32 {
  return <u32>(share >> 32);
}

@inline
function shareOf(held: u32, next: u32, number: u32): u64 {
  return ((<u64>number) << 32) | ((<u64>next) << 16) | (<u64>held);
}

@inline
function tallyOf(left: u32, index: u32, number: u32): u64 {
  return ((<u64>number) << 26) | ((<u64>(index + 1)) << 16) | (<u64>left);
}

@inline
function availableIn(tally: u64): u32 {
  return (<u32>tally) & 0xffff;
}

/** More permits than there can be are damage, and must not become a part of what is behind them in the tally. */
@inline
function atMost(left: u32): u32 {
  return left > <u32>MAX_PERMITS ? MAX_PERMITS : left;
}

/** The change whose result `tally` is shows in its participant's share as well, or `tally` is not the present value. */
function settle(object: u32, tally: u64): void {
  const index = ((<u32>(tally >> 16)) & 1023) - 1;
  if (index >= slotCount) return;
  const cell = shareAt(object, index);
  const share = loadShare(cell);
  if (heldIn(share) == nextIn(share) || numberIn(share) != <u32>(tally >> 26)) return;
  casShare(cell, share, shareOf(nextIn(share), nextIn(share), numberIn(share)));
}

/** As `take`: all that there is, given back. */
const GIVE_ALL: i32 = i32.MIN_VALUE;

/**
 * Adds `take` to what slot `index` has (the own slot, or one whose participant is gone, `owner`). SYNC_NO: it has not so
 * many, or there are not, or it is not the owner's any more.
 */
function change(object: u32, index: u32, take: i32, owner: u32): u32 {
  const cell = shareAt(object, index);
  for (let tries = TRIES; tries > 0; tries--) {
    // The order of these four matters: see above, and own().
    const tally = loadTally(object);
    settle(object, tally);
    const share = loadShare(cell);
    if (loadCell(ownerAt(object, index)) != owner) return SYNC_NO;
    const held = heldIn(share);
    const next = take == GIVE_ALL ? 0 : <u32>(<i32>held + take);
    if (take > 0 ? availableIn(tally) < <u32>take : take != GIVE_ALL && held < <u32>-take) return SYNC_NO;
    if (held == next) {
      // What was announced has never happened.
      if (nextIn(share) != 0) casShare(cell, share, shareOf(0, 0, numberIn(share) + 1));
      return SYNC_NO;
    }
    // An announcement is used again, by whoever comes: so it happens once, whoever makes it happen.
    const isAnnounced = nextIn(share) == next;
    const number = isAnnounced ? numberIn(share) : numberIn(share) + 1;
    if (!isAnnounced && !casShare(cell, share, shareOf(held, next, number))) continue;
    if (!casTally(object, tally, tallyOf(atMost(availableIn(tally) + held - next), index, number))) continue;
    settle(object, loadTally(object));
    return SYNC_YES;
  }
  return SYNC_NO;
}

/** Gives back what slot `index` has of somebody who is gone. Whether it was anything. */
function reclaim(object: u32, index: u32): bool {
  const owner = loadCell(ownerAt(object, index));
  if (owner == 0 || owner == ident || !isGone(owner)) return false;
  if (change(object, index, GIVE_ALL, owner) != SYNC_YES) return false;
  addAbandoned(object);
  return true;
}

/** The own share is this participant's: a former user of the slot has nothing in it any more. */
function own(object: u32): void {
  const owner = ownerAt(object, me - 1);
  if (loadCell(owner) == ident) return;
  reclaim(object, me - 1);
  // SYNC with change(), which looks at the owner after the share: whoever finds a share of this participant's finds it named.
  storeCell(owner, ident);
}

/** Takes `count` permits (1 or more). */
export function acquire(object: u32, count: u32): u32 {
  own(object);
  if (change(object, me - 1, <i32>count, ident) == SYNC_YES) return SYNC_YES;
  // Also if others have reclaimed them meanwhile: they do not ring.
  reclaimAll(object);
  return change(object, me - 1, <i32>count, ident);
}

/** Gives `count` permits back. SYNC_NO: it has not so many. Afterwards who waits is to be rung. */
export function release(object: u32, count: u32): u32 {
  own(object);
  return change(object, me - 1, -(<i32>count), ident);
}

/** Gives back what those have who are gone. From how many. */
export function reclaimAll(object: u32): u32 {
  let count: u32 = 0;
  for (let index: u32 = 0; index < slotCount; index++) {
    if (reclaim(object, index)) count++;
  }
  return count;
}

/** Before the object can be found: all permits are there. */
export function initSemaphore(object: u32): void {
  casTally(object, 0, <u64>getObjectWord(object, Y_LIMIT));
}

export function available(object: u32): u32 {
  return availableIn(loadTally(object));
}

/** How many permits the participant in slot `index` has. */
export function heldBy(object: u32, index: u32): u32 {
  if (index >= slotCount) return 0;
  const owner = loadCell(ownerAt(object, index));
  return owner == 0 || isGone(owner) ? 0 : heldIn(loadShare(shareAt(object, index)));
}
