/**
 * Every touch of what a first-fit heap consists of, by name. What holds for core/mem.ts holds here; the sites are numbered
 * from 300.
 *
 * Nearly all of it is changed under the heap's lock alone, by plain stores. The `load…` of headers, starts and the end are
 * for those who look without the lock.
 */

import { FIT_OWNER, FIT_SIZE, FIT_TAG_BYTES } from "../src/layout/fit";
import { H_FIT_CHANGES, H_FIT_END_PAGES, H_FIT_RECORD, H_HEAP_LOCK } from "../src/layout/header";

@external("env", "checkpoint")
declare function checkpoint(site: i32): void;

// Header words

@inline
export function loadHeapLock(): u32 {
  if (CHECKED) checkpoint(300);
  return atomic.load<u32>(H_HEAP_LOCK);
}

/** Returns what the word was: `expected` when it is `value` now. SYNC with storeHeapLock. */
@inline
export function casHeapLock(expected: u32, value: u32): u32 {
  if (CHECKED) checkpoint(301);
  return atomic.cmpxchg<u32>(H_HEAP_LOCK, expected, value);
}

/** SYNC with casHeapLock: who gets the lock sees all that was done under it. */
@inline
export function storeHeapLock(value: u32): void {
  if (CHECKED) checkpoint(302);
  atomic.store<u32>(H_HEAP_LOCK, value);
}

/** SYNC with storeFitEnd: the block that begins at an end seen before has its start bit when a later one is seen. */
@inline
export function loadFitEnd(): u32 {
  if (CHECKED) checkpoint(303);
  return atomic.load<u32>(H_FIT_END_PAGES);
}

@inline
export function getFitEnd(): u32 {
  if (CHECKED) checkpoint(304);
  return load<u32>(H_FIT_END_PAGES);
}

/** SYNC with loadFitEnd. */
@inline
export function storeFitEnd(pages: u32): void {
  if (CHECKED) checkpoint(305);
  atomic.store<u32>(H_FIT_END_PAGES, pages);
}

/** SYNC with addFitChange: the same number and no lock before and after a look: nothing changed meanwhile. */
@inline
export function loadFitChanges(): u32 {
  if (CHECKED) checkpoint(306);
  return atomic.load<u32>(H_FIT_CHANGES);
}

/** Under the lock, before the change. SYNC with loadFitChanges. */
@inline
export function addFitChange(): void {
  if (CHECKED) checkpoint(307);
  store<u32>(H_FIT_CHANGES, load<u32>(H_FIT_CHANGES) + 1);
}

/** A word of the record. */
@inline
export function getFitRecord(field: usize): u32 {
  if (CHECKED) checkpoint(308);
  return load<u32>(field);
}

@inline
export function setFitRecord(field: usize, value: u32): void {
  if (CHECKED) checkpoint(309);
  store<u32>(field, value);
}

/** The word that makes the record count, or not any more: the linearisation point of changes to the blocks. */
@inline
export function setFitRecordStart(value: u32): void {
  if (CHECKED) checkpoint(310);
  store<u32>(H_FIT_RECORD, value);
}

// Blocks: `block` is the address of the block's header

/** The whole header: size word below, owner above. */
@inline
export function getBlockHeader(block: usize): u64 {
  if (CHECKED) checkpoint(311);
  return load<u64>(block);
}

@inline
export function loadBlockHeader(block: usize): u64 {
  if (CHECKED) checkpoint(312);
  return atomic.load<u64>(block);
}

@inline
export function setBlockHeader(block: usize, header: u64): void {
  if (CHECKED) checkpoint(313);
  store<u64>(block, header);
}

@inline
export function getBlockWord(block: usize): u32 {
  if (CHECKED) checkpoint(314);
  return load<u32>(block, FIT_SIZE);
}

@inline
export function setBlockWord(block: usize, word: u32): void {
  if (CHECKED) checkpoint(315);
  store<u32>(block, word, FIT_SIZE);
}

/** The linearisation point of share and adopt. */
@inline
export function setBlockOwner(block: usize, owner: u32): void {
  if (CHECKED) checkpoint(316);
  store<u32>(block, owner, FIT_OWNER);
}

/** The last word before `end`: its size again, if the block that ends there is free. */
@inline
export function getTagBefore(end: usize): u32 {
  if (CHECKED) checkpoint(317);
  return load<u32>(end - FIT_TAG_BYTES);
}

@inline
export function setTagBefore(end: usize, size: u32): void {
  if (CHECKED) checkpoint(318);
  store<u32>(end - FIT_TAG_BYTES, size);
}

// Start bits: `word` is the address of 64 of them

@inline
export function getStarts(word: usize): u64 {
  if (CHECKED) checkpoint(319);
  return load<u64>(word);
}

@inline
export function loadStarts(word: usize): u64 {
  if (CHECKED) checkpoint(320);
  return atomic.load<u64>(word);
}

@inline
export function setStarts(word: usize, bits: u64): void {
  if (CHECKED) checkpoint(321);
  store<u64>(word, bits);
}

// The index: `entry` is the address of one size class, `node` of 64 in a row

@inline
export function getClass(entry: usize): u32 {
  if (CHECKED) checkpoint(322);
  return load<u8>(entry);
}

@inline
export function setClass(entry: usize, sizeClass: u32): void {
  if (CHECKED) checkpoint(323);
  store<u8>(entry, <u8>sizeClass);
}

/** Which of the node's 64 entries are at least `sizeClass`, one bit each. */
@inline
export function getAtLeast(node: usize, sizeClass: u32): u64 {
  if (CHECKED) checkpoint(324);
  const wanted = i8x16.splat(<i8>sizeClass);
  const first = i8x16.bitmask(i8x16.ge_u(v128.load(node), wanted));
  const second = i8x16.bitmask(i8x16.ge_u(v128.load(node, 16), wanted));
  const third = i8x16.bitmask(i8x16.ge_u(v128.load(node, 32), wanted));
  const fourth = i8x16.bitmask(i8x16.ge_u(v128.load(node, 48), wanted));
  return (<u64>(<u32>(first | (second << 16)))) | ((<u64>(<u32>(third | (fourth << 16)))) << 32);
}

/** The largest of the node's 64 entries. */
@inline
export function getLargest(node: usize): u32 {
  if (CHECKED) checkpoint(325);
  const low = i8x16.max_u(v128.load(node), v128.load(node, 16));
  const high = i8x16.max_u(v128.load(node, 32), v128.load(node, 48));
  let all = i8x16.max_u(low, high);
  all = i8x16.max_u(all, i64x2.shuffle(all, all, 1, 0));
  all = i8x16.max_u(all, i32x4.shuffle(all, all, 1, 0, 3, 2));
  all = i8x16.max_u(all, i16x8.shuffle(all, all, 1, 0, 3, 2, 5, 4, 7, 6));
  all = i8x16.max_u(all, i8x16.shuffle(all, all, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14));
  return <u32>i8x16.extract_lane_u(all, 0);
}
