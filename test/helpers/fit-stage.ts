/**
 * A first-fit scenario's heap, prepared once and put back as often as a test likes; and what must hold of it afterwards.
 */

import assert from "node:assert/strict";
import { ALLOCATOR_FIRST_FIT, PAGE_SIZE_BYTES } from "../../src/layout/header.ts";
import { LOCKED, OK } from "../../src/layout/result.ts";
import { PLAIN } from "../../src/region/geometry.ts";
import type { HeapCore } from "../../src/region/core.ts";
import { catchUp, stampAt, stampBlocks } from "./core-check.ts";
import { ACTOR } from "./core-scenario.ts";
import type { Cast, Scenario } from "./core-scenario.ts";
import { enter, makeWorld, snapshot } from "./core-world.ts";
import type { World } from "./core-world.ts";
import { verifyFit } from "./fit-check.ts";
import { readFit } from "./fit-oracle.ts";
import type { FitPicture } from "./fit-oracle.ts";
import { assertApart } from "./oracle.ts";

export interface FitStage {
  readonly world: World;
  readonly scenario: Scenario;
  readonly cast: Cast;
  readonly before: FitPicture;
  readonly restore: () => void;
}

/** A heap of two pages that may grow by two. */
export function makeFitWorld(): World {
  return makeWorld(2, 2, 4, { ...PLAIN, allocator: ALLOCATOR_FIRST_FIT });
}

/** Sets the scenario up. */
export function prepareFit(scenario: Scenario): FitStage {
  const world = makeFitWorld();
  const core = enter(world, ACTOR);
  const cast = scenario.setUp(world, core);
  const before = readFit(world.memory.buffer);
  assert.deepEqual(before.problems, [], "the set-up is sound");
  stampBlocks(world, before.blocks);
  return { world, scenario, cast, before, restore: snapshot(world) };
}

/** As `enter`, for a participant that has caught up with the segment's size. */
export function attendFit(world: World, slot: number): HeapCore {
  const core = enter(world, slot);
  catchUp(world, core);
  return core;
}

/**
 * Recovers slots of the dead. One of them may have died recovering another, in whose name the lock is held then: so once more
 * for those that could not be done.
 */
export function recoverAll(core: HeapCore, dead: readonly number[]): void {
  const left = dead.filter((index) => core.recoverSlot(index, 1) === LOCKED);
  for (const index of left) assert.equal(core.recoverSlot(index, 1), OK);
}

/** Nothing is half done, and nobody who is gone owns anything. */
export function checkSound(world: World, gone: readonly number[]): FitPicture {
  const picture = readFit(world.memory.buffer);
  assert.deepEqual(picture.problems, []);
  assert.deepEqual(verifyFit(world), []);
  assertApart(picture.blocks, world.memory.buffer.byteLength);
  for (const [handle, owner] of picture.owners)
    assert.ok(!gone.includes(owner - 1), `block ${handle} belongs to slot ${owner - 1}, which is gone`);
  for (const slot of gone)
    assert.equal(world.survey.slotState(slot) & 3, 0, `slot ${slot} can be taken again`);
  return picture;
}

/** Compares the blocks that there are with those that there were, and with what the operation may have done. */
export function checkFitBlocks(stage: FitStage, after: FitPicture, gone: readonly number[]): void {
  const { mayAdd = 0, mayLose = [], mayResize = [] } = stage.scenario.outcome(stage.cast);
  let lost = 0;
  for (const [handle, sizeBytes] of stage.before.blocks) {
    const now = after.blocks.get(handle);
    const isOrphan = gone.includes(stage.before.owners.get(handle)! - 1);
    if (now === undefined) {
      assert.ok(isOrphan || mayLose.includes(handle), `block ${handle} is lost`);
      if (mayLose.includes(handle)) lost++;
      continue;
    }
    const isSame = now === sizeBytes;
    assert.ok(isSame || mayResize.includes(handle), `block ${handle} had ${sizeBytes} bytes, has ${now}`);
    assert.equal(stampAt(stage.world, handle), handle, `block ${handle} begins as it did`);
    if (isSame) assert.equal(stampAt(stage.world, handle + sizeBytes - 8), handle, "and ends so");
  }
  const added = [...after.blocks.keys()].filter((handle) => !stage.before.blocks.has(handle)).length;
  assert.ok(added <= mayAdd, `${added} blocks came from nowhere`);
  if (mayLose.length > 0 && mayAdd > 0) assert.ok(added === 0 || lost === 1, "a moved block exists twice");
}

/** Everything is freed, everybody but `slot` leaves: the heap is one block, and can all be allocated. */
export function checkFitDrain(world: World, core: HeapCore, slot: number): void {
  for (let index = 0; index < world.geometry.slotCount; index++) {
    if (index !== slot) assert.equal(core.recoverSlot(index, 1), OK);
  }
  for (const handle of readFit(world.memory.buffer).blocks.keys())
    assert.equal(core.free(handle), OK, `free(${handle})`);
  const pages = core.sizePages();
  const most = pages * PAGE_SIZE_BYTES - world.geometry.dataOffset - 8;
  assert.equal(core.alloc(most) >>> 0, world.geometry.dataOffset + 8, "all of it can be allocated");
  assert.equal(core.free(world.geometry.dataOffset + 8), OK);
  assert.deepEqual(readFit(world.memory.buffer).all.length, 1);
  checkSound(world, []);
}
