/** Scenarios: owned and aligned blocks. */

import assert from "node:assert/strict";
import { NOT_OWNER, OK } from "../../src/layout/result.ts";
import type { HeapCore } from "../../src/region/core.ts";
import {
  ACTOR,
  adoptAll,
  allocMany,
  allocOwn,
  DEAD,
  H,
  K,
  leaveOrphan,
  must,
  OTHER,
  takeAllPages,
  THIRD,
} from "./core-scenario.ts";
import type { Cast, Outcome, Scenario } from "./core-scenario.ts";
import { enter } from "./core-world.ts";
import type { World } from "./core-world.ts";

const comesOwned = (): Outcome => ({ mayAdd: 1, isOwned: true });
const mayGo = ({ it }: Cast): Outcome => ({ mayLose: [it!] });

function ownAlloc(name: string, sizeBytes: number, setUp: Scenario["setUp"] = () => ({})): Scenario {
  return { name, setUp, run: (core) => allocOwn(core, sizeBytes), outcome: comesOwned, fillBytes: K };
}

const allocs: Scenario[] = [
  ownAlloc("an own block from a marked page", K, (_world, core) => ({
    kept: must(core.alloc(K)),
    mine: must(allocOwn(core, K)),
  })),
  ownAlloc("an own block that marks the current page", K, (_world, core) => ({ kept: must(core.alloc(K)) })),
  ownAlloc("an own block of a class's first page", K),
  ownAlloc("an own block where there are owners already", K, (world, core) => ({
    theirs: must(allocOwn(enter(world, OTHER), 2000)),
    kept: must(core.alloc(K)),
  })),
  {
    ...ownAlloc("an own block in the next bitmap word", H, (_world, core) => ({
      kept: allocMany(core, 63, H)[0]!,
      last: must(core.alloc(H)),
      mine: must(allocOwn(core, 2 * H)),
    })),
    fillBytes: H,
  },
  {
    ...ownAlloc("an own block without room", K, (_world, core) => ({ first: takeAllPages(core) })),
    outcome: () => ({}),
  },
  {
    ...ownAlloc("an own block without room for its owners", K, (_world, core) => {
      const kept = must(core.alloc(K));
      takeAllPages(core);
      return { kept };
    }),
    outcome: () => ({}),
  },
  {
    // The empty page becomes the new block's, then, being empty, that of its owners.
    ...ownAlloc("an own block for which one empty page is not enough", K, (_world, core) => {
      const block = must(core.alloc(4096));
      takeAllPages(core);
      assert.equal(core.free(block), OK);
      return {};
    }),
    outcome: () => ({}),
  },
  ownAlloc("an own block that gives back an empty page for its owners", K, (_world, core) => {
    const kept = must(core.alloc(K));
    const block = must(core.alloc(4096));
    takeAllPages(core);
    assert.equal(core.free(block), OK);
    return { kept };
  }),
  ownAlloc("an own page", 40000),
  ownAlloc("three own pages", 3 * 65536),
  {
    name: "a block aligned to 4 KiB",
    setUp: (_world, core) => ({ kept: must(core.alloc(4096)) }),
    run: (core) => aligned(core.allocWith(100, 4096, 0, 0), 4096),
    outcome: () => ({ mayAdd: 1 }),
    fillBytes: 4096,
  },
  {
    name: "a block aligned to 64 KiB",
    setUp: (_world, core) => ({ kept: must(core.alloc(K)) }),
    run: (core) => aligned(core.allocWith(100, 65536, 0, 0), 65536),
    outcome: () => ({ mayAdd: 1 }),
  },
  {
    name: "an own block aligned to 256 bytes",
    setUp: (_world, core) => ({ kept: must(core.alloc(256)) }),
    run: (core) => aligned(allocOwn(core, 200, 256), 256),
    outcome: comesOwned,
    fillBytes: 256,
  },
];

function aligned(handle: number, alignmentBytes: number): number {
  assert.equal((handle >>> 0) % alignmentBytes, 0);
  return handle >>> 0;
}

function ownFree(name: string, setUp: Scenario["setUp"]): Scenario {
  return { name: `free of ${name}`, setUp, run: (core, { it }) => core.free(it!), outcome: mayGo };
}

/** A block of the other's that the actor has adopted, between two that it has not. */
function adoptTheirs(world: World, core: HeapCore): Cast {
  const [kept, it, last] = allocMany(enter(world, OTHER), 3, K);
  adoptAll(core, [it!]);
  return { kept: kept!, it: it!, last: last! };
}

/** Blocks whose owner left, one of which the actor has adopted. */
function adoptOrphans(world: World, core: HeapCore): Cast {
  const [it, kept, last] = leaveOrphan(world, 3, K);
  adoptAll(core, [it!]);
  return { it: it!, kept: kept!, last: last! };
}

const frees: Scenario[] = [
  ownFree("an own block", (_world, core) => ({ it: must(allocOwn(core, K)), kept: must(core.alloc(K)) })),
  ownFree("an own block that empties its page", (_world, core) => {
    const it = must(allocOwn(core, K));
    const rest = allocMany(core, 64, K);
    for (const handle of rest.slice(0, 63)) assert.equal(core.free(handle), OK);
    return { it, kept: rest[63]! };
  }),
  ownFree("an own block in another's page", adoptTheirs),
  ownFree("an own block in an orphan", adoptOrphans),
  ownFree("an orphan's last block, an own one", (world, core) => {
    const it = leaveOrphan(world, 1, K)[0]!;
    adoptAll(core, [it]);
    return { it };
  }),
  ownFree("own pages", (_world, core) => ({
    it: must(allocOwn(core, 2 * 65536)),
    kept: must(core.alloc(65536)),
  })),
  ownFree("a shared block in a marked page", (_world, core) => ({
    mine: must(allocOwn(core, K)),
    it: must(core.alloc(K)),
    kept: must(core.alloc(K)),
  })),
  ownFree("a shared block in another's marked page", (world, core) => {
    const { kept, it, last } = adoptTheirs(world, core);
    return { it: kept!, kept: last!, mine: it! };
  }),
  {
    name: "refusals of what is another's: free, share, adopt, realloc",
    setUp(world, core) {
      const other = enter(world, OTHER);
      const [mine, kept] = allocMany(core, 2, K);
      adoptAll(other, [mine!]);
      return { one: mine!, two: must(allocOwn(other, K)), three: must(allocOwn(other, 65536)), kept: kept! };
    },
    run(core, { one, two, three }) {
      for (const handle of [one!, two!, three!]) {
        const calls = [core.free(handle), core.share(handle), core.adopt(handle)];
        assert.deepEqual(calls, [NOT_OWNER, NOT_OWNER, NOT_OWNER]);
        assert.equal(core.errorDetail(), OTHER);
        assert.equal(core.realloc(handle, 5000), 0);
        assert.equal(core.lastError(), NOT_OWNER);
      }
      return 0;
    },
    outcome: () => ({}),
  },
  {
    name: "alloc that collects what others have freed of their own",
    setUp(world, core) {
      const mine = allocMany(core, 64, K);
      const other = enter(world, OTHER);
      adoptAll(other, mine.slice(10, 14));
      for (const handle of mine.slice(11, 20)) assert.equal(other.free(handle), OK);
      return { kept: mine[0]!, theirs: mine[10]! };
    },
    run: (core) => core.alloc(K),
    outcome: () => ({ mayAdd: 1 }),
  },
  {
    name: "alloc that adopts a marked orphan",
    setUp(world) {
      const third = enter(world, THIRD);
      const kept = must(third.alloc(K));
      must(allocOwn(third, K));
      assert.equal(third.recoverSlot(THIRD, 0), OK);
      return { kept };
    },
    run: (core) => core.alloc(K),
    outcome: () => ({ mayAdd: 1 }),
  },
];

function shareOf(name: string, setUp: Scenario["setUp"]): Scenario {
  return {
    name: `sharing ${name}`,
    setUp,
    run: (core, { it }) => core.share(it!),
    outcome: ({ it }) => ({ mayShare: it! }),
  };
}

function adoptionOf(name: string, setUp: Scenario["setUp"]): Scenario {
  return {
    name: `adopting ${name}`,
    setUp,
    run: (core, { it }) => core.adopt(it!),
    outcome: ({ it }) => ({ mayAdopt: it! }),
  };
}

const changes: Scenario[] = [
  shareOf("an own block", (_world, core) => ({ it: must(allocOwn(core, K)), kept: must(core.alloc(K)) })),
  shareOf("an own block in another's page", adoptTheirs),
  shareOf("own pages", (_world, core) => ({ it: must(allocOwn(core, 2 * 65536)) })),
  adoptionOf("a block of one's own page", (_world, core) => {
    const [it, kept] = allocMany(core, 2, K);
    return { it: it!, kept: kept! };
  }),
  adoptionOf("a block of a marked page", (_world, core) => {
    const [it, kept] = allocMany(core, 2, K);
    return { it: it!, kept: kept!, mine: must(allocOwn(core, K)) };
  }),
  adoptionOf("a block of another's page", (world) => {
    const [it, kept] = allocMany(enter(world, OTHER), 2, K);
    return { it: it!, kept: kept! };
  }),
  adoptionOf("a block of an orphan", (world) => {
    const [it, kept] = leaveOrphan(world, 2, K);
    return { it: it!, kept: kept! };
  }),
  adoptionOf("pages", (world) => ({ it: must(enter(world, OTHER).alloc(2 * 65536)) })),
];

function ownRealloc(name: string, oldBytes: number, newBytes: number, wall = false): Scenario {
  return {
    name: `own realloc ${name}`,
    setUp(_world, core) {
      const it = must(allocOwn(core, oldBytes));
      if (wall) must(core.alloc(65536));
      return { it };
    },
    run: (core, { it }) => core.realloc(it!, newBytes),
    outcome: ({ it }) => ({ mayAdd: 1, mayLose: [it!], mayResize: [it!], isOwned: true }),
  };
}

const rest: Scenario[] = [
  ownRealloc("from small to small", K, 2000),
  ownRealloc("from small to run", K, 100000),
  ownRealloc("from run to small", 100000, K),
  ownRealloc("from run to run behind a wall", 65536, 3 * 65536, true),
  ownRealloc("of a run that extends in place", 65536, 3 * 65536),
  ownRealloc("of a run that shrinks in place", 3 * 65536, 65536),
  {
    name: "leaving with own blocks in pages of every kind",
    setUp(world, core) {
      const [kept, mine] = allocMany(core, 2, K);
      adoptAll(core, [mine!]);
      must(allocOwn(core, K));
      must(allocOwn(core, 65536));
      must(allocOwn(core, 2048));
      const theirs = allocMany(enter(world, OTHER), 3, K);
      adoptAll(core, theirs.slice(1));
      const left = leaveOrphan(world, 2, K);
      adoptAll(core, [left[0]!]);
      const alone = leaveOrphan(world, 1, 4096);
      adoptAll(core, alone);
      adoptAll(enter(world, OTHER), [kept!]);
      return { last: left[1]! };
    },
    run: (core) => core.recoverSlot(ACTOR, 0),
    outcome: () => ({}),
  },
];

/** One has died that owned blocks in another's full page, one of which it had freed already. */
const recovering: Scenario = {
  name: "recovering one that owned blocks in another's page",
  setUp(world) {
    const dead = enter(world, DEAD);
    const theirs = allocMany(enter(world, OTHER), 64, K);
    adoptAll(dead, theirs.slice(3, 6));
    assert.equal(dead.free(theirs[4]!), OK);
    return { kept: theirs[0]!, one: theirs[3]!, two: theirs[5]! };
  },
  run: (core) => core.recoverSlot(DEAD, 1),
  outcome: ({ one, two }) => ({ mayLose: [one!, two!], leaves: DEAD }),
};

export const owned: readonly Scenario[] = [...allocs, ...frees, ...changes, ...rest, recovering];
