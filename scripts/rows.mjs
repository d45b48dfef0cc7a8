// `npm run rows [-- --json]`: says for each capability row of Shoal's origins that is due by now whether
// the tests named after it pass. A test belongs to row R1 when its name starts with "R1 " or "R1:". Exit
// code 1 when a row fails or has no test.
import { join } from "node:path";
import { parseArgs } from "node:util";
import { listFiles, root } from "./lib/project.mjs";
import { causeOf, runTests } from "./lib/test-run.mjs";
import { setupOrExit } from "./setup.mjs";

const range = (letter, count) => Array.from({ length: count }, (_, index) => `${letter}${index + 1}`);

/**
 * The rows that are due: R (resizable, pointer-safe shared memory), P (POSIX shared memory objects), U (three ways to share
 * memory on Unix), H (a heap with handles), M (malloc without locks; M7, a trie, comes with the data structures).
 */
const dueRows = [
  ...range("R", 9),
  ...range("P", 6),
  ...range("U", 5),
  ...range("H", 6),
  ...range("M", 9).filter((row) => row !== "M7"),
];

function outcomeOf(tests) {
  if (tests.length === 0) return "no test";
  if (tests.some((test) => test.outcome === "failed")) return "fail";
  return tests.every((test) => test.outcome === "skipped") ? "skipped" : "pass";
}

function describeRow(row, results) {
  const tests = results.filter(({ name }) => name.startsWith(`${row} `) || name.startsWith(`${row}:`));
  return {
    row,
    outcome: outcomeOf(tests),
    tests: tests.map(({ name, outcome, path, ms }) => ({ name, outcome, path, ms: Math.round(ms) })),
  };
}

function printFailures(results) {
  for (const { name, path, outcome, error } of results) {
    if (outcome !== "failed") continue;
    const cause = causeOf(error);
    process.stderr.write(`FAILED ${name} (${path}): ${cause?.message ?? cause}\n`);
  }
}

const { values } = parseArgs({ options: { json: { type: "boolean", default: false } } });
await setupOrExit();
const files = listFiles(join(root, "dist", "test", "origins"), (path) => path.endsWith(".test.js"));
const { results } = files.length === 0 ? { results: [] } : await runTests(files);
const rows = dueRows.map((row) => describeRow(row, results));
printFailures(results);
const lines = rows.map(({ row, outcome }) => `${row} ${outcome}`);
process.stdout.write(`${values.json ? JSON.stringify({ rows }, undefined, 2) : lines.join("\n")}\n`);
process.exitCode = rows.every(({ outcome }) => outcome === "pass") ? 0 : 1;
