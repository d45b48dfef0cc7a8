/** The buddy allocator's operations for crash exhaustion (test/helpers/buddy-scenarios.ts), and how they are judged. */

import assert from "node:assert/strict";
import { OK } from "../src/layout/result.ts";
import {
  attend,
  checkDrain,
  checkRights,
  checkRoom,
  checkSettled,
  holdingsOf,
  prepareBuddy,
} from "../test/helpers/buddy-check.ts";
import type { BuddyStage } from "../test/helpers/buddy-check.ts";
import { readBuddy } from "../test/helpers/buddy-oracle.ts";
import {
  ACTOR,
  allocOwned,
  OTHER,
  scenarios,
  STOPPED,
  SURVIVOR,
  THIRD,
} from "../test/helpers/buddy-scenarios.ts";
import type { Scenario } from "../test/helpers/buddy-scenarios.ts";
import { stampAt } from "../test/helpers/core-check.ts";
import { enter } from "../test/helpers/core-world.ts";
import type { CrashScene } from "./crash.ts";
import type { CrashCase } from "./crash-cases.ts";

type Stage = BuddyStage<undefined>;

function recoverAll(stage: Stage, slot: number, dead: readonly number[]): void {
  const core = attend(stage.world, slot);
  for (const index of dead) assert.equal(core.recoverSlot(index, 1), OK);
}

/** What the heap may hold after the operation was cut short and recovered: what it would if it had not begun, or ended. */
function allowed(stage: Stage): Set<string> {
  const { world, scenario, cast } = stage;
  const whole = (): void => void scenario.run(enter(world, ACTOR), cast, world);
  const ends = [undefined, whole, ...(scenario.between ?? [])];
  return new Set(
    ends.map((end) => {
      stage.restore();
      end?.(attend(world, ACTOR), cast);
      recoverAll(stage, SURVIVOR, [ACTOR]);
      return holdingsOf(readBuddy(world.memory.buffer));
    }),
  );
}

/** The blocks that were there before and still are have their contents. */
function checkContents({ world, before, cast }: Stage): void {
  for (const [handle, sizeBytes] of readBuddy(world.memory.buffer).blocks) {
    if (!before.blocks.has(handle)) continue;
    assert.equal(stampAt(world, handle), handle, `block ${handle} begins as it did`);
    const isWhole = before.blocks.get(handle) === sizeBytes && handle !== cast["it"];
    if (isWhole) assert.equal(stampAt(world, handle + sizeBytes - 8), handle, "and ends so");
  }
}

function check(stage: Stage, expected: ReadonlySet<string>, slot: number, dead: readonly number[]): void {
  const found = holdingsOf(readBuddy(stage.world.memory.buffer));
  assert.ok(expected.has(found), `the heap holds ${found}, not one of\n${[...expected].join("\n")}`);
  checkSettled(stage.world, dead);
  checkContents(stage);
  const core = attend(stage.world, slot);
  checkRoom(stage.world, core);
  checkDrain(stage.world, core, slot);
}

/** Between the two deaths another participant allocates what is free by then, shared and owned: it keeps that. */
function checkLatecomer(stage: Stage, dead: readonly number[]): void {
  const other = attend(stage.world, OTHER);
  const taken = [8192, 2048, 2048].flatMap((size) => [other.alloc(size) >>> 0, allocOwned(other, size)]);
  recoverAll(stage, THIRD, dead);
  const { blocks, owners } = readBuddy(stage.world.memory.buffer);
  taken.forEach((handle, index) => {
    if (handle === 0) return;
    assert.ok(blocks.has(handle), `recovery freed block ${handle} of a live one`);
    assert.equal(owners.get(handle), index % 2 === 0 ? undefined : OTHER);
  });
  checkSettled(stage.world, dead);
}

function sceneOf(scenario: Scenario): CrashScene {
  const stage = prepareBuddy(scenario, () => undefined);
  const expected = allowed(stage);
  const { world, cast } = stage;
  const deadOf = (isSecond: boolean): readonly number[] => (isSecond ? [ACTOR, SURVIVOR] : [ACTOR]);
  return {
    world,
    restore: stage.restore,
    run(trigger, arm) {
      const core = enter(world, ACTOR, trigger);
      arm();
      return scenario.run(core, cast, world);
    },
    checkDone(result) {
      checkRights(world, [STOPPED]);
      const { added, removed } = scenario.told(cast, result);
      if (added !== undefined && removed !== undefined)
        assert.equal(stampAt(world, added), removed, "the contents moved along");
    },
    recoverers: [SURVIVOR, THIRD],
    recover(core, isSecond) {
      for (const index of deadOf(isSecond)) assert.equal(core.recoverSlot(index, 1), OK);
    },
    check: (_isDone, isSecond) => check(stage, expected, isSecond ? THIRD : SURVIVOR, deadOf(isSecond)),
    checkLatecomer: () => checkLatecomer(stage, deadOf(true)),
  };
}

export const buddyCases: readonly CrashCase[] = scenarios.map((scenario) => ({
  name: `buddy/${scenario.name}`,
  prepare: () => sceneOf(scenario),
}));
