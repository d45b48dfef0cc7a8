/**
 * Every touch of a word of the channels, and of places that blocks are put into, by name. Rules as in mem.ts.
 *
 * `cell`, `record` and `side` are addresses: of a cell, of a participant's record, of the senders' or the receivers' line. Only
 * who has claimed a cell touches what is behind its state, only its participant writes a record, and only the producer (the
 * consumer) of a ring writes its line, but for the word that says who that is.
 */

import {
  CELL_LENGTH,
  CELL_STATE,
  C_ENDED,
  C_HELD,
  C_HOLDER,
  C_INDEX,
  C_KNOWN,
  C_POSITION,
  C_RECEIVED,
  C_RECORD_IDENT,
  C_ROLE_ENTERED,
  C_SENT,
  C_SWEPT,
} from "../src/layout/channel";
import { Y_KIND } from "../src/layout/sync";
import { S_INTENT_PLACE } from "../src/layout/slot";

@external("env", "checkpoint")
declare function checkpoint(site: i32): void;

// Places

/** SYNC with storePlace: the block that is named was complete before, and is shared, or is about to be by who stored it. */
@inline
export function loadPlace(place: usize): u32 {
  if (CHECKED) checkpoint(600);
  return atomic.load<u32>(place);
}

/** The linearisation point of a hand-over. */
@inline
export function storePlace(place: usize, block: u32): void {
  if (CHECKED) checkpoint(601);
  atomic.store<u32>(place, block);
}

@inline
export function getIntentPlace(slot: usize): u32 {
  if (CHECKED) checkpoint(602);
  return load<u32>(slot + S_INTENT_PLACE);
}

@inline
export function setIntentPlace(slot: usize, place: u32): void {
  if (CHECKED) checkpoint(603);
  store<u32>(slot + S_INTENT_PLACE, place);
}

// All channels

/** Kind and magic: 0 once the channel is no more. */
@inline
export function loadKind(object: usize): u32 {
  if (CHECKED) checkpoint(605);
  return atomic.load<u32>(object + Y_KIND);
}

@inline
export function storeKind(object: usize, kind: u32): void {
  if (CHECKED) checkpoint(606);
  atomic.store<u32>(object + Y_KIND, kind);
}

/** SYNC with storeEnded: a sender looks after it has claimed a cell, a receiver before it looks at cells. */
@inline
export function loadEnded(object: usize): u32 {
  if (CHECKED) checkpoint(607);
  return atomic.load<u32>(object + C_ENDED);
}

@inline
export function storeEnded(object: usize, value: u32): void {
  if (CHECKED) checkpoint(608);
  atomic.store<u32>(object + C_ENDED, value);
}

/** Constants of a channel, written before it could be found. */
@inline
export function getChannelWord(at: usize): u32 {
  if (CHECKED) checkpoint(609);
  return load<u32>(at);
}

// Cells

/** SYNC with casCellState and storeCellState: what belongs to a phase was written before the phase. */
@inline
export function loadCellState(cell: usize): u64 {
  if (CHECKED) checkpoint(610);
  return atomic.load<u64>(cell + CELL_STATE);
}

/** The linearisation point of claims. */
@inline
export function casCellState(cell: usize, expected: u64, state: u64): bool {
  if (CHECKED) checkpoint(611);
  return atomic.cmpxchg<u64>(cell + CELL_STATE, expected, state) == expected;
}

/** By who has claimed the cell: the linearisation point of sending, and of having received. */
@inline
export function storeCellState(cell: usize, state: u64): void {
  if (CHECKED) checkpoint(612);
  atomic.store<u64>(cell + CELL_STATE, state);
}

@inline
export function getCellLength(cell: usize): u32 {
  if (CHECKED) checkpoint(613);
  return load<u32>(cell + CELL_LENGTH);
}

@inline
export function setCellLength(cell: usize, length: u32): void {
  if (CHECKED) checkpoint(614);
  store<u32>(cell + CELL_LENGTH, length);
}

// Queue: hints

@inline
export function loadPosition(side: usize): u64 {
  if (CHECKED) checkpoint(620);
  return atomic.load<u64>(side + C_POSITION);
}

@inline
export function casPosition(side: usize, expected: u64, position: u64): bool {
  if (CHECKED) checkpoint(621);
  return atomic.cmpxchg<u64>(side + C_POSITION, expected, position) == expected;
}

// Records

@inline
export function loadRecordIdent(record: usize): u32 {
  if (CHECKED) checkpoint(630);
  return atomic.load<u32>(record + C_RECORD_IDENT);
}

@inline
export function storeRecordIdent(record: usize, value: u32): void {
  if (CHECKED) checkpoint(631);
  atomic.store<u32>(record + C_RECORD_IDENT, value);
}

@inline
export function getSwept(record: usize): u32 {
  if (CHECKED) checkpoint(632);
  return load<u32>(record + C_SWEPT);
}

@inline
export function setSwept(record: usize, departures: u32): void {
  if (CHECKED) checkpoint(633);
  store<u32>(record + C_SWEPT, departures);
}

/** A count with its tag (C_DROPPED, C_SKIPPED; of a ring C_RING_DROPPED). Others read it when its participant is gone. */
@inline
export function loadTagged(at: usize): u64 {
  if (CHECKED) checkpoint(634);
  return atomic.load<u64>(at);
}

@inline
export function storeTagged(at: usize, value: u64): void {
  if (CHECKED) checkpoint(635);
  atomic.store<u64>(at, value);
}

@inline
export function addSent(record: usize): void {
  if (CHECKED) checkpoint(636);
  store<u64>(record + C_SENT, load<u64>(record + C_SENT) + 1);
}

@inline
export function addReceived(record: usize): void {
  if (CHECKED) checkpoint(637);
  store<u64>(record + C_RECEIVED, load<u64>(record + C_RECEIVED) + 1);
}

/** A count of 32 bits: redelivered, waits. */
@inline
export function addCount(at: usize): void {
  if (CHECKED) checkpoint(638);
  store<u32>(at, load<u32>(at) + 1);
}

@inline
export function getCount(at: usize): u32 {
  if (CHECKED) checkpoint(639);
  return load<u32>(at);
}

@inline
export function getCount8(at: usize): u64 {
  if (CHECKED) checkpoint(640);
  return load<u64>(at);
}

// Ring

@inline
export function loadRole(side: usize): u32 {
  if (CHECKED) checkpoint(650);
  return atomic.load<u32>(side + C_HOLDER);
}

@inline
export function casRole(side: usize, expected: u32, value: u32): bool {
  if (CHECKED) checkpoint(651);
  return atomic.cmpxchg<u32>(side + C_HOLDER, expected, value) == expected;
}

/** Whose the line is, and who has put right what the one before has left. */
@inline
export function getRoleEntered(side: usize): u32 {
  if (CHECKED) checkpoint(652);
  return load<u32>(side + C_ROLE_ENTERED);
}

@inline
export function setRoleEntered(side: usize, value: u32): void {
  if (CHECKED) checkpoint(653);
  store<u32>(side + C_ROLE_ENTERED, value);
}

/** SYNC with storeIndex: of the tail, what is in the cells before it; of the head, that nobody reads them any more. */
@inline
export function loadIndex(side: usize): u32 {
  if (CHECKED) checkpoint(654);
  return atomic.load<u32>(side + C_INDEX);
}

/** The linearisation point of sending, and of having received. */
@inline
export function storeIndex(side: usize, value: u32): void {
  if (CHECKED) checkpoint(655);
  atomic.store<u32>(side + C_INDEX, value);
}

/** Its own index, as it was last stored. */
@inline
export function getIndex(side: usize): u32 {
  if (CHECKED) checkpoint(656);
  return load<u32>(side + C_INDEX);
}

/** The other's index, as it was last seen. */
@inline
export function getKnown(side: usize): u32 {
  if (CHECKED) checkpoint(657);
  return load<u32>(side + C_KNOWN);
}

@inline
export function setKnown(side: usize, value: u32): void {
  if (CHECKED) checkpoint(658);
  store<u32>(side + C_KNOWN, value);
}

@inline
export function getHeld(side: usize): u64 {
  if (CHECKED) checkpoint(659);
  return load<u64>(side + C_HELD);
}

@inline
export function setHeld(side: usize, value: u64): void {
  if (CHECKED) checkpoint(660);
  store<u64>(side + C_HELD, value);
}
