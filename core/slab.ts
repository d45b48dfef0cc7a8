/**
 * The slab allocator: blocks of one size class to a 64 KiB page, each page with one owner.
 *
 * Built on pages.ts. The owner of a page allocates and frees there with one plain store to the page's local
 * bitmap and no atomic operation; every other participant frees with one atomic or to the remote bitmap; the
 * owner collects remote bits when it runs out of local ones. A block is free when its bit is set in either.
 *
 * *Shared*, per page: state, bitmaps, remote flag. *The owner's*, per page: ring links and hints. *The owner's*,
 * per slot: `current`, the page of each class to allocate from. The ring is the owner's list of its pages of one
 * class; losing it costs nothing, since recovery finds pages by their state words.
 *
 * Invariants (heap verify recomputes them):
 *     local and remote have no bit set beyond the page's block count
 *     a page that is not current and has a local bit set has one in the word its hint names
 *     remote flag = 0  =>  no remote bit was set before the flag was last cleared and is still uncollected
 *
 * If the owner dies after
 *     claiming a page (PAGE_CLAIMED)          recovery frees the page
 *     publishing it (PAGE_SLAB)               recovery makes it an orphan, or frees it when it is empty
 *     clearing a local bit (an allocation)    the block is allocated: the operation took effect
 *     setting a local bit (a free)            the block is free: likewise
 *     copying remote bits into local          both bits set, the block is free; recovery repeats the copy
 *     releasing an empty page (PAGE_FREE)     done; its ring dies with the slot
 * A participant that dies after its or on the remote bitmap has freed the block; the flag that it did not set any
 * more is made up for by recovery, which raises the flag of every page that the dead one did not own.
 */

import { PAGE_SHIFT, PAGE_SIZE_BYTES } from "../src/layout/header";
import {
  BLOCKS_PER_WORD,
  CLASS_LAST,
  PAGE_RUN,
  SMALL_LIMIT_BYTES,
  STATE_KIND_MASK,
  STATE_OWNER_MASK,
} from "../src/layout/page";
import { BAD_HANDLE, DOUBLE_FREE, NEED_CATCH_UP, OK, TOO_LARGE } from "../src/layout/result";
import { INTENT_REALLOC } from "../src/layout/slot";
import { NO_BLOCK, blockIndex, hintHasRoom, isEmpty, pairAt, pointHint } from "./bitmap";
import { classOf } from "./classes";
import { getCurrent, loadSizePages, setIntentBlock, storeIntent, storeOrphanHint } from "./mem";
import {
  getLocal,
  getPageBlockSize,
  getPageCount,
  getPageHint,
  getPageHintHandle,
  loadPageState,
  loadRemote,
  loadRemoteFlag,
  orRemote,
  setLocal,
  storeRemoteFlag,
} from "./mem-page";
import { allocRun, classIn, freeRun, isMarked, isSlab, kindOf, lengthIn, ownerIn, refusalOf } from "./pages";
import { adopt, pageWithRoom, releaseSlabPage, sweep } from "./ring";
import { freeMarked } from "./slab-owned";
import { corruptAt, fail, mySlabs, mySlot, pageAt, spanPages } from "./state";

/**
 * Allocates a block of at least `sizeBytes` (1 or more). Linearises at the store of the local bitmap word, or at
 * the head's state word for a run. Returns the handle; 0 when there is no room (see lastError()).
 */
export function alloc(sizeBytes: u32): u32 {
  if (sizeBytes - 1 >= <u32>SMALL_LIMIT_BYTES) return allocLarge(sizeBytes, false, 0);
  const sizeClass = classOf(sizeBytes);
  const index = getCurrent(mySlot, sizeClass);
  if (index != 0) {
    const page = pageAt(index);
    const pair = getPageHint(page);
    const bits = getLocal(pair);
    if (bits != 0) {
      setLocal(pair, bits & (bits - 1));
      return getPageHintHandle(page) + <u32>ctz(bits) * getPageBlockSize(page);
    }
  }
  return allocSmallSlowly(sizeClass, false);
}

/** Allocates a shared block of a class. */
export function allocOfClass(sizeClass: u32): u32 {
  const index = getCurrent(mySlot, sizeClass);
  if (index != 0 && hintHasRoom(index)) return takeHinted(index, false);
  return allocSmallSlowly(sizeClass, false);
}

function allocSmallSlowly(sizeClass: u32, intended: bool): u32 {
  const index = pageWithRoom(sizeClass);
  if (index == 0) return 0;
  return takeHinted(index, intended);
}

/** Takes a block from the word that the page's hint names, which must have one. */
function takeHinted(index: u32, intended: bool): u32 {
  const page = pageAt(index);
  const pair = getPageHint(page);
  const bits = getLocal(pair);
  if (bits == 0) {
    corruptAt(page);
    return 0;
  }
  const handle = getPageHintHandle(page) + <u32>ctz(bits) * getPageBlockSize(page);
  if (intended) {
    setIntentBlock(mySlot, handle);
    storeIntent(mySlot, INTENT_REALLOC);
  }
  setLocal(pair, bits & (bits - 1));
  return handle;
}

/** Allocates whole pages, which `owner` owns (this participant, or 0: they are shared). */
export function allocLarge(sizeBytes: u32, intended: bool, owner: u32): u32 {
  if (sizeBytes == 0) {
    fail(TOO_LARGE);
    return 0;
  }
  const length = ((sizeBytes - 1) >> PAGE_SHIFT) + 1;
  if (length >= spanPages) {
    fail(TOO_LARGE);
    return 0;
  }
  const head = allocRun(length, intended, owner);
  if (head != 0) return head << PAGE_SHIFT;
  // Empty pages kept for their class may make room.
  if (sweep() == 0) return 0;
  return allocRun(length, intended, owner) << PAGE_SHIFT;
}

/** For realloc: as alloc, with the intent that lets recovery take the block back. */
export function allocIntended(sizeBytes: u32): u32 {
  if (sizeBytes - 1 >= <u32>SMALL_LIMIT_BYTES) return allocLarge(sizeBytes, true, 0);
  const sizeClass = classOf(sizeBytes);
  const index = getCurrent(mySlot, sizeClass);
  if (index != 0 && hintHasRoom(index)) return takeHinted(index, true);
  return allocSmallSlowly(sizeClass, true);
}

/**
 * Frees the block whose handle this is. Linearises at the store of the local word in an own page, at the or of the
 * remote word in another's, at the head's compare-and-swap for a run. Anything that is not the start of an
 * allocated block is refused and changes nothing.
 */
export function free(handle: u32): i32 {
  const index = handle >> PAGE_SHIFT;
  if (index >= <u32>memory.size()) return fail(beyond(index));
  const page = pageAt(index);
  const state = loadPageState(page);
  if (((<u32>state) & (STATE_KIND_MASK | STATE_OWNER_MASK)) != mySlabs)
    return freeOtherwise(handle, index, page, state);
  const block = blockIndex(handle, index, page);
  if (block == NO_BLOCK) return fail(BAD_HANDLE);
  const word = block / BLOCKS_PER_WORD;
  const pair = pairAt(index, page, getPageCount(page), word);
  const bit = (<u64>1) << (block & (BLOCKS_PER_WORD - 1));
  const local = getLocal(pair);
  if (((local | loadRemote(pair)) & bit) != 0) return fail(DOUBLE_FREE);
  const bits = local | bit;
  setLocal(pair, bits);
  if (getPageHint(page) != pair) pointHint(index, page, pair, word);
  // Full words are what an empty page consists of, and rare; only then look further.
  if ((bits & (bits + 1)) == 0) giveBackIfEmpty(index, page, classIn(state));
  return OK;
}

@inline
export function giveBackIfEmpty(index: u32, page: usize, sizeClass: u32): void {
  // The current page stays: an allocation and a free in turn must not claim and release it every time.
  if (getCurrent(mySlot, sizeClass) != index && isEmpty(index, page)) releaseSlabPage(index, page, sizeClass);
}

/** Frees what is in no page of this participant's own, or in a marked one. */
function freeOtherwise(handle: u32, index: u32, page: usize, state: u64): i32 {
  if (isMarked(state)) return freeMarked(handle, index, page, state);
  if (!isSlab(state)) {
    if (kindOf(state) != PAGE_RUN || (handle & (PAGE_SIZE_BYTES - 1)) != 0) return fail(refusalOf(state));
    return freeRun(index, state);
  }
  const block = blockIndex(handle, index, page);
  if (block == NO_BLOCK) return fail(BAD_HANDLE);
  const pair = pairAt(index, page, getPageCount(page), block / BLOCKS_PER_WORD);
  const bit = (<u64>1) << (block & (BLOCKS_PER_WORD - 1));
  if ((getLocal(pair) & bit) != 0) return fail(DOUBLE_FREE);
  // An orphan is adopted by whoever frees in it, so that it does not stay ownerless with room.
  if (ownerIn(state) == 0 && (loadRemote(pair) & bit) == 0 && adopt(index, page, state)) return free(handle);
  return freeRemotely(index, page, pair, bit);
}

/** Frees a block of a page whose owner is another participant, or nobody. */
export function freeRemotely(index: u32, page: usize, pair: usize, bit: u64): i32 {
  if ((orRemote(pair, bit) & bit) != 0) return fail(DOUBLE_FREE);
  // SYNC with refreshHint: the bit first, then the flag.
  if (loadRemoteFlag(page) == 0) storeRemoteFlag(page, 1);
  // The owner may have died and been recovered meanwhile: then the page waits for an adopter. SYNC with orphan, which looks
  // once more after its store: of the two whoever comes second sees that nothing is left in it, and gives it back.
  const state = loadPageState(page);
  if (!isSlab(state) || ownerIn(state) != 0 || classIn(state) > <u32>CLASS_LAST) return OK;
  storeOrphanHint(classIn(state), 1);
  if (isEmpty(index, page) && adopt(index, page, state)) giveBackIfEmpty(index, page, classIn(state));
  return OK;
}

/** Usable bytes of the allocated block at `handle`; 0 when there is none (see lastError()). */
export function usableSize(handle: u32): u32 {
  const index = handle >> PAGE_SHIFT;
  if (index >= <u32>memory.size()) return none(beyond(index));
  const page = pageAt(index);
  const state = loadPageState(page);
  const kind = kindOf(state);
  if (kind == PAGE_RUN) {
    if ((handle & (PAGE_SIZE_BYTES - 1)) != 0) return none(BAD_HANDLE);
    if (lengthIn(state) == 0 || index + lengthIn(state) > spanPages) {
      corruptAt(page);
      return 0;
    }
    if (index + lengthIn(state) > <u32>memory.size()) return none(NEED_CATCH_UP);
    return lengthIn(state) << PAGE_SHIFT;
  }
  if (!isSlab(state)) return none(refusalOf(state));
  const block = blockIndex(handle, index, page);
  if (block == NO_BLOCK) return none(BAD_HANDLE);
  const pair = pairAt(index, page, getPageCount(page), block / BLOCKS_PER_WORD);
  const bit = (<u64>1) << (block & (BLOCKS_PER_WORD - 1));
  if (((getLocal(pair) | loadRemote(pair)) & bit) != 0) return none(DOUBLE_FREE);
  const size = getPageBlockSize(page);
  // What a damaged descriptor says must not lead beyond the page.
  if (size <= <u32>PAGE_SIZE_BYTES - (handle & (PAGE_SIZE_BYTES - 1))) return size;
  corruptAt(page);
  return 0;
}

/** Why a page that this participant cannot reach is out of bounds: the segment has grown, or ends before it. */
export function beyond(index: u32): i32 {
  return index < loadSizePages() ? NEED_CATCH_UP : BAD_HANDLE;
}

function none(code: i32): u32 {
  fail(code);
  return 0;
}
