/** Scenarios: everything but blocks: growing, leaving, slots, roots; and zeroed blocks. */

import assert from "node:assert/strict";
import { H_SLOTS_USED } from "../../src/layout/header.ts";
import { LOCKED, OK } from "../../src/layout/result.ts";
import type { HeapCore, SlabCore } from "../../src/region/core.ts";
import { ACTOR, allocMany, H, K, leaveOrphan, must, OTHER } from "./core-scenario.ts";
import type { Scenario } from "./core-scenario.ts";
import { enter, passName } from "./core-world.ts";
import type { World } from "./core-world.ts";

const various: Scenario[] = [
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
    return core.rootSet(length, handle, 0);
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

const asSlab = (core: HeapCore): SlabCore => core as SlabCore;

/** Gives back what is free, without a system. */
function trimAll(core: SlabCore): void {
  for (let page = core.trimFrom(0); page !== 0;) {
    const count = core.errorDetail();
    core.settleStorage(page, count, 0);
    page = core.trimFrom(page + count);
  }
}

const storage: Scenario[] = [
  {
    name: "trimming, with an empty page, an empty orphan and free ones",
    setUp(world, core) {
      const kept = must(core.alloc(K));
      for (const handle of leaveOrphan(world, 2, H)) assert.equal(core.free(handle), OK);
      assert.equal(core.free(must(core.alloc(4096))), OK);
      return { kept };
    },
    run(core) {
      trimAll(asSlab(core));
      return 0;
    },
    outcome: () => ({}),
  },
  {
    name: "restoring two hollow pages",
    setUp(_world, core) {
      const kept = must(core.alloc(K));
      trimAll(asSlab(core));
      return { kept };
    },
    run(core) {
      const page = asSlab(core).claimHollow(2);
      assert.notEqual(page, 0);
      asSlab(core).settleStorage(page, 2, 1);
      return 0;
    },
    outcome: () => ({}),
  },
  {
    name: "giving two hollow pages up",
    setUp(_world, core) {
      trimAll(asSlab(core));
      return {};
    },
    run(core) {
      const page = asSlab(core).claimHollow(2);
      asSlab(core).settleStorage(page, 2, 0);
      return 0;
    },
    outcome: () => ({}),
  },
];

export const rest: readonly Scenario[] = [...various, ...roots, held, ...storage];
