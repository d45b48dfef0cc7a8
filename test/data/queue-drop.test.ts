/** Who makes room by dropping the oldest message, and meets an obstacle on the way, leaves no cell half cleared. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Heap } from "../../src/data/heap.ts";
import { instantiateChannels } from "../../src/data/channel/core.ts";
import { NEED_CATCH_UP } from "../../src/layout/result.ts";
import { createFullHeap } from "../helpers/crew.ts";

test("a message that is dropped lies where the dropper has not caught up to: its cell is free afterwards", (t) => {
  const heap = createFullHeap(t);
  const other = Heap.open(heap.region.name);
  t.after(() => other.close());
  const options = { codec: "raw", capacity: 2, messageBytes: 48, overflow: "drop-oldest" } as const;
  const mine = heap.queue<Uint8Array>("latest", options);
  const theirs = other.queue<Uint8Array>("latest");
  mine.sendSync(Uint8Array.of(1));
  const first = mine.borrow();
  // The heap grows, and this one lies behind what the other one has seen of it.
  heap.alloc(16 << 20);
  mine.sendSync(new Uint8Array(4 << 20).fill(2));
  const used = heap.stats().usedBytes;

  // The first cell is borrowed, the second one's message is dropped: but the next cell is the first.
  assert.equal(theirs.trySend(Uint8Array.of(3)), false);
  assert.equal(mine.stats().dropped, 1);
  assert.equal(mine.depth, 0);
  assert.ok(heap.stats().usedBytes <= used - (4 << 20), "the block is freed");

  first.release();
  for (const value of [4, 5]) assert.equal(mine.trySend(Uint8Array.of(value)), true);
  assert.equal(mine.stats().dropped, 1);
  assert.deepEqual([...mine.receiveSync()], [4]);
  assert.deepEqual([...theirs.receiveSync()], [5]);
});

test("a cell that a failed call has left half cleared is cleared by the same participant when it finds the queue full", (t) => {
  const heap = createFullHeap(t);
  const other = Heap.open(heap.region.name);
  t.after(() => other.close());
  const mine = heap.queue<Uint8Array>("all", { codec: "raw", capacity: 2, messageBytes: 48 });
  const theirs = other.queue<Uint8Array>("all");
  heap.alloc(16 << 20);
  for (const value of [1, 2]) mine.sendSync(new Uint8Array(1000).fill(value));
  // As a call does that is refused there, and does not come back to it.
  const { overlay } = other.region.session;
  assert.equal(
    instantiateChannels(overlay.memory, other.region.slotIndex).dropNext(mine.handle),
    NEED_CATCH_UP,
  );
  assert.equal(mine.depth, 1);
  assert.equal(mine.trySend(Uint8Array.of(3)), false);
  assert.equal(theirs.trySend(Uint8Array.of(3)), true);
  assert.equal(mine.stats().dropped, 1);
  assert.deepEqual([mine.receiveSync()[0], mine.receiveSync()[0]], [2, 3]);
});
