/** `npm run proof`, as far as it is a command. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { projectFolder } from "../os/support.ts";
import { buildProof } from "./build.ts";

await buildProof();

const program = join(projectFolder(), "dist", "proof", "main.js");

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs it; with `stopMs`, presses Ctrl-C so many milliseconds after it began. */
function run(args: readonly string[], stopMs?: number): Promise<Ran> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk) => (stdout += chunk));
  child.stderr.on("data", (chunk) => (stderr += chunk));
  if (stopMs !== undefined) setTimeout(() => child.kill("SIGINT"), stopMs);
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, stdout, stderr })));
}

test("--json prints one object with the figures, and nothing else", async () => {
  const { code, stdout, stderr } = await run(["--json", "--only", "crash/segment"]);
  assert.deepEqual([code, stderr], [0, ""]);
  const figures = JSON.parse(stdout) as Record<string, number>;
  for (const name of ["sites", "sitesHit", "operations", "crashPoints", "recovererCrashPoints"])
    assert.ok(figures[name]! > 0, `${name}: ${figures[name]}`);
  assert.deepEqual([figures["schedules"], figures["steps"], figures["violations"]], [0, 0, 0]);
});

test("a part can be done again by its name, and a schedule of it", async () => {
  const name = "race/buddy/one allocates, another allocates";
  for (const args of [
    ["--replay", name],
    ["--replay", name, "--schedule", "0*3 1*4 0!"],
    ["--replay", "random/slab/7"],
  ]) {
    // oxlint-disable-next-line no-await-in-loop
    const { code, stdout, stderr } = await run(args);
    assert.deepEqual([code, stdout, stderr], [0, "nothing is wrong\n", ""]);
  }
  const { code, stderr } = await run(["--replay", "race/none"]);
  assert.deepEqual([code, stderr], [1, 'there is nothing named "race/none"\n']);
});

test("Ctrl-C ends it with what was found so far", async () => {
  const { code, stdout } = await run(["--json", "--deep", "--minutes", "2"], 3000);
  assert.equal(code, 130);
  const figures = JSON.parse(stdout) as { isInterrupted: boolean; seconds: number };
  assert.equal(figures.isInterrupted, true);
});

test("--help tells the options; what it does not know, or is no number, is refused", async () => {
  const { code, stdout } = await run(["--help"]);
  assert.equal(code, 0);
  for (const option of ["--json", "--deep", "--minutes", "--seed", "--replay"])
    assert.ok(stdout.includes(option));
  assert.equal((await run(["--fast"])).code, 1);
  assert.match((await run(["--seed", "x"])).stderr, /^--seed wants a number/);
});
