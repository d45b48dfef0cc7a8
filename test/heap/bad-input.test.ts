/** What is no size, no handle, no pointer, or no longer open: each is refused with its own code and changes nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Heap } from "../../src/heap/index.ts";
import type { Handle, Pointer } from "../../src/heap/index.ts";
import { Region } from "../../src/region/index.ts";
import { throwsCode } from "../helpers/assertions.ts";
import { assertFilled, assertSound, createHeap, fill, openHeap } from "../helpers/heaps.ts";
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

test("what is no size from 1 to 4 GiB is ERR_SHOAL_SIZE", (t) => {
  const heap = createHeap(t);
  const kept = heap.alloc(100);
  const before = heap.stats();
  for (const wrong of noSizes as number[]) {
    throwsCode(() => heap.alloc(wrong), "ERR_SHOAL_SIZE", /whole number from 1 to 4294967295/);
    throwsCode(() => heap.tryAlloc(wrong), "ERR_SHOAL_SIZE");
    throwsCode(() => heap.calloc(wrong, 8), "ERR_SHOAL_SIZE");
    throwsCode(() => heap.calloc(8, wrong), "ERR_SHOAL_SIZE");
    throwsCode(() => heap.realloc(kept, wrong), "ERR_SHOAL_SIZE");
  }
  assert.deepEqual(heap.stats(), before);
  assertSound(heap);
});

test("a product beyond 4 GiB is ERR_SHOAL_SIZE with the product, not a small block", (t) => {
  const heap = createHeap(t);
  for (const [count, sizeBytes] of [
    [2 ** 16, 2 ** 16],
    [2 ** 31, 2],
    [2 ** 32 - 1, 2 ** 32 - 1],
    [3, 1_431_655_766],
  ] as const) {
    throwsCode(
      () => heap.calloc(count, sizeBytes),
      "ERR_SHOAL_SIZE",
      new RegExp(`${count} times ${sizeBytes}`),
    );
  }
  assert.equal(heap.verify().blocks, 0);
});

/** Calls everything that takes a handle; each must throw this code. */
function refuses(heap: Heap, handle: number, code: Parameters<typeof throwsCode>[1]): void {
  const it = handle as Handle;
  throwsCode(() => heap.free(it), code);
  throwsCode(() => heap.usableSize(it), code);
  throwsCode(() => heap.bytes(it), code);
  throwsCode(() => heap.realloc(it, 50), code);
  throwsCode(() => heap.realloc(it, 500_000), code);
  throwsCode(() => heap.roots.set("it", it), code);
}

test("a wild handle, anywhere in the segment or beyond it, is ERR_SHOAL_BAD_HANDLE", (t) => {
  const heap = createHeap(t);
  const other = openHeap(t, heap);
  const small = heap.alloc(100);
  const theirs = other.alloc(5000);
  const large = heap.alloc(3 * PAGE);
  const { dataOffset, segmentSizeBytes, spanBytes } = heap.region;
  const before = heap.stats();
  const own = [0, 1, 4, 128, 192, 4096, 4096 + 512, 2 * PAGE, dataOffset - PAGE, dataOffset - 16];
  const inside = [
    ...[1, 8, 16, -(small % PAGE)].map((offset) => small + offset),
    ...[16, PAGE, 2 * PAGE].map((offset) => large + offset),
    theirs + 16,
  ];
  // Free pages, the last byte, the end, and beyond.
  const behind = [-PAGE, -1, 0, PAGE].map((offset) => segmentSizeBytes + offset);
  const places = [...own, ...inside, ...behind, spanBytes - PAGE, 2 ** 31, 2 ** 32 - 16, 2 ** 32 - 1];
  for (const place of places) {
    refuses(heap, place, "ERR_SHOAL_BAD_HANDLE");
    refuses(other, place, "ERR_SHOAL_BAD_HANDLE");
  }
  assert.deepEqual(heap.stats(), before);
  assertSound(heap, other);
});

test("what is no 32-bit number is no handle", (t) => {
  const heap = createHeap(t);
  const handle = heap.alloc(100);
  for (const wrong of [
    -1,
    0.5,
    handle + 0.5,
    handle + 2 ** 32,
    Number.NaN,
    Infinity,
    "16",
    null,
    undefined,
    {},
  ]) {
    refuses(heap, wrong as number, "ERR_SHOAL_BAD_HANDLE");
  }
  assert.equal(heap.verify().blocks, 1);
});

test("a second free is ERR_SHOAL_DOUBLE_FREE, by whomever, for blocks of every kind", (t) => {
  const heap = createHeap(t);
  const other = openHeap(t, heap);
  for (const sizeBytes of [16, 1000, 9000, 32_768]) {
    const [one, two, three] = [heap.alloc(sizeBytes), heap.alloc(sizeBytes), heap.alloc(sizeBytes)];
    heap.free(one);
    other.free(two);
    for (const freed of [one, two]) {
      refuses(heap, freed, "ERR_SHOAL_DOUBLE_FREE");
      refuses(other, freed, "ERR_SHOAL_DOUBLE_FREE");
    }
    assert.equal(heap.usableSize(three) >= sizeBytes, true);
  }
  assert.equal(heap.verify().blocks, 4);
  assertSound(heap, other);
});

test("a freed large block's handle leads nowhere", (t) => {
  const heap = createHeap(t);
  const other = openHeap(t, heap);
  const large = heap.alloc(3 * PAGE);
  other.free(large);
  for (const place of [large, large + PAGE, large + 2 * PAGE]) {
    refuses(heap, place, "ERR_SHOAL_BAD_HANDLE");
    refuses(other, place, "ERR_SHOAL_BAD_HANDLE");
  }
  assertSound(heap, other);
});

test("the old handle of a block that realloc has moved is stale", (t) => {
  const heap = createHeap(t);
  const kept = heap.alloc(100);
  const old = heap.alloc(100);
  const moved = heap.realloc(old, 10_000);
  assert.notEqual(moved, old);
  refuses(heap, old, "ERR_SHOAL_DOUBLE_FREE");
  fill(heap, moved, 1);
  assertFilled(heap, moved, 1, 10_000);
  heap.free(kept);
  assertSound(heap);
});

test("more bytes than a block has are ERR_SHOAL_ARGUMENT", (t) => {
  const heap = createHeap(t);
  const handle = heap.alloc(100);
  for (const wrong of [113, -1, 0.5, Number.NaN, 2 ** 32]) {
    throwsCode(() => heap.bytes(handle, wrong), "ERR_SHOAL_ARGUMENT", /has 112 bytes/);
  }
});

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

function everyCall(heap: Heap, handle: Handle): (() => unknown)[] {
  return [
    () => heap.alloc(10),
    () => heap.tryAlloc(10),
    () => heap.calloc(1, 10),
    () => heap.realloc(handle, 100),
    () => heap.free(handle),
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
    () => heap.roots.get("a"),
    () => heap.roots.list(),
    () => heap.stats(),
    () => heap.verify(),
    () => heap.region.participants(),
  ];
}

test("after close every call is ERR_SHOAL_CLOSED, closing again is harmless, and others notice nothing", (t) => {
  const heap = createHeap(t);
  const other = openHeap(t, heap);
  const handle = other.alloc(10);
  fill(other, handle, 4);
  const view = other.bytes(handle);
  other.close();
  other.close();
  for (const call of [...everyCall(other, handle), ...everyQuestion(other, handle)])
    throwsCode(call, "ERR_SHOAL_CLOSED");
  assert.equal(view[0], 0, "a view that was kept reads zeros");
  assertFilled(heap, handle, 4, 10);
  assertSound(heap);
});

test("a read-only heap answers every question and refuses every change", (t) => {
  const heap = createHeap(t);
  const handle = heap.alloc(10);
  fill(heap, handle, 4);
  heap.roots.set("a", handle);
  const reader = openHeap(t, heap, { readOnly: true });
  for (const call of everyCall(reader, handle)) throwsCode(call, "ERR_SHOAL_READ_ONLY");
  assertFilled(reader, handle, 4, 10);
  assert.equal(reader.roots.get("a"), handle);
  assert.equal(reader.roots.get("b"), 0);
  assert.deepEqual(reader.roots.list(), [{ name: "a", handle }]);
  assert.equal(reader.stats().blocks.used, 1);
  for (const ask of everyQuestion(reader, handle)) ask();
  assertSound(reader, heap);
});

test("what a read-only heap has read does not keep it from seeing what happens next", (t) => {
  const heap = createHeap(t);
  const reader = openHeap(t, heap, { readOnly: true });
  assert.equal(reader.roots.get("name"), 0);
  assert.deepEqual(reader.roots.list(), []);
  reader.verify();
  const handle = heap.alloc(3 * 2 ** 20);
  heap.roots.set("name", handle);
  fill(heap, handle, 8);
  assert.equal(reader.roots.get("name"), handle);
  assertFilled(reader, handle, 8, 3 * 2 ** 20);
  assert.equal(reader.region.segmentSizeBytes, heap.region.segmentSizeBytes);
  heap.roots.delete("name");
  assert.deepEqual(reader.roots.list(), []);
});

test("a plain region is no heap, and an allocator that there is not is refused", (t) => {
  const name = freshPosixName(t);
  using region = Region.create(name);
  throwsCode(() => Heap.open(region.name), "ERR_SHOAL_FORMAT", /plain region/);
  const wrong = { allocator: "arena" } as unknown as { allocator: "slab" };
  throwsCode(() => Heap.create(freshPosixName(t), wrong), "ERR_SHOAL_ARGUMENT", /slab/);
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
