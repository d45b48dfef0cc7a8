/**
 * A heap's sizes and limits, known before it exists.
 */

import { PAGE_SIZE_BYTES } from "../layout/header.ts";
import { FIT_HEADER_BYTES } from "../layout/fit.ts";
import type { Geometry } from "../region/geometry.ts";
import { allocatorName } from "./allocators.ts";
import type { AllocatorName } from "./allocators.ts";

/** Sizes and limits of a heap. */
export interface HeapPlan {
  readonly allocator: AllocatorName;
  /** Of the whole segment, Shoal's own bytes included. */
  readonly segmentBytes: number;
  /** Shoal's own: header, slots, roots, tables. Most of it is address space without storage until it is wanted. */
  readonly overheadBytes: number;
  /** Room for blocks to begin with. */
  readonly dataBytes: number;
  /** Room for blocks when the heap has grown as far as it may. */
  readonly mostDataBytes: number;
  readonly spanBytes: number;
  /** The smallest and the largest block. What is asked for is rounded up (docs/allocators.md says how). */
  readonly minBlockBytes: number;
  readonly maxBlockBytes: number;
  /** Bytes that each block takes beside its own. */
  readonly headerBytes: number;
}

const LEAST_BLOCK_BYTES = { slab: 16, "first-fit": 8 } as const;

/** The plan of a heap with this geometry. */
export function planOf(geometry: Geometry): HeapPlan {
  const { dataOffset, minShift, maxShift } = geometry;
  const allocator = allocatorName(geometry.allocator);
  const segmentBytes = geometry.sizePages * PAGE_SIZE_BYTES;
  const spanBytes = geometry.spanPages * PAGE_SIZE_BYTES;
  const mostDataBytes = spanBytes - dataOffset;
  const headerBytes = allocator === "first-fit" ? FIT_HEADER_BYTES : 0;
  return {
    allocator,
    segmentBytes,
    overheadBytes: dataOffset,
    dataBytes: segmentBytes - dataOffset,
    mostDataBytes,
    spanBytes,
    minBlockBytes: allocator === "buddy" ? 2 ** minShift : LEAST_BLOCK_BYTES[allocator],
    maxBlockBytes: allocator === "buddy" ? 2 ** maxShift : mostDataBytes - headerBytes,
    headerBytes,
  };
}
