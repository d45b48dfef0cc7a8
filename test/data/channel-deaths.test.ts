/** What becomes of messages whose sender or receiver dies, wherever it is. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Heap } from "../../src/data/heap.ts";
import { until } from "../helpers/assertions.ts";
import { createFullHeap, rejectsCode, startMate } from "../helpers/crew.ts";
import type { Mate } from "../helpers/crew.ts";

const PLACES = ["here", "process", "worker"] as const;

/** In each place a mate that is killed; at the end nothing is left but what the channel itself is. */
function afterDeath(
  what: string,
  run: (heap: Heap, startOne: () => Promise<Mate>) => Promise<{ destroy(): void }>,
): void {
  for (const place of PLACES) {
    test(`${what} (the dead one was ${place === "here" ? "in this thread" : `a ${place}`})`, async (t) => {
      const heap = createFullHeap(t);
      const channel = await run(heap, () => startMate(t, heap, place));
      channel.destroy();
      assert.equal(heap.stats().blocks.used, 0, "nothing is left");
      assert.deepEqual(heap.verify().problems, []);
    });
  }
}

async function kill(heap: Heap, mate: Mate): Promise<void> {
  const others = heap.region.participants().length;
  await mate.kill();
  await until("it is gone", () => {
    heap.recover();
    return heap.region.participants().length < others;
  });
}

/** Leaves room reserved, small and large, and dies. */
async function reserveAndDie(
  heap: Heap,
  startOne: () => Promise<Mate>,
  noun: "queue" | "ring",
): Promise<void> {
  const mate = await startOne();
  await mate.run(({ heap: own }, isQueue: boolean) => {
    const channel = isQueue ? own.queue("dying") : own.ring("dying");
    channel.reserve(2000).bytes.fill(7);
    if (isQueue) channel.reserve(10).bytes.fill(7);
  }, noun === "queue");
  await kill(heap, mate);
}

afterDeath("a queue's messages that were reserved and not committed are skipped", async (heap, startOne) => {
  const queue = heap.queue<Uint8Array>("dying", { codec: "raw", capacity: 4 });
  queue.trySend(Uint8Array.of(1));
  await reserveAndDie(heap, startOne, "queue");
  queue.trySend(Uint8Array.of(2));
  assert.deepEqual(
    [queue.tryReceive(), queue.tryReceive(), queue.tryReceive()],
    [Uint8Array.of(1), Uint8Array.of(2), undefined],
  );
  assert.equal(queue.stats().skipped, 2);
  for (let number = 0; number < 4; number++) assert.ok(queue.trySend(Uint8Array.of(number)));
  assert.equal(queue.trySend(Uint8Array.of(9)), false);
  return queue;
});

afterDeath("somebody who waits behind such a message goes on", async (heap, startOne) => {
  const queue = heap.queue<Uint8Array>("dying", { codec: "raw", capacity: 4 });
  const mate = await startOne();
  await mate.run(({ heap: own }) => void own.queue("dying").reserve(2000));
  queue.trySend(Uint8Array.of(2));
  const received = queue.receive({ timeoutMs: 20_000 });
  await mate.kill();
  assert.deepEqual(await received, Uint8Array.of(2));
  return queue;
});

afterDeath(
  "a ring's reserved message goes with its producer, and another may produce",
  async (heap, startOne) => {
    const ring = heap.ring<Uint8Array>("dying", { codec: "raw", capacity: 4 });
    await reserveAndDie(heap, startOne, "ring");
    assert.equal(ring.tryReceive(), undefined);
    ring.sendSync(Uint8Array.of(3));
    assert.deepEqual(ring.tryReceive(), Uint8Array.of(3));
    return ring;
  },
);

for (const noun of ["queue", "ring"] as const)
  for (const redeliver of [true, false])
    afterDeath(
      `a ${noun}'s messages that were borrowed are ${redeliver ? "given back" : "dropped, and counted"}`,
      async (heap, startOne) => {
        const options = { codec: "raw", capacity: 4, redeliver } as const;
        const channel =
          noun === "queue"
            ? heap.queue<Uint8Array>("dying", options)
            : heap.ring<Uint8Array>("dying", options);
        const large = new Uint8Array(2000).fill(3);
        const messages = noun === "queue" ? [Uint8Array.of(1), large] : [large];
        for (const message of messages) channel.sendSync(message);
        const mate = await startOne();
        await mate.run(({ heap: own }, isQueue: boolean) => {
          const mine = isQueue ? own.queue("dying") : own.ring("dying");
          mine.borrow();
          if (isQueue) mine.borrow();
        }, noun === "queue");
        channel.sendSync(Uint8Array.of(5));
        await kill(heap, mate);
        const received = [];
        for (let message = channel.tryReceive(); message !== undefined; message = channel.tryReceive())
          received.push(message);
        assert.deepEqual(received, [...(redeliver ? messages : []), Uint8Array.of(5)]);
        const { dropped, depth } = channel.stats();
        assert.deepEqual([dropped, depth], [redeliver ? 0 : messages.length, 0]);
        return channel;
      },
    );

test("a ring has one producer and one consumer, until they resign", async (t) => {
  const heap = createFullHeap(t);
  const ring = heap.ring<number>("ends");
  ring.sendSync(1);
  const mate = await startMate(t, heap, "worker");
  const taken = mate.run(({ heap: own }) => own.ring<number>("ends").sendSync(2));
  await rejectsCode(taken, "ERR_SHOAL_TAKEN", /slot 0/);
  ring.resign();
  await mate.run(({ heap: own }) => own.ring<number>("ends").sendSync(2));
  assert.throws(() => ring.sendSync(3), { code: "ERR_SHOAL_TAKEN" });
  assert.deepEqual([ring.tryReceive(), ring.tryReceive()], [1, 2]);
  await kill(heap, mate);
  ring.sendSync(3);
  assert.equal(ring.tryReceive(), 3);
});

test("a full ring keeps its messages when another producer comes, large ones, too", (t) => {
  const heap = createFullHeap(t);
  const ring = heap.ring<Uint8Array>("full", { codec: "raw", capacity: 2, messageBytes: 8 });
  for (const first of [1, 2]) assert.ok(ring.trySend(new Uint8Array(100).fill(first)));
  ring.resign();
  const next = heap.ring<Uint8Array>("full", { codec: "raw" });
  assert.equal(next.trySend(Uint8Array.of(3)), false);
  assert.deepEqual([next.tryReceive()?.[0], next.tryReceive()?.[0]], [1, 2]);
  assert.ok(next.trySend(Uint8Array.of(3)));
  assert.deepEqual(next.tryReceive(), Uint8Array.of(3));
  next.destroy();
  assert.equal(heap.stats().blocks.used, 0);
});
