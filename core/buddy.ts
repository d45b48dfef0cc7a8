/**
 * The buddy allocator: maximal blocks of up to 32 leaves, each with one tree word that says all about it.
 *
 * A block is 2^k leaves at a multiple of its own size, so it is aligned to its size. Which leaves are free, which are
 * occupied and where blocks begin is in one 64-bit word (src/layout/buddy.ts draws it, buddy-tree.ts says why it is the
 * whole buddy tree), so allocating, freeing and resizing in place are *one compare-and-swap of one word*: that is the
 * linearisation point, a crash leaves the state before or after, and there is nothing to recover. Where room is looked for
 * is in buddy-find.ts. Owned blocks need a second word, the owner's number in the side table; buddy-owned.ts has the
 * protocol and what recovery does about it.
 *
 * Nobody waits: a failed compare-and-swap means that somebody else has changed the word, that is, got something done. An
 * allocation that fails a few times in a row goes on elsewhere.
 *
 * Invariants (heap verify recomputes them), for each tree word
 *     a leaf that is inside a block comes after the block's start
 *     each start's block is a power of two in length, at a multiple of its length
 *     leaves that the word has no use for (fewer than 32 in a maximal block) are 0
 * and no block is in a page from the high water mark on.
 *
 * The hints in the slot are the participant's own, plain words; a wrong one costs time.
 */

import { BAD_HANDLE, BUSY, OK, TOO_LARGE } from "../src/layout/result";
import { find, noteHint } from "./buddy-find";
import { handleAt, isAligned, isInUse, leafOf, lengthIn, ownerAt, treeAt, treeFor } from "./buddy-map";
import { AGAIN, MOST_TRIES, mayChange } from "./buddy-owned";
import {
  freeGroups,
  isNatural,
  isOwned,
  leavesAt,
  levelOf,
  occupied,
  sharedBits,
  topLevel,
  usedBits,
} from "./buddy-tree";
import { BUDDY_HINTS } from "../src/layout/buddy";
import { getCurrent } from "./mem";
import { casTree, loadTree, storeOwner } from "./mem-buddy";
import { fail, lastError, maxShift, minShift, mySlot } from "./state";

export { adopt, noteStorage, ownerOf, share } from "./buddy-owned";

/** Allocates a shared block of at least `sizeBytes` (1 or more). 0 when there is no room (see lastError()). */
export function alloc(sizeBytes: u32): u32 {
  const level = levelOf(sizeBytes);
  if (level > topLevel()) return tooLarge();
  const word = getCurrent(mySlot, BUDDY_HINTS + level);
  if (isInUse(word)) {
    const tree = treeAt(word);
    const state = loadTree(tree);
    const groups = freeGroups(state, level);
    if (groups != 0) {
      const leaf = <u32>ctz(groups);
      if (casTree(tree, state, state | sharedBits(leaf, 1 << level))) return handleAt(word, leaf);
    }
  }
  return find(level, false);
}

/** As alloc, at a multiple of `alignmentBytes`: of a block's own size every block is; so it may have to be larger. */
export function allocPlaced(sizeBytes: u32, alignmentBytes: u32, owned: bool): u32 {
  const level = levelOf(sizeBytes > alignmentBytes ? sizeBytes : alignmentBytes);
  if (level > topLevel()) return tooLarge();
  return find(level, owned);
}

function tooLarge(): u32 {
  fail(TOO_LARGE);
  return 0;
}

/**
 * Frees the block whose handle this is, if it is shared or this participant's own. Anything that is not the start of an
 * allocated block is refused and changes nothing.
 */
export function free(handle: u32): i32 {
  const word = handle >> maxShift;
  if (isInUse(word) && isAligned(handle)) {
    const tree = treeAt(word);
    const state = loadTree(tree);
    const leaf = leafOf(handle);
    const start = sharedBits(leaf, 1);
    if ((state & start) == start) {
      const leaves = leavesAt(state, leaf);
      const length = <u32>popcnt(leaves);
      if (isNatural(leaf, length) && casTree(tree, state, state & ~(leaves | start))) {
        noteHint(<u32>ctz(length), word);
        return OK;
      }
    }
  }
  return freeSlowly(handle);
}

function freeSlowly(handle: u32): i32 {
  const tree = treeFor(handle);
  if (tree == 0) return lastError();
  const leaf = leafOf(handle);
  for (let tries = MOST_TRIES; tries > 0; tries--) {
    const state = loadTree(tree);
    const length = lengthIn(tree, state, leaf);
    if (length == 0) return lastError();
    const owned = isOwned(state, leaf);
    const verdict = owned ? mayChange(handle, tree, state) : OK;
    if (verdict == AGAIN) continue;
    if (verdict != OK) return verdict;
    if (!casTree(tree, state, state & ~sharedBits(leaf, length))) continue;
    if (owned) storeOwner(ownerAt(handle), 0);
    noteHint(<u32>ctz(length), handle >> maxShift);
    return OK;
  }
  return fail(BUSY);
}

/** Usable bytes of the allocated block at `handle`; 0 when there is none (see lastError()). */
export function usableSize(handle: u32): u32 {
  const tree = treeFor(handle);
  return tree == 0 ? 0 : lengthIn(tree, loadTree(tree), leafOf(handle)) << minShift;
}

/** Resizes in place. OK; BAD_HANDLE when the block has to move; or why nothing can be done. */
export function resize(handle: u32, oldBytes: u32, sizeBytes: u32): i32 {
  const level = levelOf(sizeBytes);
  if (level > topLevel()) return fail(TOO_LARGE);
  const wanted: u32 = 1 << level;
  if (wanted << minShift == oldBytes) return OK;
  const tree = treeFor(handle);
  if (tree == 0) return lastError();
  const leaf = leafOf(handle);
  for (let tries = MOST_TRIES; tries > 0; tries--) {
    const state = loadTree(tree);
    const length = lengthIn(tree, state, leaf);
    if (length == 0) return lastError();
    const verdict = isOwned(state, leaf) ? mayChange(handle, tree, state) : OK;
    if (verdict == AGAIN) continue;
    if (verdict != OK) return verdict;
    if (wanted > length && !canGrow(state, leaf, length, wanted)) return BAD_HANDLE;
    // Only leaves behind those that it keeps: whether it is shared or owned stays as it is.
    const other = wanted > length ? length : wanted;
    const tail = usedBits(leaf + other, (wanted > length ? wanted : length) - other);
    if (casTree(tree, state, wanted > length ? state | tail : state & ~tail)) return OK;
  }
  return fail(BUSY);
}

/** Whether the block may have `wanted` leaves where it is: it lies at a multiple of that, and what is behind it is free. */
function canGrow(state: u64, leaf: u32, length: u32, wanted: u32): bool {
  return isNatural(leaf, wanted) && ((<u64>occupied(state)) & usedBits(leaf + length, wanted - length)) == 0;
}
