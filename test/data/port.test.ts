/** Ports: MessagePort's interface between participants, its clones, its sides, and what a death on one side tells the other. */
// oxlint-disable unicorn/require-post-message-target-origin, unicorn/prefer-add-event-listener -- these ports are no windows, and have both
import assert from "node:assert/strict";
import { once } from "node:events";
import type { EventEmitter } from "node:events";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openPort } from "../../src/data/channel/port.ts";
import type { Port } from "../../src/data/channel/port.ts";
import type { Heap } from "../../src/heap/index.ts";
import { throwsCode } from "../helpers/assertions.ts";
import { createHeap, openHeap } from "../helpers/heaps.ts";
import { startProcess } from "../helpers/peer.ts";
import type { Peer } from "../helpers/peer.ts";

function nextOf(port: Port, type: string): Promise<unknown> {
  // Nothing else may keep the test's process.
  port.ref();
  return once(port as unknown as EventEmitter, type).then(([value]) => value as unknown);
}

function pair(t: TestContext, heap: Heap = createHeap(t)): [Port, Port] {
  const ports: [Port, Port] = [openPort(heap, "talk"), openPort(heap, "talk")];
  t.after(() => ports.forEach((port) => port.close()));
  return ports;
}

/** A process that opens the port "talk" of the heap, keeps it, and answers each message with what `answer` makes of it. */
async function startEcho(t: TestContext, heap: Heap): Promise<Peer> {
  const peer = startProcess(t);
  await peer.run(async ({ Heap: Heaps, load, regions }, name) => {
    const { openPort: open } = (await load("src/data/channel/port.js")) as { openPort: typeof openPort };
    const own = Heaps.open(name);
    regions.set("main", own.region);
    const port = open(own, "talk");
    port.on("message", (value) => port.postMessage({ echo: value }));
  }, heap.region.name);
  return peer;
}

test("a message posted on one side comes out at the other, whoever opened first", async (t) => {
  const [one, other] = pair(t);
  assert.deepEqual([one.side, other.side], [0, 1]);
  const toOther = nextOf(other, "message");
  one.postMessage("hello");
  assert.equal(await toOther, "hello");
  const toOne = nextOf(one, "message");
  other.postMessage("and back");
  assert.equal(await toOne, "and back");
});

test("messages are structured clones: of maps, sets, dates, patterns, typed arrays, circles, bigints and errors", async (t) => {
  const heap = createHeap(t);
  const port = openPort(heap, "talk");
  await startEcho(t, heap);
  const buffer = new ArrayBuffer(16);
  const value: Record<string, unknown> = {
    map: new Map<unknown, unknown>([["a", { b: 1n }]]),
    set: new Set([1, "two"]),
    date: new Date(1e12),
    pattern: /x+/gi,
    bytes: new Uint8Array(buffer, 4, 4),
    floats: new Float64Array(buffer),
    big: 2n ** 70n,
    error: new RangeError("far"),
    nothing: undefined,
    text: "ä🦈",
  };
  value["self"] = value;
  port.postMessage(value);
  const { echo } = (await nextOf(port, "message")) as { echo: typeof value };
  assert.equal(echo["self"], echo);
  assert.deepEqual(echo["map"], value["map"]);
  assert.deepEqual(echo["set"], value["set"]);
  assert.deepEqual(echo["date"], value["date"]);
  assert.deepEqual(echo["pattern"], value["pattern"]);
  assert.equal(echo["big"], value["big"]);
  assert.equal(echo["text"], value["text"]);
  assert.ok("nothing" in echo && echo["error"] instanceof RangeError && echo["error"].message === "far");
  assert.equal((echo["bytes"] as Uint8Array).buffer, (echo["floats"] as Float64Array).buffer);
  port.close();
});

test("what cannot be cloned is a DataCloneError, at once, and nothing is sent", async (t) => {
  const [one, other] = pair(t);
  const next = nextOf(other, "message");
  for (const bad of [
    () => 1,
    new SharedArrayBuffer(8),
    Symbol("s"),
    new WeakMap(),
    new MessageChannel().port1,
    one,
  ]) {
    assert.throws(() => one.postMessage({ bad }), { name: "DataCloneError" });
  }
  const { port1 } = new MessageChannel();
  for (const list of [[new Uint8Array(1)], [port1, port1], [one]]) {
    assert.throws(() => one.postMessage(1, list as never), { name: "DataCloneError" });
  }
  one.postMessage("good");
  assert.equal(await next, "good");
});

test("ArrayBuffers in the list of transfers are copied, and stay", async (t) => {
  const [one, other] = pair(t);
  const bytes = new Uint8Array([1, 2, 3]);
  const next = nextOf(other, "message");
  one.postMessage(bytes.buffer, { transfer: [bytes.buffer] });
  assert.deepEqual(new Uint8Array((await next) as ArrayBuffer), bytes);
  assert.equal(bytes.length, 3);
});

test("posting never waits: what finds no room waits in its order", async (t) => {
  const heap = createHeap(t);
  const one = openPort(heap, "talk", { capacity: 4, messageBytes: 64 });
  const other = openPort(openHeap(t, heap), "talk");
  const count = 500;
  for (let index = 0; index < count; index++) one.postMessage([index, "x".repeat(index)]);
  assert.ok(one.backlog > count - 10, String(one.backlog));
  const got: number[] = [];
  await new Promise<void>((resolve) => {
    other.on("message", (value) => {
      const [index, text] = value as [number, string];
      assert.equal(text.length, index);
      if (got.push(index) === count) resolve();
    });
  });
  assert.deepEqual(got, [...Array(count).keys()]);
  assert.equal(one.backlog, 0);
  one.close();
  other.close();
});

test("what is posted before anybody has the other side is delivered, and what is posted before close() too", async (t) => {
  const heap = createHeap(t);
  const one = openPort(heap, "talk", { capacity: 2 });
  for (let index = 0; index < 10; index++) one.postMessage(index);
  assert.equal(one.connected, false);
  const other = openPort(heap, "talk");
  const got: unknown[] = [];
  const closed = nextOf(other, "close");
  while (!one.connected) await sleep(1);
  one.close();
  assert.equal(one.closed, true);
  other.on("message", (value) => got.push(value));
  await closed;
  assert.deepEqual(got, [...Array(10).keys()]);
  assert.equal(other.closed, true);
});

test("both kinds of listeners get messages, in the order in which they came; null ones are none", async (t) => {
  const [one, other] = pair(t);
  const seen: string[] = [];
  const listener = { handleEvent: (event: { data: unknown }) => seen.push(`object ${String(event.data)}`) };
  other.addEventListener("message", listener);
  other.addEventListener("message", listener);
  other.addEventListener("message", null);
  other.on("message", (value) => seen.push(`on ${String(value)}`));
  other.once("message", (value) => seen.push(`once ${String(value)}`));
  other.onmessage = (event) => {
    assert.equal(event.target, other);
    assert.ok(event instanceof Event);
    seen.push(`${event.type} ${String(event.data)}`);
  };
  assert.equal(other.listenerCount("message"), 4);
  one.postMessage(1);
  one.postMessage(2);
  while (seen.length < 7) await sleep(1);
  assert.deepEqual(seen, ["object 1", "on 1", "once 1", "message 1", "object 2", "on 2", "message 2"]);
  other.onmessage = null;
  other.removeEventListener("message", listener);
  assert.equal(other.listenerCount("message"), 1);
  other.removeAllListeners("message");
  assert.equal(other.hasRef(), false);
});

test("a third one is refused, until a side is free again", async (t) => {
  const heap = createHeap(t);
  const [one, other] = pair(t, heap);
  const another = openHeap(t, heap);
  throwsCode(() => openPort(another, "talk"), "ERR_SHOAL_TAKEN", /two sides/);
  const closed = nextOf(other, "close");
  one.close();
  await closed;
  const [again, partner] = [openPort(another, "talk"), openPort(heap, "talk")];
  const next = nextOf(partner, "message");
  again.postMessage("anew");
  assert.equal(await next, "anew");
  again.close();
});

test("who comes to a side whose partner has not noticed yet waits for the partner's next one, and no message goes astray", async (t) => {
  const heap = createHeap(t);
  const old = openPort(heap, "talk");
  const gone = openPort(heap, "talk");
  const stray: unknown[] = [];
  old.on("message", (value) => stray.push(value));
  old.postMessage("for the one that is gone");
  gone.close();
  const next = openPort(heap, "talk");
  next.postMessage("for the new one");
  assert.equal(next.connected, false);
  await nextOf(old, "close");
  const partner = openPort(heap, "talk");
  const got = nextOf(partner, "message");
  assert.equal(await got, "for the new one");
  assert.deepEqual(stray, []);
  const seen = nextOf(next, "message");
  partner.postMessage("welcome");
  assert.equal(await seen, "welcome");
  partner.close();
});

test("a participant that is killed closes the port of the other side, after what it had sent, and its side can be taken", async (t) => {
  const heap = createHeap(t);
  const port = openPort(heap, "talk");
  const peer = await startEcho(t, heap);
  port.postMessage(1);
  assert.deepEqual(await nextOf(port, "message"), { echo: 1 });
  const closed = nextOf(port, "close");
  await peer.kill();
  await closed;
  assert.equal(port.closed, true);
  port.postMessage("into the void");
  const again = openPort(heap, "talk");
  await startEcho(t, heap);
  again.postMessage(2);
  assert.deepEqual(await nextOf(again, "message"), { echo: 2 });
  again.close();
});

test("sides whose owners were killed can be taken, if nobody has noticed yet", async (t) => {
  const heap = createHeap(t);
  const peer = startProcess(t);
  await peer.run(async ({ Heap: Heaps, load }, name) => {
    const { openPort: open } = (await load("src/data/channel/port.js")) as { openPort: typeof openPort };
    const own = Heaps.open(name);
    open(own, "talk");
    open(own, "talk");
  }, heap.region.name);
  await peer.kill();
  const [one, other] = pair(t, heap);
  const next = nextOf(other, "message");
  one.postMessage("anew");
  assert.equal(await next, "anew");
});

test("closing the heap closes its ports, on both sides", async (t) => {
  const heap = createHeap(t);
  const own = openHeap(t, heap);
  const [one, other] = [openPort(own, "talk"), openPort(heap, "talk")];
  const both = Promise.all([nextOf(one, "close"), nextOf(other, "close")]);
  own.close();
  await both;
  one.close();
  assert.deepEqual(heap.verify().problems, []);
});

test("a port that nobody listens to does not keep the process alive, one that is listened to does", async (t) => {
  const heap = createHeap(t);
  const end = async (isListening: boolean): Promise<string> => {
    const peer = startProcess(t);
    await peer.run(
      async ({ Heap: Heaps, load }, name, listens) => {
        const { openPort: open } = (await load("src/data/channel/port.js")) as { openPort: typeof openPort };
        const port = open(Heaps.open(name), "talk");
        if (listens) port.on("message", () => undefined);
        setImmediate(() => {
          process.removeAllListeners("disconnect");
          process.disconnect();
        });
      },
      heap.region.name,
      isListening,
    );
    return Promise.race([peer.ended, sleep(1500).then(() => "alive")]);
  };
  assert.equal(await end(false), "exit code 0");
  assert.equal(await end(true), "alive");
});

test("what was posted keeps the process until it is sent", async (t) => {
  const heap = createHeap(t);
  const port = openPort(heap, "talk", { capacity: 2 });
  const peer = startProcess(t);
  await peer.run(async ({ Heap: Heaps, load }, name) => {
    const { openPort: open } = (await load("src/data/channel/port.js")) as { openPort: typeof openPort };
    const own = open(Heaps.open(name), "talk");
    for (let index = 0; index < 50; index++) own.postMessage(index);
    setImmediate(() => {
      process.removeAllListeners("disconnect");
      process.disconnect();
    });
  }, heap.region.name);
  const got: unknown[] = [];
  const closed = nextOf(port, "close");
  port.on("message", (value) => got.push(value));
  await closed;
  assert.deepEqual(got, [...Array(50).keys()]);
  assert.equal(await peer.ended, "exit code 0");
});

test("an error of a listener is the process's, and the next message comes all the same", async (t) => {
  const heap = createHeap(t);
  const port = openPort(heap, "talk");
  const peer = startProcess(t);
  const seen = peer.run(async ({ Heap: Heaps, load }, name) => {
    const { openPort: open } = (await load("src/data/channel/port.js")) as { openPort: typeof openPort };
    const own = open(Heaps.open(name), "talk");
    const thrown: string[] = [];
    process.on("uncaughtException", (error) => thrown.push(error.message));
    own.once("message", () => {
      throw new Error("from a listener");
    });
    const second = await new Promise((resolve) => {
      own.on("message", (value) => value === 2 && resolve(value));
    });
    return [second, ...thrown];
  }, heap.region.name);
  port.postMessage(1);
  port.postMessage(2);
  assert.deepEqual(await seen, [2, "from a listener"]);
  port.close();
});
