/**
 * Looking at a slab heap without changing it: verification and counts, one page at a time.
 *
 * Recomputes what the allocator's words must be from the class formulas and compares; trusts no pointer and follows
 * none without a bound. Works beside running participants: what is inconsistent only while a live participant is
 * in the middle of an operation is not reported, since the owner of the operation is alive; the same words with a
 * dead owner are. Read-only openers call it on their private mapping.
 */

import {
  BLOCKS_PER_WORD,
  CLASS_LAST,
  LAST_KIND,
  PAGE_BODY,
  PAGE_CLAIMED,
  PAGE_FREE,
  PAGE_HOLLOW,
  PAGE_MARK,
  PAGE_OWNERS,
  PAGE_RUN,
  PAGE_RUN_CLAIMED,
  PAGE_RUN_SHRINKING,
  PAGE_SLAB,
} from "../src/layout/page";
import {
  NEED_CATCH_UP,
  OK,
  PROBLEM_BLOCK_OWNER,
  PROBLEM_BOTH_BITMAPS,
  PROBLEM_DEAD_OWNER,
  PROBLEM_FREE_BLOCK_OWNED,
  PROBLEM_FREE_PAGE_STATE,
  PROBLEM_HINT,
  PROBLEM_OWNERS_PAGE,
  PROBLEM_PAGE_GEOMETRY,
  PROBLEM_RING,
  PROBLEM_RUN_BODY,
  PROBLEM_RUN_LENGTH,
  PROBLEM_SIZE_CLASS,
  PROBLEM_STRAY_BITS,
  PROBLEM_STRAY_BODY,
  PROBLEM_UNKNOWN_KIND,
} from "../src/layout/result";
import { classCount, classFirst, classSize } from "./classes";
import { getCurrent, loadSizePages } from "./mem";
import { LOOKS, isAttended } from "./verify";
import {
  getLocal,
  getPageBlockSize,
  getPageCount,
  getPageFirst,
  getPageHint,
  getPageHintHandle,
  getPageNext,
  getPagePrev,
  getPageReciprocal,
  loadPageState,
  loadRemote,
} from "./mem-page";
import { fullWord, hintedWord, pairAt, wordCount } from "./bitmap";
import { loadBlockOwner } from "./mem-owners";
import { isEstablished, ownersOf } from "./owners";
import {
  classIn,
  isMarked,
  isSlab,
  kindOf,
  lengthIn,
  ownerIn,
  pagesToPass,
  runState,
  slabState,
} from "./pages";
import { firstDataPage, lastError, pageAt, reachablePages, slotAt, spanPages } from "./state";

/** The pages that belong to the heap: [firstPage, endPage). */
export function firstPage(): u32 {
  return firstDataPage();
}

export function endPage(): u32 {
  return reachablePages();
}

/** How far the page after the entry that starts at `index` is: a run counts as one entry. */
export function pagesAt(index: u32): u32 {
  return index < spanPages ? pagesToPass(loadPageState(pageAt(index))) : 1;
}

export function pageKind(index: u32): u32 {
  return index < spanPages ? kindOf(loadPageState(pageAt(index))) : 0;
}

export function pageClass(index: u32): u32 {
  return index < spanPages ? classIn(loadPageState(pageAt(index))) : 0;
}

/** Slot index + 1 of the page's owner, 0 = nobody. */
export function pageOwner(index: u32): u32 {
  return index < spanPages ? ownerIn(loadPageState(pageAt(index))) : 0;
}

export function pageBlockCount(index: u32): u32 {
  return index < spanPages ? getPageCount(pageAt(index)) : 0;
}

/** Block size in bytes of class 1..62, 0 for others. */
export function blockSizeOf(sizeClass: u32): u32 {
  return sizeClass == 0 || sizeClass > <u32>CLASS_LAST ? 0 : classSize(sizeClass);
}

/** Free blocks of the slab page `index`. */
export function pageFreeBlocks(index: u32): u32 {
  if (index < firstDataPage() || index >= reachablePages()) return 0;
  const page = pageAt(index);
  const count = getPageCount(page);
  const words = wordCount(count);
  let free: u32 = 0;
  for (let word: u32 = 0; word < words; word++) {
    const pair = pairAt(index, page, count, word);
    free += <u32>popcnt((getLocal(pair) | loadRemote(pair)) & fullWord(count, word));
  }
  return free;
}

/**
 * OK, or the first PROBLEM_ found in the entry that starts at page `index`. The look takes longer than an allocation:
 * a problem counts only when the page's word is the same after it, several times over.
 */
export function verifyPage(index: u32): i32 {
  const page = pageAt(index);
  let problem: i32 = OK;
  for (let look: u32 = 0; look < LOOKS; look++) {
    const state = loadPageState(page);
    problem = problemIn(index, page, state);
    if (problem == OK || loadPageState(page) != state) return OK;
  }
  return problem;
}

function problemIn(index: u32, page: usize, state: u64): i32 {
  const kind = kindOf(state);
  if (kind == PAGE_FREE) return state == 0 ? OK : PROBLEM_FREE_PAGE_STATE;
  if (kind == PAGE_CLAIMED) return isAttended(ownerIn(state)) ? OK : PROBLEM_DEAD_OWNER;
  if (isSlab(state)) return verifySlab(index, page, state);
  if (kind == PAGE_RUN) return verifyRun(index, state);
  if (kind == PAGE_OWNERS) return verifyOwnersPage(index, state);
  if (kind == PAGE_HOLLOW) return state == <u64>PAGE_HOLLOW ? OK : PROBLEM_FREE_PAGE_STATE;
  // A body is looked at with its head; met on its own, its head is gone, or was claimed after this walk passed.
  if (kind == PAGE_BODY) return hasHead(index, state) ? OK : PROBLEM_STRAY_BODY;
  if (kind > <u32>LAST_KIND) return PROBLEM_UNKNOWN_KIND;
  return isAttended(ownerIn(state)) ? OK : PROBLEM_DEAD_OWNER;
}

function hasHead(index: u32, state: u64): bool {
  const distance = lengthIn(state);
  if (distance == 0 || distance > index) return false;
  const head = loadPageState(pageAt(index - distance));
  const isRun = kindOf(head) >= <u32>PAGE_RUN_CLAIMED && kindOf(head) <= <u32>PAGE_RUN_SHRINKING;
  return isRun && kindOf(head) != PAGE_BODY && lengthIn(head) > distance;
}

function verifyRun(index: u32, state: u64): i32 {
  const length = lengthIn(state);
  const owner = ownerIn(state);
  if (owner != 0 && !isAttended(owner)) return PROBLEM_DEAD_OWNER;
  // Of all pages that there are: this participant may not have caught up with those of the run.
  if (length == 0 || index + length > loadSizePages() || index + length > spanPages)
    return PROBLEM_RUN_LENGTH;
  for (let distance: u32 = 1; distance < length; distance++) {
    if (loadPageState(pageAt(index + distance)) != runState(PAGE_BODY, 0, distance, 0))
      return PROBLEM_RUN_BODY;
  }
  return OK;
}

function verifySlab(index: u32, page: usize, state: u64): i32 {
  const sizeClass = classIn(state);
  if (sizeClass == 0 || sizeClass > <u32>CLASS_LAST) return PROBLEM_SIZE_CLASS;
  const owner = ownerIn(state);
  if (owner != 0 && !isAttended(owner)) return PROBLEM_DEAD_OWNER;
  const size = classSize(sizeClass);
  const count = classCount(sizeClass);
  if (
    getPageBlockSize(page) != size ||
    getPageCount(page) != count ||
    getPageFirst(page) != classFirst(sizeClass)
  ) {
    return PROBLEM_PAGE_GEOMETRY;
  }
  if (getPageReciprocal(page) != <u32>((((<u64>1) << 32) + size - 1) / size)) return PROBLEM_PAGE_GEOMETRY;
  const words = wordCount(count);
  for (let word: u32 = 0; word < words; word++) {
    const pair = pairAt(index, page, count, word);
    const full = fullWord(count, word);
    const local = getLocal(pair);
    const remote = loadRemote(pair);
    if (((local | remote) & ~full) != 0) return PROBLEM_STRAY_BITS;
    // Both at once only while an owner collects; an orphan has been collected.
    if (owner == 0 && (local & remote) != 0) return PROBLEM_BOTH_BITMAPS;
  }
  return isMarked(state) ? verifyOwners(index, page, count, owner == 0) : OK;
}

/** The owners array of a marked page; `isOrphan`: the page has no owner. */
function verifyOwners(index: u32, page: usize, count: u32, isOrphan: bool): i32 {
  const array = ownersOf(index);
  if (array == 0) return lastError() == NEED_CATCH_UP ? OK : PROBLEM_OWNERS_PAGE;
  for (let block: u32 = 0; block < count; block++) {
    const owner = loadBlockOwner(array, block);
    if (owner == 0) continue;
    if (!isAttended(owner)) return PROBLEM_BLOCK_OWNER;
    // A block that is free by its local bit belongs to nobody, but while the page's owner is in the middle of a call.
    const bits = getLocal(pairAt(index, page, count, block / BLOCKS_PER_WORD));
    if (isOrphan && ((bits >> (block & (BLOCKS_PER_WORD - 1))) & 1) != 0) return PROBLEM_FREE_BLOCK_OWNED;
  }
  return OK;
}

function verifyOwnersPage(index: u32, state: u64): i32 {
  const owner = ownerIn(state);
  if (owner != 0) return isAttended(owner) ? OK : PROBLEM_DEAD_OWNER;
  return isEstablished(index, lengthIn(state)) ? OK : PROBLEM_OWNERS_PAGE;
}

/**
 * The owner's private words of one class of slot `index`: the ring and the hints. Only the slot's own participant,
 * or somebody who knows that it is at rest, may ask. Returns the ring's length, or -PROBLEM_.
 */
export function verifyRing(index: u32, sizeClass: u32): i32 {
  const first = getCurrent(slotAt(index), sizeClass);
  if (first == 0) return 0;
  const mine = slabState(PAGE_SLAB, sizeClass, index + 1);
  let page = first;
  for (let length: u32 = 1; length <= spanPages; length++) {
    if (page < firstDataPage() || page >= reachablePages()) return -PROBLEM_RING;
    if ((loadPageState(pageAt(page)) & ~(<u64>PAGE_MARK)) != mine) return -PROBLEM_RING;
    if (page != first && !hintHolds(page)) return -PROBLEM_HINT;
    const next = getPageNext(pageAt(page));
    if (next >= spanPages || getPagePrev(pageAt(next)) != page) return -PROBLEM_RING;
    if (next == first) return <i32>length;
    page = next;
  }
  return -PROBLEM_RING;
}

/** The invariant of pages that are not current: a local bit is set only if one is set in the hinted word. */
function hintHolds(index: u32): bool {
  const page = pageAt(index);
  const count = getPageCount(page);
  const words = wordCount(count);
  const hint = hintedWord(index, page, count);
  if (hint >= words || getPageHint(page) != pairAt(index, page, count, hint)) return false;
  const handle = (index << 16) + getPageFirst(page) + hint * BLOCKS_PER_WORD * getPageBlockSize(page);
  if (getPageHintHandle(page) != handle) return false;
  if (getLocal(pairAt(index, page, count, hint)) != 0) return true;
  for (let word: u32 = 0; word < words; word++) {
    if (getLocal(pairAt(index, page, count, word)) != 0) return false;
  }
  return true;
}
