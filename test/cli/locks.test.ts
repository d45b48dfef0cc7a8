/** `shoal locks`: every kind of named object, its holders, those who wait, and a deadlock before it is found by those in it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Heap } from "../../src/data/heap.ts";
import { openPort } from "../../src/data/channel/index.ts";
import { listObjects } from "../../src/inspect/index.ts";
import type { ObjectReport, ObjectsReport } from "../../src/inspect/index.ts";
import { startProcess } from "../helpers/peer.ts";
import type { Peer } from "../helpers/peer.ts";
import { freshPosixName } from "../helpers/segments.ts";
import { runJson, runShoal, startShoal } from "./shoal.ts";

function makeHeap(t: TestContext): Heap {
  const heap = Heap.create(freshPosixName(t));
  t.after(() => heap.close());
  return heap;
}

async function startMember(t: TestContext, heap: Heap): Promise<Peer> {
  const peer = startProcess(t);
  await peer.run(({ FullHeap, keep }, name) => keep("heap", FullHeap.open(name)), heap.region.name);
  return peer;
}

/** Looks until what it sees is as it should be. */
async function seen(
  heap: Heap,
  name: string,
  isRight: (one: ObjectReport) => boolean,
): Promise<ObjectReport> {
  for (;;) {
    const report = (await runJson(0, "locks", heap.region.name)) as ObjectsReport;
    const found = report.objects.find((one) => one.name === name);
    assert.ok(found !== undefined, `${name} is not listed`);
    if (isRight(found)) return found;
  }
}

test("each kind of named object is listed with what is the case with it, and other roots are not", async (t) => {
  const heap = makeHeap(t);
  heap.roots.set("data", heap.alloc(100));
  const holds = [
    heap.mutex("mutex").tryLock(),
    heap.rwlock("rwlock").tryRead(),
    heap.semaphore("semaphore", { permits: 3 }).tryAcquire(2),
  ];
  heap.event("event").set();
  heap.condition("condition");
  heap.barrier("barrier", { parties: 2 });
  heap.once("once");
  heap.counter("counter").add(41);
  heap.queue("queue", { capacity: 4 }).trySend(1);
  heap.ring("ring", { capacity: 2 });
  openPort(heap, "port");
  const { objects, cycles } = (await runJson(0, "locks", heap.region.name)) as ObjectsReport;
  assert.deepEqual(
    objects.map(({ name, kind, state, holders }) => [
      name === kind,
      name,
      state,
      holders.map(({ what }) => what ?? ""),
    ]),
    [
      [true, "barrier", "0 of 2 have come, round 0", []],
      [true, "condition", "", []],
      [true, "counter", "41", []],
      [true, "event", "set, set 1 times", []],
      [true, "mutex", "held", [""]],
      [true, "once", "to be done", []],
      [true, "port", "1 of 2 sides taken", ["side 0"]],
      [true, "queue", "1 of 4 messages", []],
      [true, "ring", "0 of 2 messages", []],
      [true, "rwlock", "read by 1", ["reads"]],
      [true, "semaphore", "1 of 3 permits free", ["2 permits"]],
    ],
  );
  assert.deepEqual(cycles, []);
  assert.ok(objects.every(({ holders }) => holders.every(({ pid }) => pid === process.pid)));
  for (const hold of holds) hold?.release();
});

test("who holds a lock is shown while others hold it, and who waits, awake or asleep", async (t) => {
  const heap = makeHeap(t);
  const mutex = heap.mutex("m");
  const hold = await mutex.lock();
  const [awaiting, asleep] = [await startMember(t, heap), await startMember(t, heap)];
  const done = [
    awaiting.run(async ({ heap: own }) => (await own.mutex("m").lock()).release()),
    asleep.run(({ heap: own }) => own.mutex("m").lockSync().release()),
  ];
  const report = await seen(
    heap,
    "m",
    ({ waiters }) => waiters.length === 2 && waiters.some((one) => one.asleep),
  );
  assert.deepEqual(
    report.holders.map(({ pid }) => pid),
    [process.pid],
  );
  assert.deepEqual(
    new Map(report.waiters.map(({ pid, asleep: isAsleep }) => [pid, isAsleep])),
    new Map([
      [awaiting.pid, false],
      [asleep.pid, true],
    ]),
  );
  const text = (await runShoal("locks", heap.region.name)).stdout.toString();
  assert.match(text, new RegExp(`^m +mutex +held +${process.pid}.*${asleep.pid}[^,]* asleep`, "m"));
  hold.release();
  await Promise.all(done);
});

test("with SHOAL_TRACE=1 in the holder's environment the place is shown where it took the lock", async (t) => {
  const heap = makeHeap(t);
  const peer = startProcess(t, { launcher: ["env", "SHOAL_TRACE=1"] });
  await peer.run(({ FullHeap, keep }, name) => {
    const own = FullHeap.open(name);
    keep("hold", [own, own.mutex("m").lockSync()]);
  }, heap.region.name);
  const text = (await runShoal("locks", heap.region.name)).stdout.toString();
  assert.match(text, new RegExp(`mutex "m" was taken by ${peer.pid}\\n +at `));
});

test("two that are asleep for each other's lock are a suspected deadlock", async (t) => {
  const heap = makeHeap(t);
  heap.mutex("a");
  heap.mutex("b");
  const [one, other] = [await startMember(t, heap), await startMember(t, heap)];
  for (const [peer, mine] of [
    [one, "a"],
    [other, "b"],
  ] as const)
    await peer.run(({ heap: own, keep }, name) => keep("hold", own.mutex(name).lockSync()), mine);
  const waits = [
    one.run(({ heap: own }) => void own.mutex("b").lockSync()).catch((error: unknown) => error),
    other.run(({ heap: own }) => void own.mutex("a").lockSync()).catch((error: unknown) => error),
  ];
  // Those in it find out within 100 ms or so, faster than a process starts: so it is looked for here.
  let cycles = listObjects(heap).cycles;
  for (const endMs = performance.now() + 5000; cycles.length === 0 && performance.now() < endMs;) {
    await new Promise(setImmediate);
    cycles = listObjects(heap).cycles;
  }
  assert.deepEqual(
    new Map(cycles[0]?.links.map(({ pid, object }) => [pid, object])),
    new Map([
      [one.pid, 'mutex "b"'],
      [other.pid, 'mutex "a"'],
    ]),
  );
  assert.equal(cycles.length, 1);
  // The other one waits on, for what the first one still holds.
  assert.equal(((await Promise.race(waits)) as { code?: string }).code, "ERR_SHOAL_DEADLOCK");
});

test("shoal locks --watch shows what changes, until it is interrupted", async (t) => {
  const heap = makeHeap(t);
  const counter = heap.counter("visitors");
  const watching = startShoal("locks", heap.region.name, "--watch");
  await watching.shows("visitors  counter  0");
  counter.add(7);
  await watching.shows("visitors  counter  7");
  watching.child.kill("SIGINT");
  assert.equal((await watching.outcome).code, 130);
});

test("--watch goes on and --json is one value: both at once are bad usage", async (t) => {
  const { error } = (await runJson(2, "locks", makeHeap(t).region.name, "--watch")) as {
    error: { code: string };
  };
  assert.equal(error.code, "ERR_SHOAL_USAGE");
});

test("a heap without named objects says so", async (t) => {
  const heap = makeHeap(t);
  const { code, stdout } = await runShoal("locks", heap.region.name);
  assert.deepEqual([code, stdout.toString()], [0, `${heap.region.name} has no named objects\n`]);
});
