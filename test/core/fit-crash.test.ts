/**
 * The first-fit core: every store is a point where its participant may die, or trap and live on.
 *
 * As crash.test.ts does for the slab: each operation is cut short before each of its changes of shared memory, a survivor
 * recovers, and is cut short before each of its own; afterwards an oracle that knows nothing of the core must find the state
 * before the operation or after it, and everything else in order.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { H_HEAP_LOCK } from "../../src/layout/header.ts";
import { LOCKED, OK } from "../../src/layout/result.ts";
import { catchUp, stampAt } from "../helpers/core-check.ts";
import { ACTOR, OTHER, SURVIVOR, THIRD } from "../helpers/core-scenario.ts";
import type { Scenario } from "../helpers/core-scenario.ts";
import {
  enter,
  isWrite,
  makeTrigger,
  readSites,
  sitesSeen,
  snapshot,
  survives,
} from "../helpers/core-world.ts";
import type { Trigger, World } from "../helpers/core-world.ts";
import { fitScenarios } from "../helpers/fit-scenarios.ts";
import {
  attendFit,
  checkFitBlocks,
  checkFitDrain,
  checkSound,
  prepareFit,
  recoverAll,
} from "../helpers/fit-stage.ts";
import type { FitStage } from "../helpers/fit-stage.ts";
import { readFit } from "../helpers/fit-oracle.ts";

/** The numbers of the accesses that change memory, and the one behind the last: nobody dies. */
function deaths(sites: readonly number[]): number[] {
  const isInside = (at: number): boolean =>
    [at - 2, at - 1, at + 1].every((near) => sites[near] === sites[at]);
  const found = sites.flatMap((site, at) => (isWrite(site) && !isInside(at) ? [at + 1] : []));
  return [...found, sites.length + 1];
}

interface Act {
  readonly isDone: boolean;
  readonly result: number;
  readonly sites: readonly number[];
}

/** Runs the operation from the prepared heap; its participant dies before access number `at`. */
function act(stage: FitStage, at: number): Act {
  stage.restore();
  const trigger = makeTrigger();
  const core = enter(stage.world, ACTOR, trigger);
  trigger.arm(at, "kill");
  let result = 0;
  const isDone = survives(() => (result = stage.scenario.run(core, stage.cast, stage.world) >>> 0));
  return { isDone, result, sites: [...trigger.sites] };
}

function recover(world: World, slot: number, dead: readonly number[], trigger?: Trigger, at = 0): void {
  const core = enter(world, slot, trigger);
  catchUp(world, core);
  trigger?.arm(at, "kill");
  survives(() => recoverAll(core, dead));
}

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

function check(stage: FitStage, slot: number, dead: readonly number[]): void {
  const picture = checkSound(stage.world, dead);
  checkFitBlocks(stage, picture, dead);
  checkFitDrain(stage.world, attendFit(stage.world, slot), slot);
}

function crashEverywhere(scenario: Scenario): void {
  const stage = prepareFit(scenario);
  const whole = act(stage, 0);
  assert.ok(whole.isDone);
  checkDone(stage, whole.result);
  for (const at of deaths(whole.sites)) {
    act(stage, at);
    const died = snapshot(stage.world);
    const place = `died before access ${at} of ${whole.sites.length}`;
    try {
      const trigger = makeTrigger();
      recover(stage.world, SURVIVOR, DEAD, trigger);
      check(stage, SURVIVOR, DEAD);
      for (const second of deaths(trigger.sites)) crashRecoverer(stage, died, second);
      died();
      checkSegmentOpener(stage);
    } catch (error) {
      throw new Error(`${scenario.name}: ${place}: ${(error as Error).message}`, { cause: error });
    }
  }
}

/** The survivor dies before its access number `at`; another one recovers everybody. */
function crashRecoverer(stage: FitStage, died: () => void, at: number): void {
  died();
  recover(stage.world, SURVIVOR, DEAD, makeTrigger(), at);
  const dead = [...DEAD, SURVIVOR];
  try {
    const taken = allocBetween(stage.world);
    recover(stage.world, OTHER, dead);
    const picture = checkSound(stage.world, dead);
    for (const handle of taken)
      assert.ok(picture.blocks.has(handle), `recovery freed block ${handle} of a live one`);
    if (taken.length === 0) checkFitBlocks(stage, picture, dead);
    checkFitDrain(stage.world, attendFit(stage.world, OTHER), OTHER);
  } catch (error) {
    throw new Error(`its recoverer died before access ${at}: ${(error as Error).message}`, { cause: error });
  }
}

/** Between the two deaths another participant allocates, unless a dead one has the lock: that is all it is told. */
function allocBetween(world: World): number[] {
  const other = attendFit(world, OTHER);
  const holder = new DataView(world.memory.buffer).getUint32(H_HEAP_LOCK, true);
  const handle = other.alloc(24) >>> 0;
  if (holder !== 0)
    assert.deepEqual([handle, other.lastError(), other.errorDetail()], [0, LOCKED, holder - 1]);
  return handle === 0 ? [] : [handle];
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

describe("a participant that dies at any store of a first-fit operation, and a recoverer that dies at its own", () => {
  for (const scenario of fitScenarios)
    test(`loses nothing: ${scenario.name}`, () => crashEverywhere(scenario));
});

test("the crash points reach every access of the first-fit core that an operation can make", (t) => {
  const all = [...readSites()].filter(([site]) => site >= 300 && site < 400);
  const missed = all.filter(([site]) => !sitesSeen.has(site)).map(([site, name]) => `${name} (${site})`);
  t.diagnostic(`${all.length - missed.length} of ${all.length} sites reached; not: ${missed.join(", ")}`);
  // What only the survey asks.
  assert.deepEqual(
    missed.filter((name) => !name.startsWith("loadFitChanges")),
    [],
  );
});

/** What an engine throws when the storage is gone: the participant lives. */
const trap = new Error("a trap");

function trapEverywhere(scenario: Scenario): void {
  const stage = prepareFit(scenario);
  const { sites } = act(stage, 0);
  for (const at of deaths(sites).slice(0, -1)) {
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
