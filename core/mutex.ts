/**
 * Mutex: one word, the holder's ident.
 *
 * Invariant: who has stored its ident there by a compare-and-swap from 0, or from the ident of somebody who is gone, holds
 * it; nobody else changes the word until it releases it or is gone. Linearisation points: those compare-and-swaps; the store
 * of 0. If the holder dies it is gone as soon as its slot is recovered, and whoever tries next takes over and learns of it.
 *
 * A *fair* mutex is handed to the one that has waited longest. Each participant that waits has a turn, a word that only two
 * change: it itself, which gives up by a compare-and-swap to 0; and the holder, which hands over by a compare-and-swap to
 * "handed", and then stores the other's ident as the holder. So who gives up and fails in it is about to be the holder, and
 * must release. If the holder dies between the two steps the mutex is taken over like that of any dead holder.
 *
 * `entered` tells a holder that knows of it from one that does not yet, or not any more: who dies as such has left nothing
 * half done, and the next one is not told of a death.
 */

import {
  IDENT_SLOT_MASK,
  SYNC_ABANDONED,
  SYNC_FAIR,
  SYNC_MINE,
  SYNC_NO,
  SYNC_YES,
  Y_FLAGS,
} from "../src/layout/sync";
import { ring } from "./bells";
import { ident, isGone } from "./ident";
import {
  addAbandoned,
  addTickets,
  casHolder,
  casTurn,
  getObjectWord,
  loadEntered,
  loadHolder,
  loadTurn,
  setSince,
  storeEntered,
  storeHolder,
  storeTurn,
} from "./mem-sync";
import { me, slotCount } from "./state";
import { cellsOf, drop, hasWaiters, isWaiting, ringNext, setOf } from "./waiters";

/** SYNC_YES, SYNC_ABANDONED, SYNC_NO, or SYNC_MINE. */
export function tryLock(object: u32): u32 {
  if (casHolder(object, 0, ident)) return SYNC_YES;
  const holder = loadHolder(object);
  if (holder == ident) return SYNC_MINE;
  if (holder == 0) return casHolder(object, 0, ident) ? SYNC_YES : SYNC_NO;
  if (!isGone(holder) || !casHolder(object, holder, ident)) return SYNC_NO;
  addAbandoned(object);
  return SYNC_ABANDONED;
}

/** Whether this participant held it; then it does not any more, and who waits is to be rung (ringNext). */
export function unlock(object: u32): bool {
  if (loadHolder(object) != ident) return false;
  setSince(object, 0);
  storeHolder(object, 0);
  return true;
}

@inline
function turnAt(object: u32, index: u32): usize {
  return cellsOf(object) + (index << 3);
}

/** The ticket of one to whom the mutex is being handed. */
const HANDED: u32 = 0;

/** Gets this participant a turn, which it keeps until it has the mutex or gives up. It is to enter the set afterwards. */
export function takeTurn(object: u32): void {
  let ticket = addTickets(object);
  if (ticket == HANDED) ticket = addTickets(object);
  storeTurn(turnAt(object, me - 1), ((<u64>ident) << 32) | ticket);
}

/** tryLock for fair mutexes. `hasTurn`: this participant waits for it. */
export function tryLockFair(object: u32, hasTurn: bool): u32 {
  const holder = loadHolder(object);
  if (holder == ident && loadEntered(object) == ident) return SYNC_MINE;
  let result: u32 = SYNC_YES;
  if (holder == ident) {
    // Handed to this participant: it is for the call that has the turn.
    if (!hasTurn) return SYNC_NO;
  } else {
    if (holder != 0 && !isGone(holder)) return SYNC_NO;
    if (!hasTurn && isAwaited(object)) return SYNC_NO;
    if (holder != 0 && loadEntered(object) == holder) result = SYNC_ABANDONED;
    if (!casHolder(object, holder, ident)) return SYNC_NO;
  }
  storeEntered(object, ident);
  if (hasTurn) storeTurn(turnAt(object, me - 1), 0);
  if (result == SYNC_ABANDONED) addAbandoned(object);
  return result;
}

/** Whether somebody who is not gone waits for its turn. */
function isAwaited(object: u32): bool {
  if (!hasWaiters(setOf(object))) return false;
  for (let index: u32 = 0; index < slotCount; index++) {
    if (!isWaiting(setOf(object), index)) continue;
    const turn = loadTurn(turnAt(object, index));
    if (turn != 0 && !isGone(<u32>(turn >> 32))) return true;
  }
  return false;
}

/**
 * Releases a fair mutex, to the one that has waited longest. As ringNext's result; i32.MIN_VALUE when this participant does not
 * hold it.
 */
export function unlockFair(object: u32): i32 {
  if (loadHolder(object) != ident || loadEntered(object) != ident) return i32.MIN_VALUE;
  setSince(object, 0);
  storeEntered(object, 0);
  for (let left = slotCount; left > 0; left--) {
    const index = nextInTurn(object);
    if (index < 0) break;
    const cell = turnAt(object, <u32>index);
    const turn = loadTurn(cell);
    const next = <u32>(turn >> 32);
    drop(setOf(object), <u32>index);
    if (<u32>turn == HANDED || isGone(next) || !casTurn(cell, turn, (<u64>next) << 32)) continue;
    storeHolder(object, next);
    return ring(<u32>index, object) ? index + 1 : -(index + 1);
  }
  storeHolder(object, 0);
  // Somebody may have come to wait since: it has looked before, or finds the mutex free.
  return ringNext(object, setOf(object));
}

/** Of those who wait, the slot index of the one with the lowest ticket; -1 when nobody does. */
function nextInTurn(object: u32): i32 {
  let found: i32 = -1;
  let lowest: u32 = 0;
  for (let index: u32 = 0; index < slotCount; index++) {
    if (!isWaiting(setOf(object), index)) continue;
    const ticket = <u32>loadTurn(turnAt(object, index));
    // Tickets wrap: what counts is which is behind which.
    if (found >= 0 && <i32>(ticket - lowest) >= 0) continue;
    found = <i32>index;
    lowest = ticket;
  }
  return found;
}

/** Gives up a turn. False: the mutex is being handed over, and will be this participant's, to be released. */
export function dropTurn(object: u32): bool {
  const cell = turnAt(object, me - 1);
  const turn = loadTurn(cell);
  return turn == 0 || (<u32>turn != HANDED && casTurn(cell, turn, 0));
}

/** Whether this participant holds the mutex, and knows of it. */
export function isHolding(object: u32): bool {
  if (loadHolder(object) != ident) return false;
  return (getObjectWord(object, Y_FLAGS) & SYNC_FAIR) == 0 || loadEntered(object) == ident;
}

/** Slot index + 1 of who holds the mutex; 0 = nobody who lives. */
export function holderOf(object: u32): u32 {
  const holder = loadHolder(object);
  return holder == 0 || isGone(holder) ? 0 : holder & IDENT_SLOT_MASK;
}
