/**
 * Mutex: one word, the holder's ident.
 *
 * Invariant: who has stored its ident there by a compare-and-swap from 0, or from the ident of somebody who is gone, holds
 * it; nobody else changes the word until it releases it or is gone. Linearisation points: those compare-and-swaps; the store
 * of 0. If the holder dies it is gone as soon as its slot is recovered, and whoever tries next takes over and learns of it.
 *
 * A *fair* mutex is offered to the one that has waited longest: the word is that one's ident with MUTEX_OFFERED. Each participant
 * that waits has a turn, a word that only it writes (ident << 32 | ticket). Whoever it is offered to takes it by a
 * compare-and-swap to its ident alone. Who gives up stores 0 as its turn first and then looks whether it was offered the mutex: if
 * so it takes it, to release it. Who offers stores the offer first and then looks whether the turn is still there, and its owner: if
 * not it takes the offer back. So of giving up and offering one at least sees the other, and of all who then want to change the word
 * one does. An offer to somebody without a turn, or to somebody who is gone, is *void*: anybody may take it, should the one that
 * made it have died before it looked. An offer is taken before the turn is stored as 0, so a turn is there as long as its
 * owner may take one.
 *
 * The fair mutex is held by whoever's ident is there alone, just like the other. If it dies, whoever takes over is told.
 * In whose name there is but an offer has left nothing half done.
 */

import {
  IDENT_SLOT_MASK,
  MUTEX_OFFERED,
  SYNC_ABANDONED,
  SYNC_MINE,
  SYNC_NO,
  SYNC_YES,
} from "../src/layout/sync";
import { ring } from "./bells";
import { ident, isGone, slotOf } from "./ident";
import {
  addAbandoned,
  addTickets,
  casHolder,
  loadHolder,
  loadTurn,
  setSince,
  storeHolder,
  storeTurn,
} from "./mem-sync";
import { me, slotCount } from "./state";
import { cellsOf, isWaiting, ringNext, setOf } from "./waiters";

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

/** Gets this participant a turn, which it keeps until it has the mutex or gives up. It is to enter the set afterwards. */
export function takeTurn(object: u32): void {
  storeTurn(turnAt(object, me - 1), ((<u64>ident) << 32) | addTickets(object));
}

/** Whether `name`, who was offered the mutex, may still come and take it. */
function mayTake(object: u32, name: u32): bool {
  return !isGone(name) && <u32>(loadTurn(turnAt(object, slotOf(name))) >> 32) == name;
}

/** tryLock for fair mutexes. `hasTurn`: this participant waits for it. */
export function tryLockFair(object: u32, hasTurn: bool): u32 {
  const holder = loadHolder(object);
  if (holder == ident) return SYNC_MINE;
  let result: u32 = SYNC_YES;
  if ((holder & MUTEX_OFFERED) != 0) {
    const name = holder & ~MUTEX_OFFERED;
    const isForMe = name == ident && hasTurn;
    if (!isForMe && mayTake(object, name)) return SYNC_NO;
  } else if (holder != 0) {
    if (!isGone(holder)) return SYNC_NO;
    result = SYNC_ABANDONED;
  }
  // Who comes goes behind those who wait. They have looked, or been rung.
  if (!hasTurn && nextInTurn(object) >= 0) return SYNC_NO;
  if (!casHolder(object, holder, ident)) return SYNC_NO;
  if (hasTurn) storeTurn(turnAt(object, me - 1), 0);
  if (result == SYNC_ABANDONED) addAbandoned(object);
  return result;
}

/**
 * Releases a fair mutex, to the one that has waited longest. As ringNext's result; i32.MIN_VALUE when this participant does not
 * hold it.
 */
export function unlockFair(object: u32): i32 {
  if (loadHolder(object) != ident) return i32.MIN_VALUE;
  setSince(object, 0);
  for (let left = slotCount; left > 0; left--) {
    const index = nextInTurn(object);
    if (index < 0) break;
    const cell = turnAt(object, <u32>index);
    const turn = loadTurn(cell);
    const next = <u32>(turn >> 32);
    if (isGone(next)) continue;
    const offer = next | MUTEX_OFFERED;
    storeHolder(object, offer);
    // SYNC with dropTurn, which changes the turn and then looks at the offer. (It is changed too when the offer was taken.) If
    // its owner is gone by now those who wait have been rung before there was an offer for them to find void.
    const isVoid = loadTurn(cell) != turn || isGone(next);
    if (isVoid && casHolder(object, offer, ident)) continue;
    return ring(<u32>index, object) ? index + 1 : -(index + 1);
  }
  storeHolder(object, 0);
  // Somebody may have come to wait since: it has looked before, or finds the mutex free.
  return ringNext(object, setOf(object));
}

/** Of those who live and wait, the slot index of the one with the lowest ticket; -1 when nobody does. */
function nextInTurn(object: u32): i32 {
  let found: i32 = -1;
  let lowest: u32 = 0;
  for (let index: u32 = 0; index < slotCount; index++) {
    if (!isWaiting(setOf(object), index)) continue;
    const turn = loadTurn(turnAt(object, index));
    const ticket = <u32>turn;
    // Tickets wrap: what counts is which is behind which.
    if ((found >= 0 && <i32>(ticket - lowest) >= 0) || isGone(<u32>(turn >> 32))) continue;
    found = <i32>index;
    lowest = ticket;
  }
  return found;
}

/**
 * Gives up a turn. False: the mutex had been offered to this participant, which holds it now, and is to release it.
 */
export function dropTurn(object: u32): bool {
  storeTurn(turnAt(object, me - 1), 0);
  // SYNC with unlockFair, which makes the offer and then looks at the turn.
  const offer = ident | MUTEX_OFFERED;
  return loadHolder(object) != offer || !casHolder(object, offer, ident);
}

/** Whether this participant holds the mutex. */
export function isHolding(object: u32): bool {
  return loadHolder(object) == ident;
}

/** Slot index + 1 of who holds the mutex, or is about to; 0 = nobody who lives. */
export function holderOf(object: u32): u32 {
  const holder = loadHolder(object) & ~MUTEX_OFFERED;
  return holder == 0 || isGone(holder) ? 0 : holder & IDENT_SLOT_MASK;
}
