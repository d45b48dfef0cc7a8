/**
 * Where an allocation of a buddy heap looks for room.
 *
 * First where the participant last allocated or freed a block of that level: its *hint*, a word in its slot. (A free moves
 * the hint back, so a program that frees and allocates in turn stays where it is, instead of walking through the segment.)
 * Then through the maximal blocks in use from there on, once around. Only then is a *fresh page* claimed, the one at the
 * high water mark; and when there is none, the segment has to grow.
 *
 * A participant that fills a large heap would look through all of it for each fresh page. So after a look around that found
 * nothing it may claim an eighth as many pages as are in use before it looks again: the looks cost a constant for each
 * block, and a heap is at most an eighth larger than it need be. A look around comes before every growth in any case.
 *
 * Two participants have two fresh pages, since the mark's compare-and-swap has one winner; they come to different cache
 * lines where they begin as well, since each starts its first look at a place of its own.
 */

import { BUDDY_FRESH_PAGES, BUDDY_HINTS } from "../src/layout/buddy";
import { NEED_STORAGE } from "../src/layout/result";
import {
  firstWord,
  handleAt,
  hasOwners,
  isInUse,
  ownerAt,
  refresh,
  treeAt,
  usedPages,
  usedWords,
  wordsShift,
} from "./buddy-map";
import { freeGroups, ownedBits, sharedBits } from "./buddy-tree";
import { casHighWater, getCurrent, loadHighWater, setCurrent } from "./mem";
import { casOwner, casTree, loadTree, storeOwner } from "./mem-buddy";
import { fail, failNeeding, firstDataPage, me, mySlot, reachablePages, setDetail } from "./state";

/** How often an allocation tries again in a word where others keep changing things, before it looks elsewhere. */
const TRIES: u32 = 4;
/** How often it looks around again when it left such words behind, before it takes the heap to be full. */
const ROUNDS: u32 = 8;
/** Maximal blocks whose tree words share a cache line; participants begin this many apart, times an odd number. */
const WORDS_PER_LINE: u32 = 8;
const LINES_APART: u32 = 5;
/** How many words behind the hint are looked at even when a fresh page could be had at once. */
const NEARBY_WORDS: u32 = 64;

/** The search passed a word with room because others kept changing it. */
let leftRoom: bool = false;
/** The search cannot go on: the side table's part for a page needs storage. */
let isStopped: bool = false;

/**
 * Allocates a block of 2^level leaves. Linearises at the compare-and-swap of a tree word. Returns its handle, or 0 (see
 * lastError()).
 */
export function find(level: u32, owned: bool): u32 {
  isStopped = false;
  const hint = getCurrent(mySlot, BUDDY_HINTS + level);
  if (isInUse(hint)) {
    const nearby = look(hint, usedWords < NEARBY_WORDS ? usedWords : NEARBY_WORDS, level, owned);
    if (nearby != 0 || isStopped) return nearby;
  }
  const fresh = getCurrent(mySlot, BUDDY_FRESH_PAGES + level);
  if (fresh != 0) {
    setCurrent(mySlot, BUDDY_FRESH_PAGES + level, fresh - 1);
    const found = findFresh(level, owned);
    if (found != 0 || isStopped) return found;
  }
  return findAround(level, owned);
}

/** In all words in use, then in fresh pages; when there is no room at all, says so. */
function findAround(level: u32, owned: bool): u32 {
  for (let round: u32 = 0; round < ROUNDS; round++) {
    refresh();
    leftRoom = false;
    const found = look(startFor(level), usedWords, level, owned);
    if (found != 0 || isStopped) return found;
    if (!leftRoom) break;
  }
  setCurrent(mySlot, BUDDY_FRESH_PAGES + level, usedPages() >> 3);
  const found = findFresh(level, owned);
  if (found == 0 && !isStopped) failNeeding(1);
  return found;
}

/** The hint; or, of a participant without one, a place where the others do not begin. */
function startFor(level: u32): u32 {
  const hint = getCurrent(mySlot, BUDDY_HINTS + level);
  if (isInUse(hint)) return hint;
  if (usedWords == 0) return firstWord;
  return firstWord + (((me - 1) * (WORDS_PER_LINE * LINES_APART)) % usedWords);
}

/** Remembers where a block of this level was allocated or freed. */
@inline
export function noteHint(level: u32, word: u32): void {
  setCurrent(mySlot, BUDDY_HINTS + level, word);
}

/** Tries `count` words from `start` on, around the end of those in use. */
function look(start: u32, count: u32, level: u32, owned: bool): u32 {
  let word = start;
  for (let left = count; left > 0; left--) {
    if (freeGroups(loadTree(treeAt(word)), level) != 0) {
      const handle = takeIn(word, level, owned);
      if (handle != 0 || isStopped) return handle;
    }
    word++;
    if (!isInUse(word)) word = firstWord;
  }
  return 0;
}

/** Claims pages that never held a block until it has a block in one of them; others may be faster there as well. */
function findFresh(level: u32, owned: bool): u32 {
  const end = reachablePages();
  for (let tries = end; tries > 0; tries--) {
    const highWater = loadHighWater();
    const page = highWater > firstDataPage() ? highWater : firstDataPage();
    if (page >= end) return 0;
    if (!casHighWater(highWater, page + 1)) continue;
    refresh();
    const handle = look(page << wordsShift(), 1 << wordsShift(), level, owned);
    if (handle != 0 || isStopped) return handle;
  }
  return 0;
}

/** Allocates in maximal block `word`. 0 = there is no room any more, or others keep changing it. */
export function takeIn(word: u32, level: u32, owned: bool): u32 {
  if (owned) return takeOwnedIn(word, level);
  const tree = treeAt(word);
  for (let tries = TRIES; tries > 0; tries--) {
    const state = loadTree(tree);
    const groups = freeGroups(state, level);
    if (groups == 0) return 0;
    const leaf = <u32>ctz(groups);
    if (casTree(tree, state, state | sharedBits(leaf, 1 << level))) {
      noteHint(level, word);
      return handleAt(word, leaf);
    }
  }
  leftRoom = true;
  return 0;
}

function takeOwnedIn(word: u32, level: u32): u32 {
  // Leaves whose side entry is somebody's, who is in the middle of something there.
  let reserved: u32 = 0;
  const tree = treeAt(word);
  for (let tries = TRIES + 32; tries > 0; tries--) {
    const groups = freeGroups(loadTree(tree), level) & ~reserved;
    if (groups == 0) break;
    const leaf = <u32>ctz(groups);
    const handle = handleAt(word, leaf);
    const page = word >> wordsShift();
    if (!hasOwners(page)) {
      // The call is repeated when there is storage: it shall come here again.
      noteHint(level, word);
      setDetail(page);
      fail(NEED_STORAGE);
      isStopped = true;
      return 0;
    }
    const entry = ownerAt(handle);
    if (!casOwner(entry, 0, me)) {
      reserved |= 1 << leaf;
      continue;
    }
    if (ownGroup(tree, leaf, level)) {
      noteHint(level, word);
      return handle;
    }
    storeOwner(entry, 0);
    leftRoom = true;
  }
  return 0;
}

/** With the right to leaf `leaf`: makes the group that begins there an owned block, unless it is not free any more. */
function ownGroup(tree: usize, leaf: u32, level: u32): bool {
  for (let tries = TRIES; tries > 0; tries--) {
    const state = loadTree(tree);
    if (((freeGroups(state, level) >> leaf) & 1) == 0) return false;
    if (casTree(tree, state, state | ownedBits(leaf, 1 << level))) return true;
  }
  return false;
}
