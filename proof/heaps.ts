/**
 * The heaps of the proof: small, one for each allocator, and what can be said of any of them.
 */

import assert from "node:assert/strict";
import {
  ALLOCATOR_BUDDY,
  ALLOCATOR_FIRST_FIT,
  ALLOCATOR_SLAB,
  H_ROOT_COUNT,
  H_SIZE_PAGES,
  PAGE_SIZE_BYTES,
} from "../src/layout/header.ts";
import { OK } from "../src/layout/result.ts";
import { SLOT_LIVE, SLOT_STATE_MASK } from "../src/layout/slot.ts";
import { PLAIN } from "../src/region/geometry.ts";
import type { Contents } from "../src/region/geometry.ts";
import type { HeapCore } from "../src/region/core.ts";
import * as buddyCheck from "../test/helpers/buddy-check.ts";
import { readBuddy } from "../test/helpers/buddy-oracle.ts";
import { checkDrain, checkRoom, checkSettled, verifyWorld } from "../test/helpers/core-check.ts";
import { makeWorld } from "../test/helpers/core-world.ts";
import type { World } from "../test/helpers/core-world.ts";
import { verifyFit } from "../test/helpers/fit-check.ts";
import { readFit } from "../test/helpers/fit-oracle.ts";
import { checkFitDrain, checkSound } from "../test/helpers/fit-stage.ts";
import { assertApart, readHeap } from "../test/helpers/oracle.ts";
import type { ModelBlock } from "./model.ts";
import { writeName } from "./operations.ts";

export type HeapKind = "slab" | "buddy" | "first-fit";

export const heapKinds: readonly HeapKind[] = ["slab", "buddy", "first-fit"];

/** Names of roots: a heap of the proof has places for two. */
export const rootNames = ["one", "two"];

/** Participants, then who recovers, and one more. */
export const SLOT_COUNT = 6;

const contents: Readonly<Record<HeapKind, Contents>> = {
  slab: { ...PLAIN, allocator: ALLOCATOR_SLAB },
  // A maximal block of eight leaves of 2 KiB.
  buddy: { ...PLAIN, allocator: ALLOCATOR_BUDDY, minShift: 11, maxShift: 14 },
  "first-fit": { ...PLAIN, allocator: ALLOCATOR_FIRST_FIT },
};

/** A heap with few pages and two roots, and a page of the memory behind it for the participants' stacks. */
export function makeHeap(
  kind: HeapKind,
  dataPages: number,
  sparePages: number,
  slotCount = SLOT_COUNT,
): World {
  const world = makeWorld(dataPages, sparePages, slotCount, contents[kind], 1);
  new DataView(world.memory.buffer).setUint32(H_ROOT_COUNT, 2, true);
  world.survey.attach();
  return { ...world, geometry: { ...world.geometry, rootCount: 2 } };
}

export const sizePagesOf = ({ memory }: World): number =>
  new DataView(memory.buffer).getUint32(H_SIZE_PAGES, true);

type Blocks = ReadonlyMap<number, ModelBlock>;

function withOwners(
  blocks: ReadonlyMap<number, number>,
  ownerOf: (handle: number) => number | undefined,
): Blocks {
  return new Map([...blocks].map(([handle, sizeBytes]) => [handle, { sizeBytes, owner: ownerOf(handle) }]));
}

/** The blocks that there are, read from raw memory; they are apart. */
export function blocksOf(kind: HeapKind, world: World): Blocks {
  const { buffer } = world.memory;
  if (kind === "slab") {
    const { blocks, owners } = readHeap(buffer);
    assertApart(blocks, sizePagesOf(world) * PAGE_SIZE_BYTES);
    return withOwners(blocks, (handle) => owners.get(handle));
  }
  if (kind === "buddy") {
    const { blocks, owners } = readBuddy(buffer);
    assertApart(blocks, sizePagesOf(world) * PAGE_SIZE_BYTES);
    return withOwners(blocks, (handle) => owners.get(handle));
  }
  const { blocks, owners } = readFit(buffer);
  assertApart(blocks, sizePagesOf(world) * PAGE_SIZE_BYTES);
  return withOwners(blocks, (handle) => {
    const owner = owners.get(handle) ?? 0;
    return owner === 0 ? undefined : owner - 1;
  });
}

/** The heap at rest is sound; the rings of the slots in `atRest` too. */
export function checkHeap(kind: HeapKind, world: World, atRest: readonly number[]): void {
  if (kind === "slab") assert.deepEqual(verifyWorld(world, atRest), []);
  else if (kind === "buddy") {
    assert.deepEqual(buddyCheck.problemsOf(world), []);
  } else {
    assert.deepEqual(readFit(world.memory.buffer).problems, []);
    assert.deepEqual(verifyFit(world), []);
  }
}

/** `core`, in slot `slot`, can use all the room that is its own or nobody's. Fills the heap. */
export function checkRoomOf(kind: HeapKind, world: World, core: HeapCore, slot: number): void {
  // A slot that was left is nobody's to allocate in.
  if ((world.survey.slotState(slot) & SLOT_STATE_MASK) !== SLOT_LIVE) return;
  if (kind === "slab") checkRoom(world, core, slot, { fillBytes: 16384 });
  else if (kind === "buddy") buddyCheck.checkRoom(world, core);
}

/** Everybody in `gone` was recovered: nothing is left of them. */
export function checkGone(kind: HeapKind, world: World, gone: readonly number[]): void {
  if (kind === "slab") checkSettled(world, readHeap(world.memory.buffer), gone);
  else if (kind === "buddy") buddyCheck.checkSettled(world, gone);
  else checkSound(world, gone);
}

/** `core`, in slot `slot`, frees everything and everybody leaves: nothing may stay behind. Destroys the heap. */
export function checkEmptiable(kind: HeapKind, world: World, core: HeapCore, slot: number): void {
  assert.equal(core.lockRoots(), OK);
  for (const name of rootNames) core.rootSet(writeName(world, slot, name), 0, 0);
  core.unlockRoots();
  if (kind === "slab") checkDrain(world, core, slot);
  else if (kind === "buddy") buddyCheck.checkDrain(world, core, slot);
  else checkFitDrain(world, core, slot);
}
