/** What becomes of locks whose holders and waiters die: nobody waits for long, and nobody is not told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { createFullHeap, isPending, mateOf, openFullHeap, rejectsCode } from "../helpers/crew.ts";
import type { Mate, PeerTools } from "../helpers/crew.ts";
import { until } from "../helpers/assertions.ts";
import { makeQueue, startProcess, startWorker } from "../helpers/peer.ts";
import type { Heap } from "../../src/data/heap.ts";
import type { Hold } from "../../src/sync/index.ts";

/** Who waits looks for the dead every 50 ms; all the rest is the machine's noise. */
const MOST_MS = 1000;
const MOST_MEDIAN_MS = 150;

async function processMate(t: TestContext, heap: Heap): Promise<Mate> {
  return mateOf(startProcess(t), heap);
}

async function workerMate(t: TestContext, heap: Heap): Promise<Mate> {
  return mateOf(startWorker(t), heap);
}

const keepLocked = async ({ heap, keep }: PeerTools, name: string): Promise<void> =>
  keep(name, await heap.mutex(name).lock());

/** Runs `step` while the clock runs. */
async function timed<T>(step: () => Promise<T>): Promise<{ result: T; ms: number }> {
  const startMs = performance.now();
  const result = await step();
  return { result, ms: performance.now() - startMs };
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((one, other) => one - other)[numbers.length >> 1]!;
}

test("who waits gets a killed holder's mutex, abandoned, soon", async (t) => {
  const heap = createFullHeap(t);
  const next = makeQueue(t);
  const waiter = await processMate(t, heap);
  for (const fair of [false, true]) {
    const name = fair ? "fair" : "plain";
    const mutex = heap.mutex(name, { fair });
    const times: number[] = [];
    for (let round = 0; round < 5; round++) {
      const holder = await mateOf(next(), heap);
      await holder.run(keepLocked, name);
      // Awaited here, blocked there: in turn, and at last both at once.
      const waits: Promise<boolean>[] = [];
      const { waits: before, abandoned } = mutex.stats();
      if (round % 2 === 0 || round === 3)
        waits.push(
          mutex.lock().then((hold) => {
            hold.release();
            return hold.abandoned;
          }),
        );
      if (round % 2 === 1)
        waits.push(
          waiter.run(({ heap: own }, its) => {
            const hold = own.mutex(its).lockSync();
            hold.release();
            return hold.abandoned;
          }, name),
        );
      await until("they wait", () => mutex.stats().waits === before + waits.length);
      assert.equal(await isPending(Promise.race(waits), 120), true);
      const { result, ms } = await timed(async () => {
        await holder.kill();
        return Promise.all(waits);
      });
      assert.equal(result.filter((wasAbandoned) => wasAbandoned).length, 1);
      assert.equal(mutex.stats().abandoned, abandoned + 1);
      assert.ok(ms < MOST_MS, `${ms} ms`);
      times.push(ms);
    }
    assert.ok(median(times) < MOST_MEDIAN_MS, times.join(", "));
  }
});

test("a worker that is terminated while it holds a mutex is a holder that has died", async (t) => {
  const heap = createFullHeap(t);
  const mutex = heap.mutex("worker");
  const times: number[] = [];
  for (let round = 0; round < 3; round++) {
    const worker = await workerMate(t, heap);
    await worker.run(keepLocked, "worker");
    const wait = mutex.lock();
    assert.equal(await isPending(wait), true);
    const { result, ms } = await timed(async () => {
      await worker.kill();
      return wait;
    });
    assert.equal(result.abandoned, true);
    assert.ok(ms < MOST_MS, `${ms} ms`);
    times.push(ms);
    result.release();
  }
  assert.ok(median(times) < MOST_MEDIAN_MS, times.join(", "));
});

test("a worker that is terminated while it is blocked in a lock holds nobody up", async (t) => {
  const heap = createFullHeap(t);
  for (const fair of [false, true]) {
    const mutex = heap.mutex(`${fair}`, { fair });
    const hold = mutex.lockSync();
    const worker = await workerMate(t, heap);
    void worker
      .run(({ heap: own }, name) => void own.mutex(name).lockSync(), `${fair}`)
      .catch(() => undefined);
    await until("the worker waits", () => mutex.stats().waits === 1);
    const other = await processMate(t, heap);
    const wait = other.run(
      async ({ heap: own }, name) => (await own.mutex(name).lock()).release(),
      `${fair}`,
    );
    await until("the other waits", () => mutex.stats().waits === 2);
    await worker.kill();
    hold.release();
    await wait;
    assert.equal(mutex.stats().abandoned, 0);
  }
});

test("a holder that closes its heap is told, and so is the next one", async (t) => {
  const heap = createFullHeap(t);
  const other = openFullHeap(t, heap);
  const mutex = heap.mutex("closed");
  other.mutex("closed").lockSync();
  other.rwlock("lock").readSync();
  other.semaphore("permits", { permits: 2 }).acquireSync(2);
  const wait = mutex.lock();
  assert.equal(await isPending(wait), true);
  assert.throws(() => other.close(), {
    code: "ERR_SHOAL_HELD",
    message: /mutex "closed", rwlock "lock", semaphore "permits"/,
  });
  assert.equal(other.region.closed, true);
  const hold = await wait;
  assert.equal(hold.abandoned, true);
  hold.release();
  assert.equal(heap.semaphore("permits").available, 2);
  heap.rwlock("lock").tryWrite()!.release();
  other.close();
});

test("a waiter that was rung and killed leaves the mutex to the others", async (t) => {
  const heap = createFullHeap(t);
  const next = makeQueue(t);
  for (const fair of [false, true]) {
    const mutex = heap.mutex(`${fair}`, { fair });
    const times: number[] = [];
    for (let round = 0; round < 3; round++) {
      const hold = mutex.lockSync();
      const { waits } = mutex.stats();
      const victim = await mateOf(next(), heap);
      void victim
        .run(({ heap: own }, name) => void own.mutex(name).lockSync(), `${fair}`)
        .catch(() => undefined);
      await until("the victim waits", () => mutex.stats().waits === waits + 1);
      const wait = mutex.lock();
      // Stopped, it is rung, or handed the mutex, and does not notice.
      process.kill(victim.pid, "SIGSTOP");
      hold.release();
      const { result, ms } = await timed(async () => {
        await victim.kill();
        return wait;
      });
      assert.ok(ms < MOST_MS, `${ms} ms`);
      times.push(ms);
      // It has never held it knowingly.
      assert.equal(result.abandoned, false);
      result.release();
    }
    assert.ok(median(times) < MOST_MEDIAN_MS, times.join(", "));
  }
});

test("nobody takes a mutex from a holder that is stopped", async (t) => {
  const heap = createFullHeap(t);
  const holder = await processMate(t, heap);
  for (const fair of [false, true]) {
    const mutex = heap.mutex(`${fair}`, { fair });
    await holder.run(keepLocked, `${fair}`);
    process.kill(holder.pid, "SIGSTOP");
    await rejectsCode(mutex.lock({ timeoutMs: 250 }), "ERR_SHOAL_TIMEOUT");
    assert.equal(mutex.tryLock(), undefined);
    assert.equal(mutex.holder()?.pid, holder.pid);
    process.kill(holder.pid, "SIGCONT");
    const wait = mutex.lock();
    await holder.run(({ kept }, name) => kept<Hold>(name).release(), `${fair}`);
    assert.equal((await wait).abandoned, false);
    mutex.unlock();
  }
});

test("a stopped process that is the first to wait for a plain mutex does not keep it from others", async (t) => {
  const heap = createFullHeap(t);
  const stopped = await processMate(t, heap);
  const other = await processMate(t, heap);
  const mutex = heap.mutex("plain");
  const hold = mutex.lockSync();
  const late = stopped.run(({ heap: own }) => own.mutex("plain").lockSync().release());
  await until("the first waits", () => mutex.stats().waits === 1);
  process.kill(stopped.pid, "SIGSTOP");
  const blocked = other.run(({ heap: own }) => own.mutex("plain").lockSync({ timeoutMs: 5000 }).release());
  await until("the second waits", () => mutex.stats().waits === 2);
  const awaited = mutex.lock({ timeoutMs: 5000 });
  hold.release();
  (await awaited).release();
  await blocked;
  process.kill(stopped.pid, "SIGCONT");
  await late;
});

test("a fair mutex whose holder and first waiter are dead can be had without waiting", async (t) => {
  const heap = createFullHeap(t);
  const [holder, waiter] = [await processMate(t, heap), await processMate(t, heap)];
  const mutex = heap.mutex("fair", { fair: true });
  await holder.run(keepLocked, "fair");
  void waiter.run(({ heap: own }) => void own.mutex("fair").lockSync()).catch(() => undefined);
  await until("the other waits", () => mutex.stats().waits === 1);
  await Promise.all([waiter.kill(), holder.kill()]);
  await until("both are recovered", () => {
    heap.region.recover();
    return heap.region.participants().length === 1;
  });
  const hold = mutex.tryLock();
  assert.ok(hold !== undefined);
  assert.equal(mutex.tryLock(), undefined);
  hold.release();
  mutex.tryLock()!.release();
});

test("killed readers are in no writer's way, and nobody is told of them", async (t) => {
  const heap = createFullHeap(t);
  const lock = heap.rwlock("lock");
  const victim = await processMate(t, heap);
  await victim.run(async ({ heap: own, keep }) => keep("read", await own.rwlock("lock").read()));
  const wait = lock.write();
  assert.equal(await isPending(wait), true);
  const { result, ms } = await timed(async () => {
    await victim.kill();
    return wait;
  });
  assert.ok(ms < MOST_MS, `${ms} ms`);
  assert.equal(result.abandoned, false);
  result.release();
  assert.equal(lock.stats().abandoned, 0);
});

test("a writer that dies is told of to all until one that writes has released the lock", async (t) => {
  const heap = createFullHeap(t);
  const lock = heap.rwlock("lock");
  const [victim, other] = [await processMate(t, heap), await processMate(t, heap)];
  await victim.run(async ({ heap: own, keep }) => keep("write", await own.rwlock("lock").write()));
  const reading = lock.read();
  const blocked = other.run(({ heap: own, keep }) => {
    const hold = own.rwlock("lock").readSync();
    keep("read", hold);
    return hold.abandoned;
  });
  await until("they wait", () => lock.stats().waits === 2);
  const { result, ms } = await timed(async () => {
    await victim.kill();
    return Promise.all([reading, blocked]);
  });
  assert.ok(ms < MOST_MS, `${ms} ms`);
  assert.deepEqual([result[0].abandoned, result[1]], [true, true]);
  result[0].release();
  await other.run(({ kept }) => kept<Hold>("read").release());
  // Reading has mended nothing.
  for (const hold of [lock.readSync(), lock.tryRead()!]) {
    assert.equal(hold.abandoned, true);
    hold.release();
  }
});

test("a writer clears what it was told of when it releases the lock", async (t) => {
  const heap = createFullHeap(t);
  const lock = heap.rwlock("lock");
  const victim = await processMate(t, heap);
  await victim.run(({ heap: own, keep }) => keep("write", own.rwlock("lock").writeSync()));
  await victim.kill();
  const write = await lock.write();
  assert.equal(write.abandoned, true);
  assert.equal(lock.stats().abandoned, 1);
  write.release();
  for (const hold of [lock.tryRead()!, lock.tryRead()!]) {
    assert.equal(hold.abandoned, false);
    hold.release();
  }
  const clean = lock.tryWrite()!;
  assert.equal(clean.abandoned, false);
  clean.release();
});

test("a writer that dies while it waits leaves no trace", async (t) => {
  const heap = createFullHeap(t);
  const lock = heap.rwlock("lock");
  const victim = await processMate(t, heap);
  const read = lock.readSync();
  void victim.run(({ heap: own }) => void own.rwlock("lock").writeSync()).catch(() => undefined);
  await until("it waits", () => lock.stats().waits === 1);
  const other = openFullHeap(t, heap);
  assert.equal(other.rwlock("lock").tryRead(), undefined);
  const reading = other.rwlock("lock").read();
  await victim.kill();
  const hold = await reading;
  assert.equal(hold.abandoned, false);
  hold.release();
  read.release();
});

test("the permits of the dead come back, to those who wait for them too", async (t) => {
  const heap = createFullHeap(t);
  const semaphore = heap.semaphore("permits", { permits: 5 });
  const [first, second] = [await processMate(t, heap), await workerMate(t, heap)];
  await first.run(({ heap: own }) => void own.semaphore("permits").acquireSync(3));
  await second.run(async ({ heap: own }) => void (await own.semaphore("permits").acquire(2)));
  assert.equal(semaphore.available, 0);
  const wait = semaphore.acquire(4);
  const third = await processMate(t, heap);
  const blocked = third.run(({ heap: own }) => own.semaphore("permits").acquireSync(1).release());
  await until("they wait", () => semaphore.stats().waits === 2);
  const { ms } = await timed(async () => {
    await first.kill();
    return blocked;
  });
  assert.ok(ms < MOST_MS, `${ms} ms`);
  assert.equal(await isPending(wait), true);
  await second.kill();
  (await wait).release();
  assert.equal(semaphore.available, 5);
  assert.equal(semaphore.stats().abandoned, 2);
});

test("a barrier tells those who wait, and those who come, that a party has died", async (t) => {
  const heap = createFullHeap(t);
  const barrier = heap.barrier("barrier", { parties: 3 });
  const [victim, other] = [await processMate(t, heap), await processMate(t, heap)];
  void victim.run(({ heap: own }) => own.barrier("barrier").waitSync()).catch(() => undefined);
  await until("the victim has come", () => barrier.waiting === 1);
  const wait = other.run(({ heap: own }) => own.barrier("barrier").waitSync());
  await until("the other has come", () => barrier.waiting === 2);
  const { ms } = await timed(async () => {
    await victim.kill();
    await rejectsCode(wait, "ERR_SHOAL_BROKEN", /has died/);
  });
  assert.ok(ms < MOST_MS, `${ms} ms`);
  assert.equal(barrier.isBroken, true);
  await rejectsCode(barrier.wait(), "ERR_SHOAL_BROKEN", /reset\(\)/);
  barrier.reset();
  assert.equal(barrier.isBroken, false);
  const again = other.run(({ heap: own }) => own.barrier("barrier").waitSync());
  const third = openFullHeap(t, heap).barrier("barrier").wait();
  await until("both wait", () => barrier.waiting === 2);
  assert.equal(await barrier.wait(), true);
  assert.deepEqual(await Promise.all([again, third]), [false, false]);
});

test("a party that has come in an earlier round and died breaks the barrier; one that has left does not", async (t) => {
  const heap = createFullHeap(t);
  const barrier = heap.barrier("barrier", { parties: 2 });
  const next = makeQueue(t);
  const leaver = await mateOf(next(), heap);
  const passed = leaver.run(async ({ heap: own }) => {
    const its = own.barrier("barrier");
    await its.wait();
    its.leave();
  });
  await barrier.wait();
  await passed;
  await leaver.kill();
  const stayer = await mateOf(next(), heap);
  const stayed = stayer.run(async ({ heap: own }) => own.barrier("barrier").wait());
  await barrier.wait();
  await stayed;
  await stayer.kill();
  // The next one may get the dead one's slot: it is told all the same.
  const third = await mateOf(next(), heap);
  await rejectsCode(
    third.run(({ heap: own }) => own.barrier("barrier").waitSync({ timeoutMs: 5000 })),
    "ERR_SHOAL_BROKEN",
  );
});

test("what is done once is taken over from one that died at it", async (t) => {
  const heap = createFullHeap(t);
  const once = heap.once("once");
  const victim = await processMate(t, heap);
  void victim
    .run(({ heap: own }) => own.once("once").run(() => new Promise(() => undefined)))
    .catch(() => undefined);
  await until("it has begun", () => once.runner()?.pid === victim.pid);
  let told: boolean | undefined;
  const wait = once.run((state) => void (told = state.abandoned));
  assert.equal(await isPending(wait), true);
  const { result, ms } = await timed(async () => {
    await victim.kill();
    return wait;
  });
  assert.ok(ms < MOST_MS, `${ms} ms`);
  assert.equal(result, true);
  assert.equal(told, true);
  assert.equal(once.isDone, true);
});

test("a notification is not lost on tickets of the dead", async (t) => {
  const heap = createFullHeap(t);
  const condition = heap.condition("condition");
  const mutex = heap.mutex("mutex");
  const next = makeQueue(t);
  const go = ({ heap: own }: PeerTools): boolean => {
    const its = own.mutex("mutex");
    const hold = own.condition("condition").waitSync(its, its.lockSync(), { timeoutMs: 5000 });
    hold.release();
    return true;
  };
  const isWaiting = (count: number): (() => boolean) => {
    const words = new Uint32Array(heap.region.buffer, condition.handle, 16);
    return () => words[8]! >= count && mutex.holder() === undefined;
  };
  const tickets = new Uint32Array(heap.region.buffer, condition.handle, 16);
  for (let round = 0; round < 3; round++) {
    const victim = await mateOf(next(), heap);
    const before = tickets[8]!;
    void victim.run(go).catch(() => undefined);
    await until("the victim waits", isWaiting(before + 1));
    await victim.kill();
    heap.region.recover();
    const waiter = await mateOf(next(), heap);
    const now = tickets[8]!;
    const wait = waiter.run(go);
    await until("the next one waits", isWaiting(now + 1));
    if (await isPending(wait, 100)) condition.notifyOne();
    assert.equal(await wait, true);
  }
});
