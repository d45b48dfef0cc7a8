/**
 * Every store of the buddy allocator is a point where its participant may die.
 *
 * Each operation is run, and its participant killed before its k-th change of shared memory, for every k; a survivor
 * recovers it, and then the heap must be, block by block and owner by owner, what it would be had the participant died
 * before the operation, or after it. Then the survivor is killed too, before each of its own changes, and a third one
 * recovers both.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { OK } from "../../src/layout/result.ts";
import {
  attend,
  checkDrain,
  checkRoom,
  checkSettled,
  holdingsOf,
  prepareBuddy,
} from "../helpers/buddy-check.ts";
import type { BuddyStage } from "../helpers/buddy-check.ts";
import { readBuddy } from "../helpers/buddy-oracle.ts";
import { ACTOR, allocOwned, OTHER, scenarios, SURVIVOR, THIRD } from "../helpers/buddy-scenarios.ts";
import type { Scenario } from "../helpers/buddy-scenarios.ts";
import { catchUp, stampAt } from "../helpers/core-check.ts";
import {
  enter,
  isWrite,
  makeTrigger,
  readSites,
  sitesSeen,
  snapshot,
  survives,
} from "../helpers/core-world.ts";

type Stage = BuddyStage<undefined>;

/** The accesses in `sites` that change memory, and the one behind the last: nobody dies. Of a long row the ends. */
function deaths(sites: readonly number[]): number[] {
  const isInside = (at: number): boolean =>
    [at - 2, at - 1, at + 1].every((near) => sites[near] === sites[at]);
  const found = sites.flatMap((site, at) => (isWrite(site) && !isInside(at) ? [at + 1] : []));
  return [...found, sites.length + 1];
}

/** Runs the operation from the prepared heap; its participant dies before access number `at` (0: it does not). */
function act(stage: Stage, at: number): { sites: readonly number[]; result: number } {
  stage.restore();
  const trigger = makeTrigger();
  const core = enter(stage.world, ACTOR, trigger);
  trigger.arm(at, "kill");
  let result = 0;
  survives(() => (result = stage.scenario.run(core, stage.cast, stage.world) >>> 0));
  return { sites: [...trigger.sites], result };
}

/** A participant recovers the dead; it dies itself before access number `at`. */
function recover(stage: Stage, slot: number, dead: readonly number[], at = 0): readonly number[] {
  const trigger = makeTrigger();
  const core = enter(stage.world, slot, trigger);
  catchUp(stage.world, core);
  trigger.arm(at, "kill");
  survives(() => {
    for (const index of dead) assert.equal(core.recoverSlot(index, 1), OK);
  });
  return [...trigger.sites];
}

/** What the heap may hold after the operation was cut short and recovered: what it would if it had not begun, or ended. */
function allowed(stage: Stage): Set<string> {
  const { world, scenario, cast } = stage;
  const ends = [undefined, (): void => void act(stage, 0), ...(scenario.between ?? [])];
  return new Set(
    ends.map((end) => {
      stage.restore();
      end?.(attend(world, ACTOR), cast);
      recover(stage, SURVIVOR, [ACTOR]);
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
  recover(stage, THIRD, dead);
  const { blocks, owners } = readBuddy(stage.world.memory.buffer);
  taken.forEach((handle, index) => {
    if (handle === 0) return;
    assert.ok(blocks.has(handle), `recovery freed block ${handle} of a live one`);
    assert.equal(owners.get(handle), index % 2 === 0 ? undefined : OTHER);
  });
  checkSettled(stage.world, dead);
}

function crashEverywhere(scenario: Scenario): void {
  const stage = prepareBuddy(scenario, () => undefined);
  const expected = allowed(stage);
  const { sites, result } = act(stage, 0);
  const { added, removed } = scenario.told(stage.cast, result);
  if (added !== undefined && removed !== undefined)
    assert.equal(stampAt(stage.world, added), removed, "the contents moved along");
  for (const at of deaths(sites)) {
    act(stage, at);
    const died = snapshot(stage.world);
    try {
      const recovery = recover(stage, SURVIVOR, [ACTOR]);
      check(stage, expected, SURVIVOR, [ACTOR]);
      for (const second of deaths(recovery)) {
        died();
        recover(stage, SURVIVOR, [ACTOR], second);
        const both = snapshot(stage.world);
        recover(stage, THIRD, [ACTOR, SURVIVOR]);
        check(stage, expected, THIRD, [ACTOR, SURVIVOR]);
        both();
        checkLatecomer(stage, [ACTOR, SURVIVOR]);
      }
    } catch (error) {
      const place = `died before access ${at} of ${sites.length}`;
      throw new Error(`${scenario.name}: ${place}: ${(error as Error).message}`, { cause: error });
    }
  }
}

describe("a participant of a buddy heap that dies at any store, and a recoverer that dies at any of its own", () => {
  for (const scenario of scenarios) {
    test(`lose nothing: ${scenario.name}`, () => crashEverywhere(scenario));
  }
});

test("the crash points reach every access that the buddy allocator can make", () => {
  const missed = [...readSites()].filter(([site]) => site >= 200 && site < 300 && !sitesSeen.has(site));
  assert.deepEqual(missed, []);
  assert.ok(
    [...readSites()].some(([site, name]) => name === "casHighWater" && sitesSeen.has(site)),
    "the high water mark was raised",
  );
});
