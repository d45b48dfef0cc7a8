/**
 * The synchronisation objects in every order of the accesses of two or three participants, with a death at each (proof/races-sync.ts,
 * proof/races-events.ts): nobody is in who may not be, everything can be had in the end, and nobody sleeps whom nobody will ring.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { syncRaces, usualSync } from "../../proof/run.ts";
import { parsePath, replaySyncRace, runSyncRace, showPath } from "../../proof/run-sync.ts";
import { goIn, goOut, isIn } from "../../proof/sync-race.ts";
import type { SyncProgram, SyncRace, SyncScene } from "../../proof/sync-race.ts";
import { makeTally } from "../../proof/tally.ts";
import { buildProof } from "./build.ts";

await buildProof();

const options = { ...usualSync, isOver: () => false };

describe("whatever order the accesses of those who share an object come in, and whoever dies", () => {
  for (const race of syncRaces(false))
    test(race.name, () => {
      const tally = makeTally();
      runSyncRace(race, tally, options);
      const [found] = tally.violations;
      assert.equal(found, undefined, `${found?.message}\n${found?.replay}`);
      assert.ok(tally.schedules > 20 && tally.cut === 0, `${tally.schedules} schedules`);
      assert.ok(race.mortal === undefined || tally.deaths > 20, `${tally.deaths} deaths`);
    });
});

// What the proof has found while the objects were made: races in which it was, and what was wrong.
describe("what was wrong once", () => {
  const replays: readonly (readonly [what: string, race: string, schedule: string])[] = [
    [
      "one that had entered the set, and had not armed yet, was taken out of it and not rung",
      "mutex/two lock it, another gives up",
      "0*8 2*4 1*4 0*5 1*5 2*9",
    ],
    [
      "a ringer died between disarming and ringing, and recovery passed by who was disarmed",
      "mutex/two lock it",
      "0*5 1*9 0*8 0! 2*60",
    ],
    [
      "a fair mutex was offered to one that was recovered at that moment, after everybody had been rung",
      "fair/two lock it, another gives up",
      "2*5 0*14 0! 2*18 1*8 3*80",
    ],
    [
      "permits came back by what somebody else did, and one that needed them slept on",
      "semaphore/two wait for what one has who dies",
      "0*1 0! 1*27 2*26 3*99 1*18 2*16",
    ],
    [
      "a barrier was broken by one that came, and one that was about to sleep was not rung",
      "barrier/one comes and dies, and another has its slot",
      "0*2 0! 2*12 3*99 2*10 1*10 2*8",
    ],
  ];
  for (const [what, name, schedule] of replays)
    test(what, () => {
      const race = syncRaces(true).find((one) => one.name === name);
      assert.ok(race !== undefined, `there is a race "${name}"`);
      replaySyncRace(race, parsePath(schedule));
    });
});

/** A lock as one would make it without much thought: looks, then takes. */
const lockBadly =
  (scene: SyncScene): SyncProgram =>
  (core) => {
    const holder = scene.count(5);
    if (core.readCounter(holder) !== 0) return;
    core.swapCounter(holder, 1);
    goIn(scene, core, 0, 1);
    goOut(scene, core, 0);
  };

const badLock: SyncRace = { name: "bad", setUp: (scene) => [lockBadly(scene), lockBadly(scene)] };

/** One waits for the lock; the other releases it and does not ring. */
const silent: SyncRace = {
  name: "silent",
  setUp(scene) {
    const { object } = scene;
    scene.core(1).tryLock(object);
    return [
      (core) => {
        const seen = core.enter(object + 64);
        if (isIn(core.tryLock(object))) return;
        const bell = scene.world.geometry.slotsOffset + 128;
        core.sleep(bell, seen);
      },
      (core) => void core.unlock(object),
    ];
  },
};

test("two that are in at once, and one that nobody will ring, are found, and shown again by their schedule", () => {
  for (const [race, message] of [
    [badLock, /two were in|somebody was in/],
    [silent, /participant 0 sleeps, and nobody will ring it/],
  ] as const) {
    const tally = makeTally();
    runSyncRace(race, tally, options);
    assert.match(tally.violations[0]?.message ?? "", message);
    const schedule = /--schedule "(.*)"/.exec(tally.violations[0]!.replay)?.[1] ?? "";
    assert.throws(() => replaySyncRace(race, parsePath(schedule)), message);
  }
});

test("a schedule that is written down is read as it was", () => {
  for (const text of ["0*12 1*3 0! 1*2", ""]) assert.equal(showPath(parsePath(text)), text);
  assert.throws(() => parsePath("0-1"), /is no part of a schedule/);
});
