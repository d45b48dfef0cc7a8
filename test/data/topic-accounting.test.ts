/**
 * Every message of a topic counts: publishers and subscribers are killed at random times and replaced, and in the end each message
 * that was committed has been received once by every subscriber that lived; or, by the one that is overtaken, been counted.
 *
 * Who publishes writes down what it does in shared words of its own, so that a kill does not take that along: "trying", then "sent".
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Handle } from "../../src/heap/index.ts";
import type { Subscription } from "../../src/data/channel/index.ts";
import { createFullHeap, makeWords, startMate } from "../helpers/crew.ts";
import type { PeerTools } from "../helpers/crew.ts";

const MOST_MESSAGES = 200_000;
const KILLS = 9;

/** In the first words of the ledger (who runs elsewhere does not see these names). */
const [STOP, NEXT, WORDS] = [0, 1, 16];

const [TRYING, SENT] = [1, 2];

function publish({ heap, words }: PeerTools, block: Handle, most: number): void {
  const topic = heap.topic<Uint8Array>("all");
  const ledger = words(block, most + 16);
  const message = new Uint8Array(1000);
  const view = new DataView(message.buffer);
  while (Atomics.load(ledger, 0) === 0) {
    const number = Atomics.add(ledger, 1, 1);
    if (number >= most) return;
    Atomics.or(ledger, 16 + number, 1);
    view.setUint32(0, number);
    // One in four is large.
    topic.publishSync(message.subarray(0, number % 4 === 0 ? 1000 : 16), { timeoutMs: 20_000 });
    Atomics.or(ledger, 16 + number, 2);
    if (number % 16 === 0) Atomics.wait(words(block, 16), 15, 0, 1);
  }
}

/** Subscribes, receives slowly, and is killed. */
function dawdle({ heap, words }: PeerTools, block: Handle): void {
  const subscription = heap.topic<Uint8Array>("all").subscribe({ policy: "block" });
  try {
    for (let count = 0; ; count++) {
      subscription.receiveSync({ timeoutMs: 20_000 });
      if (count % 20 === 0) Atomics.wait(words(block, 16), 15, 0, 1);
    }
  } catch (error) {
    if ((error as { code: string }).code !== "ERR_SHOAL_ENDED") throw error;
  }
}

interface Seen {
  readonly numbers: readonly number[];
  readonly skipped: number;
  readonly dropped: number;
}

async function collect(subscription: Subscription<Uint8Array>): Promise<number[]> {
  const numbers: number[] = [];
  for await (const message of subscription) numbers.push(new DataView(message.buffer).getUint32(0));
  return numbers;
}

test("every message of a topic is received once by every subscriber, or counted as dropped", async (t) => {
  const heap = createFullHeap(t, { sizeBytes: 8 << 20 });
  const block = makeWords(heap, WORDS + MOST_MESSAGES);
  const topic = heap.topic<Uint8Array>("all", { codec: "raw", capacity: 16, messageBytes: 48 });
  const patient = topic.subscribe();
  const collecting = collect(patient);
  const hasty = await startMate(t, heap, "process");
  await hasty.run(({ heap: shared, keep }) =>
    keep("hasty", shared.topic<Uint8Array>("all").subscribe({ policy: "drop-oldest" })),
  );
  const watching = hasty.run(({ kept, heap: shared, words }, ledger): Seen => {
    const subscription = kept<Subscription<Uint8Array>>("hasty");
    const numbers: number[] = [];
    try {
      for (;;) {
        const message = subscription.receiveSync({ timeoutMs: 20_000 });
        const number = new DataView(message.buffer).getUint32(0);
        numbers.push(number);
        if (number % 64 === 0) Atomics.wait(words(ledger, 16), 15, 0, 20);
      }
    } catch (error) {
      if ((error as { code: string }).code !== "ERR_SHOAL_ENDED") throw error;
    }
    const mine = shared
      .topic("all")
      .stats()
      .subscribers.find(({ policy }) => policy === "drop-oldest")!;
    return { numbers, skipped: mine.skipped, dropped: subscription.dropped };
  }, block);

  const start = async (isPublisher: boolean) => {
    const mate = await startMate(t, heap, "process");
    const done = (isPublisher ? mate.run(publish, block, MOST_MESSAGES) : mate.run(dawdle, block)).then(
      () => "through",
      (error: Error) => error.message,
    );
    return { mate, isPublisher, done };
  };
  const crew = await Promise.all([true, true, false].map(start));
  let killedPublishers = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    await new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 150));
    const { mate, isPublisher } = crew[kill % 3]!;
    await mate.kill();
    if (isPublisher) killedPublishers++;
    crew[kill % 3] = await start(isPublisher);
  }
  const ledger = new Int32Array(heap.region.buffer, block, WORDS + MOST_MESSAGES);
  Atomics.store(ledger, STOP, 1);
  for (const { isPublisher, done } of crew) if (isPublisher) assert.equal(await done, "through");
  topic.end();
  for (const { done } of crew) assert.equal(await done, "through");
  const received = await collecting;
  const seen = await watching;

  const words = [...ledger.subarray(WORDS, WORDS + Math.min(ledger[NEXT]!, MOST_MESSAGES))];
  const committed = words.flatMap((word, number) => ((word & SENT) === 0 ? [] : [number]));
  const { skipped, published, subscribers } = topic.stats();
  t.diagnostic(`${committed.length} messages, ${seen.dropped} dropped by the hasty one, ${skipped} skipped`);
  assert.ok(committed.length > 100 && seen.dropped > 0, "something was published, and something overtaken");
  const got = new Set(received);
  assert.equal(got.size, received.length, "none was received twice");
  assert.equal(received.length, published);
  assert.deepEqual(
    committed.filter((number) => !got.has(number)),
    [],
    "every message that was committed was received",
  );
  assert.ok(received.length - committed.length <= killedPublishers);
  for (const number of received) assert.ok((words[number]! & TRYING) !== 0, "none came from nowhere");
  assert.ok(skipped <= killedPublishers);
  // The one that is overtaken: what it has not received is what it has counted.
  assert.equal(new Set(seen.numbers).size, seen.numbers.length);
  for (const number of seen.numbers) assert.ok(got.has(number));
  const overtaken = new Set(seen.numbers);
  const order = received.filter((number) => overtaken.has(number));
  assert.deepEqual(seen.numbers, order, "both in the same order");
  assert.equal(seen.numbers.length + seen.dropped + seen.skipped, received.length + skipped);
  assert.equal(subscribers.find(({ policy }) => policy === "block")!.skipped, skipped);
  await Promise.all([hasty, ...crew.map(({ mate }) => mate)].map((mate) => mate.kill()));
  heap.recover();
  patient.close();
  topic.destroy();
  heap.free(block);
  assert.equal(heap.stats().blocks.used, 0, "no block is left");
  assert.deepEqual(heap.verify().problems, []);
});
