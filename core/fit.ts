/**
 * The first-fit allocator: blocks in address order, the lowest free one that is large enough is taken, what is freed becomes
 * one with the free blocks beside it at once.
 *
 * *Shared*: everything (src/layout/fit.ts), and under one lock (fit-lock.ts): the blocks' headers, tags and start bits
 * (fit-blocks.ts), the index (fit-index.ts), the page at which the blocks end. *The participant's*: nothing.
 *
 * Invariants while the lock is free (heap verify recomputes them):
 *     the blocks lie without a gap from the start of the data to the end of page H_FIT_END_PAGES - 1
 *     a start bit is set where a block begins and nowhere else
 *     no two free blocks are neighbours; a free block's tag is its size; the block behind it says FIT_PREVIOUS_FREE, no other
 *     every entry of the index is the class of the largest free block below it
 *     the record does not count
 *
 * usableSize and ownerOf take no lock. They look at a block that the caller holds, so its start bit, its end and its owner
 * stand still, but for another participant that resizes it: a change first makes the start bit where the block will end,
 * then the size, then removes the old bit, so whoever finds no start bit where the block ends looks again.
 *
 * New pages (the segment grows, fit-lock.ts knows nothing of that) are taken in by the first call that finds no room without
 * them. The blocks may reach further than this participant's memory: then it has to catch up before it can do anything.
 */

import { FIT_ALIGNMENT_BYTES, FIT_HEADER_BYTES, FIT_LEAST_BLOCK_BYTES } from "../src/layout/fit";
import { PAGE_SHIFT, PAGE_SIZE_BYTES } from "../src/layout/header";
import { BAD_HANDLE, DOUBLE_FREE, NEED_CATCH_UP, OK, TOO_LARGE } from "../src/layout/result";
import { beginMove, endMove, failNotOwner, noteOwning } from "./blocks";
import {
  endPageOfBlocks,
  freeBytesBefore,
  isFreeBlock,
  isStart,
  isUsed,
  isUsedBlock,
  sizeIn,
  startBit,
  startsAt,
} from "./fit-blocks";
import { extend, NO_ROOM_HERE, release, resizeHere, take } from "./fit-change";
import { CONTRADICTION, findFirst, NOWHERE } from "./fit-index";
import { lock, unlock } from "./fit-lock";
import { findPlaced, frontOf } from "./fit-placed";
import { noteHighWater } from "./high-water";
import { copyBytes } from "./mem";
import {
  getBlockHeader,
  getBlockWord,
  loadBlockHeader,
  loadFitEnd,
  loadStarts,
  setBlockOwner,
} from "./mem-fit";
import { beyond } from "./slab";
import {
  corruptAt,
  dataOffset,
  fail,
  failNeeding,
  firstDataPage,
  lastError,
  me,
  reachablePages,
  slotCount,
  spanPages,
} from "./state";

/** Bytes of the block for a request; 0 for one that the span can never hold. */
@inline
function blockBytes(sizeBytes: u32): u32 {
  const most = (spanPages << PAGE_SHIFT) - <u32>dataOffset - FIT_HEADER_BYTES;
  if (sizeBytes - 1 >= most) return 0;
  const size = (sizeBytes + (FIT_HEADER_BYTES + FIT_ALIGNMENT_BYTES - 1)) & ~(FIT_ALIGNMENT_BYTES - 1);
  return size < <u32>FIT_LEAST_BLOCK_BYTES ? FIT_LEAST_BLOCK_BYTES : size;
}

/**
 * Allocates a shared block of at least `sizeBytes` (1 or more). Linearises at clearing the record. 0 when there is no room
 * (see lastError()).
 */
export function alloc(sizeBytes: u32): u32 {
  const size = blockBytes(sizeBytes);
  if (size == 0) return none(TOO_LARGE);
  if (!lock(me)) return 0;
  const endPage = endPageOfBlocks();
  if (endPage > <u32>memory.size()) return leave(NEED_CATCH_UP);
  const start = findFirst(size, endPage - firstDataPage());
  const handle = start > CONTRADICTION ? takeAt(start, size, 0, 0, endPage) : allocSlowly(start, size, 0, 0);
  unlock();
  return handle;
}

export function allocPlaced(sizeBytes: u32, alignmentBytes: u32, owned: bool): u32 {
  const size = blockBytes(sizeBytes);
  if (size == 0) return none(TOO_LARGE);
  if (!lock(me)) return 0;
  const endPage = endPageOfBlocks();
  if (endPage > <u32>memory.size()) return leave(NEED_CATCH_UP);
  const owner = owned ? me : 0;
  const start = findPlaced(size, alignmentBytes, endPage - firstDataPage());
  const handle =
    start > CONTRADICTION
      ? takeAt(start, size, alignmentBytes, owner, endPage)
      : allocSlowly(start, size, alignmentBytes, owner);
  unlock();
  return handle;
}

/** Takes `size` bytes of the free block at `start`, which the index has found. 0 when its header contradicts itself. */
@inline
function takeAt(start: u32, size: u32, alignmentBytes: u32, owner: u32, endPage: u32): u32 {
  const end = endPage << PAGE_SHIFT;
  const have = getBlockWord(start);
  if (!isFreeBlock(start, have, end)) {
    corruptAt(start);
    return 0;
  }
  const front = alignmentBytes <= <u32>FIT_ALIGNMENT_BYTES ? 0 : frontOf(start, alignmentBytes);
  // Before the block is handed out: a death in between leaves the mark too high, which harms nobody.
  noteHighWater(((start + front + size - 1) >> PAGE_SHIFT) + 1);
  take(start, have, front, size, owner, end);
  return start + front + FIT_HEADER_BYTES;
}

/** The lock is held and there is no room: takes pages in that have been added, or says how many would do. */
function allocSlowly(found: u32, size: u32, alignmentBytes: u32, owner: u32): u32 {
  if (found == CONTRADICTION) return 0;
  let endPage = endPageOfBlocks();
  const reach = reachablePages();
  if (reach > endPage) {
    extend(endPage << PAGE_SHIFT, reach << PAGE_SHIFT);
    endPage = reach;
    const start = findPlaced(size, alignmentBytes, endPage - firstDataPage());
    if (start > CONTRADICTION) return takeAt(start, size, alignmentBytes, owner, endPage);
    if (start != NOWHERE) return 0;
  }
  // What is free at the end counts; it is less than what is missing.
  const end = endPage << PAGE_SHIFT;
  const freeBytes = freeBytesBefore(end);
  const front = alignmentBytes <= <u32>FIT_ALIGNMENT_BYTES ? 0 : frontOf(end - freeBytes, alignmentBytes);
  const missing = <u64>size + front - freeBytes;
  failNeeding(<u32>((missing + (PAGE_SIZE_BYTES - 1)) >> PAGE_SHIFT));
  return 0;
}

/**
 * Frees the block whose handle this is. Linearises at writing the record. Anything that is not the start of an allocated
 * block is refused and changes nothing.
 */
export function free(handle: u32): i32 {
  if (handle >> PAGE_SHIFT >= <u32>memory.size()) return fail(beyond(handle >> PAGE_SHIFT));
  if (!lock(me)) return lastError();
  const result = freeLocked(handle);
  unlock();
  return result;
}

@inline
function freeLocked(handle: u32): i32 {
  const refusal = check(handle, me);
  if (refusal != OK) return refusal;
  const start = handle - FIT_HEADER_BYTES;
  return release(start, getBlockWord(start), endPageOfBlocks() << PAGE_SHIFT);
}

/** The lock is held. OK when an allocated block begins at `handle` that `owner` may change; else why not. */
@inline
function check(handle: u32, owner: u32): i32 {
  const endPage = endPageOfBlocks();
  if (endPage > <u32>memory.size()) return fail(NEED_CATCH_UP);
  const start = handle - FIT_HEADER_BYTES;
  const end = endPage << PAGE_SHIFT;
  if ((handle & (FIT_ALIGNMENT_BYTES - 1)) != 0) return fail(BAD_HANDLE);
  if (start - <u32>dataOffset >= end - <u32>dataOffset || !isStart(start)) return fail(BAD_HANDLE);
  const header = getBlockHeader(start);
  const word = <u32>header;
  if (!isUsed(word)) return fail(DOUBLE_FREE);
  if (!isUsedBlock(start, word, end)) return corruptAt(start);
  const its = <u32>(header >> 32);
  return its == 0 || its == owner ? OK : refuseOwned(start, its);
}

function refuseOwned(start: u32, owner: u32): i32 {
  return owner > slotCount ? corruptAt(start) : failNotOwner(owner);
}

// Without the lock

/** How often a block that seems to contradict itself is looked at: others may be changing it. */
const LOOKS: u32 = 8;

/** The header of the allocated block at `handle`, read without the lock; 0 when there is none (see lastError()). */
@inline
function headerOf(handle: u32): u64 {
  if (handle >> PAGE_SHIFT >= <u32>memory.size()) return none(beyond(handle >> PAGE_SHIFT));
  const start = handle - FIT_HEADER_BYTES;
  if ((handle & (FIT_ALIGNMENT_BYTES - 1)) != 0 || handle <= <u32>dataOffset) return none(BAD_HANDLE);
  if ((loadStarts(startsAt(start)) & startBit(start)) == 0) return none(BAD_HANDLE);
  const header = loadBlockHeader(start);
  if (!isUsed(<u32>header)) return none(DOUBLE_FREE);
  // The end first. SYNC with storeFitEnd.
  const endPage = loadFitEnd();
  if (endPage <= spanPages && isUsedBlock(start, <u32>header, endPage << PAGE_SHIFT)) return header;
  return headerAgain(start);
}

function headerAgain(start: u32): u64 {
  for (let look: u32 = 0; look < LOOKS; look++) {
    const header = loadBlockHeader(start);
    const endPage = loadFitEnd();
    if ((loadStarts(startsAt(start)) & startBit(start)) == 0) return none(BAD_HANDLE);
    if (!isUsed(<u32>header)) return none(DOUBLE_FREE);
    if (endPage <= spanPages && isUsedBlock(start, <u32>header, endPage << PAGE_SHIFT)) return header;
  }
  corruptAt(start);
  return 0;
}

/** Usable bytes of the allocated block at `handle`; 0 when there is none (see lastError()). */
export function usableSize(handle: u32): u32 {
  const header = headerOf(handle);
  if (header == 0) return 0;
  const size = sizeIn(<u32>header);
  const last = handle - FIT_HEADER_BYTES + size - 1;
  if (last >> PAGE_SHIFT >= <u32>memory.size()) return none(NEED_CATCH_UP);
  return size - FIT_HEADER_BYTES;
}

/** Slot index + 1 of the owner of the block at `handle`; 0 when it is shared, or is none. */
export function ownerOf(handle: u32): u32 {
  return <u32>(headerOf(handle) >> 32);
}

// Owners

/** The block is nobody's own any more. Linearises at the store of its owner. */
export function share(handle: u32): i32 {
  return setOwner(handle, 0);
}

/** The shared block becomes this participant's own. Linearises at the store of its owner. */
export function adopt(handle: u32): i32 {
  return setOwner(handle, me);
}

function setOwner(handle: u32, owner: u32): i32 {
  if (handle >> PAGE_SHIFT >= <u32>memory.size()) return fail(beyond(handle >> PAGE_SHIFT));
  if (!lock(me)) return lastError();
  const result = check(handle, me);
  if (result == OK) setBlockOwner(handle - FIT_HEADER_BYTES, owner);
  unlock();
  return result;
}

/**
 * Resizes in place. OK; BAD_HANDLE when the block has to move; or why nothing can be done. Linearises at writing the record
 * when the block becomes smaller, at clearing it when it grows.
 */
export function resize(handle: u32, _oldBytes: u32, sizeBytes: u32): i32 {
  const size = blockBytes(sizeBytes);
  if (size == 0) return TOO_LARGE;
  if (!lock(me)) return lastError();
  let result = check(handle, me);
  if (result == OK) result = resizeLocked(handle - FIT_HEADER_BYTES, size);
  unlock();
  return result;
}

function resizeLocked(start: u32, size: u32): i32 {
  const end = endPageOfBlocks() << PAGE_SHIFT;
  const result = resizeHere(start, getBlockWord(start), size, end);
  if (result == NO_ROOM_HERE) return BAD_HANDLE;
  if (result == OK) noteHighWater(((start + size - 1) >> PAGE_SHIFT) + 1);
  return result;
}

/**
 * Moves a block, all of it under the lock: allocates, copies, frees. The new block is this participant's own until the old
 * one is free, so that recovery frees it. Linearises at the free. Returns the new handle; 0, and nothing has changed, when
 * there is no room, or why not (see lastError()).
 */
export function move(handle: u32, sizeBytes: u32): u32 {
  const size = blockBytes(sizeBytes);
  if (size == 0) return none(TOO_LARGE);
  noteOwning();
  if (!lock(me)) return 0;
  const moved = check(handle, me) == OK ? moveLocked(handle, size) : 0;
  unlock();
  return moved;
}

function moveLocked(handle: u32, size: u32): u32 {
  const from = handle - FIT_HEADER_BYTES;
  const header = getBlockHeader(from);
  const have = sizeIn(<u32>header);
  const endPage = endPageOfBlocks();
  const start = findFirst(size, endPage - firstDataPage());
  const moved = start > CONTRADICTION ? takeAt(start, size, 0, me, endPage) : allocSlowly(start, size, 0, me);
  if (moved == 0) return 0;
  beginMove(moved);
  copyBytes(moved, handle, (have < size ? have : size) - FIT_HEADER_BYTES);
  // What is around the old block may have changed by taking the new one.
  if (freeLocked(handle) != OK) {
    const error = lastError();
    freeLocked(moved);
    endMove();
    fail(error);
    return 0;
  }
  if (<u32>(header >> 32) == 0) setBlockOwner(moved - FIT_HEADER_BYTES, 0);
  endMove();
  return moved;
}

function none(code: i32): u32 {
  fail(code);
  return 0;
}

/** Releases the lock of a call that can do nothing. */
function leave(code: i32): u32 {
  unlock();
  return none(code);
}
