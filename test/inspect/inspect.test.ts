/** Looking at segments without taking part in them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Heap } from "../../src/heap/index.ts";
import { openQueue } from "../../src/data/channel/index.ts";
import type { Handle } from "../../src/heap/index.ts";
import { inspectSegment, listObjects, listSegments, verifySegment } from "../../src/inspect/index.ts";
import { C_SETS } from "../../src/layout/channel.ts";
import { PORT_KIND } from "../../src/layout/port.ts";
import { SYNC_MAGIC, SYNC_RWLOCK, SYNC_SEMAPHORE } from "../../src/layout/sync.ts";
import { CHANNEL_TOPIC } from "../../src/layout/topic.ts";
import { Region } from "../../src/region/index.ts";
import { contextOf } from "../../src/sync/context.ts";
import { waitersBytes } from "../../src/sync/objects.ts";
import { createHeap } from "../helpers/heaps.ts";
import { leaksNothing, throwsCode } from "../helpers/assertions.ts";
import { freshNameOf, freshPosixName } from "../helpers/segments.ts";

for (const backend of ["posix", "file", "sysv"] as const) {
  test(`a plain segment is shown with its header, participants and pages: ${backend}`, (t) => {
    const name = freshNameOf(t, backend);
    using region = Region.create(name, { backend, sizeBytes: 300_000 });
    const report = inspectSegment(name, { backend });
    assert.equal(report.uuid, region.uuid);
    assert.equal(report.backend, backend);
    assert.equal(report.allocator, null);
    assert.equal(report.heap, null);
    assert.equal(report.sizeBytes, region.sizeBytes);
    assert.equal(report.creatorPid, process.pid);
    assert.equal(report.state, "ready");
    assert.match(report.map, /^H*d+$/);
    assert.equal(report.map.length, region.segmentSizeBytes / 65536);
    assert.deepEqual(
      report.participants.map(({ index, alive }) => ({ index, alive })),
      [{ index: region.slotIndex, alive: true }],
    );
    region.remove();
  });
}

test("the page map tells slab pages by their fill, runs and free pages", (t) => {
  const name = freshPosixName(t);
  using heap = Heap.create(name);
  const full = heap.alloc(32768);
  heap.alloc(32768);
  heap.alloc(150_000);
  const few = heap.alloc(1024);
  const draw = (): string => [...inspectSegment(name).map.replaceAll(/[H.]/g, "")].sort().join("");
  assert.equal(draw(), "#1Rrr");
  heap.free(few);
  heap.free(full);
  assert.equal(draw(), "05Rrr");
});

test("a large segment's map stays short, and says how many pages a character is", (t) => {
  const name = freshPosixName(t);
  using region = Region.create(name, { sizeBytes: 100 * 1024 * 1024 });
  const report = inspectSegment(name);
  assert.equal(report.mapPagesPerCharacter, 2);
  assert.equal(report.map.length, Math.ceil(region.segmentSizeBytes / 65536 / 2));
});

test("a list names a segment's allocator", (t) => {
  using heap = Heap.create(freshPosixName(t));
  using plain = Region.create(freshPosixName(t));
  const allocatorOf = (uuid: string): unknown =>
    listSegments().find((entry) => entry.uuid === uuid)?.allocator;
  assert.equal(allocatorOf(heap.region.uuid), "slab");
  assert.equal(allocatorOf(plain.uuid), null);
});

test("verification counts a heap's blocks, and of a plain segment only the pages", (t) => {
  const [heapName, plainName] = [freshPosixName(t), freshPosixName(t)];
  using heap = Heap.create(heapName);
  using plain = Region.create(plainName);
  heap.alloc(100);
  assert.deepEqual([verifySegment(heapName).ok, verifySegment(heapName).blocks], [true, 1]);
  const { ok, pages, blocks } = verifySegment(plainName);
  assert.deepEqual({ ok, pages, blocks }, { ok: true, pages: plain.segmentSizeBytes / 65536, blocks: 0 });
});

test("inspection takes no slot, changes nothing and leaks nothing", (t) => {
  const name = freshPosixName(t);
  using heap = Heap.create(name, { maxParticipants: 1 });
  const before = Buffer.from(heap.region.buffer).toString("latin1");
  leaksNothing("inspection", () => {
    inspectSegment(name);
    verifySegment(name);
    listSegments();
  });
  assert.ok(before === Buffer.from(heap.region.buffer).toString("latin1"));
  assert.equal(inspectSegment(name).participants.length, 1);
});

test("what is not there, or no segment, is refused with its code", (t) => {
  const name = freshPosixName(t);
  throwsCode(() => inspectSegment(name), "ERR_SHOAL_NOT_FOUND");
  throwsCode(() => verifySegment(name), "ERR_SHOAL_NOT_FOUND");
  Region.openRaw(name, { createSizeBytes: 8192 }).bytes.fill(1);
  throwsCode(() => inspectSegment(name), "ERR_SHOAL_NOT_SHOAL");
});

test("who waits for a channel is shown, to send or to receive, and waits on as before", (t) => {
  const heap = createHeap(t);
  const queue = openQueue(heap, "it", { capacity: 2, messageBytes: 16 });
  const { core } = contextOf(heap);
  const receivers = queue.handle + C_SETS;
  const senders = receivers + waitersBytes(heap);
  const waits = (): string[] =>
    listObjects(heap).objects.flatMap(({ waiters }) => waiters.map(({ what }) => what!));
  assert.deepEqual(waits(), []);
  core.enter(receivers);
  assert.deepEqual(waits(), ["receives"]);
  assert.equal(core.isWaiting(receivers, heap.region.slotIndex), 1);
  core.leave(receivers);
  core.enter(senders);
  assert.deepEqual(waits(), ["sends"]);
  assert.equal(core.isWaiting(senders, heap.region.slotIndex), 1);
});

test("an object that is said to be larger than the segment is an error with a code", (t) => {
  const heap = createHeap(t, { allocator: "buddy", minBlockBytes: 64, sizeBytes: 65536, spanBytes: 131072 });
  const last = heap.region.segmentSizeBytes - 64;
  // At the very end.
  for (let block = 0; block !== last;) block = heap.alloc(64);
  const words = new Uint32Array(heap.region.buffer, last, 1);
  heap.roots.set("it", last as Handle);
  for (const kind of [SYNC_RWLOCK, SYNC_SEMAPHORE, PORT_KIND, CHANNEL_TOPIC]) {
    words[0] = SYNC_MAGIC | kind;
    throwsCode(() => listObjects(heap), "ERR_SHOAL_CORRUPT");
  }
});
