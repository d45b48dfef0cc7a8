/** What is said of a buddy heap: counts, verification, drawing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { Heap } from "../../src/heap/index.ts";
import type { Handle } from "../../src/heap/index.ts";
import { BUDDY_PROBLEMS } from "../../src/heap/verify-buddy.ts";
import { H_HIGH_WATER_PAGES } from "../../src/layout/header.ts";
import * as result from "../../src/layout/result.ts";
import type { HeapCore } from "../../src/region/core.ts";
import { allocOwned } from "../helpers/buddy-scenarios.ts";
import { createHeap, openHeap } from "../helpers/heaps.ts";

const coreOf = (heap: Heap): HeapCore => heap.region.session.overlay.core as HeapCore;
const viewOf = (heap: Heap): DataView => new DataView(heap.region.buffer);

/** Pages of 64 maximal blocks of 1 KiB, in 32 leaves. */
function makeHeap(t: TestContext): Heap {
  return createHeap(t, { allocator: "buddy", sizeBytes: 4 * 65536, spanBytes: 2 ** 22 });
}

/** Offset of the tree word of the first maximal block. */
function firstTree({ region }: Heap): number {
  const { tableOffset, tableBytesPerPage, dataOffset } = region.session.geometry;
  return tableOffset + (dataOffset / 65536) * tableBytesPerPage + 8;
}

test("counts are the blocks of each size, what is free as large as it is, and who owns what", (t) => {
  const heap = makeHeap(t);
  const other = openHeap(t, heap);
  const fresh = heap.stats();
  assert.deepEqual(
    [fresh.blocks, fresh.usedBytes, fresh.freeBytes, fresh.largestFreeBytes, fresh.pages.free],
    [{ used: 0, free: 256 }, 0, 4 * 65536, 1024, 4],
  );
  // One maximal block: 32 + 64 + 128 used, so that 32, 256 and 512 are free. Another is used as a whole.
  for (const sizeBytes of [32, 64, 100, 1024]) heap.alloc(sizeBytes);
  const stats = heap.stats();
  const free = [1, 0, 0, 1, 1, 254];
  assert.deepEqual(
    stats.classes,
    [1, 1, 1, 0, 0, 1].map((used, level) => ({ sizeBytes: 32 << level, pages: 0, used, free: free[level] })),
  );
  assert.equal(stats.usedBytes, 32 + 64 + 128 + 1024);
  assert.equal(stats.usedBytes + stats.freeBytes, stats.dataBytes);
  assert.deepEqual([stats.pages.slab, stats.pages.free, stats.highWaterBytes], [1, 3, 65536]);
  const owned = (): number[][] =>
    heap.stats().participants.map((one) => [one.slot, one.ownedBlocks, one.ownedBytes]);
  assert.deepEqual(owned(), [
    [0, 0, 0],
    [1, 0, 0],
  ]);
  allocOwned(coreOf(heap), 64);
  for (const sizeBytes of [256, 1024, 1024]) allocOwned(coreOf(other), sizeBytes);
  assert.deepEqual(owned(), [
    [0, 1, 64],
    [1, 3, 2304],
  ]);
  other.close();
  assert.deepEqual(owned(), [[0, 1, 64]]);
  assert.equal(heap.verify().blocks, 5);
});

test("a heap without room has no free block, and none that is larger than its largest hole", (t) => {
  const heap = createHeap(t, { allocator: "buddy", sizeBytes: 65536, spanBytes: 2 ** 18, backend: "posix" });
  const blocks: Handle[] = [];
  for (let handle = heap.tryAlloc(512); handle !== 0; handle = heap.tryAlloc(512)) blocks.push(handle);
  assert.equal(heap.stats().largestFreeBytes, 0);
  for (const handle of blocks) if (handle % 1024 === 0) heap.free(handle);
  const { blocks: found, largestFreeBytes } = heap.stats();
  assert.deepEqual([found.used, found.free, largestFreeBytes], [blocks.length / 2, blocks.length / 2, 512]);
});

test("all that can be wrong with trees and owners is found, and where", (t) => {
  const heap = makeHeap(t);
  const { region } = heap;
  const problemsOf = (): [code: string, offset: number][] =>
    heap.verify().problems.map(({ code, offset }) => [code, offset]);
  const owned = allocOwned(coreOf(heap), 64);
  heap.alloc(32);
  const view = viewOf(heap);
  const { tableBytesPerPage, dataOffset, sideOffset } = region.session.geometry;
  const tree = firstTree(heap);
  const entry = sideOffset + (owned / 32) * 2;
  assert.deepEqual(problemsOf(), []);
  const damages: [problem: number, offset: number, damage: () => void][] = [
    [result.PROBLEM_TREE_FORM, tree, () => view.setUint32(tree, view.getUint32(tree, true) | 0x100, true)],
    // A block of three leaves, and one of two at an odd one.
    [result.PROBLEM_TREE_FORM, tree + 8, () => view.setBigUint64(tree + 8, 0x1_00000007n, true)],
    [result.PROBLEM_TREE_FORM, tree + 8, () => view.setBigUint64(tree + 8, 0x2_00000006n, true)],
    [result.PROBLEM_TREE_OWNER, tree, () => view.setUint16(entry, 0, true)],
    [result.PROBLEM_TREE_OWNER, tree, () => view.setUint16(entry, 9, true)],
    [result.PROBLEM_OWNER_GONE, entry + 20, () => view.setUint16(entry + 20, 9, true)],
    [result.PROBLEM_TREE_FLAGS, tree - 8, () => view.setUint32(tree - 8, 3, true)],
    [
      result.PROBLEM_HIGH_WATER,
      tree + tableBytesPerPage,
      () => view.setBigUint64(tree + tableBytesPerPage, 0x1_00000001n, true),
    ],
  ];
  const before = new Uint8Array(region.buffer).slice(0, dataOffset);
  for (const [problem, offset, damage] of damages) {
    damage();
    assert.deepEqual(problemsOf(), [[BUDDY_PROBLEMS[problem]![0], offset]]);
    new Uint8Array(region.buffer).set(before);
  }
  assert.deepEqual(problemsOf(), []);
});

test("leaves that a maximal block has not must not be set", (t) => {
  const heap = createHeap(t, { allocator: "buddy", minBlockBytes: 256, maxBlockBytes: 1024 });
  heap.alloc(256);
  const tree = firstTree(heap);
  viewOf(heap).setUint32(tree, 0x11, true);
  assert.deepEqual(
    heap.verify().problems.map(({ code, offset }) => [code, offset]),
    [["tree-stray", tree]],
  );
});

test("damage is met with an error, never with a hang or a wild access", (t) => {
  const heap = makeHeap(t);
  const handles = Array.from({ length: 200 }, () => heap.alloc(32));
  const owned = allocOwned(coreOf(heap), 32);
  const view = viewOf(heap);
  const { sideOffset } = heap.region.session.geometry;
  const tree = firstTree(heap);
  view.setBigUint64(tree, 0x1_00000007n, true);
  assert.throws(() => heap.free(handles[0]!), { code: "ERR_SHOAL_CORRUPT" });
  assert.throws(() => heap.usableSize(handles[0]!), { code: "ERR_SHOAL_CORRUPT" });
  view.setUint16(sideOffset + (owned / 32) * 2, 0, true);
  assert.throws(() => heap.free(owned as Handle), { code: "ERR_SHOAL_CORRUPT" });
  view.setUint32(H_HIGH_WATER_PAGES, 0xffffffff, true);
  for (let word = 0; word < 64; word++)
    view.setBigUint64(tree + word * 8, 0xffffffff_ffffffffn >> BigInt(word), true);
  heap.stats();
  heap.verify();
  for (const handle of handles) {
    try {
      heap.free(handle);
    } catch (error) {
      assert.match((error as { code: string }).code, /^ERR_SHOAL_/);
    }
  }
  for (let word = 0; word < 64; word++) assert.ok(heap.alloc(32 << (word % 6)) >= heap.region.dataOffset);
});
