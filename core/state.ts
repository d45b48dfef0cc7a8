/**
 * What one participant's instance of the core knows: WebAssembly globals, private to the instance.
 *
 * *Shared* state lives in the segment (src/layout); everything here is either a copy of header words that never
 * change after `ready`, or this participant's own identity. There is no static data and no stack in linear
 * memory: instantiating the core writes nothing to the segment.
 */

import {
  H_DATA_OFFSET,
  H_ROOTS_OFFSET,
  H_ROOT_COUNT,
  H_SLOTS_OFFSET,
  H_SLOT_COUNT,
  H_SPAN_PAGES,
  H_TABLE_OFFSET,
  MAX_PAGE_COUNT,
  PAGE_SHIFT,
  PAGE_SIZE_BYTES,
  HEADER_SIZE_BYTES,
} from "../src/layout/header";
import { ROOT_SIZE_BYTES } from "../src/layout/root";
import { CORRUPT, NEED_CATCH_UP, NEED_PAGES } from "../src/layout/result";
import { MAX_SLOT_COUNT, S_SCRATCH, SLOT_SIZE_BYTES } from "../src/layout/slot";
import { TABLE_BYTES_PER_PAGE } from "../src/layout/page";
import { getHeader, loadSizePages } from "./mem";

/** This participant's slot: its index + 1 as it stands in page states, and its address. 0 = none (read-only). */
export let me: u32 = 0;
export let mySlot: usize = 0;

export let slotCount: u32 = 0;
export let slotsOffset: usize = 0;
export let rootCount: u32 = 0;
export let rootsOffset: usize = 0;
export let tableOffset: usize = 0;
export let dataOffset: usize = 0;
export let spanPages: u32 = 0;

/** Where the caller leaves arguments that do not fit in registers: in its slot, so only participants have it. */
export let scratchOffset: usize = 0;

let error: i32 = 0;
let detail: u32 = 0;

/**
 * Reads the header's constants into the instance, checking each against what the others allow, so that nothing
 * below has to. Returns 0, or the offset of the first that contradicts them.
 */
export function attach(): u32 {
  slotCount = getHeader(H_SLOT_COUNT);
  slotsOffset = getHeader(H_SLOTS_OFFSET);
  rootCount = getHeader(H_ROOT_COUNT);
  rootsOffset = getHeader(H_ROOTS_OFFSET);
  tableOffset = getHeader(H_TABLE_OFFSET);
  dataOffset = getHeader(H_DATA_OFFSET);
  spanPages = getHeader(H_SPAN_PAGES);
  me = 0;
  mySlot = 0;
  if (spanPages == 0 || spanPages > <u32>MAX_PAGE_COUNT) return H_SPAN_PAGES;
  if (slotCount == 0 || slotCount > <u32>MAX_SLOT_COUNT) return H_SLOT_COUNT;
  if (slotsOffset != HEADER_SIZE_BYTES) return H_SLOTS_OFFSET;
  const mapped = (<u64>memory.size()) << PAGE_SHIFT;
  let end = <u64>slotsOffset + <u64>slotCount * SLOT_SIZE_BYTES;
  if (rootsOffset != 0) {
    if (rootsOffset < end || rootCount > 65536) return H_ROOTS_OFFSET;
    end = <u64>rootsOffset + <u64>rootCount * ROOT_SIZE_BYTES;
  }
  if (tableOffset != 0) {
    if (tableOffset < end || (tableOffset & (TABLE_BYTES_PER_PAGE - 1)) != 0) return H_TABLE_OFFSET;
    end = <u64>tableOffset + <u64>spanPages * TABLE_BYTES_PER_PAGE;
    if ((dataOffset & (PAGE_SIZE_BYTES - 1)) != 0) return H_DATA_OFFSET;
  }
  if (dataOffset < end || dataOffset > mapped) return H_DATA_OFFSET;
  return 0;
}

/** From now on this instance speaks for the participant in slot `index` (which must be in range). */
export function become(index: u32): void {
  me = index + 1;
  mySlot = slotAt(index);
  scratchOffset = mySlot + S_SCRATCH;
}

@inline
export function slotAt(index: u32): usize {
  return slotsOffset + index * SLOT_SIZE_BYTES;
}

/** Address of a page's descriptor. The table covers the whole span, so any page below it has one. */
@inline
export function pageAt(index: u32): usize {
  return tableOffset + index * TABLE_BYTES_PER_PAGE;
}

@inline
export function firstDataPage(): u32 {
  return <u32>(dataOffset >> PAGE_SHIFT);
}

/** Pages that exist and that this participant can reach: what it may look at. */
export function reachablePages(): u32 {
  const published = loadSizePages();
  const mapped = <u32>memory.size();
  const pages = published < mapped ? published : mapped;
  return pages < spanPages ? pages : spanPages;
}

/** Records why a call failed; returns the code so that a caller can `return fail(…)`. */
export function fail(code: i32): i32 {
  error = code;
  return code;
}

export function failNeeding(pages: u32): void {
  error = loadSizePages() > <u32>memory.size() ? NEED_CATCH_UP : NEED_PAGES;
  detail = pages;
}

export function corruptAt(offset: usize): i32 {
  detail = <u32>offset;
  error = CORRUPT;
  return CORRUPT;
}

export function setBlocker(slotIndex: u32): void {
  detail = slotIndex;
}

/** Why the last call that returned 0 or -1 did. */
export function lastError(): i32 {
  return error;
}

/**
 * What belongs to lastError(): after NEED_PAGES how many consecutive pages would do; after LOCKED the index of the slot
 * that holds the lock; after CORRUPT the offset of what contradicts itself.
 */
export function errorDetail(): u32 {
  return detail;
}
