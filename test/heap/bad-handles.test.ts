/** What is no allocated block's handle: wild, interior, foreign, stale or freed, it is refused and changes nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FIT_PREVIOUS_FREE, FIT_USED } from "../../src/layout/fit.ts";
import type { AllocatorName, Handle, Heap } from "../../src/heap/index.ts";
import { assertFilled, assertSound, checkHeap, createHeap, fill, openHeap } from "../helpers/heaps.ts";
import {
  ALLOCATORS,
  assertSigned,
  callsWith,
  pictureOf,
  refusesAll,
  sign,
  sizesOf,
} from "../helpers/kinds.ts";
import { startProcess } from "../helpers/peer.ts";

const PAGE = 65536;
const MiB = 2 ** 20;

/** Asserts that every call refuses these handles as no blocks', and that all of that leaves the heap as it was. */
function refusesEach(heap: Heap, handles: Iterable<number>, codes = /^ERR_SHOAL_BAD_HANDLE$/): void {
  const before = pictureOf(heap);
  for (const handle of handles) {
    for (const [name, call] of Object.entries(callsWith(heap, handle))) {
      let code = "nothing";
      try {
        call();
      } catch (error) {
        ({ code } = error as { code: string });
      }
      assert.match(code, codes, `${name}(${handle})`);
    }
  }
  assert.deepEqual(pictureOf(heap), before);
  assertSound(heap);
}

/** What a freed block's handle may be called: the allocator may not know any more that a block was there. */
const GONE = /^ERR_SHOAL_(DOUBLE_FREE|BAD_HANDLE)$/;

/** Offsets in a block that are not its start: each multiple of 8 near its ends and near every kilobyte, and odd ones. */
function insideOf(usableBytes: number): number[] {
  const offsets = [1, 2, 4, 7].filter((offset) => offset < usableBytes);
  for (let offset = 8; offset < usableBytes; offset += 8) {
    const isNearEdge =
      offset < 4096 || usableBytes - offset < 1024 || Math.abs((offset % 4096) - 2048) > 2000;
    if (isNearEdge) offsets.push(offset);
  }
  return offsets;
}

for (const allocator of ALLOCATORS) {
  test(`${allocator}: a handle that is in none of the heap's blocks is ERR_SHOAL_BAD_HANDLE`, (t) => {
    const heap = createHeap(t, { allocator });
    const other = openHeap(t, heap);
    heap.alloc(100);
    other.alloc(1000, { owned: true });
    const { dataOffset, segmentSizeBytes, spanBytes } = heap.region;
    const own = [
      0,
      1,
      4,
      128,
      192,
      4096,
      4096 + 512,
      2 * PAGE,
      dataOffset - PAGE,
      dataOffset - 16,
      dataOffset - 8,
    ];
    // Free pages, the last bytes, the end, and beyond.
    const behind = [-PAGE, -16, -8, -1, 0, 8, PAGE].map((offset) => segmentSizeBytes + offset);
    const beyond = [spanBytes - PAGE, spanBytes - 8, 2 ** 31, 2 ** 32 - 16, 2 ** 32 - 8, 2 ** 32 - 1];
    // Buddy: free leaves that were never in use look like blocks that were freed.
    const codes = allocator === "buddy" ? GONE : undefined;
    for (const one of [heap, other]) refusesEach(one, [...own, ...behind, ...beyond], codes);
  });

  test(`${allocator}: a handle into a block, at any offset, is ERR_SHOAL_BAD_HANDLE`, (t) => {
    const heap = createHeap(t, { allocator, sizeBytes: 2 * MiB });
    const other = openHeap(t, heap);
    for (const [index, sizeBytes] of sizesOf(heap).entries()) {
      const owned = index % 2 === 0;
      const handle = heap.alloc(sizeBytes, { owned });
      sign(heap, handle, index);
      const usable = heap.usableSize(handle);
      refusesEach(
        index % 3 === 0 ? other : heap,
        insideOf(usable).map((offset) => handle + offset),
      );
      assertSigned(heap, handle, index, usable);
      heap.free(handle);
    }
    checkHeap(heap, 0);
  });

  test(`${allocator}: whatever a block's bytes look like, a handle into it leads nowhere`, (t) => {
    const heap = createHeap(t, { allocator, sizeBytes: 2 * MiB });
    for (const sizeBytes of sizesOf(heap).filter((size) => size >= 16)) {
      for (const [name, forge] of Object.entries(forgeries)) {
        const [before, handle, after] = [heap.alloc(sizeBytes), heap.alloc(sizeBytes), heap.alloc(sizeBytes)];
        fill(heap, before, 1);
        fill(heap, after, 2);
        const usable = heap.usableSize(handle);
        forge(heap, handle, usable);
        const inside = insideOf(Math.min(usable, 3000)).map((offset) => handle + offset);
        const context = `${name} in ${sizeBytes}`;
        refusesEach(heap, inside);
        assertFilled(heap, before, 1, sizeBytes);
        assertFilled(heap, after, 2, sizeBytes);
        // The neighbours go first, in either order: what they join with must not be what the block pretends.
        for (const neighbour of sizeBytes % 3 === 0 ? [before, after] : [after, before]) {
          heap.free(neighbour);
          checkHeap(heap);
        }
        assert.equal(heap.usableSize(handle), usable, context);
        heap.free(handle);
        // Nothing of it is a block afterwards either.
        refusesEach(heap, [handle, ...inside.slice(0, 200)], GONE);
        assert.deepEqual([...heap.blocks()], [], context);
        // What is made of that room is as large as it says, whatever was written there.
        const next = heap.alloc(sizeBytes);
        assert.equal(heap.usableSize(next), usable, context);
        heap.free(next);
        checkHeap(heap, 0);
      }
    }
  });

  test(`${allocator}: a second free is refused, by whomever, for blocks of every size`, (t) => {
    const heap = createHeap(t, { allocator, sizeBytes: 4 * MiB });
    const other = openHeap(t, heap);
    const kept: Handle[] = [];
    for (const sizeBytes of sizesOf(heap)) {
      const [one, two, three, four] = heap.allocMany(4, sizeBytes) as [Handle, Handle, Handle, Handle];
      const own = heap.alloc(sizeBytes, { owned: true });
      heap.free(one);
      other.free(two);
      heap.free(own);
      heap.freeMany([four]);
      for (const by of [heap, other]) refusesEach(by, [one, two, own, four], GONE);
      assert.ok(heap.usableSize(three) >= sizeBytes);
      kept.push(three);
    }
    checkHeap(heap, kept.length);
    other.freeMany(kept);
    checkHeap(heap, 0);
  });

  test(`${allocator}: a small block that was just freed is called so: ERR_SHOAL_DOUBLE_FREE`, (t) => {
    const heap = createHeap(t, { allocator });
    const other = openHeap(t, heap);
    // Between two that stay, so that it is neither joined to others nor the last one of its page.
    const [, one, , two] = heap.allocMany(5, 1000) as Handle[];
    heap.free(one!);
    other.free(two!);
    for (const by of [heap, other]) refusesEach(by, [one!, two!], /^ERR_SHOAL_DOUBLE_FREE$/);
  });

  test(`${allocator}: the handle of a block that realloc has moved is stale`, (t) => {
    const heap = createHeap(t, { allocator });
    const other = openHeap(t, heap);
    for (const owned of [false, true]) {
      const old = heap.alloc(100, { owned });
      const wall = heap.alloc(100);
      const moved = heap.realloc(old, Math.min(10_000, heap.plan.maxBlockBytes));
      assert.notEqual(moved, old);
      for (const by of [heap, other]) refusesEach(by, [old], GONE);
      sign(heap, moved, 1);
      assertSigned(heap, moved, 1, 1000);
      heap.freeMany([wall, moved]);
    }
    checkHeap(other, 0);
  });

  test(`${allocator}: what is no 32-bit number is no handle`, (t) => {
    const heap = createHeap(t, { allocator });
    const handle = heap.alloc(100);
    const wrongs = [
      -1,
      0.5,
      handle + 0.5,
      handle + 2 ** 32,
      -handle,
      Number.NaN,
      Infinity,
      "16",
      null,
      undefined,
      {},
    ];
    refusesEach(heap, [...wrongs, `${handle}`, [handle]] as number[]);
    checkHeap(heap, 1);
  });

  test(`${allocator}: another process that frees what is free already is refused, and so is this one`, async (t) => {
    const heap = createHeap(t, { allocator });
    const [mine, theirs, both, rest] = heap.allocMany(4, 500) as [Handle, Handle, Handle, Handle];
    heap.free(mine);
    const codes = await startProcess(t).run(
      ({ Heap: Heaps }, name, handles) => {
        const here = Heaps.open(name);
        const found = handles.map((handle) => {
          try {
            here.free(handle);
          } catch (error) {
            return (error as { code: string }).code;
          }
          return "freed";
        });
        here.close();
        return found;
      },
      heap.region.name,
      [mine, theirs, theirs, both, mine],
    );
    const [first, freed, second, last, again] = codes;
    assert.deepEqual([freed, last], ["freed", "freed"]);
    for (const code of [first, second, again]) assert.match(code!, GONE);
    refusesEach(heap, [mine, theirs, both], GONE);
    assert.deepEqual(
      [...heap.blocks()].map(({ handle }) => handle),
      [rest],
    );
  });

  for (const elsewhere of ALLOCATORS) defineForeign(allocator, elsewhere);
}

/** Handles of a heap with one allocator, brought to a heap with another. */
function defineForeign(allocator: AllocatorName, elsewhere: AllocatorName): void {
  test(`${allocator}: handles of another heap, ${elsewhere}, are refused where no block of this one begins`, (t) => {
    const theirs = createHeap(t, { allocator: elsewhere, sizeBytes: 4 * MiB });
    const foreign = sizesOf(theirs).flatMap((sizeBytes) => theirs.allocMany(3, sizeBytes));
    const empty = createHeap(t, { allocator, sizeBytes: PAGE, spanBytes: 16 * MiB });
    refusesEach(empty, foreign, GONE);
    const full = createHeap(t, { allocator, sizeBytes: 4 * MiB, spanBytes: 16 * MiB });
    const own = new Set(full.allocMany(3000, 700));
    const strange = foreign.filter((handle) => !own.has(handle));
    assert.ok(strange.length > 0);
    refusesEach(full, strange, GONE);
    checkHeap(full, 3000);
    checkHeap(theirs, foreign.length);
  });
}

/**
 * Ways to make a block's bytes look like what allocators keep there: headers, tags, bitmaps. At every multiple of 8, so
 * that every place in the block has a false header before it.
 */
const forgeries: Readonly<Record<string, (heap: Heap, handle: Handle, usableBytes: number) => void>> = {
  "headers of small blocks": (heap, handle, usable) =>
    forgeWords(heap, handle, usable, () => [16 | FIT_USED, 0]),
  "headers of blocks that reach to the end": (heap, handle, usable) =>
    forgeWords(heap, handle, usable, (left) => [left | FIT_USED, 0]),
  "headers of the caller's own blocks": (heap, handle, usable) =>
    forgeWords(heap, handle, usable, (left) => [left | FIT_USED, heap.region.slotIndex + 1]),
  "headers of free blocks, with tags": (heap, handle, usable) =>
    forgeWords(heap, handle, usable, (left) => [left, left]),
  "headers behind free blocks": (heap, handle, usable) =>
    forgeWords(heap, handle, usable, (left) => [left | FIT_USED | FIT_PREVIOUS_FREE, 16]),
  "bits, all set": (heap, handle, usable) =>
    forgeWords(heap, handle, usable, () => [0xffff_ffff, 0xffff_ffff]),
  zeros: (heap, handle) => fill(heap, handle, 0),
};

/** Writes the same pair of words everywhere; `pair` is told how many bytes there are from the pair to the block's end. */
function forgeWords(
  heap: Heap,
  handle: Handle,
  usableBytes: number,
  pair: (leftBytes: number) => [number, number],
): void {
  const words = new Uint32Array(heap.region.buffer, handle, usableBytes >> 2);
  for (let index = 0; index + 1 < words.length; index += 2) words.set(pair(usableBytes - index * 4), index);
}

test("a freed large block's handle, and those of its pages, lead nowhere", (t) => {
  for (const allocator of ["slab", "first-fit"] as const) {
    const heap = createHeap(t, { allocator });
    const other = openHeap(t, heap);
    const large = heap.alloc(3 * PAGE);
    other.free(large);
    for (const one of [heap, other])
      refusesAll(one, callsWith(one, large), "ERR_SHOAL_BAD_HANDLE", "ERR_SHOAL_DOUBLE_FREE");
    refusesEach(
      heap,
      [PAGE, 2 * PAGE].map((offset) => large + offset),
    );
  }
});
