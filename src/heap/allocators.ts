/**
 * The allocators by name, and what a heap with each is created with.
 */

import { shoalError } from "../errors.ts";
import {
  BUDDY_DEFAULT_MAX_SHIFT,
  BUDDY_DEFAULT_MIN_SHIFT,
  BUDDY_LEAST_SHIFT,
  BUDDY_MOST_LEVELS,
  BUDDY_MOST_SHIFT,
} from "../layout/buddy.ts";
import { ALLOCATOR_BUDDY, ALLOCATOR_FIRST_FIT, ALLOCATOR_SLAB } from "../layout/header.ts";
import { MAX_SEGMENT_BYTES } from "../region/geometry.ts";
import type { Contents } from "../region/geometry.ts";
import type { CreateOptions } from "../region/index.ts";

/** How blocks are found and kept: see docs/allocators.md. */
export type AllocatorName = "slab" | "buddy" | "first-fit";

/** How a heap is created. */
export interface HeapCreateOptions extends CreateOptions {
  /** Default "slab". */
  readonly allocator?: AllocatorName;
  /** "buddy": the smallest block, a power of two from 16 bytes to 64 KiB. Default 32. */
  readonly minBlockBytes?: number;
  /** "buddy": the largest block, a power of two up to 64 KiB, at most 32 times the smallest. Default 1024. */
  readonly maxBlockBytes?: number;
}

const NUMBERS: Readonly<Record<AllocatorName, number>> = {
  slab: ALLOCATOR_SLAB,
  buddy: ALLOCATOR_BUDDY,
  "first-fit": ALLOCATOR_FIRST_FIT,
};

export const ALLOCATOR_NAMES = Object.keys(NUMBERS) as readonly AllocatorName[];

/** Their numbers in the header. */
export const HEAP_ALLOCATORS: readonly number[] = Object.values(NUMBERS);

/** The name of an allocator that a header gives. */
export function allocatorName(allocator: number): AllocatorName {
  return allocator === ALLOCATOR_BUDDY ? "buddy" : allocator === ALLOCATOR_FIRST_FIT ? "first-fit" : "slab";
}

const DEFAULT_HEAP_BYTES = 2 ** 20;
/** Their tables are as long as the span wants: some 7 and 2 per cent of it, most of that never more than addresses. */
const DEFAULT_BUDDY_SPAN_BYTES = 2 ** 29;
const DEFAULT_FIT_SPAN_BYTES = 2 ** 30;

/** What a heap with these options holds. */
export function contentsOf(options: HeapCreateOptions): Contents {
  const name = options.allocator ?? "slab";
  const allocator = NUMBERS[name];
  if (allocator === undefined) {
    throw shoalError(
      "ERR_SHOAL_ARGUMENT",
      `allocator must be one of ${ALLOCATOR_NAMES.join(", ")}, not ${JSON.stringify(name)}`,
      { allocator: String(name) },
    );
  }
  const contents = { allocator, defaultSizeBytes: DEFAULT_HEAP_BYTES, minShift: 0, maxShift: 0 };
  if (name === "buddy")
    return { ...contents, ...shiftsOf(options), defaultSpanBytes: DEFAULT_BUDDY_SPAN_BYTES };
  if (options.minBlockBytes !== undefined || options.maxBlockBytes !== undefined) {
    throw shoalError(
      "ERR_SHOAL_ARGUMENT",
      `minBlockBytes and maxBlockBytes are for the buddy allocator; "${name}" has none`,
      { allocator: name },
    );
  }
  return {
    ...contents,
    defaultSpanBytes: name === "slab" ? MAX_SEGMENT_BYTES : DEFAULT_FIT_SPAN_BYTES,
  };
}

/** The exponents of a buddy heap's smallest and largest block. */
function shiftsOf({ minBlockBytes, maxBlockBytes }: HeapCreateOptions) {
  const minShift = shiftOf("minBlockBytes", minBlockBytes, BUDDY_DEFAULT_MIN_SHIFT);
  const fallback = Math.min(
    Math.max(BUDDY_DEFAULT_MAX_SHIFT, minShift),
    minShift + BUDDY_MOST_LEVELS,
    BUDDY_MOST_SHIFT,
  );
  const maxShift = shiftOf("maxBlockBytes", maxBlockBytes, fallback);
  if (maxShift >= minShift && maxShift - minShift <= BUDDY_MOST_LEVELS) return { minShift, maxShift };
  const [least, most] = [2 ** minShift, 2 ** maxShift];
  throw shoalError(
    "ERR_SHOAL_ARGUMENT",
    `a buddy heap's largest block must be 1 to ${2 ** BUDDY_MOST_LEVELS} times its smallest; ${most} is not that of ${least}`,
    { minBlockBytes: least, maxBlockBytes: most },
  );
}

function shiftOf(what: string, bytes: number | undefined, fallback: number): number {
  if (bytes === undefined) return fallback;
  const shift = Math.log2(bytes);
  if (Number.isInteger(shift) && shift >= BUDDY_LEAST_SHIFT && shift <= BUDDY_MOST_SHIFT) return shift;
  const [least, most] = [2 ** BUDDY_LEAST_SHIFT, 2 ** BUDDY_MOST_SHIFT];
  throw shoalError(
    "ERR_SHOAL_ARGUMENT",
    `${what} must be a power of two from ${least} to ${most}, not ${String(bytes)}`,
    { what, value: String(bytes), least, most },
  );
}
