/**
 * Every store of the core is a point where its participant may die.
 *
 * Each operation is run, and its participant killed before its k-th change of shared memory, for every k; a survivor
 * recovers it, and then the heap must be in the state before the operation or after it, with no block or page lost. Then
 * the survivor is killed too, before each of its own changes, and a third one recovers both. (A death before a mere read
 * leaves the memory of the death before the next change, so those are the points that differ.)
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { OK } from "../../src/layout/result.ts";
import type { HeapCore } from "../../src/region/core.ts";
import {
  catchUp,
  checkBlocks,
  checkDrain,
  checkRoom,
  checkRoot,
  checkSettled,
  stampAt,
} from "../helpers/core-check.ts";
import { ACTOR, batches, OTHER, scenarios, SURVIVOR, THIRD } from "../helpers/core-scenarios.ts";
import type { Scenario } from "../helpers/core-scenarios.ts";
import { attend, prepare } from "../helpers/core-stage.ts";
import type { Stage } from "../helpers/core-stage.ts";
import {
  enter,
  isWrite,
  makeTrigger,
  readSites,
  sitesSeen,
  snapshot,
  survives,
} from "../helpers/core-world.ts";
import type { Trigger } from "../helpers/core-world.ts";
import { readHeap } from "../helpers/oracle.ts";

/**
 * The numbers of the accesses in `sites` that change memory, and the one behind the last: nobody dies. Of a long row of
 * the same store (a slot's sixty-four words are cleared) the first two and the last.
 */
function deaths(sites: readonly number[]): number[] {
  const isInside = (at: number): boolean =>
    [at - 2, at - 1, at + 1].every((near) => sites[near] === sites[at]);
  const found = sites.flatMap((site, at) => (isWrite(site) && !isInside(at) ? [at + 1] : []));
  return [...found, sites.length + 1];
}

/** Runs the operation from the prepared heap; its participant dies before access number `at`. True: it did not. */
function act(
  stage: Stage<undefined>,
  at: number,
): { isDone: boolean; result: number; sites: readonly number[] } {
  stage.restore();
  const trigger = makeTrigger();
  const core = enter(stage.world, ACTOR, trigger);
  trigger.arm(at, "kill");
  let result = 0;
  const isDone = survives(() => (result = stage.scenario.run(core, stage.cast, stage.world) >>> 0));
  return { isDone, result, sites: [...trigger.sites] };
}

function recover(stage: Stage<undefined>, slot: number, dead: readonly number[], trigger?: Trigger, at = 0) {
  const core = enter(stage.world, slot, trigger);
  catchUp(stage.world, core);
  trigger?.arm(at, "kill");
  const isDone = survives(() => {
    for (const index of dead) assert.equal(core.recoverSlot(index, 1), OK);
  });
  return { core, isDone, sites: trigger === undefined ? [] : [...trigger.sites] };
}

function check(
  stage: Stage<undefined>,
  slot: number,
  dead: readonly number[],
  isDone: boolean,
  core: HeapCore,
): void {
  const picture = checkBlocks(stage.world, stage.before, stage.scenario.outcome(stage.cast));
  checkSettled(stage.world, picture, dead);
  checkRoot(stage.world, core, slot, stage.cast, isDone);
  checkRoom(stage.world, core, slot, stage.scenario);
  checkDrain(stage.world, core, slot);
}

/** When nobody died: the operation did what it says. */
function checkDone(stage: Stage<undefined>, result: number): void {
  const { mayAdd = 0, mayLose = [] } = stage.scenario.outcome(stage.cast);
  const after = readHeap(stage.world.memory.buffer);
  if (mayAdd === 0) {
    for (const handle of mayLose) assert.ok(!after.blocks.has(handle), "what was freed is free");
    return;
  }
  assert.ok(after.blocks.has(result), "what was returned is allocated");
  const moved = mayLose[0];
  if (moved === undefined || moved === result) return;
  assert.ok(!after.blocks.has(moved), "what was moved is free");
  assert.equal(stampAt(stage.world, result), moved, "the contents moved along");
}

/** The same heap in the hands of others: whoever frees in what the dead one left, and whoever lived all along. */
function checkOthers(stage: Stage<undefined>, recovered: () => void): void {
  const { world, scenario, cast } = stage;
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

function crashEverywhere(scenario: Scenario): void {
  const stage = prepare(scenario, () => undefined);
  const whole = act(stage, 0);
  assert.ok(whole.isDone);
  checkDone(stage, whole.result);
  for (const at of deaths(whole.sites)) {
    const { isDone } = act(stage, at);
    const died = snapshot(stage.world);
    const place = `died before access ${at} of ${whole.sites.length}`;
    try {
      const trigger = makeTrigger();
      const first = recover(stage, SURVIVOR, [ACTOR], trigger);
      checkOthers(stage, snapshot(stage.world));
      died();
      recover(stage, SURVIVOR, [ACTOR]);
      check(stage, SURVIVOR, [ACTOR], isDone, first.core);
      for (const second of deaths(first.sites)) crashRecoverer(stage, died, second, isDone);
    } catch (error) {
      throw new Error(`${scenario.name}: ${place}: ${(error as Error).message}`, { cause: error });
    }
  }
}

/** The survivor dies before its access number `at`; a third participant recovers it and whom it was recovering. */
function crashRecoverer(stage: Stage<undefined>, died: () => void, at: number, isDone: boolean): void {
  died();
  recover(stage, SURVIVOR, [ACTOR], makeTrigger(), at);
  const dead = [ACTOR, SURVIVOR];
  try {
    const both = snapshot(stage.world);
    check(stage, THIRD, dead, isDone, recover(stage, THIRD, dead).core);
    both();
    checkLatecomer(stage, dead);
  } catch (error) {
    throw new Error(`its recoverer died before access ${at}: ${(error as Error).message}`, { cause: error });
  }
}

/** Between the two deaths another participant allocates what is free by then: it keeps that. */
function checkLatecomer(stage: Stage<undefined>, dead: readonly number[]): void {
  const other = attend(stage.world, OTHER);
  const taken = [65536, 131072, 1024]
    .map((sizeBytes) => other.alloc(sizeBytes) >>> 0)
    .filter((handle) => handle !== 0);
  recover(stage, THIRD, dead);
  const picture = readHeap(stage.world.memory.buffer);
  for (const handle of taken)
    assert.ok(picture.blocks.has(handle), `recovery freed block ${handle} of a live one`);
  checkSettled(stage.world, picture, dead);
}

describe("a participant that dies at any store of an operation, and a recoverer that dies at any of its own", () => {
  for (const scenario of [...scenarios, ...batches]) {
    test(`loses nothing: ${scenario.name}`, () => crashEverywhere(scenario));
  }
});

test("the crash points reach every access of the core that an operation can make", (t) => {
  // Those of the other allocators are their own tests' to reach.
  const all = new Map([...readSites()].filter(([site]) => site < 200));
  // The header's life before `ready` is told by creation's own tests; the rest are questions of the survey.
  const elsewhere =
    /^(setHeader|getHeader|(load|store)SegmentState|getSlotNumber|getSlotWord|loadRecoveries|loadGrowths|(load|cas)HighWater)$/;
  const missed = [...all].filter(([site]) => !sitesSeen.has(site)).map(([site, name]) => `${name} (${site})`);
  t.diagnostic(`${all.size - missed.length} of ${all.size} sites reached; not: ${missed.join(", ")}`);
  assert.deepEqual(
    missed.filter((name) => !elsewhere.test(name.split(" ")[0]!)),
    [],
  );
});
