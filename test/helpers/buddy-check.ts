/**
 * What must hold of a buddy heap after an operation was cut short, or overtaken, and the dead were recovered.
 */

import assert from "node:assert/strict";
import { DOUBLE_FREE, NEED_PAGES, OK } from "../../src/layout/result.ts";
import type { HeapCore } from "../../src/region/core.ts";
import { readBuddy } from "./buddy-oracle.ts";
import type { BuddyPicture } from "./buddy-oracle.ts";
import { makeBuddyWorld } from "./buddy-scenarios.ts";
import type { Cast, Scenario } from "./buddy-scenarios.ts";
import { catchUp, stampBlocks } from "./core-check.ts";
import { enter, snapshot } from "./core-world.ts";
import type { World } from "./core-world.ts";
import { assertApart } from "./oracle.ts";

/** A scenario's heap, prepared once and put back as often as a test likes. */
export interface BuddyStage<Props> {
  readonly world: World;
  readonly scenario: Scenario;
  readonly cast: Cast;
  readonly props: Props;
  readonly before: BuddyPicture;
  readonly restore: () => void;
}

/** Sets the scenario up, and whatever `more` adds. */
export function prepareBuddy<Props>(
  scenario: Scenario,
  more: (world: World, cast: Cast) => Props,
): BuddyStage<Props> {
  const world = makeBuddyWorld();
  const cast = scenario.setUp(world, enter(world, 0));
  const props = more(world, cast);
  const before = readBuddy(world.memory.buffer);
  stampBlocks(world, before.blocks);
  return { world, scenario, cast, props, before, restore: snapshot(world) };
}

/** As `enter`, for a participant that has caught up with the segment's size. */
export function attend(world: World, slot: number): HeapCore {
  const core = enter(world, slot);
  catchUp(world, core);
  return core;
}

/** What the core's own verification and the second opinion find wrong. */
export function problemsOf(world: World): string[] {
  const { survey, geometry } = world;
  const found = [...readBuddy(world.memory.buffer).faults];
  for (let page = geometry.dataOffset / 65536; page < geometry.spanPages; page++) {
    const problem = survey.verifyBuddyPage(page);
    if (problem !== OK) found.push(`page ${page}: problem ${problem} at ${survey.errorDetail()}`);
  }
  for (let index = 0; index < geometry.slotCount; index++)
    if (survey.verifySlot(index) !== OK) found.push(`slot ${index}`);
  return found;
}

/** The blocks and who owns them, for comparing. */
export function holdingsOf({ blocks, owners }: BuddyPicture): string {
  return [...blocks].map(([handle, size]) => `${handle}+${size}@${owners.get(handle) ?? "shared"}`).join(" ");
}

/** After recovery nothing is half done, and nobody who is gone owns anything or has the right to. */
export function checkSettled(world: World, gone: readonly number[]): void {
  assert.deepEqual(problemsOf(world), []);
  const picture = readBuddy(world.memory.buffer);
  assertApart(picture.blocks, world.memory.buffer.byteLength);
  for (const [handle, slot] of [...picture.owners, ...picture.rights])
    assert.ok(!gone.includes(slot), `leaf ${handle} belongs to slot ${slot}, which is gone`);
  for (const slot of gone)
    assert.equal(world.survey.slotState(slot) & 3, 0, `slot ${slot} can be taken again`);
}

/** `core` can use all the room that there is: every leaf, and each once. */
export function checkRoom(world: World, core: HeapCore): void {
  const { blocks, freeLeaves, leafBytes } = readBuddy(world.memory.buffer);
  const seen = new Map(blocks);
  let count = 0;
  for (let handle = core.alloc(leafBytes); handle !== 0; handle = core.alloc(leafBytes)) {
    assert.ok(!seen.has(handle >>> 0), `block ${handle >>> 0} was given out twice`);
    seen.set(handle >>> 0, leafBytes);
    count++;
  }
  assert.equal(core.lastError(), NEED_PAGES);
  assertApart(seen, world.memory.buffer.byteLength);
  assert.equal(count, freeLeaves, "all the room that there is can be allocated");
}

/** Everything shared is freed and everybody leaves: not a bit may stay behind. */
export function checkDrain(world: World, core: HeapCore, slot: number): void {
  const { blocks, owners } = readBuddy(world.memory.buffer);
  for (const handle of blocks.keys()) {
    if (owners.has(handle)) continue;
    assert.equal(core.free(handle), OK, `free(${handle})`);
    assert.equal(core.free(handle), DOUBLE_FREE, `free(${handle}) again`);
  }
  for (let index = 0; index < world.geometry.slotCount; index++) {
    if (index !== slot) assert.equal(core.recoverSlot(index, 1), OK);
  }
  assert.equal(core.recoverSlot(slot, 0), OK);
  const picture = readBuddy(world.memory.buffer);
  assert.deepEqual([picture.blocks.size, picture.rights.size, picture.faults], [0, 0, []]);
}
