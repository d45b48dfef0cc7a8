/**
 * A participant of a first-fit heap that traps in the middle of an operation, and lives on: its next call puts right what it
 * left. (That it may die there is put through in test/proof/crash.test.ts.)
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OK } from "../../src/layout/result.ts";
import { ACTOR, SURVIVOR, THIRD } from "../helpers/core-scenario.ts";
import type { Scenario } from "../helpers/core-scenario.ts";
import { enter, isWrite, makeTrigger, survives } from "../helpers/core-world.ts";
import { fitScenarios } from "../helpers/fit-scenarios.ts";
import { attendFit, checkFitBlocks, checkSound, prepareFit, recoverAll } from "../helpers/fit-stage.ts";

/** Who may be dead when the actor is: it may have been recovering the third. */
const DEAD = [ACTOR, THIRD];

/** What an engine throws when the storage is gone: the participant lives. */
const trap = new Error("a trap");

function trapEverywhere(scenario: Scenario): void {
  const stage = prepareFit(scenario);
  const whole = makeTrigger();
  const actor = enter(stage.world, ACTOR, whole);
  whole.arm(0, "kill");
  assert.ok(survives(() => void scenario.run(actor, stage.cast, stage.world)));
  const sites = [...whole.sites];
  for (let at = 1; at <= sites.length; at++) {
    if (!isWrite(sites[at - 1]!)) continue;
    stage.restore();
    const trigger = makeTrigger();
    const core = enter(stage.world, ACTOR, trigger);
    trigger.arm(at, () => {
      throw trap;
    });
    assert.throws(() => scenario.run(core, stage.cast, stage.world), trap);
    try {
      // Its next call finishes or undoes what the trap has left, whatever the call is about.
      assert.notEqual(core.share(0x7fff_fff8), OK);
      const handle = core.alloc(16);
      if (handle !== 0) assert.equal(core.free(handle), OK);
      checkSound(stage.world, []);
      // The copy that a move had begun with is its own until it leaves.
      recoverAll(attendFit(stage.world, SURVIVOR), DEAD);
      checkFitBlocks(stage, checkSound(stage.world, DEAD), DEAD);
    } catch (error) {
      const place = `trapped before access ${at} of ${sites.length}`;
      throw new Error(`${scenario.name}: ${place}: ${(error as Error).message}`, { cause: error });
    }
  }
}

/** Not those that end the participant, and those that recover another: the trap leaves the lock in that one's name. */
test("a participant that traps at any store and lives on puts right what it left", () => {
  for (const scenario of fitScenarios) {
    if (!/^(leaving|recovering)/.test(scenario.name)) trapEverywhere(scenario);
  }
});
