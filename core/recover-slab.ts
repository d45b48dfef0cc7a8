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
  PAGE_HOLLOW,
  PAGE_MARK,
  PAGE_OWNERS,
  PAGE_RUN,
  PAGE_RUN_CLAIMED,
  PAGE_RUN_EXTENDING,
  PAGE_RUN_FREEING,
  PAGE_RUN_SHRINKING,
  PAGE_TRIMMING,
  RUN_OWNED,
  STATE_OWNER_SHIFT,
} from "../src/layout/page";
import { OK } from "../src/layout/result";
import { INTENT_NONE, INTENT_REALLOC, S_OWNS } from "../src/layout/slot";
import { blockIndex, collectAll, isEmpty, pairAt } from "./bitmap";
import { getIntentBlock, getSlotWord, loadIntent, storeIntent, storeOrphanHint } from "./mem";
import { casBlockOwner, loadBlockOwner } from "./mem-owners";
import {
  casPageState,
  getLocal,
  getPageCount,
  loadPageState,
  loadRemote,
  orRemote,
  setLocal,
  storePageState,
  storeRemoteFlag,
} from "./mem-page";
import { isEstablished, ownersOf } from "./owners";
import {
  classIn,
  finishFree,
  finishShrink,
  freeBodies,
  isMarked,
  isSlab,
  kindOf,
  lengthIn,
  noteFreed,
  otherIn,
  ownerIn,
  pagesToPass,
  runState,
  slabState,
} from "./pages";
import { firstDataPage, pageAt, reachablePages } from "./state";

/** How often a page is taken over again that others have emptied meanwhile; each time means that another one freed there. */
const TRIES: u32 = 8;

export function recoverSlab(slot: usize, owner: u32): i32 {
  if (loadIntent(slot) == INTENT_REALLOC) undoIntent(slot, owner);
  recoverPages(owner, getSlotWord(slot, S_OWNS) != 0);
  return OK;
}

/** Gives back the block that a dead realloc had allocated and not handed over. */
export function undoIntent(slot: usize, owner: u32): void {
  const handle = getIntentBlock(slot);
  const index = handle >> PAGE_SHIFT;
  if (index >= firstDataPage() && index < reachablePages()) {
    const page = pageAt(index);
    const state = loadPageState(page);
    if (isSlab(state) && ownerIn(state) == owner) {
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

function recoverPages(owner: u32, owns: bool): void {
  const limit = reachablePages();
  let index = firstDataPage();
  while (index < limit) {
    const page = pageAt(index);
    const state = loadPageState(page);
    // Pages inside a run that is at rest are passed over: the dead one can have none of them. (Of a run that a live
    // participant is just claiming it can: that claim is going to fail there.)
    const step = pagesToPass(state);
    if (isSlab(state)) recoverSlabPage(index, page, owner, owns);
    else if (ownerIn(state) == owner) recoverPage(index, page, state);
    index += step;
  }
}

/**
 * A slab page that the dead one did not own. It may have freed a block there and not raised the flag any more; have
 * lowered the class's orphan hint to look for room, and not raised it again; have freed an orphan's last block and not
 * given the page back; or, recovering another, have made this page an orphan and not said so.
 */
export function makeUpFor(index: u32, page: usize, state: u64, owner: u32): void {
  storeRemoteFlag(page, 1);
  if (ownerIn(state) != 0 || classIn(state) > <u32>CLASS_LAST) return;
  storeOrphanHint(classIn(state), 1);
  if (isEmpty(index, page)) takeOver(page, owner);
}

/** A page, no slab page, that the dead one owns or was changing. */
export function recoverPage(index: u32, page: usize, state: u64): void {
  const length = lengthIn(state);
  const other = otherIn(state);
  switch (kindOf(state)) {
    case PAGE_CLAIMED:
      storePageState(page, <u64>PAGE_FREE);
      break;
    case PAGE_RUN_CLAIMED:
      freeBodies(index, index + 1, boundedEnd(index, length));
      storePageState(page, <u64>PAGE_FREE);
      break;
    case PAGE_RUN_FREEING:
      finishFree(index, boundedEnd(index, length) - index);
      break;
    case PAGE_RUN:
      freeOwnedRun(index, page, length);
      break;
    case PAGE_RUN_EXTENDING:
      if (classIn(state) == RUN_OWNED) {
        freeOwnedRun(index, page, length);
        break;
      }
      freeBodies(index, index + other, boundedEnd(index, length));
      storePageState(page, runState(PAGE_RUN, 0, other, 0));
      break;
    case PAGE_RUN_SHRINKING:
      if (classIn(state) == RUN_OWNED) freeOwnedRun(index, page, length);
      else finishShrink(index, other, boundedEnd(index, length) - index, 0);
      break;
    case PAGE_TRIMMING:
      // Whether its storage is still there, or there again, nobody knows.
      storePageState(page, <u64>PAGE_HOLLOW);
      break;
    case PAGE_OWNERS:
      storePageState(page, isEstablished(index, length) ? runState(PAGE_OWNERS, 0, length, 0) : PAGE_FREE);
      break;
  }
  noteFreed(index);
}

export function boundedEnd(index: u32, length: u32): u32 {
  const limit = reachablePages();
  return index + length < limit ? index + length : limit;
}

/**
 * A run that the dead one owned, as long as it is or was to become: of pages that it has not, or not any more, none says
 * that it is a body of this head. From this store on a second recoverer does the rest.
 */
function freeOwnedRun(index: u32, page: usize, length: u32): void {
  storePageState(page, runState(PAGE_RUN_FREEING, ownerIn(loadPageState(page)), length, 0));
  finishFree(index, boundedEnd(index, length) - index);
}

/** A slab page: the dead one's blocks there first, then the page, if it is the dead one's. */
function recoverSlabPage(index: u32, page: usize, owner: u32, owns: bool): void {
  if (owns) freeOwnedBlocks(index, page, owner);
  const state = loadPageState(page);
  if (!isSlab(state)) return;
  if (ownerIn(state) != owner) makeUpFor(index, page, state, owner);
  orphan(index, page, owner);
}

/** Frees what the dead one owned in a page, whosever that is. */
function freeOwnedBlocks(index: u32, page: usize, owner: u32): void {
  if (!isMarked(loadPageState(page))) return;
  const array = ownersOf(index);
  if (array == 0) return;
  const count = min<u32>(getPageCount(page), BLOCKS_PER_WORD * BLOCKS_PER_WORD);
  for (let block: u32 = 0; block < count; block++) {
    if (loadBlockOwner(array, block) == owner) freeOwnedBlock(index, page, array, block, owner);
  }
}

function freeOwnedBlock(index: u32, page: usize, array: usize, block: u32, owner: u32): void {
  const pair = pairAt(index, page, getPageCount(page), block / BLOCKS_PER_WORD);
  const bit = (<u64>1) << (block & (BLOCKS_PER_WORD - 1));
  // SYNC with collect: the bits first (remote before local), then once more the owner: while that is the dead one, no bit
  // of the block is being moved.
  const remote = loadRemote(pair);
  const isFree = ((remote | getLocal(pair)) & bit) != 0;
  if (loadBlockOwner(array, block) != owner) return;
  if (!isFree && !freeInDeadPage(page, pair, bit, owner)) {
    orRemote(pair, bit);
    storeRemoteFlag(page, 1);
    // Its owner may have died and been recovered meanwhile; then this recovery sees to the page as well.
    takeOver(page, owner);
  }
  casBlockOwner(array, block, owner, 0);
}

/** Frees a block of a page that is the dead one's, or an orphan, which becomes the dead one's. False for another's. */
function freeInDeadPage(page: usize, pair: usize, bit: u64, owner: u32): bool {
  takeOver(page, owner);
  if (ownerIn(loadPageState(page)) != owner) return false;
  setLocal(pair, getLocal(pair) | bit);
  return true;
}

/**
 * Takes an orphan over in the dead one's name: what is freed in it may empty it, and then it must not stay. The next step
 * of this recovery, or of the next, treats it as the dead one's own.
 */
function takeOver(page: usize, owner: u32): void {
  const state = loadPageState(page);
  if (isSlab(state) && ownerIn(state) == 0)
    casPageState(page, state, state | ((<u64>owner) << STATE_OWNER_SHIFT));
}

/** If the page is the dead one's: freed when all its blocks are free, else up for adoption. */
function orphan(index: u32, page: usize, owner: u32): void {
  for (let tries = TRIES; tries > 0; tries--) {
    const state = loadPageState(page);
    if (!isSlab(state) || ownerIn(state) != owner) return;
    collectAll(index, page);
    if (isEmpty(index, page)) {
      storePageState(page, <u64>PAGE_FREE);
      noteFreed(index);
      return;
    }
    // Another participant may just mark it.
    const marked = state | PAGE_MARK;
    if (!casPageState(page, state, slabState(kindOf(state), classIn(state), 0))) {
      casPageState(page, marked, slabState(kindOf(marked), classIn(state), 0));
    }
    if (classIn(state) <= <u32>CLASS_LAST) storeOrphanHint(classIn(state), 1);
    // SYNC with freeRemotely, which sets its bit before it reads the state: who took the page for the dead one's may have
    // freed the last block since.
    if (tries == 1 || !isEmpty(index, page)) return;
    takeOver(page, owner);
  }
}
