/**
 * Counting: what a heap holds, found by walking it. Costs the allocator nothing; is as exact as a walk beside running
 * participants can be.
 */

import { ALLOCATOR_BUDDY, ALLOCATOR_SLAB, PAGE_SIZE_BYTES } from "../layout/header.ts";
import type { Region } from "../region/index.ts";
import { allocatorName } from "./allocators.ts";
import type { AllocatorName } from "./allocators.ts";
import type { BlockCounts, ClassStats, PageStats } from "./counts.ts";
import { countBuddy } from "./stats-buddy.ts";
import { countFit } from "./stats-fit.ts";
import { countSlab } from "./stats-slab.ts";

/** One participant's part in a heap. */
export interface ParticipantStats {
  readonly slot: number;
  readonly pid: number;
  readonly threadId: number;
  readonly alive: boolean;
  /** Slab: pages that it allocates from. Else 0. */
  readonly pages: number;
  readonly ownedBlocks: number;
  readonly ownedBytes: number;
}

/** A heap in numbers. Sizes in bytes; a page is 64 KiB. */
export interface HeapStats {
  readonly allocator: AllocatorName;
  /** Of the segment, Shoal's own bytes included. */
  readonly sizeBytes: number;
  readonly spanBytes: number;
  /** Room for blocks in the segment as it is. */
  readonly dataBytes: number;
  readonly pages: PageStats;
  /** `free`: slab: blocks of pages that are in use for their class; else free pieces. */
  readonly blocks: { readonly used: number; readonly free: number };
  /** Usable bytes of the allocated blocks. */
  readonly usedBytes: number;
  /** Bytes that can still be allocated in the segment as it is, if the sizes fit. */
  readonly freeBytes: number;
  /** The largest request of the caller's that would succeed without growing. */
  readonly largestFreeBytes: number;
  /** 0 = what is free is in one piece, towards 1 = in many small ones: 1 - largestFreeBytes / freeBytes. */
  readonly fragmentation: number;
  /** How far into the data blocks have ever reached. */
  readonly highWaterBytes: number;
  readonly classes: readonly ClassStats[];
  /** Slab: blocks of whole pages. Else 0. */
  readonly runs: number;
  /** Slab: pages whose owner has gone and that nobody has adopted yet. Else 0. */
  readonly orphanPages: number;
  /** Who has the heap open for writing, and what is whose. */
  readonly participants: readonly ParticipantStats[];
  readonly recoveries: number;
  readonly growths: number;
}

function countBlocks(region: Region): BlockCounts {
  const { allocator } = region.session.geometry;
  if (allocator === ALLOCATOR_SLAB) return countSlab(region);
  return allocator === ALLOCATOR_BUDDY ? countBuddy(region) : countFit(region);
}

function statsOfParticipants(region: Region, counts: BlockCounts): ParticipantStats[] {
  return region.participants().map(({ index, pid, threadId, alive }) => {
    const owned = counts.owned.get(index) ?? { blocks: 0, bytes: 0, pages: 0 };
    return {
      slot: index,
      pid,
      threadId,
      alive,
      pages: owned.pages,
      ownedBlocks: owned.blocks,
      ownedBytes: owned.bytes,
    };
  });
}

/** Counts a heap. */
export function countHeap(region: Region): HeapStats {
  const counts = countBlocks(region);
  const { allocator, dataOffset } = region.session.geometry;
  const { freeBytes, largestFreeBytes } = counts;
  const highWater = (region.survey.highWaterPages() >>> 0) * PAGE_SIZE_BYTES;
  return {
    allocator: allocatorName(allocator),
    sizeBytes: region.segmentSizeBytes,
    spanBytes: region.spanBytes,
    dataBytes: region.segmentSizeBytes - dataOffset,
    pages: counts.pages,
    blocks: { used: counts.usedBlocks, free: counts.freeBlocks },
    usedBytes: counts.usedBytes,
    freeBytes,
    largestFreeBytes,
    fragmentation: freeBytes === 0 ? 0 : 1 - largestFreeBytes / freeBytes,
    highWaterBytes: Math.max(highWater - dataOffset, 0),
    classes: counts.classes,
    runs: counts.runs,
    orphanPages: counts.orphanPages,
    participants: statsOfParticipants(region, counts),
    recoveries: region.recoveries,
    growths: region.growths,
  };
}
