/**
 * Counting: what a heap holds, found by walking its page table. Costs the allocator nothing; is as exact as a walk beside
 * running participants can be.
 */

import { PAGE_SIZE_BYTES } from "../layout/header.ts";
import {
  CLASS_LAST,
  PAGE_FREE,
  PAGE_RUN,
  PAGE_RUN_EXTENDING,
  PAGE_RUN_SHRINKING,
  PAGE_SLAB,
} from "../layout/page.ts";
import type { Region } from "../region/index.ts";

/** One size class in use. */
export interface ClassStats {
  /** Bytes of a block of this class. */
  readonly sizeBytes: number;
  readonly pages: number;
  readonly used: number;
  readonly free: number;
}

/** A heap in numbers. Sizes in bytes; a page is 64 KiB. */
export interface HeapStats {
  /** Of the segment, Shoal's own bytes included. */
  readonly sizeBytes: number;
  readonly spanBytes: number;
  readonly pages: {
    readonly total: number;
    /** Header, slots, roots and page table. */
    readonly metadata: number;
    readonly free: number;
    /** Cut into blocks of one size class. */
    readonly slab: number;
    /** In large blocks. */
    readonly run: number;
    /** Being claimed or freed at this moment. */
    readonly changing: number;
  };
  /** Of all size classes, and runs. */
  readonly blocks: { readonly used: number; readonly free: number };
  /** Bytes of allocated blocks, rounded up to their classes. */
  readonly usedBytes: number;
  readonly classes: readonly ClassStats[];
  readonly runs: number;
  /** Slab pages whose owner has gone and that nobody has adopted yet. */
  readonly orphanPages: number;
  /** The longest run of free pages, in pages. */
  readonly largestFreePages: number;
  readonly participants: number;
  readonly recoveries: number;
  readonly growths: number;
}

/** The kinds of a page that begins an allocated block of whole pages. */
export const RUN_KINDS: ReadonlySet<number> = new Set([PAGE_RUN, PAGE_RUN_EXTENDING, PAGE_RUN_SHRINKING]);

/** As many zeros. */
export function zeros(count: number): number[] {
  return Array.from({ length: count }, () => 0);
}

/** Counts a heap. */
export function countHeap(region: Region): HeapStats {
  const { survey } = region;
  const end = survey.endPage() >>> 0;
  const first = survey.firstPage() >>> 0;
  const used = zeros(CLASS_LAST + 1);
  const free = zeros(CLASS_LAST + 1);
  const classPages = zeros(CLASS_LAST + 1);
  const pages = { total: end, metadata: first, free: 0, slab: 0, run: 0, changing: 0 };
  let runs = 0;
  let orphanPages = 0;
  let largestFreePages = 0;
  let freeInRow = 0;
  for (let index = first; index < end;) {
    const kind = survey.pageKind(index) >>> 0;
    const passed = Math.min(Math.max(survey.pagesAt(index) >>> 0, 1), end - index);
    freeInRow = kind === PAGE_FREE ? freeInRow + 1 : 0;
    largestFreePages = Math.max(largestFreePages, freeInRow);
    if (kind === PAGE_FREE) pages.free++;
    else if (RUN_KINDS.has(kind)) {
      runs++;
      pages.run += passed;
    } else if (kind === PAGE_SLAB) {
      const sizeClass = Math.min(survey.pageClass(index) >>> 0, CLASS_LAST);
      const freeBlocks = survey.pageFreeBlocks(index) >>> 0;
      pages.slab++;
      classPages[sizeClass]!++;
      free[sizeClass]! += freeBlocks;
      used[sizeClass]! += (survey.pageBlockCount(index) >>> 0) - freeBlocks;
      if (survey.pageOwner(index) === 0) orphanPages++;
    } else pages.changing += passed;
    index += passed;
  }
  const classes: ClassStats[] = [];
  for (let sizeClass = 1; sizeClass <= CLASS_LAST; sizeClass++) {
    if (classPages[sizeClass] === 0) continue;
    const sizeBytes = survey.blockSizeOf(sizeClass) >>> 0;
    classes.push({
      sizeBytes,
      pages: classPages[sizeClass]!,
      used: used[sizeClass]!,
      free: free[sizeClass]!,
    });
  }
  const sum = (pick: (row: ClassStats) => number): number =>
    classes.reduce((total, row) => total + pick(row), 0);
  return {
    sizeBytes: region.segmentSizeBytes,
    spanBytes: region.spanBytes,
    pages,
    blocks: { used: sum((row) => row.used) + runs, free: sum((row) => row.free) },
    usedBytes: sum((row) => row.used * row.sizeBytes) + pages.run * PAGE_SIZE_BYTES,
    classes,
    runs,
    orphanPages,
    largestFreePages,
    participants: region.participants().filter((participant) => participant.alive).length,
    recoveries: region.recoveries,
    growths: region.growths,
  };
}
