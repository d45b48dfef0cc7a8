/**
 * What is written into blocks: words that differ from place to place and from block to block, so that a block that another
 * one reaches into, or that was moved by a few bytes, is noticed. Of long blocks not every word: their ends, and one in
 * sixty between.
 */

import type { Heap } from "../src/heap/index.ts";

const AT_ONCE = 16;
const STEP = 61;

function wordAt(sign: number, index: number): number {
  return Math.imul(sign + index, 0x9e3779b1) ^ index;
}

/** Every block has four bytes at least, whatever was asked for. */
function wordCount(sizeBytes: number): number {
  return Math.max(1, sizeBytes >>> 2);
}

/** The next word that is looked at. */
function next(index: number): number {
  return index < AT_ONCE ? index + 1 : index + STEP;
}

/** A heap's memory as words, as far as `end`; renewed when the heap has grown. */
export type Words = (endBytes: number) => Int32Array;

export function wordsOf(heap: Heap): Words {
  let words = new Int32Array(heap.region.buffer);
  return (endBytes) => {
    if (endBytes > words.byteLength) {
      heap.region.catchUp();
      words = new Int32Array(heap.region.buffer);
    }
    return words;
  };
}

/** Writes a block's contents. */
export function stamp(words: Words, handle: number, sizeBytes: number, sign: number): void {
  const count = wordCount(sizeBytes);
  const all = words(handle + count * 4);
  const start = handle >>> 2;
  for (let index = 0; index < count; index = next(index)) all[start + index] = wordAt(sign, index);
  all[start + count - 1] = wordAt(sign, count - 1);
}

/**
 * The first word of the block that is not what was written; -1 = none.
 *
 * @param sizeBytes as it was written
 * @param keptBytes of a block that was resized: how much of that must still be there
 */
export function firstDifference(
  words: Words,
  handle: number,
  sizeBytes: number,
  sign: number,
  keptBytes?: number,
): number {
  const count = wordCount(sizeBytes);
  const kept = keptBytes === undefined ? count : Math.min(sizeBytes, keptBytes) >>> 2;
  const all = words(handle + kept * 4);
  const start = handle >>> 2;
  for (let index = 0; index < kept; index = next(index)) {
    if (all[start + index] !== wordAt(sign, index)) return index;
  }
  if (kept === count && kept > 0 && all[start + count - 1] !== wordAt(sign, count - 1)) return count - 1;
  return -1;
}

/** Whether all the words that stamp() would write are zero. */
export function isZeroed(words: Words, handle: number, sizeBytes: number): boolean {
  const count = wordCount(sizeBytes);
  const all = words(handle + count * 4);
  const start = handle >>> 2;
  for (let index = 0; index < count; index = next(index)) if (all[start + index] !== 0) return false;
  return all[start + count - 1] === 0;
}
