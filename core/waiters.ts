/**
 * Sets of waiters: one bit for each participant's slot, in an object. `set` is the address of the set's first word.
 *
 * A participant is in a set for all of its own that wait there: its thread asleep, and any number of awaiting calls.
 * The order of the steps, and why nobody is forgotten, is told in bells.ts.
 *
 * The dead. A bit of somebody who is gone stays in the set, and whoever has the slot by then does not know of it: a ring for that
 * bit would be lost. So a set knows up to which departure it was *swept*. Who is to ring one and finds that there was another
 * since rings all who are in the set, which then is empty. If somebody is gone after the ringer has looked, recovery rings all
 * after that, and so after the ringer's change. `swept` is stored when the set has been emptied: until then others sweep
 * too.
 */

import { RANG_ALL, SET_SWEPT_BYTES, Y_WAITERS } from "../src/layout/sync";
import { arm, ring } from "./bells";
import {
  dropWaiters,
  getLast,
  loadDepartures,
  loadSwept,
  loadWaiters,
  orWaiters,
  setLast,
  storeSwept,
} from "./mem-sync";
import { me, slotCount } from "./state";

/** Words of a set. */
@inline
export function setWords(): u32 {
  return (slotCount + 63) >> 6;
}

/** Bytes of a set. */
@inline
export function setBytes(): u32 {
  return (setWords() << 3) + SET_SWEPT_BYTES;
}

/** The set that every object has. */
@inline
export function setOf(object: u32): usize {
  return object + Y_WAITERS;
}

/** Address of what follows that set: the cells. */
@inline
export function cellsOf(object: u32): usize {
  return object + Y_WAITERS + setBytes();
}

@inline
function wordOf(set: usize, index: u32): usize {
  return set + ((index >> 6) << 3);
}

/**
 * This participant waits, from now on. Returns the bell to sleep on, once the object has been looked at again.
 */
export function enter(set: usize): u32 {
  const index = me - 1;
  const seen = arm();
  orWaiters(wordOf(set, index), (<u64>1) << (index & 63));
  return seen;
}

/** It does not any more. Whether it was in the set still: if not it was rung, and who has no use for that passes it on. */
export function leave(set: usize): bool {
  const index = me - 1;
  const bit = (<u64>1) << (index & 63);
  return (dropWaiters(wordOf(set, index), bit) & bit) != 0;
}

export function isWaiting(set: usize, index: u32): bool {
  return index < slotCount && ((loadWaiters(wordOf(set, index)) >> (index & 63)) & 1) != 0;
}

export function hasWaiters(set: usize): bool {
  for (let word: u32 = 0; word < setWords(); word++) {
    if (loadWaiters(set + (word << 3)) != 0) return true;
  }
  return false;
}

/** Takes slot `index` out of the set. Whether it was there. */
function drop(set: usize, index: u32): bool {
  const bit = (<u64>1) << (index & 63);
  return (dropWaiters(wordOf(set, index), bit) & bit) != 0;
}

/**
 * Takes the next waiter out of the set, in turn, and rings it. Its slot index + 1 if it is to be woken, minus that if it is awake;
 * 0 when nobody waits. RANG_ALL: all waiters were rung, and those who sleep are to be woken.
 */
export function ringNext(object: u32, set: usize): i32 {
  const last = getLast(object);
  const from = last < slotCount ? last : 0;
  const words = setWords();
  // The word in which the last one was is looked at twice: behind the last one, and at the end before it.
  const first = from >> 6;
  for (let step: u32 = 0; step <= words; step++) {
    const word = (first + step) % words;
    let bits = loadWaiters(set + (word << 3));
    if (step == 0) bits &= ~(((<u64>1) << (from & 63)) - 1);
    if (bits != 0 && loadSwept(set + (words << 3)) != loadDepartures()) return sweep(object, set);
    while (bits != 0) {
      const index = (word << 6) + <u32>ctz(bits);
      bits &= bits - 1;
      if (index >= slotCount || !drop(set, index)) continue;
      setLast(object, index + 1);
      return ring(index, object) ? <i32>(index + 1) : -(<i32>(index + 1));
    }
  }
  return 0;
}

/** Rings all who are in the set, and takes out those who are gone. */
function sweep(object: u32, set: usize): i32 {
  const departures = loadDepartures();
  const words = setWords();
  for (let word: u32 = 0; word < words; word++) {
    for (let bits = dropWaiters(set + (word << 3), ~0); bits != 0; bits &= bits - 1) {
      const index = (word << 6) + <u32>ctz(bits);
      if (index < slotCount) ring(index, object);
    }
  }
  storeSwept(set + (words << 3), departures);
  return RANG_ALL;
}
