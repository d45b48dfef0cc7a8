/**
 * Repairing a buddy heap: each tree word is made one that a buddy allocator can have. A block keeps its start, and as much of its
 * length as is a buddy's; what is inside no block is free. An owned block whose owner is not told any more is shared.
 */

import { BUDDY_HAS_OWNERS, BUDDY_STARTS_SHIFT } from "../src/layout/buddy";
import { PAGE_SHIFT } from "../src/layout/header";
import { flagsAt, handleAt, hasOwners, leafOf, ownerAt, refresh, treeAt, wordsShift } from "./buddy-map";
import { isOwned, isStart, leavesAt, ownedBits, sharedBits, topLevel, validLeaves } from "./buddy-tree";
import { noteHighWater } from "./high-water";
import {
  casTree,
  loadBuddyFlags,
  loadOwner,
  loadOwners4,
  loadTree,
  storeBuddyFlags,
  storeOwner,
} from "./mem-buddy";
import { firstDataPage, maxShift, me, minShift, reachablePages, slotCount } from "./state";

export function repairBuddy(): void {
  refresh();
  const limit = reachablePages();
  for (let page = firstDataPage(); page < limit; page++) {
    // What the table of owners has it has storage for; without entries that is got again when it is wanted.
    if (loadBuddyFlags(flagsAt(page)) != BUDDY_HAS_OWNERS)
      storeBuddyFlags(flagsAt(page), hasEntries(page) ? BUDDY_HAS_OWNERS : 0);
    const first = page << wordsShift();
    for (let word = first; word < first + (1 << wordsShift()); word++) {
      const tree = treeAt(word);
      const state = loadTree(tree);
      if (state == 0) continue;
      const right = repaired(word, state);
      if (right != state) casTree(tree, state, right);
      if (right != 0) noteHighWater(page + 1);
    }
    if (hasOwners(page)) repairOwners(page);
  }
}

/** What the tree word of maximal block `word` is to be, which is `found`. */
function repaired(word: u32, found: u64): u64 {
  const valid = <u64>validLeaves;
  const state = found & (valid | (valid << BUDDY_STARTS_SHIFT));
  const count: u32 = 1 << topLevel();
  let right: u64 = 0;
  for (let leaf: u32 = 0; leaf < count;) {
    if (!isStart(state, leaf)) {
      leaf++;
      continue;
    }
    const length = <u32>popcnt(leavesAt(state, leaf));
    let kept: u32 = 1 << (31 - <u32>clz(length));
    while ((leaf & (kept - 1)) != 0) kept >>= 1;
    right |= bitsOf(handleAt(word, leaf), state, leaf, kept);
    leaf += length;
  }
  return right;
}

/** The bits of a block; none for one that belonged to somebody who is gone. */
function bitsOf(handle: u32, state: u64, leaf: u32, length: u32): u64 {
  if (!isOwned(state, leaf)) return sharedBits(leaf, length);
  const owner = hasOwners(handle >> PAGE_SHIFT) ? loadOwner(ownerAt(handle)) : 0;
  if (owner == me) return ownedBits(leaf, length);
  return owner == 0 || owner > slotCount ? sharedBits(leaf, length) : 0;
}

/** Entries of the side table that are looked at at once. Most of it is 0. */
const ENTRIES_AT_ONCE: u32 = 4;

/** How many entries a page has. */
@inline
function entries(): u32 {
  return 1 << (PAGE_SHIFT - minShift);
}

/** Whether the four entries from `handle`'s on are 0. (A page with fewer is looked at one by one.) */
@inline
function areNone(handle: u32): bool {
  return entries() >= ENTRIES_AT_ONCE && loadOwners4(ownerAt(handle)) == 0;
}

function hasEntries(page: u32): bool {
  const start = page << PAGE_SHIFT;
  for (let entry: u32 = 0; entry < entries(); entry += ENTRIES_AT_ONCE) {
    if (!areNone(start + (entry << minShift))) return true;
  }
  return false;
}

/** Only this participant is there to have rights, and it has them where its blocks begin. */
function repairOwners(page: u32): void {
  const start = page << PAGE_SHIFT;
  for (let entry: u32 = 0; entry < entries(); entry++) {
    const handle = start + (entry << minShift);
    if ((entry & (ENTRIES_AT_ONCE - 1)) == 0 && areNone(handle)) {
      entry += ENTRIES_AT_ONCE - 1;
      continue;
    }
    const owner = loadOwner(ownerAt(handle));
    if (owner == 0) continue;
    const state = loadTree(treeAt(handle >> maxShift));
    const leaf = leafOf(handle);
    if (owner != me || !isStart(state, leaf) || !isOwned(state, leaf)) storeOwner(ownerAt(handle), 0);
  }
}
