/**
 * Repairing a first-fit heap: one walk over the blocks from the start of the data to their end, which writes every header,
 * flag, tag and start bit anew, and then the index.
 *
 * Where a header and the start bits disagree: a block that ends where another begins is believed, unless there are starts
 * inside it from which whole blocks lead to the same end; then those are. A block whose header is of no use reaches to the
 * next start, and is used, unless its tag and the flag behind it say that it is free.
 *
 * If the repairer dies, the next one must come to the same blocks, so what is decided of a block follows from what is not
 * changed before all of it is right:
 *
 *     a used block    the starts inside it go from the last to the first: as long as there are some, the first of them leads
 *                     no further than it did. Then its header is one write
 *     a free block    nothing of the blocks that become it is changed before all of them are known; then under a record,
 *                     which whoever follows carries out (fit-lock.ts)
 */

import { FIT_FLAGS_MASK, FIT_LEAST_BLOCK_BYTES, FIT_PREVIOUS_FREE, FIT_USED } from "../src/layout/fit";
import { H_FIT_RECORD, PAGE_SHIFT, PAGE_SIZE_BYTES } from "../src/layout/header";
import { isStart, isUsed, markStart, sizeIn, startBit, startsAt, tableOf } from "./fit-blocks";
import { chunkEntry, rebuildIndex } from "./fit-index";
import { clearRecord, recordFree, releaseLockOf } from "./fit-lock";
import { noteHighWater } from "./high-water";
import {
  addFitChange,
  getBlockHeader,
  getBlockWord,
  getFitRecord,
  getStarts,
  getTagBefore,
  loadFitEnd,
  loadHeapLock,
  setBlockHeader,
  setClass,
  setStarts,
  setTagBefore,
  storeFitEnd,
  storeHeapLock,
} from "./mem-fit";
import { dataOffset, firstDataPage, me, reachablePages, sideBytes, sideOffset, slotCount } from "./state";

/** Words of start bits of a page, and chunks. */
const STARTS_WORDS: u32 = 128;
const CHUNKS: u32 = 64;

/** From how many blocks inside another it is told that they are the right ones. */
const CHAIN: u32 = 64;

/** Where the blocks end, in bytes; 64 bits, as that may be 4 GiB. */
let end: u64 = 0;
/** The free block that the walk is in the middle of; 0 = none. */
let freeFrom: u32 = 0;

export function repairFit(): void {
  const holder = loadHeapLock();
  // What its holder was at can be finished, if it is told.
  if (holder != 0) releaseLockOf(holder);
  // With the lock free this is nobody's; it must not be found with the lock taken.
  if (getFitRecord(H_FIT_RECORD) != 0) clearRecord();
  storeHeapLock(me);
  addFitChange();
  const limit = reachablePages();
  const endPage = endPageFor(limit);
  for (let page = endPage; page < limit; page++) clearPage(page);
  for (let entry: u32 = 0; entry < sideBytes; entry++) setClass(sideOffset + entry, 0);
  // Before the first record, which is about blocks before this.
  storeFitEnd(endPage);
  if (endPage > firstDataPage()) {
    end = (<u64>endPage) << PAGE_SHIFT;
    walk();
  }
  rebuildIndex(endPage - firstDataPage());
  storeHeapLock(0);
}

/** The page at which the blocks end: what is told, if nothing begins behind it; else all pages that there are. */
function endPageFor(limit: u32): u32 {
  const told = loadFitEnd();
  const first = firstDataPage();
  const from = told < first ? first : told;
  if (from > limit) return limit;
  for (let page = from; page < limit; page++) {
    if (hasStarts(page)) return limit;
  }
  return from;
}

function hasStarts(page: u32): bool {
  for (let word: u32 = 0; word < STARTS_WORDS; word++) {
    if (getStarts(tableOf(page) + (word << 3)) != 0) return true;
  }
  return false;
}

/** No block begins in the page. */
function clearPage(page: u32): void {
  for (let word: u32 = 0; word < STARTS_WORDS; word++) setStarts(tableOf(page) + (word << 3), 0);
  for (let chunk: u32 = 0; chunk < CHUNKS; chunk++) setClass(chunkEntry((page << 6) + chunk), 0);
}

function walk(): void {
  freeFrom = 0;
  let at = <u64>dataOffset;
  while (at < end) at = repairBlock(<u32>at);
  if (freeFrom != 0) closeFree(end);
}

/** Whether a block may begin there, as far as room goes. */
@inline
function isPlace(at: u64): bool {
  return at == end || at + FIT_LEAST_BLOCK_BYTES <= end;
}

/** Where the block at `at` with this size word would end, if its header can be believed; else 0. */
function endTold(at: u32, word: u32): u64 {
  const size = sizeIn(word);
  if ((word & FIT_FLAGS_MASK & ~(FIT_USED | FIT_PREVIOUS_FREE)) != 0) return 0;
  const to = <u64>at + size;
  if (size < <u32>FIT_LEAST_BLOCK_BYTES || to > end || !isPlace(to)) return 0;
  return to == end || isStart(<u32>to) ? to : 0;
}

/** The first start behind the block at `at`, which has the least size at least; `end` when there is none. */
function nextStart(at: u32): u64 {
  let next = <u64>at + FIT_LEAST_BLOCK_BYTES;
  while (next < end) {
    const bits = getStarts(startsAt(<u32>next)) >> ((next >> 3) & 63);
    if (bits != 0) {
      next += (<u64>ctz(bits)) << 3;
      return isPlace(next) ? next : end;
    }
    next = (next & ~511) + 512;
  }
  return end;
}

/** Whether blocks whose headers can be believed lead from `from` to `to`. */
function leads(from: u64, to: u64): bool {
  let at = from;
  for (let left = CHAIN; left > 0 && at < to; left--) {
    const next = endTold(<u32>at, getBlockWord(<u32>at));
    if (next == 0) return false;
    at = next;
  }
  return at == to;
}

/** Repairs the block that begins at `at`; returns where it ends. */
function repairBlock(at: u32): u64 {
  const header = getBlockHeader(at);
  const word = <u32>header;
  const next = nextStart(at);
  let to = endTold(at, word);
  const isBelieved = to != 0 && (next >= to || !leads(next, to));
  if (!isBelieved) to = next;
  const told = <u32>(header >> 32);
  const isGone = isBelieved && told != 0 && told != me && told <= slotCount;
  const used = isBelieved ? isUsed(word) && !isGone : !isTaggedFree(at, to);
  if (used) writeUsed(at, to, isBelieved && told == me ? me : 0);
  else if (freeFrom == 0) freeFrom = at;
  return to;
}

function isTaggedFree(at: u32, to: u64): bool {
  if (getTagBefore(<usize>to) != <u32>(to - at)) return false;
  return to == end || (getBlockWord(<u32>to) & FIT_PREVIOUS_FREE) != 0;
}

/** Nothing begins between `from` and `to`: from the last to the first. */
function clearInside(from: u32, to: u64): void {
  const first: u64 = from & ~511;
  for (let at: u64 = (to - 1) & ~511; at >= first; at -= 512) {
    let inside = ~(<u64>0);
    if (at == first) inside = ~(startBit(from) | (startBit(from) - 1));
    if (to < at + 512) inside &= startBit(<u32>to) - 1;
    const word = startsAt(<u32>at);
    const before = getStarts(word);
    if ((before & inside) != 0) setStarts(word, before & ~inside);
  }
}

function closeFree(to: u64): void {
  const size = <u32>(to - freeFrom);
  recordFree(freeFrom, size);
  clearInside(freeFrom, to);
  setBlockHeader(freeFrom, size);
  setTagBefore(<usize>to, size);
  markStart(freeFrom);
  clearRecord();
  freeFrom = 0;
}

function writeUsed(at: u32, to: u64, owner: u32): void {
  const flags: u32 = FIT_USED | (freeFrom != 0 ? FIT_PREVIOUS_FREE : 0);
  if (freeFrom != 0) closeFree(at);
  clearInside(at, to);
  setBlockHeader(at, (<u64>((<u32>(to - at)) | flags)) | ((<u64>owner) << 32));
  markStart(at);
  noteHighWater(<u32>((to + (PAGE_SIZE_BYTES - 1)) >> PAGE_SHIFT));
}
