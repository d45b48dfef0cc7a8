/** The part of the conformance suite about room: growth, reuse, blocks that others free, and what happens when it ends. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Handle, Heap } from "../../src/heap/index.ts";
import { assertSound, checkHeap, openHeap } from "../helpers/heaps.ts";
import {
  allocUntilFull,
  assertSigned,
  createFixed,
  createKind,
  exhaust,
  refuses,
  refusesAll,
  sign,
  sizesOf,
} from "../helpers/kinds.ts";
import type { Kind } from "../helpers/kinds.ts";

const PAGE = 65536;
const MiB = 2 ** 20;

/** Declares the tests for one kind of heap. */
export function defineRoom(kind: Kind): void {
  const label = `${kind.allocator} ${kind.backend}`;
  if (kind.backend !== "sysv") defineGrowth(kind, label);
  defineSharing(kind, label);
  defineEnd(kind, label);
}

/** How large blocks are in tests that want few of them. */
function largeSize(heap: Heap): number {
  return Math.min(heap.plan.maxBlockBytes, 20_000);
}

function defineGrowth(kind: Kind, label: string): void {
  test(`${label}: a heap grows while it is allocated from, and others reach what lies there`, (t) => {
    const heap = createKind(t, kind, { sizeBytes: PAGE, spanBytes: 16 * MiB });
    const other = openHeap(t, heap);
    const late = openHeap(t, heap);
    const size = largeSize(heap);
    const handles: Handle[] = [];
    while (heap.region.sizeBytes < 3 * MiB) {
      handles.push(heap.alloc(size));
      sign(heap, handles.at(-1)!, handles.length, size);
    }
    const { growths } = heap.stats();
    assert.ok(growths >= 2);
    // Whoever has not caught up does so by itself, whatever it calls first.
    const last = handles.length;
    const moved = other.realloc(handles.pop()!, size / 2);
    assertSigned(other, moved, last, size / 2);
    assert.ok(late.region.segmentSizeBytes < moved);
    late.free(moved);
    for (const [index, handle] of handles.entries()) assertSigned(other, handle, index + 1, size);
    assertSound(heap, other, late);
    for (const [index, handle] of handles.entries()) (index % 2 === 0 ? other : late).free(handle);
    for (const one of [heap, other, late]) checkHeap(one, 0);
    // All of that is there to be used again, by whoever had it at least.
    for (let count = handles.length; count > 0; count--) heap.alloc(size);
    assert.equal(heap.stats().growths, growths);
    checkHeap(other, handles.length);
  });

  test(`${label}: calls about a block that lies behind what one has caught up with`, (t) => {
    const heap = createKind(t, kind, { sizeBytes: PAGE, spanBytes: 16 * MiB });
    const calls: ((heap: Heap, handle: Handle) => unknown)[] = [
      (one, handle) => assert.ok(one.usableSize(handle) >= 500),
      (one, handle) => assert.ok(one.bytes(handle).length >= 500),
      (one, handle) => one.share(handle),
      (one, handle) => one.adopt(handle),
      (one, handle) => assert.equal(one.ownerOf(handle), undefined),
      (one, handle) => one.roots.set("far", handle),
      (one, handle) => one.free(one.realloc(handle, 1000)),
      (one, handle) => one.freeMany([handle]),
    ];
    // Before anything has grown.
    const others = calls.map(() => openHeap(t, heap));
    const near = heap.region.segmentSizeBytes;
    const handles = calls.map(() => {
      let handle = heap.alloc(500);
      while (handle < near) handle = heap.alloc(500);
      return handle;
    });
    for (const [index, call] of calls.entries()) {
      const one = others[index]!;
      assert.equal(one.region.segmentSizeBytes, near);
      call(one, handles[index]!);
      assertSound(heap, one);
    }
  });

  test(`${label}: grow makes room ahead, and a step is kept to`, (t) => {
    const heap = createKind(t, kind, { sizeBytes: MiB, spanBytes: 64 * MiB, growStepBytes: 4 * PAGE });
    const { growths } = heap.stats();
    assert.ok(heap.grow(3 * MiB) >= 3 * MiB);
    assert.equal(heap.stats().growths, growths + 1);
    const { sizeBytes } = heap.region;
    const size = largeSize(heap);
    let used = 0;
    while (heap.region.sizeBytes === sizeBytes) used += heap.usableSize(heap.alloc(size));
    assert.ok(used >= 0.6 * sizeBytes, `${used} of ${sizeBytes} were used before the heap grew`);
    assert.equal(heap.region.sizeBytes, sizeBytes + 4 * PAGE);
    assertSound(heap);
  });
}

function defineSharing(kind: Kind, label: string): void {
  test(`${label}: two participants that free each other's blocks for ever need no more room`, (t) => {
    const heap = createKind(t, kind, { sizeBytes: 2 * MiB, spanBytes: 32 * MiB });
    const other = openHeap(t, heap);
    const sizes = sizesOf(heap).filter((size) => size <= 4096);
    const churn = (rounds: number): void => {
      const live: { handle: Handle; seed: number; sizeBytes: number }[] = [];
      for (let round = 0; round < rounds; round++) {
        const by = round % 2 === 0 ? heap : other;
        const sizeBytes = sizes[(round * 5) % sizes.length]!;
        const handle = by.alloc(sizeBytes);
        sign(by, handle, round, Math.min(sizeBytes, 64));
        live.push({ handle, seed: round, sizeBytes });
        if (live.length < 150) continue;
        const gone = live.splice((round * 17) % live.length, 1)[0]!;
        const freer = by === heap ? other : heap;
        assertSigned(freer, gone.handle, gone.seed, Math.min(gone.sizeBytes, 64));
        freer.free(gone.handle);
      }
      checkHeap(heap, live.length);
      for (const { handle } of live) other.free(handle);
    };
    churn(1500);
    const size = heap.region.segmentSizeBytes;
    for (let round = 0; round < 3; round++) churn(1500);
    assert.equal(heap.region.segmentSizeBytes, size);
    for (const one of [heap, other]) checkHeap(one, 0);
  });

  test(`${label}: room that one participant has freed is found by the other`, (t) => {
    const heap = createFixed(t, kind, 2 * MiB);
    const other = openHeap(t, heap);
    let keptBytes = 0;
    for (const size of sizesOf(heap).filter((one) => one >= 1000)) {
      const first = allocUntilFull(heap, size);
      const usedBytes = first.length * heap.usableSize(first[0]!);
      heap.freeMany(first);
      // Who has had blocks of a slab heap keeps one page of their class, and nothing else is kept back.
      if (kind.allocator === "slab") keptBytes += PAGE;
      const second = allocUntilFull(other, size);
      const foundBytes = second.length * heap.usableSize(second[0]!);
      assert.ok(
        foundBytes >= usedBytes - keptBytes,
        `${foundBytes} of ${usedBytes} bytes in blocks of ${size}`,
      );
      other.freeMany(second);
      if (kind.allocator === "slab") keptBytes += PAGE;
      for (const one of [heap, other]) checkHeap(one, 0);
    }
  });
}

function defineEnd(kind: Kind, label: string): void {
  test(`${label}: at the end of memory every call says so and changes nothing, and a free makes it go on`, (t) => {
    const heap = createFixed(t, kind, MiB);
    const other = openHeap(t, heap);
    const size = largeSize(heap);
    const owned = heap.alloc(size, { owned: true });
    const shared = heap.alloc(size);
    const all = exhaust(heap);
    const error = refuses(
      heap,
      () => heap.alloc(size),
      "ERR_SHOAL_OUT_OF_MEMORY",
      new RegExp(`${size} bytes`),
    );
    const { spanBytes, segmentSizeBytes } = heap.region;
    assert.deepEqual(
      { ...error.details },
      { call: "alloc", sizeBytes: size, segmentSizeBytes, spanBytes, largestFreeBytes: 0 },
    );
    const more = Math.min(2 * size, heap.plan.maxBlockBytes);
    const calls = (one: Heap): Record<string, () => unknown> => ({
      alloc: () => one.alloc(1),
      "alloc owned": () => one.alloc(1, { owned: true }),
      "alloc zeroed": () => one.alloc(size, { zeroed: true }),
      calloc: () => one.calloc(1, size),
      "calloc owned": () => one.calloc(1, size, { owned: true }),
      alignedAlloc: () => one.alignedAlloc(256, 10),
      "alignedAlloc owned": () => one.alignedAlloc(16, size, { owned: true }),
      allocMany: () => one.allocMany(3, 10),
      block: () => one.block(10),
      "realloc of a shared block": () => one.realloc(shared, heap.usableSize(shared) + more),
    });
    for (const one of [heap, other]) refusesAll(heap, calls(one), "ERR_SHOAL_OUT_OF_MEMORY");
    refusesAll(
      heap,
      { "realloc of an owned block": () => heap.realloc(owned, heap.usableSize(owned) + more) },
      "ERR_SHOAL_OUT_OF_MEMORY",
    );
    assert.equal(other.tryAlloc(size, { owned: true }), 0);
    // Every call works again as soon as there is room for it.
    const [first] = all;
    const usable = heap.usableSize(first!);
    for (const by of [heap, other]) {
      for (const options of [{}, { owned: true }, { zeroed: true }]) {
        heap.free([...heap.blocks()].find(({ handle }) => handle === first)!.handle);
        assert.equal(by.alloc(usable, options), first);
        if ("owned" in options) by.share(first!);
        assertSound(heap, other);
      }
    }
    for (const handle of all) other.free(handle);
    heap.free(owned);
    heap.free(shared);
    for (const one of [heap, other]) checkHeap(one, 0);
    assert.ok(exhaust(heap).length >= all.length);
  });

  test(`${label}: a heap that was full can be filled again, with any size, and as far as before`, (t) => {
    const heap = createFixed(t, kind, MiB);
    const { sizeBytes } = heap.region;
    for (const size of sizesOf(heap).filter((one) => one >= 100 && one <= 4 * PAGE)) {
      const handles = allocUntilFull(heap, size);
      const used = handles.reduce((sum, handle) => sum + heap.usableSize(handle), 0);
      // What is lost: the end of each slab page, the headers of small blocks, one piece that is too small.
      assert.ok(used > 0.75 * sizeBytes, `${used} of ${sizeBytes} in blocks of ${size}`);
      checkHeap(heap, handles.length);
      for (const at of [handles.length >> 1, 0, handles.length - 1]) {
        heap.free(handles[at]!);
        assert.equal(heap.alloc(size), handles[at]);
      }
      heap.freeMany(handles);
      checkHeap(heap, 0);
    }
  });
}
