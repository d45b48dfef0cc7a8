/** Waits that could never end are errors, and waits that can are not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { createFullHeap, isPending, mateOf, rejectsCode } from "../helpers/crew.ts";
import type { Mate, PeerTools } from "../helpers/crew.ts";
import { throwsCode, until } from "../helpers/assertions.ts";
import { startProcess, startWorker } from "../helpers/peer.ts";
import type { Heap } from "../../src/data/heap.ts";
import type { Hold } from "../../src/sync/index.ts";

async function startTwo(t: TestContext, heap: Heap): Promise<[Mate, Mate]> {
  return Promise.all([mateOf(startProcess(t), heap), mateOf(startWorker(t), heap)]);
}

test("a thread that would sleep for what it holds itself is told so at once", async (t) => {
  const heap = createFullHeap(t);
  for (const fair of [false, true]) {
    const mutex = heap.mutex(`${fair}`, { fair });
    const hold = mutex.lockSync();
    throwsCode(() => mutex.lockSync(), "ERR_SHOAL_DEADLOCK", /holds mutex .* itself/);
    throwsCode(() => mutex.lockSync({ timeoutMs: 1000 }), "ERR_SHOAL_DEADLOCK");
    throwsCode(() => heap.mutex(`${fair}`).runSync(() => 0), "ERR_SHOAL_DEADLOCK");
    assert.equal(mutex.tryLock(), undefined);
    // Awaited, it may be released meanwhile.
    const wait = mutex.lock();
    assert.equal(await isPending(wait, 20), true);
    hold.release();
    (await wait).release();
  }
  const lock = heap.rwlock("lock");
  const read = lock.readSync();
  throwsCode(() => lock.writeSync(), "ERR_SHOAL_DEADLOCK", /rwlock "lock"/);
  // It does not keep others out by that.
  lock.tryRead()!.release();
  read.release();
  const write = lock.writeSync();
  throwsCode(() => lock.writeSync(), "ERR_SHOAL_DEADLOCK");
  throwsCode(() => lock.readSync(), "ERR_SHOAL_DEADLOCK");
  write.release();
  const once = heap.once("once");
  once.runSync(() => throwsCode(() => once.runSync(() => undefined), "ERR_SHOAL_DEADLOCK"));
});

/** Takes the first, says so, waits for the other's word, and sleeps for the second. What came of it. */
const cross = async ({ heap }: PeerTools, first: string, second: string, kind: string): Promise<string> => {
  const take = (name: string): Hold => {
    if (kind === "rwlock, written") return heap.rwlock(name).writeSync();
    return kind === "fair mutex" ? heap.mutex(name, { fair: true }).lockSync() : heap.mutex(name).lockSync();
  };
  const held = kind === "rwlock, read" ? heap.rwlock(first).readSync() : take(`${first}`);
  heap.barrier(`${kind} barrier`).waitSync();
  try {
    const hold = kind === "rwlock, read" ? heap.rwlock(second).writeSync() : take(second);
    hold.release();
    return "went on";
  } catch (error) {
    return `${(error as { code?: string }).code}: ${(error as Error).message}`;
  } finally {
    held.release();
  }
};

test("two that sleep for each other are told so", async (t) => {
  const heap = createFullHeap(t);
  const [one, other] = await startTwo(t, heap);
  for (const kind of ["mutex", "fair mutex", "rwlock, written", "rwlock, read"]) {
    heap.barrier(`${kind} barrier`, { parties: 2 });
    const outcomes = await Promise.all([
      one.run(cross, `${kind} a`, `${kind} b`, kind),
      other.run(cross, `${kind} b`, `${kind} a`, kind),
    ]);
    assert.ok(
      outcomes.some((outcome) => /^ERR_SHOAL_DEADLOCK: .*slot \d waits for object \d+, slot/.test(outcome)),
    );
    for (const outcome of outcomes) assert.match(outcome, /^(went on|ERR_SHOAL_DEADLOCK)/, kind);
  }
});

test("three that sleep for one another in a ring are told so; who only waits for one of them is not", async (t) => {
  const heap = createFullHeap(t);
  const [one, two] = await startTwo(t, heap);
  const [three, four] = await startTwo(t, heap);
  heap.barrier("ring barrier", { parties: 3 });
  const ring = async ({ heap: own }: PeerTools, first: string, second: string): Promise<string> => {
    const hold = own.mutex(first).lockSync();
    own.barrier("ring barrier").waitSync();
    try {
      own.mutex(second).lockSync().release();
      return "went on";
    } catch (error) {
      return String((error as { code?: string }).code);
    } finally {
      hold.release();
    }
  };
  const running = [one.run(ring, "a", "b"), two.run(ring, "b", "c"), three.run(ring, "c", "a")];
  const bystander = four.run(({ heap: own }) => own.mutex("a").lockSync({ timeoutMs: 20_000 }).release());
  const outcomes = await Promise.all(running);
  assert.ok(outcomes.includes("ERR_SHOAL_DEADLOCK"), outcomes.join(", "));
  await bystander;
});

test("a long wait for a holder that sleeps for something else is no deadlock", async (t) => {
  const heap = createFullHeap(t);
  const [one, two] = await startTwo(t, heap);
  const mine = heap.mutex("mine").lockSync();
  const first = one.run(({ heap: own }) => {
    const held = own.mutex("theirs").lockSync();
    own.mutex("mine").lockSync().release();
    held.release();
  });
  await until("the first sleeps", () => heap.mutex("mine").stats().waits === 1);
  const second = two.run(({ heap: own }) => own.mutex("theirs").lockSync().release());
  // Awaited, this participant's wait can be ended by this participant itself.
  const third = heap.mutex("theirs").lock();
  assert.equal(await isPending(Promise.race([first, second, third]), 300), true);
  mine.release();
  (await third).release();
  await Promise.all([first, second]);
});

test("a fair mutex that is handed to a sleeper is no deadlock of its own", async (t) => {
  const heap = createFullHeap(t);
  const mates = await startTwo(t, heap);
  heap.mutex("fair", { fair: true });
  const outcomes = await Promise.all(
    mates.map((mate) =>
      mate.run(({ heap: own }) => {
        const mutex = own.mutex("fair");
        for (let round = 0; round < 2000; round++) mutex.lockSync().release();
        return "done";
      }),
    ),
  );
  assert.deepEqual(outcomes, ["done", "done"]);
  const hold = heap.mutex("fair").lockSync();
  await rejectsCode(
    mates[0].run(({ heap: own }) => own.mutex("fair").lockSync({ timeoutMs: 200 }).release()),
    "ERR_SHOAL_TIMEOUT",
  );
  hold.release();
});
