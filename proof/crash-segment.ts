/**
 * The operations of a segment for crash exhaustion: its creation, opening, growth, slots; and those of the survey, which only
 * looks: whoever dies looking leaves everything as it was.
 */

import assert from "node:assert/strict";
import {
  ALLOCATOR_BUDDY,
  ALLOCATOR_FIRST_FIT,
  ALLOCATOR_SLAB,
  H_SIZE_PAGES,
  H_SLOTS_USED,
  H_STATE,
  STATE_READY,
} from "../src/layout/header.ts";
import { OK } from "../src/layout/result.ts";
import { instantiateCore, instantiateSurvey, useCheckpoint } from "../src/region/core.ts";
import type { Core, HeapCore, Survey } from "../src/region/core.ts";
import { PLAIN } from "../src/region/geometry.ts";
import { prepareBuddy } from "../test/helpers/buddy-check.ts";
import { scenarios as buddyScenarios } from "../test/helpers/buddy-scenarios.ts";
import { scenarios as slabScenarios } from "../test/helpers/core-scenarios.ts";
import { prepare } from "../test/helpers/core-stage.ts";
import { enter, makeWorld, snapshot } from "../test/helpers/core-world.ts";
import type { Trigger, World } from "../test/helpers/core-world.ts";
import { fitScenarios } from "../test/helpers/fit-scenarios.ts";
import { prepareFit } from "../test/helpers/fit-stage.ts";
import type { CrashCase } from "./crash-cases.ts";

const ACTOR = 0;
const SURVIVOR = 2;
const THIRD = 3;

const makeRegion = (): World => makeWorld(2, 2, 4, PLAIN);

/** An instance whose accesses call the trigger. */
export function watched<T>(trigger: Trigger, make: () => T): T {
  useCheckpoint(trigger.hook);
  try {
    return make();
  } finally {
    useCheckpoint(undefined);
  }
}

const sizeOf = ({ memory }: World): number => new DataView(memory.buffer).getUint32(H_SIZE_PAGES, true);

/** An operation of a participant of a plain region. */
function regionCase(
  name: string,
  setUp: (world: World, core: HeapCore) => void,
  run: (core: HeapCore, world: World) => number,
  check: (world: World, isDone: boolean) => void,
): CrashCase {
  return {
    name: `segment/${name}`,
    prepare() {
      const world = makeRegion();
      setUp(world, enter(world, ACTOR));
      const restore = snapshot(world);
      const dead = (isSecond: boolean): readonly number[] => (isSecond ? [ACTOR, SURVIVOR] : [ACTOR]);
      return {
        world,
        restore,
        run(trigger, arm) {
          const core = enter(world, ACTOR, trigger);
          arm();
          return run(core, world);
        },
        checkDone: () => check(world, true),
        recoverers: [SURVIVOR, THIRD],
        recover(core, isSecond) {
          for (const slot of dead(isSecond)) assert.equal(core.recoverSlot(slot, 1), OK);
        },
        check(isDone, isSecond) {
          check(world, isDone);
          const core = enter(world, isSecond ? THIRD : SURVIVOR);
          for (const slot of dead(isSecond)) {
            assert.equal(world.survey.slotState(slot) & 3, 0, `slot ${slot} is free`);
            assert.equal(core.findSlot(slot, 1), slot, "and is found to be");
            enter(world, slot);
            assert.equal(world.survey.slotState(slot) & 3, 1, "it can be taken again");
            assert.equal(world.survey.slotPid(slot), 1000 + slot);
          }
        },
      };
    },
  };
}

const nothing = (): void => undefined;

const participants: readonly CrashCase[] = [
  regionCase(
    "opening: look and take a slot that nobody ever had",
    (world, core) => {
      assert.equal(core.recoverSlot(ACTOR, 0), OK);
      new DataView(world.memory.buffer).setUint32(H_SLOTS_USED, 0, true);
    },
    (core) => {
      assert.equal(core.attach(), 0);
      core.sizePages();
      const slot = core.findSlot(0, 1);
      core.takeSlot(slot, 1000 + slot, 1, 0, 1);
      return slot;
    },
    nothing,
  ),
  regionCase(
    "growing by a page, then to where it is already",
    nothing,
    (core, world) => {
      core.publishSize(world.geometry.sizePages + 1);
      return core.publishSize(world.geometry.sizePages);
    },
    (world, isDone) => {
      const { sizePages } = world.geometry;
      assert.ok([sizePages + 1, isDone ? sizePages + 1 : sizePages].includes(sizeOf(world)));
    },
  ),
  regionCase("leaving", nothing, (core) => core.recoverSlot(ACTOR, 0), nothing),
  regionCase(
    "recovering one that has died",
    (world) => void enter(world, 1),
    (core) => core.recoverSlot(1, 1),
    (world, isDone) => {
      const isFree = (world.survey.slotState(1) & 3) === 0;
      assert.ok(isFree || !isDone);
      assert.equal(enter(world, THIRD).recoverSlot(1, 1), OK);
      assert.equal(world.survey.slotState(1) & 3, 0);
    },
  ),
];

/** What src/region/create.ts has the core do. */
function create(core: Core, { geometry }: World): number {
  const { spanPages, growStepPages, slotCount, slotsOffset, sizePages, dataOffset } = geometry;
  core.describeSegment(1, 0, spanPages, growStepPages, slotCount, slotsOffset, 0, 0, 0, 0, dataOffset);
  assert.equal(core.attach(), 0);
  core.publishSize(sizePages);
  core.takeSlot(0, 1000, 1, 0, 1);
  core.setSegmentState(STATE_READY);
  return 0;
}

/** A creator that dies leaves a segment that is not ready: another one makes it from the start. */
const creation: CrashCase = {
  name: "segment/creation",
  prepare() {
    const world = makeRegion();
    const everything = new Uint8Array(world.memory.buffer);
    everything.fill(0);
    const view = new DataView(world.memory.buffer);
    return {
      world,
      restore: () => void everything.fill(0),
      run(trigger, arm) {
        const core = watched(trigger, () => instantiateCore(world.memory, "segment"));
        arm();
        return create(core, world);
      },
      checkDone: () => assert.equal(view.getUint32(H_STATE, true), STATE_READY),
      recoverers: undefined,
      recover: nothing,
      check(isDone) {
        const isReady = view.getUint32(H_STATE, true) === STATE_READY;
        assert.equal(isReady, isDone, "it is ready when it is complete, and not before");
        if (!isReady) create(instantiateCore(world.memory, "segment"), world);
        const core = instantiateCore(world.memory, "segment");
        assert.equal(core.attach(), 0);
        assert.equal(core.sizePages(), world.geometry.sizePages);
        assert.equal(core.findSlot(0, 1), 1);
      },
    };
  },
};

/** Functions of the survey that are about one allocator's heaps. */
const families: Readonly<Record<number, RegExp>> = {
  [ALLOCATOR_SLAB]: /Ring|^page|^nextSlab|^verifyPage|^blockSize|^(first|end)Page/,
  [ALLOCATOR_BUDDY]: /[bB]uddy|[tT]ree|^hintWord|^nextOwned/,
  [ALLOCATOR_FIRST_FIT]: /[fF]it/,
};

/** Asks the survey everything there is to ask of such a heap, with numbers that mean something. */
function askAll(survey: Survey, { geometry }: World): number {
  const { dataOffset, sizePages, allocator } = geometry;
  const all = Object.keys(survey) as (keyof Survey)[];
  const strange = Object.entries(families).filter(([its]) => Number(its) !== allocator);
  const names = all.filter((name) => !strange.some(([, family]) => family.test(name)));
  for (const name of names) {
    const ask = survey[name] as (...args: number[]) => number;
    const isPlace = /^next|WordAt$|^usable|^owner/.test(name);
    const isPage = /^page|Page$/.test(name);
    const pages = Array.from({ length: sizePages }, (_none, page) => page);
    let values = [0, 1];
    if (isPlace) values = [dataOffset, dataOffset + 8];
    else if (isPage) values = pages.slice(dataOffset / 65536);
    for (const value of values) ask(value, 1);
  }
  return names.length;
}

function surveyCase(name: string, setUp: () => { world: World; run: () => void }): CrashCase {
  return {
    name: `survey/${name}`,
    prepare() {
      const { world, run } = setUp();
      run();
      const before = new Uint8Array(world.memory.buffer).slice();
      return {
        world,
        restore: () => new Uint8Array(world.memory.buffer).set(before),
        run(trigger, arm) {
          const survey = watched(trigger, () => instantiateSurvey(world.memory));
          arm();
          return askAll(survey, world);
        },
        checkDone: nothing,
        recoverers: undefined,
        recover: nothing,
        check() {
          const now = new Uint8Array(world.memory.buffer);
          assert.equal(Buffer.compare(now, before), 0, "looking changes nothing");
        },
      };
    },
  };
}

function scenarioOf<T extends { readonly name: string }>(list: readonly T[], name: string): T {
  const found = list.find((one) => one.name === name);
  assert.ok(found !== undefined, `there is a scenario "${name}"`);
  return found;
}

const surveys: readonly CrashCase[] = [
  surveyCase("of a slab heap", () => {
    const stage = prepare(
      scenarioOf(slabScenarios, "leaving with own blocks in pages of every kind"),
      nothing,
    );
    return { world: stage.world, run: nothing };
  }),
  surveyCase("of a buddy heap", () => {
    const name = "leaving with own and shared blocks in several pages";
    const stage = prepareBuddy(scenarioOf(buddyScenarios, name), nothing);
    return { world: stage.world, run: nothing };
  }),
  surveyCase("of a first-fit heap", () => {
    const stage = prepareFit(scenarioOf(fitScenarios, "leaving with own blocks"));
    return { world: stage.world, run: nothing };
  }),
];

export const segmentCases: readonly CrashCase[] = [creation, ...participants, ...surveys];
