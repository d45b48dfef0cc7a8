/**
 * Every touch of a word of the synchronisation objects and of the bells in the slots, by name. Rules as in mem.ts.
 *
 * `object` is an object's offset; `set`, `cell` and `slot` are addresses of words in it, or of a slot. Nothing here is
 * plain but what only its holder writes.
 */

import { H_DEPARTURES } from "../src/layout/header";
import {
  Y_ABANDONED,
  Y_ARRIVALS,
  Y_COVERED,
  Y_ENTERED,
  Y_GENERATION,
  Y_HOLDER,
  Y_LAST,
  Y_NOTIFIED,
  Y_RESETS,
  Y_RUNNER,
  Y_SINCE,
  Y_STATE,
  Y_TAKEN,
  Y_TALLY,
  Y_TICKETS,
  Y_VALUE,
  Y_WAITS,
} from "../src/layout/sync";
import { S_ARMED, S_AWAITED, S_BELL, S_BLOCKED, S_RUNG, S_WAITING } from "../src/layout/slot";

@external("env", "checkpoint")
declare function checkpoint(site: i32): void;

// Bells: in a participant's slot

@inline
export function loadBell(slot: usize): u32 {
  if (CHECKED) checkpoint(500);
  return atomic.load<u32>(slot + S_BELL);
}

@inline
export function addBell(slot: usize): void {
  if (CHECKED) checkpoint(501);
  atomic.add<u32>(slot + S_BELL, 1);
}

@inline
export function loadArmed(slot: usize): u32 {
  if (CHECKED) checkpoint(502);
  return atomic.load<u32>(slot + S_ARMED);
}

/** SYNC with swapArmed in bells.ts: who rings has changed its object before, who arms looks at the object afterwards. */
@inline
export function storeArmed(slot: usize, value: u32): void {
  if (CHECKED) checkpoint(503);
  atomic.store<u32>(slot + S_ARMED, value);
}

@inline
export function swapArmed(slot: usize, value: u32): u32 {
  if (CHECKED) checkpoint(504);
  return atomic.xchg<u32>(slot + S_ARMED, value);
}

@inline
export function orRung(slot: usize, bits: u32): void {
  if (CHECKED) checkpoint(505);
  atomic.or<u32>(slot + S_RUNG, bits);
}

@inline
export function swapRung(slot: usize, bits: u32): u32 {
  if (CHECKED) checkpoint(506);
  return atomic.xchg<u32>(slot + S_RUNG, bits);
}

@inline
export function setBlocked(slot: usize, object: u32): void {
  if (CHECKED) checkpoint(507);
  store<u32>(slot + S_BLOCKED, object);
}

@inline
export function getBlocked(slot: usize): u32 {
  if (CHECKED) checkpoint(508);
  return load<u32>(slot + S_BLOCKED);
}

@inline
export function setAwaited(slot: usize, object: u32): void {
  if (CHECKED) checkpoint(509);
  store<u32>(slot + S_AWAITED, object);
}

@inline
export function setWaitingSince(slot: usize, ms: f64): void {
  if (CHECKED) checkpoint(510);
  store<f64>(slot + S_WAITING, ms);
}

/** How many participants are gone; whoever caches that nobody is looks whether it has changed. */
@inline
export function loadDepartures(): u32 {
  if (CHECKED) checkpoint(511);
  return atomic.load<u32>(H_DEPARTURES);
}

@inline
export function addDepartures(): void {
  if (CHECKED) checkpoint(512);
  atomic.add<u32>(H_DEPARTURES, 1);
}

// Sets of waiters: `word` is the address of one of the set's words

@inline
export function loadWaiters(word: usize): u64 {
  if (CHECKED) checkpoint(515);
  return atomic.load<u64>(word);
}

@inline
export function orWaiters(word: usize, bits: u64): void {
  if (CHECKED) checkpoint(516);
  atomic.or<u64>(word, bits);
}

/** Removes bits; returns the word as it was. */
@inline
export function dropWaiters(word: usize, bits: u64): u64 {
  if (CHECKED) checkpoint(517);
  return atomic.and<u64>(word, ~bits);
}

/** Departures when nobody who was gone was in the set; `word` is behind the set's bits. */
@inline
export function loadSwept(word: usize): u32 {
  if (CHECKED) checkpoint(518);
  return atomic.load<u32>(word);
}

@inline
export function storeSwept(word: usize, departures: u32): void {
  if (CHECKED) checkpoint(519);
  atomic.store<u32>(word, departures);
}

// What all objects have

/** A hint only: it may be lost or torn apart from what it belongs to. */
@inline
export function getLast(object: usize): u32 {
  if (CHECKED) checkpoint(520);
  return load<u32>(object + Y_LAST);
}

@inline
export function setLast(object: usize, value: u32): void {
  if (CHECKED) checkpoint(521);
  store<u32>(object + Y_LAST, value);
}

@inline
export function setSince(object: usize, ms: f64): void {
  if (CHECKED) checkpoint(522);
  store<f64>(object + Y_SINCE, ms);
}

@inline
export function addWaits(object: usize): void {
  if (CHECKED) checkpoint(523);
  atomic.add<u32>(object + Y_WAITS, 1);
}

@inline
export function addAbandoned(object: usize): void {
  if (CHECKED) checkpoint(524);
  atomic.add<u32>(object + Y_ABANDONED, 1);
}

/** Kind, flags and limit never change once the object can be found. */
@inline
export function getObjectWord(object: usize, at: usize): u32 {
  if (CHECKED) checkpoint(525);
  return load<u32>(object + at);
}

// Mutex

@inline
export function loadHolder(object: usize): u32 {
  if (CHECKED) checkpoint(530);
  return atomic.load<u32>(object + Y_HOLDER);
}

@inline
export function casHolder(object: usize, expected: u32, value: u32): bool {
  if (CHECKED) checkpoint(531);
  return atomic.cmpxchg<u32>(object + Y_HOLDER, expected, value) == expected;
}

@inline
export function storeHolder(object: usize, value: u32): void {
  if (CHECKED) checkpoint(532);
  atomic.store<u32>(object + Y_HOLDER, value);
}

/** Of an rwlock; written by the writer only. */
@inline
export function loadEntered(object: usize): u32 {
  if (CHECKED) checkpoint(533);
  return atomic.load<u32>(object + Y_ENTERED);
}

@inline
export function storeEntered(object: usize, value: u32): void {
  if (CHECKED) checkpoint(534);
  atomic.store<u32>(object + Y_ENTERED, value);
}

@inline
export function addTickets(object: usize): u32 {
  if (CHECKED) checkpoint(535);
  return atomic.add<u32>(object + Y_TICKETS, 1);
}

// Cells: one word a participant

@inline
export function loadCell(cell: usize): u32 {
  if (CHECKED) checkpoint(540);
  return atomic.load<u32>(cell);
}

@inline
export function storeCell(cell: usize, value: u32): void {
  if (CHECKED) checkpoint(541);
  atomic.store<u32>(cell, value);
}

@inline
export function casCell(cell: usize, expected: u32, value: u32): bool {
  if (CHECKED) checkpoint(542);
  return atomic.cmpxchg<u32>(cell, expected, value) == expected;
}

/** Of a fair mutex: who waits, and since when in their order. */
@inline
export function loadTurn(cell: usize): u64 {
  if (CHECKED) checkpoint(536);
  return atomic.load<u64>(cell);
}

@inline
export function storeTurn(cell: usize, turn: u64): void {
  if (CHECKED) checkpoint(537);
  atomic.store<u64>(cell, turn);
}

// Semaphore

@inline
export function loadTally(object: usize): u64 {
  if (CHECKED) checkpoint(550);
  return atomic.load<u64>(object + Y_TALLY);
}

@inline
export function casTally(object: usize, expected: u64, value: u64): bool {
  if (CHECKED) checkpoint(551);
  return atomic.cmpxchg<u64>(object + Y_TALLY, expected, value) == expected;
}

@inline
export function loadShare(cell: usize): u64 {
  if (CHECKED) checkpoint(552);
  return atomic.load<u64>(cell);
}

@inline
export function casShare(cell: usize, expected: u64, value: u64): bool {
  if (CHECKED) checkpoint(553);
  return atomic.cmpxchg<u64>(cell, expected, value) == expected;
}

// Event

@inline
export function loadEvent(object: usize): u32 {
  if (CHECKED) checkpoint(560);
  return atomic.load<u32>(object + Y_STATE);
}

@inline
export function storeEvent(object: usize, value: u32): void {
  if (CHECKED) checkpoint(561);
  atomic.store<u32>(object + Y_STATE, value);
}

@inline
export function casEvent(object: usize, expected: u32, value: u32): bool {
  if (CHECKED) checkpoint(562);
  return atomic.cmpxchg<u32>(object + Y_STATE, expected, value) == expected;
}

@inline
export function loadGeneration(object: usize): u32 {
  if (CHECKED) checkpoint(563);
  return atomic.load<u32>(object + Y_GENERATION);
}

/** State and generation: generation << 32 | state. */
@inline
export function loadEventWord(object: usize): u64 {
  if (CHECKED) checkpoint(564);
  return atomic.load<u64>(object + Y_STATE);
}

@inline
export function casEventWord(object: usize, expected: u64, value: u64): bool {
  if (CHECKED) checkpoint(565);
  return atomic.cmpxchg<u64>(object + Y_STATE, expected, value) == expected;
}

// Condition

@inline
export function loadTaken(object: usize): u32 {
  if (CHECKED) checkpoint(570);
  return atomic.load<u32>(object + Y_TAKEN);
}

@inline
export function addTaken(object: usize): u32 {
  if (CHECKED) checkpoint(571);
  return atomic.add<u32>(object + Y_TAKEN, 1);
}

@inline
export function loadNotified(object: usize): u32 {
  if (CHECKED) checkpoint(572);
  return atomic.load<u32>(object + Y_NOTIFIED);
}

@inline
export function casNotified(object: usize, expected: u32, value: u32): bool {
  if (CHECKED) checkpoint(573);
  return atomic.cmpxchg<u32>(object + Y_NOTIFIED, expected, value) == expected;
}

@inline
export function loadCovered(object: usize): u32 {
  if (CHECKED) checkpoint(574);
  return atomic.load<u32>(object + Y_COVERED);
}

@inline
export function storeCovered(object: usize, departures: u32): void {
  if (CHECKED) checkpoint(575);
  atomic.store<u32>(object + Y_COVERED, departures);
}

// Barrier

@inline
export function loadArrivals(object: usize): u64 {
  if (CHECKED) checkpoint(580);
  return atomic.load<u64>(object + Y_ARRIVALS);
}

@inline
export function casArrivals(object: usize, expected: u64, value: u64): bool {
  if (CHECKED) checkpoint(581);
  return atomic.cmpxchg<u64>(object + Y_ARRIVALS, expected, value) == expected;
}

@inline
export function loadResets(object: usize): u64 {
  if (CHECKED) checkpoint(582);
  return atomic.load<u64>(object + Y_RESETS);
}

@inline
export function casResets(object: usize, expected: u64, value: u64): bool {
  if (CHECKED) checkpoint(583);
  return atomic.cmpxchg<u64>(object + Y_RESETS, expected, value) == expected;
}

// Once

@inline
export function loadRunner(object: usize): u32 {
  if (CHECKED) checkpoint(585);
  return atomic.load<u32>(object + Y_RUNNER);
}

@inline
export function casRunner(object: usize, expected: u32, value: u32): bool {
  if (CHECKED) checkpoint(586);
  return atomic.cmpxchg<u32>(object + Y_RUNNER, expected, value) == expected;
}

// Counter

@inline
export function loadValue(object: usize): i64 {
  if (CHECKED) checkpoint(590);
  return atomic.load<i64>(object + Y_VALUE);
}

@inline
export function addValue(object: usize, delta: i64): i64 {
  if (CHECKED) checkpoint(591);
  return atomic.add<i64>(object + Y_VALUE, delta);
}

@inline
export function swapValue(object: usize, value: i64): i64 {
  if (CHECKED) checkpoint(592);
  return atomic.xchg<i64>(object + Y_VALUE, value);
}

@inline
export function casValue(object: usize, expected: i64, value: i64): i64 {
  if (CHECKED) checkpoint(593);
  return atomic.cmpxchg<i64>(object + Y_VALUE, expected, value);
}
