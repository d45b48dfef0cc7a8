/** Scenarios: shared blocks allocated, freed and resized. */

import assert from "node:assert/strict";
import { S_SCRATCH, SCRATCH_SIZE_BYTES, SLOT_SIZE_BYTES } from "../../src/layout/slot.ts";
import { ACTOR, allocMany, H, K, leaveOrphan, must, OTHER, takeAllPages } from "./core-scenario.ts";
import type { Scenario } from "./core-scenario.ts";
import { enter } from "./core-world.ts";
import type { World } from "./core-world.ts";

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

export const blocks: readonly Scenario[] = [...allocs, ...runs, ...frees, ...reallocs];
