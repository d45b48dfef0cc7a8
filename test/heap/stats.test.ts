/** What a heap says of its blocks: their bytes, and the counts of all of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Heap } from "../../src/heap/index.ts";
import type { Handle } from "../../src/heap/index.ts";
import { assertFilled, assertSound, createHeap, fill, openHeap } from "../helpers/heaps.ts";

const PAGE = 65536;

test("all blocks of all classes lie apart, and every byte of each is its own", (t) => {
  const heap = createHeap(t);
  const sizes = [1, 17, 48, 100, 256, 257, 1000, 2049, 8192, 9000, 16_000, 21_840, 32_768, 40_000, 100_000];
  const blocks: { handle: Handle; sizeBytes: number }[] = [];
  for (const sizeBytes of sizes) {
    const count = Math.max(3, Math.ceil((2.2 * PAGE) / sizeBytes / (sizeBytes < 100 ? 8 : 1)));
    for (let index = 0; index < count; index++) {
      const handle = heap.alloc(sizeBytes);
      blocks.push({ handle, sizeBytes: heap.usableSize(handle) });
    }
  }
  blocks.sort((one, other) => one.handle - other.handle);
  for (const [index, { handle, sizeBytes }] of blocks.entries()) {
    const next = blocks[index + 1];
    if (next !== undefined)
      assert.ok(handle + sizeBytes <= next.handle, `${handle} reaches into ${next.handle}`);
    fill(heap, handle, index % 251);
  }
  for (const [index, { handle, sizeBytes }] of blocks.entries())
    assertFilled(heap, handle, index % 251, sizeBytes);
  // Filling every byte has touched nothing of the heap's own.
  assert.equal(heap.verify().blocks, blocks.length);
  assertSound(heap);
});

test("bytes gives a view of the whole block, or of its first bytes", (t) => {
  const heap = createHeap(t);
  const handle = heap.alloc(20);
  assert.equal(heap.bytes(handle).length, 32);
  assert.equal(heap.bytes(handle, 20).length, 20);
  assert.equal(heap.bytes(handle, 0).length, 0);
  assert.equal(heap.bytes(handle).byteOffset, handle);
  assert.ok(heap.bytes(handle).buffer instanceof SharedArrayBuffer);
});

test("stats count pages, classes, blocks and bytes as they are", (t) => {
  const heap = createHeap(t);
  const fresh = heap.stats();
  assert.deepEqual(
    [fresh.pages.free, fresh.pages.slab, fresh.pages.run, fresh.blocks.used, fresh.usedBytes, fresh.runs],
    [16, 0, 0, 0, 0, 0],
  );
  const handles = Array.from({ length: 100 }, () => heap.alloc(1000));
  heap.alloc(100_000);
  const full = heap.stats();
  assert.deepEqual(full.classes, [{ sizeBytes: 1024, pages: 2, used: 100, free: 28 }]);
  assert.deepEqual(full.blocks, { used: 101, free: 28 });
  assert.equal(full.usedBytes, 100 * 1024 + 2 * PAGE);
  assert.deepEqual([full.pages.slab, full.pages.run, full.pages.free, full.runs], [2, 2, 12, 1]);
  assert.equal(full.largestFreeBytes, 12 * PAGE);
  assert.equal(full.freeBytes, 12 * PAGE + 28 * 1024);
  assert.equal(full.fragmentation, 1 - (12 * PAGE) / full.freeBytes);
  assert.equal(full.highWaterBytes, 4 * PAGE);
  assert.deepEqual(
    full.participants.map(({ pid, pages, ownedBlocks, alive }) => ({ pid, pages, ownedBlocks, alive })),
    [{ pid: process.pid, pages: 2, ownedBlocks: 0, alive: true }],
  );
  openHeap(t, heap);
  assert.equal(heap.stats().participants.length, 2);
  for (const handle of handles) heap.free(handle);
  assert.deepEqual(heap.stats().blocks, { used: 1, free: 64 });
  assert.equal(heap.stats().highWaterBytes, 4 * PAGE, "the mark stays");
  assert.equal(heap.verify().blocks, 1);
});

test("openOrCreate makes a heap once, and opens it from then on", (t) => {
  const name = createHeap(t).region.name;
  using again = Heap.openOrCreate(name);
  assert.equal(again.region.created, false);
  assert.equal(again.allocator, "slab");
});
