/**
 * Every order in which the accesses of two or three participants can come, for each pair of operations; with deaths on the
 * way; and random orders of more operations (proof/race.ts, proof/random.ts).
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { heapKinds } from "../../proof/heaps.ts";
import type { HeapKind } from "../../proof/heaps.ts";
import { contestOf, prepareRace } from "../../proof/race.ts";
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
      const tallies = { pairs: makeTally(), threes: makeTally() };
      for (const race of races) {
        if (race.heap !== heap) continue;
        const isPair = prepareRace(race).participants.length === 2;
        runRace(contestOf(race), isPair ? tallies.pairs : tallies.threes, { ...usual, isOver: () => false });
      }
      for (const [name, tally] of Object.entries(tallies)) {
        assertNone(tally);
        const { operations, schedules, steps, deaths, bounded } = tally;
        t.diagnostic(
          `${operations} ${name}: ${schedules} schedules, ${steps} steps, ${deaths} deaths; ${bounded} not whole`,
        );
      }
      const { pairs, threes } = tallies;
      assert.deepEqual(
        [pairs.bounded, pairs.cut, threes.cut],
        [0, 0, 0],
        "every pair was gone through whole",
      );
      assert.ok(pairs.schedules > leastSchedules[heap] && pairs.deaths > 1000, "all of it was done");
      assert.ok(threes.operations > 8 && threes.schedules > 5000 && threes.deaths > 300, "and of the threes");
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
