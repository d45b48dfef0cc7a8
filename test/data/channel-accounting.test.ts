/**
 * Every message counts: senders and receivers are killed at random times and replaced, and in the end each message that was
 * committed has been received once, or is counted as dropped.
 *
 * Who sends and who receives writes down what it does in shared words of its own, so that a kill does not take that along:
 * "trying", then "sent"; "in hand", then "received". Between the end of borrowing a message and the word "received" somebody
 * may die who has received it: so of the messages in hand at the end there may be as many as receivers were killed.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { Handle } from "../../src/heap/index.ts";
import { createFullHeap, makeWords, startMate } from "../helpers/crew.ts";
import type { Mate, PeerTools } from "../helpers/crew.ts";

const MOST_MESSAGES = 200_000;
const KILLS = 8;

/** In the first words of the ledger (who runs elsewhere does not see these names). */
const [STOP, NEXT, TWICE, WORDS] = [0, 1, 2, 16];

const [TRYING, SENT, IN_HAND, RECEIVED] = [1, 2, 4, 8];

async function send({ heap, words }: PeerTools, noun: string, block: Handle, most: number): Promise<void> {
  const channel = noun === "queue" ? heap.queue<Uint8Array>("all") : heap.ring<Uint8Array>("all");
  const ledger = words(block, most + 16);
  const pause = (ms: number): void => void Atomics.wait(words(block, 16), 15, 0, ms);
  const message = new Uint8Array(1000);
  const view = new DataView(message.buffer);
  while (Atomics.load(ledger, 0) === 0) {
    const number = Atomics.add(ledger, 1, 1);
    if (number >= most) return;
    Atomics.or(ledger, 16 + number, 1);
    view.setUint32(0, number);
    // One in four is large.
    const bytes = message.subarray(0, number % 4 === 0 ? 1000 : 16);
    try {
      if (number % 3 === 0) {
        const loan = channel.reserve(bytes.length, { timeoutMs: 20_000 });
        loan.bytes.set(bytes);
        if (number % 99 === 0) pause(3);
        loan.commit();
      } else channel.sendSync(bytes, { timeoutMs: 20_000 });
    } catch (error) {
      if ((error as { code: string }).code === "ERR_SHOAL_ENDED") return;
      throw error;
    }
    Atomics.or(ledger, 16 + number, 2);
    if (number % 16 === 0) pause(1);
  }
}

async function receive({ heap, words }: PeerTools, noun: string, block: Handle, most: number): Promise<void> {
  const channel = noun === "queue" ? heap.queue<Uint8Array>("all") : heap.ring<Uint8Array>("all");
  const ledger = words(block, most + 16);
  const pause = (ms: number): void => void Atomics.wait(words(block, 16), 15, 0, ms);
  for (;;) {
    try {
      const message = channel.borrow({ timeoutMs: 20_000 });
      const { bytes } = message;
      const number = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
      if ((Atomics.or(ledger, 16 + number, 4) & 8) !== 0) Atomics.add(ledger, 2, 1);
      if (number % 50 === 0) pause(3);
      message.release();
      Atomics.or(ledger, 16 + number, 8);
    } catch (error) {
      if ((error as { code: string }).code === "ERR_SHOAL_ENDED") return;
      throw error;
    }
  }
}

interface Crew {
  readonly mate: Mate;
  readonly isSender: boolean;
  readonly done: Promise<unknown>;
}

async function account(t: TestContext, noun: "queue" | "ring", redeliver: boolean): Promise<void> {
  const heap = createFullHeap(t, { sizeBytes: 8 << 20 });
  const block = makeWords(heap, WORDS + MOST_MESSAGES);
  const options = { codec: "raw", capacity: 16, messageBytes: 48, redeliver } as const;
  const channel = noun === "queue" ? heap.queue("all", options) : heap.ring("all", options);
  const start = async (isSender: boolean): Promise<Crew> => {
    const mate = await startMate(t, heap, "process");
    const done = mate.run(isSender ? send : receive, noun, block, MOST_MESSAGES).then(
      () => "through",
      (error: Error) => error.message,
    );
    return { mate, isSender, done };
  };
  const roles = noun === "queue" ? [true, true, false, false] : [true, false];
  const crew = await Promise.all(roles.map(start));
  const killed = { senders: 0, receivers: 0 };
  for (let kill = 0; kill < KILLS; kill++) {
    await new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 150));
    // Each of them in turn, so that both kinds die.
    const index = kill % roles.length;
    const { mate, isSender } = crew[index]!;
    await mate.kill();
    if (isSender) killed.senders++;
    else killed.receivers++;
    crew[index] = await start(isSender);
  }
  const ledger = new Int32Array(heap.region.buffer, block, WORDS + MOST_MESSAGES);
  Atomics.store(ledger, STOP, 1);
  const senders = crew.filter(({ isSender }) => isSender).map(({ done }) => done);
  for (const how of await Promise.all(senders)) assert.equal(how, "through");
  channel.end();
  for (const how of await Promise.all(crew.map(({ done }) => done))) assert.equal(how, "through");

  const words = [...ledger.subarray(WORDS, WORDS + Math.min(ledger[NEXT]!, MOST_MESSAGES))];
  const has = (word: number, bits: number): boolean => (word & bits) === bits;
  const committed = words.filter((word) => has(word, SENT));
  const missing = committed.filter((word) => !has(word, RECEIVED));
  const { dropped, depth, skipped } = channel.stats();
  t.diagnostic(
    `${committed.length} messages, ${missing.length} not known to be received, ${dropped} dropped, ${skipped} skipped`,
  );
  assert.equal(ledger[TWICE], 0, "none was received twice");
  assert.equal(depth, 0);
  assert.ok(committed.length > 100, "something was sent");
  for (const word of words) assert.ok(has(word, TRYING) || !has(word, IN_HAND), "none came from nowhere");
  // Who is killed between committing a message and saying so: it may be dropped, too.
  assert.ok(missing.length >= dropped - killed.senders, `${missing.length} missing, ${dropped} dropped`);
  assert.ok(missing.length - dropped <= killed.receivers, `${missing.length} missing, ${dropped} dropped`);
  if (redeliver) assert.equal(dropped, 0);
  assert.ok(skipped <= killed.senders);
  for (const word of missing)
    if (redeliver) assert.ok(has(word, IN_HAND), "what is not received was in hand");
  await Promise.all(crew.map(({ mate }) => mate.kill()));
  heap.recover();
  channel.destroy();
  heap.free(block);
  assert.equal(heap.stats().blocks.used, 0, "no block is left");
  assert.deepEqual(heap.verify().problems, []);
}

test("every message of a queue is received once, or dropped and counted", (t) => account(t, "queue", false));
test("every message of a queue that gives back is received once", (t) => account(t, "queue", true));
test("every message of a ring is received once, or dropped and counted", (t) => account(t, "ring", false));
