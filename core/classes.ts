/**
 * Size classes: which block size serves a request, computed rather than tabled (the core has no static data).
 *
 *     class  1..16   16, 32, … 256 bytes                         16-byte steps
 *     class 17..56   288, 320, … 8192 bytes                      eight steps a doubling: at most 12.5 % rounding
 *     class 57..62   9360, 10912, 13104, 16384, 21840, 32768     a page cut in 7, 6, 5, 4, 3, 2
 *
 * Every size is a multiple of 16, and every block is aligned to the largest power of two that divides its class's size.
 * Requests above 32768 bytes are runs of whole pages.
 */

import { PAGE_SIZE_BYTES } from "../src/layout/header";
import {
  BITMAP_PAIR_BYTES,
  BLOCKS_PER_WORD,
  CLASS_LAST,
  LINEAR_LIMIT_BYTES,
  SMALL_LIMIT_BYTES,
  STEPPED_LIMIT_BYTES,
} from "../src/layout/page";

/** The class for a request of 1..32768 bytes. */
@inline
export function classOf(sizeBytes: u32): u32 {
  if (sizeBytes <= <u32>LINEAR_LIMIT_BYTES) return (sizeBytes + 15) >> 4;
  return classOfLarger(sizeBytes);
}

function classOfLarger(sizeBytes: u32): u32 {
  if (sizeBytes <= <u32>STEPPED_LIMIT_BYTES) {
    const last = sizeBytes - 1;
    const exponent = 31 - clz<u32>(last);
    return (last >> (exponent - 3)) - 8 + ((exponent - 8) << 3) + 17;
  }
  for (let sizeClass: u32 = 57; sizeClass < <u32>CLASS_LAST; sizeClass++) {
    if (sizeBytes <= classSize(sizeClass)) return sizeClass;
  }
  return CLASS_LAST;
}

/** Block size in bytes of a class in 1..62. */
export function classSize(sizeClass: u32): u32 {
  if (sizeClass <= 16) return sizeClass << 4;
  if (sizeClass <= 56) {
    const step = sizeClass - 17;
    return (9 + (step & 7)) << ((step >> 3) + 5);
  }
  return (PAGE_SIZE_BYTES / (64 - sizeClass)) & ~15;
}

/** What the blocks of a class are aligned to: the largest power of two that divides their size. */
@inline
export function classAlignment(sizeClass: u32): u32 {
  const size = classSize(sizeClass);
  return size & (~size + 1);
}

/**
 * Offset of the first block in its page: behind the bitmap where that does not fit in the descriptor, and aligned like the
 * block's size, so that every block of the class is.
 */
export function classFirst(sizeClass: u32): u32 {
  const blocks = <u32>PAGE_SIZE_BYTES / classSize(sizeClass);
  if (blocks <= <u32>BLOCKS_PER_WORD) return 0;
  const bitmapBytes = ((blocks + BLOCKS_PER_WORD - 1) / BLOCKS_PER_WORD) * BITMAP_PAIR_BYTES;
  const mask = classAlignment(sizeClass) - 1;
  return (bitmapBytes + mask) & ~mask;
}

/** How many blocks of a class a page holds. */
export function classCount(sizeClass: u32): u32 {
  return (<u32>PAGE_SIZE_BYTES - classFirst(sizeClass)) / classSize(sizeClass);
}

/**
 * The smallest class for a request of 1..32768 bytes whose blocks are aligned to `alignmentBytes`, a power of two; 0 when
 * only runs are.
 */
export function classAligned(sizeBytes: u32, alignmentBytes: u32): u32 {
  if (alignmentBytes > <u32>SMALL_LIMIT_BYTES) return 0;
  const least = sizeBytes < alignmentBytes ? alignmentBytes : sizeBytes;
  for (let sizeClass = classOf(least); sizeClass <= <u32>CLASS_LAST; sizeClass++) {
    if (classAlignment(sizeClass) >= alignmentBytes) return sizeClass;
  }
  return 0;
}
