/**
 * A slab page's bitmap: which of its blocks are free, and the hint that finds one fast.
 *
 * Built on the page's descriptor (src/layout/page.ts). Knows nothing of who owns the page: callers that change
 * local bits or hints own it; the rest only reads.
 *
 * The hint is the pair's place and the handle of its first block: all that an allocation needs. They are two words, so that
 * an owner that dies between the two stores leaves a hint of two minds; whoever takes the page over makes a new one.
 */

import { PAGE_SHIFT } from "../src/layout/header";
import { BITMAP_PAIR_BYTES, BLOCKS_PER_WORD, P_BITMAP } from "../src/layout/page";
import {
  andRemote,
  getLocal,
  getPageBlockSize,
  getPageCount,
  getPageFirst,
  getPageHint,
  getPageReciprocal,
  loadPageState,
  loadRemote,
  loadRemoteFlag,
  setLocal,
  setPageHint,
  setPageHintHandle,
  storeRemoteFlag,
} from "./mem-page";
import { disown } from "./owners";
import { isMarked } from "./pages";
import { pageAt } from "./state";

/** Address of the bitmap pair number `word` of a page. */
@inline
export function pairAt(index: u32, page: usize, count: u32, word: u32): usize {
  const bitmap = count <= <u32>BLOCKS_PER_WORD ? page + P_BITMAP : (<usize>index) << PAGE_SHIFT;
  return bitmap + word * BITMAP_PAIR_BYTES;
}

/** How many bitmap words a page of `count` blocks has. Bounded, whatever the segment says. */
@inline
export function wordCount(count: u32): u32 {
  const words = (count + BLOCKS_PER_WORD - 1) / BLOCKS_PER_WORD;
  return words > 64 ? 64 : words;
}

/** All the bits that word number `word` of a page of `count` blocks may have set. */
export function fullWord(count: u32, word: u32): u64 {
  const from = word * BLOCKS_PER_WORD;
  if (count >= from + BLOCKS_PER_WORD) return ~(<u64>0);
  return count > from ? ((<u64>1) << (count - from)) - 1 : 0;
}

/**
 * Moves the remote bits of word number `word` into local. Only the page's owner or its recoverer calls this. In a marked
 * page the blocks cease to be owned first: a block whose local bit is set is nobody's (slab-owned.ts). False when the
 * owners cannot be reached: nothing was moved.
 */
export function collect(index: u32, page: usize, count: u32, word: u32): bool {
  const pair = pairAt(index, page, count, word);
  const remote = loadRemote(pair) & fullWord(count, word);
  if (remote == 0) return true;
  // SYNC with markPage: whose owned block is among these bits had marked the page before it freed the block; so the state
  // is read after the bits.
  if (isMarked(loadPageState(page)) && !disown(index, word, remote)) return false;
  setLocal(pair, getLocal(pair) | remote);
  andRemote(pair, ~remote);
  return true;
}

/** Collects all words of a page. */
export function collectAll(index: u32, page: usize): bool {
  const count = getPageCount(page);
  const words = wordCount(count);
  let all = true;
  for (let word: u32 = 0; word < words; word++) {
    if (!collect(index, page, count, word)) all = false;
  }
  return all;
}

/** Whether every block of the page is free, counting remote frees. */
export function isEmpty(index: u32, page: usize): bool {
  const count = getPageCount(page);
  const words = wordCount(count);
  for (let word: u32 = 0; word < words; word++) {
    const pair = pairAt(index, page, count, word);
    if ((getLocal(pair) | loadRemote(pair)) != fullWord(count, word)) return false;
  }
  return true;
}

/** Whether any block of the page is free, counting remote frees. */
export function hasRoom(index: u32, page: usize): bool {
  const count = getPageCount(page);
  const words = wordCount(count);
  for (let word: u32 = 0; word < words; word++) {
    const pair = pairAt(index, page, count, word);
    if ((getLocal(pair) | loadRemote(pair)) != 0) return true;
  }
  return false;
}

export const NO_BLOCK: u32 = 0xffffffff;

/** Number of the block in its page that starts at `handle`, or NO_BLOCK when none does. */
@inline
export function blockIndex(handle: u32, index: u32, page: usize): u32 {
  const offset = handle - (index << PAGE_SHIFT) - getPageFirst(page);
  const block = <u32>((<u64>offset * <u64>getPageReciprocal(page)) >> 32);
  const count = getPageCount(page);
  if (block >= count || block * getPageBlockSize(page) != offset || count > 4096) return NO_BLOCK;
  return block;
}

/** Number of the bitmap word that the page's hint names; one that there is not when the hint is damaged. */
export function hintedWord(index: u32, page: usize, count: u32): u32 {
  return <u32>((getPageHint(page) - pairAt(index, page, count, 0)) / BITMAP_PAIR_BYTES);
}

/** Whether the word that the page's hint names has a free block. */
export function hintHasRoom(index: u32): bool {
  const page = pageAt(index);
  const count = getPageCount(page);
  const word = hintedWord(index, page, count);
  return word < wordCount(count) && getLocal(pairAt(index, page, count, word)) != 0;
}

/**
 * Points the hint of an own page at a word with a free block, collecting remote frees if need be.
 * Returns false when the page is full.
 */
export function refreshHint(index: u32): bool {
  const page = pageAt(index);
  const count = getPageCount(page);
  const words = wordCount(count);
  const hint = hintedWord(index, page, count);
  const start = hint < words ? hint : 0;
  if (pointAtLocal(index, page, count, words, start)) return true;
  if (loadRemoteFlag(page) == 0) return false;
  // SYNC with freeRemotely, which sets its bit before the flag: a bit that the walk below misses raises the flag
  // again after this store.
  storeRemoteFlag(page, 0);
  if (!collectAll(index, page)) storeRemoteFlag(page, 1);
  return pointAtLocal(index, page, count, words, start);
}

function pointAtLocal(index: u32, page: usize, count: u32, words: u32, start: u32): bool {
  let word = start;
  for (let left = words; left > 0; left--) {
    const pair = pairAt(index, page, count, word);
    if (getLocal(pair) != 0) {
      pointHint(index, page, pair, word);
      return true;
    }
    word = word + 1 == words ? 0 : word + 1;
  }
  return false;
}

/** Points the hint of an own page at `pair`, which is that of bitmap word `word`. */
@inline
export function pointHint(index: u32, page: usize, pair: usize, word: u32): void {
  setPageHint(page, pair);
  setPageHintHandle(
    page,
    (index << PAGE_SHIFT) + getPageFirst(page) + word * BLOCKS_PER_WORD * getPageBlockSize(page),
  );
}
