/** The races of events, conditions, barriers and onces that are gone through whole. */

import assert from "node:assert/strict";
import { SYNC_BROKEN, SYNC_DONE, SYNC_NO, SYNC_YES } from "../src/layout/sync.ts";
import { goIn, goOut, isIn, leave, ringAll, waitFor } from "./sync-race.ts";
import type { Caller, SyncProgram, SyncRace, SyncScene } from "./sync-race.ts";

type MakeProgram = (scene: SyncScene, slot: number) => SyncProgram;

const race = (
  name: string,
  mortal: readonly number[],
  makers: readonly MakeProgram[],
  rest: Partial<SyncRace> & { prepare?(scene: SyncScene): void } = {},
): SyncRace => {
  const { prepare, ...others } = rest;
  return {
    name,
    ...(mortal.length === 0 ? {} : { mortal }),
    setUp(scene) {
      prepare?.(scene);
      return makers.map((make, slot) => make(scene, slot));
    },
    ...others,
  };
};

// Event

/** Passes an automatic event, and counts that. */
const passes: MakeProgram = (scene, slot) => (core) => {
  waitFor(scene, core, slot, scene.object, () => core.passEvent(scene.object));
  core.addCounter(scene.count(0), 1);
};

/** Sets it anew when it has been used. */
const setsTwice: MakeProgram = (scene) => (core) => {
  for (let count = 0; count < 2; count++) {
    core.setEvent(scene.object);
    ringAll(core, scene.object);
  }
};

const sets: MakeProgram = (scene) => (core) => {
  core.setEvent(scene.object);
  ringAll(core, scene.object);
};

/** Waits for a manual event. */
const sees: MakeProgram = (scene, slot) => (core) => {
  const generation = core.eventGeneration(scene.object);
  waitFor(scene, core, slot, scene.object, () => core.seenEvent(scene.object, generation));
};

/** Waits as the participant that entered before: in whose time the event was not set yet. */
const seesSinceTheStart: MakeProgram = (scene, slot) => (core) => {
  waitFor(scene, core, slot, scene.object, () => core.seenEvent(scene.object, 0));
};

const setsAndUnsets: MakeProgram = (scene) => (core) => {
  core.setEvent(scene.object);
  core.resetEvent(scene.object);
  ringAll(core, scene.object);
};

const unsets: MakeProgram = (scene) => (core) => core.resetEvent(scene.object);

const events: readonly SyncRace[] = [
  race("event/one passes, another sets it", [], [passes, sets], {
    check: (scene, core) => assert.equal(core.isSet(scene.object), 0),
  }),
  race("event/one waits, another sets and unsets it", [], [seesSinceTheStart, setsAndUnsets]),
  race("event/one waits, another sets it, another unsets it", [], [seesSinceTheStart, sets, unsets]),
  race("event/two set it, one waits", [0], [sets, sets, sees]),
  race("event/two pass what is set for each", [], [passes, passes, sets], {
    prepare: (scene) => scene.core(4).setEvent(scene.object),
    // Set twice before anybody has passed it is set once: the other one waits.
    mayWait: [0, 1],
    check: (scene, core) => {
      const passed = core.readCounter(scene.count(0));
      assert.ok(passed + core.isSet(scene.object) >= 1 && (passed === 2 || core.isSet(scene.object) === 0));
    },
  }),
  race("event/one passes twice, another sets it twice", [], [setsTwice, passes, passes], { mayWait: [1, 2] }),
];

// Condition. The mutex is left out: what is waited for is a counter, which is looked at after each wait.

/** Waits until the counter is 1 or more, and takes one. */
const takesOne: MakeProgram = (scene, slot) => (core) => {
  const { object } = scene;
  const value = scene.count(0);
  for (;;) {
    const ticket = core.takeTicket(object) >>> 0;
    const departures = core.departures();
    const present = core.readCounter(value);
    if (present >= 1 && core.casCounter(value, present, present - 1) !== 0) {
      core.notify(object, 1);
      ringAll(core, object);
      return;
    }
    waitFor(scene, core, slot, object, () =>
      core.isNotified(object, ticket) !== 0 || core.departures() !== departures ? 1 : 0,
    );
  }
};

const givesOne: MakeProgram = (scene) => (core) => {
  core.addCounter(scene.count(0), 1);
  core.notify(scene.object, 0);
  ringAll(core, scene.object);
};

/** Looks once, and gives up. */
const looksOnce: MakeProgram = (scene) => (core) => {
  core.takeTicket(scene.object);
  core.notify(scene.object, 1);
  ringAll(core, scene.object);
};

const conditions: readonly SyncRace[] = [
  race("condition/one takes, another gives", [], [takesOne, givesOne]),
  race("condition/one takes, another gives, another gives up", [], [takesOne, givesOne, looksOnce]),
  race("condition/one takes, another gives, after a ticket of one who is gone", [], [takesOne, givesOne], {
    prepare(scene) {
      scene.core(4).takeTicket(scene.object);
      scene.goAway(4, true);
    },
  }),
  race("condition/two take what two give", [], [takesOne, takesOne, givesOne, givesOne], { isLarge: true }),
  race("condition/two take, one of them dies", [0], [takesOne, takesOne, givesOne], {
    // The dead one may have taken it.
    mayWait: [0, 1],
  }),
];

// Barrier

/** Comes to a barrier in its first generation, and notes at its place how it went: 1 = passed, 2 = broken. */
const comes: MakeProgram = (scene, slot) => (core) => {
  const { object } = scene;
  const result = core.arrive(object, 0);
  let ending = result;
  if (result === SYNC_YES) ringAll(core, object);
  else if (result === SYNC_NO) {
    ending = waitFor(scene, core, slot, object, () => core.hasPassed(object, 0));
    if (ending === SYNC_BROKEN) ringAll(core, object);
  }
  core.swapCounter(scene.count(slot), ending);
};

/** Comes, looks once, and gives up. */
const comesAndGoes: MakeProgram = (scene, slot) => (core) => {
  const { object } = scene;
  let ending = core.arrive(object, 0);
  if (ending === SYNC_YES) ringAll(core, object);
  if (ending === SYNC_NO) {
    core.enter(object + 64);
    ending = core.hasPassed(object, 0);
    leave(core, object);
    if (ending === SYNC_BROKEN) ringAll(core, object);
    if (ending === SYNC_NO && core.withdraw(object, 0) === 0) ending = core.hasPassed(object, 0);
    if (ending !== SYNC_YES) core.leaveBarrier(object);
  }
  core.swapCounter(scene.count(slot), ending);
};

const resets: MakeProgram = (scene) => (core) => {
  core.resetBarrier(scene.object);
  ringAll(core, scene.object);
};

const resetsTwice: MakeProgram = (scene) => (core) => {
  for (let count = 0; count < 2; count++) {
    core.resetBarrier(scene.object);
    ringAll(core, scene.object);
  }
};

/** Of those who came in one generation either all have passed or none, as far as they live to tell. */
function allOrNone(parties: number) {
  return (scene: SyncScene, core: { readCounter(object: number): number }): void => {
    const endings = Array.from({ length: parties }, (_none, slot) => core.readCounter(scene.count(slot)));
    const passed = endings.filter((ending) => ending === SYNC_YES).length;
    const failed = endings.filter((ending) => ending === SYNC_BROKEN).length;
    assert.ok(passed === 0 || failed === 0, `some have passed, and some not: ${endings.join(" ")}`);
    if (passed > 0 && !scene.isAnybodyDead()) assert.equal(passed, 2, "both have passed");
  };
}

const ofTwo = { prepare: (scene: SyncScene): void => scene.setLimit(2), check: allOrNone(2) };

const barriers: readonly SyncRace[] = [
  race("barrier/two come", [0], [comes, comes], ofTwo),
  race("barrier/one comes, another gives up", [], [comes, comesAndGoes], { ...ofTwo, mayWait: [0] }),
  race("barrier/one comes, another dies giving up", [1], [comes, comesAndGoes], { ...ofTwo, mayWait: [0] }),
  race("barrier/two come, another resets it", [], [comes, comes, resets], { ...ofTwo, mayWait: [0, 1] }),
  race("barrier/two come, another resets it twice", [], [comes, comes, resetsTwice], {
    ...ofTwo,
    mayWait: [0, 1],
  }),
  race("barrier/one comes, two reset it", [], [comes, resets, resets], { ...ofTwo, mayWait: [0] }),
  race("barrier/one comes and dies, and another has its slot", [0], [comes, comes, comes], {
    heir: 1,
    mayWaitAlive: [0, 2],
    prepare: (scene) => scene.setLimit(3),
  }),
];

// Once

const doesOnce: MakeProgram = (scene, slot) => (core: Caller) => {
  const { object } = scene;
  const attempt = (): number => core.beginOnce(object);
  const result = waitFor(scene, core, slot, object, attempt);
  if (!isIn(result)) {
    assert.equal(result, SYNC_DONE);
    return;
  }
  goIn(scene, core, 0, result);
  core.swapCounter(scene.count(1), 1);
  goOut(scene, core, 0);
  assert.equal(core.endOnce(object, 1), 1);
  ringAll(core, object);
};

const failsOnce: MakeProgram = (scene, slot) => (core: Caller) => {
  const { object } = scene;
  const result = waitFor(scene, core, slot, object, () => core.beginOnce(object));
  if (!isIn(result)) return;
  goIn(scene, core, 0, result);
  goOut(scene, core, 0);
  assert.equal(core.endOnce(object, 0), 1);
  ringAll(core, object);
};

const isDone = (scene: SyncScene, core: { readCounter(object: number): number }): void =>
  assert.equal(core.readCounter(scene.count(1)), 1, "it was done");

const onces: readonly SyncRace[] = [
  race("once/two do it", [0], [doesOnce, doesOnce], { check: isDone }),
  race("once/one fails, another does it", [0], [failsOnce, doesOnce], { check: isDone }),
  race("once/three do it", [0], [doesOnce, failsOnce, doesOnce], { check: isDone, isLarge: true }),
];

export const eventRaces: readonly SyncRace[] = [...events, ...conditions, ...barriers, ...onces];
