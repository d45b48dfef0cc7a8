/**
 * Heaps for tests: made under fresh names, verified, and left the way the dead leave them.
 */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { Heap } from "../../src/heap/index.ts";
import type { Handle, HeapCreateOptions } from "../../src/heap/index.ts";
import { native } from "../../src/os/native.ts";
import type { BackendName, OpenOptions } from "../../src/region/index.ts";
import { peel } from "../../src/region/overlay.ts";
import { freshName } from "./segments.ts";

/** A new heap, closed after the test and its name removed. */
export function createHeap(t: TestContext, options: HeapCreateOptions = {}): Heap {
  const backend: BackendName = options.backend ?? "posix";
  const heap = Heap.create(freshName(t, backend), { ...options, backend });
  t.after(() => heap.close());
  return heap;
}

/** Another participant of the same heap, in this thread; closed after the test. */
export function openHeap(t: TestContext, heap: Heap, options: OpenOptions = {}): Heap {
  const again = Heap.open(heap.region.name, { backend: heap.region.backend, ...options });
  t.after(() => again.close());
  return again;
}

/** Asserts that each of the participants finds nothing wrong. */
export function assertSound(...heaps: readonly Heap[]): void {
  for (const heap of heaps) assert.deepEqual(heap.verify().problems, []);
}

/** Asserts that the heap keeps every invariant and has this many blocks. */
export function checkHeap(heap: Heap, blocks?: number): void {
  const report = heap.verify();
  assert.deepEqual(report.problems, []);
  if (blocks !== undefined) assert.equal(report.blocks, blocks);
}

/** Leaves as the dead do: nothing is put in order, and the kernel drops the lock. Views read zeros from then on. */
export function abandon(heap: Heap): void {
  const { session } = heap.region;
  peel(session.overlay);
  if (session.isPinned) native.pinRelease(session.fixedAddress);
  session.backing.close();
}

/** Fills a block with one byte. */
export function fill(heap: Heap, handle: Handle, byte: number): void {
  heap.bytes(handle).fill(byte);
}

/** Asserts that the block's first `lengthBytes` bytes are all this one. */
export function assertFilled(heap: Heap, handle: Handle, byte: number, lengthBytes: number): void {
  const bytes = heap.bytes(handle, lengthBytes);
  const index = bytes.findIndex((found) => found !== byte);
  assert.equal(index, -1, `byte ${index} of block ${handle} is ${bytes[index]}, not ${byte}`);
}
