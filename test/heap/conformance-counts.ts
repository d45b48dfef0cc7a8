/** The part of the conformance suite about what a heap says of itself: its blocks, its counts, its roots. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Handle, Heap, HeapStats } from "../../src/heap/index.ts";
import { assertSound, checkHeap, openHeap } from "../helpers/heaps.ts";
import { allocUntilFull, createFixed, createKind, exhaust, sizesOf } from "../helpers/kinds.ts";
import type { Kind } from "../helpers/kinds.ts";

const MiB = 2 ** 20;

/** Declares the tests for one kind of heap. */
export function defineCounts(kind: Kind): void {
  const label = `${kind.allocator} ${kind.backend}`;
  defineBlockList(kind, label);
  defineStats(kind, label);
  defineRoots(kind, label);
}

/** A heap's blocks, from their handles alone. */
function expected(heap: Heap, owners: ReadonlyMap<Handle, number>) {
  return [...owners]
    .sort(([one], [other]) => one - other)
    .map(([handle, ownerSlot]) => ({ handle, sizeBytes: heap.usableSize(handle), ownerSlot }));
}

function defineBlockList(kind: Kind, label: string): void {
  test(`${label}: blocks() lists what is allocated, in order, with sizes and owners`, (t) => {
    const heap = createKind(t, kind, { sizeBytes: 4 * MiB });
    const other = openHeap(t, heap);
    assert.deepEqual([...heap.blocks()], []);
    const owners = new Map<Handle, number>();
    const sizes = sizesOf(heap);
    for (let round = 0; round < 3; round++) {
      for (const [index, sizeBytes] of sizes.entries()) {
        const by = index % 2 === 0 ? heap : other;
        const owned = (round + index) % 3 === 0;
        owners.set(by.alloc(sizeBytes, { owned }), owned ? by.region.slotIndex : -1);
      }
    }
    const reader = openHeap(t, heap, { readOnly: true });
    for (const one of [heap, other, reader]) {
      assert.deepEqual([...one.blocks()], expected(heap, owners));
      assert.equal(one.verify().blocks, owners.size);
    }
    for (const [index, [handle, owner]] of [...owners].entries()) {
      if (index % 4 === 0) continue;
      (owner === other.region.slotIndex ? other : heap).free(handle);
      owners.delete(handle);
    }
    assert.deepEqual([...heap.blocks()], expected(heap, owners));
    // The list is made while it is read; what is freed meanwhile does not disturb it.
    const seen: Handle[] = [];
    for (const { handle, ownerSlot } of heap.blocks()) {
      seen.push(handle);
      (ownerSlot === other.region.slotIndex ? other : heap).free(handle);
    }
    assert.deepEqual(
      seen,
      [...owners.keys()].sort((one, two) => one - two),
    );
    assert.deepEqual([...other.blocks()], []);
    checkHeap(heap, 0);
  });
}

/** Asserts what holds of any heap's counts. */
function checkStats(heap: Heap, stats: HeapStats): void {
  const blocks = [...heap.blocks()];
  const sum = (numbers: number[]): number => numbers.reduce((total, number) => total + number, 0);
  assert.equal(stats.allocator, heap.allocator);
  assert.equal(stats.blocks.used, blocks.length);
  assert.equal(stats.usedBytes, sum(blocks.map(({ sizeBytes }) => sizeBytes)));
  assert.equal(stats.sizeBytes, heap.region.segmentSizeBytes);
  assert.equal(stats.spanBytes, heap.region.spanBytes);
  assert.equal(stats.dataBytes, heap.region.sizeBytes);
  assert.ok(stats.usedBytes + stats.freeBytes <= stats.dataBytes, "more than there is");
  assert.ok(stats.largestFreeBytes <= stats.freeBytes);
  assert.ok(stats.freeBytes === 0 || stats.largestFreeBytes > 0);
  assert.ok(stats.fragmentation >= 0 && stats.fragmentation < 1, `${stats.fragmentation}`);
  const last = blocks.at(-1);
  if (last !== undefined) {
    assert.ok(
      stats.highWaterBytes >= last.handle + last.sizeBytes - heap.region.dataOffset,
      "the mark is too low",
    );
  }
  assert.ok(stats.highWaterBytes <= stats.dataBytes);
  const { total, ...parts } = stats.pages;
  assert.equal(total, stats.sizeBytes / 65536);
  // Hollow pages are among the free ones.
  assert.equal(parts.metadata + parts.free + parts.slab + parts.run + parts.changing, total);
  assert.equal(sum(stats.classes.map((row) => row.used)) + stats.runs, blocks.length);
  for (const { slot, ownedBlocks, ownedBytes } of stats.participants) {
    const owned = blocks.filter(({ ownerSlot }) => ownerSlot === slot);
    assert.equal(ownedBlocks, owned.length);
    assert.equal(ownedBytes, sum(owned.map(({ sizeBytes }) => sizeBytes)));
  }
}

function defineStats(kind: Kind, label: string): void {
  test(`${label}: the counts are those of the blocks, and the high water never falls`, (t) => {
    const sizeBytes = kind.backend === "sysv" ? 8 * MiB : MiB;
    const heap = createKind(t, kind, { sizeBytes, spanBytes: 16 * MiB });
    const other = openHeap(t, heap);
    const fresh = heap.stats();
    checkStats(heap, fresh);
    assert.deepEqual([fresh.usedBytes, fresh.blocks.used, fresh.highWaterBytes], [0, 0, 0]);
    const sizes = sizesOf(heap);
    const live: { handle: Handle; by: Heap }[] = [];
    let { highWaterBytes } = fresh;
    for (let round = 0; round < 300; round++) {
      const by = round % 5 < 2 ? other : heap;
      const size = Math.min(sizes[(round * 7) % sizes.length]!, 20_000);
      live.push({ handle: by.alloc(size, { owned: round % 4 === 0 }), by });
      if (round % 3 > 0) {
        const gone = live.splice((round * 13) % live.length, 1)[0]!;
        gone.by.free(gone.handle);
      }
      if (round % 10 > 0) continue;
      const stats = heap.stats();
      checkStats(heap, stats);
      // What is largest depends on who asks: nobody can have another's empty pages.
      const { largestFreeBytes, fragmentation } = heap.allocator === "slab" ? stats : other.stats();
      assert.deepEqual({ ...other.stats(), largestFreeBytes, fragmentation }, stats);
      assert.ok(stats.highWaterBytes >= highWaterBytes, "the high water fell");
      ({ highWaterBytes } = stats);
    }
    for (const { handle, by } of live) by.free(handle);
    const empty = heap.stats();
    checkStats(heap, empty);
    assert.ok(empty.highWaterBytes >= highWaterBytes);
    assert.equal(empty.usedBytes, 0);
    assertSound(heap, other);
  });

  test(`${label}: participants and what is theirs are counted, from arrival to leaving`, (t) => {
    const heap = createKind(t, kind);
    const other = openHeap(t, heap);
    heap.alloc(10);
    const mine = [heap.alloc(100, { owned: true }), heap.alloc(100, { owned: true })];
    const theirs = other.alloc(50);
    other.adopt(theirs);
    const rows = () =>
      heap.stats().participants.map(({ slot, pid, threadId, alive, ownedBlocks, ownedBytes }) => {
        assert.deepEqual([pid, threadId, alive], [process.pid, 0, true]);
        return [slot, ownedBlocks, ownedBytes];
      });
    const bytes = 2 * heap.usableSize(mine[0]!);
    assert.deepEqual(rows(), [
      [heap.region.slotIndex, 2, bytes],
      [other.region.slotIndex, 1, heap.usableSize(theirs)],
    ]);
    heap.share(mine[0]!);
    heap.free(mine[1]!);
    other.close();
    assert.deepEqual(rows(), [[heap.region.slotIndex, 0, 0]]);
    const reader = openHeap(t, heap, { readOnly: true });
    assert.equal(reader.stats().participants.length, 1, "readers are no participants");
    checkHeap(heap, 2);
  });

  test(`${label}: the largest free size can be had as the heap is, and not a byte more`, (t) => {
    const heap = createFixed(t, kind, MiB);
    const { maxBlockBytes } = heap.plan;
    const check = (): void => {
      const { largestFreeBytes } = heap.stats();
      assert.equal(heap.tryAlloc(largestFreeBytes + 1), 0, `${largestFreeBytes + 1} can be had`);
      if (largestFreeBytes === 0) return;
      const handle = heap.tryAlloc(largestFreeBytes);
      assert.notEqual(handle, 0, `${largestFreeBytes} cannot be had`);
      assert.ok(heap.usableSize(handle as Handle) >= largestFreeBytes);
      heap.free(handle as Handle);
      assertSound(heap);
    };
    check();
    const small = allocUntilFull(heap, 200);
    check();
    // Holes of one to three blocks, then larger ones.
    for (const [index, handle] of small.entries()) if (index % 7 < index % 4) heap.free(handle);
    check();
    for (const [index, handle] of small.entries())
      if (index % 7 >= index % 4 && index % 61 > 30) heap.free(handle);
    check();
    for (const { handle } of heap.blocks()) heap.free(handle);
    check();
    for (const [index, handle] of exhaust(heap).entries()) if (index % 5 > 1) heap.free(handle);
    check();
    for (const { handle } of heap.blocks()) heap.free(handle);
    check();
    const { freeBytes, largestFreeBytes } = heap.stats();
    if (maxBlockBytes < MiB) assert.equal(largestFreeBytes, maxBlockBytes);
    else assert.ok(largestFreeBytes > 0.99 * freeBytes, "what is free is one piece again");
    checkHeap(heap, 0);
  });
}

function defineRoots(kind: Kind, label: string): void {
  test(`${label}: roots lead to blocks, for everybody, and verify finds one whose block was freed`, (t) => {
    const heap = createKind(t, kind, { sizeBytes: 2 * MiB });
    const other = openHeap(t, heap);
    const sizes = sizesOf(heap);
    const handles = sizes.map((sizeBytes, index) => {
      const handle = heap.alloc(sizeBytes, { owned: index % 2 === 0 });
      heap.roots.set(`of ${sizeBytes}`, handle);
      return handle;
    });
    for (const [index, sizeBytes] of sizes.entries())
      assert.equal(other.roots.get(`of ${sizeBytes}`), handles[index]);
    assert.equal(other.roots.setIfAbsent(`of ${sizes[0]}`, handles[1]!), handles[0]);
    assertSound(heap, other);
    const moved = heap.realloc(handles[0]!, sizes.at(-1)!);
    other.roots.set(`of ${sizes[0]}`, moved);
    assertSound(heap, other);
    heap.free(moved);
    assert.deepEqual(
      other.verify().problems.map(({ code }) => code),
      ["root"],
    );
    other.roots.delete(`of ${sizes[0]}`);
    checkHeap(other, handles.length - 1);
  });
}
