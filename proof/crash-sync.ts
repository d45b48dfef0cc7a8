/**
 * The synchronisation objects for crash exhaustion. The actor dies at each access of what it does with an object; then it is
 * recovered, and nothing is held by it any more: the next one gets the object, and is told of a death if the actor knew that
 * it was in. Somebody sleeps all the while, armed, in the object's set: it must have been rung in the end, since it may
 * be able to go on. The scenarios are in crash-locks.ts and crash-events.ts.
 */

import assert from "node:assert/strict";
import { OK } from "../src/layout/result.ts";
import { S_BELL, SLOT_SIZE_BYTES } from "../src/layout/slot.ts";
import { SYNC_ABANDONED, SYNC_YES, Y_LIMIT, Y_WAITERS } from "../src/layout/sync.ts";
import { useCheckpoint } from "../src/region/core.ts";
import { PLAIN } from "../src/region/geometry.ts";
import { instantiateSync } from "../src/sync/core.ts";
import type { SyncCore } from "../src/sync/core.ts";
import { enter, makeWorld, snapshot } from "../test/helpers/core-world.ts";
import type { Trigger, World } from "../test/helpers/core-world.ts";
import type { CrashCase } from "./crash-cases.ts";

export const ACTOR = 0;
export const OTHER = 1;
export const SURVIVOR = 2;
export const THIRD = 3;
/** Its bit is in the set's second word. */
export const SLEEPER = 66;
/** Dead from the start, or about to be. */
export const LEFT = 5;
export const JUDGE = 6;

/** Slots: so many that a set has two words. */
export const SLOT_COUNT = 70;

/** What a case is about. */
export interface Play {
  readonly world: World;
  readonly object: number;
  readonly set: number;
  readonly view: DataView;
  /** The participant in that slot, for the set-up and for judging. */
  core(slot: number): SyncCore;
  /** The one in that slot is gone; `isTaken`: somebody else is there. */
  goAway(slot: number, isTaken?: boolean): void;
  setLimit(limit: number): void;
}

/** How far the actor has come, as far as it was told: "" = nowhere. */
export interface Progress {
  at: string;
}

export interface SyncScenario {
  readonly name: string;
  setUp?(play: Play): void;
  run(core: SyncCore, play: Play, progress: Progress): void;
  /** Then the actor leaves in good order. */
  readonly leaves?: true;
  /** After the actor's death and its recovery, or after its end: what has become of the object. */
  check(core: SyncCore, play: Play, at: string, hasDied: boolean): void;
}

export const nothing = (): void => undefined;

export const isIn = (result: number): boolean => result === SYNC_YES || result === SYNC_ABANDONED;

function join(world: World, slot: number, trigger?: Trigger): SyncCore {
  enter(world, slot);
  useCheckpoint(trigger?.hook);
  try {
    const core = instantiateSync(world.memory);
    core.join(slot);
    return core;
  } finally {
    useCheckpoint(undefined);
  }
}

function makePlay(): Play {
  const world = makeWorld(1, 0, SLOT_COUNT, PLAIN);
  const object = world.geometry.dataOffset;
  const view = new DataView(world.memory.buffer);
  return {
    world,
    object,
    view,
    set: object + Y_WAITERS,
    core: (slot) => join(world, slot),
    goAway(slot, isTaken = false) {
      assert.equal(enter(world, JUDGE).recoverSlot(slot, 1), OK);
      if (isTaken) enter(world, slot);
    },
    setLimit: (limit) => view.setUint32(object + Y_LIMIT, limit, true),
  };
}

/** Rings all who wait, as `context.ringAll`. */
export function ringAll(core: SyncCore, { object, set }: Play): void {
  for (let count = SLOT_COUNT; count > 0 && core.ringNext(object, set) !== 0;) count--;
}

/** The actor was in, at the time of its death, as far as it knew: the next one is told; else it may be. */
export function told(result: number, at: string): void {
  assert.ok(isIn(result), `the next one does not get it: ${result}`);
  if (at === "in") assert.equal(result, SYNC_ABANDONED, "nobody is told of the death");
  if (at === "") assert.ok(isIn(result));
}

const bellAt = ({ world }: Play, slot: number): number =>
  world.geometry.slotsOffset + slot * SLOT_SIZE_BYTES + S_BELL;

export const syncCaseOf = (scenario: SyncScenario): CrashCase => ({
  name: `sync/${scenario.name}`,
  prepare() {
    const play = makePlay();
    const { world, view } = play;
    for (const slot of [ACTOR, SURVIVOR, THIRD]) play.core(slot);
    scenario.setUp?.(play);
    enter(world, ACTOR);
    const seen = play.core(SLEEPER).enter(play.set);
    const restore = snapshot(world);
    const dead = (isSecond: boolean): readonly number[] => (isSecond ? [ACTOR, SURVIVOR] : [ACTOR]);
    let progress: Progress = { at: "" };
    return {
      world,
      restore() {
        restore();
        progress = { at: "" };
      },
      run(trigger, arm) {
        const core = join(world, ACTOR, trigger);
        const region = enter(world, ACTOR, trigger);
        arm();
        scenario.run(core, play, progress);
        return scenario.leaves === true ? region.recoverSlot(ACTOR, 0) : 0;
      },
      checkDone: () => scenario.check(play.core(JUDGE), play, progress.at, false),
      recoverers: [SURVIVOR, THIRD],
      recover(core, isSecond) {
        for (const slot of dead(isSecond)) assert.equal(core.recoverSlot(slot, 1), OK);
      },
      check(_isDone, isSecond) {
        assert.notEqual(view.getUint32(bellAt(play, SLEEPER), true), seen, "nobody has rung the sleeper");
        for (const slot of dead(isSecond))
          assert.equal(world.survey.slotState(slot) & 3, 0, `slot ${slot} is free`);
        scenario.check(play.core(JUDGE), play, progress.at, true);
      },
    };
  },
});
