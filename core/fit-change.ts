/**
 * How the blocks of a first-fit heap change: each change with its record (fit-lock.ts), under the lock, on blocks whose
 * headers have been found right. What the index has to know of it comes last.
 *
 * If the participant dies
 *     before the record counts                  nothing has changed
 *     while an allocation's or growth's does    the blocks become what they were
 *     while a free's or shrinking's does        they become what they were to be
 *     after it has been cleared                 the change took effect; the index is computed anew
 */

import { CHUNK_SHIFT, FIT_LEAST_BLOCK_BYTES, FIT_PREVIOUS_FREE, FIT_USED } from "../src/layout/fit";
import { PAGE_SHIFT } from "../src/layout/header";
import { OK } from "../src/layout/result";
import { clearStart, freeBytesBefore, isFreeBlock, isUsed, markStart, sizeIn } from "./fit-blocks";
import { classOf, lower, NO_CHUNK, raise } from "./fit-index";
import { clearRecord, recordFree, recordTwo } from "./fit-lock";
import { getBlockWord, setBlockHeader, setBlockWord, setTagBefore, storeFitEnd } from "./mem-fit";
import { corruptAt } from "./state";

/** A new free block: its header, its tag, its start bit. */
@inline
function makeFree(start: u32, size: u32): void {
  setBlockHeader(start, size);
  setTagBefore(start + size, size);
  markStart(start);
}

/** The block at `at` follows one that is used by now. */
@inline
function notePreviousUsed(at: u32, end: u32): void {
  if (at != end) setBlockWord(at, getBlockWord(at) & ~FIT_PREVIOUS_FREE);
}

/**
 * Takes `size` bytes, `front` bytes from its start on, of the free block of `have` bytes at `start` (a free block stays in
 * front unless `front` is 0, and behind unless it would be too small). Linearises at clearing the record.
 */
@inline
export function take(start: u32, have: u32, front: u32, size: u32, owner: u32, end: u32): void {
  const block = start + front;
  const left = have - front - size;
  const rest = left < <u32>FIT_LEAST_BLOCK_BYTES ? 0 : left;
  const taken = size + left - rest;
  recordFree(start, have);
  if (rest != 0) makeFree(block + taken, rest);
  else notePreviousUsed(start + have, end);
  if (front != 0) {
    setBlockHeader(block, usedHeader(taken | FIT_PREVIOUS_FREE, owner));
    markStart(block);
    setBlockHeader(start, front);
    setTagBefore(block, front);
  } else setBlockHeader(block, usedHeader(taken, owner));
  clearRecord();
  noteShrunk(start, have, block + taken, rest);
}

@inline
function usedHeader(word: u32, owner: u32): u64 {
  return (<u64>(word | FIT_USED)) | ((<u64>owner) << 32);
}

/** The free block of `have` bytes at `start` is gone or smaller, and there is one of `rest` bytes (or 0) at `other`. */
@inline
function noteShrunk(start: u32, have: u32, other: u32, rest: u32): void {
  const before = classOf(have);
  let as = NO_CHUNK;
  if (rest != 0) {
    const now = classOf(rest);
    const chunk = other >> CHUNK_SHIFT;
    // The common case: what is left of a large block is in the same chunk and of the same class.
    if (chunk != start >> CHUNK_SHIFT) raise(chunk, now);
    else if (now == before) return;
    if (now == before) as = chunk;
  }
  lower(start >> CHUNK_SHIFT, before, as);
}

/** As noteShrunk, for a block that has become larger, or came, by swallowing one of `freeBytes` bytes (or 0) at `other`. */
@inline
function noteGrown(start: u32, size: u32, other: u32, freeBytes: u32): void {
  raise(start >> CHUNK_SHIFT, classOf(size));
  if (freeBytes != 0 && (start ^ other) >> CHUNK_SHIFT != 0)
    lower(other >> CHUNK_SHIFT, classOf(freeBytes), start >> CHUNK_SHIFT);
}

/** Bytes of the free block at `at`, which ends one before; 0 when it is used or there is none. See isStrange. */
@inline
function freeBytesAt(at: u32, word: u32, end: u32): u32 {
  return at == end || isUsed(word) ? 0 : word;
}

@inline
function wordAt(at: u32, end: u32): u32 {
  return at == end ? FIT_USED : getBlockWord(at);
}

/**
 * Frees the used block at `start` with the size word `word`: it becomes one with the free blocks before and behind it.
 * Linearises at writing the record. CORRUPT, and nothing has changed, when one of those contradicts itself.
 */
@inline
export function release(start: u32, word: u32, end: u32): i32 {
  const to = start + sizeIn(word);
  const next = wordAt(to, end);
  const freeBehind = freeBytesAt(to, next, end);
  if (freeBehind != 0 && !isFreeBlock(to, next, end)) return corruptAt(to);
  let from = start;
  if ((word & FIT_PREVIOUS_FREE) != 0) {
    const before = freeBytesBefore(start);
    if (before == 0) return corruptAt(start);
    from = start - before;
  }
  const size = to + freeBehind - from;
  recordFree(from, size);
  setBlockHeader(from, size);
  setTagBefore(from + size, size);
  if (from != start) clearStart(start);
  if (freeBehind != 0) clearStart(to);
  else if (to != end) setBlockWord(to, next | FIT_PREVIOUS_FREE);
  clearRecord();
  noteGrown(from, size, to, freeBehind);
  return OK;
}

/**
 * Resizes the used block at `start` with the size word `word` to `size` bytes where it is. OK; CORRUPT; 0xffff… when it has
 * no room there.
 */
export function resizeHere(start: u32, word: u32, size: u32, end: u32): i32 {
  const have = sizeIn(word);
  const to = start + have;
  const next = wordAt(to, end);
  const freeBehind = freeBytesAt(to, next, end);
  if (freeBehind != 0 && !isFreeBlock(to, next, end)) return corruptAt(to);
  if (size <= have) {
    const left = have - size + freeBehind;
    if (size != have && left >= <u32>FIT_LEAST_BLOCK_BYTES) shrink(start, word, size, freeBehind, end);
    return OK;
  }
  if (size - have > freeBehind) return NO_ROOM_HERE;
  grow(start, word, size, freeBehind, end);
  return OK;
}

/** Not one of the codes of src/layout/result.ts. */
export const NO_ROOM_HERE: i32 = -1;

/** What the block gives up is free, with what was free behind it. Linearises at writing the record. */
function shrink(start: u32, word: u32, size: u32, freeBehind: u32, end: u32): void {
  const to = start + sizeIn(word);
  const rest = start + size;
  const left = to + freeBehind - rest;
  const now = size | (word & (FIT_USED | FIT_PREVIOUS_FREE));
  recordTwo(start, now, left);
  makeFree(rest, left);
  setBlockWord(start, now);
  if (freeBehind != 0) clearStart(to);
  else if (to != end) setBlockWord(to, getBlockWord(to) | FIT_PREVIOUS_FREE);
  clearRecord();
  noteGrown(rest, left, to, freeBehind);
}

/** The block takes from what is free behind it. Linearises at clearing the record. */
function grow(start: u32, word: u32, size: u32, freeBehind: u32, end: u32): void {
  const to = start + sizeIn(word);
  const left = to + freeBehind - (start + size);
  const rest = left < <u32>FIT_LEAST_BLOCK_BYTES ? 0 : left;
  const now = size + left - rest;
  recordTwo(start, word, freeBehind);
  if (rest != 0) makeFree(start + now, rest);
  else notePreviousUsed(to + freeBehind, end);
  setBlockWord(start, now | (word & (FIT_USED | FIT_PREVIOUS_FREE)));
  clearStart(to);
  clearRecord();
  noteShrunk(to, freeBehind, start + now, rest);
}

/**
 * The pages from `end` to `newEnd` become a free block, or the larger part of the last one. Linearises at writing the
 * record. (The ends are in bytes, and 0 at 4 GiB.)
 */
export function extend(end: u32, newEnd: u32): void {
  const start = end - freeBytesBefore(end);
  const size = newEnd - start;
  recordFree(start, size);
  makeFree(start, size);
  // SYNC with loadFitEnd: where the old end was, a block begins before the end is another.
  storeFitEnd(((newEnd - 1) >> PAGE_SHIFT) + 1);
  clearRecord();
  raise(start >> CHUNK_SHIFT, classOf(size));
}
