/**
 * Counting a buddy heap: what its trees hold, and who owns what. As exact as a walk beside running participants can be;
 * what it says of one maximal block was so in one instant.
 */

import { PAGE_SHIFT } from "../layout/header.ts";
import type { Region } from "../region/index.ts";

/** Blocks of one size. */
export interface BuddyLevel {
  readonly sizeBytes: number;
  readonly used: number;
  /** As large as they are: two free buddies are one free block of the next level. */
  readonly free: number;
}

/** What one participant owns. */
export interface BuddyOwner {
  readonly slot: number;
  readonly blocks: number;
  readonly usedBytes: number;
}

/** A buddy heap in numbers. */
export interface BuddyCounts {
  readonly minBlockBytes: number;
  readonly maxBlockBytes: number;
  /** From the smallest to the largest. */
  readonly levels: readonly BuddyLevel[];
  readonly blocks: { readonly used: number; readonly free: number };
  /** Of allocated blocks, rounded up to their sizes. */
  readonly usedBytes: number;
  readonly freeBytes: number;
  /** The largest block that can be allocated without growing. */
  readonly largestFreeBytes: number;
  readonly pages: {
    readonly total: number;
    /** Header, slots, roots and tables. */
    readonly metadata: number;
    /** That ever held a block. */
    readonly touched: number;
    /** Whose owners have storage in the side table. */
    readonly withOwners: number;
  };
  /** By slot. */
  readonly owners: readonly BuddyOwner[];
}

/** Bits that the count of each level takes in a number of survey.blocksInTree() or freeInTree(). */
const COUNT_WIDTHS = [6, 5, 4, 3, 2, 1];

/** Adds the counts of one maximal block. */
function addCounts(counts: number[], packed: number): void {
  let shift = 0;
  for (let level = 0; level < counts.length; level++) {
    const width = COUNT_WIDTHS[level]!;
    counts[level]! += (packed >>> shift) & ((1 << width) - 1);
    shift += width;
  }
}

/** The pages of the heap: [first, used) may hold blocks, [used, end) never did. */
export function buddyPages({ survey }: Region): { first: number; used: number; end: number } {
  const first = survey.firstPage() >>> 0;
  const end = survey.endPage() >>> 0;
  const highWater = survey.highWaterPages() >>> 0;
  return { first, used: Math.max(first, Math.min(highWater, end)), end };
}

/** Counts a buddy heap. */
export function countBuddy(region: Region): BuddyCounts {
  const { survey } = region;
  const { minShift, maxShift } = region.session.geometry;
  const { first, used: usedEnd, end } = buddyPages(region);
  const wordsPerPage = 1 << (PAGE_SHIFT - maxShift);
  const topLevel = maxShift - minShift;
  const used = Array.from({ length: topLevel + 1 }, () => 0);
  const free = used.slice();
  let withOwners = 0;
  for (let page = first; page < usedEnd; page++) {
    if (survey.buddyFlags(page) !== 0) withOwners++;
    for (let word = page * wordsPerPage; word < (page + 1) * wordsPerPage; word++) {
      survey.treeUsed(word);
      addCounts(used, survey.blocksInTree());
      addCounts(free, survey.freeInTree());
    }
  }
  free[topLevel]! += (end - usedEnd) * wordsPerPage;
  const levels = used.map((count, level) => ({
    sizeBytes: 2 ** (minShift + level),
    used: count,
    free: free[level]!,
  }));
  const sum = (pick: (level: BuddyLevel) => number): number =>
    levels.reduce((total, level) => total + pick(level), 0);
  return {
    minBlockBytes: 2 ** minShift,
    maxBlockBytes: 2 ** maxShift,
    levels,
    blocks: { used: sum((level) => level.used), free: sum((level) => level.free) },
    usedBytes: sum((level) => level.used * level.sizeBytes),
    freeBytes: sum((level) => level.free * level.sizeBytes),
    largestFreeBytes: levels.findLast((level) => level.free > 0)?.sizeBytes ?? 0,
    pages: { total: end, metadata: first, touched: usedEnd - first, withOwners },
    owners: countOwners(region),
  };
}

function countOwners(region: Region): BuddyOwner[] {
  const { survey } = region;
  const { minShift } = region.session.geometry;
  const found = new Map<number, { blocks: number; usedBytes: number }>();
  let handle = survey.nextOwnedBlock(0) >>> 0;
  while (handle !== 0) {
    const owner = survey.ownerOf(handle) >>> 0;
    const sizeBytes = survey.usableSize(handle) >>> 0;
    // 0: it has been freed or shared since.
    if (owner !== 0 && sizeBytes !== 0) {
      const row = found.get(owner - 1) ?? { blocks: 0, usedBytes: 0 };
      row.blocks++;
      row.usedBytes += sizeBytes;
      found.set(owner - 1, row);
    }
    const next = handle + Math.max(sizeBytes, 2 ** minShift);
    handle = next < 2 ** 32 ? survey.nextOwnedBlock(next) >>> 0 : 0;
  }
  return [...found].sort(([one], [other]) => one - other).map(([slot, row]) => ({ slot, ...row }));
}
