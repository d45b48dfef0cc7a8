/** A short kill storm (storm/storm.ts); `npm run storm` is the long one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ALLOCATORS, storm } from "../../storm/storm.ts";
import { shmNames } from "../helpers/segments.ts";

for (const allocator of ALLOCATORS) {
  test(`${allocator}: processes and workers are killed, stopped and terminated at random, and everything is accounted for`, async (t) => {
    const given = process.env["SHOAL_TEST_SEED"];
    const seed = given === undefined ? 1 + (Date.now() % (2 ** 31 - 1)) : Number(given);
    t.diagnostic(
      `seed ${seed}; repeat with SHOAL_TEST_SEED=${seed} (the kernel's scheduling is not repeated)`,
    );
    const result = await storm({ kills: 20, seconds: 60, seed, allocators: [allocator] });
    const { faults, hangs, corruptions, leakedBytes, lostBlocks, lostMessages, ...figures } = result;
    t.diagnostic(JSON.stringify(figures));
    assert.deepEqual(faults, []);
    assert.deepEqual([hangs, corruptions, leakedBytes, lostBlocks, lostMessages], [0, 0, 0, 0, 0]);
    assert.ok(figures.kills >= 20 && figures.operations > 0 && figures.messages > 0 && figures.locks > 0);
    assert.deepEqual(shmNames(`shoal-storm-${process.pid}`), []);
  });
}
