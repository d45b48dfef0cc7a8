import { runRace } from "./run-race.ts";
import { makeTally } from "./tally.ts";
import type { Race } from "./race.ts";

const races: Race[] = (["slab", "buddy", "first-fit"] as const).flatMap((heap) => [
  {
    name: "two alloc",
    heap,
    pages: 2,
    setUp: (enter) => {
      enter(0);
      enter(1);
      return [[{ kind: "alloc", sizeBytes: 2048 }], [{ kind: "alloc", sizeBytes: 2048 }]];
    },
  },
  {
    name: "alloc, free",
    heap,
    pages: 2,
    setUp: (enter) => {
      const a = enter(0);
      enter(1);
      const h = a.alloc(2048) >>> 0;
      return [[{ kind: "alloc", sizeBytes: 2048 }], [{ kind: "free", block: h }]];
    },
  },
  {
    name: "free, free",
    heap,
    pages: 2,
    isMisuse: true,
    setUp: (enter) => {
      const a = enter(0);
      enter(1);
      const h = a.alloc(2048) >>> 0;
      return [[{ kind: "free", block: h }], [{ kind: "free", block: h }]];
    },
  },
  {
    name: "adopt, free",
    heap,
    pages: 2,
    isMisuse: true,
    setUp: (enter) => {
      const a = enter(0);
      enter(1);
      const h = a.alloc(2048) >>> 0;
      return [[{ kind: "adopt", block: h }], [{ kind: "free", block: h }]];
    },
  },
]);
for (const race of races) {
  const t = performance.now();
  const tally = makeTally();
  runRace(race, tally, { mostStates: 100000, deathStride: 1, isOver: () => false });
  const { sitesHit, ...rest } = tally;
  console.log(race.heap, race.name, JSON.stringify(rest), (performance.now() - t).toFixed(0), "ms");
}
