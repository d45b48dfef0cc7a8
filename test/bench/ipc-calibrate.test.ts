/** How long the ipc benchmark's samples become. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Sampler, adaptCount } from "../../bench/ipc/calibrate.ts";

test("a sample that was about as long as wanted is repeated, others grow and shrink in bounded steps", () => {
  assert.equal(adaptCount(100, 20, 20), 100);
  assert.equal(adaptCount(100, 11, 20), 100);
  assert.equal(adaptCount(100, 5, 20), 400);
  assert.equal(adaptCount(100, 0, 20), 800);
  assert.equal(adaptCount(100, 80, 20), 25);
  assert.equal(adaptCount(100, 1e6, 20), 13);
  assert.equal(adaptCount(1, 1e6, 20), 1);
});

test("a sampler finds a count, gives the figure of the sample after it, and tries as little as it may in a hurry", async () => {
  const counts: number[] = [];
  const sampler = new Sampler(async (count) => {
    counts.push(count);
    for (const endMs = performance.now() + count / 1000; performance.now() < endMs;);
    return count;
  });
  assert.equal(await sampler.sample({ ms: 5, isQuick: true }), 20);
  assert.deepEqual(counts, [20]);
  const figure = await sampler.sample({ ms: 5, isQuick: false });
  assert.equal(figure, counts.at(-1));
  assert.equal(counts[1], 16);
  assert.ok(counts.length > 3, "it tried until the code was warm");
  const before = counts.length;
  await sampler.sample({ ms: 5, isQuick: false });
  assert.equal(counts.length, before + 1);
});
