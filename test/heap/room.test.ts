/** Where room comes from: growth, reuse, others' frees; and what happens when there is none. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Handle, Heap } from "../../src/heap/index.ts";
import { throwsCode } from "../helpers/assertions.ts";
import { assertFilled, assertSound, createHeap, fill, openHeap } from "../helpers/heaps.ts";
import { startProcess } from "../helpers/peer.ts";
import { noMount, startInSmallMount } from "../helpers/root.ts";
import { freshFolder } from "../helpers/segments.ts";

const PAGE = 65536;
const MiB = 2 ** 20;

function allocUntilFull(heap: Heap, sizeBytes: number): Handle[] {
  const handles: Handle[] = [];
  for (let handle = heap.tryAlloc(sizeBytes); handle !== 0; handle = heap.tryAlloc(sizeBytes))
    handles.push(handle);
  return handles;
}

test("a heap grows while it is allocated from, and others reach what was allocated there", (t) => {
  const heap = createHeap(t, { sizeBytes: PAGE });
  const other = openHeap(t, heap);
  const handles = Array.from({ length: 400 }, () => heap.alloc(20_000));
  assert.ok(heap.stats().growths > 1);
  for (const [index, handle] of handles.entries()) fill(heap, handle, index % 251);
  for (const [index, handle] of handles.entries()) assertFilled(other, handle, index % 251, 20_000);
  assertSound(heap, other);
  for (const handle of handles) other.free(handle);
  assert.equal(heap.verify().blocks, 0);
  assertSound(heap, other);
});

test("another participant frees and resizes blocks that lie behind what it has caught up with", (t) => {
  const heap = createHeap(t, { sizeBytes: PAGE });
  const other = openHeap(t, heap);
  const [one, two, three] = [heap.alloc(MiB), heap.alloc(MiB), heap.alloc(2 * MiB)];
  assert.ok(one > other.region.segmentSizeBytes || two > other.region.segmentSizeBytes);
  other.free(two);
  assert.equal(openHeap(t, heap).usableSize(three), 2 * MiB);
  const moved = other.realloc(three, 3 * MiB);
  assert.equal(heap.usableSize(moved), 3 * MiB);
  assertSound(heap, other);
});

test("growth adds no more than is missing behind the free pages at the end", (t) => {
  const heap = createHeap(t, { sizeBytes: 10 * PAGE, growStepBytes: PAGE });
  const before = heap.region.sizeBytes;
  heap.alloc(12 * PAGE);
  assert.equal(heap.region.sizeBytes, before + 2 * PAGE);
});

test("grow makes room ahead, and stats say how often it happened", (t) => {
  const heap = createHeap(t);
  const { growths } = heap.stats();
  assert.ok(heap.grow(5 * MiB) >= 5 * MiB);
  assert.equal(heap.stats().growths, growths + 1);
  heap.alloc(4 * MiB);
  assert.equal(heap.stats().growths, growths + 1);
});

test("a full heap says so with its numbers, and a free makes the next allocation succeed", (t) => {
  const heap = createHeap(t, { sizeBytes: MiB, spanBytes: 2 * MiB });
  const handles = allocUntilFull(heap, 10_000);
  assert.equal(heap.region.segmentSizeBytes, 2 * MiB);
  const error = throwsCode(() => heap.alloc(10_000), "ERR_SHOAL_OUT_OF_MEMORY", /no room for 10000 bytes/);
  assert.deepEqual(
    { ...error.details },
    { call: "alloc", sizeBytes: 10_000, segmentSizeBytes: 2 * MiB, spanBytes: 2 * MiB, largestFreeBytes: 0 },
  );
  assertSound(heap);
  heap.free(handles[17]!);
  assert.equal(heap.alloc(10_000), handles[17]);
  for (const call of [() => heap.calloc(1, 10_000), () => heap.realloc(handles[0]!, 50_000)]) {
    throwsCode(call, "ERR_SHOAL_OUT_OF_MEMORY");
  }
  assert.equal(heap.tryAlloc(MiB), 0);
  assert.equal(heap.verify().blocks, handles.length);
  for (const handle of handles) heap.free(handle);
  heap.alloc(heap.stats().largestFreeBytes);
  assertSound(heap);
});

test("what not even the whole span could hold is refused without growing", (t) => {
  const heap = createHeap(t, { spanBytes: 64 * MiB });
  const size = heap.region.segmentSizeBytes;
  const kept = heap.alloc(100);
  for (const sizeBytes of [64 * MiB, 64 * MiB - PAGE, 2 ** 32 - 1]) {
    throwsCode(() => heap.alloc(sizeBytes), "ERR_SHOAL_OUT_OF_MEMORY");
    throwsCode(() => heap.realloc(kept, sizeBytes), "ERR_SHOAL_OUT_OF_MEMORY");
    assert.equal(heap.tryAlloc(sizeBytes), 0);
  }
  assert.equal(heap.region.segmentSizeBytes, size);
  assert.equal(heap.usableSize(kept), 112);
  assertSound(heap);
});

test("a System V heap, which cannot grow, is full when it is full", (t) => {
  const heap = createHeap(t, { backend: "sysv", sizeBytes: MiB });
  const handles = allocUntilFull(heap, 30_000);
  assert.equal(handles.length, 32);
  throwsCode(() => heap.alloc(30_000), "ERR_SHOAL_OUT_OF_MEMORY");
  assertSound(heap);
});

test("the room of a participant that died is found before the heap grows", async (t) => {
  const heap = createHeap(t, { sizeBytes: MiB });
  const peer = startProcess(t);
  const filled = await peer.run(({ Heap: Heaps }, name) => {
    const theirs = Heaps.open(name);
    const handles = Array.from({ length: 15 }, () => theirs.alloc(40_000));
    for (const handle of handles) theirs.free(handle);
    // Empty pages of every class, kept for the next time.
    for (let sizeBytes = 2048; sizeBytes <= 32_768; sizeBytes += 2048) theirs.free(theirs.alloc(sizeBytes));
    return theirs.stats().pages.slab;
  }, heap.region.name);
  assert.ok(filled > 8);
  const size = heap.region.segmentSizeBytes;
  await peer.kill();
  heap.alloc(15 * PAGE);
  assert.equal(heap.region.segmentSizeBytes, size);
  assert.equal(heap.stats().recoveries, 1);
  assertSound(heap);
});

test("a full file system is ERR_SHOAL_NO_SPACE, and the heap works on", { skip: noMount }, async (t) => {
  const folder = freshFolder(t);
  const peer = startInSmallMount(t, folder, 4 * MiB);
  const report = await peer.run(({ Heap: Heaps }, path) => {
    const heap = Heaps.create(path, { backend: "file", spanBytes: 64 * 2 ** 20 });
    const handles = [];
    let code = "";
    while (code === "") {
      try {
        handles.push(heap.alloc(50_000));
      } catch (error) {
        code = (error as { code: string }).code;
      }
    }
    // All of it has storage: a page without any would be a SIGBUS here.
    for (const handle of handles) heap.bytes(handle).fill(1);
    const tried = heap.tryAlloc(50_000);
    heap.free(handles.pop()!);
    const again = heap.alloc(50_000);
    const { ok, blocks } = heap.verify();
    heap.remove();
    return { code, count: handles.length + 1, tried, again: again !== 0, ok, blocks };
  }, `${folder}/heap`);
  const { count, ...rest } = report;
  // The file system's four megabytes are used to the last, whatever the step.
  assert.ok(count >= 50 && count <= 63, `${count} blocks of 64 KiB`);
  assert.deepEqual(rest, { code: "ERR_SHOAL_NO_SPACE", tried: 0, again: true, ok: true, blocks: count });
});
