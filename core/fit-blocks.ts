/**
 * A first-fit heap's blocks, as their headers, tags and start bits tell of them: what may be believed.
 *
 * Headers lie between the callers' bytes, and a caller that writes beyond its block overwrites the next one's. So a size is
 * believed only when the start bits, which lie elsewhere, agree with where it leads.
 */

import {
  FIT_FLAGS_MASK,
  FIT_LEAST_BLOCK_BYTES,
  FIT_PREVIOUS_FREE,
  FIT_TABLE_BYTES_PER_PAGE,
  FIT_USED,
} from "../src/layout/fit";
import { PAGE_SHIFT } from "../src/layout/header";
import { getBlockWord, getFitEnd, getStarts, getTagBefore, setStarts } from "./mem-fit";
import { dataOffset, firstDataPage, tableOffset } from "./state";

/** The table's part for a page. The table covers the whole span, so any page below it has one. */
@inline
export function tableOf(page: u32): usize {
  return tableOffset + page * FIT_TABLE_BYTES_PER_PAGE;
}

/** The word that has the start bit of `at`, which is inside the span. */
@inline
export function startsAt(at: u32): usize {
  return tableOf(at >> PAGE_SHIFT) + ((at >> 6) & 0x3f8);
}

@inline
export function startBit(at: u32): u64 {
  return (<u64>1) << (((at >> 3) & 63) as u64);
}

@inline
export function isStart(at: u32): bool {
  return (getStarts(startsAt(at)) & startBit(at)) != 0;
}

@inline
export function markStart(at: u32): void {
  const word = startsAt(at);
  setStarts(word, getStarts(word) | startBit(at));
}

@inline
export function clearStart(at: u32): void {
  const word = startsAt(at);
  setStarts(word, getStarts(word) & ~startBit(at));
}

/** The page at which the last block ends; the lock is held. Never before the first; 0 = there are none yet. */
@inline
export function endPageOfBlocks(): u32 {
  const pages = getFitEnd();
  const first = firstDataPage();
  return pages < first ? first : pages;
}

/** Bytes of the block with this size word, its header included. */
@inline
export function sizeIn(word: u32): u32 {
  return word & ~FIT_FLAGS_MASK;
}

@inline
export function isUsed(word: u32): bool {
  return (word & FIT_USED) != 0;
}

/** Whether a block of `size` bytes at `start` ends where another begins, or the last one does. (`end` is 0 at 4 GiB.) */
@inline
export function endsWell(start: u32, size: u32, end: u32): bool {
  if (size < <u32>FIT_LEAST_BLOCK_BYTES || size > end - start) return false;
  return start + size == end || isStart(start + size);
}

/** Whether `word` may be the size word of the used block that begins at `start`. */
@inline
export function isUsedBlock(start: u32, word: u32, end: u32): bool {
  const strange = FIT_FLAGS_MASK & ~(FIT_USED | FIT_PREVIOUS_FREE);
  return (word & strange) == 0 && endsWell(start, sizeIn(word), end);
}

/** Whether `word` may be the size word of the free block that begins at `start`. */
@inline
export function isFreeBlock(start: u32, word: u32, end: u32): bool {
  return (word & FIT_FLAGS_MASK) == 0 && endsWell(start, word, end);
}

/** Bytes of the free block that ends at `end`; 0 when none does, whatever the bytes before `end` are. */
export function freeBytesBefore(end: u32): u32 {
  const most = end - <u32>dataOffset;
  if (most == 0) return 0;
  const size = getTagBefore(end);
  if (size < <u32>FIT_LEAST_BLOCK_BYTES || size > most || (size & FIT_FLAGS_MASK) != 0) return 0;
  // A free block that begins there and says that it is so long does end here, even if a caller wrote the tag.
  return isStart(end - size) && getBlockWord(end - size) == size ? size : 0;
}
