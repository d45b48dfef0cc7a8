/**
 * The operations of the first-fit core, each with a heap in which it takes one particular path. Slots as in
 * core-scenarios.ts; a heap has two pages that nobody has taken in yet, and may grow by two.
 */

import assert from "node:assert/strict";
import { PAGE_SIZE_BYTES } from "../../src/layout/header.ts";
import { NEED_PAGES, OK } from "../../src/layout/result.ts";
import type { HeapCore } from "../../src/region/core.ts";
import { ACTOR, allocMany, OTHER, THIRD } from "./core-scenario.ts";
import type { Outcome, Scenario } from "./core-scenario.ts";
import { enter } from "./core-world.ts";
import type { World } from "./core-world.ts";

const HEADER = 8;
const DATA_BYTES = 2 * PAGE_SIZE_BYTES;
/** A block of half a chunk and one of two, both with the header. */
const HALF = 512 - HEADER;
const DOUBLE = 2048 - HEADER;

function must(handle: number): number {
  assert.notEqual(handle, 0, "the set-up has room");
  return handle >>> 0;
}

/** Blocks of these sizes behind each other, from the start of a fresh heap on. */
function row(core: HeapCore, ...sizes: readonly number[]): number[] {
  return sizes.map((sizeBytes) => must(core.alloc(sizeBytes)));
}

function freeAll(core: HeapCore, handles: readonly number[]): void {
  for (const handle of handles) assert.equal(core.free(handle), OK);
}

/** Two more pages for everybody. */
function grow(world: World, core: HeapCore): void {
  core.publishSize(world.geometry.sizePages + 2);
  world.memory.grow(2 - (world.memory.buffer.byteLength / PAGE_SIZE_BYTES - world.geometry.sizePages));
}

const added = (): Outcome => ({ mayAdd: 1 });
const lost = ({ it }: Readonly<Record<string, number>>): Outcome => ({ mayLose: [it!] });

/** An allocation of `sizeBytes` after `setUp`, which returns a block that has to stay. */
function alloc(
  name: string,
  sizeBytes: number,
  setUp: (core: HeapCore, world: World) => number | undefined,
): Scenario {
  return {
    name: `alloc ${name}`,
    setUp(world, core) {
      const kept = setUp(core, world);
      return kept === undefined ? {} : { kept };
    },
    run: (core) => core.alloc(sizeBytes),
    outcome: added,
  };
}

/** Fills a hole of `holeBytes` between two blocks. */
function fillHole(name: string, holeBytes: number, sizeBytes: number): Scenario {
  return alloc(name, sizeBytes, (core) => {
    const [kept, hole] = row(core, 200, holeBytes, 300);
    freeAll(core, [hole!]);
    return kept;
  });
}

const allocs: readonly Scenario[] = [
  alloc("in a fresh heap", 100, () => undefined),
  alloc("of all of a fresh heap", DATA_BYTES - HEADER, () => undefined),
  alloc("of what is left", 100, (core) => row(core, 40)[0]),
  alloc("of all that is left", DATA_BYTES - 48 - HEADER, (core) => row(core, 40)[0]),
  alloc("whose rest begins in the next chunk", 1024 - HEADER, (core) => row(core, 40)[0]),
  alloc("whose rest begins in the next page", PAGE_SIZE_BYTES, (core) => row(core, 40)[0]),
  fillHole("that fills a hole", 120, 120),
  fillHole("of a hole that is eight bytes too large", 128, 120),
  fillHole("of a part of a hole", 400, 120),
  fillHole("of a part of a large hole", 5000, 3000),
  alloc("that passes a hole of its class which is too small", 4000, (core) => {
    const [one, , other] = row(core, 3990, 16, 4100, 16);
    freeAll(core, [one!, other!]);
    return undefined;
  }),
  alloc("in pages that were added, behind what is free", 100_000, (core, world) => {
    const [kept] = row(core, 50_000);
    grow(world, core);
    return kept;
  }),
  alloc("in pages that were added, behind what is used", 100, (core, world) => {
    const [kept] = row(core, DATA_BYTES - HEADER);
    grow(world, core);
    return kept;
  }),
  {
    name: "alloc that finds no room",
    setUp: (_world, core) => ({ kept: row(core, 60_000)[0]! }),
    run(core) {
      const handle = core.alloc(100_000);
      if (handle === 0) assert.deepEqual([core.lastError(), core.errorDetail()], [NEED_PAGES, 1]);
      return handle;
    },
    outcome: () => ({}),
  },
  {
    name: "alloc that finds no room in added pages either",
    setUp(world, core) {
      const [kept] = row(core, 60_000);
      grow(world, core);
      return { kept: kept! };
    },
    run: (core) => core.alloc(250_000),
    outcome: () => ({}),
  },
  {
    name: "calloc",
    setUp: (_world, core) => ({ kept: row(core, 40)[0]! }),
    run: (core) => core.allocWith(1000, 0, 0, 1),
    outcome: added,
  },
];

function place(
  name: string,
  sizeBytes: number,
  alignmentBytes: number,
  owned: boolean,
  fill = false,
): Scenario {
  return {
    name: `placed alloc ${name}`,
    setUp(_world, core) {
      const [kept] = row(core, 40);
      // All but a hole in which a handle may be a multiple, but need not.
      if (fill) {
        const hole = must(core.alloc(600));
        row(core, DATA_BYTES - 48 - 608 - HEADER);
        freeAll(core, [hole]);
      }
      return { kept: kept! };
    },
    run: (core) => core.allocWith(sizeBytes, alignmentBytes, owned ? 1 : 0, 0),
    outcome: added,
  };
}

const placed: readonly Scenario[] = [
  place("that leaves something in front", 1000, 256, false),
  place("with more in front than behind", 5000, 32_768, false),
  place("where it fits by chance", 400, 64, false, true),
  place("of an own block", 100, 0, true),
  place("of an own block with something in front", 100, 64, true),
  {
    name: "allocBatch of three",
    setUp: (_world, core) => ({ kept: row(core, 40)[0]! }),
    run: (core) => (core.allocBatch(100, 3) === 3 ? -1 : 0),
    outcome: () => ({ mayAdd: 3 }),
  },
];

/** Frees the block number `at` of a row, when those numbered `before` are free already. */
function free(name: string, sizes: readonly number[], at: number, before: readonly number[] = []): Scenario {
  return {
    name: `free ${name}`,
    setUp(_world, core) {
      const handles = row(core, ...sizes);
      freeAll(
        core,
        before.map((index) => handles[index]!),
      );
      return { it: handles[at]! };
    },
    run: (core, { it }) => core.free(it!),
    outcome: lost,
  };
}

const frees: readonly Scenario[] = [
  free("between used ones", [40, 100, 40], 1),
  free("of the first", [40, 100], 0),
  free("before what is left", [40, 100], 1),
  free("of the only one", [40], 0),
  free("of the last, at the very end", [40, DATA_BYTES - 48 - HEADER], 1),
  free("behind a free one", [40, 100, 200, 40], 2, [1]),
  free("before a free one", [40, 100, 200, 40], 1, [2]),
  free("between free ones", [40, 100, 200, 300, 40], 2, [1, 3]),
  free("between free ones in other chunks", [40, DOUBLE, DOUBLE, DOUBLE, 40], 2, [1, 3]),
  free("between free ones in other pages", [40, 30_000, 30_000, 30_000, 40], 2, [1, 3]),
  {
    name: "free of a block that another allocated",
    setUp(world) {
      const [kept, it] = row(enter(world, OTHER), 40, 100);
      return { kept: kept!, it: it! };
    },
    run: (core, { it }) => core.free(it!),
    outcome: lost,
  },
  {
    name: "free of an own block",
    setUp: (_world, core) => ({ kept: row(core, 40)[0]!, it: must(core.allocWith(100, 0, 1, 0)) }),
    run: (core, { it }) => core.free(it!),
    outcome: lost,
  },
  {
    name: "free of what is free",
    setUp(_world, core) {
      const [, it] = row(core, 40, 100, 40);
      freeAll(core, [it!]);
      return { it: it! };
    },
    run(core, { it }) {
      assert.notEqual(core.free(it!), OK);
      return 0;
    },
    outcome: () => ({}),
  },
];

/** Resizes the first of a row; the second is free already if `isNextFree`. */
function resize(name: string, from: number, to: number, isNextFree: boolean, owned = false): Scenario {
  return {
    name: `realloc ${name}`,
    setUp(_world, core) {
      const it = must(core.allocWith(from, 0, owned ? 1 : 0, 0));
      const [next] = row(core, HALF, 40);
      if (isNextFree) freeAll(core, [next!]);
      return { it };
    },
    run: (core, { it }) => core.realloc(it!, to),
    outcome: ({ it }) => ({ mayAdd: 1, mayLose: [it!], mayResize: [it!] }),
  };
}

const resizes: readonly Scenario[] = [
  resize("to the same", 400, 396, false),
  resize("to less, eight bytes that stay", 400, 392, false),
  resize("to less", 400, 100, false),
  resize("to less, before a free one", 400, 100, true),
  resize("to eight bytes less, before a free one", 400, 392, true),
  resize("to less, a chunk further down", 5000, 100, true),
  resize("to a part of the free one behind", 400, 600, true),
  resize("to nearly all of the free one behind", 400, 400 + 512 - 8, true),
  resize("to all of the free one behind", 400, 400 + 512, true),
  resize("that moves", 400, 4000, false),
  resize("that moves, an own block", 400, 4000, false, true),
  resize("of an own block to less", 400, 100, false, true),
  {
    name: "realloc to what is left",
    setUp: (_world, core) => ({ it: row(core, 40)[0]! }),
    run: (core, { it }) => core.realloc(it!, 70_000),
    outcome: ({ it }) => ({ mayResize: [it!] }),
  },
  {
    name: "realloc without room",
    setUp(_world, core) {
      const [it] = row(core, 400, DATA_BYTES - 408 - HEADER);
      return { it: it! };
    },
    run: (core, { it }) => core.realloc(it!, 1000),
    outcome: () => ({}),
  },
];

const owners: readonly Scenario[] = [
  {
    name: "share",
    setUp: (_world, core) => ({ it: must(core.allocWith(100, 0, 1, 0)), kept: row(core, 40)[0]! }),
    run: (core, { it }) => core.share(it!),
    outcome: lost,
  },
  {
    name: "adopt",
    setUp: (_world, core) => ({ it: row(core, 100, 40)[0]! }),
    run: (core, { it }) => core.adopt(it!),
    outcome: lost,
  },
  {
    name: "leaving with own blocks",
    setUp(world, core) {
      const [kept] = row(core, 40);
      const other = enter(world, OTHER);
      const owned = [1, 2, 3, 4].map((index) => must(core.allocWith(index * 300, 0, 1, 0)));
      const theirs = must(other.allocWith(100, 0, 1, 0));
      must(core.allocWith(3000, 0, 1, 0));
      assert.equal(core.free(owned[1]!), OK);
      return { kept: kept!, theirs };
    },
    run: (core) => core.recoverSlot(ACTOR, 0),
    outcome: () => ({}),
  },
  {
    name: "leaving with nothing",
    setUp: (_world, core) => ({ kept: row(core, 40)[0]! }),
    run: (core) => core.recoverSlot(ACTOR, 0),
    outcome: () => ({}),
  },
  {
    name: "recovering one who had own blocks",
    setUp(world, core) {
      const third = enter(world, THIRD);
      const [kept] = row(core, 40);
      for (const sizeBytes of [100, 2000, 50]) must(third.allocWith(sizeBytes, 0, 1, 0));
      allocMany(core, 2, 100);
      must(third.allocWith(50, 0, 1, 0));
      return { kept: kept! };
    },
    run: (core) => core.recoverSlot(THIRD, 1),
    outcome: () => ({}),
  },
];

export const fitScenarios: readonly Scenario[] = [...allocs, ...placed, ...frees, ...resizes, ...owners];
