/**
 * Named roots: name -> handle, in a fixed table. Readers take no lock; writers hold the header's roots lock.
 *
 * The lock word holds the holder's slot index + 1. A holder that dies has its lock released by recovery; what it
 * had written into an entry was not published, because publishing is the one store of the entry's word.
 *
 * The caller leaves the name, padded with zeros, in its scratch area; calls here take its length in bytes.
 */

import { H_ROOTS_LOCK } from "../src/layout/header";
import { LOCKED, NOT_FOUND, OK, TABLE_FULL } from "../src/layout/result";
import {
  R_NAME,
  R_WORD,
  ROOT_FREE,
  ROOT_GENERATION_SHIFT,
  ROOT_NAME_LIMIT_BYTES,
  ROOT_SET,
  ROOT_SIZE_BYTES,
  ROOT_STATE_MASK,
  ROOT_STATE_SHIFT,
} from "../src/layout/root";
import {
  casRootsLock,
  getBytes8,
  getRootNameLength,
  loadRootWord,
  loadRootsLock,
  setBytes8,
  setRootNameLength,
  storeRootWord,
} from "./mem";
import { share, usableSize } from "./blocks";
import { beginPublish, endPublish } from "./hand-over";
import {
  corruptAt,
  fail,
  lastError,
  me,
  rootCount,
  rootsOffset,
  scratchOffset,
  setDetail,
  slotCount,
} from "./state";

@inline
export function rootAt(index: u32): usize {
  return rootsOffset + index * ROOT_SIZE_BYTES;
}

@inline
export function isSet(word: u64): bool {
  return ((<u32>(word >> ROOT_STATE_SHIFT)) & ROOT_STATE_MASK) == ROOT_SET;
}

/** Whether the entry's name is the one in the scratch area. Names are compared whole, zero padding included. */
function nameMatches(root: usize, length: u32): bool {
  if (getRootNameLength(root) != length) return false;
  for (let at: usize = 0; at < <usize>ROOT_NAME_LIMIT_BYTES; at += 8) {
    if (getBytes8(root + R_NAME + at) != getBytes8(scratchOffset + at)) return false;
  }
  return true;
}

/** How often an entry that changes is looked at again; each time means that another participant changed it. */
const LOOKS: u32 = 1000;

/** Index of the entry with the name in scratch, or -1. What it returns was true at one moment. */
function findEntry(length: u32): i32 {
  for (let index: u32 = 0; index < rootCount; index++) {
    if (isNamed(rootAt(index), length)) return <i32>index;
  }
  return -1;
}

/** Whether the entry is set under the name in scratch. */
function isNamed(root: usize, length: u32): bool {
  for (let looks = LOOKS; looks > 0; looks--) {
    const word = loadRootWord(root);
    if (!isSet(word) || !nameMatches(root, length)) return false;
    // SYNC with storeRootWord: the same word again means that the name belonged to it. Another: the name may still be there,
    // with another handle, so that passing on would miss it.
    if (loadRootWord(root) == word) return true;
  }
  return false;
}

/** The handle stored under the name in scratch; 0 when there is none (or it is a null handle). */
export function rootGet(length: u32): u32 {
  // An entry may be renamed between being found and being read; then look again. Bounded: each retry means that
  // another participant changed the table.
  for (let looks = LOOKS; looks > 0; looks--) {
    const index = findEntry(length);
    if (index < 0) break;
    const root = rootAt(<u32>index);
    const word = loadRootWord(root);
    if (isSet(word) && nameMatches(root, length) && loadRootWord(root) == word) {
      fail(OK);
      return <u32>word;
    }
  }
  fail(NOT_FOUND);
  return 0;
}

/** Takes the roots lock. Returns OK, LOCKED with the holder's slot in errorDetail(), or CORRUPT. */
export function lockRoots(): i32 {
  if (casRootsLock(0, me)) return OK;
  const holder = loadRootsLock();
  if (holder == 0) return casRootsLock(0, me) ? OK : fail(LOCKED);
  if (holder == me) return OK;
  if (holder > slotCount) return corruptAt(H_ROOTS_LOCK);
  setDetail(holder - 1);
  return fail(LOCKED);
}

export function unlockRoots(): void {
  casRootsLock(me, 0);
}

/** Recovery: releases the lock if the dead participant in slot `index` holds it. */
export function releaseRootsLockOf(index: u32): void {
  casRootsLock(index + 1, 0);
}

/** Word number `generation + 1` for an entry. */
@inline
export function nextWord(word: u64, state: u64, handle: u32): u64 {
  return (
    (((word >> ROOT_GENERATION_SHIFT) + 1) << ROOT_GENERATION_SHIFT) |
    (state << ROOT_STATE_SHIFT) |
    (<u64>handle)
  );
}

/**
 * Stores `handle` under the name in scratch; 0 removes the name. Linearises at the store of the entry's word. The handle must be an
 * allocated block's. With `handsOver` there is no such name yet, and the block is this participant's own: it becomes shared by
 * being there (hand-over.ts). The caller holds the roots lock.
 */
export function rootSet(length: u32, handle: u32, handsOver: bool): i32 {
  if (length == 0 || length > <u32>ROOT_NAME_LIMIT_BYTES) return fail(NOT_FOUND);
  if (handle == 0) return remove(length);
  if (usableSize(handle) == 0) return lastError();
  const found = findEntry(length);
  if (found >= 0) {
    const root = rootAt(<u32>found);
    storeRootWord(root, nextWord(loadRootWord(root), ROOT_SET, handle));
    return OK;
  }
  for (let index: u32 = 0; index < rootCount; index++) {
    const root = rootAt(index);
    const word = loadRootWord(root);
    if (isSet(word)) continue;
    setRootNameLength(root, length);
    for (let at: usize = 0; at < <usize>ROOT_NAME_LIMIT_BYTES; at += 8) {
      setBytes8(root + R_NAME + at, getBytes8(scratchOffset + at));
    }
    return handsOver ? publishRoot(root, word, handle) : putRoot(root, word, handle);
  }
  return fail(TABLE_FULL);
}

function putRoot(root: usize, word: u64, handle: u32): i32 {
  storeRootWord(root, nextWord(word, ROOT_SET, handle));
  return OK;
}

/** The low half of the entry's word is the place that the block is put into. */
function publishRoot(root: usize, word: u64, handle: u32): i32 {
  beginPublish(handle, root + R_WORD);
  storeRootWord(root, nextWord(word, ROOT_SET, handle));
  const result = share(handle);
  if (result != OK) storeRootWord(root, nextWord(loadRootWord(root), ROOT_FREE, 0));
  endPublish();
  return result;
}

function remove(length: u32): i32 {
  const found = findEntry(length);
  if (found < 0) return fail(NOT_FOUND);
  const root = rootAt(<u32>found);
  storeRootWord(root, nextWord(loadRootWord(root), ROOT_FREE, 0));
  return OK;
}
