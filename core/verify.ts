/**
 * Looking at what every heap has without changing it: roots, locks and slots. Each allocator's own part is in
 * verify-slab.ts, verify-buddy.ts and verify-fit.ts.
 */

import {
  NEED_CATCH_UP,
  OK,
  PROBLEM_ROOT,
  PROBLEM_ROOTS_LOCK,
  PROBLEM_SLOT_STATE,
} from "../src/layout/result";
import { ROOT_NAME_LIMIT_BYTES } from "../src/layout/root";
import { SLOT_FREE, SLOT_RECOVERING, SLOT_STATE_MASK } from "../src/layout/slot";
import { usableSize } from "./blocks";
import { getRootNameLength, loadRootWord, loadRootsLock, loadSlotState } from "./mem";
import { isSet, rootAt } from "./roots";
import { lastError, rootCount, slotAt, slotCount } from "./state";

/** How often a thing is looked at before what is wrong with it is believed. */
export const LOOKS: u32 = 4;

/** Whether somebody is there to finish what the slot `owner` - 1 is in the middle of. */
export function isAttended(owner: u32): bool {
  if (owner == 0 || owner > slotCount) return false;
  return (loadSlotState(slotAt(owner - 1)) & SLOT_STATE_MASK) != SLOT_FREE;
}

/** OK, or PROBLEM_ROOT when entry `index` is in use and does not lead to an allocated block. */
export function verifyRoot(index: u32): i32 {
  if (index >= rootCount) return OK;
  const root = rootAt(index);
  for (let look: u32 = 0; look < LOOKS; look++) {
    const word = loadRootWord(root);
    if (!isSet(word)) return OK;
    const length = getRootNameLength(root);
    const isNamed = length != 0 && length <= <u32>ROOT_NAME_LIMIT_BYTES;
    const leads = usableSize(<u32>word) != 0 || lastError() == NEED_CATCH_UP;
    if ((isNamed && leads) || loadRootWord(root) != word) return OK;
  }
  return PROBLEM_ROOT;
}

export function verifyRootsLock(): i32 {
  const holder = loadRootsLock();
  return holder == 0 || isAttended(holder) || loadRootsLock() != holder ? OK : PROBLEM_ROOTS_LOCK;
}

export function verifySlot(index: u32): i32 {
  return (loadSlotState(slotAt(index)) & SLOT_STATE_MASK) > <u32>SLOT_RECOVERING ? PROBLEM_SLOT_STATE : OK;
}
