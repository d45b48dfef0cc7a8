/** What damaged locks and channels must not do: npm run flips has found it, or was read. Each as small as it can be. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { openPort, openQueue, openRing, openTopic } from "../../src/data/channel/index.ts";
import { partsOf as portPartsOf } from "../../src/data/channel/port-place.ts";
import { placesOf } from "../../src/data/channel/places.ts";
import type { ChannelPlaces } from "../../src/data/channel/places.ts";
import { shoalError, ShoalError } from "../../src/errors.ts";
import { Heap } from "../../src/heap/index.ts";
import type { Handle } from "../../src/heap/index.ts";
import {
  CELL_DATA,
  CELL_READY,
  CELL_TURN_SHIFT,
  C_CELL_BYTES,
  C_INDEX,
  C_KNOWN,
} from "../../src/layout/channel.ts";
import { H_HEAP_LOCK, PAGE_SIZE_BYTES } from "../../src/layout/header.ts";
import { PORT_CELL_BYTES } from "../../src/layout/port.ts";
import { P_FIRST, TABLE_BYTES_PER_PAGE } from "../../src/layout/page.ts";
import {
  SYNC_FAIR,
  SYNC_MAGIC,
  SYNC_RWLOCK,
  Y_FLAGS,
  Y_HOLDER,
  Y_KIND,
  Y_LIMIT,
  Y_TALLY,
  Y_WRITER,
} from "../../src/layout/sync.ts";
import { S_BLOCKED, SLOT_SIZE_BYTES } from "../../src/layout/slot.ts";
import { C_SUBSCRIBERS } from "../../src/layout/topic.ts";
import { useCheckpoint } from "../../src/region/core.ts";
import { openMutex, openSemaphore } from "../../src/sync/index.ts";
import { abandon, createHeap, openHeap } from "../helpers/heaps.ts";
import { ALLOCATORS } from "../helpers/kinds.ts";

/** More accesses than any call here needs. */
const MOST_ACCESSES = 100_000;

/** The same heap, opened by another participant whose calls are cut off when they come to no end; closed after the test. */
function openBounded<T>(t: TestContext, heap: Heap, open: (heap: Heap) => T): { heap: Heap; object: T } {
  let left = MOST_ACCESSES;
  useCheckpoint(() => {
    if (--left < 0) throw new Error("no end");
  });
  try {
    const opened = Heap.open(heap.region.name);
    t.after(() => opened.close());
    return { heap: opened, object: open(opened) };
  } finally {
    useCheckpoint(undefined);
  }
}

function thrown(error: unknown): never {
  throw error;
}

function wordsOf(heap: Heap): DataView {
  return new DataView(heap.region.buffer);
}

function codeOf(step: () => unknown): string {
  try {
    step();
  } catch (error) {
    if (error instanceof ShoalError) return error.code;
    throw error;
  }
  return "none";
}

/** Where the parts of a channel are, from the segment's start. */
function partsOf(heap: Heap, object: number, subscribers = 0): ChannelPlaces & { cellBytes: number } {
  const words = wordsOf(heap);
  const capacity = words.getUint32(object + Y_LIMIT, true);
  const cellBytes = words.getUint32(object + C_CELL_BYTES, true);
  const places = placesOf(heap.region.session.geometry.slotCount, capacity, cellBytes, subscribers);
  const at = Object.entries(places).map(([name, offset]) => [name, offset + object]);
  return { ...(Object.fromEntries(at) as ChannelPlaces), cellBytes };
}

function stateOf(turn: number, name: number, phase: number): bigint {
  return (BigInt(turn) << BigInt(CELL_TURN_SHIFT)) | (BigInt(name) << 3n) | BigInt(phase);
}

test("a receiver that a far cell leads past the messages, and back, tells that the queue is damaged", (t) => {
  const heap = createHeap(t);
  const queue = openQueue<number>(heap, "it", { capacity: 4 });
  queue.trySend(1);
  queue.trySend(2);
  const { cells } = partsOf(heap, queue.handle);
  wordsOf(heap).setBigUint64(cells, stateOf(100_000, 0, CELL_READY), true);
  const { object: other } = openBounded(t, heap, (one) => openQueue<number>(one, "it"));
  assert.equal(
    codeOf(() => other.tryReceive()),
    "ERR_SHOAL_CORRUPT",
  );
});

test("who waits for a heap's lock within a call of a channel does so for a while, however long each wait takes", (t) => {
  const heap = createHeap(t, { allocator: "first-fit" });
  const queue = openQueue<Uint8Array>(heap, "it", { codec: "raw", messageBytes: 16, capacity: 4 });
  queue.trySend(new Uint8Array(100));
  const holder = Heap.open(heap.region.name);
  t.after(() => holder.close());
  wordsOf(heap).setUint32(H_HEAP_LOCK, holder.region.slotIndex + 1, true);
  let nowMs = 1000;
  let waits = 0;
  t.mock.method(performance, "now", () => nowMs);
  t.mock.method(Atomics, "wait", () => {
    nowMs += 500;
    assert.ok(++waits < 50, "it waits for ever");
    return "timed-out";
  });
  assert.equal(
    codeOf(() => queue.tryReceive()),
    "ERR_SHOAL_TIMEOUT",
  );
  assert.ok(waits > 5, `after ${waits} waits`);
  wordsOf(heap).setUint32(H_HEAP_LOCK, 0, true);
});

test("what a channel says of its sizes is checked when it is opened", (t) => {
  const heap = createHeap(t);
  const words = wordsOf(heap);
  const options = { capacity: 4, messageBytes: 48 };
  const topic = openTopic(heap, "topic", { ...options, subscribers: 4 }).handle;
  for (const [noun, object, open] of [
    ["queue", openQueue(heap, "queue", options).handle, () => openQueue(heap, "queue")],
    ["ring", openRing(heap, "ring", options).handle, () => openRing(heap, "ring")],
    ["topic", topic, () => openTopic(heap, "topic").stats()],
  ] as const)
    for (const [at, values] of [
      [Y_LIMIT, [0, 1, 3, 1024, 2 ** 19, 2 ** 31, 2 ** 32 - 1]],
      [C_CELL_BYTES, [0, 16, 63, 65, 4096, 2 ** 20, 2 ** 20 + 64, 2 ** 32 - 64]],
      [C_SUBSCRIBERS, noun === "topic" ? [100, 4096, 4097, 2 ** 31, 2 ** 32 - 1] : []],
    ] as const)
      for (const value of values) {
        const before = words.getUint32(object + at, true);
        words.setUint32(object + at, value, true);
        assert.equal(codeOf(open), "ERR_SHOAL_CORRUPT", `${noun}: ${value} at ${at}`);
        words.setUint32(object + at, before, true);
      }
});

test("a cell that a channel has got since it was opened is neither written nor read", (t) => {
  for (const noun of ["queue", "ring", "topic"] as const) {
    const heap = createHeap(t);
    const options = { capacity: 4, messageBytes: 240 };
    const open = (name: string): { trySend: () => boolean; tryReceive: () => unknown; handle: number } => {
      if (noun === "topic") {
        const topic = openTopic(heap, name, { ...options, subscribers: 2 });
        const subscription = topic.subscribe();
        return {
          ...topic,
          trySend: () => topic.tryPublish("a"),
          tryReceive: () => subscription.tryReceive(),
        };
      }
      const channel = noun === "queue" ? openQueue(heap, name, options) : openRing(heap, name, options);
      return { ...channel, trySend: () => channel.trySend("a"), tryReceive: () => channel.tryReceive() };
    };
    const it = open("it");
    // The core keeps what it has found out of two channels: after two others it looks anew.
    const others = [open("other"), open("another")];
    it.trySend();
    const { tailSide, headSide, cells } = partsOf(heap, it.handle, noun === "topic" ? 2 : 0);
    const words = wordsOf(heap);
    words.setUint32(it.handle + Y_LIMIT, 64, true);
    for (const side of [tailSide, headSide])
      if (noun === "ring") words.setUint32(side + C_INDEX, 63, true);
      else words.setBigUint64(side, 63n, true);
    // From the others the core comes back to it, and finds what it says now.
    for (const other of others) other.trySend();
    const before = words.getBigUint64(cells + 63 * 256 + CELL_DATA, true);
    assert.equal(codeOf(it.trySend), "ERR_SHOAL_CORRUPT", noun);
    assert.equal(words.getBigUint64(cells + 63 * 256 + CELL_DATA, true), before);
    if (noun === "topic") continue;
    if (noun === "ring") words.setUint32(tailSide + C_INDEX, 64, true);
    else words.setBigUint64(cells + 63 * 256, stateOf(0, 0, CELL_READY), true);
    for (const other of others) other.trySend();
    assert.equal(codeOf(it.tryReceive), "ERR_SHOAL_CORRUPT", noun);
  }
});

test("a lock is not looked for where there is no room for it", (t) => {
  const heap = createHeap(t);
  const words = wordsOf(heap);
  const mutex = openMutex(heap, "mutex").handle;
  words.setUint32(mutex + Y_FLAGS, SYNC_FAIR, true);
  assert.equal(
    codeOf(() => openMutex(heap, "mutex")),
    "ERR_SHOAL_CORRUPT",
  );
  const semaphore = openSemaphore(heap, "semaphore").handle;
  for (const permits of [0, 65536, 2 ** 32 - 1]) {
    words.setUint32(semaphore + Y_LIMIT, permits, true);
    assert.equal(
      codeOf(() => openSemaphore(heap, "semaphore")),
      "ERR_SHOAL_CORRUPT",
    );
  }
});

test("an object in a block that begins where none can is told", (t) => {
  const heap = createHeap(t);
  const handle = openMutex(heap, "it").handle;
  const { tableOffset } = heap.region.session.geometry;
  const first = tableOffset + Math.floor(handle / PAGE_SIZE_BYTES) * TABLE_BYTES_PER_PAGE + P_FIRST;
  const words = wordsOf(heap);
  words.setUint32(first, words.getUint32(first, true) + 2, true);
  heap.roots.set("it", (handle + 2) as Handle);
  words.setUint32(handle + 2, words.getUint32(handle, true), true);
  assert.equal(
    codeOf(() => openMutex(heap, "it")),
    "ERR_SHOAL_CORRUPT",
  );
});

test("a deadlock is not looked for behind the segment's end", (t) => {
  const heap = createHeap(t, { allocator: "buddy", minBlockBytes: 64, sizeBytes: 65536, spanBytes: 131072 });
  const other = openHeap(t, heap);
  const mutex = openMutex(heap, "it");
  const hold = openMutex(other, "it").lockSync();
  const last = heap.region.segmentSizeBytes - 64;
  for (let block = 0; block !== last;) block = heap.alloc(64);
  const words = wordsOf(heap);
  words.setUint32(last, SYNC_MAGIC | SYNC_RWLOCK, true);
  words.setUint32(last + Y_WRITER, words.getUint32(mutex.handle + Y_HOLDER, true), true);
  const { slotsOffset } = heap.region.session.geometry;
  words.setUint32(slotsOffset + other.region.slotIndex * SLOT_SIZE_BYTES + S_BLOCKED, last, true);
  assert.equal(
    codeOf(() => mutex.lockSync({ timeoutMs: 200 })),
    "ERR_SHOAL_TIMEOUT",
  );
  hold.release();
});

test("a topic's tail that is far ahead is found out by who subscribes there, and set back", (t) => {
  const heap = createHeap(t);
  const topic = openTopic<number>(heap, "it", { capacity: 4 });
  for (const message of [1, 2, 3]) topic.tryPublish(message);
  const { tailSide } = partsOf(heap, topic.handle, 64);
  wordsOf(heap).setBigUint64(tailSide, 1_000_000n, true);
  const { object: other } = openBounded(t, heap, (one) => openTopic<number>(one, "it"));
  const subscription = other.subscribe({ from: "now" });
  assert.equal(subscription.tryReceive(), undefined);
  topic.tryPublish(4);
  assert.equal(subscription.tryReceive(), 4);
});

test("a ring's consumer does not go by a tail that it cannot have seen", (t) => {
  const heap = createHeap(t);
  const ring = openRing<number>(heap, "it", { capacity: 4 });
  ring.trySend(1);
  ring.trySend(2);
  assert.equal(ring.tryReceive(), 1);
  const { headSide } = partsOf(heap, ring.handle);
  wordsOf(heap).setUint32(headSide + C_KNOWN, 2 ** 31, true);
  assert.equal(ring.tryReceive(), 2);
  assert.equal(ring.tryReceive(), undefined);
  wordsOf(heap).setUint32(headSide + C_KNOWN, 1, true);
  ring.destroy();
});

test("a port whose queue is damaged tells that, and closes", async (t) => {
  const heap = createHeap(t);
  const first = openPort(heap, "it", { capacity: 4, messageBytes: 48 });
  const second = openPort(heap, "it");
  t.after(() => second.close());
  const said: string[] = [];
  for (const type of ["message", "messageerror"])
    first.on(type, (what) => said.push(codeOf(() => thrown(what))));
  const closed = once(first as unknown as EventTarget, "close");
  const words = wordsOf(heap);
  const handle = heap.roots.get("it");
  const { queues } = portPartsOf(
    heap,
    words.getUint32(handle + Y_LIMIT, true),
    words.getUint32(handle + PORT_CELL_BYTES, true),
  );
  words.setUint32(handle + queues[0] + Y_KIND, 0, true);
  await closed;
  assert.ok(said.length > 0 && said.every((code) => code === "ERR_SHOAL_NOT_FOUND"), said.join());
  assert.ok(first.closed);
});

test("permits that come back beyond all that there can be leave the rest of a semaphore as it is", (t) => {
  const heap = createHeap(t);
  const semaphore = openSemaphore(heap, "it", { permits: 5 });
  const hold = semaphore.acquireSync(3);
  const { slotIndex } = heap.region;
  wordsOf(heap).setUint16(semaphore.handle + Y_TALLY, 65535, true);
  hold.release();
  assert.deepEqual([semaphore.available, semaphore.held], [65535, 0]);
  assert.equal(wordsOf(heap).getUint16(semaphore.handle + Y_TALLY + 2, true) & 1023, slotIndex + 1);
});

test("who awaits in a heap whose dead cannot be recovered is told, and its process goes on", async (t) => {
  const heap = createHeap(t);
  const other = openHeap(t, heap);
  const hold = openMutex(other, "it", { fair: true }).lockSync();
  const mutex = openMutex(heap, "it");
  t.mock.method(heap.region, "recover", () => {
    throw shoalError("ERR_SHOAL_CORRUPT", "damaged");
  });
  const waits = [mutex.lock(), mutex.lock()];
  abandon(Heap.open(heap.region.name));
  for (const result of await Promise.allSettled(waits))
    assert.equal(
      codeOf(() => thrown(result.status === "rejected" ? result.reason : undefined)),
      "ERR_SHOAL_CORRUPT",
    );
  t.mock.restoreAll();
  hold.release();
  // Neither has left its turn behind.
  mutex.lockSync().release();
});

for (const allocator of ALLOCATORS) {
  test(`${allocator}: a trap anywhere in a call of a channel is ERR_SHOAL_CORRUPT, and leaves no lock behind`, (t) => {
    const heap = createHeap(t, { allocator, maxParticipants: 4, spanBytes: 40 * PAGE_SIZE_BYTES });
    const options = { capacity: 2, messageBytes: 16, codec: "raw" } as const;
    let left = Infinity;
    useCheckpoint((site) => {
      // Of the heap's words: where a lock or a channel lies is checked when it is opened.
      if (site >= 500) return;
      if (--left === 0) throw new WebAssembly.RuntimeError("memory access out of bounds");
    });
    const other = Heap.open(heap.region.name);
    t.after(() => other.close());
    const large = new Uint8Array(300);
    const open = (
      noun: string,
      name: string,
    ): Record<"trySend" | "tryReceive" | "destroy", () => unknown> => {
      if (noun === "topic") {
        const topic = openTopic<Uint8Array>(other, name, { ...options, subscribers: 2 });
        const subscription = topic.subscribe({ policy: "drop-oldest" });
        const [trySend, tryReceive] = [() => topic.tryPublish(large), () => subscription.tryReceive()];
        return { trySend, tryReceive, destroy: () => topic.destroy() };
      }
      const channel = (noun === "queue" ? openQueue : openRing)<Uint8Array>(other, name, options);
      return {
        trySend: () => channel.trySend(large),
        tryReceive: () => channel.tryReceive(),
        destroy: () => channel.destroy(),
      };
    };
    try {
      for (const noun of ["queue", "ring", "topic"])
        for (const call of ["trySend", "tryReceive", "destroy"] as const) {
          let at = 1;
          for (let isTrapped = true; isTrapped; at++) {
            left = Infinity;
            const it = open(noun, `${noun} ${call} ${at}`);
            it.trySend();
            left = at;
            const code = codeOf(it[call]);
            isTrapped = left <= 0;
            left = Infinity;
            if (isTrapped)
              assert.equal(code, "ERR_SHOAL_CORRUPT", `${noun}.${call}, trapped at access ${at}`);
            assert.notEqual(wordsOf(heap).getUint32(H_HEAP_LOCK, true), other.region.slotIndex + 1);
            heap.roots.delete(`${noun} ${call} ${at}`);
          }
          // A topic's blocks are its publishers' to free.
          if (noun !== "topic" || call !== "tryReceive") assert.ok(at > 3, `${noun}.${call} was trapped`);
        }
    } finally {
      useCheckpoint(undefined);
    }
  });
}
