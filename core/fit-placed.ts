/**
 * Finding room for a block at a multiple of more than eight bytes.
 *
 * What is skipped in front of it stays free, so it must be enough for a block, or nothing. First the lowest free block that
 * has room wherever it lies; when there is none, all that are large enough are looked at, lowest first.
 */

import { CHUNK_SHIFT, FIT_ALIGNMENT_BYTES, FIT_HEADER_BYTES, FIT_LEAST_BLOCK_BYTES } from "../src/layout/fit";
import { isUsed } from "./fit-blocks";
import { chunkAfter, chunkStarts, classOf, CONTRADICTION, findFirst, firstChunk, NOWHERE } from "./fit-index";
import { getBlockWord, getStarts } from "./mem-fit";
import { dataOffset, spanPages } from "./state";
import { PAGE_SHIFT } from "../src/layout/header";

/** Bytes to skip in a free block at `start` so that a handle in it is a multiple of `alignmentBytes` (16 or more). */
export function frontOf(start: u32, alignmentBytes: u32): u32 {
  const front: u32 = (0 - (start + FIT_HEADER_BYTES)) & (alignmentBytes - 1);
  return front != 0 && front < <u32>FIT_LEAST_BLOCK_BYTES ? front + alignmentBytes : front;
}

/**
 * A free block with room for one of `size` bytes that is placed so: where it begins; NOWHERE, CONTRADICTION. `pages` is how
 * many pages the blocks reach over.
 */
export function findPlaced(size: u32, alignmentBytes: u32, pages: u32): u32 {
  if (alignmentBytes <= <u32>FIT_ALIGNMENT_BYTES) return findFirst(size, pages);
  // The most that can be skipped, an alignment and half a block, is no more than this.
  const most = <u64>size + alignmentBytes + FIT_ALIGNMENT_BYTES;
  if (most < ((<u64>spanPages) << PAGE_SHIFT) - <u64>dataOffset) {
    const start = findFirst(<u32>most, pages);
    if (start != NOWHERE) return start;
  }
  const wanted = classOf(size);
  let chunk = firstChunk(wanted, pages);
  while (chunk > CONTRADICTION) {
    const start = placedInChunk(chunk, size, alignmentBytes);
    if (start != 0) return start;
    chunk = chunkAfter(chunk, wanted, pages);
  }
  return chunk;
}

function placedInChunk(chunk: u32, size: u32, alignmentBytes: u32): u32 {
  const starts = chunkStarts(chunk);
  for (let half: u32 = 0; half < 2; half++) {
    for (let bits = getStarts(starts + (half << 3)); bits != 0; bits &= bits - 1) {
      const start = (chunk << CHUNK_SHIFT) + (half << 9) + ((<u32>ctz(bits)) << 3);
      const word = getBlockWord(start);
      if (!isUsed(word) && word >= size && word - size >= frontOf(start, alignmentBytes)) return start;
    }
  }
  return 0;
}
