/**
 * What a scenario is: one operation of the core, with a heap in which it takes one particular path; and what its set-ups
 * are made of.
 *
 * Slots: 0 the participant that acts, 1 another that lives, 2 the survivor who recovers and checks, 3 for participants
 * that have left or died before, 4 for one that is dead and waits to be recovered.
 */

import assert from "node:assert/strict";
import { OK } from "../../src/layout/result.ts";
import type { HeapCore } from "../../src/region/core.ts";
import { enter } from "./core-world.ts";
import type { World } from "./core-world.ts";

export const ACTOR = 0;
export const OTHER = 1;
export const SURVIVOR = 2;
export const THIRD = 3;
export const DEAD = 4;

/** What the set-up leaves for the operation: handles by name, or lists of them. */
export type Cast = Readonly<Record<string, number>>;

/** What may have become of the allocated blocks when the operation was cut short, or done. */
export interface Outcome {
  /** This many blocks may have come, all or none. */
  readonly mayAdd?: number;
  /** Blocks that may be gone. */
  readonly mayLose?: readonly number[];
  /** Blocks whose size may have changed. */
  readonly mayResize?: readonly number[];
  /** The blocks that come are the actor's own: its death frees them. */
  readonly isOwned?: boolean;
  /** A block that the actor may have made its own. */
  readonly mayAdopt?: number;
  /** A slot whose blocks may be gone with it. */
  readonly leaves?: number;
  /** A block of the actor's that may be shared now. */
  readonly mayShare?: number;
}

/** One operation in one situation. */
export interface Scenario {
  readonly name: string;
  /** Prepares the heap; `core` is the actor's. */
  setUp(world: World, core: HeapCore): Cast;
  /** The operation; what it returns is checked to be what the heap shows afterwards when it was not cut short. */
  run(core: HeapCore, cast: Cast, world: World): number;
  outcome(cast: Cast): Outcome;
  /** The block size that the check fills the heap with afterwards; the class that the operation worked on. */
  readonly fillBytes?: number;
}

/** Allocates `count` blocks; the first and the last are in the result. */
export function allocMany(core: HeapCore, count: number, sizeBytes: number): number[] {
  return Array.from({ length: count }, () => {
    const handle = core.alloc(sizeBytes) >>> 0;
    assert.notEqual(handle, 0, "the set-up has room");
    return handle;
  });
}

/** An own block of the participant whose core it is. */
export function allocOwn(core: HeapCore, sizeBytes: number, alignmentBytes = 0): number {
  return core.allocWith(sizeBytes, alignmentBytes, 1, 0) >>> 0;
}

/** Makes blocks the participant's own. */
export function adoptAll(core: HeapCore, handles: readonly number[]): void {
  for (const handle of handles) assert.equal(core.adopt(handle), OK, "the set-up has room");
}

export function must(handle: number): number {
  assert.notEqual(handle, 0, "the set-up has room");
  return handle >>> 0;
}

/** A participant that allocates and leaves: its page is an orphan with room. Returns its blocks. */
export function leaveOrphan(world: World, count: number, sizeBytes: number): number[] {
  const third = enter(world, THIRD);
  const blocks = allocMany(third, count, sizeBytes);
  third.recoverSlot(THIRD, 0);
  return blocks;
}

/** Takes all free pages away, in runs of one. Returns the first. */
export function takeAllPages(core: HeapCore): number {
  let first = 0;
  for (let handle = core.alloc(65536); handle !== 0; handle = core.alloc(65536))
    first = first === 0 ? handle >>> 0 : first;
  return first;
}

/** 64 blocks to a page, one bitmap word in the descriptor. */
export const K = 1024;
/** 127 blocks to a page, two bitmap words, in the page. */
export const H = 512;
