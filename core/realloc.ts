/**
 * Resizing blocks: in place where the allocator can, else by moving.
 *
 * A move allocates, copies, frees. The new block must not be lost if the participant dies before the caller knows of it.
 * So it is the participant's own (blocks.ts) until the old one is free, and shared only then, if the old one was. (A
 * shared block of a slab heap does without: the slot's intent names the new block from before it exists until the old one
 * is free, and recovery frees what it names. A first-fit heap moves a block under its lock: were that given up in between,
 * somebody else might have it when the old block is to be freed, or the new one shared.) A crash leaves the old block
 * allocated and untouched, or freed; never a block that nobody knows.
 */

import { PAGE_SHIFT } from "../src/layout/header";
import { PAGE_RUN, SMALL_LIMIT_BYTES } from "../src/layout/page";
import { BAD_HANDLE, OK, TOO_LARGE } from "../src/layout/result";
import { INTENT_NONE } from "../src/layout/slot";
import {
  allocPlaced,
  beginMove,
  endMove,
  failNotOwner,
  free,
  isMineOrShared,
  ownerOf,
  share,
  usableSize,
} from "./blocks";
import * as buddy from "./buddy";
import { classOf, classSize } from "./classes";
import * as fit from "./fit";
import { copyBytes, storeIntent } from "./mem";
import { loadPageState } from "./mem-page";
import { kindOf, resizeRun, takeBackRun } from "./pages";
import { allocIntended } from "./slab";
import { fail, isBuddyHeap, isFitHeap, isSlabHeap, lastError, mySlot, pageAt, spanPages } from "./state";

/** Resizes the block at `handle` to at least `sizeBytes` (1 or more). Returns its handle, 0 on failure. */
export function realloc(handle: u32, sizeBytes: u32): u32 {
  const old = usableSize(handle);
  if (old == 0) return 0;
  if (sizeBytes == 0) {
    fail(TOO_LARGE);
    return 0;
  }
  const owner = ownerOf(handle);
  if (!isMineOrShared(owner)) {
    failNotOwner(owner);
    return 0;
  }
  const result = resize(handle, old, sizeBytes);
  if (result == OK) return handle;
  if (result != BAD_HANDLE) {
    fail(result);
    return 0;
  }
  if (isSlabHeap() && owner == 0) return moveIntended(handle, old, sizeBytes);
  if (isFitHeap()) return fit.move(handle, sizeBytes);
  return moveOwned(handle, old, sizeBytes, owner == 0);
}

/** Resizes in place. OK; BAD_HANDLE when the block has to move; or why nothing can be done. */
function resize(handle: u32, old: u32, sizeBytes: u32): i32 {
  if (isSlabHeap()) return resizeInSlab(handle, old, sizeBytes);
  if (isBuddyHeap()) return buddy.resize(handle, old, sizeBytes);
  return fit.resize(handle, old, sizeBytes);
}

function resizeInSlab(handle: u32, old: u32, sizeBytes: u32): i32 {
  if (sizeBytes <= <u32>SMALL_LIMIT_BYTES) return classSize(classOf(sizeBytes)) == old ? OK : BAD_HANDLE;
  const index = handle >> PAGE_SHIFT;
  const state = loadPageState(pageAt(index));
  if (kindOf(state) != PAGE_RUN) return BAD_HANDLE;
  const length = ((sizeBytes - 1) >> PAGE_SHIFT) + 1;
  return length >= spanPages ? TOO_LARGE : resizeRun(index, state, length);
}

function moveOwned(handle: u32, old: u32, sizeBytes: u32, shared: bool): u32 {
  const moved = allocPlaced(sizeBytes, 0, true);
  if (moved == 0) return 0;
  beginMove(moved);
  copyBytes(moved, handle, old < sizeBytes ? old : sizeBytes);
  // The free is the linearisation point. If it is refused (another participant freed the block meanwhile, which is the
  // callers' mistake), the move is undone.
  if (free(handle) != OK) {
    const error = lastError();
    free(moved);
    endMove();
    fail(error);
    return 0;
  }
  if (shared) share(moved);
  endMove();
  return moved;
}

function moveIntended(handle: u32, old: u32, sizeBytes: u32): u32 {
  const moved = allocIntended(sizeBytes);
  if (moved == 0) return 0;
  copyBytes(moved, handle, old < sizeBytes ? old : sizeBytes);
  // The linearisation point, as in moveOwned.
  const result = free(handle);
  if (result != OK) {
    takeBack(moved);
    fail(result);
    return 0;
  }
  storeIntent(mySlot, INTENT_NONE);
  return moved;
}

/** Frees the block that the intent names. A slab block may be free already when the intent still stands: recovery
 *  acts on it only while the page is this participant's. */
function takeBack(moved: u32): void {
  const index = moved >> PAGE_SHIFT;
  const state = loadPageState(pageAt(index));
  if (kindOf(state) == PAGE_RUN) {
    takeBackRun(index, state);
    return;
  }
  free(moved);
  storeIntent(mySlot, INTENT_NONE);
}
