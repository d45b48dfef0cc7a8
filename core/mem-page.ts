/**
 * Every touch of a page descriptor and of a slab page's bitmap, by name. What holds for core/mem.ts holds here; the sites
 * are numbered from 100.
 */

import {
  P_BLOCK_SIZE,
  P_COUNT,
  P_FIRST,
  P_HINT,
  P_HINT_HANDLE,
  P_NEXT,
  P_PREV,
  P_RECIPROCAL,
  P_REMOTE_FLAG,
  P_STATE,
  REMOTE_IN_PAIR,
} from "../src/layout/page";

@external("env", "checkpoint")
declare function checkpoint(site: i32): void;

// Page descriptors: `page` is the descriptor's address

@inline
export function loadPageState(page: usize): u64 {
  if (CHECKED) checkpoint(100);
  return atomic.load<u64>(page + P_STATE);
}

@inline
export function storePageState(page: usize, state: u64): void {
  if (CHECKED) checkpoint(101);
  atomic.store<u64>(page + P_STATE, state);
}

@inline
export function casPageState(page: usize, expected: u64, state: u64): bool {
  if (CHECKED) checkpoint(102);
  return atomic.cmpxchg<u64>(page + P_STATE, expected, state) == expected;
}

@inline
export function loadRemoteFlag(page: usize): u32 {
  if (CHECKED) checkpoint(103);
  return atomic.load<u32>(page + P_REMOTE_FLAG);
}

@inline
export function storeRemoteFlag(page: usize, value: u32): void {
  if (CHECKED) checkpoint(104);
  atomic.store<u32>(page + P_REMOTE_FLAG, value);
}

@inline
export function getPageNext(page: usize): u32 {
  if (CHECKED) checkpoint(105);
  return load<u32>(page, P_NEXT);
}

@inline
export function setPageNext(page: usize, value: u32): void {
  if (CHECKED) checkpoint(106);
  store<u32>(page, value, P_NEXT);
}

@inline
export function getPagePrev(page: usize): u32 {
  if (CHECKED) checkpoint(107);
  return load<u32>(page, P_PREV);
}

@inline
export function setPagePrev(page: usize, value: u32): void {
  if (CHECKED) checkpoint(108);
  store<u32>(page, value, P_PREV);
}

@inline
export function getPageHint(page: usize): usize {
  if (CHECKED) checkpoint(109);
  return load<u32>(page, P_HINT);
}

@inline
export function setPageHint(page: usize, pair: usize): void {
  if (CHECKED) checkpoint(110);
  store<u32>(page, <u32>pair, P_HINT);
}

@inline
export function getPageHintHandle(page: usize): u32 {
  if (CHECKED) checkpoint(111);
  return load<u32>(page, P_HINT_HANDLE);
}

@inline
export function setPageHintHandle(page: usize, value: u32): void {
  if (CHECKED) checkpoint(112);
  store<u32>(page, value, P_HINT_HANDLE);
}

@inline
export function getPageBlockSize(page: usize): u32 {
  if (CHECKED) checkpoint(113);
  return load<u32>(page, P_BLOCK_SIZE);
}

@inline
export function setPageBlockSize(page: usize, value: u32): void {
  if (CHECKED) checkpoint(114);
  store<u32>(page, value, P_BLOCK_SIZE);
}

@inline
export function getPageFirst(page: usize): u32 {
  if (CHECKED) checkpoint(115);
  return load<u32>(page, P_FIRST);
}

@inline
export function setPageFirst(page: usize, value: u32): void {
  if (CHECKED) checkpoint(116);
  store<u32>(page, value, P_FIRST);
}

@inline
export function getPageCount(page: usize): u32 {
  if (CHECKED) checkpoint(117);
  return load<u32>(page, P_COUNT);
}

@inline
export function setPageCount(page: usize, value: u32): void {
  if (CHECKED) checkpoint(118);
  store<u32>(page, value, P_COUNT);
}

@inline
export function getPageReciprocal(page: usize): u32 {
  if (CHECKED) checkpoint(119);
  return load<u32>(page, P_RECIPROCAL);
}

@inline
export function setPageReciprocal(page: usize, value: u32): void {
  if (CHECKED) checkpoint(120);
  store<u32>(page, value, P_RECIPROCAL);
}

// Bitmap pairs: `pair` is the pair's address

@inline
export function getLocal(pair: usize): u64 {
  if (CHECKED) checkpoint(121);
  return load<u64>(pair);
}

/** The owner's one store of an allocation or a free: its linearisation point. */
@inline
export function setLocal(pair: usize, bits: u64): void {
  if (CHECKED) checkpoint(122);
  store<u64>(pair, bits);
}

/** SYNC with orRemote: a bit seen here makes all that the freeing participant did to the block happen before. */
@inline
export function loadRemote(pair: usize): u64 {
  if (CHECKED) checkpoint(123);
  return atomic.load<u64>(pair + REMOTE_IN_PAIR);
}

/** SYNC with loadRemote. The linearisation point of a free by another participant. */
@inline
export function orRemote(pair: usize, bits: u64): u64 {
  if (CHECKED) checkpoint(124);
  return atomic.or<u64>(pair + REMOTE_IN_PAIR, bits);
}

@inline
export function andRemote(pair: usize, bits: u64): void {
  if (CHECKED) checkpoint(125);
  atomic.and<u64>(pair + REMOTE_IN_PAIR, bits);
}

/** Before the page is published: nobody else looks yet. */
@inline
export function setRemote(pair: usize, bits: u64): void {
  if (CHECKED) checkpoint(126);
  store<u64>(pair + REMOTE_IN_PAIR, bits);
}
