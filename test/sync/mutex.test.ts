/** Mutexes, plain and fair, wherever their participants are. */
import assert from "node:assert/strict";
import { inEverySetup, isPending, makeWords, rejectsCode } from "../helpers/crew.ts";
import type { Crew, PeerTools } from "../helpers/crew.ts";
import { until } from "../helpers/assertions.ts";
import type { Handle } from "../../src/heap/index.ts";
import type { Hold } from "../../src/sync/index.ts";

/** Adds to a word in two steps, with the lock and without a care; the ways to take the lock in turn. */
async function hammer(
  { heap, words }: PeerTools,
  name: string,
  block: Handle,
  rounds: number,
  canBlock: boolean,
): Promise<void> {
  const mutex = heap.mutex(name);
  const word = words(block, 1);
  for (let round = 0; round < rounds; round++) {
    const way = round % 4;
    let hold: Hold;
    if (way === 0 || !canBlock) hold = await mutex.lock();
    else if (way === 1) hold = mutex.lockSync();
    else if (way === 2) hold = await mutex.lock({ timeoutMs: 60_000 });
    else hold = mutex.tryLock() ?? mutex.lockSync({ timeoutMs: 60_000 });
    const found = word[0]!;
    if (way === 0 || !canBlock) await new Promise((resolve) => setImmediate(resolve));
    else for (let spin = 0; spin < 300; spin++) Atomics.load(word, 0);
    word[0] = found + 1;
    if (hold.abandoned) throw new Error("nobody has died");
    hold.release();
  }
}

function countBits(word: number): number {
  let count = 0;
  for (let bits = word >>> 0; bits !== 0; bits >>>= 1) count += bits & 1;
  return count;
}

const ROUNDS = 400;

async function countsAll({ heap, mates, tools }: Crew, name: string, fair: boolean): Promise<void> {
  const block = makeWords(heap, 8);
  heap.mutex(name, { fair });
  await Promise.all([
    ...mates.map((mate) => mate.run(hammer, name, block, ROUNDS, mate.canBlock)),
    hammer(tools, name, block, ROUNDS, false),
  ]);
  assert.equal(tools.words(block, 1)[0], 3 * ROUNDS);
  assert.equal(heap.mutex(name).holder(), undefined);
}

inEverySetup("mutex", async (crew, holds) => {
  const { heap, mates, tools } = crew;
  const [first, second] = mates;

  await holds("no update is lost", () => countsAll(crew, "plain", false));
  await holds("no update is lost when it is fair", () => countsAll(crew, "fair", true));

  await holds("one holds it, who is known, and the others do not get it", async () => {
    const mutex = heap.mutex("known");
    const hold = mutex.lockSync();
    assert.equal(hold.held, true);
    assert.equal(hold.abandoned, false);
    assert.equal(await first.run(({ heap: own }) => own.mutex("known").tryLock() === undefined), true);
    const holder = await second.run(({ heap: own }) => own.mutex("known").holder());
    assert.equal(holder?.pid, process.pid);
    assert.equal(holder.threadId, 0);
    assert.equal(holder.index, heap.region.slotIndex);
    await rejectsCode(
      first.run(({ heap: own }) => own.mutex("known").unlock()),
      "ERR_SHOAL_NOT_HOLDER",
    );
    hold.release();
    assert.equal(mutex.holder(), undefined);
    assert.equal(
      await first.run(({ heap: own }) => own.mutex("known").tryLock()?.release() === undefined),
      true,
    );
  });

  await holds("who waits gets it when it is released, and not before", async () => {
    const mutex = heap.mutex("released");
    const hold = mutex.lockSync();
    const takeAsync = first.run(async ({ heap: own }) => (await own.mutex("released").lock()).release());
    const takeSync = second.run(async ({ heap: own }, canBlock) => {
      const other = own.mutex("released");
      (canBlock ? other.lockSync() : await other.lock()).release();
    }, second.canBlock);
    assert.equal(await isPending(Promise.race([takeAsync, takeSync])), true);
    hold.release();
    await Promise.all([takeAsync, takeSync]);
    assert.ok(mutex.stats().waits >= 2);
  });

  await holds("a wait ends with its time, and the mutex is as it was", async () => {
    const mutex = heap.mutex("late", { fair: true });
    for (const name of ["late", "late plain"]) {
      const hold = heap.mutex(name).lockSync();
      for (const timeoutMs of [0, 30]) {
        const attempt = first.run(
          async ({ heap: own }, its, ms) => void (await own.mutex(its).lock({ timeoutMs: ms })),
          name,
          timeoutMs,
        );
        await rejectsCode(attempt, "ERR_SHOAL_TIMEOUT", /mutex "late/);
        if (!second.canBlock) continue;
        const blocked = second.run(
          ({ heap: own }, its, ms) => void own.mutex(its).lockSync({ timeoutMs: ms }),
          name,
          timeoutMs,
        );
        await rejectsCode(blocked, "ERR_SHOAL_TIMEOUT", /mutex "late/);
      }
      hold.release();
      heap.mutex(name).lockSync().release();
      assert.equal(mutex.holder(), undefined);
    }
  });

  await holds("run and runSync release it, also when the work throws", async () => {
    const mutex = heap.mutex("run");
    assert.equal(await mutex.run((hold) => (hold.held ? 5 : 0)), 5);
    assert.equal(
      mutex.runSync(() => 6),
      6,
    );
    await assert.rejects(
      mutex.run(async () => {
        await Promise.resolve();
        throw new Error("work");
      }),
      /^Error: work$/,
    );
    assert.throws(
      () =>
        mutex.runSync(() => {
          throw new Error("work");
        }),
      /^Error: work$/,
    );
    assert.equal(await first.run(({ heap: own }) => own.mutex("run").runSync(() => 7)), 7);
  });

  await holds("a fair one is handed on in the order in which they came", async () => {
    const mutex = heap.mutex("in turn", { fair: true });
    // Whose turn it is goes by the set of waiters: stats() count them a moment before they are in it.
    const waiting = (handle: Handle): number => {
      const set = tools.words(handle, 18).subarray(16);
      return countBits(set[0]!) + countBits(set[1]!);
    };
    const turns = makeWords(heap, 8);
    const take = async (
      { heap: own, words: view }: PeerTools,
      block: Handle,
      key: string,
      canBlock: boolean,
    ) => {
      const its = own.mutex("in turn");
      const hold = canBlock ? its.lockSync() : await its.lock();
      const words = view(block, 8);
      const at = words[0]!;
      words[0] = at + 1;
      words[at + 1] = key.charCodeAt(0);
      hold.release();
    };
    for (let round = 0; round < 5; round++) {
      heap.bytes(turns).fill(0);
      const hold = mutex.lockSync();
      const order = round % 2 === 0 ? [first, second] : [second, first];
      const calls = [order[0]!.run(take, turns, "a", order[0]!.canBlock && round % 3 === 0)];
      await until("the first waits", () => waiting(mutex.handle) === 1);
      calls.push(order[1]!.run(take, turns, "b", order[1]!.canBlock));
      await until("the second waits", () => waiting(mutex.handle) === 2);
      calls.push(take(tools, turns, "c", false));
      assert.equal(mutex.tryLock(), undefined);
      hold.release();
      // Who comes now is behind them all.
      calls.push(take(tools, turns, "d", false));
      await Promise.all(calls);
      const words = tools.words(turns, 8);
      const found = String.fromCharCode(...words.slice(1, 1 + words[0]!));
      assert.equal(found, "abcd");
    }
  });
});
