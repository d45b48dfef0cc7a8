/** npm run flips: a short run, and that what an engine can find is told. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runAll } from "../../flips/crew.ts";
import { describeViolation, resultOf } from "../../flips/report.ts";
import type { Report } from "../../flips/report.ts";

const program = fileURLToPath(new URL("../../flips/main.js", import.meta.url));

function runFlips(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [program, ...args], { encoding: "utf8" });
}

test("on damaged heaps of each kind every call returns or throws an error with a code", () => {
  const { status, stdout, stderr } = runFlips("--count", "300", "--json");
  assert.equal(stderr, "");
  assert.equal(status, 0);
  const { heaps, calls, crashes, hangs, codedErrors, outsideAccesses, heldLocks } = JSON.parse(stdout);
  assert.deepEqual(
    { heaps, crashes, hangs, outsideAccesses, heldLocks },
    { heaps: 300, crashes: 0, hangs: 0, outsideAccesses: 0, heldLocks: 0 },
  );
  assert.ok(calls > heaps * 30 && codedErrors > heaps, `${calls} calls, ${codedErrors} errors with codes`);
});

test("a segment may become as long as any of its openers was told that it may", () => {
  // The span is damaged, somebody opens the heap and grows it by that, then the header is put right.
  const { status, stderr } = runFlips("--allocator", "slab", "--seed", "281179", "--count", "1");
  assert.equal(stderr, "");
  assert.equal(status, 0);
});

test("who was cut off from the segment is not asked to put a lock right that the damage has put in its name", () => {
  const { status, stderr } = runFlips("--allocator", "slab", "--seed", "5072049", "--count", "1");
  assert.equal(stderr, "");
  assert.equal(status, 0);
});

test("a repair by one that opened the heap with a damaged place of its table lists many blocks, and ends in time", () => {
  const { status, stderr } = runFlips("--allocator", "slab", "--seed", "5597496", "--count", "1");
  assert.equal(status, 0, stderr);
});

test("wrong usage is code 2 and help is code 0", () => {
  for (const args of [["--count", "none"], ["--allocator", "heap"], ["--what"]]) {
    const { status, stderr, stdout } = runFlips(...args);
    assert.equal(status, 2, args.join(" "));
    assert.match(stderr, /Usage: npm run flips/);
    assert.equal(stdout, "");
  }
  const { status, stdout } = runFlips("--help");
  assert.equal(status, 0);
  assert.match(stdout, /Usage: npm run flips/);
});

/** Stands for an engine: dies of heap 2, makes no end of heap 5. */
const deadly = `
const { writeSync } = require("node:fs");
const [, , allocators, seed, first, count, step] = process.argv;
for (let heap = Number(first); heap < Number(count); heap += Number(step)) {
  writeSync(3, heap + "\\n");
  if (heap === 2) process.abort();
  if (heap === 5) for (;;);
  writeSync(3, JSON.stringify({ heaps: 1, calls: 10, codedErrors: 1, mostAccesses: heap, violations: [] }) + "\\n");
}
`;

test("an engine that dies and one that makes no end are counted, and the run goes on behind them", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "shoal-test-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "engine.cjs");
  writeFileSync(path, deadly);
  const reports: Report[] = [];
  await runAll(
    { count: 9, allocators: ["slab", "buddy"], seed: 100, processes: 2, isJson: false },
    (report) => void reports.push(report),
    () => false,
    { path, patienceMs: 3000 },
  );
  const { heaps, crashes, hangs, calls, violations } = resultOf(reports, 1);
  assert.deepEqual({ heaps, crashes, hangs, calls }, { heaps: 9, crashes: 1, hangs: 1, calls: 72 });
  const told = violations.map(describeViolation).sort();
  assert.match(
    told[0]!,
    /^CRASH .* slab heap of seed 102[^]*again: npm run flips -- --allocator slab --seed 102 --count 1/,
  );
  assert.match(told[1]!, /^HANG .* buddy heap of seed 105[^]*--allocator buddy --seed 105 /);
});
