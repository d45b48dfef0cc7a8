/** Events, wherever their participants are. */
import assert from "node:assert/strict";
import { inEverySetup, isPending, rejectsCode } from "../helpers/crew.ts";
import type { PeerTools } from "../helpers/crew.ts";

async function waitFor({ heap }: PeerTools, name: string, isSync: boolean): Promise<number> {
  const event = heap.event(name);
  if (isSync) event.waitSync();
  else await event.wait();
  return 1;
}

inEverySetup("event", async ({ heap, mates, tools }, holds) => {
  const [first, second] = mates;

  await holds("a manual one lets all pass who wait, and all who come until it is reset", async () => {
    const event = heap.event("manual");
    assert.equal(event.resets, "manual");
    const waits = [
      first.run(waitFor, "manual", first.canBlock),
      second.run(waitFor, "manual", false),
      waitFor(tools, "manual", false),
    ];
    assert.equal(await isPending(Promise.race(waits)), true);
    await second.run(({ heap: own }) => own.event("manual").set());
    await Promise.all(waits);
    assert.equal(event.isSet, true);
    assert.equal(event.tryWait(), true);
    assert.equal(event.tryWait(), true);
    await first.run(waitFor, "manual", first.canBlock);
    event.reset();
    assert.equal(await first.run(({ heap: own }) => own.event("manual").tryWait()), false);
    assert.equal(event.isSet, false);
  });

  await holds("who waits for a manual one passes although it is reset at once", async () => {
    const event = heap.event("pulse");
    const waits = [
      first.run(waitFor, "pulse", first.canBlock),
      second.run(waitFor, "pulse", false),
      waitFor(tools, "pulse", false),
    ];
    assert.equal(await isPending(Promise.race(waits)), true);
    event.set();
    event.reset();
    await Promise.all(waits);
    assert.equal(event.isSet, false);
  });

  await holds("an automatic one lets one pass for each time it is set", async () => {
    const event = heap.event("auto", { resets: "auto" });
    assert.equal(event.resets, "auto");
    event.set();
    assert.equal(await first.run(({ heap: own }) => own.event("auto").tryWait()), true);
    assert.equal(event.tryWait(), false);
    let passed = 0;
    const waits = [
      first.run(waitFor, "auto", first.canBlock),
      second.run(waitFor, "auto", false),
      waitFor(tools, "auto", false),
    ].map(async (wait) => {
      await wait;
      passed++;
    });
    for (let count = 1; count <= 3; count++) {
      assert.equal(await isPending(Promise.all(waits)), true);
      assert.equal(passed, count - 1);
      await second.run(({ heap: own }) => own.event("auto").set());
    }
    await Promise.all(waits);
    assert.equal(event.isSet, false);
  });

  await holds("two participants play ping-pong with two automatic events", async () => {
    const play = async (
      { heap: own }: PeerTools,
      from: string,
      to: string,
      rounds: number,
      isSync: boolean,
    ) => {
      const [mine, its] = [own.event(from, { resets: "auto" }), own.event(to, { resets: "auto" })];
      for (let round = 0; round < rounds; round++) {
        if (isSync) mine.waitSync({ timeoutMs: 20_000 });
        else await mine.wait({ timeoutMs: 20_000 });
        its.set();
      }
    };
    const games = [
      first.run(play, "ping", "pong", 300, first.canBlock),
      second.run(play, "pong", "ping", 300, second.canBlock),
    ];
    heap.event("ping", { resets: "auto" }).set();
    await Promise.all(games);
  });

  await holds("a wait ends with its time", async () => {
    for (const timeoutMs of [0, 30]) {
      const wait = first.run(
        async ({ heap: own }, ms, isSync) =>
          isSync ? own.event("late").waitSync({ timeoutMs: ms }) : own.event("late").wait({ timeoutMs: ms }),
        timeoutMs,
        first.canBlock,
      );
      await rejectsCode(wait, "ERR_SHOAL_TIMEOUT", /event "late"/);
    }
  });

  await holds("a call that gives up takes nothing from the others of its thread", async () => {
    const done = first.run(async ({ heap: own }, isSync) => {
      const event = own.event("beside");
      const wait = event.wait({ timeoutMs: 20_000 });
      try {
        if (isSync) event.waitSync({ timeoutMs: 20 });
        else await event.wait({ timeoutMs: 20 });
      } catch (error) {
        if ((error as { code?: string }).code !== "ERR_SHOAL_TIMEOUT") throw error;
      }
      own.event("gave up").set();
      await wait;
    }, first.canBlock);
    await heap.event("gave up").wait();
    heap.event("beside").set();
    await done;
  });
});
