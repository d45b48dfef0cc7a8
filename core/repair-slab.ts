/**
 * Repairing a slab heap: its page table from the first page to the last.
 *
 * A slab page's geometry follows from its class; its bitmaps are collected, its hint and the rings made anew (every page
 * becomes an orphan, and is adopted when it is wanted). A run is as long as its head and its bodies agree. Pages that say
 * nothing any more are hollow: nobody knows whether they have storage.
 */

import {
  BLOCKS_PER_WORD,
  CLASS_LAST,
  PAGE_BODY,
  PAGE_FREE,
  PAGE_HOLLOW,
  PAGE_OWNERS,
  PAGE_RUN,
  PAGE_RUN_EXTENDING,
  PAGE_RUN_SHRINKING,
  PAGE_SLAB,
  PAGE_SLAB_MARKED,
  PAGES_PER_OWNERS_PAGE,
} from "../src/layout/page";
import { fullWord, pairAt, pointHint, wordCount } from "./bitmap";
import { classCount, classFirst, classSize } from "./classes";
import { noteHighWater } from "./high-water";
import { storeOrphanHint } from "./mem";
import { casOwnersPage, loadBlockOwner, loadOwnersPage, storeBlockOwner } from "./mem-owners";
import {
  getLocal,
  getPageBlockSize,
  loadPageState,
  loadRemote,
  setLocal,
  setPageBlockSize,
  setPageCount,
  setPageFirst,
  setPageReciprocal,
  setRemote,
  storePageState,
  storeRemoteFlag,
} from "./mem-page";
import { clearOwners, isEstablished, ownersOf } from "./owners";
import {
  classIn,
  isMarked,
  isSlab,
  kindOf,
  lengthIn,
  noteFreed,
  otherIn,
  runOwnerIn,
  runState,
  slabState,
} from "./pages";
import { firstDataPage, me, pageAt, reachablePages, spanPages } from "./state";

export function repairSlab(): void {
  const limit = reachablePages();
  repairDirectory(limit);
  let used: u32 = 0;
  for (let index = firstDataPage(); index < limit;) {
    index += repairEntry(index, limit);
    const kind = kindOf(loadPageState(pageAt(index - 1)));
    if (kind != PAGE_FREE && kind != PAGE_HOLLOW) used = index;
  }
  if (used != 0) noteHighWater(used);
  for (let sizeClass: u32 = 1; sizeClass <= <u32>CLASS_LAST; sizeClass++) storeOrphanHint(sizeClass, 1);
  noteFreed(firstDataPage());
}

/** An entry of the directory that leads to no page of owners arrays for its group is none. */
function repairDirectory(limit: u32): void {
  const groups = (spanPages + PAGES_PER_OWNERS_PAGE - 1) / PAGES_PER_OWNERS_PAGE;
  for (let group: u32 = 0; group < groups; group++) {
    const holder = loadOwnersPage(group);
    if (holder == 0) continue;
    if (holder >= firstDataPage() && holder < limit) {
      const state = loadPageState(pageAt(holder));
      if (kindOf(state) == PAGE_OWNERS && lengthIn(state) == group) continue;
    }
    casOwnersPage(group, holder, 0);
  }
}

/** Repairs what begins at page `index`; returns how many pages it has. */
function repairEntry(index: u32, limit: u32): u32 {
  const page = pageAt(index);
  const state = loadPageState(page);
  const kind = kindOf(state);
  if (isSlab(state)) {
    repairSlabPage(index, page, state);
    return 1;
  }
  if (kind == PAGE_RUN || kind == PAGE_RUN_EXTENDING || kind == PAGE_RUN_SHRINKING)
    return repairRun(index, page, state, limit);
  if (kind == PAGE_OWNERS && isEstablished(index, lengthIn(state)))
    correct(page, state, runState(PAGE_OWNERS, 0, lengthIn(state), 0));
  else if (state != <u64>PAGE_FREE) correct(page, state, <u64>PAGE_HOLLOW);
  return 1;
}

@inline
function correct(page: usize, state: u64, right: u64): void {
  if (state != right) storePageState(page, right);
}

// Slab pages

/** The page's class: what its state says, else what its block size does; 0 when neither is one. */
function classOfPage(page: usize, state: u64): u32 {
  const told = classIn(state);
  if (told != 0 && told <= <u32>CLASS_LAST) return told;
  const size = getPageBlockSize(page);
  for (let sizeClass: u32 = 1; sizeClass <= <u32>CLASS_LAST; sizeClass++) {
    if (classSize(sizeClass) == size) return sizeClass;
  }
  return 0;
}

function repairSlabPage(index: u32, page: usize, state: u64): void {
  const sizeClass = classOfPage(page, state);
  if (sizeClass == 0) {
    storePageState(page, <u64>PAGE_HOLLOW);
    return;
  }
  const size = classSize(sizeClass);
  const count = classCount(sizeClass);
  setPageBlockSize(page, size);
  setPageCount(page, count);
  setPageFirst(page, classFirst(sizeClass));
  setPageReciprocal(page, <u32>((((<u64>1) << 32) + size - 1) / size));
  // A page whose owners are lost has shared blocks. Where none are owned nobody may be written down as an owner: the array
  // means something again as soon as one comes to be.
  const array: usize = isMarked(state) ? ownersOf(index) : 0;
  if (array == 0) clearOwners(index, count);
  const isEmpty = repairBitmaps(index, page, count, array);
  storeRemoteFlag(page, 0);
  pointHint(index, page, pairAt(index, page, count, 0), 0);
  correct(
    page,
    state,
    isEmpty ? <u64>PAGE_FREE : slabState(array != 0 ? PAGE_SLAB_MARKED : PAGE_SLAB, sizeClass, 0),
  );
}

/** Collects what is free, and what belonged to others. Whether all of it is free then. */
function repairBitmaps(index: u32, page: usize, count: u32, array: usize): bool {
  const words = wordCount(count);
  let isEmpty = true;
  for (let word: u32 = 0; word < words; word++) {
    const pair = pairAt(index, page, count, word);
    const full = fullWord(count, word);
    const first = word * BLOCKS_PER_WORD;
    let free = (getLocal(pair) | loadRemote(pair)) & full;
    if (array != 0) free |= othersIn(array, first, full);
    setLocal(pair, free);
    setRemote(pair, 0);
    // After the blocks are free: if the repairer dies before, what belonged to others still says so.
    if (array != 0) clearOwnersIn(array, first, free);
    if (free != full) isEmpty = false;
  }
  return isEmpty;
}

/** Of the blocks of one bitmap word those that belonged to others. */
function othersIn(array: usize, first: u32, full: u64): u64 {
  let theirs: u64 = 0;
  for (let left = full; left != 0; left &= left - 1) {
    const owner = loadBlockOwner(array, first + <u32>ctz(left));
    if (owner != 0 && owner != me) theirs |= left & -left;
  }
  return theirs;
}

/** Nobody owns these blocks of one bitmap word, which are free. */
function clearOwnersIn(array: usize, first: u32, free: u64): void {
  for (let left = free; left != 0; left &= left - 1) {
    const block = first + <u32>ctz(left);
    if (loadBlockOwner(array, block) != 0) storeBlockOwner(array, block, 0);
  }
}

// Runs

@inline
function isBodyAt(head: u32, distance: u32): bool {
  return loadPageState(pageAt(head + distance)) == runState(PAGE_BODY, 0, distance, 0);
}

/** Whether the page says that it is something else that begins there. */
function isTaken(index: u32): bool {
  const state = loadPageState(pageAt(index));
  const kind = kindOf(state);
  return isSlab(state) || kind == PAGE_OWNERS || kind == PAGE_RUN;
}

/** How many pages the run at `head` has: as many as its head says, or as there are bodies of it. */
function lengthOf(head: u32, told: u32, limit: u32): u32 {
  let length: u32 = 1;
  while (head + length < limit && isBodyAt(head, length)) length++;
  if (told <= length || head + told > limit) return length;
  // Where a page in between is not a body any more, but bodies follow, it was one.
  let last = length;
  for (let distance = length; distance < told && !isTaken(head + distance); distance++) {
    if (isBodyAt(head, distance)) last = distance + 1;
  }
  return last;
}

function repairRun(head: u32, page: usize, state: u64, limit: u32): u32 {
  const told = kindOf(state) == PAGE_RUN ? lengthIn(state) : otherIn(state);
  const length = lengthOf(head, told, limit);
  const owner = runOwnerIn(state);
  const isGone = owner != 0 && owner != me;
  // From the last to the first, as in every free: if the repairer dies, what is left is a run.
  for (let distance = length - 1; distance > 0; distance--) {
    const body = pageAt(head + distance);
    correct(body, loadPageState(body), isGone ? <u64>PAGE_FREE : runState(PAGE_BODY, 0, distance, 0));
  }
  correct(page, state, isGone ? <u64>PAGE_FREE : runState(PAGE_RUN, owner, length, 0));
  return length;
}
