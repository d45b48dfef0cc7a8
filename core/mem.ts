/**
 * Every touch of a shared word, by name.
 *
 * No other file of the core but mem-*.ts loads, stores or exchanges segment memory. In the checked build each helper first
 * calls out to `checkpoint(site)`, so that a test can stop, reorder or kill a participant before any one of its
 * accesses; CHECKED is a compile-time constant and the shipped build has no trace of it.
 *
 * Three kinds of helper:
 *   - `load…`/`store…`/`cas…`/`or…` are atomic and sequentially consistent: words that several participants change
 *     or that order other words;
 *   - `get…`/`set…` are plain: words that only the owner of a page or slot changes. An aligned plain store of up
 *     to 64 bits is one machine store, so a crash leaves the old or the new value, never a mixture;
 *   - whole ranges (`fillBytes`, `copyBytes`) touch only memory that the caller alone owns.
 */

import {
  H_GROWTHS,
  H_HIGH_WATER_PAGES,
  H_ORPHAN_HINTS,
  H_RECOVERIES,
  H_ROOTS_LOCK,
  H_SIZE_PAGES,
  H_SLOTS_USED,
  H_STATE,
} from "../src/layout/header";
import { R_NAME_LENGTH, R_WORD } from "../src/layout/root";
import { SCRATCH_SIZE_BYTES, S_CURRENT, S_INTENT, S_INTENT_BLOCK, S_STATE } from "../src/layout/slot";
import { scratchOffset } from "./state";

@external("env", "checkpoint")
declare function checkpoint(site: i32): void;

// Header words

@inline
export function loadSegmentState(): u32 {
  if (CHECKED) checkpoint(1);
  return atomic.load<u32>(H_STATE);
}

@inline
export function storeSegmentState(value: u32): void {
  if (CHECKED) checkpoint(2);
  atomic.store<u32>(H_STATE, value);
}

/** The published size. Pairs with: casSizePages in region.ts, whose winner has reserved the space first. */
@inline
export function loadSizePages(): u32 {
  if (CHECKED) checkpoint(3);
  return atomic.load<u32>(H_SIZE_PAGES);
}

@inline
export function casSizePages(expected: u32, value: u32): bool {
  if (CHECKED) checkpoint(4);
  return atomic.cmpxchg<u32>(H_SIZE_PAGES, expected, value) == expected;
}

@inline
export function loadRootsLock(): u32 {
  if (CHECKED) checkpoint(5);
  return atomic.load<u32>(H_ROOTS_LOCK);
}

@inline
export function casRootsLock(expected: u32, value: u32): bool {
  if (CHECKED) checkpoint(6);
  return atomic.cmpxchg<u32>(H_ROOTS_LOCK, expected, value) == expected;
}

@inline
export function loadRecoveries(): u32 {
  if (CHECKED) checkpoint(7);
  return atomic.load<u32>(H_RECOVERIES);
}

@inline
export function addRecoveries(value: u32): u32 {
  if (CHECKED) checkpoint(8);
  return atomic.add<u32>(H_RECOVERIES, value);
}

@inline
export function loadGrowths(): u32 {
  if (CHECKED) checkpoint(9);
  return atomic.load<u32>(H_GROWTHS);
}

@inline
export function addGrowths(value: u32): u32 {
  if (CHECKED) checkpoint(10);
  return atomic.add<u32>(H_GROWTHS, value);
}

@inline
export function loadSlotsUsed(): u32 {
  if (CHECKED) checkpoint(11);
  return atomic.load<u32>(H_SLOTS_USED);
}

@inline
export function casSlotsUsed(expected: u32, value: u32): bool {
  if (CHECKED) checkpoint(12);
  return atomic.cmpxchg<u32>(H_SLOTS_USED, expected, value) == expected;
}

/** A header field that is written once, before `ready`. */
@inline
export function getHeader(offset: usize): u32 {
  if (CHECKED) checkpoint(13);
  return load<u32>(offset);
}

@inline
export function setHeader(offset: usize, value: u32): void {
  if (CHECKED) checkpoint(14);
  store<u32>(offset, value);
}

/** 1 = some orphan page of this class may have room. */
@inline
export function loadOrphanHint(sizeClass: u32): u32 {
  if (CHECKED) checkpoint(15);
  return atomic.load<u32>(H_ORPHAN_HINTS + (sizeClass << 2));
}

@inline
export function storeOrphanHint(sizeClass: u32, value: u32): void {
  if (CHECKED) checkpoint(16);
  atomic.store<u32>(H_ORPHAN_HINTS + (sizeClass << 2), value);
}

/** SYNC with casHighWater: a page below it has been claimed for blocks by somebody, a page above it never was. */
@inline
export function loadHighWater(): u32 {
  if (CHECKED) checkpoint(17);
  return atomic.load<u32>(H_HIGH_WATER_PAGES);
}

/** SYNC with loadHighWater: raised before the first block of the page is there. */
@inline
export function casHighWater(expected: u32, value: u32): bool {
  if (CHECKED) checkpoint(18);
  return atomic.cmpxchg<u32>(H_HIGH_WATER_PAGES, expected, value) == expected;
}

// Slots

@inline
export function loadSlotState(slot: usize): u32 {
  if (CHECKED) checkpoint(19);
  return atomic.load<u32>(slot + S_STATE);
}

@inline
export function storeSlotState(slot: usize, value: u32): void {
  if (CHECKED) checkpoint(20);
  atomic.store<u32>(slot + S_STATE, value);
}

@inline
export function getSlotWord(slot: usize, field: usize): u32 {
  if (CHECKED) checkpoint(21);
  return load<u32>(slot + field);
}

@inline
export function setSlotWord(slot: usize, field: usize, value: u32): void {
  if (CHECKED) checkpoint(22);
  store<u32>(slot + field, value);
}

@inline
export function setSlotNumber(slot: usize, field: usize, value: f64): void {
  if (CHECKED) checkpoint(23);
  store<f64>(slot + field, value);
}

@inline
export function getSlotNumber(slot: usize, field: usize): f64 {
  if (CHECKED) checkpoint(24);
  return load<f64>(slot + field);
}

/** The page that a slot allocates from, for one size class. */
@inline
export function getCurrent(slot: usize, sizeClass: u32): u32 {
  if (CHECKED) checkpoint(25);
  return load<u32>(slot + (sizeClass << 2), S_CURRENT);
}

@inline
export function setCurrent(slot: usize, sizeClass: u32, page: u32): void {
  if (CHECKED) checkpoint(26);
  store<u32>(slot + (sizeClass << 2), page, S_CURRENT);
}

/** Others read intents only under the slot's lock; atomic so that it is in order with the page words. */
@inline
export function loadIntent(slot: usize): u32 {
  if (CHECKED) checkpoint(27);
  return atomic.load<u32>(slot + S_INTENT);
}

@inline
export function storeIntent(slot: usize, value: u32): void {
  if (CHECKED) checkpoint(28);
  atomic.store<u32>(slot + S_INTENT, value);
}

@inline
export function getIntentBlock(slot: usize): u32 {
  if (CHECKED) checkpoint(29);
  return load<u32>(slot + S_INTENT_BLOCK);
}

@inline
export function setIntentBlock(slot: usize, handle: u32): void {
  if (CHECKED) checkpoint(30);
  store<u32>(slot + S_INTENT_BLOCK, handle);
}

// Roots: `root` is the entry's address

/** SYNC with storeRootWord: the name and the block behind it were complete when the word was stored. */
@inline
export function loadRootWord(root: usize): u64 {
  if (CHECKED) checkpoint(31);
  return atomic.load<u64>(root + R_WORD);
}

/** SYNC with loadRootWord. The linearisation point of set and delete. */
@inline
export function storeRootWord(root: usize, word: u64): void {
  if (CHECKED) checkpoint(32);
  atomic.store<u64>(root + R_WORD, word);
}

@inline
export function getRootNameLength(root: usize): u32 {
  if (CHECKED) checkpoint(33);
  return load<u32>(root, R_NAME_LENGTH);
}

@inline
export function setRootNameLength(root: usize, length: u32): void {
  if (CHECKED) checkpoint(34);
  store<u32>(root, length, R_NAME_LENGTH);
}

// The scratch area: arguments and results that do not fit in registers, in the own slot

/** Word number `index`; never beyond the area. */
@inline
export function getScratch(index: u32): u32 {
  if (CHECKED) checkpoint(35);
  return load<u32>(scratchOffset + ((index & (SCRATCH_SIZE_BYTES / 4 - 1)) << 2));
}

@inline
export function setScratch(index: u32, value: u32): void {
  if (CHECKED) checkpoint(36);
  store<u32>(scratchOffset + ((index & (SCRATCH_SIZE_BYTES / 4 - 1)) << 2), value);
}

// Ranges

/** Eight bytes of a name. */
@inline
export function getBytes8(offset: usize): u64 {
  if (CHECKED) checkpoint(37);
  return load<u64>(offset);
}

@inline
export function setBytes8(offset: usize, value: u64): void {
  if (CHECKED) checkpoint(38);
  store<u64>(offset, value);
}

@inline
export function fillBytes(offset: usize, value: u8, length: usize): void {
  if (CHECKED) checkpoint(39);
  memory.fill(offset, value, length);
}

@inline
export function copyBytes(to: usize, from: usize, length: usize): void {
  if (CHECKED) checkpoint(40);
  memory.copy(to, from, length);
}
