/** Semaphores, wherever their participants are. */
import assert from "node:assert/strict";
import { inEverySetup, isPending, makeWords, rejectsCode } from "../helpers/crew.ts";
import type { PeerTools } from "../helpers/crew.ts";
import type { Handle } from "../../src/heap/index.ts";
import type { Hold } from "../../src/sync/index.ts";

const PERMITS = 3;

/** Takes one to three permits, and counts how many are taken by all. */
async function takeAndCount(
  { heap, words }: PeerTools,
  block: Handle,
  rounds: number,
  canBlock: boolean,
): Promise<number> {
  const semaphore = heap.semaphore("hammer");
  const view = words(block, 2);
  let most = 0;
  for (let round = 0; round < rounds; round++) {
    const count = (round % 3) + 1;
    const isSync = canBlock && round % 2 === 0;
    const hold = isSync ? semaphore.acquireSync(count) : await semaphore.acquire(count);
    const taken = Atomics.add(view, 0, count) + count;
    most = Math.max(most, taken);
    if (isSync) for (let spin = 0; spin < 200; spin++) Atomics.load(view, 0);
    else await new Promise((resolve) => setImmediate(resolve));
    Atomics.sub(view, 0, count);
    hold.release();
  }
  return most;
}

inEverySetup("semaphore", async ({ heap, mates, tools }, holds) => {
  const [first, second] = mates;

  await holds("there are never more permits taken than there are", async () => {
    const semaphore = heap.semaphore("hammer", { permits: PERMITS });
    const block = makeWords(heap, 2);
    const most = await Promise.all([
      ...mates.map((mate) => mate.run(takeAndCount, block, 300, mate.canBlock)),
      takeAndCount(tools, block, 300, false),
    ]);
    assert.equal(Math.max(...most), PERMITS);
    assert.equal(semaphore.available, PERMITS);
    assert.equal(semaphore.held, 0);
  });

  await holds("permits are counted for each participant", async () => {
    const semaphore = heap.semaphore("counted", { permits: 5 });
    const two = semaphore.acquireSync(2);
    await first.run(async ({ heap: own, keep }) => keep("one", await own.semaphore("counted").acquire()));
    assert.equal(semaphore.available, 2);
    assert.equal(semaphore.held, 2);
    assert.equal(await first.run(({ heap: own }) => own.semaphore("counted").held), 1);
    assert.equal(
      await second.run(({ heap: own }) => own.semaphore("counted").tryAcquire(3) === undefined),
      true,
    );
    await rejectsCode(
      first.run(({ heap: own }) => own.semaphore("counted").release(2)),
      "ERR_SHOAL_NOT_HOLDER",
      /holds 1 permit/,
    );
    const three = second.run(async ({ heap: own }, canBlock) => {
      const its = own.semaphore("counted");
      (canBlock ? its.acquireSync(3) : await its.acquire(3)).release();
    }, second.canBlock);
    assert.equal(await isPending(three), true);
    await first.run(({ kept }) => kept<Hold>("one").release());
    await three;
    semaphore.release(1);
    semaphore.release();
    assert.throws(() => two.release(), { code: "ERR_SHOAL_NOT_HOLDER" });
    assert.equal(semaphore.available, 5);
  });

  await holds("a wait ends with its time and takes nothing", async () => {
    const hold = heap.semaphore("late").acquireSync();
    for (const timeoutMs of [0, 30]) {
      const wait = first.run(
        async ({ heap: own }, ms, isSync) =>
          void (isSync
            ? own.semaphore("late").acquireSync(1, { timeoutMs: ms })
            : await own.semaphore("late").acquire(1, { timeoutMs: ms })),
        timeoutMs,
        first.canBlock,
      );
      await rejectsCode(wait, "ERR_SHOAL_TIMEOUT", /semaphore "late"/);
    }
    hold.release();
    assert.equal(heap.semaphore("late").available, 1);
  });

  await holds("run holds a permit meanwhile", async () => {
    const semaphore = heap.semaphore("run", { permits: 2 });
    const seen = await first.run(({ heap: own }) =>
      own.semaphore("run").run(() => own.semaphore("run").available),
    );
    assert.equal(seen, 1);
    await assert.rejects(
      semaphore.run(() => Promise.reject(new Error("work"))),
      /^Error: work$/,
    );
    assert.equal(semaphore.available, 2);
  });
});
