/**
 * A participant's slab pages: how it comes by a page with room, and how an empty one goes back.
 *
 * *The owner's*, per slot and class: `current`, the page to allocate from, and a ring through all its pages of the
 * class (links in the descriptors). Nobody else reads them. Losing a ring costs nothing: recovery finds a dead
 * participant's pages by their state words, and a damaged ring is begun anew.
 *
 * The order in which room is looked for: the current page again, a few pages of the ring, orphans, a fresh page,
 * the whole ring, other classes' empty pages. Only then does the segment have to grow.
 */

import { PAGE_CLAIMED, PAGE_MARK, PAGE_SLAB, STATE_OWNER_SHIFT } from "../src/layout/page";
import { fullWord, hasRoom, hintHasRoom, isEmpty, pairAt, pointHint, refreshHint, wordCount } from "./bitmap";
import { classCount, classFirst, classSize } from "./classes";
import { getCurrent, loadOrphanHint, setCurrent, storeOrphanHint } from "./mem";
import {
  casPageState,
  getPageCount,
  getPageNext,
  getPagePrev,
  loadPageState,
  loadRemoteFlag,
  setLocal,
  setPageBlockSize,
  setPageCount,
  setPageFirst,
  setPageNext,
  setPagePrev,
  setPageReciprocal,
  setRemote,
  storePageState,
  storeRemoteFlag,
} from "./mem-page";
import { clearOwners } from "./owners";
import { claimPage, classIn, isSlab, ownerIn, releasePage, slabState } from "./pages";
import { firstDataPage, me, mySlot, pageAt, reachablePages, spanPages } from "./state";

/** How many pages of its own ring a participant looks at before it claims a fresh one. */
const RING_STEPS: u32 = 16;

/**
 * A page of the class with a free block in its hinted word, made current: the current page after another look,
 * one of the owner's ring, an orphan, or a fresh one. 0 = no room.
 */
export function pageWithRoom(sizeClass: u32): u32 {
  const current = getCurrent(mySlot, sizeClass);
  if (current != 0) {
    if (refreshHint(current)) return current;
    const found = findInRing(sizeClass, current, RING_STEPS);
    if (found != 0) return found;
  }
  if (loadOrphanHint(sizeClass) != 0) {
    const adopted = adoptOrphan(sizeClass);
    if (adopted != 0) {
      setCurrent(mySlot, sizeClass, adopted);
      return adopted;
    }
  }
  let fresh = claimSlabPage(sizeClass);
  if (fresh != 0) return fresh;
  // Out of pages. Look at the whole ring, then give back what is empty, before anyone has to grow.
  if (current != 0) {
    const found = findInRing(sizeClass, current, spanPages);
    if (found != 0) return found;
  }
  if (sweep() == 0) return 0;
  fresh = claimSlabPage(sizeClass);
  return fresh;
}

/** Looks at up to `steps` pages behind `current`; the first with room becomes current. */
function findInRing(sizeClass: u32, current: u32, steps: u32): u32 {
  let index = current;
  for (; steps > 0; steps--) {
    index = getPageNext(pageAt(index));
    if (index == current || !isMine(index, sizeClass)) return 0;
    const page = pageAt(index);
    if (hintHasRoom(index) || (loadRemoteFlag(page) != 0 && refreshHint(index))) {
      setCurrent(mySlot, sizeClass, index);
      return index;
    }
  }
  // Next time go on from here instead of from the same pages again.
  setCurrent(mySlot, sizeClass, index);
  return 0;
}

/** Whether `index` is a slab page of this class that this participant owns: what a ring link must lead to. */
function isMine(index: u32, sizeClass: u32): bool {
  if (index < firstDataPage() || index >= reachablePages()) return false;
  return isUnmarked(loadPageState(pageAt(index)), slabState(PAGE_SLAB, sizeClass, me));
}

/** Whether the state is `expected`, that of a slab page, but for its mark. */
@inline
function isUnmarked(state: u64, expected: u64): bool {
  return (state & ~(<u64>PAGE_MARK)) == expected;
}

/** Makes a fresh page of the class, current and in the ring. 0 = no free page, or none that can be had (see lastError()). */
function claimSlabPage(sizeClass: u32): u32 {
  const index = claimPage(slabState(PAGE_CLAIMED, sizeClass, me));
  if (index == 0) return 0;
  const page = pageAt(index);
  const size = classSize(sizeClass);
  const count = classCount(sizeClass);
  if (!clearOwners(index, count)) {
    releasePage(index);
    return 0;
  }
  setPageBlockSize(page, size);
  setPageFirst(page, classFirst(sizeClass));
  setPageCount(page, count);
  setPageReciprocal(page, <u32>((((<u64>1) << 32) + size - 1) / size));
  storeRemoteFlag(page, 0);
  const words = wordCount(count);
  for (let word: u32 = 0; word < words; word++) {
    const pair = pairAt(index, page, count, word);
    setLocal(pair, fullWord(count, word));
    setRemote(pair, 0);
  }
  pointHint(index, page, pairAt(index, page, count, 0), 0);
  storePageState(page, slabState(PAGE_SLAB, sizeClass, me));
  enterRing(index, page, sizeClass);
  setCurrent(mySlot, sizeClass, index);
  return index;
}

/**
 * Puts an own page into its ring behind the current page; current itself only when there is none. (A page that still
 * has room must not cease to be current without having its hint refreshed: its room would not be found again.)
 */
export function enterRing(index: u32, page: usize, sizeClass: u32): void {
  const current = getCurrent(mySlot, sizeClass);
  const next = current != 0 && isMine(current, sizeClass) ? getPageNext(pageAt(current)) : 0;
  if (next == 0 || !isMine(next, sizeClass)) {
    // The first page of its class. (Or the ring is damaged: a new one; sweep and recovery find the lost pages.)
    setPageNext(page, index);
    setPagePrev(page, index);
    setCurrent(mySlot, sizeClass, index);
  } else {
    setPageNext(page, next);
    setPagePrev(page, current);
    setPagePrev(pageAt(next), index);
    setPageNext(pageAt(current), index);
  }
}

/** Takes an own page out of its ring and gives it back. The caller has seen that it is empty. */
export function releaseSlabPage(index: u32, page: usize, sizeClass: u32): void {
  const next = getPageNext(page);
  const prev = getPagePrev(page);
  if (next == index || !isMine(next, sizeClass) || !isMine(prev, sizeClass)) {
    setCurrent(mySlot, sizeClass, 0);
  } else {
    setPageNext(pageAt(prev), next);
    setPagePrev(pageAt(next), prev);
    if (getCurrent(mySlot, sizeClass) == index) setCurrent(mySlot, sizeClass, next);
  }
  releasePage(index);
}

/** Gives back every empty page of this participant, and every empty orphan. Returns how many. */
export function sweep(): u32 {
  let released: u32 = 0;
  const limit = reachablePages();
  for (let index = firstDataPage(); index < limit; index++) {
    const page = pageAt(index);
    const state = loadPageState(page);
    const owner = ownerIn(state);
    if (!isSlab(state) || (owner != me && owner != 0) || !isEmpty(index, page)) continue;
    // Somebody else may have had the orphan since it was found empty, and left it again.
    if (owner == 0 && (!adopt(index, page, state) || !isEmpty(index, page))) continue;
    releaseSlabPage(index, page, classIn(state));
    released++;
  }
  return released;
}

/**
 * Looks for an orphan page of the class with room and takes it over. The hint is lowered before the walk, so an
 * orphan made during it raises the hint again; it is raised again too when one was found, as there may be more.
 */
function adoptOrphan(sizeClass: u32): u32 {
  storeOrphanHint(sizeClass, 0);
  const limit = reachablePages();
  const orphan = slabState(PAGE_SLAB, sizeClass, 0);
  for (let index = firstDataPage(); index < limit; index++) {
    const page = pageAt(index);
    const state = loadPageState(page);
    if (!isUnmarked(state, orphan) || !hasRoom(index, page)) continue;
    if (!adopt(index, page, state)) continue;
    storeOrphanHint(sizeClass, 1);
    if (refreshHint(index)) return index;
  }
  return 0;
}

/**
 * Takes over an orphan page. Linearises at the compare-and-swap; false when somebody else was faster. A marked page stays
 * marked; one that another participant marks at this moment is no less an orphan.
 *
 * Its last owner may have died between the two stores of the page's hint, so that one names a word and the other
 * another word's blocks: the hint is made anew before anything is allocated from it.
 */
export function adopt(index: u32, page: usize, orphan: u64): bool {
  const mine = (<u64>me) << STATE_OWNER_SHIFT;
  if (!casPageState(page, orphan, orphan | mine)) {
    const marked = orphan | PAGE_MARK;
    if (marked == orphan || !casPageState(page, marked, marked | mine)) return false;
  }
  storeRemoteFlag(page, 1);
  pointHint(index, page, pairAt(index, page, getPageCount(page), 0), 0);
  refreshHint(index);
  enterRing(index, page, classIn(orphan));
  return true;
}
