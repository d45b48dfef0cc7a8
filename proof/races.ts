/**
 * The races that are gone through whole: each pair of operations, for each allocator; and some of three.
 */

import assert from "node:assert/strict";
import { OK } from "../src/layout/result.ts";
import type { HeapCore, SlabCore } from "../src/region/core.ts";
import { enter } from "../test/helpers/core-world.ts";
import type { World } from "../test/helpers/core-world.ts";
import { heapKinds } from "./heaps.ts";
import type { HeapKind } from "./heaps.ts";
import type { Operations } from "./operations.ts";
import type { Race } from "./race.ts";
import { growthsOf, triplesOf } from "./races-more.ts";
import { allocOwned, DEAD, dieAt, must, nameRoot, pagesOf, sizesOf } from "./set-up.ts";
import type { Sizes } from "./set-up.ts";

/** What the set-up of a participant's part has at hand. */
interface Scene {
  readonly world: World;
  readonly slot: number;
  /** Its own core, and the other's. */
  readonly core: HeapCore;
  readonly other: HeapCore;
  readonly sizes: Sizes;
}

/** What one participant does. */
interface Part {
  readonly name: string;
  /** Only the second of two does this. */
  readonly isSecond?: true;
  readonly dead?: readonly number[];
  /** Only in this heap. */
  readonly heap?: HeapKind;
  /** There may be no room because of this, so it is set up last. */
  readonly isTight?: true;
  setUp(scene: Scene): Operations;
}

const parts: readonly Part[] = [
  { name: "allocates", setUp: ({ sizes }) => [{ kind: "alloc", sizeBytes: sizes.small }] },
  { name: "allocates much", setUp: ({ sizes }) => [{ kind: "alloc", sizeBytes: sizes.largest }] },
  {
    name: "allocates and frees",
    setUp: ({ sizes }) => [
      { kind: "alloc", sizeBytes: sizes.small },
      { kind: "free", block: { resultOf: 0 } },
    ],
  },
  {
    name: "frees its last block",
    setUp: ({ core, sizes }) => [{ kind: "free", block: must(core.alloc(sizes.small)) }],
  },
  {
    name: "frees a block that the other allocated",
    setUp: ({ other, sizes }) => [{ kind: "free", block: must(other.alloc(sizes.small)) }],
  },
  {
    name: "frees much",
    setUp: ({ core, sizes }) => [{ kind: "free", block: must(core.alloc(sizes.largest)) }],
  },
  {
    name: "lets a block grow",
    setUp: ({ core, sizes }) => [
      { kind: "realloc", block: must(core.alloc(sizes.small)), sizeBytes: sizes.larger },
    ],
  },
  {
    name: "lets a large block grow",
    setUp: ({ core, sizes }) => [
      { kind: "realloc", block: must(core.alloc(sizes.large)), sizeBytes: sizes.largest },
    ],
  },
  {
    name: "lets a large block shrink",
    setUp: ({ core, sizes }) => [
      { kind: "realloc", block: must(core.alloc(sizes.largest)), sizeBytes: sizes.large },
    ],
  },
  {
    name: "allocates a block of its own",
    setUp: ({ sizes }) => [{ kind: "alloc", sizeBytes: sizes.small, isOwned: true }],
  },
  {
    name: "frees a block of its own",
    setUp: ({ core, sizes }) => [{ kind: "free", block: allocOwned(core, sizes.small) }],
  },
  {
    name: "adopts a block that the other allocated",
    setUp: ({ other, sizes }) => [{ kind: "adopt", block: must(other.alloc(sizes.small)) }],
  },
  {
    name: "adopts and shares a block",
    setUp({ core, sizes }) {
      const block = must(core.alloc(sizes.small));
      return [
        { kind: "adopt", block },
        { kind: "share", block },
      ];
    },
  },
  {
    name: "shares a block of its own",
    setUp: ({ core, sizes }) => [{ kind: "share", block: allocOwned(core, sizes.small) }],
  },
  {
    name: "names a root",
    setUp: ({ core, sizes }) => [{ kind: "setRoot", name: "one", block: must(core.alloc(sizes.small)) }],
  },
  {
    name: "names another root",
    setUp: ({ core, sizes }) => [{ kind: "setRoot", name: "two", block: must(core.alloc(sizes.small)) }],
  },
  {
    name: "reads a root that there is",
    setUp({ world, slot, core, sizes }) {
      nameRoot(world, slot, core, "one", must(core.alloc(sizes.small)));
      return [{ kind: "getRoot", name: "one" }];
    },
  },
  {
    name: "removes a root and names another",
    setUp({ world, slot, core, sizes }) {
      const block = must(core.alloc(sizes.small));
      nameRoot(world, slot, core, "one", block);
      return [
        { kind: "setRoot", name: "one", block: 0 },
        { kind: "setRoot", name: "two", block },
      ];
    },
  },
  {
    name: "has the segment grow",
    setUp: ({ core, sizes }) => [
      { kind: "grow", pages: core.sizePages() + 1 },
      { kind: "alloc", sizeBytes: sizes.small },
    ],
  },
  {
    name: "recovers one that died owning a block",
    isSecond: true,
    dead: [DEAD],
    setUp({ world, sizes }) {
      allocOwned(enter(world, DEAD), sizes.small);
      return [{ kind: "recover", slot: DEAD }];
    },
  },
  {
    name: "recovers one that died in the middle of an allocation",
    isSecond: true,
    dead: [DEAD],
    setUp({ world, sizes }) {
      dieAt(world, DEAD, 12, (core) => {
        for (let count = 0; count < 4; count++) core.alloc(sizes.largest);
      });
      return [{ kind: "recover", slot: DEAD }];
    },
  },
  {
    name: "leaves",
    isSecond: true,
    setUp({ core, sizes }) {
      must(core.alloc(sizes.small));
      allocOwned(core, sizes.small);
      return [{ kind: "leave", slot: 1 }];
    },
  },
  {
    name: "comes and allocates",
    isSecond: true,
    setUp({ core, sizes }) {
      assert.equal(core.recoverSlot(1, 0), OK);
      return [
        { kind: "take", slot: 1 },
        { kind: "alloc", sizeBytes: sizes.small },
      ];
    },
  },
];

const storageParts: readonly Part[] = [
  {
    name: "gives free pages' storage back",
    heap: "slab",
    isTight: true,
    setUp: () => [{ kind: "trim" }],
  },
  {
    name: "gets two pages' storage again and allocates",
    heap: "slab",
    isTight: true,
    setUp({ core, sizes }) {
      const hollow = core as SlabCore;
      const page = hollow.trimFrom(0);
      hollow.settleStorage(page, hollow.errorDetail(), 0);
      return [
        { kind: "restore", pages: 2 },
        { kind: "alloc", sizeBytes: sizes.largest },
      ];
    },
  },
];

function pairOf(heap: HeapKind, first: Part, second: Part): Race {
  const sizes = sizesOf[heap];
  return {
    name: `one ${first.name}, another ${second.name}`,
    heap,
    pages: pagesOf[heap],
    sparePages: 1,
    isTight: first.isTight === true || second.isTight === true,
    dead: [...(first.dead ?? []), ...(second.dead ?? [])],
    setUp(enterSlot, world) {
      const [one, two] = [enterSlot(0), enterSlot(1)];
      const setUpFirst = (): Operations => first.setUp({ world, slot: 0, core: one, other: two, sizes });
      const early = first.isTight === true ? undefined : setUpFirst();
      const theirs = second.setUp({ world, slot: 1, core: two, other: one, sizes });
      return [early ?? setUpFirst(), theirs];
    },
  };
}

function pairsOf(heap: HeapKind): Race[] {
  const all = [...parts, ...storageParts].filter((one) => one.heap === undefined || one.heap === heap);
  return all.flatMap((second, at) =>
    all
      .slice(0, second.isSecond === true ? all.length : at + 1)
      .filter((first) => first.isSecond !== true)
      .map((first) => pairOf(heap, first, second)),
  );
}

/** Two that use the same block without agreeing: the heap survives it. */
function misusesOf(heap: HeapKind): Race[] {
  const sizes = sizesOf[heap];
  const misuse = (name: string, programs: (block: number) => readonly Operations[]): Race => ({
    name: `of the same block, ${name}`,
    heap,
    pages: pagesOf[heap],
    isMisuse: true,
    setUp(enterSlot) {
      const core = enterSlot(0);
      return programs(must(core.alloc(sizes.small)));
    },
  });
  return [
    misuse("both free it", (block) => [[{ kind: "free", block }], [{ kind: "free", block }]]),
    misuse("one frees it, another adopts it", (block) => [
      [{ kind: "free", block }],
      [{ kind: "adopt", block }],
    ]),
    misuse("both adopt it", (block) => [[{ kind: "adopt", block }], [{ kind: "adopt", block }]]),
  ];
}

export const races: readonly Race[] = heapKinds.flatMap((heap) => [
  ...pairsOf(heap),
  ...misusesOf(heap),
  ...triplesOf(heap),
  ...growthsOf(heap),
]);
