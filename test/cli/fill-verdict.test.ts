/** Judging a fill: what a killed participant left is told from what was lost. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { controlWords, fillOffset, finishedCell, INTENT, lineOf, TAKING } from "../../src/cli/fill-area.ts";
import { judge } from "../../src/cli/fill-verdict.ts";
import { Region } from "../../src/region/index.ts";
import { freshPosixName } from "../helpers/segments.ts";

const SIZE_BYTES = 100;

/** A fill of two: A has finished, B was killed with this intent; `zeros` were not written. */
function judgeWith(region: Region, intent: number, zeros: readonly number[]): ReturnType<typeof judge> {
  const bytes = region.bytes(fillOffset(2), SIZE_BYTES).fill("A".charCodeAt(0));
  for (const index of zeros) bytes[index] = 0;
  controlWords(region, 2)[lineOf(1) + INTENT] = intent;
  const finished = finishedCell(region, 0);
  finished[0] = 1;
  return judge(region, 2, SIZE_BYTES);
}

test("a byte that a killed participant had taken is written for it, and nothing is lost", (t) => {
  using region = Region.create(freshPosixName(t));
  const verdict = judgeWith(region, 42, [42]);
  assert.deepEqual([verdict.finishedForDead, verdict.lostBytes], [1, 0]);
  assert.deepEqual(verdict.letters, { A: SIZE_BYTES - 1, B: 1 });
});

test("one that was killed before it noted its index answers for one byte, not for two", (t) => {
  using region = Region.create(freshPosixName(t));
  assert.deepEqual(judgeWith(region, TAKING, [7]).finishedForDead, 1);
  const { finishedForDead, lostBytes } = judgeWith(region, TAKING, [7, 8]);
  assert.deepEqual([finishedForDead, lostBytes], [1, 1]);
});

test("a byte that nobody had taken is lost", (t) => {
  using region = Region.create(freshPosixName(t));
  const { finishedForDead, lostBytes } = judgeWith(region, 41, [42]);
  assert.deepEqual([finishedForDead, lostBytes], [0, 1]);
});
