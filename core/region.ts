/**
 * The segment itself: its header's life from zeros to `ready`, and its size.
 *
 * Growth needs no lock. Whoever needs more pages first has the system reserve them, then raises the published size;
 * two growers raise it to the larger of their two wishes. A participant that dies between reserving and publishing
 * leaves a file that is longer than it says, which harms nobody: the next growth covers it.
 */

import {
  H_ALLOCATOR,
  H_BACKEND,
  H_DATA_OFFSET,
  H_GROW_STEP_PAGES,
  H_ROOTS_OFFSET,
  H_ROOT_COUNT,
  H_SLOTS_OFFSET,
  H_SLOT_COUNT,
  H_SPAN_PAGES,
  H_TABLE_BYTES_PER_PAGE,
  H_TABLE_OFFSET,
} from "../src/layout/header";
import {
  addGrowths,
  casSizePages,
  loadSegmentState,
  loadSizePages,
  setHeader,
  storeSegmentState,
} from "./mem";

/** The header's constants; src/region has computed them. */
export function describeSegment(
  backend: u32,
  allocator: u32,
  spanPages: u32,
  growStepPages: u32,
  slotCount: u32,
  slotsOffset: u32,
  rootCount: u32,
  rootsOffset: u32,
  tableOffset: u32,
  tableBytesPerPage: u32,
  dataOffset: u32,
): void {
  setHeader(H_BACKEND, backend);
  setHeader(H_ALLOCATOR, allocator);
  setHeader(H_SPAN_PAGES, spanPages);
  setHeader(H_GROW_STEP_PAGES, growStepPages);
  setHeader(H_SLOT_COUNT, slotCount);
  setHeader(H_SLOTS_OFFSET, slotsOffset);
  setHeader(H_ROOT_COUNT, rootCount);
  setHeader(H_ROOTS_OFFSET, rootsOffset);
  setHeader(H_TABLE_OFFSET, tableOffset);
  setHeader(H_TABLE_BYTES_PER_PAGE, tableBytesPerPage);
  setHeader(H_DATA_OFFSET, dataOffset);
}

/**
 * Moves the segment on: to `ready`, which publishes it, or to `retired`. SYNC with the opener's read of the state: all
 * of the header is there before `ready`.
 */
export function setSegmentState(state: u32): void {
  storeSegmentState(state);
}

export function segmentState(): u32 {
  return loadSegmentState();
}

/** The published size in pages. */
export function sizePages(): u32 {
  return loadSizePages();
}

/**
 * Publishes a size whose storage the caller has reserved. Linearises at the compare-and-swap. Returns the size
 * published in the end, which may be larger. Bounded: sizes only grow, by a page at least.
 */
export function publishSize(pages: u32): u32 {
  let current = loadSizePages();
  while (current < pages && !casSizePages(current, pages)) current = loadSizePages();
  if (current >= pages) return current;
  // The first size is the creation's.
  if (current != 0) addGrowths(1);
  return pages;
}
