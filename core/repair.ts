/**
 * The repair module: makes a damaged heap one that holds every invariant again, as far as what is left of it tells what was.
 *
 * Its caller is alone: it holds the locks of all slots, so nobody comes meanwhile, and everything is plain work. What two
 * places say differently is decided for the blocks: a block is kept as long as anything says that it is one, a place is made
 * free only when it belonged to somebody who is gone, or nothing says any more what was there.
 *
 * Each walk is bounded by the pages that there are. If the repairer dies, repairing it again begins anew and comes to the same:
 * what is decided of a block must follow from what is not changed before all of it is right, so of two words the one that the
 * decision comes from is written last (proof/crash-repair.ts).
 */

import { CLASS_SLOTS } from "../src/layout/page";
import { NEED_CATCH_UP } from "../src/layout/result";
import { ROOT_FREE, ROOT_NAME_LIMIT_BYTES } from "../src/layout/root";
import { SLOT_EPOCH_SHIFT, SLOT_FREE, SLOT_LIVE, SLOT_STATE_MASK } from "../src/layout/slot";
import { usableSize } from "./blocks";
import {
  casRootsLock,
  casSizePages,
  getBytes8,
  getRootNameLength,
  loadRootWord,
  loadRootsLock,
  loadSizePages,
  loadSlotState,
  setBytes8,
  setCurrent,
  storeRootWord,
  storeSlotState,
} from "./mem";
import { clearSlot } from "./recover";
import { repairBuddy } from "./repair-buddy";
import { repairFit } from "./repair-fit";
import { repairSlab } from "./repair-slab";
import { isSet, nextWord, rootAt } from "./roots";
import { noteSlotUsed } from "./slots";
import {
  become,
  isBuddyHeap,
  isSlabHeap,
  lastError,
  me,
  mySlot,
  reachablePages,
  rootCount,
  slotAt,
  slotCount,
  spanPages,
  tableBytesPerPage,
  tableOffset,
} from "./state";

export { attach } from "./state";

/** The segment has this many pages, whatever its header says. */
export function correctSize(pages: u32): void {
  const told = loadSizePages();
  if (told != pages) casSizePages(told, pages);
}

/** Repairs the heap for the participant in slot `index`, which is the only one. */
export function repair(index: u32): void {
  become(index);
  noteSlotUsed(index);
  storeSlotState(mySlot, (loadSlotState(mySlot) & ~SLOT_STATE_MASK) | SLOT_LIVE);
  const holder = loadRootsLock();
  if (holder != 0) casRootsLock(holder, 0);
  // Where this participant allocates from it looks up anew.
  for (let entry: u32 = 0; entry < <u32>CLASS_SLOTS; entry++) setCurrent(mySlot, entry, 0);
  if (isSlabHeap()) repairSlab();
  else if (isBuddyHeap()) repairBuddy();
  else repairFit();
  clearBeyond(reachablePages());
  for (let slot: u32 = 0; slot < slotCount; slot++) {
    if (slot + 1 != me) vacate(slotAt(slot));
  }
  for (let root: u32 = 0; root < rootCount; root++) repairRoot(rootAt(root));
}

/** The table says nothing yet of pages that are yet to come. */
function clearBeyond(limit: u32): void {
  const end: usize = tableOffset + spanPages * tableBytesPerPage;
  for (let at: usize = tableOffset + limit * tableBytesPerPage; at < end; at += 8) {
    if (getBytes8(at) != 0) setBytes8(at, 0);
  }
}

/** A slot that nobody is in. */
function vacate(slot: usize): void {
  const state = loadSlotState(slot);
  if ((state & SLOT_STATE_MASK) == SLOT_FREE) return;
  clearSlot(slot);
  storeSlotState(slot, ((state >> SLOT_EPOCH_SHIFT) + 1) << SLOT_EPOCH_SHIFT);
}

/** A root that has no name, or leads to no block, is none. */
function repairRoot(root: usize): void {
  const word = loadRootWord(root);
  if (!isSet(word)) return;
  const length = getRootNameLength(root);
  const isNamed = length != 0 && length <= <u32>ROOT_NAME_LIMIT_BYTES;
  if (isNamed && (usableSize(<u32>word) != 0 || lastError() == NEED_CATCH_UP)) return;
  storeRootWord(root, nextWord(word, ROOT_FREE, 0));
}
