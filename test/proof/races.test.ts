/**
 * Every order in which the accesses of two or three participants can come, for each pair of operations; with deaths on the
 * way; and random orders of more operations (proof/race.ts, proof/random.ts).
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { heapKinds } from "../../proof/heaps.ts";
import type { HeapKind } from "../../proof/heaps.ts";
import { runRandom } from "../../proof/random.ts";
import { races } from "../../proof/races.ts";
import { runRace } from "../../proof/run-race.ts";
import { usual } from "../../proof/run.ts";
import { makeTally } from "../../proof/tally.ts";
import type { Tally } from "../../proof/tally.ts";
import { buildProof } from "./build.ts";

await buildProof();

function assertNone({ violations }: Tally): void {
  const shown = violations.slice(0, 3).map(({ name, message, replay }) => `${name}: ${message}\n${replay}`);
  assert.equal(violations.length, 0, shown.join("\n\n"));
}

const leastSchedules: Readonly<Record<HeapKind, number>> = { slab: 30_000, buddy: 5000, "first-fit": 50_000 };

describe("whatever order the accesses of two or three come in, and whoever dies", () => {
  for (const heap of heapKinds) {
    test(`a ${heap} heap holds what its users were told, and is sound`, (t) => {
      const tally = makeTally();
      for (const race of races)
        if (race.heap === heap) runRace(race, tally, { ...usual, isOver: () => false });
      assertNone(tally);
      t.diagnostic(`${tally.schedules} schedules, ${tally.steps} steps, ${tally.deaths} deaths`);
      assert.ok(tally.schedules > leastSchedules[heap] && tally.deaths > 1000, "all of it was done");
      assert.deepEqual([tally.bounded, tally.cut], [0, 0], "every race was gone through whole");
    });
    test(`a ${heap} heap is so in random orders of random operations`, (t) => {
      const tally = makeTally();
      // Repeat with: npm run proof -- --only random/HEAP --seed SEED
      const seed = Number(process.env["SHOAL_SEED"] ?? Date.now() % 1_000_000);
      t.diagnostic(`seed ${seed}; again with SHOAL_SEED=${seed}`);
      for (let index = 0; index < 100; index++) runRandom(heap, seed + index, 12, tally);
      assertNone(tally);
    });
  }
});
