/**
 * Where a buddy heap's things are: from handles to tree words and side entries.
 *
 * Maximal blocks are numbered from the segment's start, so a handle shifted right by max shift is the number of the one it
 * lies in. Each page has one word of flags before its trees, so the tree word of maximal block n is the (n + page + 1)th.
 */

import {
  BUDDY_FLAGS_BYTES,
  BUDDY_HAS_OWNERS,
  BUDDY_OWNER_BYTES,
  BUDDY_TREE_BYTES,
} from "../src/layout/buddy";
import { PAGE_SHIFT } from "../src/layout/header";
import { BAD_HANDLE, DOUBLE_FREE, NEED_CATCH_UP } from "../src/layout/result";
import { isNatural, isStart, leavesAt, readLevels, topLevel } from "./buddy-tree";
import { loadHighWater, loadSizePages } from "./mem";
import { loadBuddyFlags } from "./mem-buddy";
import {
  corruptAt,
  fail,
  firstDataPage,
  maxShift,
  minShift,
  reachablePages,
  sideOffset,
  tableOffset,
} from "./state";

/**
 * The maximal blocks in use: those of the pages below the high water mark, as far as this instance has looked and can
 * reach. Pages only come, so an old copy is too small at worst; before the first refresh() it is empty.
 */
export let firstWord: u32 = 0;
export let usedWords: u32 = 0;

export function refresh(): void {
  const first = firstDataPage();
  const reachable = reachablePages();
  const highWater = loadHighWater();
  const end = highWater < reachable ? highWater : reachable;
  readLevels();
  firstWord = first << wordsShift();
  usedWords = end > first ? (end - first) << wordsShift() : 0;
}

/** Pages below the high water mark, from the first data page on. */
export function usedPages(): u32 {
  return usedWords >> wordsShift();
}

/** Whether maximal block `word` is one of those in use. */
@inline
export function isInUse(word: u32): bool {
  return word - firstWord < usedWords;
}

/** log2 of the maximal blocks in a page. */
@inline
export function wordsShift(): u32 {
  return PAGE_SHIFT - maxShift;
}

/** Address of the tree word of maximal block `word`. */
@inline
export function treeAt(word: u32): usize {
  return tableOffset + ((word + (word >> wordsShift()) + 1) << 3);
}

@inline
export function flagsAt(page: u32): usize {
  return tableOffset + <usize>page * (BUDDY_FLAGS_BYTES + (BUDDY_TREE_BYTES << wordsShift()));
}

/** Address of the side entry of the leaf at `handle`. */
@inline
export function ownerAt(handle: u32): usize {
  return sideOffset + <usize>(handle >> minShift) * BUDDY_OWNER_BYTES;
}

/** Whether the side table's part for the page has storage: only then may its entries be touched. */
@inline
export function hasOwners(page: u32): bool {
  return (loadBuddyFlags(flagsAt(page)) & BUDDY_HAS_OWNERS) != 0;
}

/** Number of `handle`'s leaf in its maximal block. */
@inline
export function leafOf(handle: u32): u32 {
  return (handle >> minShift) & ((1 << topLevel()) - 1);
}

@inline
export function handleAt(word: u32, leaf: u32): u32 {
  return (word << maxShift) + (leaf << minShift);
}

@inline
export function isAligned(handle: u32): bool {
  return (handle & ((1 << minShift) - 1)) == 0;
}

/** Address of the tree word for `handle`; 0, with the reason recorded, when no block can begin there. */
export function treeFor(handle: u32): usize {
  const word = handle >> maxShift;
  if (!isInUse(word)) {
    refresh();
    if (!isInUse(word)) {
      const page = handle >> PAGE_SHIFT;
      fail(page >= <u32>memory.size() && page < loadSizePages() ? NEED_CATCH_UP : BAD_HANDLE);
      return 0;
    }
  }
  if (isAligned(handle)) return treeAt(word);
  fail(BAD_HANDLE);
  return 0;
}

/** Leaves of the block that starts at `leaf` in the tree word's `state`; 0, with the reason recorded, when none does. */
export function lengthIn(tree: usize, state: u64, leaf: u32): u32 {
  if (!isStart(state, leaf)) {
    fail(((state >> leaf) & 1) == 0 ? DOUBLE_FREE : BAD_HANDLE);
    return 0;
  }
  const length = <u32>popcnt(leavesAt(state, leaf));
  if (isNatural(leaf, length)) return length;
  corruptAt(tree);
  return 0;
}
