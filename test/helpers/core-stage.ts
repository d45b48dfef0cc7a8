/**
 * A scenario's heap, prepared once and put back as often as a test likes.
 */

import { catchUp, stampBlocks } from "./core-check.ts";
import { ACTOR } from "./core-scenario.ts";
import type { Cast, Scenario } from "./core-scenario.ts";
import { enter, makeWorld, snapshot } from "./core-world.ts";
import type { World } from "./core-world.ts";
import type { HeapCore } from "../../src/region/core.ts";
import { readHeap } from "./oracle.ts";
import type { HeapPicture } from "./oracle.ts";

export interface Stage<Props> {
  readonly world: World;
  readonly scenario: Scenario;
  readonly cast: Cast;
  /** What else the test has prepared. */
  readonly props: Props;
  readonly before: HeapPicture;
  readonly restore: () => void;
}

/** Sets the scenario up, and whatever `more` adds. */
export function prepare<Props>(
  scenario: Scenario,
  more: (world: World, core: HeapCore) => Props,
): Stage<Props> {
  const world = makeWorld(8, 4, 5);
  const core = enter(world, ACTOR);
  const cast = scenario.setUp(world, core);
  const props = more(world, core);
  const before = readHeap(world.memory.buffer);
  stampBlocks(world, before.blocks);
  return { world, scenario, cast, props, before, restore: snapshot(world) };
}

/** As `enter`, for a participant that has caught up with the segment's size. */
export function attend(world: World, slot: number): HeapCore {
  const core = enter(world, slot);
  catchUp(world, core);
  return core;
}
