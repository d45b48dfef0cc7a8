/**
 * Every touch of a word that only topics have, by name. Rules as in mem.ts.
 *
 * `entry` is the address of a subscriber's entry; but for its word only its subscriber writes it.
 */

import {
  C_JOINS,
  C_KNOWN_JOINS,
  C_KNOWN_LIMIT,
  E_POSITION,
  E_RECEIVED,
  E_SKIPPED,
  E_START,
  E_WORD,
} from "../src/layout/topic";

@external("env", "checkpoint")
declare function checkpoint(site: i32): void;

// Entries

@inline
export function loadEntry(entry: usize): u64 {
  if (CHECKED) checkpoint(700);
  return atomic.load<u64>(entry + E_WORD);
}

@inline
export function casEntry(entry: usize, expected: u64, word: u64): bool {
  if (CHECKED) checkpoint(701);
  return atomic.cmpxchg<u64>(entry + E_WORD, expected, word) == expected;
}

/** SYNC with storeEntryPosition: the message before it is not read any more. */
@inline
export function loadEntryPosition(entry: usize): u64 {
  if (CHECKED) checkpoint(702);
  return atomic.load<u64>(entry + E_POSITION);
}

/** The linearisation point of having received. */
@inline
export function storeEntryPosition(entry: usize, position: u64): void {
  if (CHECKED) checkpoint(703);
  atomic.store<u64>(entry + E_POSITION, position);
}

/** Its subscriber's own look at it. */
@inline
export function getEntryPosition(entry: usize): u64 {
  if (CHECKED) checkpoint(704);
  return load<u64>(entry + E_POSITION);
}

@inline
export function setEntryStart(entry: usize, position: u64): void {
  if (CHECKED) checkpoint(705);
  store<u64>(entry + E_START, position);
}

@inline
export function getEntryStart(entry: usize): u64 {
  if (CHECKED) checkpoint(706);
  return load<u64>(entry + E_START);
}

/** E_RECEIVED, E_SKIPPED. */
@inline
export function setEntryCount(at: usize, value: u64): void {
  if (CHECKED) checkpoint(707);
  store<u64>(at, value);
}

@inline
export function getEntryCount(at: usize): u64 {
  if (CHECKED) checkpoint(708);
  return load<u64>(at);
}

@inline
export function addEntryReceived(entry: usize): void {
  if (CHECKED) checkpoint(709);
  store<u64>(entry + E_RECEIVED, load<u64>(entry + E_RECEIVED) + 1);
}

@inline
export function addEntrySkipped(entry: usize): void {
  if (CHECKED) checkpoint(710);
  store<u64>(entry + E_SKIPPED, load<u64>(entry + E_SKIPPED) + 1);
}

// Who has joined

/** SYNC with addJoins: who does not find a subscriber here claims at most the one position that was the next when it joined. */
@inline
export function loadJoins(object: usize): u32 {
  if (CHECKED) checkpoint(715);
  return atomic.load<u32>(object + C_JOINS);
}

@inline
export function addJoins(object: usize): void {
  if (CHECKED) checkpoint(716);
  atomic.add<u32>(object + C_JOINS, 1);
}

// What a publisher knows of subscribers: in its own record

@inline
export function getKnownJoins(record: usize): u32 {
  if (CHECKED) checkpoint(717);
  return load<u32>(record + C_KNOWN_JOINS);
}

@inline
export function setKnownJoins(record: usize, joins: u32): void {
  if (CHECKED) checkpoint(718);
  store<u32>(record + C_KNOWN_JOINS, joins);
}

@inline
export function getKnownLimit(record: usize): u64 {
  if (CHECKED) checkpoint(719);
  return load<u64>(record + C_KNOWN_LIMIT);
}

@inline
export function setKnownLimit(record: usize, position: u64): void {
  if (CHECKED) checkpoint(720);
  store<u64>(record + C_KNOWN_LIMIT, position);
}

// Cells

/**
 * Changes nothing, and what was read before it was read before what is read after it: plain reads of a message, and then of the
 * state of its cell. (A fence would do; the compiler makes none that its validator accepts.) SYNC with casCellState: who claims
 * the cell does so before it changes what is in it.
 */
@inline
export function addNothing(entry: usize): void {
  if (CHECKED) checkpoint(721);
  atomic.add<u64>(entry + E_RECEIVED, 0);
}

/** A count of 64 bits, in a participant's own record. */
@inline
export function addCount8(at: usize, count: u64): void {
  if (CHECKED) checkpoint(722);
  store<u64>(at, load<u64>(at) + count);
}
