/**
 * The operations of the core, each with a heap in which it takes one particular path.
 *
 * Shared by the crash test (the operation's participant dies before each of its accesses) and the preemption test
 * (another participant gets a turn there). Slots: 0 the participant that acts, 1 another that lives, 2 the survivor who
 * recovers and checks, 3 for participants that have left or died before.
 */

import assert from "node:assert/strict";
import { H_SLOTS_USED } from "../../src/layout/header.ts";
import { LOCKED, OK } from "../../src/layout/result.ts";
import type { HeapCore } from "../../src/region/core.ts";
import { S_SCRATCH, SCRATCH_SIZE_BYTES, SLOT_SIZE_BYTES } from "../../src/layout/slot.ts";
import { enter, passName } from "./core-world.ts";
import type { World } from "./core-world.ts";

export const ACTOR = 0;
export const OTHER = 1;
export const SURVIVOR = 2;
export const THIRD = 3;

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

function must(handle: number): number {
  assert.notEqual(handle, 0, "the set-up has room");
  return handle >>> 0;
}

/** A participant that allocates and leaves: its page is an orphan with room. Returns its blocks. */
function leaveOrphan(world: World, count: number, sizeBytes: number): number[] {
  const third = enter(world, THIRD);
  const blocks = allocMany(third, count, sizeBytes);
  third.recoverSlot(THIRD, 0);
  return blocks;
}

/** Takes all free pages away, in runs of one. Returns the first. */
function takeAllPages(core: HeapCore): number {
  let first = 0;
  for (let handle = core.alloc(65536); handle !== 0; handle = core.alloc(65536))
    first = first === 0 ? handle >>> 0 : first;
  return first;
}

/** 64 blocks to a page, one bitmap word in the descriptor. */
const K = 1024;
/** 127 blocks to a page, two bitmap words, in the page. */
const H = 512;

const allocs: Scenario[] = [
  {
    name: "alloc from the hinted word",
    setUp: (_world, core) => ({ kept: must(core.alloc(K)) }),
    run: (core) => core.alloc(K),
    outcome: () => ({ mayAdd: 1 }),
  },
  {
    name: "alloc that moves to the next bitmap word",
    setUp: (_world, core) => ({ kept: allocMany(core, 64, H)[0]! }),
    run: (core) => core.alloc(H),
    outcome: () => ({ mayAdd: 1 }),
    fillBytes: H,
  },
  {
    name: "alloc of a class's first page",
    setUp: () => ({}),
    run: (core) => core.alloc(K),
    outcome: () => ({ mayAdd: 1 }),
  },
  {
    name: "alloc of a class's third page",
    setUp: (_world, core) => ({ kept: allocMany(core, 128, K)[5]! }),
    run: (core) => core.alloc(K),
    outcome: () => ({ mayAdd: 1 }),
  },
  {
    name: "alloc of a page with its bitmap in the page",
    setUp: () => ({}),
    run: (core) => core.alloc(H),
    outcome: () => ({ mayAdd: 1 }),
    fillBytes: H,
  },
  {
    name: "alloc that adopts an orphan",
    setUp: (world) => ({ kept: leaveOrphan(world, 3, K)[0]! }),
    run: (core) => core.alloc(K),
    outcome: () => ({ mayAdd: 1 }),
  },
  {
    name: "alloc that passes a full orphan and adopts one of two",
    setUp(world, core) {
      allocMany(core, 64, K);
      const kept = leaveOrphan(world, 129, K);
      const other = enter(world, OTHER);
      other.free(kept[70]!);
      other.recoverSlot(OTHER, 0);
      return { kept: kept[0]!, last: kept[128]! };
    },
    run: (core) => core.alloc(K),
    outcome: () => ({ mayAdd: 1 }),
  },
  {
    name: "alloc that collects what others have freed",
    setUp(world, core) {
      const mine = allocMany(core, 64, K);
      const other = enter(world, OTHER);
      for (const handle of mine.slice(10, 20)) assert.equal(other.free(handle), 0);
      return { kept: mine[0]! };
    },
    run: (core) => core.alloc(K),
    outcome: () => ({ mayAdd: 1 }),
  },
  {
    name: "alloc that goes round the ring",
    setUp(world, core) {
      const mine = allocMany(core, 256, K);
      const other = enter(world, OTHER);
      for (const at of [70, 130]) assert.equal(other.free(mine[at]!), 0);
      return { kept: mine[0]! };
    },
    run: (core) => core.alloc(K),
    outcome: () => ({ mayAdd: 1 }),
  },
  {
    name: "alloc that gives back an empty page of another class first",
    setUp(_world, core) {
      const blocks = allocMany(core, 1, 4096);
      takeAllPages(core);
      assert.equal(core.free(blocks[0]!), 0);
      return {};
    },
    run: (core) => core.alloc(K),
    outcome: () => ({ mayAdd: 1 }),
  },
  {
    name: "alloc in pages that another participant has added",
    setUp(world, core) {
      takeAllPages(core);
      const other = enter(world, OTHER);
      const pages = world.geometry.sizePages + 2;
      other.publishSize(pages);
      const mapped = world.memory.buffer.byteLength / 65536;
      if (mapped < pages) world.memory.grow(pages - mapped);
      return {};
    },
    run: (core) => core.alloc(K),
    outcome: () => ({ mayAdd: 1 }),
  },
  {
    name: "alloc that finds no room",
    setUp: (_world, core) => ({ first: takeAllPages(core) }),
    run: (core) => core.alloc(K),
    outcome: () => ({}),
  },
];

/** The scratch area of a slot: where batches leave handles. */
function scratchOf(world: World, slot: number): Uint32Array {
  const offset = world.geometry.slotsOffset + slot * SLOT_SIZE_BYTES + S_SCRATCH;
  return new Uint32Array(world.memory.buffer, offset, SCRATCH_SIZE_BYTES / 4);
}

/** Several operations in one call: not for tests that expect one. */
export const batches: readonly Scenario[] = [
  {
    name: "alloc of three blocks at once",
    setUp: (_world, core) => ({ kept: must(core.alloc(K)) }),
    run: (core, _cast, world) => (core.allocBatch(K, 3) === 3 ? scratchOf(world, ACTOR)[2]! : 0),
    outcome: () => ({ mayAdd: 3 }),
  },
  {
    name: "free of three blocks at once",
    setUp(_world, core) {
      const [one, two, three, kept] = allocMany(core, 4, K);
      return { one: one!, two: two!, three: three!, kept: kept! };
    },
    run(core, { one, two, three }, world) {
      scratchOf(world, ACTOR).set([one!, two!, three!]);
      assert.equal(core.freeBatch(3), 3);
      return 0;
    },
    outcome: ({ one, two, three }) => ({ mayLose: [one!, two!, three!] }),
  },
];

const runs: Scenario[] = [
  {
    name: "alloc of one page",
    setUp: () => ({}),
    run: (core) => core.alloc(40000),
    outcome: () => ({ mayAdd: 1 }),
  },
  {
    name: "alloc of three pages",
    setUp: (_world, core) => ({ kept: must(core.alloc(100000)) }),
    run: (core) => core.alloc(3 * 65536),
    outcome: () => ({ mayAdd: 1 }),
  },
  {
    name: "alloc of three pages behind a hole of two",
    setUp(_world, core) {
      const hole = must(core.alloc(2 * 65536));
      const kept = must(core.alloc(65536));
      assert.equal(core.free(hole), 0);
      return { kept };
    },
    run: (core) => core.alloc(3 * 65536),
    outcome: () => ({ mayAdd: 1 }),
  },
  {
    name: "alloc of pages that gives back an empty slab page first",
    setUp(_world, core) {
      const block = must(core.alloc(K));
      takeAllPages(core);
      assert.equal(core.free(block), 0);
      return {};
    },
    run: (core) => core.alloc(65536),
    outcome: () => ({ mayAdd: 1 }),
  },
  {
    name: "free of one page",
    setUp: (_world, core) => ({ it: must(core.alloc(65536)), kept: must(core.alloc(65536)) }),
    run: (core, { it }) => core.free(it!),
    outcome: ({ it }) => ({ mayLose: [it!] }),
  },
  {
    name: "free of three pages",
    setUp: (_world, core) => ({ it: must(core.alloc(3 * 65536)), kept: must(core.alloc(65536)) }),
    run: (core, { it }) => core.free(it!),
    outcome: ({ it }) => ({ mayLose: [it!] }),
  },
];

const frees: Scenario[] = [
  {
    name: "free in the current page",
    setUp(_world, core) {
      const mine = allocMany(core, 100, H);
      return { it: mine[3]!, kept: mine[4]! };
    },
    run: (core, { it }) => core.free(it!),
    outcome: ({ it }) => ({ mayLose: [it!] }),
    fillBytes: H,
  },
  {
    name: "free that empties the current page",
    setUp: (_world, core) => ({ it: must(core.alloc(K)) }),
    run: (core, { it }) => core.free(it!),
    outcome: ({ it }) => ({ mayLose: [it!] }),
  },
  {
    name: "free that empties one page of several",
    setUp(_world, core) {
      const mine = allocMany(core, 129, K);
      for (const handle of mine.slice(65, 128)) assert.equal(core.free(handle), 0);
      return { it: mine[64]!, kept: mine[0]! };
    },
    run: (core, { it }) => core.free(it!),
    outcome: ({ it }) => ({ mayLose: [it!] }),
  },
  {
    name: "free in another's page",
    setUp(world, core) {
      const theirs = allocMany(enter(world, OTHER), 64, K);
      return { it: theirs[9]!, kept: theirs[0]!, mine: must(core.alloc(K)) };
    },
    run: (core, { it }) => core.free(it!),
    outcome: ({ it }) => ({ mayLose: [it!] }),
  },
  {
    name: "free that adopts an orphan",
    setUp(world, core) {
      const blocks = leaveOrphan(world, 70, K);
      return { it: blocks[9]!, kept: blocks[0]!, mine: must(core.alloc(K)) };
    },
    run: (core, { it }) => core.free(it!),
    outcome: ({ it }) => ({ mayLose: [it!] }),
  },
  {
    name: "free of an orphan's last block",
    setUp: (world) => ({ it: leaveOrphan(world, 1, H)[0]! }),
    run: (core, { it }) => core.free(it!),
    outcome: ({ it }) => ({ mayLose: [it!] }),
    fillBytes: H,
  },
  {
    name: "free that adopts an orphan while the current page's hinted word is empty",
    setUp(world, core) {
      const mine = allocMany(core, 64, H);
      const blocks = leaveOrphan(world, 70, H);
      return { it: blocks[69]!, kept: mine[0]! };
    },
    run: (core, { it }) => core.free(it!),
    outcome: ({ it }) => ({ mayLose: [it!] }),
    fillBytes: H,
  },
];

function reallocScenario(
  name: string,
  oldBytes: number,
  newBytes: number,
  more: { wall?: boolean; remote?: boolean; fillBytes?: number } = {},
): Scenario {
  return {
    name: `realloc ${name}`,
    ...(more.fillBytes === undefined ? {} : { fillBytes: more.fillBytes }),
    setUp(world, core) {
      const owner = more.remote === true ? enter(world, OTHER) : core;
      const it = must(owner.alloc(oldBytes));
      if (more.wall === true) must(core.alloc(65536));
      return { it };
    },
    run: (core, { it }) => core.realloc(it!, newBytes),
    outcome: ({ it }) => ({ mayAdd: 1, mayLose: [it!], mayResize: [it!] }),
  };
}

const reallocs: Scenario[] = [
  reallocScenario("inside its class", 1000, 1020),
  reallocScenario("from small to small", K, 2000),
  reallocScenario("from small to run", K, 100000),
  reallocScenario("from run to small", 100000, K),
  reallocScenario("from run to run behind a wall", 65536, 3 * 65536, { wall: true }),
  reallocScenario("of a run that extends in place", 65536, 3 * 65536),
  reallocScenario("of a run that shrinks in place", 3 * 65536, 65536),
  reallocScenario("of another's block", K, 300, { remote: true }),
  {
    name: "realloc without room",
    setUp(_world, core) {
      const it = must(core.alloc(K));
      takeAllPages(core);
      return { it };
    },
    run: (core, { it }) => core.realloc(it!, 2 * 65536),
    outcome: () => ({}),
  },
];

const rest: Scenario[] = [
  {
    name: "calloc small",
    setUp: (_world, core) => ({ kept: must(core.alloc(K)) }),
    run: (core) => core.allocWith(K, 0, 0, 1),
    outcome: () => ({ mayAdd: 1 }),
  },
  {
    name: "calloc of two pages",
    setUp: () => ({}),
    run: (core) => core.allocWith(100000, 0, 0, 1),
    outcome: () => ({ mayAdd: 1 }),
  },
  {
    name: "publishSize",
    setUp: (world) => ({ pages: world.geometry.sizePages + 1 }),
    run: (core, { pages }) => core.publishSize(pages!),
    outcome: () => ({}),
  },
  {
    name: "leaving with pages of every kind",
    setUp(world, core) {
      const mine = allocMany(core, 70, K);
      const gone = must(core.alloc(4096));
      const many = allocMany(core, 200, H);
      assert.equal(core.free(gone), 0);
      const other = enter(world, OTHER);
      for (const handle of mine.slice(2, 9)) assert.equal(other.free(handle), 0);
      must(core.alloc(65536));
      return { kept: mine[0]!, last: many[199]! };
    },
    run: (core) => core.recoverSlot(ACTOR, 0),
    outcome: () => ({}),
  },
  {
    name: "leaving with nothing",
    setUp: () => ({}),
    run: (core) => core.recoverSlot(ACTOR, 0),
    outcome: () => ({}),
  },
  {
    name: "taking a slot that nobody ever had",
    setUp(_world, core) {
      core.recoverSlot(ACTOR, 0);
      return {};
    },
    run(core, _cast, world) {
      // Only this slot was taken before, by the test itself.
      new DataView(world.memory.buffer).setUint32(H_SLOTS_USED, 0, true);
      core.takeSlot(ACTOR, 1000, 1, 0, 1);
      return 0;
    },
    outcome: () => ({}),
  },
];

function changeRoot(core: HeapCore, world: World, name: string, handle: number): number {
  const length = passName(world, ACTOR, name);
  assert.equal(core.lockRoots(), 0);
  try {
    return core.rootSet(length, handle);
  } finally {
    core.unlockRoots();
  }
}

const roots: Scenario[] = [
  {
    name: "a new root",
    setUp: (_world, core) => ({ it: must(core.alloc(K)), rootBefore: 0, rootAfter: 1 }),
    run: (core, { it }, world) => changeRoot(core, world, "name", it!),
    outcome: () => ({}),
  },
  {
    name: "a root replaced",
    setUp(world, core) {
      const [one, it] = allocMany(core, 2, K);
      assert.equal(changeRoot(core, world, "another", one!), 0);
      assert.equal(changeRoot(core, world, "name", one!), 0);
      return { one: one!, it: it!, rootBefore: 2, rootAfter: 2 };
    },
    run: (core, { it }, world) => changeRoot(core, world, "name", it!),
    outcome: () => ({}),
  },
  {
    name: "a root deleted",
    setUp(world, core) {
      const [one] = allocMany(core, 1, K);
      assert.equal(changeRoot(core, world, "name", one!), 0);
      return { one: one!, rootBefore: 1, rootAfter: 0 };
    },
    run: (core, _cast, world) => changeRoot(core, world, "name", 0),
    outcome: () => ({}),
  },
];

const held: Scenario = {
  name: "the roots lock while another has it",
  setUp(world) {
    assert.equal(enter(world, OTHER).lockRoots(), OK);
    return {};
  },
  run(core) {
    assert.equal(core.lockRoots(), LOCKED);
    assert.equal(core.errorDetail(), OTHER);
    return 0;
  },
  outcome: () => ({}),
};

export const scenarios: readonly Scenario[] = [
  ...allocs,
  ...runs,
  ...frees,
  ...reallocs,
  ...rest,
  ...roots,
  held,
];
