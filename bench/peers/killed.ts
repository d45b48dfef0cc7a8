/**
 * What a killed process costs the others: `npm run killed -- [--tries N] [--json]`.
 *
 * A process allocates and frees; after a few milliseconds it is killed; another one, which had nothing to do with it, then
 * allocates and frees a thousand times. It has two seconds for that. The same for Boost's two allocators, where they are
 * installed, and for Shoal's three.
 */
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { cleanUpLater } from "../harness/cleanup.ts";
import { removeSegment, segmentName } from "../harness/shm.ts";

const PROBE_TIMEOUT_MS = 2000;

/** What came of so many tries. */
interface Tally {
  kills: number;
  /** The other process did not end. */
  hangs: number;
  /** It ended with an error. */
  failures: number;
}

/** How one allocator's processes are started. */
interface Contender {
  readonly name: string;
  readonly line: (what: "create" | "work" | "probe") => readonly [string, ...string[]];
  readonly remove: () => void;
}

const shoalProgram = fileURLToPath(new URL("killed-shoal.js", import.meta.url));

function shoalContender(allocator: string): Contender {
  const segment = segmentName(`killed-${allocator}`);
  return {
    name: `shoal ${allocator}`,
    line: (what) => [process.execPath, shoalProgram, what, segment, allocator],
    remove: () => removeSegment(segment),
  };
}

/** Boost's, compiled into `folder`; undefined where it is not installed. */
function boostContender(folder: string, name: string, flags: readonly string[]): Contender | undefined {
  const source = fileURLToPath(new URL("../../../bench/peers/killed.cpp", import.meta.url));
  const binary = join(folder, name);
  const args = ["-O2", "-std=c++17", ...flags, "-o", binary, source, "-lrt", "-pthread"];
  if (spawnSync(process.env["CXX"] ?? "c++", args, { stdio: "ignore" }).status !== 0) return undefined;
  const segment = segmentName(`killed-${name}`);
  return {
    name,
    line: (what) => [binary, what, segment.replace(/^\//, "")],
    remove: () => removeSegment(segment),
  };
}

function runToEnd([program, ...args]: readonly [string, ...string[]]): number | null {
  return spawnSync(program, args, { stdio: "ignore", timeout: PROBE_TIMEOUT_MS, killSignal: "SIGKILL" })
    .status;
}

async function tryOnce({ line, remove }: Contender, tally: Tally): Promise<void> {
  try {
    if (runToEnd(line("create")) !== 0) throw new Error("the segment cannot be made");
    const [program, ...args] = line("work");
    const worker: ChildProcess = spawn(program, args, { stdio: ["ignore", "pipe", "ignore"] });
    await once(worker.stdout!, "data");
    await new Promise((resolve) => setTimeout(resolve, 2 + Math.random() * 20));
    const ended = once(worker, "exit");
    worker.kill("SIGKILL");
    await ended;
    tally.kills++;
    const code = runToEnd(line("probe"));
    if (code === null) tally.hangs++;
    else if (code !== 0) tally.failures++;
  } finally {
    remove();
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { tries: { type: "string", default: "50" }, json: { type: "boolean", default: false } },
  });
  const tries = Number(values.tries);
  const folder = mkdtempSync(join(tmpdir(), "shoal-bench-"));
  const dispose = cleanUpLater(() => rmSync(folder, { recursive: true, force: true }));
  const contenders = [
    boostContender(folder, "boost", []),
    boostContender(folder, "boost-simple", ["-DSIMPLE"]),
    ...["slab", "buddy", "first-fit"].map(shoalContender),
  ].filter((one) => one !== undefined);
  if (!contenders.some(({ name }) => name === "boost"))
    process.stderr.write("no Boost, so no figures for it: apt-get install g++ libboost-dev\n");
  const tallies: Record<string, Tally> = {};
  for (const { name } of contenders) tallies[name] = { kills: 0, hangs: 0, failures: 0 };
  try {
    for (let round = 0; round < tries; round++)
      for (const contender of contenders) await tryOnce(contender, tallies[contender.name]!);
  } finally {
    dispose();
  }
  if (values.json) process.stdout.write(`${JSON.stringify(tallies)}\n`);
  else console.table(tallies);
}

await main();
