/**
 * Pages: who owns which 64 KiB of the heap. Built on one state word a page (src/layout/page.ts); no lock.
 *
 * A page leaves PAGE_FREE only by a compare-and-swap, so two participants never have the same page. A run of
 * several pages is claimed head first, then its bodies in ascending order; it exists from the moment its head's
 * word becomes PAGE_RUN. Freeing goes the other way round: the head becomes PAGE_RUN_FREEING (from then on a
 * second free fails), bodies are freed from the last to the first, the head is freed last.
 *
 * Recovery (recover.ts) finds every unfinished step of a dead participant in the state words alone: a body says
 * how far its head is, so a body that somebody else has claimed since cannot be mistaken for one of the dead
 * run's (its head would lie behind the dead one's, hence its distance is smaller).
 *
 * Nobody waits here. A participant that is stopped in the middle of a claim keeps a few pages from others; they
 * pass over them.
 */

import { PAGE_SHIFT } from "../src/layout/header";
import {
  LAST_KIND,
  PAGE_BODY,
  PAGE_FREE,
  PAGE_MARK,
  PAGE_RUN,
  PAGE_RUN_CLAIMED,
  PAGE_RUN_EXTENDING,
  PAGE_RUN_FREEING,
  PAGE_RUN_SHRINKING,
  PAGE_SLAB,
  PAGE_SLAB_MARKED,
  RUN_OWNED,
  STATE_CLASS_SHIFT,
  STATE_KIND_MASK,
  STATE_LENGTH_SHIFT,
  STATE_OTHER_SHIFT,
  STATE_OWNER_SHIFT,
} from "../src/layout/page";
import { BAD_HANDLE, BUSY, CORRUPT, DOUBLE_FREE, OK } from "../src/layout/result";
import { INTENT_NONE, INTENT_REALLOC } from "../src/layout/slot";
import { failNotOwner, isMineOrShared } from "./blocks";
import { setIntentBlock, storeIntent } from "./mem";
import { noteHighWater } from "./high-water";
import { casPageState, loadPageState, storePageState } from "./mem-page";
import {
  corruptAt,
  fail,
  failNeeding,
  firstDataPage,
  me,
  mySlot,
  pageAt,
  reachablePages,
  spanPages,
} from "./state";

/**
 * Where to look first for one free page, and for several. Hints of this instance alone: a search wraps around
 * once, so a wrong hint costs time and nothing else. A free lowers both, so freed space is found again.
 */
let singlesFrom: u32 = 0;
let runsFrom: u32 = 0;

@inline
export function kindOf(state: u64): u32 {
  return (<u32>state) & STATE_KIND_MASK;
}

@inline
export function classIn(state: u64): u32 {
  return (<u32>(state >> STATE_CLASS_SHIFT)) & 0xff;
}

@inline
export function ownerIn(state: u64): u32 {
  return (<u32>(state >> STATE_OWNER_SHIFT)) & 0xffff;
}

@inline
export function lengthIn(state: u64): u32 {
  return (<u32>(state >> STATE_LENGTH_SHIFT)) & 0xffff;
}

@inline
export function otherIn(state: u64): u32 {
  return <u32>(state >> STATE_OTHER_SHIFT);
}

/** Whether the page is a slab page, marked or not. */
@inline
export function isSlab(state: u64): bool {
  return ((<u32>state) & (STATE_KIND_MASK & ~PAGE_MARK)) == PAGE_SLAB;
}

/** Whether the page is a slab page in which blocks may be owned. */
@inline
export function isMarked(state: u64): bool {
  return kindOf(state) == PAGE_SLAB_MARKED;
}

@inline
export function slabState(kind: u32, sizeClass: u32, owner: u32): u64 {
  return (<u64>kind) | ((<u64>sizeClass) << STATE_CLASS_SHIFT) | ((<u64>owner) << STATE_OWNER_SHIFT);
}

@inline
export function runState(kind: u32, owner: u32, length: u32, other: u32): u64 {
  return (
    (<u64>kind) |
    ((<u64>owner) << STATE_OWNER_SHIFT) |
    ((<u64>length) << STATE_LENGTH_SHIFT) |
    ((<u64>other) << STATE_OTHER_SHIFT)
  );
}

/** Slot index + 1 of the owner of the run whose head is in this state; 0 when it is shared, or is none. */
export function runOwnerIn(state: u64): u32 {
  const kind = kindOf(state);
  if (kind == PAGE_RUN) return ownerIn(state);
  const resizing = kind == PAGE_RUN_EXTENDING || kind == PAGE_RUN_SHRINKING;
  return resizing && classIn(state) == RUN_OWNED ? ownerIn(state) : 0;
}

/**
 * How many pages a walk may pass at once: as many as the run that begins here certainly has. Of a run that is being
 * claimed, freed or resized the rest may be somebody else's by now, so a walk looks at each of those.
 */
export function pagesToPass(state: u64): u32 {
  const kind = kindOf(state);
  let length: u32 = 1;
  if (kind == PAGE_RUN) length = lengthIn(state);
  else if (kind == PAGE_RUN_EXTENDING || kind == PAGE_RUN_SHRINKING) length = otherIn(state);
  return length == 0 ? 1 : length;
}

/** From now on `index` is known to be free. */
export function noteFreed(index: u32): void {
  if (index < singlesFrom) singlesFrom = index;
  if (index < runsFrom) runsFrom = index;
}

/**
 * The first page from the hint on that is free and is followed by `length - 1` free pages; the search wraps
 * around once. 0 = none. What is found is only a proposal: another participant may claim it first.
 */
function findFree(length: u32): u32 {
  const first = firstDataPage();
  const limit = reachablePages();
  const hint = length == 1 ? singlesFrom : runsFrom;
  const start = hint < first || hint >= limit ? first : hint;
  const found = findFreeBetween(start, limit, length);
  if (found != 0 || start == first) return found;
  const wrapped = start + length - 1;
  return findFreeBetween(first, wrapped < limit ? wrapped : limit, length);
}

function findFreeBetween(from: u32, limit: u32, length: u32): u32 {
  let run: u32 = 0;
  let index = from;
  while (index < limit) {
    const state = loadPageState(pageAt(index));
    // The whole word: what is not exactly free is not to be claimed, and would be found here for ever.
    if (state == <u64>PAGE_FREE) {
      run++;
      index++;
      if (run == length) return index - length;
    } else {
      run = 0;
      index += pagesToPass(state);
    }
  }
  return 0;
}

/** The next search for `length` pages begins at page `index`. */
export function searchFrom(index: u32, length: u32): void {
  if (length == 1) singlesFrom = index;
  else runsFrom = index;
}

/** After a claim of `length` pages at `index`: the next search need not look there again. */
function noteClaimed(index: u32, length: u32): void {
  searchFrom(index + length, length);
}

/** Claims one free page for `state`. Returns its index, or 0 when there is none (see lastError()). */
export function claimPage(state: u64): u32 {
  // Every failed compare-and-swap means that another participant got a page; the bound is for damaged tables.
  for (let tries = spanPages; tries > 0; tries--) {
    const index = findFree(1);
    if (index == 0) break;
    noteHighWater(index + 1);
    if (casPageState(pageAt(index), <u64>PAGE_FREE, state)) {
      noteClaimed(index, 1);
      return index;
    }
  }
  failNeeding(1);
  return 0;
}

/** Gives back a page that this participant owns and that nothing refers to any more. */
export function releasePage(index: u32): void {
  storePageState(pageAt(index), <u64>PAGE_FREE);
  noteFreed(index);
}

/**
 * Claims pages [from, to) as bodies of the run at `head`. All or nothing.
 */
function claimBodies(head: u32, from: u32, to: u32): bool {
  for (let index = from; index < to; index++) {
    if (casPageState(pageAt(index), <u64>PAGE_FREE, runState(PAGE_BODY, 0, index - head, 0))) continue;
    freeBodies(head, from, index);
    return false;
  }
  return true;
}

/** Frees pages [from, to) as far as they are bodies of the run at `head`, last to first. Idempotent. */
export function freeBodies(head: u32, from: u32, to: u32): void {
  for (let index = to; index > from;) {
    index--;
    casPageState(pageAt(index), runState(PAGE_BODY, 0, index - head, 0), <u64>PAGE_FREE);
  }
}

/**
 * Allocates a run of `length` pages, which `owner` owns (this participant, or 0: it is shared). Linearises at the head's
 * store of PAGE_RUN. With `intended`, the slot's intent names the block before it exists, so that recovery can take it
 * back. Returns the head's index, or 0 when there is none (see lastError()).
 */
export function allocRun(length: u32, intended: bool, owner: u32): u32 {
  for (let tries = spanPages; tries > 0; tries--) {
    const head = findFree(length);
    if (head == 0) break;
    const page = pageAt(head);
    noteHighWater(head + length);
    if (length == 1 && !intended) {
      if (!casPageState(page, <u64>PAGE_FREE, runState(PAGE_RUN, owner, 1, 0))) continue;
      noteClaimed(head, 1);
      return head;
    }
    // Dies from here on: recovery frees what bodies there are, then the head.
    if (!casPageState(page, <u64>PAGE_FREE, runState(PAGE_RUN_CLAIMED, me, length, 0))) continue;
    if (!claimBodies(head, head + 1, head + length)) {
      storePageState(page, <u64>PAGE_FREE);
      continue;
    }
    if (intended) {
      setIntentBlock(mySlot, head << PAGE_SHIFT);
      storeIntent(mySlot, INTENT_REALLOC);
    }
    storePageState(page, runState(PAGE_RUN, owner, length, 0));
    noteClaimed(head, length);
    return head;
  }
  failNeeding(length);
  return 0;
}

/** Frees the run at `head`, whose state was read as `state`. Linearises at the compare-and-swap. */
export function freeRun(head: u32, state: u64): i32 {
  const length = lengthIn(state);
  if (length == 0 || head + length > spanPages) return corruptAt(pageAt(head));
  if (!isMineOrShared(ownerIn(state))) return failNotOwner(ownerIn(state));
  const freeing = runState(PAGE_RUN_FREEING, me, length, 0);
  if (!casPageState(pageAt(head), state, freeing)) return fail(refusalAfter(head, DOUBLE_FREE));
  finishFree(head, length);
  return OK;
}

/** Why a run that could be changed a moment ago cannot be any more: NOT_OWNER, or else `code`. */
function refusalAfter(head: u32, code: i32): i32 {
  const owner = runOwnerIn(loadPageState(pageAt(head)));
  return isMineOrShared(owner) ? code : failNotOwner(owner);
}

/** Makes a run that is shared or this participant's own `owner`'s. Linearises at the compare-and-swap. */
export function changeRunOwner(head: u32, state: u64, owner: u32): i32 {
  const now = ownerIn(state);
  if (now == owner) return OK;
  if (!isMineOrShared(now)) return failNotOwner(now);
  if (casPageState(pageAt(head), state, runState(PAGE_RUN, owner, lengthIn(state), 0))) return OK;
  return fail(refusalAfter(head, BUSY));
}

/**
 * Gives back the run at `head` that the slot's intent names, and clears the intent. In between the head says
 * PAGE_RUN_FREEING: before that the intent must stand, after the pages are free it must not, since they may be
 * somebody else's next block.
 */
export function takeBackRun(head: u32, state: u64): void {
  const length = lengthIn(state);
  const isMine = casPageState(pageAt(head), state, runState(PAGE_RUN_FREEING, me, length, 0));
  storeIntent(mySlot, INTENT_NONE);
  if (isMine) finishFree(head, length);
}

/** The rest of a free once its head says PAGE_RUN_FREEING: by the freeing participant or its recoverer. */
export function finishFree(head: u32, length: u32): void {
  freeBodies(head, head + 1, head + length);
  storePageState(pageAt(head), <u64>PAGE_FREE);
  noteFreed(head);
}

/**
 * Resizes the run at `head` in place to `length` pages; whoever owns it still does. Linearises at the head's store of the
 * new length when it grows, at the compare-and-swap when it shrinks. Returns OK; BUSY when another call is changing the
 * block; NOT_OWNER; BAD_HANDLE when the pages behind it are not free (nothing has changed then).
 */
export function resizeRun(head: u32, state: u64, length: u32): i32 {
  const old = lengthIn(state);
  const owner = ownerIn(state);
  const page = pageAt(head);
  if (old == 0 || head + old > spanPages) return corruptAt(page);
  if (!isMineOrShared(owner)) return failNotOwner(owner);
  if (length == old) return OK;
  // While the word says who resizes the run, this says whose it is.
  const owned: u64 = owner == 0 ? 0 : (<u64>RUN_OWNED) << STATE_CLASS_SHIFT;
  if (length < old) {
    if (!casPageState(page, state, runState(PAGE_RUN_SHRINKING, me, old, length) | owned))
      return fail(refusalAfter(head, BUSY));
    finishShrink(head, length, old, owner);
    return OK;
  }
  if (head + length > reachablePages()) return BAD_HANDLE;
  // The cheap look first: a claim that must fail would only disturb others.
  for (let index = head + old; index < head + length; index++) {
    if (loadPageState(pageAt(index)) != <u64>PAGE_FREE) return BAD_HANDLE;
  }
  noteHighWater(head + length);
  if (!casPageState(page, state, runState(PAGE_RUN_EXTENDING, me, length, old) | owned))
    return fail(refusalAfter(head, BUSY));
  const grown = claimBodies(head, head + old, head + length);
  storePageState(page, runState(PAGE_RUN, owner, grown ? length : old, 0));
  return grown ? OK : BAD_HANDLE;
}

/** The rest of a shrink once its head says PAGE_RUN_SHRINKING. */
export function finishShrink(head: u32, length: u32, old: u32, owner: u32): void {
  freeBodies(head, head + length, head + old);
  storePageState(pageAt(head), runState(PAGE_RUN, owner, length, 0));
  noteFreed(head + length);
}

/** Why a handle that points at a page in `state` cannot be freed or resized as a run: a result code. */
export function refusalOf(state: u64): i32 {
  const kind = kindOf(state);
  if (kind == PAGE_RUN_FREEING) return DOUBLE_FREE;
  if (kind == PAGE_RUN_EXTENDING || kind == PAGE_RUN_SHRINKING) return BUSY;
  return kind > <u32>LAST_KIND ? CORRUPT : BAD_HANDLE;
}
