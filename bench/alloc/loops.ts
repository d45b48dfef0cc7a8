/**
 * The patterns, as loops over one Heap. bench/peers/driver.cpp has the same for the peers.
 *
 * A loop is a function of 1,000 pairs that is called often: engines compile a loop that is entered once less well (OSR).
 * It is repeated until its time is over, so that a slow allocator takes no longer than a fast one.
 *
 * One process calls them with one heap only (child.ts says why).
 */

import { consume } from "../harness/consume.ts";
import type { Handle, Heap } from "../../src/heap/index.ts";

export const pairsPerLoop = 1000;
const churnCount = 10_000;
const fragmentedCount = 1000;
const seed = 0x2545f491;

/** Repeats `loop` until `ms` are over, once at least; nanoseconds a pair. */
function timeLoops(ms: number, loop: () => void): number {
  const startedMs = performance.now();
  for (let loops = 1; ; loops += 1) {
    loop();
    const elapsedMs = performance.now() - startedMs;
    if (elapsedMs >= ms) return (elapsedMs * 1e6) / (loops * pairsPerLoop);
  }
}

function runPairs(heap: Heap, sizeBytes: number): number {
  let sum = 0;
  for (let index = 0; index < pairsPerLoop; index += 1) {
    const handle = heap.alloc(sizeBytes);
    sum = (sum + handle) | 0;
    heap.free(handle);
  }
  return sum;
}

/** Each block is freed at once. */
export function timeLifo(heap: Heap, sizeBytes: number, ms: number): number {
  return timeLoops(ms, () => consume(runPairs(heap, sizeBytes)));
}

/** Replaces blocks at random places; returns the state of the generator (xorshift32) to go on with. */
function replaceBlocks(heap: Heap, sizeBytes: number, live: Handle[], state: number): number {
  const count = live.length;
  let random = state;
  for (let step = 0; step < pairsPerLoop; step += 1) {
    random ^= random << 13;
    random ^= random >>> 17;
    random ^= random << 5;
    const index = Math.floor(((random >>> 0) / 2 ** 32) * count);
    heap.free(live[index] as Handle);
    live[index] = heap.alloc(sizeBytes);
  }
  return random;
}

/** Replaces random ones of the live blocks, then frees all, so that the other samples see a heap as it was. */
function timeReplacement(heap: Heap, sizeBytes: number, ms: number, live: Handle[]): number {
  let random = seed;
  const figure = timeLoops(ms, () => {
    random = replaceBlocks(heap, sizeBytes, live, random);
  });
  for (const handle of live) {
    consume(handle);
    heap.free(handle);
  }
  return figure;
}

export function timeChurn(heap: Heap, sizeBytes: number, ms: number): number {
  const live = Array.from({ length: churnCount }, () => heap.alloc(sizeBytes));
  return timeReplacement(heap, sizeBytes, ms, live);
}

/** As churn, with as many blocks as 1,000, on a heap that `fragment` has prepared. */
export function timeFragmented(heap: Heap, sizeBytes: number, ms: number): number {
  const live: Handle[] = [];
  while (live.length < fragmentedCount) {
    const handle = heap.tryAlloc(sizeBytes);
    if (handle === 0) break;
    live.push(handle);
  }
  if (live.length === 0) throw new Error(`a half-full heap has no room for ${sizeBytes} bytes.`);
  return timeReplacement(heap, sizeBytes, ms, live);
}

/** Whole numbers from 0 to `limit` - 1: xorshift32, as in the driver. */
function makeRandom(): (limit: number) => number {
  let random = seed;
  return (limit) => {
    random ^= random << 13;
    random ^= random >>> 17;
    random ^= random << 5;
    return Math.floor(((random >>> 0) / 2 ** 32) * limit);
  };
}

/** The bytes that a heap has for blocks and whatever the allocator keeps between them. */
function dataBytes({ region }: Heap): number {
  return region.segmentSizeBytes - region.dataOffset;
}

/**
 * Fills the heap with sizes from 16 to 1,000 bytes until it is out of memory for the first time, then frees a random half
 * of the blocks and leaves the rest.
 *
 * @returns the part of the heap's bytes that the sizes came to, in percent
 */
export function fragment(heap: Heap): number {
  const below = makeRandom();
  const blocks: Handle[] = [];
  let requestedBytes = 0;
  for (;;) {
    const sizeBytes = 16 + below(985);
    const handle = heap.tryAlloc(sizeBytes);
    if (handle === 0) break;
    blocks.push(handle);
    requestedBytes += sizeBytes;
  }
  // From the last to the first, for a peer's sake: see the driver.
  for (const handle of blocks.reverse()) if (below(2) === 0) heap.free(handle);
  return (100 * requestedBytes) / dataBytes(heap);
}

/** Fills the heap with blocks of one size; the bytes it has beyond these, in percent of them. */
export function fillForOverhead(heap: Heap, sizeBytes: number): number {
  let count = 0;
  while (heap.tryAlloc(sizeBytes) !== 0) count += 1;
  return 100 * (dataBytes(heap) / (sizeBytes * count) - 1);
}
