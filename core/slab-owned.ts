/**
 * Placed and owned blocks of a slab heap.
 *
 * *Placed*: every block is aligned to the largest power of two that divides its class's size (classes.ts), runs to 64 KiB; an
 * aligned block is one of the smallest class that is large and aligned enough.
 *
 * *Owned*: whole pages have their owner in their state word. For the blocks of a slab page there is an owners array
 * (owners.ts), which means something once the page is marked. Marking costs the page's owner its fast path for frees there;
 * a page without owned blocks knows nothing of all this. Anyone may mark any slab page, and only what every compare of
 * states has to allow for changes: the kind.
 *
 * Invariants, for a block of a marked page whose owner is q (owners[b] is 0, or slot index + 1 of who owns b):
 *     its local bit is set            =>  owners[b] == 0, but for moments in which q is in the middle of a call
 *     owners[b] == p, b is allocated  =>  only p (or p's recoverer) frees b
 *     owners[b] == p, remote bit set  =>  the bit stays until q has set owners[b] to 0 (collect): so who finds p there
 *                                         after having read the bits has read them right
 *
 * Linearisation points, and what recovery of the participant p does if it dies after
 *     claiming an owners page                 frees it
 *     the directory's compare-and-swap        the page stays, for all; recovery makes it nobody's
 *     marking a page                          nothing: the mark says only that blocks may be owned
 *     alloc: owners[b] = p                    clears it: the block is still free
 *            clearing the local bit           frees the block: this is the allocation
 *     adopt: owners[b] 0 -> p                 frees the block: this is the adoption. (When it turns out afterwards that the
 *                                             block is free, the entry is taken back; recovery would only clear it.)
 *     share: owners[b] p -> 0                 nothing
 *     free in a page of its own: local bit    clears owners[b]: the block is free
 *     free elsewhere: remote bit              likewise; else q clears it when it collects
 * A run's ownership changes with its state word; while it is being resized the word says by whom, and RUN_OWNED that it is
 * that participant's: then recovery frees it all.
 *
 * A block that one participant frees while another adopts it is used by two that do not know of each other: whichever of
 * them succeeds, or both, the heap stays whole.
 */

import { PAGE_SHIFT, PAGE_SIZE_BYTES } from "../src/layout/header";
import { BLOCKS_PER_WORD, PAGE_MARK, PAGE_OWNERS, PAGE_RUN, SMALL_LIMIT_BYTES } from "../src/layout/page";
import { BAD_HANDLE, BUSY, DOUBLE_FREE, OK } from "../src/layout/result";
import { NO_BLOCK, blockIndex, hintHasRoom, hintedWord, pairAt, pointHint } from "./bitmap";
import { failNotOwner, isMineOrShared } from "./blocks";
import { classAligned, classOf } from "./classes";
import { fillBytes, getCurrent } from "./mem";
import { casBlockOwner, casOwnersPage, loadBlockOwner, loadOwnersPage, storeBlockOwner } from "./mem-owners";
import {
  casPageState,
  getLocal,
  getPageBlockSize,
  getPageCount,
  getPageHint,
  getPageHintHandle,
  loadPageState,
  loadRemote,
  setLocal,
  storePageState,
} from "./mem-page";
import { groupOf, ownersOf } from "./owners";
import {
  changeRunOwner,
  claimPage,
  classIn,
  isMarked,
  isSlab,
  kindOf,
  ownerIn,
  refusalOf,
  releasePage,
  runOwnerIn,
  runState,
} from "./pages";
import { adopt as adoptPage, pageWithRoom, sweep } from "./ring";
import { alloc, allocLarge, allocOfClass, beyond, free, freeRemotely, giveBackIfEmpty } from "./slab";
import { corruptAt, fail, lastError, me, mySlot, pageAt } from "./state";

/** How often a call looks again at a page or block that others change at the same time. */
const TRIES: u32 = 4;

/** As blocks.ts's. */
export function allocPlaced(sizeBytes: u32, alignmentBytes: u32, owned: bool): u32 {
  const owner = owned ? me : 0;
  if (sizeBytes - 1 >= <u32>SMALL_LIMIT_BYTES) return allocLarge(sizeBytes, false, owner);
  if (alignmentBytes <= 16) return owned ? allocOwned(classOf(sizeBytes)) : alloc(sizeBytes);
  const sizeClass = classAligned(sizeBytes, alignmentBytes);
  if (sizeClass == 0) return allocLarge(sizeBytes, false, owner);
  return owned ? allocOwned(sizeClass) : allocOfClass(sizeClass);
}

/** Allocates a block of a class in a page of this participant's, which is marked if it is not. */
function allocOwned(sizeClass: u32): u32 {
  let index: u32 = 0;
  for (let tries = TRIES; tries > 0; tries--) {
    const current = getCurrent(mySlot, sizeClass);
    index = current != 0 && hintHasRoom(current) ? current : pageWithRoom(sizeClass);
    if (index == 0) return 0;
    const result = markPage(index, pageAt(index), loadPageState(pageAt(index)));
    if (result == OK) return takeOwned(index, pageAt(index));
    if (result != BUSY) return 0;
  }
  // A page of its own stays one, and is marked by somebody once: this one says that it is none.
  corruptAt(pageAt(index));
  return 0;
}

/** Takes a block from the word that the hint of an own marked page names, which must have one. */
function takeOwned(index: u32, page: usize): u32 {
  const pair = getPageHint(page);
  const bits = getLocal(pair);
  const first = hintedWord(index, page, getPageCount(page)) * BLOCKS_PER_WORD;
  if (bits == 0 || first >= getPageCount(page)) {
    corruptAt(page);
    return 0;
  }
  const array = ownersOf(index);
  if (array == 0) return 0;
  const bit = <u32>ctz(bits);
  storeBlockOwner(array, first + bit, me);
  setLocal(pair, bits & (bits - 1));
  return getPageHintHandle(page) + bit * getPageBlockSize(page);
}

/**
 * Makes sure that blocks may be owned in the slab page `index`, whose state was read as `state`. Linearises at the
 * compare-and-swap. Returns OK; BUSY when the page has changed hands, or is no slab page any more (not recorded: the caller
 * looks again); or why not.
 */
function markPage(index: u32, page: usize, state: u64): i32 {
  if (isMarked(state)) return OK;
  if (!isSlab(state)) return BUSY;
  if (loadOwnersPage(groupOf(index)) == 0) {
    const result = establishOwners(groupOf(index));
    if (result != OK) return result;
  }
  // What cannot be reached must not be promised: the first look after the mark is too late to say so.
  if (ownersOf(index) == 0) return lastError();
  // SYNC with collect, which reads the state after the bits of blocks that were owned.
  return casPageState(page, state, state | PAGE_MARK) ? OK : BUSY;
}

/** Makes the page that holds the owners arrays of a group. Linearises at the directory's compare-and-swap. */
function establishOwners(group: u32): i32 {
  const claimed = runState(PAGE_OWNERS, me, group, 0);
  let holder = claimPage(claimed);
  // Empty pages kept for their class may make room (the page that is to be marked may be one of them).
  if (holder == 0 && sweep() != 0) holder = claimPage(claimed);
  if (holder == 0) return lastError();
  fillBytes((<usize>holder) << PAGE_SHIFT, 0, PAGE_SIZE_BYTES);
  if (!casOwnersPage(group, 0, holder)) {
    releasePage(holder);
    return OK;
  }
  storePageState(pageAt(holder), runState(PAGE_OWNERS, 0, group, 0));
  return OK;
}

/** Whether a block is allocated. Remote first: a bit that is collected in between is seen in local. */
function isAllocated(index: u32, page: usize, block: u32): bool {
  const pair = pairAt(index, page, getPageCount(page), block / BLOCKS_PER_WORD);
  const remote = loadRemote(pair);
  return (((remote | getLocal(pair)) >> (block & (BLOCKS_PER_WORD - 1))) & 1) == 0;
}

/** free() for a block of a marked page. */
export function freeMarked(handle: u32, index: u32, page: usize, state: u64): i32 {
  const block = blockIndex(handle, index, page);
  if (block == NO_BLOCK) return fail(BAD_HANDLE);
  if (!isAllocated(index, page, block)) return fail(DOUBLE_FREE);
  const array = ownersOf(index);
  if (array == 0) return lastError();
  const owner = loadBlockOwner(array, block);
  if (!isMineOrShared(owner)) return failNotOwner(owner);
  const word = block / BLOCKS_PER_WORD;
  const pair = pairAt(index, page, getPageCount(page), word);
  const bit = (<u64>1) << (block & (BLOCKS_PER_WORD - 1));
  if (ownerIn(state) != me) {
    if (ownerIn(state) == 0 && adoptPage(index, page, state)) return free(handle);
    // Who collects the bit clears owners[b]. This participant must not: by then the block may be somebody's.
    return freeRemotely(index, page, pair, bit);
  }
  const bits = getLocal(pair) | bit;
  setLocal(pair, bits);
  if (owner != 0) storeBlockOwner(array, block, 0);
  if (getPageHint(page) != pair) pointHint(index, page, pair, word);
  if ((bits & (bits + 1)) == 0) giveBackIfEmpty(index, page, classIn(state));
  return OK;
}

/** Slot index + 1 of the owner of the block at `handle`; 0 when it is shared, or is none. */
export function ownerOf(handle: u32): u32 {
  const index = handle >> PAGE_SHIFT;
  if (index >= <u32>memory.size()) return 0;
  const page = pageAt(index);
  const state = loadPageState(page);
  if (!isMarked(state)) return (handle & (PAGE_SIZE_BYTES - 1)) == 0 ? runOwnerIn(state) : 0;
  const block = blockIndex(handle, index, page);
  if (block == NO_BLOCK || !isAllocated(index, page, block)) return 0;
  const array = ownersOf(index);
  return array == 0 ? 0 : loadBlockOwner(array, block);
}

/** As blocks.ts's. Linearises at the compare-and-swap on the block's owner, or on the run's state word. */
export function share(handle: u32): i32 {
  const index = handle >> PAGE_SHIFT;
  if (index >= <u32>memory.size()) return fail(beyond(index));
  const page = pageAt(index);
  const state = loadPageState(page);
  if (!isSlab(state)) return changeOwner(handle, index, state, 0);
  const block = blockIndex(handle, index, page);
  if (block == NO_BLOCK) return fail(BAD_HANDLE);
  if (!isAllocated(index, page, block)) return fail(DOUBLE_FREE);
  if (!isMarked(state)) return OK;
  const array = ownersOf(index);
  if (array == 0) return lastError();
  const owner = loadBlockOwner(array, block);
  if (!isMineOrShared(owner)) return failNotOwner(owner);
  if (owner != 0) casBlockOwner(array, block, me, 0);
  return OK;
}

/** As blocks.ts's. Linearises at the compare-and-swap on the block's owner, or on the run's state word. */
export function adopt(handle: u32): i32 {
  const index = handle >> PAGE_SHIFT;
  if (index >= <u32>memory.size()) return fail(beyond(index));
  const page = pageAt(index);
  for (let tries = TRIES; tries > 0; tries--) {
    const state = loadPageState(page);
    if (!isSlab(state)) return changeOwner(handle, index, state, me);
    const block = blockIndex(handle, index, page);
    if (block == NO_BLOCK) return fail(BAD_HANDLE);
    if (!isAllocated(index, page, block)) return fail(DOUBLE_FREE);
    let result = markPage(index, page, state);
    if (result == OK) result = adoptBlock(index, page, block);
    if (result != BUSY) return result;
  }
  return fail(BUSY);
}

/** OK; BUSY when the block's owner is changing (not recorded); or why not. The page is marked. */
function adoptBlock(index: u32, page: usize, block: u32): i32 {
  const array = ownersOf(index);
  if (array == 0) return lastError();
  if (!casBlockOwner(array, block, 0, me)) {
    const owner = loadBlockOwner(array, block);
    if (owner == 0) return BUSY;
    return owner == me ? OK : failNotOwner(owner);
  }
  // It may have been freed since it was looked at, and its page with it.
  if (isMarked(loadPageState(page)) && isAllocated(index, page, block)) return OK;
  casBlockOwner(array, block, me, 0);
  return fail(DOUBLE_FREE);
}

function changeOwner(handle: u32, index: u32, state: u64, owner: u32): i32 {
  if (kindOf(state) != PAGE_RUN || (handle & (PAGE_SIZE_BYTES - 1)) != 0) return fail(refusalOf(state));
  return changeRunOwner(index, state, owner);
}
