/** The first-fit allocator's operations for crash exhaustion (test/helpers/fit-scenarios.ts), and how they are judged. */

import assert from "node:assert/strict";
import { H_HEAP_LOCK } from "../src/layout/header.ts";
import { LOCKED, OK } from "../src/layout/result.ts";
import { catchUp, stampAt } from "../test/helpers/core-check.ts";
import { ACTOR, OTHER, SURVIVOR, THIRD } from "../test/helpers/core-scenario.ts";
import type { Scenario } from "../test/helpers/core-scenario.ts";
import { enter } from "../test/helpers/core-world.ts";
import type { World } from "../test/helpers/core-world.ts";
import { fitScenarios } from "../test/helpers/fit-scenarios.ts";
import {
  attendFit,
  checkFitBlocks,
  checkFitDrain,
  checkSound,
  prepareFit,
  recoverAll,
} from "../test/helpers/fit-stage.ts";
import type { FitStage } from "../test/helpers/fit-stage.ts";
import { readFit } from "../test/helpers/fit-oracle.ts";
import type { CrashScene } from "./crash.ts";
import type { CrashCase } from "./crash-cases.ts";

/** Who may be dead when the actor is: it may have been recovering the third. */
const DEAD = [ACTOR, THIRD];

/** When nobody died: the operation did what it says. */
function checkDone({ world, scenario, cast }: FitStage, result: number): void {
  const { mayAdd = 0, mayLose = [], mayResize = [] } = scenario.outcome(cast);
  const after = readFit(world.memory.buffer);
  const [moved] = mayLose;
  if (mayAdd === 1) {
    assert.ok(after.blocks.has(result), "what was returned is allocated");
    if (moved === undefined || moved === result) return;
    assert.ok(!after.blocks.has(moved), "what was moved is free");
    assert.equal(stampAt(world, result), moved, "the contents moved along");
  } else if (scenario.name.startsWith("free") && moved !== undefined) {
    assert.ok(!after.blocks.has(moved), "what was freed is free");
  } else if (mayResize.length > 0) assert.equal(result, mayResize[0], "it was resized where it is");
}

/** Another participant allocates, unless a dead one has the lock: that is all it is told. */
function allocBetween(world: World): number[] {
  const other = attendFit(world, OTHER);
  const holder = new DataView(world.memory.buffer).getUint32(H_HEAP_LOCK, true);
  const handle = other.alloc(24) >>> 0;
  if (holder !== 0)
    assert.deepEqual([handle, other.lastError(), other.errorDetail()], [0, LOCKED, holder - 1]);
  return handle === 0 ? [] : [handle];
}

/** Between the two deaths another participant allocates; then it recovers everybody. */
function checkLatecomer({ world }: FitStage): void {
  const dead = [...DEAD, SURVIVOR];
  const taken = allocBetween(world);
  recoverAll(attendFit(world, OTHER), dead);
  const picture = checkSound(world, dead);
  for (const handle of taken)
    assert.ok(picture.blocks.has(handle), `recovery freed block ${handle} of a live one`);
  checkFitDrain(world, attendFit(world, OTHER), OTHER);
}

/** An opener recovers the dead before it has a slot of its own. */
function checkSegmentOpener(stage: FitStage): void {
  const { world } = stage;
  const core = enter(world, SURVIVOR);
  catchUp(world, core);
  assert.equal(core.recoverSlot(SURVIVOR, 0), OK);
  assert.equal(core.attach(), 0); // forgets its slot
  recoverAll(core, DEAD);
  checkFitBlocks(stage, checkSound(world, [...DEAD, SURVIVOR]), DEAD);
}

function sceneOf(scenario: Scenario): CrashScene {
  const stage = prepareFit(scenario);
  const { world, cast } = stage;
  const deadOf = (isSecond: boolean): readonly number[] => (isSecond ? [...DEAD, SURVIVOR] : DEAD);
  return {
    world,
    restore: stage.restore,
    run(trigger, arm) {
      const core = enter(world, ACTOR, trigger);
      arm();
      return scenario.run(core, cast, world);
    },
    checkDone: (result) => checkDone(stage, result),
    recoverers: [SURVIVOR, OTHER],
    recover: (core, isSecond) => recoverAll(core, deadOf(isSecond)),
    check(_isDone, isSecond) {
      const slot = isSecond ? OTHER : SURVIVOR;
      const picture = checkSound(world, deadOf(isSecond));
      checkFitBlocks(stage, picture, deadOf(isSecond));
      checkFitDrain(world, attendFit(world, slot), slot);
    },
    others: [() => checkSegmentOpener(stage)],
    checkLatecomer: () => checkLatecomer(stage),
  };
}

export const fitCases: readonly CrashCase[] = fitScenarios.map((scenario) => ({
  name: `first-fit/${scenario.name}`,
  prepare: () => sceneOf(scenario),
}));
