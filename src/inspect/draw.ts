/**
 * A heap's own bookkeeping, drawn: what the allocator knows of each page, maximal block or block, bit by bit.
 *
 * Reads the segment and nothing else, so it can be called beside those who work on the heap, who may change it meanwhile:
 * each row is one moment, the whole need not be.
 */
import { shoalError } from "../errors.ts";
import { Heap } from "../heap/index.ts";
import type { AllocatorName } from "../heap/index.ts";
import { PAGE_SIZE_BYTES } from "../layout/header.ts";
import { drawBuddy } from "./draw-buddy.ts";
import type { BuddyRow } from "./draw-buddy.ts";
import { drawFirstFit } from "./draw-first-fit.ts";
import type { FirstFitRow } from "./draw-first-fit.ts";
import { drawSlab } from "./draw-slab.ts";
import type { SlabRow } from "./draw-slab.ts";
import { openOptions } from "./segment.ts";
import type { InspectOptions } from "./segment.ts";

/** Which rows are drawn, by their numbers. */
export interface DrawOptions {
  /** Default 0. */
  readonly from?: number;
  /** The last one. Default: 63 more than the first. */
  readonly to?: number;
}

/** Numbers from the header and the counters: sizes and offsets in bytes. */
export type Bookkeeping = Readonly<Record<string, number>>;

interface Drawing<Name extends AllocatorName, Unit extends string, Row> {
  readonly name: string;
  readonly allocator: Name;
  readonly bookkeeping: Bookkeeping;
  /** What there is a row of. They are numbered from 0, from the start of the data on. */
  readonly unit: Unit;
  /** How many of them there are, drawn or not. */
  readonly count: number;
  readonly rows: readonly Row[];
}

/** A heap, drawn as its allocator keeps it. */
export type HeapDrawing =
  | Drawing<"slab", "page", SlabRow>
  | Drawing<"buddy", "maximal block", BuddyRow>
  | Drawing<"first-fit", "block", FirstFitRow>;

/** How many rows are drawn from the first one on. */
export const DEFAULT_ROWS = 64;

function rangeOf({ from = 0, to = from + DEFAULT_ROWS - 1 }: DrawOptions): { from: number; to: number } {
  if (Number.isSafeInteger(from) && Number.isSafeInteger(to) && from >= 0 && to >= from) return { from, to };
  throw shoalError("ERR_SHOAL_ARGUMENT", `rows ${from} to ${to} are no range; they are numbered from 0`, {
    from,
    to,
  });
}

function bookkeepingOf({ region, plan }: Heap): Bookkeeping {
  const { geometry } = region.session;
  const { tableOffset, tableBytesPerPage, sideOffset, sideBytes, slotsOffset, slotCount } = geometry;
  const { rootsOffset, rootCount, dataOffset } = geometry;
  return {
    segmentSizeBytes: region.segmentSizeBytes,
    spanBytes: region.spanBytes,
    slotsOffset,
    slotCount,
    rootsOffset,
    rootCount,
    tableOffset,
    tableBytesPerPage,
    sideOffset,
    sideBytes,
    dataOffset,
    minBlockBytes: plan.minBlockBytes,
    maxBlockBytes: plan.maxBlockBytes,
    headerBytes: plan.headerBytes,
    highWaterBytes: Math.max((region.survey.highWaterPages() >>> 0) * PAGE_SIZE_BYTES - dataOffset, 0),
    growths: region.growths,
    recoveries: region.recoveries,
  };
}

/**
 * Draws a heap that is open.
 *
 * @throws ERR_SHOAL_ARGUMENT (no such range), ERR_SHOAL_CLOSED
 */
export function drawHeap(heap: Heap, options: DrawOptions = {}): HeapDrawing {
  const { from, to } = rangeOf(options);
  const { allocator, region } = heap;
  region.catchUp();
  region.check();
  const common = { name: region.name, bookkeeping: bookkeepingOf(heap) };
  switch (allocator) {
    case "slab":
      return { ...common, allocator, unit: "page", ...drawSlab(region, from, to) };
    case "buddy":
      return { ...common, allocator, unit: "maximal block", ...drawBuddy(region, from, to) };
    case "first-fit":
      return { ...common, allocator, unit: "block", ...drawFirstFit(heap, from, to) };
  }
}

/**
 * Draws a heap by its name, without taking part in it.
 *
 * @throws what Heap.open throws, and ERR_SHOAL_ARGUMENT
 */
export function drawSegment(name: string, options: InspectOptions & DrawOptions = {}): HeapDrawing {
  using heap = Heap.open(name, openOptions(options));
  return drawHeap(heap, options);
}
