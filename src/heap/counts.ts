/**
 * What is counted in a heap, whichever allocator it has. Each allocator's own walk is in stats-slab.ts, stats-buddy.ts and
 * stats-fit.ts; stats.ts puts the rest to it.
 */

/** Blocks of one size. */
export interface ClassStats {
  /** Slab: bytes of a block of the class; buddy: of the level; first-fit: the most that a block counted here has. */
  readonly sizeBytes: number;
  /** Slab: pages that are cut into blocks of this class; else 0. */
  readonly pages: number;
  readonly used: number;
  readonly free: number;
}

/** Pages of 64 KiB, by what they are for. */
export interface PageStats {
  readonly total: number;
  /** Header, slots, roots and tables; owners arrays of a slab heap. */
  readonly metadata: number;
  /** With no block in them. */
  readonly free: number;
  /** Of the free ones, those whose storage was given back (trim). */
  readonly hollow: number;
  /** Slab: cut into blocks of one size class. Else: with blocks in them. */
  readonly slab: number;
  /** Slab: in large blocks. Else 0. */
  readonly run: number;
  /** Slab: being claimed or freed at this moment. Else 0. */
  readonly changing: number;
}

/** What one participant owns. */
export interface OwnedCounts {
  readonly blocks: number;
  readonly bytes: number;
  /** Slab: pages that it allocates from. Else 0. */
  readonly pages: number;
}

/** What an allocator's walk finds. */
export interface BlockCounts {
  readonly classes: readonly ClassStats[];
  readonly pages: PageStats;
  readonly usedBlocks: number;
  /** Usable bytes of the allocated blocks. */
  readonly usedBytes: number;
  /** Slab: free blocks of pages that are in use for their class. Buddy, first-fit: free pieces. */
  readonly freeBlocks: number;
  /** Bytes that can still be allocated in the segment as it is, if the sizes fit. */
  readonly freeBytes: number;
  /** The largest request that would succeed without growing. */
  readonly largestFreeBytes: number;
  /** Slab: large blocks. */
  readonly runs: number;
  /** Slab: pages whose owner has gone and that nobody has adopted yet. */
  readonly orphanPages: number;
  /** By slot index. */
  readonly owned: ReadonlyMap<number, OwnedCounts>;
}

/** As many zeros. */
export function zeros(count: number): number[] {
  return Array.from({ length: count }, () => 0);
}
