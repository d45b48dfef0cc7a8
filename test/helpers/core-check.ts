/**
 * What must hold of a heap after an operation was cut short, or overtaken, and the dead were recovered.
 */

import assert from "node:assert/strict";
import { PAGE_SIZE_BYTES } from "../../src/layout/header.ts";
import {
  CLASS_LAST,
  PAGE_BODY,
  PAGE_FREE,
  PAGE_HOLLOW,
  PAGE_OWNERS,
  PAGE_RUN,
} from "../../src/layout/page.ts";
import { NEED_PAGES, NOT_OWNER, OK } from "../../src/layout/result.ts";
import type { HeapCore, SlabCore, Survey } from "../../src/region/core.ts";
import { passName } from "./core-world.ts";
import type { World } from "./core-world.ts";
import { assertApart, readHeap, SLAB_KINDS } from "./oracle.ts";
import type { HeapPicture } from "./oracle.ts";
import type { Cast, Outcome, Scenario } from "./core-scenario.ts";

/** Every problem that the core's own verification finds; rings of the slots in `atRest` included. */
export function verifyWorld(world: World, atRest: readonly number[] = []): string[] {
  const { survey, geometry } = world;
  const problems: string[] = [];
  const note = (what: string, problem: number): void => {
    if (problem !== OK) problems.push(`${what}: problem ${problem}`);
  };
  const end = survey.endPage();
  for (let index = survey.firstPage(); index < end; index += Math.max(survey.pagesAt(index), 1)) {
    note(`page ${index}`, survey.verifyPage(index));
  }
  for (let index = 0; index < geometry.slotCount; index++) note(`slot ${index}`, survey.verifySlot(index));
  for (let index = 0; index < geometry.rootCount; index++) note(`root ${index}`, survey.verifyRoot(index));
  note("the roots lock", survey.verifyRootsLock());
  for (const slot of atRest) problems.push(...verifyRings(survey, readHeap(world.memory.buffer), slot));
  return problems;
}

function verifyRings(survey: Survey, picture: HeapPicture, slot: number): string[] {
  const problems: string[] = [];
  for (let sizeClass = 1; sizeClass <= CLASS_LAST; sizeClass++) {
    const own = picture.pages.filter(
      (one) => SLAB_KINDS.includes(one.kind) && one.owner === slot && one.sizeClass === sizeClass,
    );
    const length = survey.verifyRing(slot, sizeClass);
    if (length !== own.length)
      problems.push(`slot ${slot}, class ${sizeClass}: ${own.length} pages, ring ${length}`);
  }
  return problems;
}

/** Makes this memory as large as the segment is. */
export function catchUp(world: World, core: HeapCore): void {
  const missing = core.sizePages() - world.memory.buffer.byteLength / PAGE_SIZE_BYTES;
  if (missing > 0) world.memory.grow(missing);
}

const stampBytes = 8;

/** Marks each block's first and last bytes as that block's. */
export function stampBlocks(world: World, blocks: ReadonlyMap<number, number>): void {
  const view = new DataView(world.memory.buffer);
  for (const [handle, sizeBytes] of blocks) {
    view.setFloat64(handle, handle, true);
    view.setFloat64(handle + sizeBytes - stampBytes, handle, true);
  }
}

/** Whose the block at `handle` was, by its first bytes. */
export function stampAt(world: World, offset: number): number {
  return new DataView(world.memory.buffer).getFloat64(offset, true);
}

/**
 * Compares the blocks that there are, now that `gone` are recovered, with those that there were, and with what the operation
 * may have done: what the gone ones owned is free, what was shared is there and shared.
 */
export function checkBlocks(
  world: World,
  before: HeapPicture,
  outcome: Outcome,
  gone: readonly number[],
): HeapPicture {
  const after = readHeap(world.memory.buffer);
  assertApart(after.blocks, world.memory.buffer.byteLength);
  const { mayAdd = 0, mayLose = [], mayAdopt, mayShare, isOwned = false } = outcome;
  let lost = 0;
  for (const handle of before.blocks.keys()) {
    const owner = before.owners.get(handle);
    const isFreed = owner !== undefined && gone.includes(owner);
    if (!after.blocks.has(handle)) {
      assert.ok(isFreed || mayLose.includes(handle) || mayAdopt === handle, `block ${handle} is lost`);
      lost++;
      continue;
    }
    assert.ok(!isFreed || mayShare === handle, `block ${handle} belonged to slot ${owner}, which is gone`);
    const expected = isFreed ? undefined : owner;
    assert.equal(after.owners.get(handle), expected, `block ${handle} belongs to whom it belonged`);
    checkContents(world, before, after, handle, outcome);
  }
  const added = [...after.blocks.keys()].filter((handle) => !before.blocks.has(handle)).length;
  assert.ok(added <= (isOwned ? 0 : mayAdd), `${added} blocks came from nowhere`);
  // A block that was moved exists once.
  if (mayLose.length > 0 && mayAdd > 0) assert.ok(added === 0 || lost === 1, "a moved block exists twice");
  return after;
}

/** A block that is still there has its size and its bytes. */
function checkContents(
  world: World,
  before: HeapPicture,
  after: HeapPicture,
  handle: number,
  { mayResize = [] }: Outcome,
): void {
  const sizeBytes = before.blocks.get(handle)!;
  const now = after.blocks.get(handle)!;
  const isResizable = mayResize.includes(handle);
  const kept = isResizable ? Math.min(now, sizeBytes) : sizeBytes;
  assert.ok(isResizable || now === sizeBytes, `block ${handle} had ${sizeBytes} bytes, has ${now}`);
  assert.equal(stampAt(world, handle), handle, `block ${handle} begins as it did`);
  if (kept === sizeBytes)
    assert.equal(stampAt(world, handle + sizeBytes - stampBytes), handle, "and ends so");
}

const SETTLED_KINDS: readonly number[] = [
  PAGE_FREE,
  PAGE_HOLLOW,
  ...SLAB_KINDS,
  PAGE_RUN,
  PAGE_BODY,
  PAGE_OWNERS,
];

/** After recovery nothing is half done, nobody dead owns anything, and no empty page is kept for nobody. */
export function checkSettled(world: World, picture: HeapPicture, gone: readonly number[]): void {
  assert.deepEqual(verifyWorld(world), []);
  const stray = picture.strayOwners.filter(({ owner, isCollected }) => isCollected || gone.includes(owner));
  assert.deepEqual(stray, [], "free blocks are nobody's");
  for (const [handle, owner] of picture.owners)
    assert.ok(!gone.includes(owner), `block ${handle} belongs to slot ${owner}, which is gone`);
  for (const { index, kind, owner } of picture.pages) {
    assert.ok(SETTLED_KINDS.includes(kind), `page ${index} is left as kind ${kind}`);
    assert.ok(!gone.includes(owner), `page ${index} belongs to slot ${owner}, which is gone`);
  }
  for (const slot of gone)
    assert.equal(world.survey.slotState(slot) & 3, 0, `slot ${slot} can be taken again`);
}

const isFree = (kind: number): boolean => kind === PAGE_FREE || kind === PAGE_HOLLOW;

/** Every hollow page can be had again: each row of free and hollow pages at once. */
function restoreAll(world: World, core: SlabCore): void {
  const rows = readHeap(world.memory.buffer).pages.map(({ kind }) => (isFree(kind) ? "." : "#"));
  for (const row of rows
    .join("")
    .split(/#+/)
    .sort((a, b) => b.length - a.length)) {
    if (row === "") continue;
    const page = core.claimHollow(row.length);
    assert.notEqual(page, 0, `${row.length} free pages in a row are found`);
    core.settleStorage(page, row.length, 1);
  }
}

/** `core` can use all the room that there is: fills the heap, and gets as many blocks as there are places. */
export function checkRoom(
  world: World,
  core: HeapCore,
  slot: number,
  scenario: Pick<Scenario, "fillBytes">,
): void {
  const { fillBytes = 1024 } = scenario;
  restoreAll(world, core as SlabCore);
  const picture = readHeap(world.memory.buffer);
  const perPage = Math.floor((PAGE_SIZE_BYTES - (fillBytes < 1024 ? firstOffset(fillBytes) : 0)) / fillBytes);
  let places = picture.freePages * perPage;
  for (const { index, kind, owner } of picture.pages) {
    if (!SLAB_KINDS.includes(kind) || (owner !== -1 && owner !== slot)) continue;
    const isRight = world.survey.blockSizeOf(world.survey.pageClass(index)) === fillBytes;
    if (isRight) places += picture.room.get(index)!;
    // Its own empty pages of other classes, and empty orphans, it gives back when it finds no other.
    else if (picture.emptyPages.has(index)) places += perPage;
  }
  const seen = new Map(picture.blocks);
  let count = 0;
  for (let handle = core.alloc(fillBytes); handle !== 0; handle = core.alloc(fillBytes)) {
    assert.ok(!seen.has(handle >>> 0), `block ${handle >>> 0} was given out twice`);
    seen.set(handle >>> 0, fillBytes);
    count++;
  }
  assert.equal(core.lastError(), NEED_PAGES);
  assertApart(seen, world.memory.buffer.byteLength);
  assert.equal(count, places, "all the room that there is can be allocated");
}

/** Where the first block of a page lies whose bitmap is in the page: behind it, aligned as the block's size is. */
function firstOffset(sizeBytes: number): number {
  const alignment = sizeBytes & -sizeBytes;
  const bitmapBytes = Math.ceil(Math.floor(PAGE_SIZE_BYTES / sizeBytes) / 64) * 16;
  return Math.ceil(bitmapBytes / alignment) * alignment;
}

/** Everything is freed and everybody leaves: not a page may stay behind. */
export function checkDrain(world: World, core: HeapCore, slot: number): void {
  const { blocks, owners } = readHeap(world.memory.buffer);
  for (const handle of blocks.keys()) {
    // What the living own goes with them.
    if ((owners.get(handle) ?? slot) === slot) assert.equal(core.free(handle), OK, `free(${handle})`);
    else assert.equal(core.free(handle), NOT_OWNER, `free(${handle})`);
  }
  for (let index = 0; index < world.geometry.slotCount; index++) {
    if (index !== slot) assert.equal(core.recoverSlot(index, 1), OK);
  }
  assert.equal(core.recoverSlot(slot, 0), OK);
  const picture = readHeap(world.memory.buffer);
  const kept = picture.pages.filter(({ kind }) => !isFree(kind) && kind !== PAGE_OWNERS);
  assert.deepEqual(kept, [], "every page is free again but those that hold owners");
}

/** The root "name" leads to what it led to before, or to what it was to lead to. */
export function checkRoot(world: World, core: HeapCore, slot: number, cast: Cast, isDone: boolean): void {
  if (cast["rootAfter"] === undefined) return;
  const found = core.rootGet(passName(world, slot, "name")) >>> 0;
  const before = cast["rootBefore"] === 0 ? 0 : cast["one"]!;
  const after = cast["rootAfter"] === 0 ? 0 : cast["it"]!;
  assert.ok(found === after || (!isDone && found === before), `the root leads to ${found}`);
  if (cast["rootBefore"] === 2)
    assert.equal(core.rootGet(passName(world, slot, "another")) >>> 0, cast["one"]);
}
