// `npm test [-- PATTERN ...] [--no-gates]`: sets up, checks the gates, runs the tests whose path contains
// a pattern (all without one), and looks for what they left behind. The last line is the count. `npm run
// check` is the gates alone (--gates-only).
import { randomUUID } from "node:crypto";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { findLeftovers, runVariable, takeInventory } from "./lib/leftovers.mjs";
import { listFiles, root, runNode } from "./lib/project.mjs";
import { causeOf, runTests, sourceOf } from "./lib/test-run.mjs";
import { setup } from "./setup.mjs";

/** Tests that took longer are listed, so that the suite stays quick. */
const slowMs = 3000;
const slowShown = 10;

const print = (text) => process.stdout.write(`${text}\n`);

/** The gates besides the builds: format, lint and every scripts/check-*.mjs. */
function listGates() {
  const scripts = join(root, "scripts");
  const checks = listFiles(scripts, (path) => /\/check-[^/]+\.mjs$/.test(path));
  return [
    { name: "format", args: [join(scripts, "format.mjs"), "--check"] },
    { name: "lint", args: [join(scripts, "lint.mjs")] },
    ...checks.map((path) => ({ name: basename(path, ".mjs"), args: [path] })),
  ];
}

async function checkGate({ name, args }) {
  const { code, output } = await runNode(args);
  return code === 0 ? undefined : { name, message: output.trimEnd() };
}

function printFailures(kind, failures) {
  for (const { name, message } of failures) print(`\nFAILED ${kind} ${name}\n${message}`);
}

function printTestFailure({ name, path, error }, output) {
  const cause = causeOf(error);
  const text = cause?.stack ?? String(cause);
  print(`\nFAILED test ${name}\n  in ${path}\n${text.replace(/^/gm, "  ")}`);
  if (cause?.cause !== undefined) print(`  caused by ${String(cause.cause)}`);
  const printed = output.get(path)?.trimEnd();
  if (printed) print(`  the file printed:\n${printed.replace(/^/gm, "    ")}`);
  output.delete(path); // once for a file is enough
}

function printSlow(results) {
  const slow = results.filter(({ ms }) => ms > slowMs).toSorted((one, other) => other.ms - one.ms);
  if (slow.length === 0) return;
  print("\nslow tests:");
  for (const { ms, name, path } of slow.slice(0, slowShown)) {
    print(`  ${(ms / 1000).toFixed(1).padStart(6)} s  ${name} (${path})`);
  }
}

function selectFiles(patterns) {
  const files = listFiles(join(root, "dist", "test"), (path) => path.endsWith(".test.js"));
  if (patterns.length === 0) return files;
  return files.filter((file) => patterns.some((pattern) => sourceOf(file).includes(pattern)));
}

/** Stacks tell the places in the sources; the run's mark goes to every descendant. */
function prepareEnvironment(runId) {
  process.env[runVariable] = runId;
  process.env["NODE_OPTIONS"] = `${process.env["NODE_OPTIONS"] ?? ""} --enable-source-maps`.trim();
}

async function runSelected(patterns) {
  const runId = randomUUID();
  const before = takeInventory();
  prepareEnvironment(runId);
  const files = selectFiles(patterns);
  const startedAt = performance.now();
  const { results, output } = files.length === 0 ? { results: [], output: new Map() } : await runTests(files);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  for (const result of results) if (result.outcome === "failed") printTestFailure(result, output);
  const leftovers = await findLeftovers(before, runId);
  printFailures(
    "clean-up:",
    leftovers.map((message) => ({ name: "the tests left something", message })),
  );
  printSlow(results);
  print(`\n${files.length} test files, ${seconds} s`);
  return { results, leftovers };
}

/** The last line, and whether all is well: nothing failed, and at least one test ran. */
function summarise(results, otherFailures) {
  const count = (outcome) => results.filter((result) => result.outcome === outcome).length;
  const [passed, failed, skipped] = [count("passed"), count("failed") + otherFailures, count("skipped")];
  const skippedPart = skipped > 0 ? `, ${skipped} skipped` : "";
  return { isWell: failed === 0 && passed > 0, line: `${passed} passed, ${failed} failed${skippedPart}` };
}

async function checkGates(failures) {
  if (failures.some(({ name }) => name === "install")) return [];
  const outcomes = await Promise.all(listGates().map(checkGate));
  return outcomes.filter((outcome) => outcome !== undefined);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  allowNegative: true,
  options: { gates: { type: "boolean", default: true }, "gates-only": { type: "boolean", default: false } },
});

const failures = await setup();
printFailures("build", failures);
if (values.gates) {
  const gateFailures = await checkGates(failures);
  printFailures("gate", gateFailures);
  failures.push(...gateFailures);
}
if (values["gates-only"]) {
  print(failures.length === 0 ? "all gates hold" : `\n${failures.length} gates failed`);
  process.exitCode = failures.length === 0 ? 0 : 1;
} else {
  const { results, leftovers } = await runSelected(positionals);
  const { isWell, line } = summarise(results, failures.length + leftovers.length);
  if (results.length === 0) print(`no test ran; paths asked for: ${positionals.join(", ") || "all"}`);
  print(line);
  process.exitCode = isWell ? 0 : 1;
}
