/**
 * Counting a first-fit heap: a walk over its blocks in address order. Beside others who change the heap a block counts as it
 * was when the walk came to it.
 */

import { FIT_FLAGS_MASK, FIT_HEADER_BYTES, FIT_LEAST_BLOCK_BYTES, FIT_USED } from "../layout/fit.ts";
import { PAGE_SHIFT, PAGE_SIZE_BYTES } from "../layout/header.ts";
import type { Survey } from "../region/core.ts";
import type { Region } from "../region/index.ts";
import { zeros } from "./counts.ts";
import type { BlockCounts, ClassStats, OwnedCounts } from "./counts.ts";

/** What a walk adds up. Blocks are counted by the power of two that holds them, header included. */
interface Tally {
  readonly used: number[];
  readonly free: number[];
  readonly owned: Map<number, { blocks: number; bytes: number; pages: number }>;
  usedBlocks: number;
  usedBytes: number;
  freeBytes: number;
  largestFreeBytes: number;
  /** Pages with a part of a used block in them. */
  pagesUsed: number;
  /** One past the last of those. */
  pagesTo: number;
}

const SIZE_BITS = 33;

/** Counts the blocks of the first-fit heap in `region`. */
export function countFit(region: Region): BlockCounts {
  const { survey } = region;
  const first = survey.firstPage() >>> 0;
  const end = survey.endPage() >>> 0;
  const tally: Tally = {
    used: zeros(SIZE_BITS),
    free: zeros(SIZE_BITS),
    owned: new Map(),
    usedBlocks: 0,
    usedBytes: 0,
    freeBytes: 0,
    largestFreeBytes: 0,
    pagesUsed: 0,
    pagesTo: first,
  };
  let from = first * PAGE_SIZE_BYTES;
  // What a block may yet be joined with at the end: the free one before it, or nothing.
  let freeBefore = 0;
  while (from < end * PAGE_SIZE_BYTES) {
    const start = survey.nextFitStart(from) >>> 0;
    if (start === 0) break;
    const word = survey.fitWordAt(start) >>> 0;
    const sizeBytes = Math.max((word & ~FIT_FLAGS_MASK) >>> 0, FIT_LEAST_BLOCK_BYTES);
    const isUsed = (word & FIT_USED) !== 0;
    if (isUsed) addUsed(survey, tally, start, sizeBytes);
    else addFree(tally, sizeBytes, 1);
    freeBefore = isUsed ? 0 : sizeBytes;
    from = start + sizeBytes;
  }
  addUntaken(tally, (end - Math.max(survey.fitEndPage() >>> 0, first)) * PAGE_SIZE_BYTES, freeBefore);
  const pagesFree = end - first - tally.pagesUsed;
  return {
    classes: classesOf(tally),
    pages: {
      total: end,
      metadata: first,
      free: pagesFree,
      hollow: 0,
      slab: tally.pagesUsed,
      run: 0,
      changing: 0,
    },
    usedBlocks: tally.usedBlocks,
    usedBytes: tally.usedBytes,
    freeBlocks: tally.free.reduce((sum, count) => sum + count, 0),
    freeBytes: tally.freeBytes,
    largestFreeBytes: tally.largestFreeBytes,
    runs: 0,
    orphanPages: 0,
    owned: tally.owned,
  };
}

function addUsed(survey: Survey, tally: Tally, start: number, sizeBytes: number): void {
  const handle = start + FIT_HEADER_BYTES;
  tally.used[bitsOf(sizeBytes)]!++;
  tally.usedBlocks++;
  tally.usedBytes += sizeBytes - FIT_HEADER_BYTES;
  const firstPage = Math.max(start >>> PAGE_SHIFT, tally.pagesTo);
  const endPage = Math.floor((start + sizeBytes - 1) / PAGE_SIZE_BYTES) + 1;
  tally.pagesUsed += Math.max(endPage - firstPage, 0);
  tally.pagesTo = Math.max(tally.pagesTo, endPage);
  const owner = survey.ownerOf(handle) >>> 0;
  if (owner !== 0) addOwned(tally.owned, owner - 1, sizeBytes - FIT_HEADER_BYTES);
}

function addOwned(owned: Tally["owned"], slot: number, sizeBytes: number): void {
  const counts: { -readonly [Key in keyof OwnedCounts]: number } = owned.get(slot) ?? {
    blocks: 0,
    bytes: 0,
    pages: 0,
  };
  counts.blocks++;
  counts.bytes += sizeBytes;
  owned.set(slot, counts);
}

/** A free block that gives its taker `sizeBytes` less the header. */
function addFree(tally: Tally, sizeBytes: number, count: number): void {
  tally.free[bitsOf(sizeBytes)]! += count;
  tally.freeBytes += count * (sizeBytes - FIT_HEADER_BYTES);
  tally.largestFreeBytes = Math.max(tally.largestFreeBytes, sizeBytes - FIT_HEADER_BYTES);
}

/** Pages that were added to the segment and that no call has taken in yet: they will be one with the free block before. */
function addUntaken(tally: Tally, untakenBytes: number, freeBefore: number): void {
  if (untakenBytes <= 0) return;
  if (freeBefore > 0) addFree(tally, freeBefore, -1);
  addFree(tally, freeBefore + untakenBytes, 1);
}

/** The exponent of the least power of two that holds `sizeBytes`. */
function bitsOf(sizeBytes: number): number {
  return Math.ceil(Math.log2(sizeBytes));
}

function classesOf(tally: Tally): ClassStats[] {
  return tally.used.flatMap((used, bits) => {
    const free = tally.free[bits]!;
    return used + free === 0 ? [] : [{ sizeBytes: 2 ** bits - FIT_HEADER_BYTES, pages: 0, used, free }];
  });
}
