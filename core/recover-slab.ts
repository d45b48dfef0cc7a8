/**
 * Recovery of a slab heap: what a dead participant had begun or owned there.
 *
 *   1. the intent              the block inside an unfinished realloc goes back. For a run the compare-and-swap
 *                              to PAGE_RUN_FREEING comes first, then the intent is cleared, then the pages are
 *                              freed (step 2): so a second recoverer cannot free pages that were claimed since
 *   2. the page table          claims are undone, frees and shrinks finished, slab pages emptied or orphaned
 *   3. flags and hints         on the same walk, what the dead one may have failed to raise: the remote flags of slab
 *                              pages that it did not own, the orphan hints of classes that have orphans
 */

import { PAGE_SHIFT } from "../src/layout/header";
import {
  BLOCKS_PER_WORD,
  CLASS_LAST,
  PAGE_CLAIMED,
  PAGE_FREE,
  PAGE_RUN,
  PAGE_RUN_CLAIMED,
  PAGE_RUN_EXTENDING,
  PAGE_RUN_FREEING,
  PAGE_RUN_SHRINKING,
  PAGE_SLAB,
} from "../src/layout/page";
import { OK } from "../src/layout/result";
import { INTENT_NONE, INTENT_REALLOC } from "../src/layout/slot";
import { getIntentBlock, loadIntent, storeIntent, storeOrphanHint } from "./mem";
import {
  casPageState,
  getLocal,
  getPageCount,
  loadPageState,
  setLocal,
  storePageState,
  storeRemoteFlag,
} from "./mem-page";
import {
  classIn,
  finishFree,
  finishShrink,
  freeBodies,
  kindOf,
  lengthIn,
  noteFreed,
  otherIn,
  ownerIn,
  pagesToPass,
  runState,
  slabState,
} from "./pages";
import { blockIndex, collect, isEmpty, pairAt, wordCount } from "./bitmap";
import { firstDataPage, pageAt, reachablePages } from "./state";

export function recoverSlab(slot: usize, owner: u32): i32 {
  if (loadIntent(slot) == INTENT_REALLOC) undoIntent(slot, owner);
  recoverPages(owner);
  return OK;
}

/** Gives back the block that a dead realloc had allocated and not handed over. */
function undoIntent(slot: usize, owner: u32): void {
  const handle = getIntentBlock(slot);
  const index = handle >> PAGE_SHIFT;
  if (index >= firstDataPage() && index < reachablePages()) {
    const page = pageAt(index);
    const state = loadPageState(page);
    if (kindOf(state) == PAGE_SLAB && ownerIn(state) == owner) {
      const block = blockIndex(handle, index, page);
      const count = getPageCount(page);
      if (block < count) {
        const pair = pairAt(index, page, count, block / BLOCKS_PER_WORD);
        setLocal(pair, getLocal(pair) | ((<u64>1) << (block & (BLOCKS_PER_WORD - 1))));
      }
    } else if (kindOf(state) == PAGE_RUN && lengthIn(state) != 0) {
      casPageState(page, state, runState(PAGE_RUN_FREEING, owner, lengthIn(state), 0));
    }
  }
  storeIntent(slot, INTENT_NONE);
}

function recoverPages(owner: u32): void {
  const limit = reachablePages();
  let index = firstDataPage();
  while (index < limit) {
    const page = pageAt(index);
    const state = loadPageState(page);
    // Pages of a run that is at rest are passed over: the dead one can have none of them. (Of a run that a live
    // participant is just claiming it can: that claim is going to fail there.)
    const step = pagesToPass(state);
    if (kindOf(state) == PAGE_SLAB && ownerIn(state) != owner) makeUpFor(page, state);
    else if (ownerIn(state) == owner) recoverPage(index, page, state);
    index += step;
  }
}

/**
 * A slab page that the dead one did not own. It may have freed a block there and not raised the flag any more; have
 * lowered the class's orphan hint to look for room, and not raised it again; or, recovering another, have made this
 * page an orphan and not said so.
 */
function makeUpFor(page: usize, state: u64): void {
  storeRemoteFlag(page, 1);
  if (ownerIn(state) == 0 && classIn(state) <= <u32>CLASS_LAST) storeOrphanHint(classIn(state), 1);
}

function recoverPage(index: u32, page: usize, state: u64): void {
  const length = lengthIn(state);
  const other = otherIn(state);
  switch (kindOf(state)) {
    case PAGE_CLAIMED:
      storePageState(page, <u64>PAGE_FREE);
      break;
    case PAGE_SLAB:
      orphan(index, page, classIn(state));
      break;
    case PAGE_RUN_CLAIMED:
      freeBodies(index, index + 1, boundedEnd(index, length));
      storePageState(page, <u64>PAGE_FREE);
      break;
    case PAGE_RUN_FREEING:
      finishFree(index, boundedEnd(index, length) - index);
      break;
    case PAGE_RUN_EXTENDING:
      freeBodies(index, index + other, boundedEnd(index, length));
      storePageState(page, runState(PAGE_RUN, 0, other, 0));
      break;
    case PAGE_RUN_SHRINKING:
      finishShrink(index, other, boundedEnd(index, length) - index);
      break;
  }
  noteFreed(index);
}

function boundedEnd(index: u32, length: u32): u32 {
  const limit = reachablePages();
  return index + length < limit ? index + length : limit;
}

/** A dead owner's page: freed when all its blocks are free, else up for adoption. */
function orphan(index: u32, page: usize, sizeClass: u32): void {
  const count = getPageCount(page);
  const words = wordCount(count);
  for (let word: u32 = 0; word < words; word++) collect(pairAt(index, page, count, word), count, word);
  if (isEmpty(index, page)) {
    storePageState(page, <u64>PAGE_FREE);
    return;
  }
  storePageState(page, slabState(PAGE_SLAB, sizeClass, 0));
  if (sizeClass <= <u32>CLASS_LAST) storeOrphanHint(sizeClass, 1);
}
