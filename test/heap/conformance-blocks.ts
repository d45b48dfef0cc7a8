/** The part of the conformance suite about blocks: every way to get one, to resize it and to give it back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Block, Handle, Heap, Pointer } from "../../src/heap/index.ts";
import { throwsCode } from "../helpers/assertions.ts";
import { assertFilled, checkHeap, fill, openHeap } from "../helpers/heaps.ts";
import {
  alignmentsOf,
  assertSigned,
  createFixed,
  createKind,
  exhaust,
  mostUsable,
  naturalAlignment,
  pictureOf,
  refuses,
  sign,
  sizesOf,
} from "../helpers/kinds.ts";
import type { Kind } from "../helpers/kinds.ts";

const PAGE = 65536;
const MiB = 2 ** 20;

/** Declares the tests for one kind of heap. */
export function defineBlocks(kind: Kind): void {
  const label = `${kind.allocator} ${kind.backend}`;
  definePlain(kind, label);
  defineZeroed(kind, label);
  defineResizing(kind, label);
  defineAligned(kind, label);
  defineBatches(kind, label);
  defineScopes(kind, label);
  definePointers(kind, label);
}

/** Asserts that a new block is as large and as aligned as is promised, and no larger. */
function checkBlock(heap: Heap, handle: Handle, sizeBytes: number, alignmentBytes = 1): number {
  const usable = heap.usableSize(handle);
  const most = mostUsable(heap, Math.max(sizeBytes, heap.allocator === "slab" ? 1 : alignmentBytes));
  assert.ok(usable >= sizeBytes, `${sizeBytes} got ${usable}`);
  // An aligned slab block may be one of a larger class, whose blocks lie so.
  const isPlain = heap.allocator !== "slab" || alignmentBytes <= 16;
  assert.ok(!isPlain || usable <= most, `${sizeBytes} got ${usable}, more than ${most}`);
  assert.equal(handle % Math.max(naturalAlignment(heap, usable), alignmentBytes), 0, `${handle}`);
  assert.equal(heap.bytes(handle).length, usable);
  return usable;
}

/** Asserts that no two blocks share a byte. */
function assertApart(heap: Heap, handles: Iterable<Handle>): void {
  let reached = 0;
  for (const handle of [...handles].sort((one, other) => one - other)) {
    assert.ok(handle >= reached, `${handle} begins inside the block that ends at ${reached}`);
    reached = handle + heap.usableSize(handle) + heap.plan.headerBytes;
  }
}

function definePlain(kind: Kind, label: string): void {
  test(`${label}: blocks of every size are large enough, lie apart, and keep their bytes`, (t) => {
    const heap = createKind(t, kind, { sizeBytes: 8 * MiB });
    const other = openHeap(t, heap);
    const sizes = sizesOf(heap);
    const blocks = new Map<Handle, number>();
    for (let round = 0; round < 4; round++) {
      for (const sizeBytes of sizes) {
        const by = (round + blocks.size) % 3 === 0 ? other : heap;
        const handle = by.alloc(sizeBytes);
        assert.ok(!blocks.has(handle), `${handle} was given out twice`);
        checkBlock(by, handle, sizeBytes);
        sign(by, handle, blocks.size);
        blocks.set(handle, blocks.size);
      }
    }
    assertApart(heap, blocks.keys());
    checkHeap(heap, blocks.size);
    for (const [handle, seed] of blocks) assertSigned(other, handle, seed, heap.usableSize(handle));
    let left = blocks.size;
    for (const [handle, seed] of blocks) {
      (seed % 2 === 0 ? heap : other).free(handle);
      if (--left % 10 === 0) for (const one of [heap, other]) checkHeap(one, left);
    }
    assert.equal(heap.tryAlloc(sizes[0]!) > 0, true);
    checkHeap(other, 1);
  });

  test(`${label}: what the plan says is what the heap has`, (t) => {
    const heap = createKind(t, kind);
    const other = openHeap(t, heap);
    const { plan } = heap;
    assert.equal(heap.allocator, kind.allocator);
    assert.equal(other.allocator, kind.allocator);
    assert.deepEqual(other.plan, plan);
    assert.equal(plan.allocator, kind.allocator);
    assert.equal(plan.overheadBytes, heap.region.dataOffset);
    assert.equal(plan.segmentBytes, heap.region.segmentSizeBytes);
    assert.equal(plan.dataBytes, heap.region.sizeBytes);
    assert.equal(plan.spanBytes, heap.region.spanBytes);
    assert.ok(plan.dataBytes >= MiB && plan.mostDataBytes >= plan.dataBytes);
    const least = heap.alloc(1);
    assert.equal(heap.usableSize(least), plan.minBlockBytes);
    refuses(heap, () => heap.alloc(plan.maxBlockBytes + 1), "ERR_SHOAL_OUT_OF_MEMORY");
    assert.equal(heap.tryAlloc(plan.maxBlockBytes + 1), 0);
    checkHeap(heap, 1);
  });
}

function defineZeroed(kind: Kind, label: string): void {
  test(`${label}: calloc, and whoever asks for zeros, gets zeros where others have written`, (t) => {
    const heap = createKind(t, kind, { sizeBytes: 4 * MiB });
    const ways: ((sizeBytes: number) => Handle)[] = [
      (sizeBytes) => heap.calloc(1, sizeBytes),
      (sizeBytes) => heap.calloc(sizeBytes, 1),
      (sizeBytes) => heap.alloc(sizeBytes, { zeroed: true }),
      (sizeBytes) => heap.alignedAlloc(1, sizeBytes, { zeroed: true }),
      (sizeBytes) => heap.calloc(1, sizeBytes, { owned: true }),
      (sizeBytes) => heap.block(sizeBytes, { zeroed: true }).keep(),
    ];
    for (const sizeBytes of sizesOf(heap)) {
      for (const way of ways) {
        const dirty = [heap.alloc(sizeBytes), heap.alloc(sizeBytes), heap.alloc(sizeBytes)];
        for (const handle of dirty) fill(heap, handle, 255);
        heap.freeMany(dirty);
        const clean = [way(sizeBytes), way(sizeBytes)];
        assert.ok(
          clean.some((handle) => dirty.includes(handle)),
          "written bytes come back, so that the test tests something",
        );
        for (const handle of clean) assertFilled(heap, handle, 0, heap.usableSize(handle));
        heap.freeMany(clean);
      }
    }
    checkHeap(heap, 0);
  });
}

function defineResizing(kind: Kind, label: string): void {
  test(`${label}: realloc keeps the contents and the owner, wherever the block goes`, (t) => {
    const heap = createKind(t, kind, { sizeBytes: 6 * MiB });
    const other = openHeap(t, heap);
    const sizes = sizesOf(heap);
    // Up, down, and by leaps in both directions.
    const path = [
      ...sizes,
      ...sizes.toReversed(),
      ...sizes.flatMap((size, index) => [size, sizes.at(-index - 1)!]),
    ];
    for (const owned of [false, true]) {
      let handle = heap.alloc(path[0]!, { owned });
      let had = path[0]!;
      let moves = 0;
      sign(heap, handle, 1, had);
      for (const [index, sizeBytes] of path.entries()) {
        // What is behind the block now and then keeps it from growing where it is.
        const wall = index % 3 === 0 ? heap.alloc(16) : undefined;
        // A shared block is anybody's to resize.
        const next = (owned || index % 2 === 0 ? heap : other).realloc(handle, sizeBytes);
        if (next !== handle) moves++;
        handle = next;
        assert.ok(heap.usableSize(handle) >= sizeBytes);
        assertSigned(other, handle, 1, Math.min(had, sizeBytes));
        sign(other, handle, 1, sizeBytes);
        had = sizeBytes;
        assert.equal(heap.ownerOf(handle)?.index, owned ? heap.region.slotIndex : undefined);
        if (wall !== undefined) heap.free(wall);
        checkHeap(index % 2 === 0 ? heap : other, 1);
      }
      assert.ok(moves > 0);
      heap.free(handle);
    }
    checkHeap(heap, 0);
  });

  test(`${label}: realloc to the size that a block has changes nothing, and a block shrinks where it is`, (t) => {
    const heap = createKind(t, kind);
    for (const sizeBytes of sizesOf(heap)) {
      const handle = heap.alloc(sizeBytes);
      sign(heap, handle, 2, sizeBytes);
      const before = heap.stats();
      assert.equal(heap.realloc(handle, heap.usableSize(handle)), handle);
      assert.equal(heap.realloc(handle, sizeBytes), handle);
      assert.deepEqual(heap.stats(), before);
      assertSigned(heap, handle, 2, sizeBytes);
      heap.free(handle);
    }
    const large = heap.alloc(Math.min(heap.plan.maxBlockBytes, 4 * PAGE));
    const { usedBytes } = heap.stats();
    const less = heap.usableSize(large) / 2;
    assert.equal(heap.realloc(large, less), large);
    assert.equal(heap.stats().usedBytes, usedBytes / 2);
    checkHeap(heap, 1);
  });

  test(`${label}: a block that cannot be resized for want of room stays as it was`, (t) => {
    const heap = createFixed(t, kind, MiB);
    const handle = heap.alloc(Math.min(heap.plan.maxBlockBytes / 2, 5000), { owned: true });
    sign(heap, handle, 3);
    const rest = exhaust(heap);
    const usable = heap.usableSize(handle);
    refuses(heap, () => heap.realloc(handle, heap.plan.maxBlockBytes), "ERR_SHOAL_OUT_OF_MEMORY");
    refuses(heap, () => heap.realloc(handle, heap.plan.maxBlockBytes + 1), "ERR_SHOAL_OUT_OF_MEMORY");
    assertSigned(heap, handle, 3, usable);
    assert.equal(heap.ownerOf(handle)?.index, heap.region.slotIndex);
    heap.freeMany(rest);
    const grown = heap.realloc(handle, 2 * usable);
    assertSigned(heap, grown, 3, usable);
    checkHeap(heap, 1);
  });
}

function defineAligned(kind: Kind, label: string): void {
  test(`${label}: alignedAlloc places blocks at multiples of every power of two up to 64 KiB`, (t) => {
    const heap = createKind(t, kind, { sizeBytes: 24 * MiB });
    const other = openHeap(t, heap);
    const alignments = alignmentsOf(heap);
    const handles: Handle[] = [];
    for (const alignmentBytes of alignments) {
      for (const sizeBytes of sizesOf(heap).filter((size) => size < 4 * PAGE)) {
        const owned = handles.length % 3 === 0;
        const handle = (owned ? heap : other).alignedAlloc(alignmentBytes, sizeBytes, { owned });
        checkBlock(heap, handle, sizeBytes, alignmentBytes);
        assert.equal(heap.ownerOf(handle)?.index, owned ? heap.region.slotIndex : undefined);
        sign(heap, handle, handles.length, sizeBytes);
        handles.push(handle);
      }
      const plain = heap.alloc(10, { alignmentBytes });
      assert.equal(plain % alignmentBytes, 0);
      heap.free(plain);
      checkHeap(heap, handles.length);
    }
    assertApart(heap, handles);
    const sizes = sizesOf(heap).filter((size) => size < 4 * PAGE);
    for (const [index, handle] of handles.entries()) {
      assertSigned(other, handle, index, sizes[index % sizes.length]!);
      heap.free(handle);
    }
    const last = heap.alignedAlloc(alignments.at(-1)!, 1);
    sign(heap, last, 7, 1);
    assertSigned(
      heap,
      heap.realloc(last, heap.plan.maxBlockBytes > MiB ? MiB : heap.plan.maxBlockBytes),
      7,
      1,
    );
    checkHeap(heap, 1);
  });
}

function defineBatches(kind: Kind, label: string): void {
  test(`${label}: allocMany gives as many blocks as are asked for, and freeMany takes them back`, (t) => {
    const heap = createKind(t, kind);
    const other = openHeap(t, heap);
    assert.deepEqual(heap.allocMany(0, 100), []);
    heap.freeMany([]);
    for (const count of [1, 15, 16, 17, 100]) {
      const handles = heap.allocMany(count, 300);
      assert.equal(handles.length, count);
      assert.equal(new Set(handles).size, count);
      for (const [index, handle] of handles.entries()) {
        checkBlock(heap, handle, 300);
        assert.equal(heap.ownerOf(handle), undefined);
        sign(heap, handle, index);
      }
      assertApart(heap, handles);
      for (const [index, handle] of handles.entries()) assertSigned(other, handle, index, 300);
      checkHeap(heap, count);
      (count % 2 === 0 ? heap : other).freeMany(handles.toReversed());
      checkHeap(other, 0);
    }
  });

  test(`${label}: when there is not room for all of a batch there is none of it`, (t) => {
    const heap = createFixed(t, kind, MiB);
    const size = Math.min(heap.plan.maxBlockBytes, 10_000);
    const kept = heap.allocMany(20, size);
    refuses(heap, () => heap.allocMany(100_000, size), "ERR_SHOAL_OUT_OF_MEMORY");
    refuses(
      heap,
      () => heap.allocMany(Math.ceil(heap.region.sizeBytes / size) - 19, size),
      "ERR_SHOAL_OUT_OF_MEMORY",
    );
    refuses(heap, () => heap.allocMany(2 ** 40, heap.plan.maxBlockBytes), "ERR_SHOAL_OUT_OF_MEMORY");
    refuses(heap, () => heap.allocMany(2, heap.plan.maxBlockBytes + 1), "ERR_SHOAL_OUT_OF_MEMORY");
    const rest = exhaust(heap);
    refuses(heap, () => heap.allocMany(1, size), "ERR_SHOAL_OUT_OF_MEMORY");
    assert.deepEqual(heap.allocMany(0, size), []);
    heap.freeMany(rest);
    heap.freeMany(heap.allocMany(20, size));
    heap.freeMany(kept);
    checkHeap(heap, 0);
  });

  test(`${label}: freeMany stops at the first block that is refused, and says how many are free`, (t) => {
    const heap = createKind(t, kind);
    const other = openHeap(t, heap);
    for (const at of [0, 1, 15, 16, 17, 39]) {
      const handles = heap.allocMany(40, 200);
      const theirs = other.alloc(200, { owned: true });
      const stale = heap.alloc(200);
      heap.free(stale);
      const wrongs: [wrong: number, code: RegExp, freed: number][] = [
        // First, while nobody has the place again.
        [stale, /DOUBLE_FREE|BAD_HANDLE/, at],
        [handles[at]! + 8, /BAD_HANDLE/, at],
        [theirs, /NOT_OWNER/, at],
        [0, /BAD_HANDLE/, at],
        // What is no handle at all is noticed before anything is freed.
        [Number.NaN, /BAD_HANDLE/, 0],
        [-1, /BAD_HANDLE/, 0],
      ];
      let left = handles;
      for (const [wrong, code, freed] of wrongs) {
        const list = left.toSpliced(at, 0, wrong as Handle);
        const error = catchError(() => heap.freeMany(list));
        assert.match(error.code, code);
        assert.deepEqual([error.details["call"], error.details["freed"]], ["freeMany", freed]);
        assert.match(error.message, new RegExp(`${freed} of ${list.length}`));
        left = left.slice(freed);
        assert.deepEqual(
          [...heap.blocks()].map(({ handle }) => handle),
          [...left, theirs].sort((one, other2) => one - other2),
        );
        left = [...heap.allocMany(freed, 200), ...left];
        checkHeap(heap, 41);
      }
      // A handle that is listed twice is free when it comes again.
      const twice = catchError(() => heap.freeMany([...left.slice(0, at + 1), left[at]!]));
      assert.match(twice.code, /DOUBLE_FREE|BAD_HANDLE/);
      assert.equal(twice.details["freed"], at + 1);
      heap.freeMany(left.slice(at + 1));
      other.free(theirs);
      checkHeap(heap, 0);
    }
  });
}

interface Coded {
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

function catchError(call: () => unknown): Coded {
  try {
    call();
  } catch (error) {
    return error as Coded;
  }
  return assert.fail("nothing was thrown");
}

function defineScopes(kind: Kind, label: string): void {
  test(`${label}: a block with a scope is free at its end, unless it is kept`, (t) => {
    const heap = createKind(t, kind);
    const outside: Block[] = [];
    {
      using block = heap.block(100);
      using zeroed = heap.block(64, { zeroed: true, alignmentBytes: 64 });
      assert.equal(block.bytes.length, heap.usableSize(block.handle));
      assert.equal(block.bytes.byteOffset, block.handle);
      assert.equal(zeroed.handle % 64, 0);
      assert.ok(zeroed.bytes.every((byte) => byte === 0));
      block.bytes.fill(1);
      checkHeap(heap, 2);
      outside.push(block, zeroed);
    }
    checkHeap(heap, 0);
    for (const block of outside) {
      throwsCode(() => block.keep(), "ERR_SHOAL_BAD_HANDLE");
      block.free();
      block[Symbol.dispose]();
    }
    assert.throws(() => {
      using block = heap.block(100);
      throw new Error(`in the scope of ${block.handle}`);
    }, /in the scope/);
    checkHeap(heap, 0);
    let kept: Handle;
    {
      using block = heap.block(100);
      kept = block.keep();
      throwsCode(() => block.keep(), "ERR_SHOAL_BAD_HANDLE", /freed or kept/);
      block.free();
    }
    checkHeap(heap, 1);
    heap.free(kept);
    refuses(heap, () => heap.block(0), "ERR_SHOAL_SIZE");
    refuses(heap, () => heap.block(heap.plan.maxBlockBytes + 1), "ERR_SHOAL_OUT_OF_MEMORY");
  });

  test(`${label}: freeing a block in its scope, and once more, frees it once and no other's`, (t) => {
    const heap = createKind(t, kind);
    let reused: Handle;
    {
      using block = heap.block(100);
      block.free();
      // The same place, another's by now: the scope's end must not free that.
      reused = heap.alloc(100);
      block.free();
    }
    assert.deepEqual(
      [...heap.blocks()].map(({ handle }) => handle),
      [reused],
    );
    checkHeap(heap, 1);
  });

  test(`${label}: an owned block with a scope is the caller's own, and shared when it is kept`, (t) => {
    const heap = createKind(t, kind);
    const other = openHeap(t, heap);
    let kept: Handle;
    {
      using block = heap.block(100, { owned: true });
      using gone = heap.block(100, { owned: true });
      assert.equal(other.ownerOf(block.handle)?.index, heap.region.slotIndex);
      refuses(other, () => other.free(gone.handle), "ERR_SHOAL_NOT_OWNER");
      kept = block.keep();
    }
    assert.equal(heap.ownerOf(kept), undefined);
    checkHeap(heap, 1);
    other.free(kept);
    checkHeap(other, 0);
  });
}

function definePointers(kind: Kind, label: string): void {
  test(`${label}: the pointer twins do what the calls do, in addresses`, (t) => {
    const heap = createKind(t, kind, { fixedAddress: true, sizeBytes: MiB, spanBytes: 4 * MiB });
    const other = openHeap(t, heap);
    const { pointers } = heap;
    const at = pointers.alloc(100, { owned: true });
    assert.equal(at, heap.region.fixedAddress + heap.handleOf(at));
    assert.equal(heap.ownerOf(heap.handleOf(at))?.index, heap.region.slotIndex);
    assert.equal(pointers.usableSize(at), heap.usableSize(heap.handleOf(at)));
    refuses(other, () => other.pointers.free(at), "ERR_SHOAL_NOT_OWNER");
    refuses(heap, () => pointers.free((at + 8) as Pointer), "ERR_SHOAL_BAD_HANDLE");
    refuses(heap, () => pointers.free(8 as Pointer), "ERR_SHOAL_BAD_POINTER");
    const zeros = pointers.calloc(10, 10);
    assertFilled(heap, heap.handleOf(zeros), 0, 100);
    const larger = other.pointers.realloc(zeros, 500);
    assert.ok(pointers.usableSize(larger) >= 500);
    pointers.free(at);
    pointers.free(larger);
    throwsCode(() => pointers.free(0 as Pointer), "ERR_SHOAL_BAD_HANDLE");
    checkHeap(heap, 0);
    const plain = createKind(t, kind);
    const before = pictureOf(plain);
    for (const call of [() => plain.pointers.alloc(10), () => plain.pointers.calloc(1, 10)])
      throwsCode(call, "ERR_SHOAL_UNSUPPORTED");
    assert.deepEqual(pictureOf(plain), before);
  });
}
