/** The slab allocator's operations for crash exhaustion (test/helpers/core-scenarios.ts), and how they are judged. */

import assert from "node:assert/strict";
import { OK } from "../src/layout/result.ts";
import {
  catchUp,
  checkBlocks,
  checkDrain,
  checkRoom,
  checkRoot,
  checkSettled,
  stampAt,
} from "../test/helpers/core-check.ts";
import { ACTOR, allocOwn, OTHER, SURVIVOR, THIRD } from "../test/helpers/core-scenario.ts";
import type { Scenario } from "../test/helpers/core-scenario.ts";
import { batches, scenarios } from "../test/helpers/core-scenarios.ts";
import { attend, prepare } from "../test/helpers/core-stage.ts";
import type { Stage } from "../test/helpers/core-stage.ts";
import { enter, snapshot } from "../test/helpers/core-world.ts";
import { readHeap } from "../test/helpers/oracle.ts";
import type { CrashScene } from "./crash.ts";
import type { CrashCase } from "./crash-cases.ts";

/** When nobody died: the operation did what it says. */
function checkDone(stage: Stage<undefined>, result: number): void {
  const outcome = stage.scenario.outcome(stage.cast);
  const { mayAdd = 0, mayLose = [], mayAdopt, mayShare, isOwned = false } = outcome;
  const after = readHeap(stage.world.memory.buffer);
  const owners = [mayAdopt, mayShare].map((handle) => after.owners.get(handle ?? 0));
  assert.deepEqual(owners, [mayAdopt === undefined ? undefined : ACTOR, undefined], "it changed hands");
  if (mayAdd === 0) {
    for (const handle of mayLose) assert.ok(!after.blocks.has(handle), "what was freed is free");
    return;
  }
  assert.ok(after.blocks.has(result), "what was returned is allocated");
  assert.equal(after.owners.get(result), isOwned ? ACTOR : undefined, "and owned, or shared");
  const moved = mayLose[0];
  if (moved === undefined || moved === result) return;
  assert.ok(!after.blocks.has(moved), "what was moved is free");
  assert.equal(stampAt(stage.world, result), moved, "the contents moved along");
}

function check(stage: Stage<undefined>, slot: number, dead: readonly number[], isDone: boolean): void {
  const { world, scenario } = stage;
  const picture = checkBlocks(world, stage.before, scenario.outcome(stage.cast), dead);
  checkSettled(world, picture, dead);
  const core = attend(world, slot);
  checkRoot(world, core, slot, stage.cast, isDone);
  checkRoom(world, core, slot, scenario);
  checkDrain(world, core, slot);
}

function recoverAll(stage: Stage<undefined>, slot: number, dead: readonly number[]): void {
  const core = enter(stage.world, slot);
  catchUp(stage.world, core);
  for (const index of dead) assert.equal(core.recoverSlot(index, 1), OK);
}

/** The same heap in the hands of others: whoever frees in what the dead one left, and whoever lived all along. */
function checkOthers(stage: Stage<undefined>): void {
  const { world, scenario, cast } = stage;
  recoverAll(stage, SURVIVOR, [ACTOR]);
  const recovered = snapshot(world);
  for (const name of ["kept", "last"]) {
    const handle = cast[name];
    if (handle === undefined) continue;
    recovered();
    const survivor = attend(world, SURVIVOR);
    assert.equal(survivor.free(handle), OK);
    checkRoom(world, survivor, SURVIVOR, scenario);
  }
  recovered();
  checkRoom(world, attend(world, OTHER), OTHER, scenario);
}

/** Between the two deaths another participant allocates what is free by then: it keeps that. */
function checkLatecomer(stage: Stage<undefined>, dead: readonly number[]): void {
  const other = attend(stage.world, OTHER);
  const taken = [65536, 131072, 1024]
    .map((sizeBytes) => other.alloc(sizeBytes) >>> 0)
    .filter((handle) => handle !== 0);
  const own = [1024, 65536].map((sizeBytes) => allocOwn(other, sizeBytes)).filter((handle) => handle !== 0);
  recoverAll(stage, THIRD, dead);
  const picture = readHeap(stage.world.memory.buffer);
  for (const handle of taken)
    assert.ok(picture.blocks.has(handle), `recovery freed block ${handle} of a live one`);
  for (const handle of own)
    assert.equal(picture.owners.get(handle), OTHER, `recovery freed block ${handle}, a live one's own`);
  checkSettled(stage.world, picture, dead);
}

function sceneOf(scenario: Scenario): CrashScene {
  const stage = prepare(scenario, () => undefined);
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
    checkDone: (result) => checkDone(stage, result),
    recoverers: [SURVIVOR, THIRD],
    recover(core, isSecond) {
      for (const index of deadOf(isSecond)) assert.equal(core.recoverSlot(index, 1), OK);
    },
    check: (isDone, isSecond) => check(stage, isSecond ? THIRD : SURVIVOR, deadOf(isSecond), isDone),
    others: [() => checkOthers(stage)],
    checkLatecomer: () => checkLatecomer(stage, deadOf(true)),
  };
}

export const slabCases: readonly CrashCase[] = [...scenarios, ...batches].map((scenario) => ({
  name: `slab/${scenario.name}`,
  prepare: () => sceneOf(scenario),
}));
