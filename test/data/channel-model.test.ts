/** A queue and a ring against a model: a list. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { Channel, Loan, Message } from "../../src/data/channel/index.ts";
import type { Heap } from "../../src/data/heap.ts";
import { createFullHeap } from "../helpers/crew.ts";

type Step =
  "send" | "receive" | "into" | "reserve" | "commit" | "cancel" | "borrow" | "release" | "give back";

/** A message of so many bytes, told from others by its first two. */
function messageOf(number: number, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes).fill(number % 251);
  if (lengthBytes >= 2) new DataView(bytes.buffer).setUint16(0, number);
  return bytes;
}

const steps = fc.array(
  fc.tuple(
    fc.constantFrom<Step>(
      "send",
      "receive",
      "into",
      "reserve",
      "commit",
      "cancel",
      "borrow",
      "release",
      "give back",
    ),
    fc.constantFrom(1, 7, 48, 49, 64, 112, 113, 1000, 70_000),
  ),
  { maxLength: 60 },
);

/** One at a time is lent: then both kinds of channels keep the order of a list. */
function follow(channel: Channel<Uint8Array>, all: readonly (readonly [Step, number])[]): void {
  const list: Uint8Array[] = [];
  let number = 0;
  let loan: { readonly loan: Loan; readonly message: Uint8Array } | undefined;
  let borrowed: Message<Uint8Array> | undefined;
  const target = new Uint8Array(100_000);
  for (const [step, lengthBytes] of all) {
    const isIdle = loan === undefined && borrowed === undefined;
    if (step === "send" && isIdle) {
      const message = messageOf(++number, lengthBytes);
      if (channel.trySend(message)) list.push(message);
      else assert.ok(list.length > 0, "it is not full when there is nothing in it");
    } else if (step === "receive" && isIdle) assert.deepEqual(channel.tryReceive(), list.shift());
    else if (step === "into" && isIdle) {
      const length = channel.tryReceiveInto(target);
      const expected = list.shift();
      assert.equal(length, expected?.length ?? -1);
      if (expected !== undefined) assert.deepEqual(target.slice(0, length), expected);
    } else if (step === "reserve" && isIdle) {
      const lent = channel.tryReserve(lengthBytes);
      if (lent === undefined) continue;
      const message = messageOf(++number, lengthBytes);
      lent.bytes.set(message);
      loan = { loan: lent, message };
    } else if (step === "commit" && loan !== undefined) {
      loan.loan.commit();
      list.push(loan.message);
      loan = undefined;
    } else if (step === "cancel" && loan !== undefined) {
      loan.loan.cancel();
      loan = undefined;
    } else if (step === "borrow" && isIdle) {
      borrowed = channel.tryBorrow();
      assert.deepEqual(borrowed === undefined ? undefined : new Uint8Array(borrowed.bytes), list[0]);
    } else if (step === "release" && borrowed !== undefined) {
      borrowed.release();
      list.shift();
      borrowed = undefined;
    } else if (step === "give back" && borrowed !== undefined) {
      borrowed.giveBack();
      borrowed = undefined;
    }
    if (borrowed === undefined) assert.equal(channel.depth, list.length);
  }
  loan?.loan.cancel();
  borrowed?.release();
  channel.destroy();
}

const open = (heap: Heap, noun: "queue" | "ring"): Channel<Uint8Array> =>
  noun === "queue"
    ? heap.queue<Uint8Array>(undefined, { codec: "raw", capacity: 4, messageBytes: 100 })
    : heap.ring<Uint8Array>(undefined, { codec: "raw", capacity: 4, messageBytes: 100 });

for (const noun of ["queue", "ring"] as const)
  for (const allocator of ["slab", "buddy", "first-fit"] as const)
    test(`a ${noun} in a ${allocator} heap does what a list does`, (t) => {
      const heap = createFullHeap(t, {
        allocator,
        ...(allocator === "buddy" ? { minBlockBytes: 2048, maxBlockBytes: 65536 } : {}),
      });
      fc.assert(
        fc.property(steps, (all) => {
          const limit = allocator === "buddy" ? 1000 : 70_000;
          follow(
            open(heap, noun),
            all.map(([step, lengthBytes]) => [step, Math.min(lengthBytes, limit)] as const),
          );
          assert.equal(heap.stats().blocks.used, 0);
        }),
        { numRuns: 60 },
      );
      assert.deepEqual(heap.verify().problems, []);
    });

test("what a sender does that finds no room is what the channel says", async (t) => {
  const heap = createFullHeap(t);
  const fill = (overflow: "wait" | "fail" | "drop-newest" | "drop-oldest"): Channel<number> => {
    const queue = heap.queue<number>(undefined, { capacity: 2, overflow });
    queue.sendSync(1);
    queue.sendSync(2);
    return queue;
  };
  const wait = fill("wait");
  assert.equal(wait.trySend(3), false);
  assert.throws(() => wait.sendSync(3, { timeoutMs: 0 }), { code: "ERR_SHOAL_TIMEOUT" });
  const fail = fill("fail");
  assert.equal(fail.trySend(3), false);
  assert.throws(() => fail.sendSync(3), { code: "ERR_SHOAL_FULL" });
  await assert.rejects(fail.send(3), { code: "ERR_SHOAL_FULL" });
  assert.equal(fail.stats().dropped, 0);
  const newest = fill("drop-newest");
  assert.equal(newest.trySend(3), false);
  newest.sendSync(4);
  await newest.send(5);
  assert.equal(newest.stats().dropped, 3);
  assert.deepEqual(await newest.receiveMany(9), [1, 2]);
  const oldest = fill("drop-oldest");
  assert.equal(oldest.trySend(3), true);
  oldest.sendSync(4);
  await oldest.send(5);
  assert.deepEqual(await oldest.receiveMany(9), [4, 5]);
  const { sent, received, dropped } = oldest.stats();
  assert.deepEqual([sent, received, dropped], [5, 2, 3]);
  assert.throws(() => heap.ring(undefined, { overflow: "drop-oldest" }), { code: "ERR_SHOAL_ARGUMENT" });
});

test("messages that a codec cannot write or read are refused, and hold nobody up", (t) => {
  const heap = createFullHeap(t);
  const json = heap.queue<unknown>("json", { capacity: 4 });
  const circle: Record<string, unknown> = {};
  circle["self"] = circle;
  for (const message of [circle, undefined, 1n])
    assert.throws(() => json.trySend(message), { code: "ERR_SHOAL_CODEC" });
  using loan = json.reserve(3);
  loan.bytes.set([1, 2, 3]);
  loan.commit();
  json.sendSync("fine");
  assert.throws(() => json.tryReceive(), { code: "ERR_SHOAL_CODEC" });
  assert.equal(json.tryReceive(), "fine");
  const upper = {
    encode: (text: string) => Buffer.from(text.toUpperCase()),
    decode: (bytes: Uint8Array) => Buffer.from(bytes).toString(),
  };
  const own = heap.queue<string>("own", { codec: upper });
  own.sendSync("loud");
  assert.equal(own.tryReceive(), "LOUD");
  assert.throws(() => heap.queue("own"), { code: "ERR_SHOAL_KIND" });
  const raw = heap.queue<unknown>("raw", { codec: "raw" });
  assert.throws(() => raw.trySend("text"), { code: "ERR_SHOAL_CODEC" });
});

test("wrong options and arguments are refused", (t) => {
  const heap = createFullHeap(t);
  for (const options of [
    { capacity: 0 },
    { capacity: 2 ** 20 },
    { messageBytes: 0 },
    { messageBytes: 2 ** 21 },
  ])
    assert.throws(() => heap.queue("wrong", options), { code: "ERR_SHOAL_ARGUMENT" });
  const queue = heap.queue("right", { codec: "raw" });
  for (const lengthBytes of [0, -1, 1.5, 2 ** 31])
    assert.throws(() => queue.tryReserve(lengthBytes), { code: "ERR_SHOAL_ARGUMENT" });
  const loan = queue.reserve(8);
  assert.throws(() => loan.commit(9), { code: "ERR_SHOAL_ARGUMENT" });
  loan.commit(4);
  assert.throws(() => loan.commit(), { code: "ERR_SHOAL_NOT_HOLDER" });
  const small = new Uint8Array(2);
  assert.throws(() => queue.tryReceiveInto(small), { code: "ERR_SHOAL_SIZE" });
  const message = queue.borrow();
  assert.equal(message.bytes.length, 4);
  assert.throws(() => queue.destroy(), { code: "ERR_SHOAL_HELD" });
  message.release();
  assert.throws(() => message.release(), { code: "ERR_SHOAL_NOT_HOLDER" });
  queue.destroy();
  assert.throws(() => queue.tryReceive(), { code: "ERR_SHOAL_NOT_FOUND" });
  const ring = heap.ring<number>("one at a time");
  const lent = ring.reserve(8);
  assert.throws(() => heap.ring<number>("one at a time").trySend(1), { code: "ERR_SHOAL_HELD" });
  lent.cancel();
  assert.ok(ring.trySend(1));
});
