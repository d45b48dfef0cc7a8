/**
 * Where everything in a new segment goes, from the sizes that the caller asked for. Pure arithmetic: the bounds are
 * checked here and nowhere else.
 */

import { shoalError } from "../errors.ts";
import { HEADER_SIZE_BYTES, MAX_PAGE_COUNT, PAGE_SIZE_BYTES } from "../layout/header.ts";
import { TABLE_BYTES_PER_PAGE } from "../layout/page.ts";
import { ROOT_COUNT, ROOT_SIZE_BYTES } from "../layout/root.ts";
import { MAX_SLOT_COUNT, SLOT_SIZE_BYTES } from "../layout/slot.ts";
import { DEFAULT_PARTICIPANT_COUNT } from "./options.ts";
import type { CreateOptions } from "./options.ts";

/** The largest segment there can be: 4 GiB. */
export const MAX_SEGMENT_BYTES = MAX_PAGE_COUNT * PAGE_SIZE_BYTES;

/** What a segment holds besides plain data. `allocator` is ALLOCATOR_…; 0 = a plain region. */
export interface Contents {
  readonly allocator: number;
  readonly defaultSizeBytes: number;
}

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
  if (Number.isInteger(count) && count >= 1 && count <= MAX_SLOT_COUNT) return count;
  throw shoalError(
    "ERR_SHOAL_ARGUMENT",
    `maxParticipants must be an integer from 1 to ${MAX_SLOT_COUNT}, not ${String(count)}`,
    { what: "maxParticipants", value: String(count), least: 1, most: MAX_SLOT_COUNT },
  );
}

/** The bytes before the data. A heap's depend on its span: there is a descriptor for each page that may ever be. */
function overheadOf(slotCount: number, isHeap: boolean, spanPages: number) {
  const slotsEnd = HEADER_SIZE_BYTES + slotCount * SLOT_SIZE_BYTES;
  if (!isHeap) return { rootsOffset: 0, tableOffset: 0, dataOffset: slotsEnd };
  const tableOffset = slotsEnd + ROOT_COUNT * ROOT_SIZE_BYTES;
  const tableEnd = tableOffset + spanPages * TABLE_BYTES_PER_PAGE;
  return { rootsOffset: slotsEnd, tableOffset, dataOffset: roundUp(tableEnd, PAGE_SIZE_BYTES) };
}

/** The smallest span, in pages, whose data area holds `sizeBytes`. */
function smallestSpan(slotCount: number, isHeap: boolean, sizeBytes: number): number {
  let pages = Math.ceil(sizeBytes / PAGE_SIZE_BYTES);
  for (;;) {
    const needed = Math.ceil((overheadOf(slotCount, isHeap, pages).dataOffset + sizeBytes) / PAGE_SIZE_BYTES);
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
  const isHeap = contents.allocator !== 0;
  const sizeBytes = checkSizeBytes("sizeBytes", options.sizeBytes ?? contents.defaultSizeBytes);
  const slotCount = checkCount(options.maxParticipants ?? DEFAULT_PARTICIPANT_COUNT);
  const growStepBytes =
    options.growStepBytes === undefined ? 0 : checkSizeBytes("growStepBytes", options.growStepBytes);
  const spanPages = planSpan(options, slotCount, isHeap, sizeBytes);
  const overhead = overheadOf(slotCount, isHeap, spanPages);
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
    tableBytesPerPage: isHeap ? TABLE_BYTES_PER_PAGE : 0,
    ...overhead,
  };
}

function planSpan(options: CreateOptions, slotCount: number, isHeap: boolean, sizeBytes: number): number {
  if (options.backend === "sysv") {
    if (options.spanBytes === undefined) {
      const pages = smallestSpan(slotCount, isHeap, sizeBytes);
      return Math.min(pages, MAX_PAGE_COUNT);
    }
    throw shoalError(
      "ERR_SHOAL_SPAN",
      "a System V segment cannot grow: leave spanBytes out, and ask for sizeBytes as large as it will ever be",
      { spanBytes: options.spanBytes },
    );
  }
  return Math.floor(checkSpanBytes(options.spanBytes ?? MAX_SEGMENT_BYTES) / PAGE_SIZE_BYTES);
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
  const { tableOffset, dataOffset } = geometry;
  const endBytes = pages * PAGE_SIZE_BYTES;
  if (tableOffset === 0) {
    const offset = fromPages * PAGE_SIZE_BYTES;
    return [{ offset, lengthBytes: endBytes - offset }];
  }
  // A heap's page table is as long as its span wants, and sparse: only the described part has storage.
  const tableStart = fromPages === 0 ? 0 : tableOffset + fromPages * TABLE_BYTES_PER_PAGE;
  const tableEnd = tableOffset + pages * TABLE_BYTES_PER_PAGE;
  const dataStart = Math.max(dataOffset, fromPages * PAGE_SIZE_BYTES);
  return [
    { offset: tableStart, lengthBytes: tableEnd - tableStart },
    { offset: dataStart, lengthBytes: endBytes - dataStart },
  ];
}
