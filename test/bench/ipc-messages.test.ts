/** How the ipc benchmark knows that all messages have come: none lost, doubled, torn or out of their order. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  FrameTally,
  Tally,
  check,
  checkReceipt,
  expectedReceipt,
  makeMessage,
  stamp,
} from "../../bench/ipc/messages.ts";
import { EventTrips, timeAwaitedTrips, timeTrips, within } from "../../bench/ipc/time.ts";

const sizeBytes = 64;

function messageOf(index: number): Uint8Array {
  const bytes = makeMessage(sizeBytes);
  stamp(bytes, index);
  return bytes;
}

function receiptOf(indexes: readonly number[]) {
  const tally = new Tally();
  for (const index of indexes) {
    const bytes = messageOf(index);
    tally.add(bytes[0] ?? 0, bytes[sizeBytes - 1] ?? 0);
  }
  return tally.receipt();
}

test("a receipt tells whether all messages have come, each once and in their order", () => {
  const expected = expectedReceipt(200);
  const all = Array.from({ length: 200 }, (_, index) => index);
  checkReceipt(receiptOf(all), expected);
  assert.throws(
    () => checkReceipt(receiptOf(all.slice(1)), expected),
    /199 messages have come instead of 200/,
  );
  const swapped = [1, 0, ...all.slice(2)];
  const doubled = [0, 0, ...all.slice(2)];
  for (const wrong of [swapped, doubled]) {
    assert.throws(() => checkReceipt(receiptOf(wrong), expected), /not those that were sent/);
  }
});

test("an echo is compared in size and in its first and last byte", () => {
  check(messageOf(70), 70, sizeBytes);
  assert.throws(() => check(messageOf(70), 6, sizeBytes), /message 6 came back with other bytes/);
  assert.throws(() => check(messageOf(70), 71, sizeBytes), /other bytes/);
  assert.throws(() => check(messageOf(70).subarray(1), 70, sizeBytes), /63 bytes instead of 64/);
});

test("a stream is counted in messages wherever it is cut", () => {
  const stream = new Uint8Array(50 * sizeBytes);
  for (let index = 0; index < 50; index += 1) stream.set(messageOf(index), index * sizeBytes);
  for (const chunkBytes of [1, 7, 63, 64, 65, 200, stream.length]) {
    const frames = new FrameTally(sizeBytes);
    for (let start = 0; start < stream.length; start += chunkBytes) {
      frames.add(stream.subarray(start, start + chunkBytes));
      assert.equal(frames.count, Math.floor(Math.min(stream.length, start + chunkBytes) / sizeBytes));
    }
    checkReceipt(frames.receipt(), expectedReceipt(50));
  }
});

test("fast trips are timed several at once, and each trip is made once and in its turn", async () => {
  const made: number[] = [];
  const times = timeTrips(10, 4, (index) => made.push(index));
  assert.equal(times.length, 3);
  assert.deepEqual(made, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  const awaited: number[] = [];
  assert.equal((await timeAwaitedTrips(3, async (index) => void awaited.push(index))).length, 3);
  assert.deepEqual(awaited, [0, 1, 2]);
});

test("trips that end in an event go on from one to the next, and end with an echo that is wrong", async () => {
  const sent: number[] = [];
  const trips = new EventTrips(3, (index) => sent.push(index));
  const run = trips.run();
  for (let index = 0; index < 3; index += 1) trips.heard((number) => assert.equal(number, index));
  assert.equal((await run).length, 3);
  assert.deepEqual(sent, [0, 1, 2]);

  const failing = new EventTrips(3, () => undefined);
  const failed = failing.run();
  failing.heard(() => assert.fail("another message"));
  await assert.rejects(failed, /another message/);
});

test("what is waited for in vain is given up", async () => {
  await assert.rejects(within("the answer", new Promise(() => undefined), 10), /the answer takes longer/);
  assert.equal(await within("the answer", Promise.resolve(1), 10_000), 1);
});
