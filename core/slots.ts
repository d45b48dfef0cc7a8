/**
 * What a slot says about its participant. Who is alive is not said here: only the file lock on the slot tells.
 */

import { SLOT_FREE, SLOT_STATE_MASK, S_OPENED, S_PID, S_START, S_THREAD } from "../src/layout/slot";
import {
  casSlotsUsed,
  getSlotNumber,
  getSlotWord,
  loadGrowths,
  loadRecoveries,
  loadSlotState,
  loadSlotsUsed,
} from "./mem";
import { slotAt, slotCount } from "./state";

/** The state word: epoch << 2 | SLOT_…; 0 (free) for an index that is out of range. */
export function slotState(index: u32): u32 {
  return index < slotCount ? loadSlotState(slotAt(index)) : 0;
}

/** Index of the first slot from `from` on that is taken (or, with `free`, that is not); -1 when there is none. */
export function findSlot(from: u32, free: bool): i32 {
  // Nobody looks for the taken ones beyond those that ever were: their pages need not even be mapped.
  const used = loadSlotsUsed();
  const end = free || used > slotCount ? slotCount : used;
  for (let index = from; index < end; index++) {
    if (((loadSlotState(slotAt(index)) & SLOT_STATE_MASK) == SLOT_FREE) == free) return <i32>index;
  }
  return -1;
}

/** Counts slot `index` among those that were ever taken. Before it is: whoever looks afterwards finds it. */
export function noteSlotUsed(index: u32): void {
  let used = loadSlotsUsed();
  while (used <= index && !casSlotsUsed(used, index + 1)) used = loadSlotsUsed();
}

export function slotPid(index: u32): u32 {
  return index < slotCount ? getSlotWord(slotAt(index), S_PID) : 0;
}

export function slotThread(index: u32): u32 {
  return index < slotCount ? getSlotWord(slotAt(index), S_THREAD) : 0;
}

/** Clock ticks between boot and the start of the participant's process. */
export function slotStart(index: u32): f64 {
  return index < slotCount ? getSlotNumber(slotAt(index), S_START) : 0;
}

/** When the slot was taken, in milliseconds since 1970. */
export function slotOpened(index: u32): f64 {
  return index < slotCount ? getSlotNumber(slotAt(index), S_OPENED) : 0;
}

/** How many participants have died and been recovered. */
export function recoveries(): u32 {
  return loadRecoveries();
}

/** How often the segment has grown. */
export function growths(): u32 {
  return loadGrowths();
}
