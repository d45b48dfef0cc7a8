/**
 * Owned blocks of a buddy heap: who owns a block, and how that changes.
 *
 * `side` is the table of u16 beside the trees, one for each leaf. A number in side[leaf], put there by compare-and-swap on
 * 0, is *the exclusive right to turn that leaf into an owned start*, and to end its being one.
 *
 *     invariant   leaf is an owned start  =>  side[leaf] is its owner, and not 0
 *                 side[leaf] = p on any other leaf  =>  p is in the middle of one of the steps below, or died there
 *
 *     to own      cas side[leaf] 0 -> me      then  cas tree free -> owned start (alloc), or shared -> owned (adopt)
 *     to let go   cas tree owned -> free (free) or -> shared (share)      then  side[leaf] = 0
 *
 * Each linearises at its compare-and-swap of the tree word. Between the two steps other participants see a leaf that is
 * reserved: an owned allocation passes it, a shared one takes it (the first then finds that its group is gone, and gives
 * the right back), an adoption says BUSY. Nobody waits.
 *
 * If p dies in between, side[leaf] = p remains. Recovery looks through the side table for p (only if p ever owned anything,
 * and only where there is storage): where the leaf is an owned start, it is p's, since nobody else had the right; it is
 * freed, in the same two steps. Then, and everywhere else, side[leaf] = 0. A recoverer that dies leaves the same picture
 * for the next one: the entry goes last.
 *
 * An owned start with side 0 cannot be seen in one instant; a reader sees it in two, when the owner lets go in between. It
 * looks again; what stays so for several looks is damage.
 */

import { BUDDY_HAS_OWNERS } from "../src/layout/buddy";
import { PAGE_SHIFT } from "../src/layout/header";
import { BUSY, NEED_STORAGE, OK } from "../src/layout/result";
import { failNotOwner } from "./blocks";
import { flagsAt, hasOwners, leafOf, lengthIn, ownerAt, treeFor } from "./buddy-map";
import { isOwned, isStart } from "./buddy-tree";
import { casOwner, casTree, loadOwner, loadTree, orBuddyFlags, storeOwner } from "./mem-buddy";
import { corruptAt, fail, lastError, me, setDetail, spanPages } from "./state";

/** Each failed compare-and-swap means that another participant got something done; so many in a row there never are. */
export const MOST_TRIES: u32 = 1 << 20;

/** How often an owned start without an owner, or a reserved one, is looked at before that is believed. */
const LOOKS: u32 = 16;

/** From mayChange: the block has changed since; look again. */
export const AGAIN: i32 = -1;

/**
 * Whether this participant may free, resize or share the block at `handle`, owned as its tree word's `state` says: OK,
 * NOT_OWNER, AGAIN, or CORRUPT.
 */
export function mayChange(handle: u32, tree: usize, state: u64): i32 {
  for (let looks = LOOKS; looks > 0; looks--) {
    const owner = hasOwners(handle >> PAGE_SHIFT) ? loadOwner(ownerAt(handle)) : 0;
    if (owner == me) return OK;
    if (owner != 0) return failNotOwner(owner);
    if (loadTree(tree) != state) return AGAIN;
  }
  return corruptAt(ownerAt(handle));
}

/** Slot index + 1 of the owner of the block at `handle`; 0 when it is shared, or is none. */
export function ownerOf(handle: u32): u32 {
  const tree = treeFor(handle);
  if (tree == 0) return 0;
  const leaf = leafOf(handle);
  for (let looks = LOOKS; looks > 0; looks--) {
    const state = loadTree(tree);
    if (!isStart(state, leaf) || !isOwned(state, leaf) || !hasOwners(handle >> PAGE_SHIFT)) return 0;
    const owner = loadOwner(ownerAt(handle));
    if (owner != 0) return owner;
  }
  return 0;
}

/** The block is nobody's own any more. OK for one that is shared already. */
export function share(handle: u32): i32 {
  const tree = treeFor(handle);
  if (tree == 0) return lastError();
  const leaf = leafOf(handle);
  for (let tries = MOST_TRIES; tries > 0; tries--) {
    const state = loadTree(tree);
    if (lengthIn(tree, state, leaf) == 0) return lastError();
    if (!isOwned(state, leaf)) return OK;
    const verdict = mayChange(handle, tree, state);
    if (verdict == AGAIN) continue;
    if (verdict != OK) return verdict;
    if (!casTree(tree, state, state | ((<u64>1) << leaf))) continue;
    storeOwner(ownerAt(handle), 0);
    return OK;
  }
  return fail(BUSY);
}

/**
 * The shared block becomes this participant's own. OK for one that is so already. BUSY when somebody is in the middle of
 * sharing, freeing or adopting it, or was about to allocate where it is.
 */
export function adopt(handle: u32): i32 {
  const tree = treeFor(handle);
  if (tree == 0) return lastError();
  const leaf = leafOf(handle);
  for (let looks = LOOKS; looks > 0; looks--) {
    const state = loadTree(tree);
    if (lengthIn(tree, state, leaf) == 0) return lastError();
    if (isOwned(state, leaf)) {
      const verdict = mayChange(handle, tree, state);
      if (verdict != AGAIN) return verdict;
    } else if (!hasOwners(handle >> PAGE_SHIFT)) {
      setDetail(handle >> PAGE_SHIFT);
      return fail(NEED_STORAGE);
    } else if (casOwner(ownerAt(handle), 0, me)) {
      return own(handle, tree, leaf);
    }
  }
  return fail(BUSY);
}

/** With the right to the leaf: makes the shared block that starts there an owned one. */
function own(handle: u32, tree: usize, leaf: u32): i32 {
  for (let tries = MOST_TRIES; tries > 0; tries--) {
    const state = loadTree(tree);
    if (lengthIn(tree, state, leaf) == 0) {
      storeOwner(ownerAt(handle), 0);
      return lastError();
    }
    if (casTree(tree, state, state & ~((<u64>1) << leaf))) return OK;
  }
  storeOwner(ownerAt(handle), 0);
  return fail(BUSY);
}

/** The side table's part for the page has storage from now on. */
export function noteStorage(page: u32): void {
  if (page < spanPages) orBuddyFlags(flagsAt(page), BUDDY_HAS_OWNERS);
}
