/** Races of three, and races in which the segment grows while others have not caught up with that. */

import { sizePagesOf } from "./heaps.ts";
import type { HeapKind } from "./heaps.ts";
import type { Operation, Operations } from "./operations.ts";
import type { Race } from "./race.ts";
import { enter } from "../test/helpers/core-world.ts";
import { allocOwned, DEAD, DEAD_TOO, dieAt, must, nameRoot, pagesOf, sizesOf } from "./set-up.ts";

type SetUp = Race["setUp"];

const free = (block: number): Operation => ({ kind: "free", block });
const resultOf = (index: number): { readonly resultOf: number } => ({ resultOf: index });

/** At which access of an allocation somebody died: having claimed a page, or taken the lock. */
const midway: Readonly<Record<HeapKind, number>> = { slab: 12, buddy: 12, "first-fit": 12 };

/** Three at a time, on a heap with hardly any room. */
export function triplesOf(heap: HeapKind): Race[] {
  const { small, larger, largest } = sizesOf[heap];
  const alloc = { kind: "alloc", sizeBytes: small } as const;
  const race = (name: string, setUp: SetUp, dead: readonly number[] = []): Race => ({
    name,
    heap,
    pages: pagesOf[heap],
    dead,
    setUp,
  });
  const dieAllocating: (world: Parameters<SetUp>[1], slot: number) => void = (world, slot) =>
    dieAt(world, slot, midway[heap], (core) => {
      for (let count = 0; count < 4; count++) core.alloc(largest);
    });
  return [
    race("one allocates, one frees its block, one allocates", (enterSlot) => {
      const block = must(enterSlot(0).alloc(small));
      return [[alloc], [free(block)], [alloc]];
    }),
    race("two free what the first has allocated, and it allocates", (enterSlot) => {
      const core = enterSlot(0);
      const [one, two] = [must(core.alloc(small)), must(core.alloc(small))];
      return [[alloc], [free(one)], [free(two)]];
    }),
    race("one allocates, one frees its block, one adopts another", (enterSlot) => {
      const core = enterSlot(0);
      const [one, two] = [must(core.alloc(small)), must(core.alloc(small))];
      return [[alloc], [free(one)], [{ kind: "adopt", block: two }]];
    }),
    race(
      "one allocates, one frees its block, one recovers one that died in the middle of an allocation",
      (enterSlot, world) => {
        const block = must(enterSlot(0).alloc(small));
        dieAllocating(world, DEAD);
        return [[alloc], [free(block)], [{ kind: "recover", slot: DEAD }]];
      },
      [DEAD],
    ),
    race(
      "one lets a block grow, one frees a dead one's block, one recovers that one",
      (enterSlot, world) => {
        const block = must(enterSlot(0).alloc(small));
        const dead = enter(world, DEAD);
        const theirs = must(dead.alloc(small));
        allocOwned(dead, small);
        return [
          [{ kind: "realloc", block, sizeBytes: larger }],
          [free(theirs)],
          [{ kind: "recover", slot: DEAD }],
        ];
      },
      [DEAD],
    ),
    race(
      "one recovers one that died in the middle of an allocation, one recovers another, one allocates",
      (_enterSlot, world) => {
        allocOwned(enter(world, DEAD_TOO), small);
        dieAllocating(world, DEAD);
        return [[{ kind: "recover", slot: DEAD }], [{ kind: "recover", slot: DEAD_TOO }], [alloc]];
      },
      [DEAD, DEAD_TOO],
    ),
    race("one allocates, one leaves, one frees a block that this one allocated", (enterSlot) => {
      const leaving = enterSlot(1);
      const block = must(leaving.alloc(small));
      allocOwned(leaving, small);
      return [[alloc], [{ kind: "leave", slot: 1 }], [free(block)]];
    }),
    race("one names a root, one removes it, one reads it", (enterSlot, world) => {
      const core = enterSlot(0);
      const [one, two] = [must(core.alloc(small)), must(core.alloc(small))];
      nameRoot(world, 0, core, "one", one);
      return [
        [{ kind: "setRoot", name: "one", block: two }],
        [{ kind: "setRoot", name: "one", block: 0 }],
        [{ kind: "getRoot", name: "one" }],
      ];
    }),
  ];
}

/** A heap without room; it grows by a page or two. */
export function growthsOf(heap: HeapKind): Race[] {
  const { small, largest } = sizesOf[heap];
  const alloc = { kind: "alloc", sizeBytes: small } as const;
  const race = (name: string, programs: (pages: number) => readonly Operations[], isDead = false): Race => ({
    name: `a full heap: ${name}`,
    heap,
    pages: heap === "slab" ? 2 : 1,
    sparePages: 2,
    isTight: true,
    ...(isDead ? { dead: [DEAD] } : {}),
    setUp(enterSlot, world) {
      const core = enterSlot(0);
      if (isDead) allocOwned(enter(world, DEAD), small);
      for (const sizeBytes of [largest, small]) while (core.alloc(sizeBytes) !== 0);
      return programs(sizePagesOf(world));
    },
  });
  const growAndAlloc = (pages: number): Operations => [{ kind: "grow", pages: pages + 1 }, alloc];
  const growAndName = (pages: number): Operations => [
    ...growAndAlloc(pages),
    { kind: "setRoot", name: "one", block: resultOf(1) },
  ];
  return [
    race("one adds a page and allocates, another allocates", (pages) => [growAndAlloc(pages), [alloc]]),
    race("both add a page and allocate", (pages) => [growAndAlloc(pages), growAndAlloc(pages)]),
    race("one adds a page and allocates, another adds two", (pages) => [
      growAndAlloc(pages),
      [{ kind: "grow", pages: pages + 2 }, alloc],
    ]),
    race("one names a block in a page that it adds, another adopts and shares it", (pages) => [
      growAndName(pages),
      [
        { kind: "getRoot", name: "one" },
        { kind: "adopt", block: resultOf(0) },
        { kind: "share", block: resultOf(0) },
      ],
    ]),
    race(
      "one adds a page and allocates, another recovers one that died owning a block",
      (pages) => [growAndAlloc(pages), [{ kind: "recover", slot: DEAD }, alloc]],
      true,
    ),
    race("one adds a page and allocates, one allocates, one adds a page and allocates", (pages) => [
      growAndAlloc(pages),
      [alloc],
      growAndAlloc(pages),
    ]),
  ];
}
