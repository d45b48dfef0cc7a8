/**
 * Counting a slab heap: a walk of its page table.
 */

import { PAGE_SIZE_BYTES } from "../layout/header.ts";
import {
  CLASS_LAST,
  PAGE_FREE,
  PAGE_HOLLOW,
  PAGE_OWNERS,
  PAGE_RUN,
  PAGE_RUN_EXTENDING,
  PAGE_RUN_SHRINKING,
  PAGE_SLAB,
  PAGE_SLAB_MARKED,
} from "../layout/page.ts";
import type { Survey } from "../region/core.ts";
import type { Region } from "../region/index.ts";
import { zeros } from "./counts.ts";
import type { BlockCounts, ClassStats, OwnedCounts } from "./counts.ts";

/** The kinds of a page that begins an allocated block of whole pages. */
export const RUN_KINDS: ReadonlySet<number> = new Set([PAGE_RUN, PAGE_RUN_EXTENDING, PAGE_RUN_SHRINKING]);

/** The kinds of a page that is cut into blocks of one class. */
export const SLAB_KINDS: ReadonlySet<number> = new Set([PAGE_SLAB, PAGE_SLAB_MARKED]);

/** What a walk adds up. */
interface Tally {
  readonly used: number[];
  readonly free: number[];
  readonly classPages: number[];
  readonly pages: {
    free: number;
    hollow: number;
    metadata: number;
    slab: number;
    run: number;
    changing: number;
  };
  readonly owned: Map<number, { blocks: number; bytes: number; pages: number }>;
  runs: number;
  orphanPages: number;
}

/** Counts the blocks of the slab heap in `region`. */
export function countSlab(region: Region): BlockCounts {
  const { survey } = region;
  const end = survey.endPage() >>> 0;
  const first = survey.firstPage() >>> 0;
  const tally: Tally = {
    used: zeros(CLASS_LAST + 1),
    free: zeros(CLASS_LAST + 1),
    classPages: zeros(CLASS_LAST + 1),
    pages: { free: 0, hollow: 0, metadata: first, slab: 0, run: 0, changing: 0 },
    owned: new Map(),
    runs: 0,
    orphanPages: 0,
  };
  let largestFreePages = 0;
  let freeInRow = 0;
  for (let index = first; index < end;) {
    const kind = survey.pageKind(index) >>> 0;
    const passed = Math.min(Math.max(survey.pagesAt(index) >>> 0, 1), end - index);
    const isFree = kind === PAGE_FREE || kind === PAGE_HOLLOW;
    freeInRow = isFree || isGivenBack(region, index, kind) ? freeInRow + 1 : 0;
    largestFreePages = Math.max(largestFreePages, freeInRow);
    if (kind === PAGE_HOLLOW) tally.pages.hollow++;
    if (isFree) tally.pages.free++;
    else if (kind === PAGE_OWNERS) tally.pages.metadata++;
    else if (RUN_KINDS.has(kind)) {
      tally.runs++;
      tally.pages.run += passed;
      addOwned(tally, survey.ownerOf(index * PAGE_SIZE_BYTES) >>> 0, passed * PAGE_SIZE_BYTES);
    } else if (SLAB_KINDS.has(kind)) {
      addSlabPage(survey, index, tally);
      if (kind === PAGE_SLAB_MARKED) addOwnedIn(survey, index, tally);
    } else tally.pages.changing += passed;
    index += passed;
  }
  return resultOf(tally, { total: end, ...tally.pages }, largestFreePages, survey);
}

/** Whether the caller's next search for pages frees this one: it is empty, and the caller's own or an orphan. */
function isGivenBack({ survey, session }: Region, index: number, kind: number): boolean {
  if (!SLAB_KINDS.has(kind) || session.slotIndex < 0) return false;
  const owner = survey.pageOwner(index) >>> 0;
  if (owner !== 0 && owner !== session.slotIndex + 1) return false;
  return survey.pageFreeBlocks(index) === survey.pageBlockCount(index);
}

function addSlabPage(survey: Survey, index: number, tally: Tally): void {
  const sizeClass = Math.min(survey.pageClass(index) >>> 0, CLASS_LAST);
  const freeBlocks = survey.pageFreeBlocks(index) >>> 0;
  tally.pages.slab++;
  tally.classPages[sizeClass]!++;
  tally.free[sizeClass]! += freeBlocks;
  tally.used[sizeClass]! += (survey.pageBlockCount(index) >>> 0) - freeBlocks;
  const owner = survey.pageOwner(index) >>> 0;
  if (owner === 0) tally.orphanPages++;
  else ownedBy(tally, owner - 1).pages++;
}

/** The blocks of a slab page that are somebody's own. */
function addOwnedIn(survey: Survey, index: number, tally: Tally): void {
  const sizeBytes = survey.blockSizeOf(survey.pageClass(index)) >>> 0;
  const end = (index + 1) * PAGE_SIZE_BYTES;
  const next = (from: number): number => survey.nextSlabBlock(from) >>> 0;
  for (let handle = next(index * PAGE_SIZE_BYTES); handle !== 0 && handle < end; handle = next(handle + 1))
    addOwned(tally, survey.foundOwner() >>> 0, sizeBytes);
}

/** `owner`: slot index + 1, 0 = nobody. */
function addOwned(tally: Tally, owner: number, sizeBytes: number): void {
  if (owner === 0) return;
  const counts = ownedBy(tally, owner - 1);
  counts.blocks++;
  counts.bytes += sizeBytes;
}

function ownedBy(tally: Tally, slot: number): { -readonly [Key in keyof OwnedCounts]: number } {
  let counts = tally.owned.get(slot);
  if (counts === undefined) tally.owned.set(slot, (counts = { blocks: 0, bytes: 0, pages: 0 }));
  return counts;
}

function resultOf(
  tally: Tally,
  pages: BlockCounts["pages"],
  largestFreePages: number,
  survey: Survey,
): BlockCounts {
  const classes: ClassStats[] = [];
  let largestFreeBytes = largestFreePages * PAGE_SIZE_BYTES;
  for (let sizeClass = 1; sizeClass <= CLASS_LAST; sizeClass++) {
    if (tally.classPages[sizeClass] === 0) continue;
    const sizeBytes = survey.blockSizeOf(sizeClass) >>> 0;
    const [used, free] = [tally.used[sizeClass]!, tally.free[sizeClass]!];
    classes.push({ sizeBytes, pages: tally.classPages[sizeClass]!, used, free });
    if (free > 0) largestFreeBytes = Math.max(largestFreeBytes, sizeBytes);
  }
  const sum = (pick: (row: ClassStats) => number): number =>
    classes.reduce((total, row) => total + pick(row), 0);
  return {
    classes,
    pages,
    usedBlocks: sum((row) => row.used) + tally.runs,
    usedBytes: sum((row) => row.used * row.sizeBytes) + pages.run * PAGE_SIZE_BYTES,
    freeBlocks: sum((row) => row.free),
    freeBytes: sum((row) => row.free * row.sizeBytes) + pages.free * PAGE_SIZE_BYTES,
    largestFreeBytes,
    runs: tally.runs,
    orphanPages: tally.orphanPages,
    owned: tally.owned,
  };
}
