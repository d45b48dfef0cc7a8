/** Queues and rings, wherever their participants are. */
import assert from "node:assert/strict";
import type { Channel, ChannelOptions } from "../../src/data/channel/index.ts";
import type { Heap } from "../../src/data/heap.ts";
import { inEverySetup, isPending, rejectsCode } from "../helpers/crew.ts";
import type { Crew, Holds, PeerTools } from "../helpers/crew.ts";

type Kind = "queue" | "ring";

const open = <T>(heap: Heap, kind: Kind, name: string, options?: ChannelOptions<T>): Channel<T> =>
  kind === "queue" ? heap.queue<T>(name, options) : heap.ring<T>(name, options);

/** Sends the numbers from..to in all the ways there are, some of them in large messages. */
async function sendNumbers(
  { heap }: PeerTools,
  kind: Kind,
  name: string,
  from: number,
  to: number,
  canBlock: boolean,
): Promise<void> {
  const channel = kind === "queue" ? heap.queue<object>(name) : heap.ring<object>(name);
  for (let number = from; number < to; number++) {
    const message = { number, pad: "x".repeat(number % 7 === 0 ? 3000 : number % 40) };
    const way = number % 4;
    if (way === 0 || !canBlock) await channel.send(message);
    else if (way === 1) channel.sendSync(message);
    else if (way === 2 && channel.trySend(message)) continue;
    else {
      const text = JSON.stringify(message);
      const loan = channel.reserve(text.length + 10);
      const { written } = { written: Buffer.from(text).copy(loan.bytes) };
      loan.commit(written);
    }
  }
}

/** Receives so many in all the ways there are. */
async function receiveNumbers(
  { heap }: PeerTools,
  kind: Kind,
  name: string,
  count: number,
  canBlock: boolean,
): Promise<number[]> {
  type Numbered = { number: number; pad: string };
  const channel = kind === "queue" ? heap.queue<Numbered>(name) : heap.ring<Numbered>(name);
  const numbers: number[] = [];
  const note = ({ number, pad }: Numbered): void => {
    if (pad.length !== (number % 7 === 0 ? 3000 : number % 40)) throw new Error(`${number} is not whole`);
    numbers.push(number);
  };
  while (numbers.length < count) {
    const way = numbers.length % 4;
    if (way === 0)
      for (const one of await channel.receiveMany(Math.min(3, count - numbers.length))) note(one);
    else if (way === 1 && canBlock) note(channel.receiveSync());
    else if (way === 2) {
      const message = await channel.borrowAsync();
      note(message.value);
      message.release();
    } else note(await channel.receive());
  }
  return numbers;
}

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_none, index) => from + index);

async function delivers(crew: Crew, kind: Kind): Promise<void> {
  const { heap, mates, tools } = crew;
  const [first, second] = mates;
  const blocks = heap.stats().blocks.used;
  const channel = open(heap, kind, "numbers", { capacity: 8, messageBytes: 100 });
  if (kind === "ring") {
    const received = second.run(receiveNumbers, kind, "numbers", 300, second.canBlock);
    await first.run(sendNumbers, kind, "numbers", 0, 300, first.canBlock);
    assert.deepEqual(await received, range(0, 300), "in their order");
  } else {
    const receivers = [
      second.run(receiveNumbers, kind, "numbers", 300, second.canBlock),
      receiveNumbers(tools, kind, "numbers", 300, false),
    ];
    await Promise.all([
      first.run(sendNumbers, kind, "numbers", 0, 400, first.canBlock),
      sendNumbers(tools, kind, "numbers", 400, 600, false),
    ]);
    const received = await Promise.all(receivers);
    const all = received.flat().toSorted((one, other) => one - other);
    assert.deepEqual(all, range(0, 600), "each once");
    for (const numbers of received)
      for (const isOurs of [true, false]) {
        const ofOne = numbers.filter((number) => number >= 400 === isOurs);
        assert.deepEqual(
          ofOne,
          ofOne.toSorted((one, other) => one - other),
          "those of one sender in order",
        );
      }
  }
  const { depth, sent, received, dropped, skipped } = channel.stats();
  const count = kind === "ring" ? 300 : 600;
  assert.deepEqual(
    { depth, sent, received, dropped, skipped },
    { depth: 0, sent: count, received: count, dropped: 0, skipped: 0 },
  );
  if (kind === "queue") {
    channel.destroy();
    assert.equal(heap.stats().blocks.used, blocks, "nothing is left");
  }
}

async function waits({ heap, mates }: Crew, kind: Kind): Promise<void> {
  const [first, second] = mates;
  open(heap, kind, "waits", { capacity: 2 });
  const receive = second.run(async ({ heap: own }, k: Kind) => {
    const channel = k === "queue" ? own.queue("waits") : own.ring("waits");
    return [await channel.receive(), await channel.receive({ timeoutMs: 20_000 })];
  }, kind);
  assert.ok(await isPending(receive));
  const send = first.run(async ({ heap: own }, k: Kind) => {
    const channel = k === "queue" ? own.queue("waits") : own.ring("waits");
    for (let number = 0; number < 6; number++) await channel.send(number, { timeoutMs: 20_000 });
    return channel.trySend("more");
  }, kind);
  assert.deepEqual(await receive, [0, 1]);
  assert.ok(await isPending(send), "there is no room for the last two");
  const rest = await second.run(async ({ heap: own }, k: Kind) => {
    const channel = k === "queue" ? own.queue("waits") : own.ring("waits");
    const got = [await channel.receive(), await channel.receive()];
    await new Promise((resolve) => setTimeout(resolve, 50));
    return [...got, channel.depth];
  }, kind);
  assert.deepEqual(rest, [2, 3, 2]);
  assert.equal(await send, false);
  const failures = await second.run(async ({ heap: own }, k: Kind) => {
    const channel = k === "queue" ? own.queue("waits") : own.ring("waits");
    const codes: unknown[] = [await channel.receive(), await channel.receive()];
    const code = async (promise: Promise<unknown>): Promise<void> =>
      promise.then(
        () => void codes.push("none"),
        (error: { code: string }) => void codes.push(error.code),
      );
    await code(channel.receive({ timeoutMs: 5 }));
    await code(channel.receive({ signal: AbortSignal.timeout(5) }));
    await code(channel.borrowAsync({ timeoutMs: 0 }));
    codes.push(channel.tryReceive() ?? "nothing", channel.tryBorrow() ?? "nothing");
    codes.push(channel.tryReceiveInto(new Uint8Array(8)));
    return codes;
  }, kind);
  const [timeout, aborted] = ["ERR_SHOAL_TIMEOUT", "ERR_SHOAL_ABORTED"];
  assert.deepEqual(failures, [4, 5, timeout, aborted, timeout, "nothing", "nothing", -1]);
}

async function ends({ heap, mates }: Crew, kind: Kind): Promise<void> {
  const [first, second] = mates;
  const channel = open<number>(heap, kind, "ends", { capacity: 4 });
  const received = second.run(async ({ heap: own }, k: Kind) => {
    const mine = k === "queue" ? own.queue<number>("ends") : own.ring<number>("ends");
    const all: number[] = [];
    for await (const message of mine) all.push(message);
    const after = await mine.receive().catch((error: { code: string }) => error.code);
    return [all, after, mine.tryReceive() ?? "nothing", mine.ended];
  }, kind);
  const sent = await first.run(async ({ heap: own }, k: Kind) => {
    const mine = k === "queue" ? own.queue<number>("ends") : own.ring<number>("ends");
    await mine.sendMany([1, 2, 3, 4, 5, 6, 7]);
    mine.end();
    return mine.send(8).catch((error: { code: string }) => error.code);
  }, kind);
  assert.equal(sent, "ERR_SHOAL_ENDED");
  assert.deepEqual(await received, [[1, 2, 3, 4, 5, 6, 7], "ERR_SHOAL_ENDED", "nothing", true]);
  assert.equal(channel.ended, true);
}

async function lends({ heap, mates }: Crew, kind: Kind): Promise<void> {
  const [first, second] = mates;
  open(heap, kind, "lends", { codec: "raw", messageBytes: 48, capacity: 8 });
  await first.run(({ heap: own }, k: Kind) => {
    const channel = k === "queue" ? own.queue("lends") : own.ring("lends");
    for (const size of [8, 100_000]) {
      const loan = channel.reserve(size);
      loan.bytes.fill(size % 251);
      loan.commit();
      const none = channel.reserve(size);
      none.cancel();
    }
    const part = channel.reserve(5000);
    part.bytes.fill(9);
    part.commit(10);
  }, kind);
  const got = await second.run(({ heap: own }, k: Kind) => {
    const channel = k === "queue" ? own.queue("lends") : own.ring("lends");
    const sizes: unknown[] = [];
    for (let count = 0; count < 3; count++) {
      const message = channel.borrow();
      const { bytes } = message;
      sizes.push(bytes.length, new Set(bytes).size, bytes[0]);
      if (count === 1) {
        message.giveBack();
        const again = channel.borrow();
        sizes.push(again.bytes.length);
        again[Symbol.dispose]();
      } else message.release();
    }
    return sizes;
  }, kind);
  assert.deepEqual(got, [8, 1, 8, 100_000, 1, 100_000 % 251, 100_000, 10, 1, 9]);
}

function suite(kind: Kind): (crew: Crew, holds: Holds) => Promise<void> {
  return async (crew, holds) => {
    const { heap, mates } = crew;
    await holds("each message is delivered once, in order", () => delivers(crew, kind));
    await holds("receivers wait for messages, senders for room", () => waits(crew, kind));
    await holds("after its end it gives what it has, then its loops end", () => ends(crew, kind));
    await holds("messages are written and read in place", () => lends(crew, kind));
    await holds("its options are those that it was made with", async () => {
      open(heap, kind, "options", { capacity: 5, messageBytes: 64, codec: "raw", redeliver: true });
      const seen = await mates[0].run(({ heap: own }, k: Kind) => {
        const channel = k === "queue" ? own.queue("options") : own.ring("options");
        return [channel.capacity, channel.messageBytes, channel.redeliver, channel.overflow, channel.created];
      }, kind);
      assert.deepEqual(seen, [8, 112, true, "wait", false]);
      const other = mates[0].run(
        ({ heap: own }, k: Kind) =>
          void (k === "queue"
            ? own.queue("options", { codec: "json" })
            : own.ring("options", { codec: "json" })),
        kind,
      );
      await rejectsCode(other, "ERR_SHOAL_KIND", /codec raw, not json/);
      const wrong = mates[1].run(
        ({ heap: own }, k: Kind) => void (k === "queue" ? own.ring("options") : own.queue("options")),
        kind,
      );
      await rejectsCode(wrong, "ERR_SHOAL_KIND");
    });
  };
}

inEverySetup("queue", suite("queue"));
inEverySetup("ring", suite("ring"));
