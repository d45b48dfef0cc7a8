/** Barriers, wherever their participants are. */
import assert from "node:assert/strict";
import { inEverySetup, isPending, makeWords, rejectsCode } from "../helpers/crew.ts";
import type { PeerTools } from "../helpers/crew.ts";
import type { Handle } from "../../src/heap/index.ts";

/** Adds to a word in each round; behind the barrier everybody has. How often it came last. */
async function playRounds(
  { heap, words }: PeerTools,
  block: Handle,
  rounds: number,
  canBlock: boolean,
): Promise<number> {
  const barrier = heap.barrier("rounds");
  const view = words(block, 2);
  let last = 0;
  for (let round = 1; round <= rounds; round++) {
    Atomics.add(view, 0, 1);
    if (canBlock && round % 2 === 0 ? barrier.waitSync() : await barrier.wait()) last++;
    const found = Atomics.load(view, 0);
    if (found < 3 * round || found > 3 * round + 2) throw new Error(`${found} of ${3 * round} have come`);
  }
  return last;
}

inEverySetup("barrier", async ({ heap, mates, tools }, holds) => {
  const [first, second] = mates;
  const come = async ({ heap: own }: PeerTools, name: string, isSync: boolean): Promise<boolean> =>
    isSync ? own.barrier(name).waitSync() : own.barrier(name).wait();

  await holds("nobody passes before all have come, round for round; one of them is the last", async () => {
    const barrier = heap.barrier("rounds", { parties: 3 });
    assert.equal(barrier.parties, 3);
    const block = makeWords(heap, 2);
    const last = await Promise.all([
      ...mates.map((mate) => mate.run(playRounds, block, 200, mate.canBlock)),
      playRounds(tools, block, 200, false),
    ]);
    assert.equal(
      last.reduce((sum, count) => sum + count, 0),
      200,
    );
    assert.equal(barrier.waiting, 0);
  });

  await holds("who gives up has not come", async () => {
    const barrier = heap.barrier("late", { parties: 2 });
    for (const timeoutMs of [0, 30]) {
      const wait = first.run(
        async ({ heap: own }, ms, isSync) =>
          isSync
            ? own.barrier("late").waitSync({ timeoutMs: ms })
            : own.barrier("late").wait({ timeoutMs: ms }),
        timeoutMs,
        first.canBlock,
      );
      await rejectsCode(wait, "ERR_SHOAL_TIMEOUT", /barrier "late"/);
      assert.equal(barrier.waiting, 0);
    }
    const wait = second.run(come, "late", second.canBlock);
    assert.equal(await isPending(wait), true);
    assert.equal(barrier.waiting, 1);
    assert.equal(await barrier.wait(), true);
    assert.equal(await wait, false);
  });

  await holds("reset sends those away who wait, and begins anew", async () => {
    const barrier = heap.barrier("reset", { parties: 3 });
    const waits = [first.run(come, "reset", first.canBlock), second.run(come, "reset", false)];
    assert.equal(await isPending(Promise.race(waits)), true);
    barrier.reset();
    for (const wait of waits) await rejectsCode(wait, "ERR_SHOAL_BROKEN", /reset/);
    assert.equal(barrier.isBroken, false);
    const again = [first.run(come, "reset", false), second.run(come, "reset", second.canBlock)];
    assert.equal(await isPending(Promise.race(again)), true);
    assert.equal(await barrier.wait(), true);
    assert.deepEqual(await Promise.all(again), [false, false]);
  });

  await holds("one party passes at once", async () => {
    heap.barrier("alone", { parties: 1 });
    assert.equal(await first.run(come, "alone", first.canBlock), true);
    assert.equal(await second.run(come, "alone", false), true);
  });
});
