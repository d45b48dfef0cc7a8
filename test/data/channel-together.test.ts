/** Several calls of one thread that wait for the same channel: each gets a message of its own, and none is lost. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Heap } from "../../src/data/heap.ts";
import { createFullHeap } from "../helpers/crew.ts";

for (const noun of ["queue", "ring"] as const)
  test(`two calls that await a ${noun} get one of two messages that come at once each`, async (t) => {
    const heap = createFullHeap(t);
    const other = Heap.open(heap.region.name);
    t.after(() => other.close());
    const mine = heap[noun]<string>("all");
    const theirs = other[noun]<string>("all");
    const waits = [mine.receive(), mine.receive(), mine.receiveMany(1)];
    for (const message of ["one", "two", "three"]) assert.equal(theirs.trySend(message), true);
    const got = (await Promise.all(waits)).flat();
    assert.deepEqual(got.toSorted(), ["one", "three", "two"]);
  });

test("two calls that await a subscription get one of two messages each", async (t) => {
  const heap = createFullHeap(t);
  const other = Heap.open(heap.region.name);
  t.after(() => other.close());
  const subscription = heap.topic<string>("all").subscribe();
  const theirs = other.topic<string>("all");
  const waits = [subscription.receive(), subscription.receive()];
  for (const message of ["one", "two"]) assert.equal(theirs.tryPublish(message), true);
  assert.deepEqual((await Promise.all(waits)).toSorted(), ["one", "two"]);
  subscription.close();
});
