/** What npm run flips has found, each as small as it can be. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { changingCalls, lookingCalls } from "../../flips/calls.ts";
import { makeRandom } from "../../flips/random.ts";
import { ShoalError } from "../../src/errors.ts";
import { Heap } from "../../src/heap/index.ts";
import type { AllocatorName, Handle } from "../../src/heap/index.ts";
import {
  H_FIT_END_PAGES,
  H_HEAP_LOCK,
  H_MIN_SHIFT,
  H_ROOT_COUNT,
  H_ROOTS_OFFSET,
  H_ROOTS_LOCK,
  H_SLOTS_OFFSET,
  PAGE_SIZE_BYTES,
} from "../../src/layout/header.ts";
import {
  P_BLOCK_SIZE,
  P_FIRST,
  PAGE_HOLLOW,
  PAGE_RUN,
  STATE_LENGTH_SHIFT,
  STATE_OWNER_SHIFT,
  TABLE_BYTES_PER_PAGE,
} from "../../src/layout/page.ts";
import { useCheckpoint } from "../../src/region/core.ts";
import { createHeap } from "../helpers/heaps.ts";
import { ALLOCATORS } from "../helpers/kinds.ts";

/** The same heap, opened by another participant whose accesses `hook` is told of; closed after the test. */
function openChecked(t: TestContext, heap: Heap, hook: () => void): Heap {
  useCheckpoint(hook);
  try {
    const opened = Heap.open(heap.region.name);
    // The survey too.
    opened.stats();
    t.after(() => opened.close());
    return opened;
  } finally {
    useCheckpoint(undefined);
  }
}

function wordsOf(heap: Heap): DataView {
  return new DataView(heap.region.buffer);
}

function codeOf(step: () => unknown): string {
  try {
    step();
  } catch (error) {
    if (error instanceof ShoalError) return error.code;
    throw error;
  }
  return "none";
}

/** The words of all pages of a slab heap that are free. */
function freePages(heap: Heap): number[] {
  const { tableOffset, dataOffset } = heap.region.session.geometry;
  const end = heap.region.segmentSizeBytes / PAGE_SIZE_BYTES;
  const found: number[] = [];
  for (let page = dataOffset / PAGE_SIZE_BYTES; page < end; page++) {
    const offset = tableOffset + page * TABLE_BYTES_PER_PAGE;
    if (wordsOf(heap).getBigUint64(offset, true) === 0n) found.push(offset);
  }
  return found;
}

test("pages that are nearly free are passed over, not tried again and again", (t) => {
  for (const kind of [0, PAGE_HOLLOW]) {
    const heap = createHeap(t, {
      sizeBytes: 8 * PAGE_SIZE_BYTES,
      spanBytes: 2000 * PAGE_SIZE_BYTES,
      growStepBytes: 1,
    });
    for (const offset of freePages(heap))
      wordsOf(heap).setBigUint64(offset, BigInt(kind) | (1n << BigInt(STATE_OWNER_SHIFT)), true);
    let accesses = 0;
    const other = openChecked(t, heap, () => void accesses++);
    for (const sizeBytes of [100, 3 * PAGE_SIZE_BYTES]) {
      accesses = 0;
      other.free(other.alloc(sizeBytes));
      assert.ok(accesses < 2000, `${accesses} accesses for ${sizeBytes} bytes beside pages of kind ${kind}`);
    }
  }
});

test("a free page is found from wherever the search begins, whatever damaged runs are said to reach over it", (t) => {
  const heap = createHeap(t, { sizeBytes: 8 * PAGE_SIZE_BYTES, spanBytes: 20 * PAGE_SIZE_BYTES });
  const { tableOffset } = heap.region.session.geometry;
  let accesses = 0;
  const other = openChecked(t, heap, () => void accesses++);
  const runs = [1, 2, 3, 4].map(() => other.alloc(PAGE_SIZE_BYTES));
  const first = Math.min(...runs) / PAGE_SIZE_BYTES;
  assert.equal(Math.max(...runs) / PAGE_SIZE_BYTES, first + 3);
  // From the start the walk comes to the free page behind the four; from where the search goes on it leads past that.
  for (const [page, length] of [
    [first, 5],
    [first + 4, 600],
  ] as const)
    wordsOf(heap).setBigUint64(
      tableOffset + page * TABLE_BYTES_PER_PAGE,
      BigInt(PAGE_RUN) | (BigInt(length) << BigInt(STATE_LENGTH_SHIFT)),
      true,
    );
  accesses = 0;
  const handle = other.alloc(PAGE_SIZE_BYTES);
  assert.ok(accesses < 2000, `${accesses} accesses`);
  assert.equal(handle, (first + 5) * PAGE_SIZE_BYTES);
});

test("an owned block of a page that has become something else is refused at once", (t) => {
  const heap = createHeap(t);
  let accesses = 0;
  const other = openChecked(t, heap, () => void accesses++);
  const handle = other.alloc(100);
  const { tableOffset } = heap.region.session.geometry;
  const state = tableOffset + Math.floor(handle / PAGE_SIZE_BYTES) * TABLE_BYTES_PER_PAGE;
  wordsOf(heap).setUint8(state, 0x0e);
  accesses = 0;
  assert.equal(
    codeOf(() => other.alloc(100, { owned: true })),
    "ERR_SHOAL_CORRUPT",
  );
  assert.ok(accesses < 1000, `${accesses} accesses`);
});

test("a header that is damaged after the opening is told by whoever looks first", (t) => {
  for (const [allocator, offset, value] of [
    ["buddy", H_MIN_SHIFT, 0x02080005],
    ["slab", H_SLOTS_OFFSET, 2],
    ["first-fit", H_SLOTS_OFFSET, 0x81401000],
  ] as const) {
    for (const look of [
      (heap: Heap) => heap.stats(),
      (heap: Heap) => heap.verify(),
      (heap: Heap) => heap.region.participants(),
      (heap: Heap) => [...heap.blocks()],
      (heap: Heap) => heap.region.recoveries,
    ]) {
      const heap = createHeap(t, { allocator });
      const before = wordsOf(heap).getUint32(offset, true);
      wordsOf(heap).setUint32(offset, value, true);
      assert.equal(
        codeOf(() => look(heap)),
        "ERR_SHOAL_CORRUPT",
        `${allocator}, ${look.toString()}`,
      );
      wordsOf(heap).setUint32(offset, before, true);
    }
  }
});

test("a lock that nobody can hold is told, and who holds it is not looked for outside", (t) => {
  for (const value of [0x1010, 0xfffffff8, 2 ** 32 - 1]) {
    const heap = createHeap(t);
    const handle = heap.alloc(10);
    wordsOf(heap).setUint32(H_ROOTS_LOCK, value, true);
    assert.equal(
      codeOf(() => heap.roots.set("it", handle)),
      "ERR_SHOAL_CORRUPT",
    );
  }
});

test("first-fit: blocks that end before the first page are none", (t) => {
  const heap = createHeap(t, { allocator: "first-fit", spanBytes: 300 * PAGE_SIZE_BYTES });
  const handle = heap.alloc(100);
  wordsOf(heap).setUint32(H_FIT_END_PAGES, 1, true);
  wordsOf(heap).setUint32(H_HEAP_LOCK, heap.region.slotIndex + 1, true);
  assert.match(
    codeOf(() => heap.free(handle)),
    /^ERR_SHOAL_(CORRUPT|BAD_HANDLE)$/,
  );
  assert.equal(wordsOf(heap).getUint32(H_HEAP_LOCK, true), 0, "the lock is free again");
});

test("a block of a slab page is never larger than the rest of its page", (t) => {
  for (const sizeBytes of [0x8000_0000, 0x7fff_ffff, 0x10_0b00, 65537]) {
    const heap = createHeap(t);
    const handle = heap.alloc(1000);
    const { tableOffset } = heap.region.session.geometry;
    const page = tableOffset + Math.floor(handle / PAGE_SIZE_BYTES) * TABLE_BYTES_PER_PAGE;
    wordsOf(heap).setUint32(page + P_BLOCK_SIZE, sizeBytes, true);
    // The first block is found whatever the size is.
    const first = (handle -
      (handle % PAGE_SIZE_BYTES) +
      wordsOf(heap).getUint32(page + P_FIRST, true)) as Handle;
    assert.equal(first, handle);
    assert.equal(
      codeOf(() => heap.bytes(handle)),
      "ERR_SHOAL_CORRUPT",
    );
  }
});

test("slab: a run without pages is no block, and a listing of pages with a wrong block size comes to its end", (t) => {
  const heap = createHeap(t, { spanBytes: 300 * PAGE_SIZE_BYTES });
  const [run, small] = [heap.alloc(2 * PAGE_SIZE_BYTES), heap.alloc(40)];
  let accesses = 0;
  const other = openChecked(t, heap, () => void accesses++);
  const descriptorOf = (handle: Handle): number =>
    heap.region.session.geometry.tableOffset + Math.floor(handle / PAGE_SIZE_BYTES) * TABLE_BYTES_PER_PAGE;
  // What the last call failed with is not what this one does.
  assert.equal(other.tryAlloc(400 * PAGE_SIZE_BYTES), 0);
  wordsOf(heap).setUint32(descriptorOf(run) + 4, 0x0001_0000, true);
  wordsOf(heap).setUint32(descriptorOf(small) + P_BLOCK_SIZE, 0xffff_fffe, true);
  for (const look of [() => other.usableSize(run), () => other.ownerOf(run), () => [...other.blocks()]]) {
    accesses = 0;
    assert.match(codeOf(look), /^(none|ERR_SHOAL_CORRUPT)$/);
    assert.ok(accesses < 5000, `${accesses} accesses in ${look.toString()}`);
  }
});

test("a header with roots that are nowhere is refused", (t) => {
  const heap = createHeap(t, { allocator: "first-fit" });
  wordsOf(heap).setUint32(H_ROOTS_OFFSET, 0, true);
  wordsOf(heap).setUint32(H_ROOT_COUNT, 0x12e38, true);
  assert.equal(
    codeOf(() => Heap.open(heap.region.name).roots.list()),
    "ERR_SHOAL_CORRUPT",
  );
});

/** How many accesses of a call are tried out as places of a trap; the later ones of a look over a heap are all alike. */
const MOST_TRAPS = 400;

function defineTraps(allocator: AllocatorName): void {
  test(`${allocator}: a trap anywhere in any call is ERR_SHOAL_CORRUPT, and leaves no lock behind`, (t) => {
    const heap = createHeap(t, {
      allocator,
      sizeBytes: 4 * PAGE_SIZE_BYTES,
      spanBytes: 12 * PAGE_SIZE_BYTES,
    });
    let left = Infinity;
    const other = openChecked(t, heap, () => {
      if (--left === 0) throw new WebAssembly.RuntimeError("memory access out of bounds");
    });
    const number = other.region.slotIndex + 1;
    const handles: Handle[] = [];
    for (const [name, call] of Object.entries({ ...changingCalls, ...lookingCalls })) {
      // Not the core's, or only of slab heaps.
      if (["plan", "catchUp", "roots.list"].includes(name) || (name === "trim" && allocator !== "slab"))
        continue;
      let traps = 0;
      for (let at = 1; at <= MOST_TRAPS; at++) {
        while (handles.length < 6) handles.push(heap.alloc(500));
        const sizeBytes = other.region.segmentSizeBytes;
        left = at;
        const code = codeOf(() => call(other, { random: makeRandom(at), handles: [...handles] }));
        const isTrapped = left <= 0;
        left = Infinity;
        // A growth that failed is tried again, for as much as is needed.
        const hasGrown = other.region.segmentSizeBytes > sizeBytes && code === "none";
        if (isTrapped && !hasGrown) {
          traps++;
          assert.equal(code, "ERR_SHOAL_CORRUPT", `${name}, trapped at access ${at}`);
        }
        for (const offset of [H_HEAP_LOCK, H_ROOTS_LOCK])
          assert.notEqual(
            wordsOf(heap).getUint32(offset, true),
            number,
            `${name}: a lock is held after access ${at}`,
          );
        // What the call did before it was cut off it may have done.
        const there = new Set([...heap.blocks()].map((block) => block.handle as number));
        for (const handle of handles.splice(0)) if (there.has(handle)) handles.push(handle);
        if (there.size > 60) for (const handle of there) codeOf(() => heap.free(handle as Handle));
        if (there.size > 60) handles.length = 0;
        if (!isTrapped) break;
      }
      if (name !== "grow") assert.ok(traps > 0, `${name} was trapped`);
    }
  });
}

for (const allocator of ALLOCATORS) defineTraps(allocator);
