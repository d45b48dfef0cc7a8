/** How waits end: time, signals, closing; and what they do to the event loop meanwhile. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { getEventListeners, once } from "node:events";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { createFullHeap, isPending, mateOf, openFullHeap, rejectsCode, startMate } from "../helpers/crew.ts";
import { throwsCode, until } from "../helpers/assertions.ts";
import { startWorker } from "../helpers/peer.ts";
import type { Heap } from "../../src/data/heap.ts";
import type { AwaitOptions, BlockOptions, Hold } from "../../src/sync/index.ts";

/** Objects that `holder` keeps from others, and every way in which `heap` can wait for them. */
interface Stage {
  readonly awaited: Record<string, (options?: AwaitOptions) => Promise<unknown>>;
  readonly blocking: Record<string, (options?: BlockOptions) => unknown>;
  /** What is held is released, what is waited for happens. */
  release(): void;
  /** Asserts that nothing has stayed of those who waited and gave up. */
  assertClean(): void;
}

function setStage(heap: Heap, holder: Heap): Stage {
  const plain = holder.mutex("plain").lockSync();
  const fair = holder.mutex("fair", { fair: true }).lockSync();
  const write = holder.rwlock("written").writeSync();
  const read = holder.rwlock("read").readSync();
  const permits = holder.semaphore("permits", { permits: 2 }).acquireSync(2);
  const enough = new AbortController();
  const running = holder.once("once").run(async () => {
    if (!enough.signal.aborted) await once(enough.signal, "abort");
  });
  holder.event("auto", { resets: "auto" });
  holder.barrier("barrier", { parties: 2 });
  return {
    awaited: {
      "mutex.lock": (options) => heap.mutex("plain").lock(options),
      "mutex.run": (options) => heap.mutex("plain").run(() => undefined, options),
      "mutex.lock, fair": (options) => heap.mutex("fair").lock(options),
      "rwlock.read": (options) => heap.rwlock("written").read(options),
      "rwlock.write": (options) => heap.rwlock("read").write(options),
      "rwlock.write behind a writer": (options) => heap.rwlock("written").write(options),
      "semaphore.acquire": (options) => heap.semaphore("permits").acquire(1, options),
      "event.wait": (options) => heap.event("manual").wait(options),
      "event.wait, automatic": (options) => heap.event("auto").wait(options),
      "barrier.wait": (options) => heap.barrier("barrier").wait(options),
      "once.run": (options) => heap.once("once").run(() => undefined, options),
    },
    blocking: {
      "mutex.lockSync": (options) => heap.mutex("plain").lockSync(options),
      "mutex.runSync": (options) => heap.mutex("plain").runSync(() => undefined, options),
      "mutex.lockSync, fair": (options) => heap.mutex("fair").lockSync(options),
      "rwlock.readSync": (options) => heap.rwlock("written").readSync(options),
      "rwlock.writeSync": (options) => heap.rwlock("read").writeSync(options),
      "semaphore.acquireSync": (options) => heap.semaphore("permits").acquireSync(1, options),
      "event.waitSync": (options) => heap.event("manual").waitSync(options),
      "event.waitSync, automatic": (options) => heap.event("auto").waitSync(options),
      "barrier.waitSync": (options) => heap.barrier("barrier").waitSync(options),
      "once.runSync": (options) => heap.once("once").runSync(() => undefined, options),
    },
    release() {
      for (const hold of [plain, fair, write, read, permits]) hold.release();
      enough.abort();
      void running;
      holder.event("manual").set();
      holder.event("auto").set();
    },
    assertClean() {
      assert.equal(heap.barrier("barrier").waiting, 0);
      for (const name of ["plain", "fair"]) {
        assert.equal(holder.mutex(name).holder()?.index, holder.region.slotIndex);
      }
      assert.equal(heap.semaphore("permits").held, 0);
      holder.rwlock("read").tryRead()!.release();
      assert.equal(holder.rwlock("read").writer(), undefined);
    },
  };
}

function openStage(t: TestContext): Stage & { heap: Heap; holder: Heap } {
  const heap = createFullHeap(t);
  const holder = openFullHeap(t, heap);
  return { heap, holder, ...setStage(heap, holder) };
}

test("every wait ends with its time, 0 or more, and leaves nothing behind", async (t) => {
  const { awaited, blocking, release, assertClean, heap } = openStage(t);
  for (const timeoutMs of [0, 12, 0.5]) {
    for (const [name, call] of Object.entries(awaited)) {
      const error = await rejectsCode(
        call({ timeoutMs }),
        "ERR_SHOAL_TIMEOUT",
        new RegExp(`${timeoutMs} ms`),
      );
      assert.match(error.message, /^(lock|read|write|acquire|wait|run): \w+ "\w+"/, name);
    }
    for (const call of Object.values(blocking)) {
      const startMs = performance.now();
      throwsCode(() => call({ timeoutMs }), "ERR_SHOAL_TIMEOUT", new RegExp(`${timeoutMs} ms`));
      assert.ok(performance.now() - startMs >= timeoutMs);
    }
    assertClean();
  }
  release();
  heap.mutex("fair").tryLock()!.release();
  heap.rwlock("written").tryWrite()!.release();
});

test("a time that is none is refused, whether there is something to wait for or not, and leaves nothing behind", async (t) => {
  const { awaited, blocking, release, assertClean, heap } = openStage(t);
  const refused = [-1, Number.NaN, "10" as unknown as number, -Infinity, null as unknown as number];
  const refuseAll = async (): Promise<void> => {
    for (const timeoutMs of refused) {
      for (const call of Object.values(awaited))
        await rejectsCode(call({ timeoutMs }), "ERR_SHOAL_ARGUMENT", /timeoutMs/);
      for (const call of Object.values(blocking))
        throwsCode(() => call({ timeoutMs }), "ERR_SHOAL_ARGUMENT", /timeoutMs/);
    }
    for (const signal of [{} as AbortSignal, "signal" as unknown as AbortSignal])
      for (const call of Object.values(awaited))
        await rejectsCode(call({ signal }), "ERR_SHOAL_ARGUMENT", /signal/);
  };
  await refuseAll();
  assertClean();
  release();
  await refuseAll();
  const hold = await heap.mutex("fair").lock();
  assert.equal(
    await isPending(
      heap
        .mutex("fair")
        .lock({ timeoutMs: 20 })
        .catch(() => 0),
      5,
    ),
    true,
  );
  hold.release();
});

test("a signal ends a wait, before it and during it, and nothing listens to it any more", async (t) => {
  const { awaited, release, assertClean } = openStage(t);
  for (const call of Object.values(awaited)) {
    const reason = new Error("enough");
    const before = await rejectsCode(call({ signal: AbortSignal.abort(reason) }), "ERR_SHOAL_ABORTED");
    assert.equal(before.cause, reason);
    const controller = new AbortController();
    const wait = call({ signal: controller.signal });
    assert.equal(await isPending(wait, 15), true);
    controller.abort(reason);
    assert.equal((await rejectsCode(wait, "ERR_SHOAL_ABORTED")).cause, reason);
    assert.equal(getEventListeners(controller.signal, "abort").length, 0);
  }
  assertClean();
  release();
  for (const [name, call] of Object.entries(awaited)) {
    await rejectsCode(call({ signal: AbortSignal.abort() }), "ERR_SHOAL_ABORTED", /./);
    if (name === "barrier.wait") continue;
    const controller = new AbortController();
    const hold = await call({ signal: controller.signal });
    controller.abort();
    assert.equal(getEventListeners(controller.signal, "abort").length, 0);
    (hold as Hold | undefined)?.release?.();
  }
});

test("a time beyond what timers can be set to is as long as that", async (t) => {
  const { awaited, release } = openStage(t);
  const waits = Object.entries(awaited)
    .filter(([name]) => name !== "barrier.wait")
    .map(([, call]) => call({ timeoutMs: 2 ** 31 + 5 }));
  assert.equal(await isPending(Promise.race(waits), 50), true);
  release();
  for (const wait of waits) void wait.then((hold) => (hold as Hold | undefined)?.release?.());
  await Promise.all(waits.slice(0, 4));
});

test("closing the heap ends every wait with ERR_SHOAL_CLOSED, and every object refuses from then on", async (t) => {
  const { awaited, blocking, heap, holder, release } = openStage(t);
  const waits = Object.values(awaited).map((call) => call());
  const mutex = heap.mutex("own");
  const lock = heap.rwlock("own lock");
  const objects = [
    () => mutex.lockSync(),
    () => mutex.tryLock(),
    () => mutex.unlock(),
    () => mutex.holder(),
    () => mutex.stats(),
    () => lock.tryRead(),
    () => lock.tryWrite(),
    () => lock.readers(),
    () => lock.writer(),
    ...[heap.semaphore("s")].flatMap((one) => [
      () => one.available,
      () => one.tryAcquire(),
      () => one.release(),
    ]),
    ...[heap.event("e")].flatMap((one) => [
      () => one.set(),
      () => one.reset(),
      () => one.isSet,
      () => one.tryWait(),
    ]),
    ...[heap.condition("c")].flatMap((one) => [() => one.notifyOne(), () => one.notifyAll()]),
    ...[heap.barrier("b", { parties: 2 })].flatMap((one) => [
      () => one.waiting,
      () => one.isBroken,
      () => one.leave(),
      () => one.reset(),
      () => one.waitSync(),
    ]),
    ...[heap.once("o")].flatMap((one) => [
      () => one.isDone,
      () => one.runSync(() => undefined),
      () => one.runner(),
    ]),
    ...[heap.counter("n")].flatMap((one) => [
      () => one.value,
      () => one.add(),
      () => one.set(1),
      () => one.compareAndSet(0, 1),
    ]),
  ];
  const promised = [
    () => mutex.lock(),
    () => mutex.run(() => undefined),
    () => lock.read(),
    () => lock.write(),
  ];
  assert.equal(await isPending(Promise.race(waits), 20), true);
  heap.close();
  for (const wait of waits) await rejectsCode(wait, "ERR_SHOAL_CLOSED");
  for (const call of objects) throwsCode(call, "ERR_SHOAL_CLOSED");
  for (const call of promised) await rejectsCode(call(), "ERR_SHOAL_CLOSED");
  for (const call of Object.values(awaited)) {
    const outcome = await Promise.resolve()
      .then(() => call())
      .catch((error: unknown) => error);
    assert.equal((outcome as { code?: string }).code, "ERR_SHOAL_CLOSED");
  }
  for (const call of Object.values(blocking)) throwsCode(call, "ERR_SHOAL_CLOSED");
  // The others are not disturbed by that; only the barrier has lost a party, which had come, and will not come again.
  assert.equal(holder.barrier("barrier").waiting, 1);
  assert.equal(await holder.barrier("barrier").wait(), true);
  await rejectsCode(holder.barrier("barrier").wait(), "ERR_SHOAL_BROKEN");
  release();
  holder.rwlock("read").tryWrite()!.release();
  holder.mutex("fair").tryLock()!.release();
});

test("who closes while it holds something is told what, and what it holds is abandoned", (t) => {
  const heap = createFullHeap(t);
  const other = openFullHeap(t, heap);
  other.mutex("held").lockSync();
  const error = throwsCode(() => other.close(), "ERR_SHOAL_HELD", /mutex "held"/);
  assert.match(String(error.details["held"]), /mutex "held"/);
  assert.equal(heap.mutex("held").lockSync().abandoned, true);
  heap.mutex("held").unlock();
});

test("`warn` refuses to block the event loop of a main thread, and nothing else", async (t) => {
  const { blocking, release, assertClean, heap } = openStage(t);
  for (const call of Object.values(blocking))
    throwsCode(() => call({ warn: true }), "ERR_SHOAL_WOULD_BLOCK", /event loop|await/);
  assertClean();
  const worker = await mateOf(startWorker(t), heap);
  await rejectsCode(
    worker.run(({ heap: own }) => own.mutex("fair").lockSync({ warn: true, timeoutMs: 20 }).release()),
    "ERR_SHOAL_TIMEOUT",
  );
  release();
  heap.mutex("fair").lockSync({ warn: true }).release();
  heap.rwlock("written").writeSync({ warn: true }).release();
});

test("two hundred calls of one thread each get the mutex, one after the other, in their order", async (t) => {
  const heap = createFullHeap(t);
  for (const fair of [false, true]) {
    const mutex = heap.mutex(`many ${fair}`, { fair });
    // Two objects of the same mutex are the same participant.
    const again = heap.mutex(`many ${fair}`);
    const order: number[] = [];
    let inside = 0;
    const first = mutex.lockSync();
    const calls = Array.from({ length: 200 }, async (_, index) => {
      const hold = await (index % 2 === 0 ? mutex : again).lock();
      assert.equal(++inside, 1);
      order.push(index);
      if (index % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
      inside--;
      hold.release();
    });
    first.release();
    await Promise.all(calls);
    assert.equal(order.length, 200);
    if (fair)
      assert.deepEqual(
        order,
        order.toSorted((one, other) => one - other),
      );
  }
});

test("two hundred calls of one thread share a semaphore and a read-write lock", async (t) => {
  const heap = createFullHeap(t);
  const semaphore = heap.semaphore("permits", { permits: 3 });
  const lock = heap.rwlock("lock");
  let taken = 0;
  let [readers, writers] = [0, 0];
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  await Promise.all([
    ...Array.from({ length: 200 }, () =>
      semaphore.run(async () => {
        assert.ok(++taken <= 3);
        await turn();
        taken--;
      }),
    ),
    ...Array.from({ length: 200 }, (_, index) =>
      index % 4 === 0
        ? lock.runWriting(async () => {
            assert.deepEqual([readers, ++writers], [0, 1]);
            await turn();
            writers--;
          })
        : lock.runReading(async () => {
            assert.equal(writers, 0);
            readers++;
            await turn();
            readers--;
          }),
    ),
  ]);
  assert.equal(semaphore.available, 3);
});

test("a blocking call takes nothing from those that its thread awaits", async (t) => {
  const { awaited, blocking, release, heap } = openStage(t);
  const done: string[] = [];
  const waits = Object.entries(awaited)
    .filter(([name]) => name !== "barrier.wait" && !name.includes("behind"))
    .map(async ([name, call]) => {
      const hold = await call();
      (hold as Hold | undefined)?.release?.();
      done.push(name);
    });
  for (const call of Object.values(blocking)) throwsCode(() => call({ timeoutMs: 3 }), "ERR_SHOAL_TIMEOUT");
  release();
  await Promise.all(waits);
  assert.equal(done.length, waits.length);
  heap.rwlock("written").tryWrite()!.release();
});

test("while something is awaited the event loop goes on", async (t) => {
  const heap = createFullHeap(t);
  const other = await startMate(t, heap, "process");
  await other.run(({ heap: own, keep }) => keep("hold", own.mutex("loop").lockSync()));
  const wait = heap.mutex("loop").lock();
  let turns = 0;
  const end = performance.now() + 200;
  while (performance.now() < end) {
    await new Promise((resolve) => setImmediate(resolve));
    turns++;
  }
  // A loop that were blocked for 50 ms at a time would have had four.
  assert.ok(turns > 200, `${turns} turns`);
  assert.equal(await isPending(wait, 0), true);
  await other.run(({ kept }) => kept<Hold>("hold").release());
  (await wait).release();
});

/** Runs a program in the package's own folder until it ends; its code and what it printed. */
async function runProgram(
  source: string,
  env: Record<string, string> = {},
): Promise<{ code: number | null; out: string }> {
  const url = new URL("../../src/data/heap.js", import.meta.url).href;
  const program = `import { Heap } from ${JSON.stringify(url)};\n${source}`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let out = "";
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (text: string) => (out += text));
  const code = await new Promise<number | null>((resolve) => child.on("exit", resolve));
  return { code, out };
}

test("a process ends when it awaits nothing any more, and not while it does", async (t) => {
  const heap = createFullHeap(t);
  const name = JSON.stringify(heap.region.name);
  const idle = `
    const heap = Heap.open(${name});
    await heap.mutex("exit").run(() => 1);
    await heap.event("never").wait({ timeoutMs: 20 }).catch(() => 0);
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 10);
    await heap.event("never").wait({ signal: controller.signal }).catch(() => 0);
    console.log("idle");`;
  assert.deepEqual(await runProgram(idle), { code: 0, out: "idle\n" });
  const hold = heap.mutex("exit").lockSync();
  const { waits } = heap.mutex("exit").stats();
  const waiting = `
    const heap = Heap.open(${name});
    const hold = await heap.mutex("exit").lock();
    console.log("locked");
    hold.release();`;
  const program = runProgram(waiting);
  await until("it waits", () => heap.mutex("exit").stats().waits > waits);
  assert.equal(await isPending(program, 200), true);
  hold.release();
  assert.deepEqual(await program, { code: 0, out: "locked\n" });
});

test("with SHOAL_TRACE=1 a lock knows where in the program it was taken, and since when", async (t) => {
  const heap = createFullHeap(t);
  const name = JSON.stringify(heap.region.name);
  const startMs = Date.now();
  const program = runProgram(
    `
    const heap = Heap.open(${name});
    function takeThePlainOne() { return heap.mutex("plain").lockSync(); }
    async function takeTheFairOne() { return heap.mutex("fair", { fair: true }).lock(); }
    function writeSomething() { return heap.rwlock("lock").writeSync(); }
    const holds = [takeThePlainOne(), await takeTheFairOne(), writeSomething()];
    heap.event("taken").set();
    await heap.event("seen").wait();
    for (const hold of holds) hold.release();
    heap.close();`,
    { SHOAL_TRACE: "1" },
  );
  await heap.event("taken").wait();
  const holders = [heap.mutex("plain").holder(), heap.mutex("fair").holder(), heap.rwlock("lock").writer()];
  for (const [index, pattern] of [/takeThePlainOne/, /takeTheFairOne/, /writeSomething/].entries()) {
    const holder = holders[index]!;
    assert.match(holder.stack ?? "", pattern);
    assert.doesNotMatch(holder.stack!.split("\n")[0]!, /src\/sync/);
    assert.ok(holder.since!.getTime() >= startMs && holder.since!.getTime() <= Date.now());
    assert.notEqual(holder.pid, process.pid);
  }
  heap.event("seen").set();
  assert.equal((await program).code, 0);
  assert.equal(heap.mutex("plain").holder(), undefined);
  assert.deepEqual(
    heap.stats().participants.map(({ ownedBlocks }) => ownedBlocks),
    [0],
  );
});

test("without it a lock knows since when it is held if it was waited for, or taken from the dead", async (t) => {
  const heap = createFullHeap(t);
  const other = openFullHeap(t, heap);
  const mutex = heap.mutex("since");
  const hold = mutex.lockSync();
  assert.equal(mutex.holder()!.since, undefined);
  const startMs = Date.now();
  const wait = other.mutex("since").lock();
  hold.release();
  const waited = await wait;
  const since = mutex.holder()!.since!.getTime();
  assert.ok(since >= startMs && since <= Date.now());
  assert.equal(mutex.holder()!.stack, undefined);
  assert.equal(waited.held, true);
  throwsCode(() => other.close(), "ERR_SHOAL_HELD");
  await new Promise((resolve) => setTimeout(resolve, 5));
  const taken = mutex.tryLock()!;
  assert.equal(taken.abandoned, true);
  assert.ok(mutex.holder()!.since!.getTime() > since);
  taken.release();
});
