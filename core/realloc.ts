/**
 * Blocks that are given contents: zeroed (calloc) or carried over (realloc).
 *
 * Resizing happens in place where its class or the pages behind it allow, else by moving.
 *
 * A move allocates, copies, frees. From before the new block exists until the old one is free, the slot's intent
 * names the new block; if the participant dies in between, recovery frees the new block, which nobody has been
 * told of. So a crash leaves the old block allocated and untouched, or freed; never a block that nobody knows.
 */

import { PAGE_SHIFT } from "../src/layout/header";
import { PAGE_RUN, SMALL_LIMIT_BYTES } from "../src/layout/page";
import { BAD_HANDLE, OK, TOO_LARGE } from "../src/layout/result";
import { INTENT_NONE } from "../src/layout/slot";
import { classOf, classSize } from "./classes";
import { copyBytes, fillBytes, loadPageState, storeIntent } from "./mem";
import { kindOf, resizeRun, takeBackRun } from "./pages";
import { alloc, allocIntended, free, usableSize } from "./slab";
import { fail, mySlot, pageAt, spanPages } from "./state";

/** As alloc, with the block's usable bytes zeroed. */
export function calloc(sizeBytes: u32): u32 {
  const handle = alloc(sizeBytes);
  if (handle != 0) fillBytes(handle, 0, usableSize(handle));
  return handle;
}

/** Resizes the block at `handle` to at least `sizeBytes` (1 or more). Returns its handle, 0 on failure. */
export function realloc(handle: u32, sizeBytes: u32): u32 {
  const old = usableSize(handle);
  if (old == 0) return 0;
  if (sizeBytes == 0) {
    fail(TOO_LARGE);
    return 0;
  }
  const index = handle >> PAGE_SHIFT;
  const state = loadPageState(pageAt(index));
  if (sizeBytes > <u32>SMALL_LIMIT_BYTES && kindOf(state) == PAGE_RUN) {
    const length = ((sizeBytes - 1) >> PAGE_SHIFT) + 1;
    if (length >= spanPages) {
      fail(TOO_LARGE);
      return 0;
    }
    const result = resizeRun(index, state, length);
    if (result == OK) return handle;
    if (result != BAD_HANDLE) return 0;
  } else if (sizeBytes <= <u32>SMALL_LIMIT_BYTES && classSize(classOf(sizeBytes)) == old) {
    return handle;
  }
  return move(handle, old, sizeBytes);
}

function move(handle: u32, old: u32, sizeBytes: u32): u32 {
  const moved = allocIntended(sizeBytes);
  if (moved == 0) return 0;
  copyBytes(moved, handle, old < sizeBytes ? old : sizeBytes);
  // The free is the linearisation point. If it is refused (another participant freed the block meanwhile, which
  // is the callers' mistake), the move is undone.
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
