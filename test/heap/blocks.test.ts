/** Blocks: every size, every way to get and to give back one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Heap } from "../../src/index.ts";
import type { Handle } from "../../src/index.ts";
import { BACKEND_NAMES } from "../../src/region/index.ts";
import { checkHeap, createHeap, openHeap } from "../helpers/heaps.ts";

test("every size from 1 to 33000 gets a block at least as large, at most an eighth larger beyond 256 bytes", (t) => {
  const heap = createHeap(t);
  for (let size = 1; size <= 33_000; size += size < 1100 ? 1 : 37) {
    const handle = heap.alloc(size);
    const usable = heap.usableSize(handle);
    assert.ok(usable >= size, `${size} got ${usable}`);
    const most =
      size <= 256 ? size + 15 : size <= 8192 ? size * 1.125 + 16 : size <= 32_768 ? size * 1.5 : 65_536;
    assert.ok(usable <= most, `${size} got ${usable}, more than ${most}`);
    assert.equal(handle % 16, 0);
    heap.free(handle);
  }
  checkHeap(heap, 0);
});

test("at the edges of the size classes blocks have the sizes that the classes say", (t) => {
  const heap = createHeap(t);
  const sizes: [asked: number, usable: number][] = [
    [1, 16],
    [16, 16],
    [17, 32],
    [256, 256],
    [257, 288],
    [288, 288],
    [8192, 8192],
    [8193, 9360],
    [16_384, 16_384],
    [32_768, 32_768],
    [32_769, 65_536],
    [65_536, 65_536],
    [65_537, 131_072],
    [1_000_000, 1_048_576],
  ];
  for (const [asked, usable] of sizes) assert.equal(heap.usableSize(heap.alloc(asked)), usable);
  checkHeap(heap, sizes.length);
});

test("blocks of all classes do not overlap, and keep their bytes", (t) => {
  const heap = createHeap(t);
  const blocks: { handle: Handle; size: number; byte: number }[] = [];
  for (let round = 0; round < 1500; round++) {
    const size = 1 + ((round * 7919) % 40_000);
    const handle = heap.alloc(size);
    heap.bytes(handle, size).fill(round & 0xff);
    blocks.push({ handle, size, byte: round & 0xff });
  }
  const sorted = blocks.toSorted((a, b) => a.handle - b.handle);
  for (const [index, block] of sorted.entries()) {
    const next = sorted[index + 1];
    if (next) assert.ok(block.handle + heap.usableSize(block.handle) <= next.handle);
  }
  for (const { handle, size, byte } of blocks) {
    assert.ok(heap.bytes(handle, size).every((value) => value === byte));
    heap.free(handle);
  }
  checkHeap(heap, 0);
});

test("calloc zeroes what an earlier owner has left", (t) => {
  const heap = createHeap(t);
  for (const size of [48, 1000, 20_000, 200_000]) {
    const dirty = heap.alloc(size);
    heap.bytes(dirty).fill(255);
    heap.free(dirty);
    const clean = heap.calloc(size / 8, 8);
    assert.equal(clean, dirty, "the same block comes back, so that the test tests something");
    assert.ok(heap.bytes(clean).every((byte) => byte === 0));
  }
});

test("realloc keeps the contents, in place where the class or the pages behind allow it", (t) => {
  const heap = createHeap(t);
  const small = heap.alloc(100);
  heap.bytes(small, 100).fill(9);
  assert.equal(heap.realloc(small, 112), small);
  const moved = heap.realloc(small, 5000);
  assert.notEqual(moved, small);
  assert.ok(heap.bytes(moved, 100).every((byte) => byte === 9));
  const run = heap.realloc(moved, 100_000);
  assert.ok(heap.bytes(run, 100).every((byte) => byte === 9));
  assert.equal(heap.realloc(run, 300_000), run, "free pages follow it");
  assert.equal(heap.usableSize(run), 327_680);
  assert.equal(heap.realloc(run, 70_000), run, "a run shrinks in place");
  assert.equal(heap.usableSize(run), 131_072);
  const back = heap.realloc(run, 64);
  assert.ok(heap.bytes(back, 64).every((byte) => byte === 9));
  checkHeap(heap, 1);
});

test("a run that cannot be extended in place moves with its contents", (t) => {
  const heap = createHeap(t);
  const run = heap.alloc(65_536);
  const wall = heap.alloc(65_536);
  heap.bytes(run).fill(3);
  const moved = heap.realloc(run, 200_000);
  assert.notEqual(moved, run);
  assert.ok(heap.bytes(moved, 65_536).every((byte) => byte === 3));
  heap.free(wall);
  heap.free(moved);
  checkHeap(heap, 0);
});

test("allocating and freeing for ever does not grow the heap", (t) => {
  const heap = createHeap(t);
  const other = openHeap(t, heap);
  const churn = (rounds: number): void => {
    const live: Handle[] = [];
    for (let round = 0; round < rounds; round++) {
      live.push(heap.alloc(16 + ((round * 31) % 3000)));
      if (live.length > 200) (round % 2 ? heap : other).free(live.splice((round * 17) % 200, 1)[0]!);
    }
    for (const handle of live) other.free(handle);
  };
  churn(20_000);
  const size = heap.region.segmentSizeBytes;
  churn(60_000);
  assert.equal(heap.region.segmentSizeBytes, size);
  checkHeap(heap, 0);
});

test("pages that one class has emptied serve another", (t) => {
  const heap = createHeap(t, { sizeBytes: 2 ** 20, spanBytes: 8 * 2 ** 20 });
  for (const size of [32, 64, 500, 1000, 4000, 30_000, 100_000]) {
    const blocks: Handle[] = [];
    for (let handle = heap.tryAlloc(size); handle !== 0; handle = heap.tryAlloc(size)) blocks.push(handle);
    assert.ok(blocks.length * size > 2.5 * 2 ** 20, `${blocks.length} blocks of ${size}`);
    for (const handle of blocks) heap.free(handle);
  }
  checkHeap(heap, 0);
});

test("what another participant frees is found again by the owner", (t) => {
  const heap = createHeap(t, { sizeBytes: 2 ** 20, spanBytes: 8 * 2 ** 20 });
  const other = openHeap(t, heap);
  const fill = (): Handle[] => {
    const blocks: Handle[] = [];
    for (let handle = heap.tryAlloc(600); handle !== 0; handle = heap.tryAlloc(600)) blocks.push(handle);
    return blocks;
  };
  const first = fill();
  for (const handle of first) other.free(handle);
  const second = fill();
  assert.ok(second.length >= first.length);
  checkHeap(heap, second.length);
});

test("blocks outlive the participant that allocated them, and its pages are adopted", (t) => {
  const heap = createHeap(t);
  const leaver = Heap.open(heap.region.name);
  const blocks = Array.from({ length: 3000 }, (_, index) => {
    const handle = leaver.alloc(40);
    leaver.bytes(handle).fill(index & 0xff);
    return handle;
  });
  leaver.close();
  assert.ok(heap.stats().orphanPages > 0);
  for (const [index, handle] of blocks.entries()) assert.equal(heap.bytes(handle)[39], index & 0xff);
  const pages = heap.stats().pages.slab;
  for (const handle of blocks.filter((_, index) => index % 2 === 0)) heap.free(handle);
  for (let count = 0; count < 1400; count++) heap.alloc(40);
  assert.equal(heap.stats().pages.slab, pages, "the freed blocks were used before a new page was");
  checkHeap(heap, 2900);
});

test("pointers and handles are each other's inverse, and are checked against the heap's bounds", (t) => {
  const heap = createHeap(t, { fixedAddress: true });
  const handle = heap.alloc(100);
  const pointer = heap.pointerOf(handle);
  assert.equal(pointer, heap.region.fixedAddress + handle);
  assert.equal(heap.handleOf(pointer), handle);
  assert.equal(heap.pointerOf(0 as Handle), 0);
  assert.equal(heap.handleOf(0 as typeof pointer), 0);
});

for (const backend of BACKEND_NAMES) {
  test(`the heap works on ${backend}: two participants, all calls`, (t) => {
    const heap = createHeap(t, { backend, sizeBytes: 2 ** 20 });
    const other = openHeap(t, heap);
    const small = heap.calloc(10, 10);
    heap.roots.set("here", small);
    assert.equal(other.roots.get("here"), small);
    other.bytes(small)[3] = 42;
    assert.equal(heap.bytes(small)[3], 42);
    const grown = other.realloc(small, 100_000);
    heap.roots.set("here", grown);
    assert.equal(heap.bytes(grown)[3], 42);
    heap.free(grown);
    assert.equal(heap.roots.delete("here"), true);
    checkHeap(heap, 0);
    checkHeap(other, 0);
  });
}

test("a heap is disposable, and disposing twice is harmless", (t) => {
  const heap = createHeap(t);
  {
    using again = Heap.open(heap.region.name);
    again.alloc(10);
  }
  assert.equal(heap.region.participants().length, 1);
  heap[Symbol.dispose]();
  heap[Symbol.dispose]();
});
