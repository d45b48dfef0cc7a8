/** Participants: who has a slot, who lives, and what becomes of the slots of those who died. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { threadId } from "node:worker_threads";
import type { BackendName } from "../../src/region/index.ts";
import { leaksNothing, until } from "../helpers/assertions.ts";
import { holdings } from "../helpers/holdings.ts";
import { makeQueue, startProcess, startWorker } from "../helpers/peer.ts";
import type { PeerTools } from "../helpers/peer.ts";
import { createRegion, openAgain } from "../helpers/segments.ts";

const backends: readonly BackendName[] = ["posix", "file", "sysv", "anonymous"];

function keepOpen({ Region: Found, regions }: PeerTools, name: string, backend: BackendName): number {
  const region = Found.open(name, { backend });
  regions.set("main", region);
  return region.slotIndex;
}

for (const backend of backends) {
  test(`${backend}: processes and workers are participants, each with what is known of it`, async (t) => {
    const started = Date.now();
    const region = createRegion(t, backend);
    const [child, worker] = [startProcess(t), startWorker(t)];
    assert.equal(await child.run(keepOpen, region.name, backend), 1);
    assert.equal(await worker.run(keepOpen, region.name, backend), 2);
    const found = region.participants();
    assert.deepEqual(
      found.map(({ index, epoch, state, pid, alive, self }) => ({ index, epoch, state, pid, alive, self })),
      [
        { index: 0, epoch: 0, state: "live", pid: process.pid, alive: true, self: true },
        { index: 1, epoch: 0, state: "live", pid: child.pid, alive: true, self: false },
        { index: 2, epoch: 0, state: "live", pid: process.pid, alive: true, self: false },
      ],
    );
    assert.deepEqual([found[0]!.threadId, found[1]!.threadId], [threadId, 0]);
    assert.ok(found[2]!.threadId > 0);
    for (const { openedAt } of found) {
      assert.ok(openedAt.getTime() >= started - 1 && openedAt.getTime() <= Date.now() + 1);
    }
    assert.ok(found[0]!.startTicks > 0 && found[0]!.startTicks <= found[1]!.startTicks);
    assert.equal(found[0]!.startTicks, found[2]!.startTicks);
    assert.equal(region.recover(), 0, "nobody has died");
  });

  test(`${backend}: a killed process is found dead and recovered once, and its slot is used again`, async (t) => {
    const region = createRegion(t, backend);
    const other = openAgain(t, region);
    for (let round = 0; round < 3; round++) {
      const child = startProcess(t);
      const index = await child.run(keepOpen, region.name, backend);
      assert.equal(index, 2);
      await child.kill();
      const dead = region.participants().filter(({ alive }) => !alive);
      assert.deepEqual(
        dead.map(({ pid, epoch }) => [pid, epoch]),
        [[child.pid, round]],
      );
      assert.equal(region.recover(), 1);
      assert.equal(other.recover(), 0);
      assert.equal(region.recoveries, round + 1);
      assert.equal(region.participants().length, 2);
    }
    const last = openAgain(t, region);
    assert.deepEqual(last.participants().at(-1)!.epoch, 3);
  });

  test(`${backend}: opening recovers the dead, and readers leave that to others`, async (t) => {
    const region = createRegion(t, backend);
    const child = startProcess(t);
    await child.run(keepOpen, region.name, backend);
    await child.kill();
    const reader = openAgain(t, region, { readOnly: true });
    assert.equal(reader.participants().filter(({ alive }) => !alive).length, 1);
    assert.equal(region.recoveries, 0);
    const next = openAgain(t, region);
    assert.equal(region.recoveries, 1);
    assert.equal(next.slotIndex, 1);
  });

  test(`${backend}: a terminated worker leaves its slot and nothing else behind`, async (t) => {
    const region = createRegion(t, backend, { fixedAddress: { startAddress: 79 * 2 ** 40 } });
    const warmUp = startWorker(t);
    await warmUp.run(keepOpen, region.name, backend);
    await warmUp.kill();
    assert.equal(region.recover(), 1);
    const worker = startWorker(t);
    await until("the first worker's descriptors are closed", () => region.recover() === 0);
    await worker.run(() => undefined);
    const before = holdings();
    await worker.run(keepOpen, region.name, backend);
    await worker.run(({ region: at }) => void at().bytes(0, 1).fill(5));
    await worker.kill();
    const after = holdings();
    // The thread's own descriptors (its event loop's) are gone with it too.
    assert.ok(after.descriptors <= before.descriptors, "its descriptors are closed");
    assert.equal(region.recover(), 1);
    assert.equal(region.recoveries, 2);
    assert.equal(region.bytes(0, 1)[0], 5, "what it wrote stays");
  });
}

test("a participant that dies while it recovers another is recovered like any other", async (t) => {
  const region = createRegion(t, "posix");
  const nextProcess = makeQueue(t);
  let isThrough = false;
  for (let last = 1; !isThrough; last++) {
    assert.ok(last < 100, "recovering comes to an end");
    const [victim, recoverer] = [nextProcess(), nextProcess()];
    await victim.run(keepOpen, region.name, "posix" as const);
    await recoverer.run(
      ({ Region: Found, regions, useCheckpoint }, name, lastAccess) => {
        let count = 0;
        const armed = { on: false };
        useCheckpoint(() => {
          if (armed.on && ++count === lastAccess) process.kill(process.pid, "SIGKILL");
        });
        regions.set("main", Found.open(name));
        Object.assign(globalThis, { armed });
      },
      region.name,
      // A slot is cleared word by word: every twentieth of those stores stands for all.
      last < 10 ? last : last * 20 - 180,
    );
    await victim.kill();
    isThrough = await recoverer
      .run(({ region: at }) => {
        const { armed } = globalThis as unknown as { armed: { on: boolean } };
        armed.on = true;
        const count = at().recover();
        armed.on = false;
        return count === 1;
      })
      .catch(() => false);
    await recoverer.kill();
    region.recover();
    assert.deepEqual(
      region.participants().map(({ pid }) => pid),
      [process.pid],
    );
    assert.equal(region.recover(), 0);
  }
});

test("taking a slot can be cut short anywhere", async (t) => {
  const region = createRegion(t, "posix", { maxParticipants: 2 });
  const nextProcess = makeQueue(t);
  let isThrough = false;
  for (let last = 1; !isThrough; last++) {
    assert.ok(last < 100, "opening comes to an end");
    const child = nextProcess();
    isThrough = await child
      .run(
        ({ Region: Found, useCheckpoint }, name, lastAccess) => {
          let count = 0;
          useCheckpoint(() => {
            if (++count === lastAccess) process.kill(process.pid, "SIGKILL");
          });
          Found.open(name);
          useCheckpoint(undefined);
          return count < lastAccess;
        },
        region.name,
        last,
      )
      .catch(() => false);
    await child.kill();
    leaksNothing("opening after a death", () => {
      const next = openAgain(t, region);
      assert.equal(next.slotIndex, 1, "there is room for one more, whatever happened");
      assert.equal(next.participants().length, 2);
      next.close();
    });
  }
});
