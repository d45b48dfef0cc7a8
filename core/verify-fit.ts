/**
 * Looking at a first-fit heap without changing it: verification, and walking over its blocks.
 *
 * Everything is recomputed, from the start bits up, a chunk at a time. A problem counts only when nobody can have been in
 * the middle of a change: the lock was free, or held by somebody who is gone, and the number of changes the same before the
 * look and after it. Otherwise it is looked at again, and believed to be well if there never is such a moment.
 */

import {
  CHUNK_SHIFT,
  CHUNKS_PER_PAGE,
  FIT_FLAGS_MASK,
  FIT_HEADER_BYTES,
  FIT_LEAST_BLOCK_BYTES,
  FIT_PREVIOUS_FREE,
  FIT_USED,
  INDEX_FAN_OUT,
  INDEX_SHIFT,
} from "../src/layout/fit";
import { H_FIT_END_PAGES, H_FIT_RECORD, H_HEAP_LOCK, PAGE_SHIFT } from "../src/layout/header";
import {
  OK,
  PROBLEM_FIT_BLOCK,
  PROBLEM_FIT_END,
  PROBLEM_FIT_FREE,
  PROBLEM_FIT_INDEX,
  PROBLEM_FIT_LOCK,
  PROBLEM_FIT_NEIGHBOURS,
  PROBLEM_FIT_OWNER,
  PROBLEM_FIT_RECORD,
  PROBLEM_FIT_STRAY,
} from "../src/layout/result";
import { isUsed, sizeIn, startBit, startsAt } from "./fit-blocks";
import { chunkEntry, chunkStarts, classOf, groupEntry, pageEntry, topEntry } from "./fit-index";
import {
  getClass,
  getFitRecord,
  getLargest,
  getTagBefore,
  loadBlockHeader,
  loadFitChanges,
  loadFitEnd,
  loadHeapLock,
  loadStarts,
} from "./mem-fit";
import { dataOffset, firstDataPage, reachablePages, spanPages } from "./state";
import { isAttended } from "./verify";

/** How often a problem is looked at for a moment in which nothing changes. */
const LOOKS: u32 = 64;

let lock: u32 = 0;
let changes: u32 = 0;
let problemAt: u32 = 0;

/** Offset of what the last problem was found at. */
export function fitProblemAt(): u32 {
  return problemAt;
}

function problem(code: i32, at: u32): i32 {
  problemAt = at;
  return code;
}

function beginLook(): void {
  changes = loadFitChanges();
  lock = loadHeapLock();
}

/** Whether nobody was changing anything since beginLook(). SYNC with addFitChange. */
function wasStill(): bool {
  if (lock != 0 && isAttended(lock)) return false;
  return loadHeapLock() == lock && loadFitChanges() == changes;
}

/** The page at which the blocks end, as far as this participant can reach. */
export function fitEndPage(): u32 {
  const end = loadFitEnd();
  const reach = reachablePages();
  return end < reach ? end : reach;
}

// Walking

/** Where the first block at or after `from` begins; 0 when there is none. */
export function nextFitStart(from: u32): u32 {
  const end = fitEndPage();
  let at = from < <u32>dataOffset ? <u32>dataOffset : (from + 7) & ~7;
  if (at < from) return 0;
  while (at >> PAGE_SHIFT < end) {
    const bits = loadStarts(startsAt(at)) >> (<u64>((at >> 3) & 63));
    if (bits != 0) return at + ((<u32>ctz(bits)) << 3);
    at = (at & ~511) + 512;
    if (at == 0) return 0;
  }
  return 0;
}

/** The size word of the block that begins at `start`; 0 for what is not in the data. */
export function fitWordAt(start: u32): u32 {
  if (start < <u32>dataOffset || (start & 7) != 0 || start >> PAGE_SHIFT >= fitEndPage()) return 0;
  return <u32>loadBlockHeader(start);
}

/** The handle of the first allocated block whose header is at or after `from`; 0 when there is none. */
export function nextFitBlock(from: u32): u32 {
  let start = nextFitStart(from);
  while (start != 0 && !isUsed(fitWordAt(start))) start = nextFitStart(start + FIT_LEAST_BLOCK_BYTES);
  return start == 0 ? 0 : start + FIT_HEADER_BYTES;
}

// Verification

/** OK, or the first PROBLEM_ of the blocks that begin in a page and of its part of the index. */
export function verifyFitPage(page: u32): i32 {
  if (page < firstDataPage() || page >= reachablePages()) return OK;
  for (let index: u32 = 0; index < <u32>CHUNKS_PER_PAGE; index++) {
    const found = verifyChunk((page << (PAGE_SHIFT - CHUNK_SHIFT)) + index);
    if (found != OK) return found;
  }
  return verifyEntry(pageEntry(page - firstDataPage()), chunkEntry(page << (PAGE_SHIFT - CHUNK_SHIFT)));
}

/** OK, or PROBLEM_FIT_INDEX: the index above the pages. */
export function verifyFitIndex(): i32 {
  const groups = (spanPages + (INDEX_FAN_OUT - 1)) >> INDEX_SHIFT;
  for (let group: u32 = 0; group < groups; group++) {
    const found = verifyEntry(groupEntry(group), pageEntry(group << INDEX_SHIFT));
    if (found != OK) return found;
  }
  for (let top: u32 = 0; top << INDEX_SHIFT < groups; top++) {
    const found = verifyEntry(topEntry(top), groupEntry(top << INDEX_SHIFT));
    if (found != OK) return found;
  }
  return OK;
}

/** The lock, the record beside it, the end. */
export function verifyFitLock(): i32 {
  for (let look: u32 = 0; look < LOOKS; look++) {
    beginLook();
    const end = loadFitEnd();
    const isEnd = end == 0 || (end >= firstDataPage() && end <= spanPages);
    const record = getFitRecord(H_FIT_RECORD);
    if (!wasStill()) continue;
    if (lock != 0) return problem(PROBLEM_FIT_LOCK, H_HEAP_LOCK);
    if (record != 0) return problem(PROBLEM_FIT_RECORD, H_FIT_RECORD);
    return isEnd ? OK : problem(PROBLEM_FIT_END, H_FIT_END_PAGES);
  }
  return OK;
}

function verifyEntry(entry: usize, node: usize): i32 {
  for (let look: u32 = 0; look < LOOKS; look++) {
    beginLook();
    if (getClass(entry) == getLargest(node)) return OK;
    if (wasStill()) return problem(PROBLEM_FIT_INDEX, entry);
  }
  return OK;
}

function verifyChunk(chunk: u32): i32 {
  for (let look: u32 = 0; look < LOOKS; look++) {
    beginLook();
    const found = problemInChunk(chunk);
    if (found == OK || wasStill()) return found;
  }
  return OK;
}

function problemInChunk(chunk: u32): i32 {
  const base = chunk << CHUNK_SHIFT;
  const told = loadFitEnd();
  const end = told < spanPages ? told : spanPages;
  const starts = chunkStarts(chunk);
  if (base >> PAGE_SHIFT >= end) {
    const isEmpty =
      loadStarts(starts) == 0 && loadStarts(starts + 8) == 0 && getClass(chunkEntry(chunk)) == 0;
    return isEmpty ? OK : problem(PROBLEM_FIT_STRAY, base);
  }
  // Every other block begins where one ends.
  if (base == <u32>dataOffset && (loadStarts(starts) & 1) == 0) return problem(PROBLEM_FIT_BLOCK, base);
  let largest: u32 = 0;
  for (let half: u32 = 0; half < 2; half++) {
    for (let bits = loadStarts(starts + (half << 3)); bits != 0; bits &= bits - 1) {
      const start = base + (half << 9) + ((<u32>ctz(bits)) << 3);
      const found = problemOf(start, end);
      if (found != OK) return found;
      const word = <u32>loadBlockHeader(start);
      if (!isUsed(word) && word > largest) largest = word;
    }
  }
  return getClass(chunkEntry(chunk)) == classOf(largest) ? OK : problem(PROBLEM_FIT_INDEX, chunkEntry(chunk));
}

/** What is wrong with the block that begins at `start`, which is in reach. */
function problemOf(start: u32, endPage: u32): i32 {
  const header = loadBlockHeader(start);
  const word = <u32>header;
  const size = sizeIn(word);
  const end = endPage << PAGE_SHIFT;
  const flags = word & FIT_FLAGS_MASK & ~(FIT_USED | FIT_PREVIOUS_FREE);
  if (flags != 0 || size < <u32>FIT_LEAST_BLOCK_BYTES || size > end - start)
    return problem(PROBLEM_FIT_BLOCK, start);
  const next = start + size;
  if (!reachesNext(start, next, end)) return problem(PROBLEM_FIT_BLOCK, start);
  const owner = <u32>(header >> 32);
  // What lies beyond this participant's memory it cannot look at.
  const isReachable = (next - 1) >> PAGE_SHIFT < <u32>memory.size();
  if (!isUsed(word)) {
    const isWhole = word == size && owner == 0 && (!isReachable || getTagBefore(next) == size);
    if (!isWhole) return problem(PROBLEM_FIT_FREE, start);
  } else if (owner != 0 && !isAttended(owner)) return problem(PROBLEM_FIT_OWNER, start);
  if (start == <u32>dataOffset && (word & FIT_PREVIOUS_FREE) != 0)
    return problem(PROBLEM_FIT_NEIGHBOURS, start);
  if (next == end || next >> PAGE_SHIFT >= <u32>memory.size()) return OK;
  const behind = (<u32>loadBlockHeader(next)) & FIT_FLAGS_MASK;
  const isRight = isUsed(word) ? (behind & FIT_PREVIOUS_FREE) == 0 : behind == (FIT_USED | FIT_PREVIOUS_FREE);
  return isRight ? OK : problem(PROBLEM_FIT_NEIGHBOURS, next);
}

/** Whether no block begins between `start` and `next`, and one at `next`, unless that is the end of all. */
function reachesNext(start: u32, next: u32, end: u32): bool {
  let at = start + 8;
  while (at != next) {
    const bits = loadStarts(startsAt(at)) >> (<u64>((at >> 3) & 63));
    // To the next word of bits, or to the place looked for if that comes first. (`next` is 0 at 4 GiB.)
    const word = (at & ~511) + 512;
    const to = next - at < word - at ? next : word;
    const places = (to - at) >> 3;
    const inside = places == 64 ? ~(<u64>0) : ((<u64>1) << (<u64>places)) - 1;
    if ((bits & inside) != 0) return false;
    at = to;
  }
  return next == end || (loadStarts(startsAt(next)) & startBit(next)) != 0;
}
