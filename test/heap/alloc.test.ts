/** Allocating, resizing and freeing: what callers get, on every backend. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Heap } from "../../src/heap/index.ts";
import type { Handle } from "../../src/heap/index.ts";
import type { BackendName } from "../../src/region/index.ts";
import { assertFilled, assertSound, createHeap, fill, openHeap } from "../helpers/heaps.ts";

const PAGE = 65536;
const MiB = 2 ** 20;

describe("on every backend", () => {
  for (const backend of ["posix", "file", "sysv", "anonymous"] as const satisfies readonly BackendName[]) {
    test(`${backend}: a block that one participant fills is read, resized and freed by another`, (t) => {
      const heap = createHeap(t, { backend, sizeBytes: 2 * MiB });
      const other = openHeap(t, heap);
      const small = heap.alloc(100);
      const large = heap.alloc(200_000);
      fill(heap, small, 7);
      fill(heap, large, 9);
      assertFilled(other, small, 7, 100);
      const moved = other.realloc(small, 5000);
      const grown = other.realloc(large, 300_000);
      assertFilled(heap, moved, 7, 100);
      assertFilled(heap, grown, 9, 200_000);
      assertSound(heap, other);
      heap.roots.set("it", moved);
      assert.equal(other.roots.get("it"), moved);
      assert.equal(other.roots.delete("it"), true);
      other.free(moved);
      heap.free(grown);
      assert.equal(heap.verify().blocks, 0);
      assertSound(heap, other);
    });

    test(`${backend}: blocks outlive the participant that made them`, (t) => {
      const heap = createHeap(t, { backend });
      const maker = openHeap(t, heap);
      const handles = Array.from({ length: 200 }, (_, index) => maker.alloc(50 + index));
      for (const [index, handle] of handles.entries()) fill(maker, handle, index);
      maker.close();
      for (const [index, handle] of handles.entries()) assertFilled(heap, handle, index, 50 + index);
      assert.ok(heap.stats().orphanPages > 0);
      for (const handle of handles) heap.free(handle);
      assert.equal(heap.stats().orphanPages, 0);
      assert.equal(heap.verify().blocks, 0);
      assertSound(heap);
    });
  }
});

test("every size from 1 to 33000 gets at least that, and at most an eighth or fifteen bytes more below 8 KiB", (t) => {
  const heap = createHeap(t);
  let last = 0;
  for (let sizeBytes = 1; sizeBytes <= 33_000; sizeBytes++) {
    const handle = heap.alloc(sizeBytes);
    const usable = heap.usableSize(handle);
    assert.ok(usable >= sizeBytes, `${sizeBytes} bytes were asked for, ${usable} are there`);
    assert.ok(usable >= last, "a larger request does not get less");
    assert.equal(handle % 16, 0, "blocks are aligned to 16 bytes");
    // Up to 8 KiB an eighth, or what fills up sixteen bytes; then fractions of a page; then whole pages.
    const most = sizeBytes <= 8192 ? Math.max(sizeBytes + 15, Math.ceil(sizeBytes * 1.125) + 16) : sizeBytes * 1.51;
    assert.ok(usable <= (sizeBytes > 32_768 ? PAGE : most), `${sizeBytes} bytes were asked for, ${usable} are taken`);
    last = usable;
    heap.free(handle);
  }
  assertSound(heap);
});

test("the sizes at the borders of the classes get what the layout says", (t) => {
  const heap = createHeap(t, { sizeBytes: 4 * MiB });
  const borders: readonly [number, number][] = [
    [1, 16],
    [16, 16],
    [17, 32],
    [256, 256],
    [257, 288],
    [288, 288],
    [289, 320],
    [512, 512],
    [513, 576],
    [8192, 8192],
    [8193, 9360],
    [32_768, 32_768],
    [32_769, PAGE],
    [PAGE, PAGE],
    [PAGE + 1, 2 * PAGE],
    [1_000_000, 16 * PAGE],
  ];
  for (const [asked, usable] of borders) assert.equal(heap.usableSize(heap.alloc(asked)), usable, `alloc(${asked})`);
  assertSound(heap);
});

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
    if (next !== undefined) assert.ok(handle + sizeBytes <= next.handle, `${handle} reaches into ${next.handle}`);
    fill(heap, handle, index % 251);
  }
  for (const [index, { handle, sizeBytes }] of blocks.entries()) assertFilled(heap, handle, index % 251, sizeBytes);
  // Filling every byte has touched nothing of the heap's own.
  assert.equal(heap.verify().blocks, blocks.length);
  assertSound(heap);
});

test("calloc gives zeros where others have written before", (t) => {
  const heap = createHeap(t);
  for (const [count, sizeBytes] of [
    [10, 10],
    [1, 8192],
    [3, 50_000],
  ] as const) {
    const dirty = heap.alloc(count * sizeBytes);
    fill(heap, dirty, 0xff);
    heap.free(dirty);
    const clean = heap.calloc(count, sizeBytes);
    assertFilled(heap, clean, 0, heap.usableSize(clean));
  }
  assertSound(heap);
});

test("realloc stays in place inside a class, and where the pages behind a large block are free", (t) => {
  const heap = createHeap(t);
  const small = heap.alloc(1000);
  assert.equal(heap.realloc(small, 1024), small);
  assert.equal(heap.realloc(small, 970), small);
  const large = heap.alloc(PAGE);
  assert.equal(heap.realloc(large, 5 * PAGE), large);
  assert.equal(heap.usableSize(large), 5 * PAGE);
  assert.equal(heap.realloc(large, 2 * PAGE), large);
  assert.equal(heap.usableSize(large), 2 * PAGE);
  // The pages that it gave back are there for others, and then it has to move.
  const behind = heap.alloc(PAGE);
  assert.equal(behind, large + 2 * PAGE);
  fill(heap, large, 3);
  const moved = heap.realloc(large, 3 * PAGE);
  assert.notEqual(moved, large);
  assertFilled(heap, moved, 3, 2 * PAGE);
  assertSound(heap);
  assert.equal(heap.verify().blocks, 3);
});

test("realloc moves between small and large with the contents, either way", (t) => {
  const heap = createHeap(t);
  let handle = heap.alloc(10);
  let sizeBytes = 10;
  fill(heap, handle, 5);
  for (const next of [100, 3000, 40_000, 700_000, 33_000, 20_000, 300, 1]) {
    handle = heap.realloc(handle, next);
    assertFilled(heap, handle, 5, Math.min(sizeBytes, next));
    fill(heap, handle, 5);
    sizeBytes = next;
    assert.equal(heap.verify().blocks, 1);
    assertSound(heap);
  }
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

test("pointers lead to handles and back, in both participants alike", (t) => {
  const heap = createHeap(t, { fixedAddress: true });
  const other = openHeap(t, heap);
  const handle = heap.alloc(100);
  const pointer = heap.pointerOf(handle);
  assert.equal(pointer, heap.region.fixedAddress + handle);
  assert.equal(other.handleOf(pointer), handle);
  assert.equal(other.pointerOf(handle), pointer);
  assert.equal(heap.pointerOf(0 as Handle), 0);
  assert.equal(heap.handleOf(0 as ReturnType<Heap["pointerOf"]>), 0);
  // Into a block, too: an element's address.
  assert.equal(heap.handleOf((pointer + 40) as typeof pointer), handle + 40);
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
  assert.equal(full.largestFreePages, 12);
  assert.equal(full.participants, 1);
  openHeap(t, heap);
  assert.equal(heap.stats().participants, 2);
  for (const handle of handles) heap.free(handle);
  assert.deepEqual(heap.stats().blocks, { used: 1, free: 64 });
  assert.equal(heap.verify().blocks, 1);
});

test("a heap in a using declaration is closed at the end of its block", (t) => {
  const made = createHeap(t);
  let leaked: Heap;
  {
    using heap = openHeap(t, made);
    leaked = heap;
    assert.equal(made.stats().participants, 2);
  }
  assert.throws(() => leaked.alloc(1), { code: "ERR_SHOAL_CLOSED" });
  assert.equal(made.stats().participants, 1);
});

test("openOrCreate makes a heap once, and opens it from then on", (t) => {
  const name = createHeap(t).region.name;
  using again = Heap.openOrCreate(name);
  assert.equal(again.region.created, false);
  assert.equal(again.allocator, "slab");
});
