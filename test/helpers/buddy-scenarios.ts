/**
 * The operations of a buddy heap's core, each with a heap in which it takes one particular path.
 *
 * Shared by the crash test and the preemption test of the buddy allocator, as core-scenarios.ts is by those of the slab
 * allocator. A maximal block has eight leaves of 2 KiB, a page four maximal blocks.
 */

import assert from "node:assert/strict";
import { ALLOCATOR_BUDDY } from "../../src/layout/header.ts";
import {
  BAD_HANDLE,
  BUSY,
  DOUBLE_FREE,
  NEED_PAGES,
  NEED_STORAGE,
  NOT_OWNER,
  OK,
} from "../../src/layout/result.ts";
import { TOO_LARGE } from "../../src/layout/result.ts";
import { S_SCRATCH, SCRATCH_SIZE_BYTES, SLOT_SIZE_BYTES } from "../../src/layout/slot.ts";
import type { HeapCore } from "../../src/region/core.ts";
import { PLAIN } from "../../src/region/geometry.ts";
import type { Contents } from "../../src/region/geometry.ts";
import { readBuddy } from "./buddy-oracle.ts";
import { enter, makeTrigger, makeWorld, snapshot, survives } from "./core-world.ts";
import type { World } from "./core-world.ts";

export const ACTOR = 0;
export const OTHER = 1;
export const SURVIVOR = 2;
export const THIRD = 3;
/** Somebody who is stopped in the middle of something, and lives. */
export const STOPPED = 4;
export const SLOTS = 5;

export const LEAF = 2048;
export const MOST = 16384;
export const LEAVES_PER_PAGE = 65536 / LEAF;

/** Three pages, and two more that may be added. */
export function makeBuddyWorld(minShift = 11, maxShift = 14, dataPages = 3, sparePages = 2): World {
  const contents: Contents = { ...PLAIN, allocator: ALLOCATOR_BUDDY, minShift, maxShift };
  return makeWorld(dataPages, sparePages, SLOTS, contents);
}

/** Handles by name. */
export type Cast = Readonly<Record<string, number>>;

/** What an operation has done, as far as its participant was told. */
export interface Told {
  readonly added?: number;
  readonly removed?: number;
  /** Blocks that exist before and after, and whose size has changed. */
  readonly resized?: number;
  /** Whose a block is now, slot indexes; undefined = it is shared. */
  readonly owner?: readonly [handle: number, slot: number | undefined];
}

export interface Scenario {
  readonly name: string;
  setUp(world: World, core: HeapCore): Cast;
  /** The operation. */
  run(core: HeapCore, cast: Cast, world: World): number;
  told(cast: Cast, result: number): Told;
  /** Of an operation of several steps: what else a death may leave, told by what would do the same from the start. */
  readonly between?: readonly ((core: HeapCore, cast: Cast) => void)[];
  /** Several operations in one: not for tests that expect one. */
  readonly isBatch?: true;
}

export function must(handle: number): number {
  assert.notEqual(handle, 0, "the set-up has room");
  return handle >>> 0;
}

/** Allocates an owned block, with storage for the side table where it is wanted; 0 when there is no room. */
export function allocOwned(core: HeapCore, sizeBytes: number): number {
  for (;;) {
    const handle = core.allocWith(sizeBytes, 0, 1, 0) >>> 0;
    if (handle !== 0 || core.lastError() !== NEED_STORAGE) return handle;
    core.noteStorage(core.errorDetail());
  }
}

/** Adopts a block likewise. */
export function adopt(core: HeapCore, handle: number): number {
  const code = core.adopt(handle);
  if (code !== NEED_STORAGE) return code;
  core.noteStorage(core.errorDetail());
  return core.adopt(handle);
}

function allocMany(core: HeapCore, count: number, sizeBytes: number): number[] {
  return Array.from({ length: count }, () => must(core.alloc(sizeBytes)));
}

/** Every page has storage for its part of the side table. */
function noteAll(world: World, core: HeapCore): void {
  const { dataOffset, spanPages } = world.geometry;
  for (let page = dataOffset / 65536; page < spanPages; page++) core.noteStorage(page);
}

/** Takes all there is. Returns the blocks. */
function takeAll(core: HeapCore, sizeBytes = LEAF): number[] {
  const found: number[] = [];
  for (let handle = core.alloc(sizeBytes); handle !== 0; handle = core.alloc(sizeBytes))
    found.push(handle >>> 0);
  return found;
}

/** Stops a participant in the middle of `step`, as soon as it has a right that it has not used. Returns the leaf. */
function stopWithRight(world: World, step: (core: HeapCore) => void): number {
  enter(world, STOPPED);
  const restore = snapshot(world);
  for (let at = 1; ; at++) {
    const trigger = makeTrigger();
    const core = enter(world, STOPPED, trigger);
    trigger.arm(at, "kill");
    const isDone = survives(() => step(core));
    const [right] = readBuddy(world.memory.buffer).rights;
    if (right !== undefined) return right[0];
    assert.ok(!isDone, "the step has a moment with a right");
    restore();
  }
}

const added = (_cast: Cast, result: number): Told => (result === 0 ? {} : { added: result });
const addedOwned = (_cast: Cast, result: number): Told =>
  result === 0 ? {} : { added: result, owner: [result, ACTOR] };
const removed = ({ it }: Cast, result: number): Told => (result === OK ? { removed: it! } : {});
const nothing = (): Told => ({});

/** Asserts that the operation is refused for this reason. */
function refused(core: HeapCore, code: number, reason: number): number {
  assert.equal(code, reason);
  assert.equal(core.lastError(), reason);
  return code;
}

/** Asserts that the operation is refused because the block is another's own; free, if that one leaves in a turn. */
function refusedAsTheirs(core: HeapCore, code: number): number {
  assert.ok(code === NOT_OWNER || code === DOUBLE_FREE, `refused with ${code}`);
  if (code === NOT_OWNER) assert.equal(core.errorDetail(), OTHER);
  return refused(core, code, code);
}

const allocs: Scenario[] = [
  {
    name: "alloc of the first block that there ever is",
    setUp: () => ({}),
    run: (core) => core.alloc(LEAF),
    told: added,
  },
  {
    name: "alloc where the last one was",
    setUp: (_world, core) => ({ kept: must(core.alloc(LEAF)) }),
    run: (core) => core.alloc(2 * LEAF - 1),
    told: added,
  },
  {
    name: "alloc where the last of its size was",
    setUp: (_world, core) => ({ kept: must(core.alloc(LEAF)) }),
    run: (core) => core.alloc(LEAF),
    told: added,
  },
  {
    name: "alloc behind a full maximal block",
    setUp: (_world, core) => ({ kept: allocMany(core, 8, LEAF)[0]! }),
    run: (core) => core.alloc(LEAF),
    told: added,
  },
  {
    name: "alloc of a maximal block",
    setUp: (_world, core) => ({ kept: must(core.alloc(LEAF)) }),
    run: (core) => core.alloc(MOST),
    told: added,
  },
  {
    name: "alloc in a fresh page",
    setUp: (_world, core) => ({ kept: allocMany(core, 4, MOST)[0]! }),
    run: (core) => core.alloc(4 * LEAF),
    told: added,
  },
  {
    name: "alloc that looks around for what another has freed",
    setUp(world, core) {
      const mine = takeAll(core);
      assert.equal(enter(world, OTHER).free(mine[9]!), OK);
      return { kept: mine[0]! };
    },
    run: (core) => core.alloc(LEAF),
    told: added,
  },
  {
    name: "alloc by one that never allocated, in another's pages",
    setUp(world) {
      const theirs = allocMany(enter(world, OTHER), 40, LEAF);
      return { kept: theirs[0]! };
    },
    run: (core) => core.alloc(LEAF),
    told: added,
  },
  {
    name: "alloc that finds no room",
    setUp: (_world, core) => ({ kept: takeAll(core)[0]! }),
    run(core) {
      const handle = core.alloc(LEAF);
      // A turn of another may have made room.
      if (handle === 0) assert.equal(core.lastError(), NEED_PAGES);
      return handle;
    },
    told: added,
  },
  {
    name: "alloc of what is too large",
    setUp: () => ({}),
    run(core) {
      assert.equal(core.alloc(MOST + 1), 0);
      assert.equal(core.lastError(), TOO_LARGE);
      return 0;
    },
    told: nothing,
  },
  {
    name: "alloc in pages that another has added",
    setUp(world, core) {
      const kept = takeAll(core)[0]!;
      const pages = world.geometry.sizePages + 2;
      enter(world, OTHER).publishSize(pages);
      const mapped = world.memory.buffer.byteLength / 65536;
      if (mapped < pages) world.memory.grow(pages - mapped);
      return { kept };
    },
    run: (core) => core.alloc(LEAF),
    told: added,
  },
  {
    name: "alloc of zeros at a multiple of 8 KiB",
    setUp: (_world, core) => ({ kept: must(core.alloc(LEAF)) }),
    run: (core) => core.allocWith(100, 8192, 0, 1),
    told: added,
  },
];

const owned: Scenario[] = [
  {
    name: "alloc of the first owned block",
    setUp(world, core) {
      noteAll(world, core);
      return { kept: must(core.alloc(LEAF)) };
    },
    run: (core) => core.allocWith(2 * LEAF, 0, 1, 0),
    told: addedOwned,
  },
  {
    name: "alloc of another owned block",
    setUp: (_world, core) => ({ mine: must(allocOwned(core, LEAF)), kept: must(core.alloc(LEAF)) }),
    run: (core) => core.allocWith(LEAF, 0, 1, 0),
    told: addedOwned,
  },
  {
    name: "alloc of an owned block where the side table has no storage",
    setUp: (_world, core) => ({ kept: must(core.alloc(LEAF)) }),
    run(core) {
      const handle = core.allocWith(LEAF, 0, 1, 0);
      if (handle === 0) assert.equal(core.lastError(), NEED_STORAGE);
      return handle;
    },
    told: addedOwned,
  },
  {
    name: "alloc of an owned block, and storage for the side table",
    setUp: (_world, core) => ({ kept: must(core.alloc(LEAF)) }),
    run: (core) => allocOwned(core, LEAF),
    told: addedOwned,
  },
  {
    name: "alloc of an owned block where another has the right to the first free leaf",
    setUp(world, core) {
      noteAll(world, core);
      const kept = must(core.alloc(LEAF));
      const right = stopWithRight(world, (stopped) => void stopped.allocWith(LEAF, 0, 1, 0));
      return { kept, right };
    },
    run(core, { right }) {
      const handle = core.allocWith(LEAF, 0, 1, 0) >>> 0;
      assert.notEqual(handle, right);
      return handle;
    },
    told: addedOwned,
  },
  {
    name: "alloc of a shared block where another has the right to the first free leaf",
    setUp(world, core) {
      noteAll(world, core);
      const kept = must(core.alloc(LEAF));
      stopWithRight(world, (stopped) => void stopped.allocWith(LEAF, 0, 1, 0));
      return { kept };
    },
    run: (core) => core.alloc(LEAF),
    told: added,
  },
  {
    name: "alloc of an owned block without room",
    setUp(world, core) {
      noteAll(world, core);
      return { kept: takeAll(core)[0]! };
    },
    run(core) {
      const handle = core.allocWith(LEAF, 0, 1, 0);
      if (handle === 0) assert.equal(core.lastError(), NEED_PAGES);
      return handle;
    },
    told: addedOwned,
  },
  {
    name: "adoption of a shared block",
    setUp(world, core) {
      noteAll(world, core);
      return { it: must(enter(world, OTHER).alloc(2 * LEAF)), kept: must(core.alloc(LEAF)) };
    },
    run: (core, { it }) => core.adopt(it!),
    told: ({ it }, result) => (result === OK ? { owner: [it!, ACTOR] } : {}),
  },
  {
    name: "adoption of a block that is one's own already",
    setUp: (_world, core) => ({ mine: must(allocOwned(core, LEAF)) }),
    run: (core, { mine }) => core.adopt(mine!),
    told: nothing,
  },
  {
    name: "adoption of a block that is another's own",
    setUp: (world) => ({ theirs: must(allocOwned(enter(world, OTHER), LEAF)) }),
    run: (core, { theirs }) => refusedAsTheirs(core, core.adopt(theirs!)),
    told: nothing,
  },
  {
    name: "adoption where the side table has no storage",
    setUp: (_world, core) => ({ it: must(core.alloc(LEAF)) }),
    run: (core, { it }) => adopt(core, it!),
    told: ({ it }, result) => (result === OK ? { owner: [it!, ACTOR] } : {}),
  },
  {
    name: "adoption of a block that another is just sharing",
    setUp(world, core) {
      noteAll(world, core);
      const it = stopWithRight(world, (stopped) => {
        const handle = stopped.allocWith(LEAF, 0, 1, 0);
        if (handle !== 0 && readBuddy(world.memory.buffer).owners.size > 0) stopped.share(handle);
      });
      return { it };
    },
    run(core, { it }) {
      const code = core.adopt(it!);
      assert.ok(code === BUSY || code === DOUBLE_FREE);
      return code;
    },
    told: nothing,
  },
  {
    name: "adoption of what is no block",
    setUp: (_world, core) => ({ kept: must(core.alloc(LEAF)) }),
    run: (core, { kept }) => refused(core, core.adopt(kept! + LEAF / 2), BAD_HANDLE),
    told: nothing,
  },
  {
    name: "sharing of a block",
    setUp: (_world, core) => ({ it: must(allocOwned(core, 4 * LEAF)), kept: must(core.alloc(LEAF)) }),
    run: (core, { it }) => core.share(it!),
    told: ({ it }, result) => (result === OK ? { owner: [it!, undefined] } : {}),
  },
  {
    name: "sharing of a block that is shared",
    setUp: (_world, core) => ({ kept: must(core.alloc(LEAF)) }),
    run: (core, { kept }) => core.share(kept!),
    told: nothing,
  },
  {
    name: "sharing of another's block",
    setUp: (world) => ({ theirs: must(allocOwned(enter(world, OTHER), LEAF)) }),
    run: (core, { theirs }) => refusedAsTheirs(core, core.share(theirs!)),
    told: nothing,
  },
];

const frees: Scenario[] = [
  {
    name: "free of a leaf",
    setUp(_world, core) {
      const [kept, it] = allocMany(core, 3, LEAF);
      return { kept: kept!, it: it! };
    },
    run: (core, { it }) => core.free(it!),
    told: removed,
  },
  {
    name: "free of a larger block, by one that has allocated nothing",
    setUp: (world) => ({ it: must(enter(world, OTHER).alloc(4 * LEAF)) }),
    run: (core, { it }) => core.free(it!),
    told: removed,
  },
  {
    name: "free of an own block",
    setUp: (_world, core) => ({ it: must(allocOwned(core, 2 * LEAF)), mine: must(allocOwned(core, LEAF)) }),
    run: (core, { it }) => core.free(it!),
    told: removed,
  },
  {
    name: "free of another's own block",
    setUp: (world) => ({ theirs: must(allocOwned(enter(world, OTHER), LEAF)) }),
    run: (core, { theirs }) => refusedAsTheirs(core, core.free(theirs!)),
    told: nothing,
  },
  {
    name: "free of a block that is free",
    setUp(_world, core) {
      const [kept, gone] = allocMany(core, 2, LEAF);
      assert.equal(core.free(gone!), OK);
      return { kept: kept!, gone: gone! };
    },
    // Where a turn of another has allocated, a free of its block cannot be told from one of one's own.
    run: (core, { kept }) => refused(core, core.free(kept! + 7 * LEAF), DOUBLE_FREE),
    told: nothing,
  },
  {
    name: "free inside a block",
    setUp: (_world, core) => ({ kept: must(core.alloc(4 * LEAF)) }),
    run: (core, { kept }) => refused(core, core.free(kept! + LEAF), BAD_HANDLE),
    told: nothing,
  },
];

/** A realloc of an own or a shared block, with the leaves behind it free or not. */
function reallocScenario(
  name: string,
  oldBytes: number,
  newBytes: number,
  more: { isOwned?: boolean; isWalled?: boolean; mayFree?: boolean } = {},
): Scenario {
  return {
    name: `realloc ${name}`,
    setUp(world, core) {
      noteAll(world, core);
      const it = must(more.isOwned === true ? allocOwned(core, oldBytes) : core.alloc(oldBytes));
      if (more.isWalled === true) must(core.alloc(LEAF));
      return { it };
    },
    run: (core, { it }) => core.realloc(it!, newBytes),
    told({ it }, result) {
      if (result === 0) return {};
      if (result === it) return { resized: it };
      return {
        added: result,
        removed: it!,
        ...(more.isOwned === true ? { owner: [result, ACTOR] as const } : {}),
      };
    },
    // A death between the free of the old block and the sharing of the new one leaves neither.
    ...(more.mayFree === true ? { between: [(core: HeapCore, { it }: Cast) => void core.free(it!)] } : {}),
  };
}

const reallocs: Scenario[] = [
  reallocScenario("to what it has", 2 * LEAF, 2 * LEAF - 5),
  reallocScenario("to half", 8 * LEAF, 4 * LEAF),
  reallocScenario("of an own block to an eighth", 8 * LEAF, LEAF, { isOwned: true }),
  reallocScenario("to double where the buddy is free", LEAF, 2 * LEAF),
  reallocScenario("of an own block to a maximal one where it is", LEAF, 8 * LEAF, { isOwned: true }),
  reallocScenario("that moves", LEAF, 2 * LEAF, { isWalled: true, mayFree: true }),
  reallocScenario("of an own block that moves", LEAF, 4 * LEAF, { isWalled: true, isOwned: true }),
  {
    name: "realloc to double without room",
    setUp(world, core) {
      noteAll(world, core);
      const all = takeAll(core);
      return { kept: all[0]!, last: all[3]! };
    },
    run: (core, { last }) => core.realloc(last!, 2 * LEAF),
    told({ last }, result) {
      if (result === 0) return {};
      return result === last ? { resized: last } : { added: result, removed: last! };
    },
    between: [(core, { last }) => void core.free(last!)],
  },
  {
    name: "realloc beyond the largest block",
    setUp: (_world, core) => ({ kept: must(core.alloc(LEAF)) }),
    run(core, { kept }) {
      assert.equal(core.realloc(kept!, MOST + 1), 0);
      assert.equal(core.lastError(), TOO_LARGE);
      return 0;
    },
    told: nothing,
  },
  {
    name: "realloc of another's own block",
    setUp: (world) => ({ theirs: must(allocOwned(enter(world, OTHER), LEAF)) }),
    run(core, { theirs }) {
      assert.equal(core.realloc(theirs!, 2 * LEAF), 0);
      refusedAsTheirs(core, core.lastError());
      return 0;
    },
    told: nothing,
  },
];

/** The scratch area of a slot: where batches leave handles. */
function scratchOf(world: World, slot: number): Uint32Array {
  const offset = world.geometry.slotsOffset + slot * SLOT_SIZE_BYTES + S_SCRATCH;
  return new Uint32Array(world.memory.buffer, offset, SCRATCH_SIZE_BYTES / 4);
}

const batches: Scenario[] = [
  {
    name: "alloc of three blocks at once",
    isBatch: true,
    setUp: (_world, core) => ({ kept: must(core.alloc(LEAF)) }),
    run: (core) => core.allocBatch(LEAF, 3),
    told: nothing,
    between: [1, 2, 3].map((count) => (core) => void core.allocBatch(LEAF, count)),
  },
  {
    name: "free of two blocks at once",
    isBatch: true,
    setUp(_world, core) {
      const [one, two, kept] = allocMany(core, 3, LEAF);
      return { one: one!, two: two!, kept: kept! };
    },
    run(core, { one, two }, world) {
      scratchOf(world, ACTOR).set([one!, two!]);
      return core.freeBatch(2);
    },
    told: nothing,
    between: [
      (core, { one }) => void core.free(one!),
      (core, { one, two }) => {
        core.free(one!);
        core.free(two!);
      },
    ],
  },
  {
    name: "leaving with own and shared blocks in several pages",
    isBatch: true,
    setUp(world, core) {
      const mine = must(allocOwned(core, LEAF));
      const kept = allocMany(core, 40, LEAF)[7]!;
      const last = must(allocOwned(core, 2 * LEAF));
      const theirs = must(allocOwned(enter(world, OTHER), LEAF));
      return { mine, kept, last, theirs };
    },
    run: (core) => core.recoverSlot(ACTOR, 0),
    told: nothing,
  },
  {
    name: "leaving without ever having owned anything",
    isBatch: true,
    setUp: (_world, core) => ({ kept: must(core.alloc(LEAF)) }),
    run: (core) => core.recoverSlot(ACTOR, 0),
    told: nothing,
  },
];

export const scenarios: readonly Scenario[] = [...allocs, ...owned, ...frees, ...reallocs, ...batches];
