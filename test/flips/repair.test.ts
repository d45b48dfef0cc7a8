/** heap.verify({ repair: true }). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Heap } from "../../src/heap/index.ts";
import type { AllocatorName, Handle } from "../../src/heap/index.ts";
import {
  H_BACKEND,
  H_DATA_OFFSET,
  H_FIXED_ADDRESS,
  H_FLAGS,
  H_FORMAT,
  H_HEAP_LOCK,
  H_MAGIC,
  H_ROOTS_LOCK,
  H_SIZE_PAGES,
  H_SPAN_PAGES,
  H_STATE,
  H_UUID,
  PAGE_SIZE_BYTES,
} from "../../src/layout/header.ts";
import { OWNERS_ARRAY_BYTES, PAGES_PER_OWNERS_PAGE } from "../../src/layout/page.ts";
import { abandon, assertFilled, checkHeap, createHeap, fill, openHeap } from "../helpers/heaps.ts";
import { throwsCode } from "../helpers/assertions.ts";
import { ALLOCATORS } from "../helpers/kinds.ts";

const KiB = 1024;

/** Words that are damaged, by allocator; each of them has to do with the blocks made here. */
const damages: Readonly<
  Record<AllocatorName, (heap: Heap, handle: Handle) => readonly (readonly [number, number])[]>
> = {
  slab: (heap, handle) => {
    const { tableOffset } = heap.region.session.geometry;
    const page = tableOffset + Math.floor(handle / PAGE_SIZE_BYTES) * 64;
    // Ring, remote flag, hint and its handle, size, first, count, reciprocal.
    return [8, 12, 16, 20, 24, 28, 32, 36, 40].map((field) => [page + field, 0xfff8] as const);
  },
  buddy: (heap, handle) => {
    const { tableOffset, tableBytesPerPage, minShift, sideOffset } = heap.region.session.geometry;
    const flags = tableOffset + tableBytesPerPage * Math.floor(handle / PAGE_SIZE_BYTES);
    return [
      [flags, 0x30],
      [268, 0],
      [(sideOffset + ((handle + 512) >>> minShift) * 2) & ~3, 0x0007_0007],
    ];
  },
  "first-fit": (heap, handle) => {
    const { sideOffset } = heap.region.session.geometry;
    return [
      [sideOffset, 0],
      [H_HEAP_LOCK, 7],
      [644, 0xffff],
      [652, 0x1000_0001],
      [handle - 8, 0x10],
    ];
  },
};

for (const allocator of ALLOCATORS) {
  test(`${allocator}: what can be told from the rest is repaired, and no block is lost`, (t) => {
    const heap = createHeap(t, { allocator, sizeBytes: 6 * PAGE_SIZE_BYTES });
    const kept = heap.allocMany(20, 700);
    kept.forEach((handle, index) => fill(heap, handle, index));
    heap.roots.set("kept", kept[3]!);
    for (const [offset, value] of damages[allocator](heap, kept[5]!)) {
      new DataView(heap.region.buffer).setUint32(offset, value, true);
      const { ok, problems, lost } = heap.verify({ repair: true });
      assert.deepEqual({ ok, problems }, { ok: true, problems: [] }, `damaged at ${offset}`);
      assert.deepEqual(lost.roots, []);
      assert.deepEqual(
        [...heap.blocks()].map(({ handle }) => handle as number),
        kept.map(Number).sort((a, b) => a - b),
      );
      kept.forEach((handle, index) => assertFilled(heap, handle, index, 700));
      assert.equal(heap.roots.get("kept"), kept[3]);
      // It is as good as new: room is found, and what is freed is one again.
      const more = heap.allocMany(50, 300);
      heap.freeMany(more);
      checkHeap(heap, kept.length);
    }
    heap.freeMany(kept);
    heap.roots.delete("kept");
    checkHeap(heap, 0);
  });

  test(`${allocator}: a repair tells what was wrong and what was lost`, (t) => {
    const heap = createHeap(t, { allocator });
    const handle = heap.alloc(700);
    heap.roots.set("lost", handle);
    heap.free(handle);
    new DataView(heap.region.buffer).setUint32(H_ROOTS_LOCK, 40, true);
    const before = heap.verify().problems;
    assert.deepEqual(before.map(({ code }) => code).sort(), ["root", "roots-lock"]);
    const { ok, repaired, lost } = heap.verify({ repair: true });
    assert.ok(ok);
    assert.deepEqual(repaired, before);
    assert.deepEqual(lost, { blocks: [], roots: ["lost"] });
    assert.deepEqual(heap.verify({ repair: true }).repaired, []);
  });

  test(`${allocator}: beside others who live a repair is refused; the dead are no hindrance`, (t) => {
    const heap = createHeap(t, { allocator });
    const other = openHeap(t, heap);
    const handle = heap.alloc(4 * KiB > heap.plan.maxBlockBytes ? heap.plan.maxBlockBytes : 4 * KiB);
    throwsCode(() => heap.verify({ repair: true }), "ERR_SHOAL_IN_USE");
    other.close();
    assert.ok(heap.verify({ repair: true }).ok);
    const dead = openHeap(t, heap);
    const own = dead.alloc(500, { owned: true });
    abandon(dead);
    assert.ok(heap.verify({ repair: true }).ok);
    const left = [...heap.blocks()].map((block) => block.handle);
    assert.ok(left.includes(handle) && !left.includes(own), "what the dead one owned is free");
    const reader = openHeap(t, heap, { readOnly: true });
    throwsCode(() => reader.verify({ repair: true }), "ERR_SHOAL_READ_ONLY");
    // Others come as before.
    openHeap(t, heap).free(handle);
  });

  test(`${allocator}: the header's constants are put back by who knew them`, (t) => {
    const heap = createHeap(t, { allocator });
    heap.alloc(100);
    new DataView(heap.region.buffer).setUint32(H_DATA_OFFSET, 77, true);
    throwsCode(() => heap.stats(), "ERR_SHOAL_CORRUPT");
    const { ok, repaired } = heap.verify({ repair: true });
    assert.ok(ok);
    assert.deepEqual(
      repaired.map(({ code, offset }) => [code, offset]),
      [["header", H_DATA_OFFSET]],
    );
    assert.equal(openHeap(t, heap).stats().blocks.used, 1);
    assert.ok(new DataView(heap.region.buffer).getUint32(H_SIZE_PAGES, true) > 0);
  });
}

/** Where it is written who owns the first block of a slab heap's page, of whose group there are owners. */
function ownerWordOf({ region }: Heap, page: number): number {
  const entry = region.session.geometry.sideOffset + 4 * Math.floor(page / PAGES_PER_OWNERS_PAGE);
  const holder = new DataView(region.buffer).getUint32(entry, true);
  assert.notEqual(holder, 0);
  return holder * PAGE_SIZE_BYTES + OWNERS_ARRAY_BYTES * (page % PAGES_PER_OWNERS_PAGE);
}

test("slab: owners in a page without owned blocks are none after a repair, when some come to be owned there", (t) => {
  const heap = createHeap(t, { sizeBytes: 6 * PAGE_SIZE_BYTES });
  const shared = heap.alloc(700);
  heap.alloc(100, { owned: true });
  const word = ownerWordOf(heap, Math.floor(shared / PAGE_SIZE_BYTES));
  new DataView(heap.region.buffer).setUint16(word, heap.region.slotIndex + 3, true);
  assert.ok(heap.verify({ repair: true }).ok);
  const own = heap.alloc(700, { owned: true });
  assert.equal(Math.floor(own / PAGE_SIZE_BYTES), Math.floor(shared / PAGE_SIZE_BYTES));
  assert.deepEqual(heap.verify().problems, []);
  assert.equal(heap.ownerOf(shared), undefined);
  heap.free(shared);
  checkHeap(heap, 2);
});

for (const allocator of ["slab", "first-fit"] as const) {
  test(`${allocator}: a segment that was made longer than its span is cut by a repair, and others get in again`, (t) => {
    const heap = createHeap(t, { allocator, sizeBytes: PAGE_SIZE_BYTES, spanBytes: 9 * PAGE_SIZE_BYTES });
    const kept = heap.alloc(700);
    fill(heap, kept, 1);
    const { spanPages } = heap.region.session.geometry;
    const span = new DataView(heap.region.buffer);
    span.setUint32(H_SPAN_PAGES, spanPages + 2, true);
    const other = openHeap(t, heap);
    other.region.growToPages(spanPages + 1);
    other.close();
    const { ok, repaired } = heap.verify({ repair: true });
    assert.ok(ok);
    assert.deepEqual(
      repaired.map(({ code, offset }) => [code, offset]),
      [
        ["header", H_SPAN_PAGES],
        ["header", H_SIZE_PAGES],
        ["length", heap.region.spanBytes],
      ],
    );
    assert.equal(heap.region.session.backing.status().sizeBytes, heap.region.spanBytes);
    assertFilled(openHeap(t, heap), kept, 1, 700);
    checkHeap(heap, 1);
  });
}

test("a segment that is opened by another way than it was made stays of the sort that it was made as", (t) => {
  const heap = createHeap(t);
  const path = `/dev/shm${heap.region.name}`;
  heap.close();
  const other = Heap.open(path, { backend: "file" });
  t.after(() => other.close());
  assert.deepEqual(other.verify({ repair: true }).repaired, []);
});

test("who the segment is and of what format is put back by who knew it, and others get in again", (t) => {
  const heap = createHeap(t);
  for (const offset of [
    H_MAGIC,
    H_MAGIC + 4,
    H_FORMAT,
    H_UUID,
    H_STATE,
    H_BACKEND,
    H_FLAGS,
    H_FIXED_ADDRESS,
  ]) {
    const words = new DataView(heap.region.buffer);
    const before = words.getUint32(offset, true);
    words.setUint32(offset, before ^ 0x0001_0011, true);
    const { ok, repaired } = heap.verify({ repair: true });
    assert.ok(ok);
    assert.deepEqual(
      repaired.map((problem) => [problem.code, problem.offset]),
      [["header", offset]],
    );
    assert.equal(words.getUint32(offset, true), before);
    openHeap(t, heap).close();
  }
});
