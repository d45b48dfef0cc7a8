/**
 * Counting a buddy heap: what its trees hold, and who owns what. What is said of one maximal block was so in one instant.
 */

import { PAGE_SHIFT } from "../layout/header.ts";
import type { Region } from "../region/index.ts";
import { zeros } from "./counts.ts";
import type { BlockCounts, OwnedCounts } from "./counts.ts";

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

/**
 * Counts the blocks of the buddy heap in `region`. What is free counts as large as it is: two free buddies are one free
 * block of the next level.
 */
export function countBuddy(region: Region): BlockCounts {
  const { survey } = region;
  const { minShift, maxShift } = region.session.geometry;
  const { first, used: usedEnd, end } = buddyPages(region);
  const wordsPerPage = 1 << (PAGE_SHIFT - maxShift);
  const topLevel = maxShift - minShift;
  const used = zeros(topLevel + 1);
  const free = zeros(topLevel + 1);
  let pagesWithBlocks = 0;
  for (let page = first; page < usedEnd; page++) {
    let isEmpty = true;
    for (let word = page * wordsPerPage; word < (page + 1) * wordsPerPage; word++) {
      survey.treeUsed(word);
      const blocks = survey.blocksInTree();
      isEmpty &&= blocks === 0;
      addCounts(used, blocks);
      addCounts(free, survey.freeInTree());
    }
    if (!isEmpty) pagesWithBlocks++;
  }
  free[topLevel]! += (end - usedEnd) * wordsPerPage;
  const classes = used.map((count, level) => ({
    sizeBytes: 2 ** (minShift + level),
    pages: 0,
    used: count,
    free: free[level]!,
  }));
  const sum = (pick: (level: (typeof classes)[number]) => number): number =>
    classes.reduce((total, level) => total + pick(level), 0);
  const pagesFree = end - first - pagesWithBlocks;
  return {
    classes,
    pages: {
      total: end,
      metadata: first,
      free: pagesFree,
      hollow: 0,
      slab: pagesWithBlocks,
      run: 0,
      changing: 0,
    },
    usedBlocks: sum((level) => level.used),
    usedBytes: sum((level) => level.used * level.sizeBytes),
    freeBlocks: sum((level) => level.free),
    freeBytes: sum((level) => level.free * level.sizeBytes),
    largestFreeBytes: classes.findLast((level) => level.free > 0)?.sizeBytes ?? 0,
    runs: 0,
    orphanPages: 0,
    owned: countOwned(region),
  };
}

/** What each participant owns, by slot index. */
function countOwned(region: Region): Map<number, OwnedCounts> {
  const { survey } = region;
  const { minShift } = region.session.geometry;
  const found = new Map<number, { blocks: number; bytes: number; pages: number }>();
  let handle = survey.nextOwnedBlock(0) >>> 0;
  while (handle !== 0) {
    const owner = survey.ownerOf(handle) >>> 0;
    const sizeBytes = survey.usableSize(handle) >>> 0;
    // 0: it has been freed or shared since.
    if (owner !== 0 && sizeBytes !== 0) {
      const counts = found.get(owner - 1) ?? { blocks: 0, bytes: 0, pages: 0 };
      counts.blocks++;
      counts.bytes += sizeBytes;
      found.set(owner - 1, counts);
    }
    const next = handle + Math.max(sizeBytes, 2 ** minShift);
    handle = next < 2 ** 32 ? survey.nextOwnedBlock(next) >>> 0 : 0;
  }
  return found;
}
