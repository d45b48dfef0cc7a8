/** Channels as streams: Node's and the web's, with their back-pressure, their ends, and their ways to give up. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openQueue } from "../../src/data/channel/queue.ts";
import { openRing } from "../../src/data/channel/ring.ts";
import type { Heap } from "../../src/heap/index.ts";
import { createHeap, openHeap } from "../helpers/heaps.ts";

const numbers = [...Array(200).keys()];

/** Two participants of one heap. */
function heaps(t: TestContext): [Heap, Heap] {
  const heap = createHeap(t);
  return [heap, openHeap(t, heap)];
}

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of stream) all.push(one);
  return all;
}

for (const open of [openQueue, openRing]) {
  const kind = open === openQueue ? "queue" : "ring";

  test(`objects that are piped into a ${kind} come out of it in their order, with less room than messages`, async (t) => {
    const [one, other] = heaps(t);
    const sender = open<{ index: number }>(one, "c", { capacity: 4 });
    const receiver = open<{ index: number }>(other, "c");
    const objects = numbers.map((index) => ({ index }));
    const [, got] = await Promise.all([
      pipeline(Readable.from(objects), sender.writable()),
      collect(receiver.readable() as AsyncIterable<{ index: number }>),
    ]);
    assert.deepEqual(got, objects);
  });
}

test("bytes that are piped through a raw queue come out the same, whatever the chunks", async (t) => {
  const [one, other] = heaps(t);
  const sender = openQueue<Uint8Array>(one, "c", { capacity: 4, messageBytes: 64, codec: "raw" });
  const receiver = openQueue<Uint8Array>(other, "c", { codec: "raw" });
  const chunks = [1, 0, 63, 64, 65, 5000].map((length, index) => Buffer.alloc(length, index + 65));
  const stream = receiver.readable({ highWaterMark: 1024 });
  const writable = sender.writable();
  const done = (async () => {
    for (const chunk of chunks) if (!writable.write(chunk)) await once(writable, "drain");
    writable.end("the last ones");
  })();
  assert.equal(stream.readableObjectMode, false);
  assert.deepEqual(
    Buffer.concat(await collect(stream as AsyncIterable<Buffer>)),
    Buffer.concat([...chunks, Buffer.from("the last ones")]),
  );
  await done;
});

test("a readable reads nothing ahead: what it was not asked for is somebody else's", async (t) => {
  const [one, other] = heaps(t);
  const queue = openQueue<number>(one, "c");
  for (let index = 0; index < 5; index++) queue.trySend(index);
  const iterator = queue.readable()[Symbol.asyncIterator]();
  assert.equal((await iterator.next()).value, 0);
  await sleep(5);
  const left = openQueue<number>(other, "c");
  assert.ok(left.depth >= 3, String(left.depth));
  await iterator.return?.();
  const ahead = queue.readable({ highWaterMark: 3 });
  ahead.read();
  await sleep(5);
  assert.ok(left.depth <= 1, String(left.depth));
  ahead.destroy();
});

test("destroying a stream ends its wait: what comes afterwards goes to others", async (t) => {
  const [one] = heaps(t);
  const queue = openQueue<string>(one, "c", { capacity: 2 });
  const readable = queue.readable();
  const closed = once(readable, "close");
  readable.resume();
  await sleep(5);
  readable.destroy();
  await closed;
  queue.trySend("later");
  await sleep(5);
  assert.equal(queue.tryReceive(), "later");

  queue.trySend("full");
  queue.trySend("full");
  const writable = queue.writable();
  const failed = once(writable, "close");
  writable.write("never");
  await sleep(5);
  writable.destroy();
  await failed;
  assert.equal(queue.ended, false);
  assert.deepEqual([queue.tryReceive(), queue.tryReceive()], ["full", "full"]);
  await sleep(5);
  assert.equal(queue.tryReceive(), undefined);
});

test("an AbortSignal ends streams of both kinds with its reason", async (t) => {
  const [one] = heaps(t);
  const queue = openQueue<string>(one, "c");
  const abort = new AbortController();
  const { signal } = abort;
  const node = queue.readable({ signal });
  const web = queue.webReadable({ signal });
  const reading = [collect(node as AsyncIterable<string>), web.getReader().read()];
  setTimeout(() => abort.abort(new Error("enough")), 5);
  const [first, second] = await Promise.allSettled(reading);
  assert.equal(first?.status === "rejected" && (first.reason as Error).name, "AbortError");
  assert.equal(second?.status === "rejected" && (second.reason as Error).message, "enough");
  queue.trySend("still there");
  await sleep(5);
  assert.equal(queue.tryReceive(), "still there");
});

test("a stream with end: false leaves the queue to the others", async (t) => {
  const [one] = heaps(t);
  const queue = openQueue<number>(one, "c");
  await pipeline(Readable.from([1, 2]), queue.writable({ end: false }));
  const writer = queue.webWritable({ end: false }).getWriter();
  await writer.write(3);
  await writer.close();
  assert.equal(queue.ended, false);
  assert.deepEqual([queue.tryReceive(), queue.tryReceive(), queue.tryReceive()], [1, 2, 3]);
});

test("null ends a stream of objects, so a message that is null is an error of it, and none for the web's", async (t) => {
  const [one] = heaps(t);
  const queue = openQueue<null>(one, "c");
  queue.trySend(null);
  await assert.rejects(collect(queue.readable() as AsyncIterable<null>), { code: "ERR_SHOAL_CODEC" });
  queue.trySend(null);
  queue.end();
  assert.deepEqual(await collect(queue.webReadable() as unknown as AsyncIterable<null>), [null]);
});

test("web streams pass messages with back-pressure, and end with the queue", async (t) => {
  const [one, other] = heaps(t);
  const sender = openQueue<number>(one, "c", { capacity: 4 });
  const receiver = openQueue<number>(other, "c");
  const source = new ReadableStream<number>({
    start(controller) {
      for (const number of numbers) controller.enqueue(number);
      controller.close();
    },
  });
  const [, got] = await Promise.all([
    source.pipeTo(sender.webWritable()),
    collect(receiver.webReadable() as unknown as AsyncIterable<number>),
  ]);
  assert.deepEqual(got, numbers);
});

test("a raw queue's web stream is one of bytes, into buffers of the reader's own too", async (t) => {
  const [one] = heaps(t);
  const queue = openQueue<Uint8Array>(one, "c", { codec: "raw" });
  queue.trySend(new Uint8Array(0));
  queue.trySend(Buffer.from("hello"));
  const reader = queue.webReadable().getReader({ mode: "byob" } as never) as unknown as {
    read(view: Uint8Array): Promise<{ value: Uint8Array; done: boolean }>;
  };
  const first = await reader.read(new Uint8Array(3));
  assert.equal(Buffer.from(first.value).toString(), "hel");
  assert.equal(Buffer.from((await reader.read(new Uint8Array(3))).value).toString(), "lo");
  queue.end();
  assert.equal((await reader.read(new Uint8Array(3))).done, true);
});

test("cancelling or aborting web streams ends their waits and not the queue", async (t) => {
  const [one] = heaps(t);
  const queue = openQueue<string>(one, "c", { capacity: 2 });
  const reader = queue.webReadable().getReader();
  const read = reader.read();
  await sleep(5);
  await reader.cancel("enough");
  assert.equal((await read).done, true);
  queue.trySend("a");
  queue.trySend("b");
  const writer = queue.webWritable().getWriter();
  const written = writer.write("never").catch((error: unknown) => error);
  await sleep(5);
  await writer.abort(new Error("enough"));
  assert.ok((await written) instanceof Error);
  assert.equal(queue.ended, false);
  assert.deepEqual([queue.tryReceive(), queue.tryReceive(), queue.tryReceive()], ["a", "b", undefined]);
});
