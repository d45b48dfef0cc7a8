/**
 * Events, conditions, barriers, once and counters: objects of which nobody holds anything that its death could take along.
 *
 * Event. One word says whether it is set. An automatic one is unset by the compare-and-swap of the one that it lets pass. A manual one
 * counts how often it was set as well: who waited when that happened goes on, even if it has been unset by then.
 *
 * Condition. Who waits takes a ticket, then releases its mutex; tickets below `notified` go on. Notifying one moves `notified` by
 * one, notifying all moves it to the last ticket. A ticket that nobody waits with any more would swallow a notification. So
 * who gives up notifies all; and when somebody is gone (it may have had a ticket), everybody who waits goes on, with tickets
 * that then are nobody's either. Those tickets are *swept*, all notified, by the first who comes to wait afterwards: it takes
 * its ticket, reads how many are gone, and sweeps unless that was done for so many. Whoever waits has seen that it was done
 * for as many as were gone when it last looked, or goes on because more are. A condition may always go on for no reason, and
 * who waits looks at what it waits for.
 *
 * Barrier. Generation and number of arrivals are one word; the last one to come makes it the next generation's. A party is
 * known by its cell from its first coming on. If one is gone, whoever waits or comes finds that, and marks the barrier broken.
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
  addGeneration,
  addTaken,
  addValue,
  casArrivals,
  casCell,
  casEvent,
  casNotified,
  casRunner,
  casValue,
  getObjectWord,
  loadArrivals,
  loadCell,
  loadDirty,
  loadEvent,
  loadGeneration,
  loadNotified,
  loadRunner,
  loadSwept,
  loadTaken,
  loadValue,
  storeCell,
  storeDirty,
  storeEvent,
  storeSwept,
  swapValue,
} from "./mem-sync";
import { me, slotCount } from "./state";
import { cellsOf } from "./waiters";

/** How often a change is tried anew; each time somebody else has made one. */
const TRIES: u32 = 1000000;

// Event

/** Sets it. Afterwards who waits is to be rung. */
export function setEvent(object: u32): void {
  storeEvent(object, 1);
  addGeneration(object);
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
  for (let tries = TRIES; tries > 0; tries--) {
    const notified = loadNotified(object);
    const taken = loadTaken(object);
    if (<i32>(taken - notified) <= 0) return false;
    if (casNotified(object, notified, all ? taken : notified + 1)) return true;
  }
  return true;
}

/**
 * Notifies the tickets that may be those of some who are gone: `departures` are, says the caller, who has read it after it took
 * its ticket. Whether that was needed: its own ticket is notified then, and it takes another one.
 */
export function sweepTickets(object: u32, departures: u32): bool {
  if (loadSwept(object) == departures) return false;
  notify(object, true);
  // SYNC with the load above: who finds this finds the tickets notified.
  storeSwept(object, departures);
  return true;
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
 * SYNC_NO: it is to wait. SYNC_BROKEN. SYNC_DONE: the generation has changed; read it again.
 */
export function arrive(object: u32, generation: u32): u32 {
  // Before the own cell is written, in which one that is gone may stand.
  if (goneParty(object) != 0) {
    breakBarrier(object, generation);
    return <u32>(loadArrivals(object) >> 32) != generation ? SYNC_DONE : SYNC_BROKEN;
  }
  storeCell(partyAt(object, me - 1), ident);
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
  if (<u32>(word >> 32) != generation) return wasReset(object, generation) ? SYNC_BROKEN : SYNC_YES;
  if (((<u32>word) & BARRIER_BROKEN) != 0) return SYNC_BROKEN;
  if (goneParty(object) == 0) return SYNC_NO;
  breakBarrier(object, generation);
  return <u32>(loadArrivals(object) >> 32) != generation ? SYNC_YES : SYNC_BROKEN;
}

/** SYNC with resetBarrier: what it says of a generation it says before that ends. */
@inline
function wasReset(object: u32, generation: u32): bool {
  return loadDirty(object) == generation + 1;
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
  for (let index: u32 = 0; index < slotCount; index++) {
    const cell = partyAt(object, index);
    const party = loadCell(cell);
    if (party != 0 && isGone(party)) casCell(cell, party, 0);
  }
  for (let tries = TRIES; tries > 0; tries--) {
    const word = loadArrivals(object);
    storeDirty(object, <u32>(word >> 32) + 1);
    if (casArrivals(object, word, ((word >> 32) + 1) << 32)) return;
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
