/** What is no size, no handle, no pointer, or no longer open: each is refused with its own code and changes nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Heap } from "../../src/heap/index.ts";
import type { Handle, Pointer } from "../../src/heap/index.ts";
import { Region } from "../../src/region/index.ts";
import { throwsCode } from "../helpers/assertions.ts";
import { assertFilled, assertSound, checkHeap, createHeap, fill, openHeap } from "../helpers/heaps.ts";
import { ALLOCATORS, pictureOf, refuses, refusesAll } from "../helpers/kinds.ts";
import { freshPosixName } from "../helpers/segments.ts";

const PAGE = 65536;

const noSizes = [
  0,
  -1,
  0.5,
  -0.5,
  Number.NaN,
  Infinity,
  -Infinity,
  2 ** 32,
  2 ** 40,
  "100",
  null,
  undefined,
  {},
];

for (const allocator of ALLOCATORS) {
  test(`${allocator}: what is no size from 1 to 4 GiB is ERR_SHOAL_SIZE`, (t) => {
    const heap = createHeap(t, { allocator });
    const kept = heap.alloc(100);
    const before = heap.stats();
    for (const wrong of noSizes as number[]) {
      throwsCode(() => heap.alloc(wrong), "ERR_SHOAL_SIZE", /whole number from 1 to 4294967295/);
      const calls = {
        "alloc owned": () => heap.alloc(wrong, { owned: true }),
        tryAlloc: () => heap.tryAlloc(wrong),
        "calloc, count": () => heap.calloc(wrong, 8),
        "calloc, size": () => heap.calloc(8, wrong),
        alignedAlloc: () => heap.alignedAlloc(64, wrong),
        allocMany: () => heap.allocMany(3, wrong),
        "allocMany of none": () => heap.allocMany(0, wrong),
        block: () => heap.block(wrong),
        realloc: () => heap.realloc(kept, wrong),
      };
      refusesAll(heap, calls, "ERR_SHOAL_SIZE");
    }
    assert.deepEqual(heap.stats(), before);
  });

  test(`${allocator}: a product beyond 4 GiB is ERR_SHOAL_SIZE with the product, not a small block`, (t) => {
    const heap = createHeap(t, { allocator });
    for (const [count, sizeBytes] of [
      [2 ** 16, 2 ** 16],
      [2 ** 31, 2],
      [2 ** 32 - 1, 2 ** 32 - 1],
      [3, 1_431_655_766],
    ] as const) {
      const message = new RegExp(`${count} times ${sizeBytes}`);
      throwsCode(() => heap.calloc(count, sizeBytes), "ERR_SHOAL_SIZE", message);
      throwsCode(() => heap.calloc(count, sizeBytes, { owned: true }), "ERR_SHOAL_SIZE", message);
    }
    checkHeap(heap, 0);
  });

  test(`${allocator}: a batch of what is no count is ERR_SHOAL_ARGUMENT, and one beyond the span is refused at once`, (t) => {
    const heap = createHeap(t, { allocator });
    const before = heap.stats();
    for (const wrong of [-1, 0.5, Number.NaN, Infinity, "3", null, undefined, {}] as number[])
      refuses(heap, () => heap.allocMany(wrong, 10), "ERR_SHOAL_ARGUMENT", /count/);
    // Not after having grown as far as can be, which may be all of the machine's memory.
    for (const [count, sizeBytes] of [
      [2 ** 32, 16],
      [2 ** 53 - 1, 1024],
      [Math.ceil(heap.plan.mostDataBytes / 512) + 1, 512],
    ] as const) {
      refuses(heap, () => heap.allocMany(count, sizeBytes), "ERR_SHOAL_OUT_OF_MEMORY", /allocMany/);
    }
    assert.deepEqual(heap.stats(), before);
  });

  test(`${allocator}: what not even the whole span could hold is refused without growing`, (t) => {
    const heap = createHeap(t, { allocator, spanBytes: 64 * 2 ** 20 });
    const kept = heap.alloc(100);
    const { mostDataBytes, maxBlockBytes } = heap.plan;
    for (const sizeBytes of [
      maxBlockBytes + 1,
      mostDataBytes + 1,
      64 * 2 ** 20,
      2 ** 31,
      2 ** 32 - 16,
      2 ** 32 - 1,
    ]) {
      const calls = {
        alloc: () => heap.alloc(sizeBytes),
        "alloc owned": () => heap.alloc(sizeBytes, { owned: true }),
        calloc: () => heap.calloc(1, sizeBytes),
        alignedAlloc: () => heap.alignedAlloc(PAGE, sizeBytes),
        block: () => heap.block(sizeBytes),
        realloc: () => heap.realloc(kept, sizeBytes),
        allocMany: () => heap.allocMany(1, sizeBytes),
      };
      refusesAll(heap, calls, "ERR_SHOAL_OUT_OF_MEMORY");
      assert.equal(heap.tryAlloc(sizeBytes), 0);
    }
    assert.equal(heap.stats().growths, 0);
  });

  test(`${allocator}: an alignment that no block can have is refused, and changes nothing`, (t) => {
    const heap = createHeap(t, { allocator });
    heap.alloc(50);
    for (const wrong of [
      0,
      -16,
      3,
      24,
      0.5,
      2 * PAGE,
      2 ** 32,
      2 ** 32 + 16,
      Number.NaN,
      Infinity,
      "16",
      null,
      {},
    ]) {
      const alignmentBytes = wrong as number;
      refuses(heap, () => heap.alignedAlloc(alignmentBytes, 100), "ERR_SHOAL_ARGUMENT", /power of two/);
      const calls = {
        alloc: () => heap.alloc(100, { alignmentBytes }),
        tryAlloc: () => heap.tryAlloc(100, { alignmentBytes }),
        calloc: () => heap.calloc(1, 100, { alignmentBytes }),
        block: () => heap.block(100, { alignmentBytes }),
      };
      refusesAll(heap, calls, "ERR_SHOAL_ARGUMENT");
    }
    // A buddy heap's blocks lie at multiples of their own size, so none lies at more than the largest one's.
    const { maxBlockBytes } = heap.plan;
    if (maxBlockBytes >= PAGE) return;
    refuses(heap, () => heap.alignedAlloc(2 * maxBlockBytes, 1), "ERR_SHOAL_OUT_OF_MEMORY");
    assert.equal(heap.tryAlloc(1, { alignmentBytes: PAGE }), 0);
  });

  test(`${allocator}: more bytes than a block has are ERR_SHOAL_ARGUMENT`, (t) => {
    const heap = createHeap(t, { allocator });
    const handle = heap.alloc(100);
    const usable = heap.usableSize(handle);
    for (const wrong of [usable + 1, -1, 0.5, Number.NaN, 2 ** 32]) {
      const message = new RegExp(`has ${usable} bytes`);
      refuses(heap, () => heap.bytes(handle, wrong), "ERR_SHOAL_ARGUMENT", message);
    }
  });

  test(`${allocator}: after close every call is ERR_SHOAL_CLOSED, closing again is harmless, and others notice nothing`, (t) => {
    const heap = createHeap(t, { allocator });
    const other = openHeap(t, heap);
    const handle = other.alloc(10);
    fill(other, handle, 4);
    const view = other.bytes(handle);
    const block = other.block(10);
    const before = pictureOf(heap);
    const list = other.blocks();
    other.close();
    other.close();
    for (const call of [...everyCall(other, handle), ...everyQuestion(other, handle), () => block.free()])
      throwsCode(call, "ERR_SHOAL_CLOSED");
    assert.equal(view[0], 0, "a view that was kept reads zeros");
    assert.deepEqual([...list], []);
    assertFilled(heap, handle, 4, 10);
    assert.deepEqual({ ...pictureOf(heap), owned: [] }, { ...before, owned: [] });
    assertSound(heap);
  });

  test(`${allocator}: a read-only heap answers every question and refuses every change`, (t) => {
    const heap = createHeap(t, { allocator });
    const handle = heap.alloc(10);
    fill(heap, handle, 4);
    heap.roots.set("a", handle);
    const own = heap.alloc(10, { owned: true });
    const reader = openHeap(t, heap, { readOnly: true });
    const before = pictureOf(heap);
    for (const it of [handle, own])
      for (const call of everyCall(reader, it)) throwsCode(call, "ERR_SHOAL_READ_ONLY");
    assertFilled(reader, handle, 4, 10);
    assert.equal(reader.roots.get("a"), handle);
    assert.equal(reader.roots.get("b"), 0);
    assert.deepEqual(reader.roots.list(), [{ name: "a", handle }]);
    assert.equal(reader.ownerOf(own)?.index, heap.region.slotIndex);
    assert.equal(reader.ownerOf(handle), undefined);
    for (const ask of everyQuestion(reader, handle)) ask();
    assert.deepEqual(pictureOf(reader), before);
    assert.deepEqual(pictureOf(heap), before);
    assertSound(reader, heap);
  });

  test(`${allocator}: what a read-only heap has read does not keep it from seeing what happens next`, (t) => {
    const heap = createHeap(t, { allocator });
    const reader = openHeap(t, heap, { readOnly: true });
    assert.equal(reader.roots.get("name"), 0);
    assert.deepEqual(reader.roots.list(), []);
    assert.deepEqual([...reader.blocks()], []);
    reader.verify();
    heap.grow(4 * 2 ** 20);
    const size = Math.min(heap.plan.maxBlockBytes, 3 * 2 ** 20);
    const handle = heap.allocMany((3 * 2 ** 20) / size, size).at(-1)!;
    heap.roots.set("name", handle);
    fill(heap, handle, 8);
    assert.equal(reader.roots.get("name"), handle);
    assertFilled(reader, handle, 8, size);
    assert.equal(reader.region.segmentSizeBytes, heap.region.segmentSizeBytes);
    assert.deepEqual([...reader.blocks()], [...heap.blocks()]);
    heap.roots.delete("name");
    assert.deepEqual(reader.roots.list(), []);
  });
}

function everyCall(heap: Heap, handle: Handle): (() => unknown)[] {
  return [
    () => heap.alloc(10),
    () => heap.alloc(10, { owned: true }),
    () => heap.tryAlloc(10),
    () => heap.calloc(1, 10),
    () => heap.alignedAlloc(16, 10),
    () => heap.allocMany(1, 10),
    () => heap.freeMany([handle]),
    () => heap.block(10),
    () => heap.realloc(handle, 100),
    () => heap.free(handle),
    () => heap.share(handle),
    () => heap.adopt(handle),
    () => heap.trim(),
    () => heap.roots.set("a", handle),
    () => heap.roots.setIfAbsent("a", handle),
    () => heap.roots.delete("a"),
    () => heap.grow(),
    () => heap.recover(),
  ];
}

function everyQuestion(heap: Heap, handle: Handle): (() => unknown)[] {
  return [
    () => heap.usableSize(handle),
    () => heap.bytes(handle),
    () => heap.ownerOf(handle),
    () => heap.roots.get("a"),
    () => heap.roots.list(),
    () => heap.stats(),
    () => [...heap.blocks()],
    () => heap.verify(),
    () => heap.region.participants(),
  ];
}

test("pointers outside the blocks are ERR_SHOAL_BAD_POINTER, and heaps without a fixed address have none", (t) => {
  const heap = createHeap(t, { fixedAddress: true });
  const { fixedAddress, dataOffset, segmentSizeBytes } = heap.region;
  for (const wrong of [
    1,
    fixedAddress,
    fixedAddress + dataOffset - 1,
    fixedAddress + segmentSizeBytes,
    Number.NaN,
    0.5,
  ]) {
    throwsCode(() => heap.handleOf(wrong as Pointer), "ERR_SHOAL_BAD_POINTER");
  }
  for (const wrong of [1, dataOffset - 1, segmentSizeBytes, Number.NaN]) {
    throwsCode(() => heap.pointerOf(wrong as Handle), "ERR_SHOAL_BAD_HANDLE");
  }
  const plain = createHeap(t);
  throwsCode(() => plain.pointerOf(plain.alloc(1)), "ERR_SHOAL_UNSUPPORTED", /fixedAddress/);
  throwsCode(() => plain.handleOf(1 as Pointer), "ERR_SHOAL_UNSUPPORTED");
});

test("a plain region is no heap, and an allocator that there is not is refused", (t) => {
  const name = freshPosixName(t);
  using region = Region.create(name);
  throwsCode(() => Heap.open(region.name), "ERR_SHOAL_FORMAT", /plain region/);
  const wrong = { allocator: "arena" } as unknown as { allocator: "slab" };
  throwsCode(() => Heap.create(freshPosixName(t), wrong), "ERR_SHOAL_ARGUMENT", /slab/);
  throwsCode(() => Heap.plan(wrong), "ERR_SHOAL_ARGUMENT", /first-fit/);
  for (const allocator of ALLOCATORS) {
    const heap = createHeap(t, { allocator });
    for (const other of ALLOCATORS.filter((one) => one !== allocator)) {
      throwsCode(() => Heap.openOrCreate(heap.region.name, { allocator: other }), "ERR_SHOAL_FORMAT");
    }
    using again = Heap.openOrCreate(heap.region.name);
    assert.equal(again.allocator, allocator);
  }
});

/** A heap that only its creator uses is enough to be looked at by others while it is damaged. */
function damaged(t: TestContext, damage: (view: DataView, table: number, handle: number) => void): Heap {
  const heap = createHeap(t);
  const handle = heap.alloc(100);
  heap.alloc(200_000);
  damage(new DataView(heap.region.buffer), heap.region.session.geometry.tableOffset, handle);
  return heap;
}

test("verify names what is wrong, and where", (t) => {
  const descriptor = (table: number, handle: number): number => table + Math.floor(handle / PAGE) * 64;
  const cases: [code: string, Parameters<typeof damaged>[1]][] = [
    ["unknown-kind", (view, table, handle) => view.setUint8(descriptor(table, handle), 77)],
    ["size-class", (view, table, handle) => view.setUint8(descriptor(table, handle) + 1, 63)],
    ["dead-owner", (view, table, handle) => view.setUint16(descriptor(table, handle) + 2, 9, true)],
    ["page-geometry", (view, table, handle) => view.setUint32(descriptor(table, handle) + 28, 128, true)],
    ["run-body", (view, table, handle) => view.setUint8(descriptor(table, handle) + 2 * 64, 0)],
    ["free-page-state", (view, table, handle) => view.setUint8(descriptor(table, handle) + 10 * 64 + 4, 1)],
    ["stray-body", (view, table, handle) => view.setUint32(descriptor(table, handle) + 10 * 64, 5, true)],
    ["roots-lock", (view) => view.setUint32(192, 7, true)],
    ["ring", (view, table, handle) => view.setUint32(descriptor(table, handle) + 8, 3, true)],
  ];
  for (const [code, damage] of cases) {
    const heap = damaged(t, damage);
    const { ok, problems } = heap.verify();
    assert.equal(ok, false);
    const found = problems.find((problem) => problem.code === code);
    assert.ok(found, `${code} is found among ${problems.map((problem) => problem.code).join(", ")}`);
    assert.ok(found.offset > 0 && found.offset < heap.region.dataOffset);
    heap.close();
  }
});
