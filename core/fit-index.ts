/**
 * The index of a first-fit heap: where the first free block is that is large enough.
 *
 * A tree of size classes (src/layout/fit.ts), 64 entries to a node; an entry is the largest of what is below it. Searching
 * goes down from the top, at each node to the first entry that is large enough: four vector comparisons. So it finds the
 * lowest chunk, and in it the first block: exactly what a walk over all blocks in address order would. Only entries of the
 * very class that is wanted can disappoint, above 1 KiB; then the search goes on to the next.
 *
 * Invariant while the lock is free: every entry is exactly the class of the largest free block below it. It is all under the
 * heap's lock and plain; after a death under the lock it is computed anew.
 */

import {
  CHUNK_SHIFT,
  CHUNKS_PER_PAGE,
  FIT_EIGHTHS_CLASS,
  FIT_EIGHTHS_SHIFT,
  FIT_EXACT_LIMIT_BYTES,
  FIT_EXACT_SHIFT,
  FIT_FLAGS_MASK,
  FIT_QUARTERS_CLASS,
  INDEX_FAN_OUT,
  INDEX_SHIFT,
  T_CHUNK_CLASSES,
} from "../src/layout/fit";
import { startsAt, tableOf, isUsed } from "./fit-blocks";
import {
  getAtLeast,
  getBlockWord,
  getClass,
  getLargest,
  getStarts,
  loadFitChanges,
  setClass,
} from "./mem-fit";
import { corruptAt, firstDataPage, sideOffset, spanPages } from "./state";

/** Found nothing; or the index contradicts itself (corruptAt() was told). Neither is a place in the data. */
export const NOWHERE: u32 = 0;
export const CONTRADICTION: u32 = 1;

const NO_PAGE: u32 = 0xffffffff;

/** Chunks are numbered from the segment's start. */
const CHUNKS_MASK: u32 = CHUNKS_PER_PAGE - 1;
const CHUNK_TO_PAGE: u32 = 6;

/** The size class of a free block of `size` bytes; 0 for 0. */
@inline
export function classOf(size: u32): u32 {
  if (size < <u32>FIT_EXACT_LIMIT_BYTES) return size >> 3;
  return classOfLarge(size);
}

/**
 * Of a sixteenth more than the size: sizes just below a power of two are of the same class as it. An empty heap is one
 * block of a round size, and must not change its class with every small block that is cut off.
 */
function classOfLarge(size: u32): u32 {
  const more = <u64>size + (size >> 4);
  const log: u32 = 63 - <u32>clz(more);
  if (log < <u32>FIT_EIGHTHS_SHIFT)
    return FIT_EIGHTHS_CLASS + ((log - FIT_EXACT_SHIFT) << 3) + ((<u32>(more >> (log - 3))) & 7);
  return FIT_QUARTERS_CLASS + ((log - FIT_EIGHTHS_SHIFT) << 2) + ((<u32>(more >> (log - 2))) & 3);
}

// Where the entries are. Page numbers in the side table count from the first page of the data.

@inline
function chunkNode(page: u32): usize {
  return tableOf(page) + T_CHUNK_CLASSES;
}

@inline
export function chunkEntry(chunk: u32): usize {
  return chunkNode(chunk >> CHUNK_TO_PAGE) + (chunk & CHUNKS_MASK);
}

@inline
export function pageEntry(page: u32): usize {
  return sideOffset + page;
}

@inline
export function groupEntry(group: u32): usize {
  return sideOffset + ((spanPages + (INDEX_FAN_OUT - 1)) & ~(INDEX_FAN_OUT - 1)) + group;
}

@inline
export function topEntry(top: u32): usize {
  const groups = (spanPages + (INDEX_FAN_OUT - 1)) >> INDEX_SHIFT;
  return groupEntry((groups + (INDEX_FAN_OUT - 1)) & ~(INDEX_FAN_OUT - 1)) + top;
}

// Searching

/**
 * The first chunk at or after `from` that has a free block of class `wanted` or above; NOWHERE, CONTRADICTION. `pages` is
 * how many pages the blocks reach over.
 */
function nextChunk(from: u32, wanted: u32, pages: u32): u32 {
  const first = firstDataPage();
  const page = (from >> CHUNK_TO_PAGE) - first;
  const here = getAtLeast(chunkNode(first + page), wanted) & fromBit(from);
  if (here != 0) return (from & ~CHUNKS_MASK) + <u32>ctz(here);
  if (page + 1 >= pages) return NOWHERE;
  const next = nextPage(page + 1, wanted, pages);
  return next == NO_PAGE ? NOWHERE : firstChunkIn(next, wanted, pages);
}

/** All bits from `index` (modulo 64) on. */
@inline
function fromBit(index: u32): u64 {
  return ~(<u64>0) << ((index & 63) as u64);
}

/** The first page at or after `from` whose class is at least `wanted`; NO_PAGE. */
function nextPage(from: u32, wanted: u32, pages: u32): u32 {
  const here = getAtLeast(pageEntry(from & ~(INDEX_FAN_OUT - 1)), wanted) & fromBit(from);
  if (here != 0) return (from & ~(INDEX_FAN_OUT - 1)) + <u32>ctz(here);
  let group = (from >> INDEX_SHIFT) + 1;
  if (group << INDEX_SHIFT >= pages) return NO_PAGE;
  const groups = getAtLeast(groupEntry(group & ~(INDEX_FAN_OUT - 1)), wanted) & fromBit(group);
  if (groups != 0) return firstPageIn((group & ~(INDEX_FAN_OUT - 1)) + <u32>ctz(groups), wanted);
  const top = (group >> INDEX_SHIFT) + 1;
  if (top << (INDEX_SHIFT + INDEX_SHIFT) >= pages) return NO_PAGE;
  const tops = getAtLeast(topEntry(0), wanted) & fromBit(top);
  if (top >= <u32>INDEX_FAN_OUT || tops == 0) return NO_PAGE;
  group = (<u32>ctz(tops)) << INDEX_SHIFT;
  const below = getAtLeast(groupEntry(group), wanted);
  return below == 0 ? spanPages : firstPageIn(group + <u32>ctz(below), wanted);
}

/** The first page of a group that has one; a number that no page has, if it has none. */
@inline
function firstPageIn(group: u32, wanted: u32): u32 {
  const pages = getAtLeast(pageEntry(group << INDEX_SHIFT), wanted);
  return pages == 0 ? spanPages : (group << INDEX_SHIFT) + <u32>ctz(pages);
}

/** The first chunk of a page that must have one; CONTRADICTION when it has not, or is none of the heap's. */
@inline
function firstChunkIn(page: u32, wanted: u32, pages: u32): u32 {
  if (page >= pages) return contradiction(sideOffset);
  const chunks = getAtLeast(chunkNode(firstDataPage() + page), wanted);
  if (chunks == 0) return contradiction(pageEntry(page));
  return ((firstDataPage() + page) << CHUNK_TO_PAGE) + <u32>ctz(chunks);
}

function contradiction(entry: usize): u32 {
  corruptAt(entry);
  return CONTRADICTION;
}

/**
 * Where a search may begin: no chunk before `floorChunk` has a free block of class `floorClass` or above, as long as nobody
 * else has changed the heap, that is, the number of changes is `floorChanges`. Then most searches are one look at one entry.
 *
 * It is a matter of which block is the lowest, and of nothing else: what is found there is looked at like anything found.
 */
let floorChunk: u32 = 0;
let floorClass: u32 = ~0;
let floorChanges: u32 = 0;

/** This participant is about to change the heap, under the lock, and says of every larger free block: raise. */
@inline
export function noteOwnChange(): void {
  floorChanges++;
}

/** The lowest chunk that has a free block of class `wanted` or above; NOWHERE, CONTRADICTION. */
@inline
function lowestChunk(wanted: u32, pages: u32): u32 {
  const isKnown = wanted >= floorClass && loadFitChanges() == floorChanges;
  if (isKnown && getClass(chunkEntry(floorChunk)) >= wanted) return floorChunk;
  return searchChunk(wanted, pages);
}

function searchChunk(wanted: u32, pages: u32): u32 {
  const page = pages > <u32>INDEX_FAN_OUT ? lowestPageOfMany(wanted, pages) : lowestPageOfFew(wanted);
  if (page == NO_PAGE) return NOWHERE;
  const chunk = firstChunkIn(page, wanted, pages);
  if (chunk == CONTRADICTION) return chunk;
  floorChunk = chunk;
  floorClass = wanted;
  floorChanges = loadFitChanges();
  return chunk;
}

@inline
function lowestPageOfFew(wanted: u32): u32 {
  const here = getAtLeast(pageEntry(0), wanted);
  return here == 0 ? NO_PAGE : <u32>ctz(here);
}

/** The lowest page whose class is at least `wanted`; NO_PAGE; one beyond all pages when the index contradicts itself. */
function lowestPageOfMany(wanted: u32, pages: u32): u32 {
  let group: u32 = 0;
  if (pages > <u32>INDEX_FAN_OUT * INDEX_FAN_OUT) {
    const tops = getAtLeast(topEntry(0), wanted);
    if (tops == 0) return NO_PAGE;
    group = (<u32>ctz(tops)) << INDEX_SHIFT;
  }
  const groups = getAtLeast(groupEntry(group), wanted);
  if (groups == 0) return group == 0 ? NO_PAGE : spanPages;
  return firstPageIn(group + <u32>ctz(groups), wanted);
}

/**
 * The free block with the lowest address of at least `size` bytes: where it begins; NOWHERE or CONTRADICTION. `pages` is how
 * many pages the blocks reach over.
 */
@inline
export function findFirst(size: u32, pages: u32): u32 {
  const wanted = classOf(size);
  const chunk = lowestChunk(wanted, pages);
  if (chunk <= CONTRADICTION) return chunk;
  const found = size < <u32>FIT_EXACT_LIMIT_BYTES ? firstInChunk(chunk, size) : lastInChunk(chunk, size);
  return found != 0 ? found : findNext(chunk, size, pages);
}

/** As findFirst, from `from` on, which seemed to have one. Bounded: each round is a later chunk. */
function findNext(from: u32, size: u32, pages: u32): u32 {
  const wanted = classOf(size);
  // Only of the very class that is wanted, and only where classes are not exact, may all be too small.
  const isExact = size < <u32>FIT_EXACT_LIMIT_BYTES;
  let chunk = from;
  while (chunk > CONTRADICTION) {
    const found = lastInChunk(chunk, size);
    if (found != 0) return found;
    if (isExact || getClass(chunkEntry(chunk)) > wanted) return contradiction(chunkEntry(chunk));
    chunk = chunkAfter(chunk, wanted, pages);
  }
  return chunk;
}

/** The next chunk behind `chunk` that has a free block of class `wanted` or above; NOWHERE, CONTRADICTION. */
export function chunkAfter(chunk: u32, wanted: u32, pages: u32): u32 {
  if (chunk + 1 >= (firstDataPage() + pages) << CHUNK_TO_PAGE) return NOWHERE;
  return nextChunk(chunk + 1, wanted, pages);
}

/** The first chunk that has a free block of class `wanted` or above; NOWHERE, CONTRADICTION. */
export function firstChunk(wanted: u32, pages: u32): u32 {
  return lowestChunk(wanted, pages);
}

// In a chunk: 128 start bits, two words

/** Address of the first of the two words of start bits of a chunk. */
@inline
export function chunkStarts(chunk: u32): usize {
  return startsAt(chunk << CHUNK_SHIFT);
}

@inline
function firstInChunk(chunk: u32, size: u32): u32 {
  const starts = chunkStarts(chunk);
  const base = chunk << CHUNK_SHIFT;
  const found = firstInWord(base, getStarts(starts), size);
  return found != 0 ? found : firstInWord(base + 512, getStarts(starts + 8), size);
}

/** The first free block of at least `size` bytes of those whose start bits these are. */
@inline
function firstInWord(base: u32, starts: u64, size: u32): u32 {
  // With the flag that a free block has not in the highest bit, one comparison tells both.
  const least = 0x80000000 | (size >> 1);
  for (let bits = starts; bits != 0; bits &= bits - 1) {
    const block = base + ((<u32>ctz(bits)) << 3);
    if (rotr(getBlockWord(block) ^ 1, 1) >= least) return block;
  }
  return 0;
}

/** A block of 1 KiB or more reaches beyond its chunk, so it is the last that begins there. */
@inline
function lastInChunk(chunk: u32, size: u32): u32 {
  const starts = chunkStarts(chunk);
  const base = chunk << CHUNK_SHIFT;
  const high = getStarts(starts + 8);
  const bits = high != 0 ? high : getStarts(starts);
  if (bits == 0) return 0;
  const block = base + (high != 0 ? 512 : 0) + ((63 - <u32>clz(bits)) << 3);
  const word = getBlockWord(block);
  return !isUsed(word) && word >= size ? block : 0;
}

/** The class of the largest free block that begins in a chunk. Most often none does, or one block that is used. */
@inline
function largestClassIn(chunk: u32): u32 {
  const starts = chunkStarts(chunk);
  const base = chunk << CHUNK_SHIFT;
  const low = getStarts(starts);
  const high = getStarts(starts + 8);
  if ((low | high) == 0) return 0;
  if (high == 0 && (low & (low - 1)) == 0 && isUsed(getBlockWord(base + ((<u32>ctz(low)) << 3)))) return 0;
  return largestClassOf(base, low, high);
}

function largestClassOf(base: u32, low: u64, high: u64): u32 {
  return classOf(largestInWord(base + 512, high, largestInWord(base, low, 0)) & ~FIT_FLAGS_MASK);
}

@inline
function largestInWord(base: u32, starts: u64, size: u32): u32 {
  let largest = size;
  for (let bits = starts; bits != 0; bits &= bits - 1) {
    const word = getBlockWord(base + ((<u32>ctz(bits)) << 3));
    if (word > largest && !isUsed(word)) largest = word;
  }
  return largest;
}

// Keeping it true

/** A free block of class `sizeClass` begins in `chunk` now. */
@inline
export function raise(chunk: u32, sizeClass: u32): void {
  if (chunk < floorChunk && sizeClass >= floorClass) floorChunk = chunk;
  const entry = chunkEntry(chunk);
  if (getClass(entry) >= sizeClass) return;
  setClass(entry, sizeClass);
  const page = (chunk >> CHUNK_TO_PAGE) - firstDataPage();
  if (getClass(pageEntry(page)) < sizeClass) raiseAbove(page, sizeClass);
}

function raiseAbove(page: u32, sizeClass: u32): void {
  setClass(pageEntry(page), sizeClass);
  if (!raiseEntry(groupEntry(page >> INDEX_SHIFT), sizeClass)) return;
  raiseEntry(topEntry(page >> (INDEX_SHIFT + INDEX_SHIFT)), sizeClass);
}

@inline
function raiseEntry(entry: usize, sizeClass: u32): bool {
  if (getClass(entry) >= sizeClass) return false;
  setClass(entry, sizeClass);
  return true;
}

/**
 * A free block of class `sizeClass` that began in `chunk` does not any more, or is smaller. One of that class at least is in
 * the chunk `other` (NO_CHUNK: no such): so what stands for both need not be looked at.
 */
@inline
export function lower(chunk: u32, sizeClass: u32, other: u32): void {
  const entry = chunkEntry(chunk);
  if (getClass(entry) > sizeClass) return;
  const now = largestClassIn(chunk);
  if ((chunk ^ other) >> CHUNK_TO_PAGE == 0) setClass(entry, now);
  else lowerAbove(chunk, getClass(entry), now, other);
}

/** Not in the same page, group or top group as any. */
export const NO_CHUNK: u32 = 0xffffffff;

function lowerAbove(chunk: u32, before: u32, now: u32, other: u32): void {
  if (now >= before) return raise(chunk, now);
  const page = (chunk >> CHUNK_TO_PAGE) - firstDataPage();
  const apart = other == NO_CHUNK ? NO_CHUNK : page ^ ((other >> CHUNK_TO_PAGE) - firstDataPage());
  let left = replace(chunkNode(chunk >> CHUNK_TO_PAGE), chunk, before, now);
  if (left == before) return;
  if (apart >> INDEX_SHIFT == 0) return setClass(pageEntry(page), left);
  left = replace(pageEntry(page & ~(INDEX_FAN_OUT - 1)), page, before, left);
  if (left == before) return;
  const group = page >> INDEX_SHIFT;
  if (apart >> (INDEX_SHIFT + INDEX_SHIFT) == 0) return setClass(groupEntry(group), left);
  left = replace(groupEntry(group & ~(INDEX_FAN_OUT - 1)), group, before, left);
  if (left != before) setClass(topEntry(group >> INDEX_SHIFT), left);
}

/**
 * Makes entry number `index` (modulo 64) of a node, which is `before`, the smaller `now`. Returns what is the node's largest
 * by then. Looks before it writes: a vector that is read just after one of its bytes was written is waited for.
 */
@inline
function replace(node: usize, index: u32, before: u32, now: u32): u32 {
  const rest = ~((<u64>1) << ((index & 63) as u64));
  const entry = node + (index & 63);
  if ((getAtLeast(node, before) & rest) != 0) {
    setClass(entry, now);
    return before;
  }
  const isLargest = (getAtLeast(node, now + 1) & rest) == 0;
  setClass(entry, now);
  return isLargest ? now : getLargest(node);
}

/** After a death under the lock: every entry computed anew. Bounded by `pages`, over which the blocks reach. */
export function rebuildIndex(pages: u32): void {
  floorClass = ~0;
  const first = firstDataPage();
  for (let page: u32 = 0; page < pages; page++) {
    const chunks = (first + page) << CHUNK_TO_PAGE;
    for (let index: u32 = 0; index < <u32>CHUNKS_PER_PAGE; index++)
      correct(chunkEntry(chunks + index), largestClassIn(chunks + index));
    correct(pageEntry(page), getLargest(chunkNode(first + page)));
  }
  const groups = (pages + (INDEX_FAN_OUT - 1)) >> INDEX_SHIFT;
  for (let group: u32 = 0; group < groups; group++)
    correct(groupEntry(group), getLargest(pageEntry(group << INDEX_SHIFT)));
  for (let top: u32 = 0; top << INDEX_SHIFT < groups; top++)
    correct(topEntry(top), getLargest(groupEntry(top << INDEX_SHIFT)));
}

@inline
function correct(entry: usize, sizeClass: u32): void {
  if (getClass(entry) != sizeClass) setClass(entry, sizeClass);
}
