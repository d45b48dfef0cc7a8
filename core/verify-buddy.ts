/**
 * Looking at a buddy heap without changing it: verification, counts and listings.
 *
 * Everything that a tree word says is read in one load, so a look at it is consistent even beside running participants.
 * Only what two words say of each other, the tree and the side table, can be seen half done; that is looked at again.
 */

import { BUDDY_HAS_OWNERS, BUDDY_STARTS_SHIFT } from "../src/layout/buddy";
import { PAGE_SHIFT } from "../src/layout/header";
import { CLASS_SLOTS } from "../src/layout/page";
import {
  OK,
  PROBLEM_HIGH_WATER,
  PROBLEM_OWNER_GONE,
  PROBLEM_TREE_FLAGS,
  PROBLEM_TREE_FORM,
  PROBLEM_TREE_OWNER,
  PROBLEM_TREE_STRAY,
} from "../src/layout/result";
import {
  firstWord,
  flagsAt,
  handleAt,
  hasOwners,
  ownerAt,
  refresh,
  treeAt,
  usedWords,
  wordsShift,
} from "./buddy-map";
import { freeGroups, isNatural, isOwned, isStart, leavesAt, topLevel, validLeaves } from "./buddy-tree";
import { getCurrent, loadHighWater } from "./mem";
import { loadBuddyFlags, loadOwner, loadTree } from "./mem-buddy";
import { firstDataPage, maxShift, minShift, reachablePages, setDetail, slotAt, slotCount } from "./state";
import { LOOKS, isAttended } from "./verify";

/** The tree word that treeUsed has read. */
let seen: u64 = 0;

/** Reads the tree word of maximal block `word`; returns its `used` half. 0 when there is no such block. */
export function treeUsed(word: u32): u32 {
  refresh();
  const page = word >> wordsShift();
  seen = page >= firstDataPage() && page < reachablePages() ? loadTree(treeAt(word)) : 0;
  return <u32>seen;
}

export function treeStarts(): u32 {
  return <u32>(seen >> BUDDY_STARTS_SHIFT);
}

/**
 * Where a level's count is in the number that blocksInTree and freeInTree return. There are at most 32, 16, 8, 4, 2 and 1
 * blocks of the levels, so that they take 6, 5, 4, 3, 2 bits and 1.
 */
@inline
function countShift(level: u32): u32 {
  return (level * (13 - level)) >> 1;
}

/** The allocated blocks in the word that was read, by level. */
export function blocksInTree(): u32 {
  let counts: u32 = 0;
  for (let starts = treeStarts() & validLeaves; starts != 0; starts &= starts - 1) {
    const length = <u32>popcnt(leavesAt(seen, <u32>ctz(starts)));
    counts += 1 << countShift(31 - <u32>clz(length));
  }
  return counts;
}

/** The free blocks in it: those that a textbook buddy system would have in its lists. */
export function freeInTree(): u32 {
  let counts: u32 = 0;
  const top = topLevel();
  for (let level: u32 = 0; level <= top; level++) {
    const larger = level == top ? 0 : freeGroups(seen, level + 1);
    const groups = freeGroups(seen, level) & ~(larger | (larger << (1 << level)));
    counts += (<u32>popcnt(groups)) << countShift(level);
  }
  return counts;
}

export function buddyFlags(page: u32): u32 {
  return page >= firstDataPage() && page < reachablePages() ? loadBuddyFlags(flagsAt(page)) : 0;
}

export function hintWord(slotIndex: u32, index: u32): u32 {
  return slotIndex < slotCount && index < <u32>CLASS_SLOTS ? getCurrent(slotAt(slotIndex), index) : 0;
}

/** The first allocated block at or after `from`; 0 = none. */
export function nextBuddyBlock(from: u32): u32 {
  return nextStart(from, false);
}

/** The first owned block at or after `from`; 0 = none. */
export function nextOwnedBlock(from: u32): u32 {
  return nextStart(from, true);
}

function nextStart(from: u32, owned: bool): u32 {
  refresh();
  const end = firstWord + usedWords;
  const isBefore = from >> maxShift < firstWord;
  let word = isBefore ? firstWord : from >> maxShift;
  // Of the first word only the leaves that begin at `from` or behind it.
  const inside = isBefore ? 0 : from & ((1 << maxShift) - 1);
  let leaves =
    (<u32>((<u64>validLeaves) << ((<u64>inside + ((1 << minShift) - 1)) >> minShift))) & validLeaves;
  for (; word < end; word++) {
    if (!owned || hasOwners(word >> wordsShift())) {
      const state = loadTree(treeAt(word));
      const starts = (<u32>(state >> BUDDY_STARTS_SHIFT)) & leaves & (owned ? ~(<u32>state) : 0xffffffff);
      if (starts != 0) return handleAt(word, <u32>ctz(starts));
    }
    leaves = validLeaves;
  }
  return 0;
}

/** OK, or the first PROBLEM_ found in the page; then errorDetail() is the offset of the word that is wrong. */
export function verifyBuddyPage(page: u32): i32 {
  refresh();
  if (page < firstDataPage() || page >= reachablePages()) return OK;
  if ((loadBuddyFlags(flagsAt(page)) & ~BUDDY_HAS_OWNERS) != 0) {
    setDetail(<u32>flagsAt(page));
    return PROBLEM_TREE_FLAGS;
  }
  const first = page << wordsShift();
  const end = first + (1 << wordsShift());
  for (let word = first; word < end; word++) {
    const problem = verifyTree(word);
    if (problem != OK) return problem;
  }
  return hasOwners(page) ? verifyRights(page) : OK;
}

function verifyTree(word: u32): i32 {
  const tree = treeAt(word);
  let problem: i32 = OK;
  for (let look: u32 = 0; look < LOOKS; look++) {
    const state = loadTree(tree);
    if (state == 0) return OK;
    problem = problemIn(word, state);
    if (problem == OK || loadTree(tree) != state) return OK;
  }
  setDetail(<u32>tree);
  return problem;
}

function problemIn(word: u32, state: u64): i32 {
  const valid = <u64>validLeaves;
  if ((state & ~(valid | (valid << BUDDY_STARTS_SHIFT))) != 0) return PROBLEM_TREE_STRAY;
  // The mark was raised before there was a block, so it is read after the block was seen.
  if (word >> wordsShift() >= loadHighWater()) return PROBLEM_HIGH_WATER;
  const count: u32 = 1 << topLevel();
  for (let leaf: u32 = 0; leaf < count;) {
    if (!isStart(state, leaf)) {
      if (((state >> leaf) & 1) != 0) return PROBLEM_TREE_FORM;
      leaf++;
      continue;
    }
    const length = <u32>popcnt(leavesAt(state, leaf));
    if (!isNatural(leaf, length)) return PROBLEM_TREE_FORM;
    if (isOwned(state, leaf) && !isOwnerThere(handleAt(word, leaf))) return PROBLEM_TREE_OWNER;
    leaf += length;
  }
  return OK;
}

function isOwnerThere(handle: u32): bool {
  return hasOwners(handle >> PAGE_SHIFT) && isAttended(loadOwner(ownerAt(handle)));
}

/** Every right in the side table is of somebody who is there to use it, or to be recovered. */
function verifyRights(page: u32): i32 {
  const count: u32 = 1 << (PAGE_SHIFT - minShift);
  for (let leaf: u32 = 0; leaf < count; leaf++) {
    const entry = ownerAt((page << PAGE_SHIFT) + (leaf << minShift));
    const owner = loadOwner(entry);
    // Recovery clears entries before it frees the slot: the second look is for who has left in between.
    if (owner == 0 || isAttended(owner) || loadOwner(entry) != owner) continue;
    setDetail(<u32>entry);
    return PROBLEM_OWNER_GONE;
  }
  return OK;
}
