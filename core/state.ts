/**
 * What one participant's instance of the core knows: WebAssembly globals, private to the instance.
 *
 * *Shared* state lives in the segment (src/layout); everything here is either a copy of header words that never
 * change after `ready`, or this participant's own identity. There is no static data and no stack in linear
 * memory: instantiating the core writes nothing to the segment.
 */

import {
  BUDDY_FLAGS_BYTES,
  BUDDY_LEAST_SHIFT,
  BUDDY_MOST_LEVELS,
  BUDDY_MOST_SHIFT,
  BUDDY_OWNER_BYTES,
  BUDDY_TREE_BYTES,
} from "../src/layout/buddy";
import { FIT_TABLE_BYTES_PER_PAGE, INDEX_FAN_OUT } from "../src/layout/fit";
import {
  ALLOCATOR_BUDDY,
  ALLOCATOR_FIRST_FIT,
  ALLOCATOR_NONE,
  ALLOCATOR_SLAB,
  H_ALLOCATOR,
  H_DATA_OFFSET,
  H_MAX_SHIFT,
  H_MIN_SHIFT,
  H_SIDE_BYTES,
  H_SIDE_OFFSET,
  H_TABLE_BYTES_PER_PAGE,
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
import {
  OWNERS_ENTRY_BYTES,
  PAGES_PER_OWNERS_PAGE,
  PAGE_SLAB,
  STATE_OWNER_SHIFT,
  TABLE_BYTES_PER_PAGE,
} from "../src/layout/page";
import { getHeader, loadSizePages } from "./mem";

/** This participant's slot: its index + 1 as it stands in page states, and its address. 0 = none (read-only). */
export let me: u32 = 0;
export let mySlot: usize = 0;
/** What the low half of the state word of this participant's own slab pages that are not marked is, but for the class. */
export let mySlabs: u32 = ~0;

export let slotCount: u32 = 0;
export let slotsOffset: usize = 0;
export let rootCount: u32 = 0;
export let rootsOffset: usize = 0;
/** ALLOCATOR_…: what the segment's data is. */
let allocator: u32 = 0;
/** As ONLY_ALLOCATOR: the header says which. */
const ANY_ALLOCATOR: u32 = 255;
export let tableOffset: usize = 0;
export let tableBytesPerPage: u32 = 0;
export let sideOffset: usize = 0;
export let sideBytes: u32 = 0;
/** Buddy heaps: log2 of the smallest and the largest block. */
export let minShift: u32 = 0;
export let maxShift: u32 = 0;
export let dataOffset: usize = 0;
export let spanPages: u32 = 0;

/** Where the caller leaves arguments that do not fit in registers: in its slot, so only participants have it. */
export let scratchOffset: usize = 0;

/**
 * Which allocator the heap has. A module that is built for one allocator knows (ONLY_ALLOCATOR, set by the build), so that it
 * holds the functions of no other; the survey is built for any, and the header says it.
 */
@inline
export function isSlabHeap(): bool {
  return (ONLY_ALLOCATOR == ANY_ALLOCATOR ? allocator : ONLY_ALLOCATOR) == ALLOCATOR_SLAB;
}

@inline
export function isBuddyHeap(): bool {
  return (ONLY_ALLOCATOR == ANY_ALLOCATOR ? allocator : ONLY_ALLOCATOR) == ALLOCATOR_BUDDY;
}

@inline
export function isFitHeap(): bool {
  return (ONLY_ALLOCATOR == ANY_ALLOCATOR ? allocator : ONLY_ALLOCATOR) == ALLOCATOR_FIRST_FIT;
}

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
  allocator = getHeader(H_ALLOCATOR);
  tableOffset = getHeader(H_TABLE_OFFSET);
  tableBytesPerPage = getHeader(H_TABLE_BYTES_PER_PAGE);
  dataOffset = getHeader(H_DATA_OFFSET);
  spanPages = getHeader(H_SPAN_PAGES);
  me = 0;
  mySlot = 0;
  mySlabs = ~0;
  if (spanPages == 0 || spanPages > <u32>MAX_PAGE_COUNT) return H_SPAN_PAGES;
  if (slotCount == 0 || slotCount > <u32>MAX_SLOT_COUNT) return H_SLOT_COUNT;
  if (slotsOffset != HEADER_SIZE_BYTES) return H_SLOTS_OFFSET;
  const mapped = (<u64>memory.size()) << PAGE_SHIFT;
  let end = <u64>slotsOffset + <u64>slotCount * SLOT_SIZE_BYTES;
  if (rootsOffset == 0 && rootCount != 0) return H_ROOT_COUNT;
  if (rootsOffset != 0) {
    if (rootsOffset < end || (rootsOffset & 7) != 0 || rootCount > 65536) return H_ROOTS_OFFSET;
    end = <u64>rootsOffset + <u64>rootCount * ROOT_SIZE_BYTES;
  }
  if (allocator != ALLOCATOR_NONE) {
    if (ONLY_ALLOCATOR != ANY_ALLOCATOR && allocator != ONLY_ALLOCATOR) return H_ALLOCATOR;
    const offset = attachTables(end);
    if (offset != 0) return offset;
    end = <u64>tableOffset + <u64>spanPages * tableBytesPerPage;
    if (<u64>sideOffset + sideBytes > end) end = <u64>sideOffset + sideBytes;
    if ((dataOffset & (PAGE_SIZE_BYTES - 1)) != 0) return H_DATA_OFFSET;
  } else if (tableOffset != 0) {
    return H_TABLE_OFFSET;
  }
  if (dataOffset < end || dataOffset > mapped) return H_DATA_OFFSET;
  return 0;
}

/** The tables of a heap, which begin behind `start`. Returns 0, or the offset of what contradicts the rest. */
function attachTables(start: u64): u32 {
  sideOffset = getHeader(H_SIDE_OFFSET);
  sideBytes = getHeader(H_SIDE_BYTES);
  minShift = getHeader(H_MIN_SHIFT);
  maxShift = getHeader(H_MAX_SHIFT);
  if (<u64>tableOffset < start || (tableOffset & 7) != 0) return H_TABLE_OFFSET;
  if (<u64>sideOffset < start || (sideOffset & 7) != 0) return H_SIDE_OFFSET;
  let expected: u32 = TABLE_BYTES_PER_PAGE;
  if (isBuddyHeap()) {
    if (minShift < <u32>BUDDY_LEAST_SHIFT || maxShift > <u32>BUDDY_MOST_SHIFT) return H_MIN_SHIFT;
    if (minShift > maxShift || maxShift - minShift > <u32>BUDDY_MOST_LEVELS) return H_MAX_SHIFT;
    expected = BUDDY_FLAGS_BYTES + ((<u32>PAGE_SIZE_BYTES) >> maxShift) * BUDDY_TREE_BYTES;
  } else if (isFitHeap()) {
    expected = FIT_TABLE_BYTES_PER_PAGE;
  } else if (!isSlabHeap()) {
    return H_ALLOCATOR;
  }
  if (tableBytesPerPage != expected) return H_TABLE_BYTES_PER_PAGE;
  if (sideBytes < leastSideBytes()) return H_SIDE_BYTES;
  return 0;
}

/** How long the side table must at least be for the span. */
function leastSideBytes(): u64 {
  if (isSlabHeap()) {
    return <u64>((spanPages + PAGES_PER_OWNERS_PAGE - 1) / PAGES_PER_OWNERS_PAGE) * OWNERS_ENTRY_BYTES;
  }
  if (isBuddyHeap()) {
    return ((<u64>spanPages) << (PAGE_SHIFT - minShift)) * BUDDY_OWNER_BYTES;
  }
  const pages = (spanPages + INDEX_FAN_OUT - 1) / INDEX_FAN_OUT;
  const groups = (pages + INDEX_FAN_OUT - 1) / INDEX_FAN_OUT;
  return <u64>(pages + groups + 1) * INDEX_FAN_OUT;
}

/** From now on this instance speaks for the participant in slot `index` (which must be in range). */
export function become(index: u32): void {
  me = index + 1;
  mySlot = slotAt(index);
  mySlabs = PAGE_SLAB | (me << STATE_OWNER_SHIFT);
  scratchOffset = mySlot + S_SCRATCH;
}

/** Until the next such call this instance acts in the name of the participant `number` - 1; 0 = of none. */
export function impersonate(number: u32): void {
  if (number != 0) return become(number - 1);
  me = 0;
  mySlot = 0;
  mySlabs = ~0;
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

/** What belongs to the error that is recorded: see errorDetail(). */
export function setDetail(value: u32): void {
  detail = value;
}

/** Why the last call that returned 0 or -1 did. */
export function lastError(): i32 {
  return error;
}

/**
 * What belongs to lastError(): after NEED_PAGES how many consecutive pages would do; after LOCKED the index of the slot
 * that holds the lock, after NOT_OWNER of the one that owns the block; after CORRUPT the offset of what contradicts itself;
 * after NEED_STORAGE the page.
 */
export function errorDetail(): u32 {
  return detail;
}
