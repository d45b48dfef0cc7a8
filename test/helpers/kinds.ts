/**
 * Heaps of every kind for tests: three allocators on four backends, what may be expected of each, and what a refused call
 * must leave as it was.
 */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { ShoalError } from "../../src/errors.ts";
import type { ShoalErrorCode } from "../../src/errors.ts";
import type { AllocatorName, BlockInfo, Handle, Heap, HeapCreateOptions } from "../../src/heap/index.ts";
import type { BackendName } from "../../src/region/index.ts";
import { throwsCode } from "./assertions.ts";
import { assertSound, createHeap } from "./heaps.ts";

export const ALLOCATORS: readonly AllocatorName[] = ["slab", "buddy", "first-fit"];

const KiB = 1024;
const PAGE = 65536;

/** An allocator on a backend. */
export interface Kind {
  readonly allocator: AllocatorName;
  readonly backend: BackendName;
}

/** A new heap of this kind, closed after the test. System V heaps have no span: they are as large as they are made. */
export function createKind(
  t: TestContext,
  { allocator, backend }: Kind,
  options: HeapCreateOptions = {},
): Heap {
  if (backend !== "sysv") return createHeap(t, { ...options, allocator, backend });
  const { spanBytes: _spanBytes, growStepBytes: _growStepBytes, ...rest } = options;
  return createHeap(t, { ...rest, allocator, backend });
}

/** A heap of this kind that cannot grow any more, with room for at least `sizeBytes`. */
export function createFixed(
  t: TestContext,
  kind: Kind,
  sizeBytes: number,
  options: HeapCreateOptions = {},
): Heap {
  const heap = createKind(t, kind, { ...options, sizeBytes, spanBytes: 2 * sizeBytes + 2 ** 19 });
  if (heap.region.segmentSizeBytes < heap.region.spanBytes) heap.grow(heap.plan.mostDataBytes);
  assert.equal(heap.region.segmentSizeBytes, heap.region.spanBytes);
  return heap;
}

const SIZES = [
  1,
  7,
  8,
  9,
  16,
  17,
  100,
  255,
  256,
  257,
  1000,
  KiB,
  KiB + 1,
  4096,
  9000,
  32 * KiB,
  32 * KiB + 1,
  PAGE,
  PAGE + 1,
  300_000,
];

/** Sizes on both sides of every edge that allocators have, as far as this heap has blocks of them. */
export function sizesOf(heap: Heap): number[] {
  return SIZES.filter((size) => size <= heap.plan.maxBlockBytes);
}

/** Every power of two up to 64 KiB, or to the largest block. */
export function alignmentsOf(heap: Heap): number[] {
  const most = Math.min(PAGE, heap.plan.maxBlockBytes);
  return Array.from({ length: Math.log2(most) + 1 }, (_, shift) => 2 ** shift);
}

/** What a handle of a block with so many usable bytes is a multiple of. */
export function naturalAlignment({ allocator }: Heap, usableBytes: number): number {
  if (allocator === "buddy") return usableBytes;
  return allocator === "slab" ? 16 : 8;
}

/** The most usable bytes that a block has for which `sizeBytes` were asked. */
export function mostUsable({ allocator, plan }: Heap, sizeBytes: number): number {
  // Leaves of eight bytes that are too small to be blocks go to the block before them.
  if (allocator === "first-fit") return Math.ceil(sizeBytes / 8) * 8 + 8;
  if (allocator === "buddy") return Math.max(2 ** Math.ceil(Math.log2(sizeBytes)), plan.minBlockBytes);
  if (sizeBytes > 32 * KiB) return Math.ceil(sizeBytes / PAGE) * PAGE;
  if (sizeBytes > 8 * KiB) return sizeBytes * 1.5;
  return sizeBytes > 256 ? sizeBytes * 1.125 + 16 : sizeBytes + 15;
}

/** Bytes that differ from place to place, so that a block that was moved by a few bytes is noticed. */
export function sign(heap: Heap, handle: Handle, seed: number, lengthBytes?: number): void {
  const bytes = heap.bytes(handle, lengthBytes);
  for (let index = 0; index < bytes.length; index++) bytes[index] = byteAt(seed, index);
}

/** Asserts that the block's first `lengthBytes` bytes are as sign() has written them. */
export function assertSigned(heap: Heap, handle: Handle, seed: number, lengthBytes: number): void {
  const bytes = heap.bytes(handle, lengthBytes);
  for (let index = 0; index < bytes.length; index++) {
    if (bytes[index] === byteAt(seed, index)) continue;
    assert.fail(`byte ${index} of ${lengthBytes} of block ${handle} is ${bytes[index]}, not that of ${seed}`);
  }
}

function byteAt(seed: number, index: number): number {
  return (seed * 31 + index * 7 + (index >> 8)) & 0xff;
}

/** Allocates blocks of this size until there is no room. */
export function allocUntilFull(heap: Heap, sizeBytes: number): Handle[] {
  const handles: Handle[] = [];
  for (let handle = heap.tryAlloc(sizeBytes); handle !== 0; handle = heap.tryAlloc(sizeBytes))
    handles.push(handle);
  return handles;
}

/** Fills a heap that cannot grow until this participant cannot allocate even one byte; the blocks that it took. */
export function exhaust(heap: Heap): Handle[] {
  const handles: Handle[] = [];
  let sizeBytes = Math.min(heap.plan.maxBlockBytes, PAGE);
  while (sizeBytes > 0) {
    handles.push(...allocUntilFull(heap, sizeBytes));
    const { largestFreeBytes } = heap.stats();
    // What is free may be in pages that another participant of a slab heap keeps: then the size does not fall by itself.
    sizeBytes = largestFreeBytes < sizeBytes ? largestFreeBytes : sizeBytes >> 1;
  }
  assert.equal(heap.tryAlloc(1), 0);
  return handles;
}

/** What a heap holds, for comparing. */
export interface Picture {
  readonly blocks: readonly BlockInfo[];
  readonly usedBytes: number;
  readonly usedBlocks: number;
  readonly segmentBytes: number;
  readonly roots: readonly unknown[];
  readonly owned: readonly (readonly number[])[];
}

/** The heap's blocks, roots and owners. */
export function pictureOf(heap: Heap): Picture {
  const { usedBytes, blocks, sizeBytes, participants } = heap.stats();
  return {
    blocks: [...heap.blocks()],
    usedBytes,
    usedBlocks: blocks.used,
    segmentBytes: sizeBytes,
    roots: heap.roots.list(),
    owned: participants.map(({ slot, ownedBlocks, ownedBytes }) => [slot, ownedBlocks, ownedBytes]),
  };
}

/** Asserts that `call` is refused with this code and leaves the heap as it was; returns the error. */
export function refuses(heap: Heap, call: () => unknown, code: ShoalErrorCode, message = /./): ShoalError {
  const before = pictureOf(heap);
  const error = throwsCode(call, code, message);
  assert.deepEqual(pictureOf(heap), before);
  assertSound(heap);
  return error;
}

/** Asserts that each call is refused with one of these codes, and that all of them together leave the heap as it was. */
export function refusesAll(
  heap: Heap,
  calls: Readonly<Record<string, () => unknown>>,
  ...codes: readonly ShoalErrorCode[]
): void {
  const before = pictureOf(heap);
  for (const [name, call] of Object.entries(calls)) {
    let thrown: unknown = "nothing";
    try {
      call();
    } catch (error) {
      thrown = error;
    }
    const isRight = thrown instanceof ShoalError && codes.includes(thrown.code);
    assert.ok(isRight, `${name}: expected ${codes.join(" or ")}, got ${String(thrown)}`);
  }
  assert.deepEqual(pictureOf(heap), before);
  assertSound(heap);
}

/** Everything that takes a block's handle and does something to the block or asks about it. */
export function callsWith(heap: Heap, handle: number): Record<string, () => unknown> {
  const it = handle as Handle;
  return { ...changesOf(heap, handle), ...questionsOf(heap, it) };
}

/** Everything that only its owner may do to a block. */
export function changesOf(heap: Heap, handle: number): Record<string, () => unknown> {
  const it = handle as Handle;
  const largest = Math.min(heap.plan.maxBlockBytes, 500_000);
  return {
    free: () => heap.free(it),
    freeMany: () => heap.freeMany([it]),
    "realloc to little": () => heap.realloc(it, 1),
    "realloc to much": () => heap.realloc(it, largest),
    share: () => heap.share(it),
    adopt: () => heap.adopt(it),
  };
}

/** What anybody may ask of an allocated block, or do with it whoever owns it. */
function questionsOf(heap: Heap, it: Handle): Record<string, () => unknown> {
  return {
    usableSize: () => heap.usableSize(it),
    bytes: () => heap.bytes(it),
    ownerOf: () => heap.ownerOf(it),
    "roots.set": () => heap.roots.set("it", it),
    "roots.setIfAbsent": () => heap.roots.setIfAbsent("that", it),
  };
}
