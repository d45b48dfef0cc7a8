/**
 * Recovery of a buddy heap: the blocks that a dead participant owned, and the rights that it held.
 *
 * Everything else that it can have been in the middle of is one compare-and-swap. Only the side table needs looking
 * through, where it has storage, for the dead one's number; and only if that ever owned anything, which it says in its slot
 * before the first time. Why this is enough, and why every step can be repeated, is said in buddy-owned.ts.
 */

import { PAGE_SHIFT } from "../src/layout/header";
import { BUSY, OK } from "../src/layout/result";
import { S_OWNS } from "../src/layout/slot";
import { hasOwners, leafOf, ownerAt, refresh, treeAt, usedPages } from "./buddy-map";
import { MOST_TRIES } from "./buddy-owned";
import { isOwned, isStart, leavesAt, startBit } from "./buddy-tree";
import { getSlotWord } from "./mem";
import { casTree, loadOwner, loadOwners4, loadTree, storeOwner } from "./mem-buddy";
import { firstDataPage, maxShift, me, minShift, mySlot } from "./state";

/** Entries of the side table that are looked at at once. */
const ENTRIES_AT_ONCE: u32 = 4;

export function recoverBuddy(slot: usize, owner: u32): i32 {
  return recoverRights(slot, owner, false);
}

/** For this participant itself, which lives on (mend.ts): it keeps its blocks. */
export function mendBuddy(): i32 {
  return recoverRights(mySlot, me, true);
}

function recoverRights(slot: usize, owner: u32, isAlive: bool): i32 {
  if (getSlotWord(slot, S_OWNS) == 0) return OK;
  refresh();
  const first = firstDataPage();
  const end = first + usedPages();
  for (let page = first; page < end; page++) {
    if (!hasOwners(page)) continue;
    const result = recoverPage(page, owner, isAlive);
    if (result != OK) return result;
  }
  return OK;
}

function recoverPage(page: u32, owner: u32, isAlive: bool): i32 {
  const count: u32 = 1 << (PAGE_SHIFT - minShift);
  const start = page << PAGE_SHIFT;
  let entry: u32 = 0;
  while (entry < count) {
    const handle = start + (entry << minShift);
    // Most of the table is 0.
    if (
      count >= ENTRIES_AT_ONCE &&
      (entry & (ENTRIES_AT_ONCE - 1)) == 0 &&
      loadOwners4(ownerAt(handle)) == 0
    ) {
      entry += ENTRIES_AT_ONCE;
      continue;
    }
    if (loadOwner(ownerAt(handle)) == owner) {
      const result = recoverLeaf(handle, isAlive);
      if (result != OK) return result;
    }
    entry++;
  }
  return OK;
}

/** The right to the leaf at `handle` is the dead one's: so is the block that starts there, if it is owned. */
function recoverLeaf(handle: u32, isAlive: bool): i32 {
  const tree = treeAt(handle >> maxShift);
  const leaf = leafOf(handle);
  for (let tries = MOST_TRIES; tries > 0; tries--) {
    const state = loadTree(tree);
    const isTheirs = isStart(state, leaf) && isOwned(state, leaf);
    if (isTheirs && isAlive) return OK;
    if (isTheirs && !casTree(tree, state, state & ~(leavesAt(state, leaf) | startBit(leaf)))) continue;
    storeOwner(ownerAt(handle), 0);
    return OK;
  }
  // Others have changed that one word a million times meanwhile: the slot stays taken, and recovery is repeated.
  return BUSY;
}
