/** Storage of free pages, given back to the system and got again. */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { describe, test } from "node:test";
import type { Heap } from "../../src/heap/index.ts";
import type { BackendName } from "../../src/region/index.ts";
import { shoalError } from "../../src/errors.ts";
import { throwsCode } from "../helpers/assertions.ts";
import { abandon, assertFilled, assertSound, createHeap, fill, openHeap } from "../helpers/heaps.ts";

const PAGE = 65536;
const BACKENDS: readonly BackendName[] = ["posix", "file", "sysv", "anonymous"];

/** Room for a good deal, all of it there from the beginning. */
function makeHeap(t: Parameters<typeof createHeap>[0], backend: BackendName = "posix"): Heap {
  const heap = createHeap(t, { backend, sizeBytes: 64 * PAGE });
  if (backend !== "sysv") heap.grow(64 * PAGE);
  return heap;
}

/** Bytes of storage behind a heap in /dev/shm. */
function storageOf(heap: Heap): number {
  return statSync(`/dev/shm${heap.region.name}`).blocks * 512;
}

for (const backend of BACKENDS) {
  describe(`trim: ${backend}`, () => {
    test("what is free is given back, can be had again, and what is in use stays as it is", (t) => {
      const heap = makeHeap(t, backend);
      const kept = heap.alloc(3 * PAGE);
      const small = heap.alloc(100);
      const run = heap.alloc(20 * PAGE);
      fill(heap, kept, 7);
      fill(heap, small, 9);
      fill(heap, run, 1);
      heap.free(run);
      const { free } = heap.stats().pages;
      assert.equal(heap.trim(), free * PAGE);
      assert.equal(heap.stats().pages.hollow, free);
      assert.equal(heap.stats().pages.free, free);
      assert.equal(heap.trim(), 0, "there is nothing more to give");
      assertSound(heap);
      assertFilled(heap, kept, 7, 3 * PAGE);
      assertFilled(heap, small, 9, 100);
      const { sizeBytes } = heap.stats();
      const again = heap.alloc(21 * PAGE);
      fill(heap, again, 3);
      assert.equal(heap.stats().sizeBytes, sizeBytes, "nothing had to be added for it");
      assert.equal(heap.stats().pages.hollow, free - 21);
      for (let index = 0; index < 100; index++) fill(heap, heap.alloc(10_000), index);
      assertFilled(heap, again, 3, 21 * PAGE);
      assertSound(heap);
    });
  });
}

test("trim: the storage is gone, and comes back", (t) => {
  const heap = makeHeap(t);
  const before = storageOf(heap);
  const freed = heap.trim();
  assert.ok(freed >= 60 * PAGE);
  assert.equal(storageOf(heap), before - freed);
  heap.alloc(10 * PAGE);
  assert.equal(storageOf(heap), before - freed + 10 * PAGE);
});

test("trim: empty pages of this participant's, and those that the dead left, are given back", (t) => {
  const heap = makeHeap(t);
  const other = openHeap(t, heap);
  const theirs = Array.from({ length: 500 }, () => other.alloc(1000));
  heap.free(heap.alloc(500));
  abandon(other);
  heap.recover();
  for (const handle of theirs) heap.free(handle);
  assert.ok(heap.stats().pages.slab > 0);
  heap.trim();
  assert.equal(heap.stats().pages.slab, 0);
  assert.equal(heap.stats().orphanPages, 0);
  assertSound(heap);
});

test("trim: a run is put together of free and hollow pages, and of pages that are added", (t) => {
  const heap = makeHeap(t);
  heap.trim();
  const { free } = heap.stats().pages;
  const first = heap.alloc(PAGE);
  heap.free(first);
  const { sizeBytes } = heap.stats();
  const run = heap.alloc((free + 5) * PAGE);
  assert.equal(run, first);
  fill(heap, run, 5);
  assert.ok(heap.stats().sizeBytes > sizeBytes);
  assertSound(heap);
});

test("trim: others who come upon hollow pages get them, too", (t) => {
  const heap = makeHeap(t);
  const other = openHeap(t, heap);
  const bytes = heap.trim();
  const handles = Array.from({ length: bytes / PAGE }, () => other.alloc(PAGE));
  assert.equal(heap.stats().pages.free, 0);
  for (const handle of handles) other.free(handle);
  assert.equal(other.trim(), bytes);
  assert.equal(heap.trim(), 0);
  assertSound(heap, other);
});

test("trim: without storage to be had the pages stay hollow, and the heap as it is", (t) => {
  const heap = makeHeap(t);
  heap.trim();
  const before = heap.stats();
  const { backing } = heap.region.session as { backing: { reserve: (ranges: unknown) => void } };
  const { reserve } = backing;
  backing.reserve = () => {
    throw shoalError("ERR_SHOAL_NO_SPACE", "no space left", {});
  };
  throwsCode(() => heap.alloc(10 * PAGE), "ERR_SHOAL_NO_SPACE");
  throwsCode(() => heap.alloc(10), "ERR_SHOAL_NO_SPACE");
  assert.equal(heap.tryAlloc(10), 0);
  assert.deepEqual(heap.stats(), before);
  backing.reserve = reserve;
  fill(heap, heap.alloc(10 * PAGE), 1);
  assertSound(heap);
});

test("trim: of the other allocators nothing is given back, and readers may not ask", (t) => {
  for (const allocator of ["buddy", "first-fit"] as const) {
    const heap = createHeap(t, { allocator });
    heap.free(heap.alloc(1000));
    assert.equal(heap.trim(), 0);
  }
  const reader = openHeap(t, makeHeap(t), { readOnly: true });
  throwsCode(() => reader.trim(), "ERR_SHOAL_READ_ONLY");
});
