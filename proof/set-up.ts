/** How the heap of a race is set up: sizes of blocks, and what its participants, and one who is dead, have done before. */

import assert from "node:assert/strict";
import { OK } from "../src/layout/result.ts";
import type { HeapCore } from "../src/region/core.ts";
import { enter, makeTrigger, survives } from "../test/helpers/core-world.ts";
import type { World } from "../test/helpers/core-world.ts";
import type { HeapKind } from "./heaps.ts";
import { writeName } from "./operations.ts";

/** A slot whose participant is dead. */
export const DEAD = 4;
/** Another one. */
export const DEAD_TOO = 3;

export interface Sizes {
  /** A block that shares its page, chunk or tree word with others, and the next larger one. */
  readonly small: number;
  readonly larger: number;
  /** One that does not. */
  readonly large: number;
  readonly largest: number;
}

export const sizesOf: Readonly<Record<HeapKind, Sizes>> = {
  slab: { small: 16384, larger: 32768, large: 65536, largest: 2 * 65536 },
  buddy: { small: 2048, larger: 4096, large: 8192, largest: 16384 },
  "first-fit": { small: 104, larger: 600, large: 3000, largest: 9000 },
};

/** Pages for blocks. */
export const pagesOf: Readonly<Record<HeapKind, number>> = { slab: 8, buddy: 3, "first-fit": 1 };

export function must(handle: number): number {
  assert.notEqual(handle, 0, "the set-up has room");
  return handle >>> 0;
}

export function allocOwned(core: HeapCore, sizeBytes: number): number {
  const handle = core.allocWith(sizeBytes, 0, 1, 0);
  if (handle !== 0) return handle >>> 0;
  core.noteStorage(core.errorDetail());
  return must(core.allocWith(sizeBytes, 0, 1, 0));
}

/** A participant that dies before its access number `at`. */
export function dieAt(world: World, slot: number, at: number, step: (core: HeapCore) => void): void {
  const trigger = makeTrigger();
  const core = enter(world, slot, trigger);
  trigger.arm(at, "kill");
  assert.ok(!survives(() => step(core)), `the step makes more than ${at} accesses`);
}

export function nameRoot(world: World, slot: number, core: HeapCore, name: string, handle: number): void {
  assert.equal(core.lockRoots(), OK);
  assert.equal(core.rootSet(writeName(world, slot, name), handle, 0), OK);
  core.unlockRoots();
}
