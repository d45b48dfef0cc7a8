/**
 * Where everything in a new segment goes, from the sizes that the caller asked for. Pure arithmetic: the bounds are
 * checked here and nowhere else.
 */

import { shoalError } from "../errors.ts";
import { BUDDY_FLAGS_BYTES, BUDDY_OWNER_BYTES, BUDDY_TREE_BYTES } from "../layout/buddy.ts";
import { FIT_TABLE_BYTES_PER_PAGE, INDEX_FAN_OUT } from "../layout/fit.ts";
import {
  ALLOCATOR_BUDDY,
  ALLOCATOR_FIRST_FIT,
  ALLOCATOR_NONE,
  ALLOCATOR_SLAB,
  HEADER_SIZE_BYTES,
  MAX_PAGE_COUNT,
  PAGE_SIZE_BYTES,
} from "../layout/header.ts";
import { OWNERS_ENTRY_BYTES, PAGES_PER_OWNERS_PAGE, TABLE_BYTES_PER_PAGE } from "../layout/page.ts";
import { ROOT_COUNT, ROOT_SIZE_BYTES } from "../layout/root.ts";
import { SLOT_SIZE_BYTES } from "../layout/slot.ts";
import { DEFAULT_PARTICIPANT_COUNT, DEFAULT_REGION_SIZE_BYTES, MOST_PARTICIPANT_COUNT } from "./options.ts";
import type { CreateOptions } from "./options.ts";

/** The largest segment there can be: 4 GiB. */
export const MAX_SEGMENT_BYTES = MAX_PAGE_COUNT * PAGE_SIZE_BYTES;

/** What a segment holds besides plain data. `allocator` is ALLOCATOR_…; 0 = a plain region. */
export interface Contents {
  readonly allocator: number;
  readonly defaultSizeBytes: number;
  readonly defaultSpanBytes: number;
  /** Buddy heaps: log2 of the smallest and the largest block; else 0. */
  readonly minShift: number;
  readonly maxShift: number;
}

/** What a plain region holds. */
export const PLAIN: Contents = {
  allocator: ALLOCATOR_NONE,
  defaultSizeBytes: DEFAULT_REGION_SIZE_BYTES,
  defaultSpanBytes: MAX_SEGMENT_BYTES,
  minShift: 0,
  maxShift: 0,
};

/** The offsets and sizes of a segment. */
export interface Geometry {
  readonly allocator: number;
  readonly sizePages: number;
  readonly spanPages: number;
  readonly growStepPages: number;
  readonly slotCount: number;
  readonly slotsOffset: number;
  readonly rootCount: number;
  readonly rootsOffset: number;
  readonly tableOffset: number;
  readonly tableBytesPerPage: number;
  readonly sideOffset: number;
  readonly sideBytes: number;
  readonly minShift: number;
  readonly maxShift: number;
  readonly dataOffset: number;
}

function roundUp(bytes: number, unit: number): number {
  return Math.ceil(bytes / unit) * unit;
}

/** Throws ERR_SHOAL_SIZE unless `bytes` is a whole number from 1 to 4 GiB. */
export function checkSizeBytes(what: string, bytes: number): number {
  if (Number.isSafeInteger(bytes) && bytes >= 1 && bytes <= MAX_SEGMENT_BYTES) return bytes;
  const shown = typeof bytes === "number" ? bytes : String(bytes);
  throw shoalError(
    "ERR_SHOAL_SIZE",
    `${what} must be a whole number of bytes from 1 to ${MAX_SEGMENT_BYTES} (4 GiB), not ${shown}`,
    { what, value: shown, least: 1, most: MAX_SEGMENT_BYTES },
  );
}

function checkCount(count: number): number {
  if (Number.isInteger(count) && count >= 1 && count <= MOST_PARTICIPANT_COUNT) return count;
  throw shoalError(
    "ERR_SHOAL_ARGUMENT",
    `maxParticipants must be an integer from 1 to ${MOST_PARTICIPANT_COUNT}, not ${String(count)}`,
    { what: "maxParticipants", value: String(count), least: 1, most: MOST_PARTICIPANT_COUNT },
  );
}

/** Bytes of a heap's table for each page of the span. */
function tableBytesOf({ allocator, maxShift }: Contents): number {
  switch (allocator) {
    case ALLOCATOR_SLAB:
      return TABLE_BYTES_PER_PAGE;
    case ALLOCATOR_BUDDY:
      return BUDDY_FLAGS_BYTES + (PAGE_SIZE_BYTES >> maxShift) * BUDDY_TREE_BYTES;
    case ALLOCATOR_FIRST_FIT:
      return FIT_TABLE_BYTES_PER_PAGE;
    default:
      return 0;
  }
}

/** Bytes of the first-fit index's upper levels: one for each page, each group of pages, each group of groups. */
export function indexBytesOf(spanPages: number): { pages: number; groups: number; total: number } {
  const pages = roundUp(spanPages, INDEX_FAN_OUT);
  const groups = roundUp(pages / INDEX_FAN_OUT, INDEX_FAN_OUT);
  return { pages, groups, total: pages + groups + INDEX_FAN_OUT };
}

/** Bytes of the table that a heap has beside the one that tells of its pages. */
function sideBytesOf({ allocator, minShift }: Contents, spanPages: number): number {
  switch (allocator) {
    case ALLOCATOR_SLAB:
      return roundUp(
        Math.ceil(spanPages / PAGES_PER_OWNERS_PAGE) * OWNERS_ENTRY_BYTES,
        TABLE_ALIGNMENT_BYTES,
      );
    case ALLOCATOR_BUDDY:
      return spanPages * (PAGE_SIZE_BYTES >> minShift) * BUDDY_OWNER_BYTES;
    case ALLOCATOR_FIRST_FIT:
      return indexBytesOf(spanPages).total;
    default:
      return 0;
  }
}

const TABLE_ALIGNMENT_BYTES = 64;
/** A buddy heap's side table gets its storage in pieces that do not share a page of the system's. */
const SIDE_ALIGNMENT_BYTES = 4096;

/** The bytes before the data. A heap's depend on its span: its tables have room for each page that may ever be. */
function overheadOf(slotCount: number, contents: Contents, spanPages: number) {
  const slotsEnd = HEADER_SIZE_BYTES + slotCount * SLOT_SIZE_BYTES;
  const none = { rootsOffset: 0, tableOffset: 0, sideOffset: 0, sideBytes: 0, dataOffset: slotsEnd };
  if (contents.allocator === ALLOCATOR_NONE) return none;
  const rootsEnd = slotsEnd + ROOT_COUNT * ROOT_SIZE_BYTES;
  const sideBytes = sideBytesOf(contents, spanPages);
  const tableBytes = spanPages * tableBytesOf(contents);
  const isSideLast = contents.allocator === ALLOCATOR_BUDDY;
  const tableOffset = isSideLast ? rootsEnd : rootsEnd + sideBytes;
  const sideOffset = isSideLast ? roundUp(tableOffset + tableBytes, SIDE_ALIGNMENT_BYTES) : rootsEnd;
  const end = Math.max(tableOffset + tableBytes, sideOffset + sideBytes);
  return {
    rootsOffset: slotsEnd,
    tableOffset,
    sideOffset,
    sideBytes,
    dataOffset: roundUp(end, PAGE_SIZE_BYTES),
  };
}

/** The smallest span, in pages, whose data area holds `sizeBytes`. */
function smallestSpan(slotCount: number, contents: Contents, sizeBytes: number): number {
  let pages = Math.ceil(sizeBytes / PAGE_SIZE_BYTES);
  for (;;) {
    const needed = Math.ceil(
      (overheadOf(slotCount, contents, pages).dataOffset + sizeBytes) / PAGE_SIZE_BYTES,
    );
    if (needed <= pages) return pages;
    pages = needed;
  }
}

/**
 * Lays out a new segment.
 *
 * @throws ERR_SHOAL_SIZE (no such size), ERR_SHOAL_SPAN (size beyond the span), ERR_SHOAL_ARGUMENT
 */
export function planGeometry(options: CreateOptions, contents: Contents): Geometry {
  const isHeap = contents.allocator !== ALLOCATOR_NONE;
  const sizeBytes = checkSizeBytes("sizeBytes", options.sizeBytes ?? contents.defaultSizeBytes);
  const slotCount = checkCount(options.maxParticipants ?? DEFAULT_PARTICIPANT_COUNT);
  const growStepBytes =
    options.growStepBytes === undefined ? 0 : checkSizeBytes("growStepBytes", options.growStepBytes);
  const spanPages = planSpan(options, slotCount, contents, sizeBytes);
  const overhead = overheadOf(slotCount, contents, spanPages);
  const sizePages = Math.ceil((overhead.dataOffset + sizeBytes) / PAGE_SIZE_BYTES);
  if (sizePages > spanPages) {
    const spanBytes = spanPages * PAGE_SIZE_BYTES;
    throw shoalError(
      "ERR_SHOAL_SPAN",
      `${sizeBytes} bytes and ${overhead.dataOffset} of Shoal's own do not fit in a span of ${spanBytes}; ask for a larger spanBytes`,
      { sizeBytes, overheadBytes: overhead.dataOffset, spanBytes },
    );
  }
  return {
    allocator: contents.allocator,
    sizePages,
    spanPages,
    growStepPages: Math.ceil(growStepBytes / PAGE_SIZE_BYTES),
    slotCount,
    slotsOffset: HEADER_SIZE_BYTES,
    rootCount: isHeap ? ROOT_COUNT : 0,
    tableBytesPerPage: tableBytesOf(contents),
    minShift: contents.minShift,
    maxShift: contents.maxShift,
    ...overhead,
  };
}

function planSpan(options: CreateOptions, slotCount: number, contents: Contents, sizeBytes: number): number {
  if (options.backend === "sysv") {
    if (options.spanBytes === undefined) {
      const pages = smallestSpan(slotCount, contents, sizeBytes);
      return Math.min(pages, MAX_PAGE_COUNT);
    }
    throw shoalError(
      "ERR_SHOAL_SPAN",
      "a System V segment cannot grow: leave spanBytes out, and ask for sizeBytes as large as it will ever be",
      { spanBytes: options.spanBytes },
    );
  }
  return Math.floor(checkSpanBytes(options.spanBytes ?? contents.defaultSpanBytes) / PAGE_SIZE_BYTES);
}

function checkSpanBytes(bytes: number): number {
  checkSizeBytes("spanBytes", bytes);
  if (bytes >= PAGE_SIZE_BYTES) return bytes;
  throw shoalError("ERR_SHOAL_SIZE", `spanBytes must be at least ${PAGE_SIZE_BYTES}, not ${bytes}`, {
    what: "spanBytes",
    value: bytes,
    least: PAGE_SIZE_BYTES,
    most: MAX_SEGMENT_BYTES,
  });
}

/** The ranges of the file that `pages` pages of a segment need storage for, from `fromPages` on. */
export function storageRanges(
  geometry: Geometry,
  fromPages: number,
  pages: number,
): { offset: number; lengthBytes: number }[] {
  const { tableOffset, tableBytesPerPage, dataOffset } = geometry;
  const endBytes = pages * PAGE_SIZE_BYTES;
  if (tableOffset === 0) {
    const offset = fromPages * PAGE_SIZE_BYTES;
    return [{ offset, lengthBytes: endBytes - offset }];
  }
  // A heap's page table is as long as its span wants, and sparse: only the described part has storage.
  const tableStart = fromPages === 0 ? 0 : tableOffset + fromPages * tableBytesPerPage;
  const tableEnd = tableOffset + pages * tableBytesPerPage;
  const dataStart = Math.max(dataOffset, fromPages * PAGE_SIZE_BYTES);
  return [
    { offset: tableStart, lengthBytes: tableEnd - tableStart },
    { offset: dataStart, lengthBytes: endBytes - dataStart },
  ];
}
