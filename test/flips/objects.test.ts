/** What damaged locks and channels must not do: npm run flips has found it, or was read. Each as small as it can be. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { openQueue } from "../../src/data/channel/index.ts";
import { placesOf } from "../../src/data/channel/places.ts";
import type { ChannelPlaces } from "../../src/data/channel/places.ts";
import { ShoalError } from "../../src/errors.ts";
import { Heap } from "../../src/heap/index.ts";
import {
  CELL_READY,
  CELL_TURN_SHIFT,
  C_CELL_BYTES,
} from "../../src/layout/channel.ts";
import { H_HEAP_LOCK } from "../../src/layout/header.ts";
import { Y_LIMIT } from "../../src/layout/sync.ts";
import { useCheckpoint } from "../../src/region/core.ts";
import { createHeap } from "../helpers/heaps.ts";

/** More accesses than any call here needs. */
const MOST_ACCESSES = 100_000;

/** The same heap, opened by another participant whose calls are cut off when they come to no end; closed after the test. */
function openBounded<T>(t: TestContext, heap: Heap, open: (heap: Heap) => T): { heap: Heap; object: T } {
  let left = MOST_ACCESSES;
  useCheckpoint(() => {
    if (--left < 0) throw new Error("no end");
  });
  try {
    const opened = Heap.open(heap.region.name);
    t.after(() => opened.close());
    return { heap: opened, object: open(opened) };
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

/** Where the parts of a channel are, from the segment's start. */
function partsOf(heap: Heap, object: number, subscribers = 0): ChannelPlaces & { cellBytes: number } {
  const words = wordsOf(heap);
  const capacity = words.getUint32(object + Y_LIMIT, true);
  const cellBytes = words.getUint32(object + C_CELL_BYTES, true);
  const places = placesOf(heap.region.session.geometry.slotCount, capacity, cellBytes, subscribers);
  const at = Object.entries(places).map(([name, offset]) => [name, offset + object]);
  return { ...(Object.fromEntries(at) as ChannelPlaces), cellBytes };
}

function stateOf(turn: number, name: number, phase: number): bigint {
  return (BigInt(turn) << BigInt(CELL_TURN_SHIFT)) | (BigInt(name) << 3n) | BigInt(phase);
}

test("a receiver that a far cell leads past the messages, and back, tells that the queue is damaged", (t) => {
  const heap = createHeap(t);
  const queue = openQueue<number>(heap, "it", { capacity: 4 });
  queue.trySend(1);
  queue.trySend(2);
  const { cells } = partsOf(heap, queue.handle);
  wordsOf(heap).setBigUint64(cells, stateOf(100_000, 0, CELL_READY), true);
  const { object: other } = openBounded(t, heap, (one) => openQueue<number>(one, "it"));
  assert.equal(
    codeOf(() => other.tryReceive()),
    "ERR_SHOAL_CORRUPT",
  );
});

test("who waits for a heap's lock within a call of a channel does so for a while, however long each wait takes", (t) => {
  const heap = createHeap(t, { allocator: "first-fit" });
  const queue = openQueue<Uint8Array>(heap, "it", { codec: "raw", messageBytes: 16, capacity: 4 });
  queue.trySend(new Uint8Array(100));
  const holder = Heap.open(heap.region.name);
  t.after(() => holder.close());
  wordsOf(heap).setUint32(H_HEAP_LOCK, holder.region.slotIndex + 1, true);
  let nowMs = 1000;
  let waits = 0;
  t.mock.method(performance, "now", () => nowMs);
  t.mock.method(Atomics, "wait", () => {
    nowMs += 500;
    assert.ok(++waits < 50, "it waits for ever");
    return "timed-out";
  });
  assert.equal(
    codeOf(() => queue.tryReceive()),
    "ERR_SHOAL_TIMEOUT",
  );
  assert.ok(waits > 5, `after ${waits} waits`);
  wordsOf(heap).setUint32(H_HEAP_LOCK, 0, true);
});
