/** What is done once, wherever the participants are. */
import assert from "node:assert/strict";
import { inEverySetup, isPending, makeWords, rejectsCode } from "../helpers/crew.ts";
import type { PeerTools } from "../helpers/crew.ts";
import { until } from "../helpers/assertions.ts";
import type { Handle } from "../../src/heap/index.ts";

/** Asks for each of many things to be done once. How many it did itself. */
async function doAll(
  { heap, words }: PeerTools,
  block: Handle,
  count: number,
  canBlock: boolean,
): Promise<number> {
  const view = words(block, count);
  let done = 0;
  for (let index = 0; index < count; index++) {
    const once = heap.once(`thing ${index}`);
    const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));
    const isMine =
      canBlock && index % 2 === 0
        ? once.runSync(() => void view[index]!++)
        : await once.run(async () => {
            const found = view[index]!;
            await turn();
            view[index] = found + 1;
          });
    if (view[index] !== 1) throw new Error(`thing ${index} was done ${view[index]} times`);
    if (isMine) done++;
  }
  return done;
}

inEverySetup("once", async ({ heap, mates, tools }, holds) => {
  const [first, second] = mates;

  await holds("one does it, and the others wait until it is done", async () => {
    const block = makeWords(heap, 60);
    const done = await Promise.all([
      ...mates.map((mate) => mate.run(doAll, block, 60, mate.canBlock)),
      doAll(tools, block, 60, false),
    ]);
    assert.equal(
      done.reduce((sum, count) => sum + count, 0),
      60,
    );
    assert.equal(heap.once("thing 7").isDone, true);
  });

  await holds("who does it is known; a wait for it ends with its time", async () => {
    const once = heap.once("slow");
    const doing = once.run(async () => {
      await heap.event("enough").wait();
    });
    await until("it has begun", () => once.runner() !== undefined);
    assert.equal((await second.run(({ heap: own }) => own.once("slow").runner()))?.pid, process.pid);
    for (const timeoutMs of [0, 30]) {
      const wait = first.run(
        async ({ heap: own }, ms, isSync) =>
          isSync
            ? own.once("slow").runSync(() => undefined, { timeoutMs: ms })
            : own.once("slow").run(() => undefined, { timeoutMs: ms }),
        timeoutMs,
        first.canBlock,
      );
      await rejectsCode(wait, "ERR_SHOAL_TIMEOUT", /once "slow"/);
    }
    const wait = second.run(({ heap: own }) => own.once("slow").run(() => undefined));
    assert.equal(await isPending(wait), true);
    assert.equal(once.isDone, false);
    heap.event("enough").set();
    assert.equal(await wait, false);
    assert.equal(await doing, true);
    assert.equal(once.runner(), undefined);
    assert.equal(await first.run(({ heap: own }) => own.once("slow").isDone), true);
  });

  await holds("when it throws, the next one does it", async () => {
    await assert.rejects(
      heap.once("failing").run(() => Promise.reject(new Error("work"))),
      /^Error: work$/,
    );
    assert.equal(heap.once("failing").isDone, false);
    const outcome = await first.run(async ({ heap: own }) => {
      try {
        own.once("failing").runSync(() => {
          throw new Error("again");
        });
      } catch (error) {
        return (error as Error).message;
      }
      return "it was done";
    });
    assert.equal(outcome, "again");
    const told = await second.run(async ({ heap: own }) => {
      let abandoned: boolean | undefined;
      await own.once("failing").run((state) => void (abandoned = state.abandoned));
      return abandoned;
    });
    assert.equal(told, false);
    assert.equal(await heap.once("failing").run(() => assert.fail("it is done")), false);
  });
});
