/**
 * Events, conditions, barriers, once and counters: objects of which nobody holds anything that its death could take along.
 *
 * Event. One word says whether it is set. An automatic one is unset by the compare-and-swap of the one that it lets pass. A manual one
 * counts how often it was set as well, in the same step: who waited when that happened goes on, even if it has been unset by then.
 *
 * Condition. Who waits takes a ticket, then releases its mutex; tickets below `notified` go on. Notifying one moves `notified` by
 * one, notifying all moves it to the last ticket. A ticket that nobody waits with any more would swallow a notification. So who
 * gives up notifies all; and who notifies one, and finds that somebody is gone since all tickets were last notified
 * (`covered`), notifies all as well. After a death everybody who waits looks up, too: the dead one may have been notified, and not
 * come to use it. A condition may always go on for no reason; who waits looks at what it waits for.
 *
 * Barrier. Generation and number of arrivals are one word; the last one to come makes it the next generation's. A party is
 * known by its cell from its first coming on. If one is gone, whoever waits finds that, or whoever comes in its slot, and marks the
 * barrier broken. How a generation ends is decided in that word alone: the last one makes it the next, or somebody breaks it, and
 * what is broken only a reset ends. That writes down in `resets` which one it was before it goes on to the next: there whoever looks
 * late finds how the generation ended in which it came.
 *
 * Once. One word: nobody, somebody who runs, done. Of a runner that is gone the next one takes over.
 *
 * Linearisation points are the compare-and-swaps and stores of those words. No death leaves anything to be undone.
 */

import {
  BARRIER_BROKEN,
  IDENT_SLOT_MASK,
  ONCE_DONE,
  SYNC_ABANDONED,
  SYNC_BROKEN,
  SYNC_DONE,
  SYNC_MINE,
  SYNC_NO,
  SYNC_YES,
  Y_LIMIT,
} from "../src/layout/sync";
import { ident, isGone } from "./ident";
import {
  addAbandoned,
  addTaken,
  addValue,
  casArrivals,
  casCell,
  casEvent,
  casEventWord,
  casNotified,
  casResets,
  casRunner,
  casValue,
  getObjectWord,
  loadArrivals,
  loadCell,
  loadCovered,
  loadDepartures,
  loadEvent,
  loadEventWord,
  loadGeneration,
  loadNotified,
  loadResets,
  loadRunner,
  loadTaken,
  loadValue,
  storeCell,
  storeCovered,
  storeEvent,
  swapValue,
} from "./mem-sync";
import { me, slotCount } from "./state";
import { cellsOf } from "./waiters";

/** How often a change is tried anew; each time somebody else has made one. */
const TRIES: u32 = 1000000;

// Event

/** Sets it. Afterwards who waits is to be rung. */
export function setEvent(object: u32): void {
  for (let tries = TRIES; tries > 0; tries--) {
    const word = loadEventWord(object);
    if (casEventWord(object, word, (((word >> 32) + 1) << 32) | 1)) return;
  }
}

export function resetEvent(object: u32): void {
  storeEvent(object, 0);
}

export function isSet(object: u32): bool {
  return loadEvent(object) != 0;
}

export function eventGeneration(object: u32): u32 {
  return loadGeneration(object);
}

/** Whether an automatic event lets this caller pass, and nobody else. */
export function passEvent(object: u32): bool {
  return casEvent(object, 1, 0);
}

/** Whether a manual event is set, or was since `generation`. */
export function seenEvent(object: u32, generation: u32): bool {
  return loadEvent(object) != 0 || loadGeneration(object) != generation;
}

// Condition

export function takeTicket(object: u32): u32 {
  return addTaken(object);
}

export function isNotified(object: u32, ticket: u32): bool {
  return <i32>(loadNotified(object) - ticket) > 0;
}

/** Lets one who waits go on, or all. Whether anybody waited. Afterwards who waits is to be rung. */
export function notify(object: u32, all: bool): bool {
  // Before the tickets: those of all who are gone by now have been taken.
  const departures = loadDepartures();
  const isCovered = loadCovered(object) == departures;
  let hasWaited = true;
  for (let tries = TRIES; tries > 0; tries--) {
    const notified = loadNotified(object);
    const taken = loadTaken(object);
    hasWaited = <i32>(taken - notified) > 0;
    if (!hasWaited || casNotified(object, notified, all || !isCovered ? taken : notified + 1)) break;
  }
  if (!isCovered) storeCovered(object, departures);
  return hasWaited;
}

// Barrier

@inline
function partyAt(object: u32, index: u32): usize {
  return cellsOf(object) + (index << 2);
}

export function barrierGeneration(object: u32): u32 {
  return <u32>(loadArrivals(object) >> 32);
}

export function arrivals(object: u32): u32 {
  return (<u32>loadArrivals(object)) & ~BARRIER_BROKEN;
}

export function isBroken(object: u32): bool {
  return ((<u32>loadArrivals(object)) & BARRIER_BROKEN) != 0;
}

/**
 * Comes to the barrier, whose generation the caller has read before. SYNC_YES: as the last one: who waits is to be rung.
 * SYNC_NO: it is to wait. SYNC_BROKEN: who waits is to be rung, too. SYNC_DONE: the generation has changed; read it again.
 */
export function arrive(object: u32, generation: u32): u32 {
  const cell = partyAt(object, me - 1);
  const party = loadCell(cell);
  if (party != ident && party != 0) {
    // A party had this slot, and is gone: its cell is to say so until the barrier is broken.
    breakBarrier(object, generation);
    if (barrierGeneration(object) != generation) return SYNC_DONE;
  }
  storeCell(cell, ident);
  for (let tries = TRIES; tries > 0; tries--) {
    const word = loadArrivals(object);
    if (<u32>(word >> 32) != generation) return SYNC_DONE;
    if (((<u32>word) & BARRIER_BROKEN) != 0) return SYNC_BROKEN;
    const isLast = <u32>word + 1 >= getObjectWord(object, Y_LIMIT);
    if (casArrivals(object, word, isLast ? ((word >> 32) + 1) << 32 : word + 1))
      return isLast ? SYNC_YES : SYNC_NO;
  }
  return SYNC_DONE;
}

/** Whether those who came with this one in `generation` may go on: SYNC_YES, SYNC_NO or SYNC_BROKEN. */
export function hasPassed(object: u32, generation: u32): u32 {
  const word = loadArrivals(object);
  if (<u32>(word >> 32) != generation) return outcome(object, generation);
  if (((<u32>word) & BARRIER_BROKEN) != 0) return SYNC_BROKEN;
  if (goneParty(object) == 0) return SYNC_NO;
  breakBarrier(object, generation);
  return barrierGeneration(object) != generation ? outcome(object, generation) : SYNC_BROKEN;
}

/**
 * How a generation has ended: SYNC_YES, or SYNC_BROKEN by a reset. SYNC with noteReset: what it says of a generation it says before
 * that ends. Of one that is more than 32 before the last that was reset it is not known; then nobody is told that it has passed.
 */
function outcome(object: u32, generation: u32): u32 {
  const resets = loadResets(object);
  const behind = <i32>(<u32>(resets >> 32) - 1 - generation);
  if (resets == 0 || behind < 0) return SYNC_YES;
  return behind == 0 || behind > 32 || (((<u32>resets) >> (behind - 1)) & 1) != 0 ? SYNC_BROKEN : SYNC_YES;
}

/** Slot index + 1 of a party that is gone; 0 = there is none. */
export function goneParty(object: u32): u32 {
  for (let index: u32 = 0; index < slotCount; index++) {
    const party = loadCell(partyAt(object, index));
    if (party != 0 && isGone(party)) return index + 1;
  }
  return 0;
}

/** Nobody passes in `generation` any more. Afterwards who waits is to be rung. */
export function breakBarrier(object: u32, generation: u32): void {
  for (let tries = TRIES; tries > 0; tries--) {
    const word = loadArrivals(object);
    if (<u32>(word >> 32) != generation || ((<u32>word) & BARRIER_BROKEN) != 0) return;
    if (!casArrivals(object, word, word | BARRIER_BROKEN)) continue;
    addAbandoned(object);
    return;
  }
}

/** Gives up waiting: has not come. False when it has passed meanwhile. */
export function withdraw(object: u32, generation: u32): bool {
  for (let tries = TRIES; tries > 0; tries--) {
    const word = loadArrivals(object);
    if (<u32>(word >> 32) != generation) return false;
    if (((<u32>word) & ~BARRIER_BROKEN) == 0) return true;
    if (casArrivals(object, word, word - 1)) return true;
  }
  return true;
}

/** This participant is no party any more. */
export function leaveBarrier(object: u32): void {
  storeCell(partyAt(object, me - 1), 0);
}

/** Begins a new generation, with no party known that is gone. Afterwards who waits is to be rung: it is broken for them. */
export function resetBarrier(object: u32): void {
  for (let tries = TRIES; tries > 0; tries--) {
    const word = loadArrivals(object);
    const generation = word >> 32;
    if (((<u32>word) & BARRIER_BROKEN) == 0) {
      casArrivals(object, word, word | BARRIER_BROKEN);
      continue;
    }
    // From here on nobody passes in this generation: it can be forgotten who is gone, and be said how it ends.
    forgetParties(object);
    noteReset(object, <u32>generation);
    if (casArrivals(object, word, (generation + 1) << 32)) return;
    // Somebody else's reset has done it, or somebody has withdrawn.
    if (loadArrivals(object) >> 32 != generation) return;
  }
}

/** No party is known that is gone. The barrier is broken: nobody waits for it any more. */
function forgetParties(object: u32): void {
  for (let index: u32 = 0; index < slotCount; index++) {
    const cell = partyAt(object, index);
    const party = loadCell(cell);
    if (party != 0 && isGone(party)) casCell(cell, party, 0);
  }
}

function noteReset(object: u32, generation: u32): void {
  for (let tries = TRIES; tries > 0; tries--) {
    const resets = loadResets(object);
    const ahead = <i32>(generation + 1 - <u32>(resets >> 32));
    if (resets != 0 && ahead <= 0) return;
    let earlier: u32 = 0;
    if (resets != 0 && ahead <= 32)
      earlier = <u32>(((resets & 0xffffffff) << ahead) | ((<u64>1) << (ahead - 1)));
    if (casResets(object, resets, ((<u64>(generation + 1)) << 32) | earlier)) return;
  }
}

// Once

/** SYNC_YES or SYNC_ABANDONED: this one runs. SYNC_NO: somebody does. SYNC_MINE: this participant does. SYNC_DONE. */
export function beginOnce(object: u32): u32 {
  const runner = loadRunner(object);
  if (runner == ONCE_DONE) return SYNC_DONE;
  if (runner == ident) return SYNC_MINE;
  if (runner != 0 && !isGone(runner)) return SYNC_NO;
  if (!casRunner(object, runner, ident)) return SYNC_NO;
  if (runner == 0) return SYNC_YES;
  addAbandoned(object);
  return SYNC_ABANDONED;
}

/** It is done (or, not `done`, to be done anew). Whether this participant was the runner. Afterwards who waits is to be rung. */
export function endOnce(object: u32, done: bool): bool {
  return casRunner(object, ident, done ? ONCE_DONE : 0);
}

/** Whether nobody needs to run any more. */
export function isDone(object: u32): bool {
  return loadRunner(object) == ONCE_DONE;
}

/** Slot index + 1 of who runs; 0 = nobody. */
export function runnerOf(object: u32): u32 {
  const runner = loadRunner(object);
  return runner == 0 || runner == ONCE_DONE || isGone(runner) ? 0 : runner & IDENT_SLOT_MASK;
}

// Counter: values are whole numbers of JavaScript

export function readCounter(object: u32): f64 {
  return <f64>loadValue(object);
}

/** Adds; returns the sum. */
export function addCounter(object: u32, delta: f64): f64 {
  return <f64>(addValue(object, <i64>delta) + <i64>delta);
}

/** Sets; returns what was there. */
export function swapCounter(object: u32, value: f64): f64 {
  return <f64>swapValue(object, <i64>value);
}

/** Sets `value` where `expected` is. Whether it was. */
export function casCounter(object: u32, expected: f64, value: f64): bool {
  return casValue(object, <i64>expected, <i64>value) == <i64>expected;
}
