/**
 * Runs the same benchmark on other JavaScript runtimes, one after the other, for the columns of the document's table.
 * "node" is the runtime this runs on; every other name is one that scripts/runtimes.mjs knows how to fetch.
 */

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Result } from "./report.ts";

/** The project's folder; this file is compiled to dist/bench/harness/. */
export const projectRoot = fileURLToPath(new URL("../../../", import.meta.url));

function runProgram(program: string, args: readonly string[]): string {
  const { status, stdout, error } = spawnSync(program, args, {
    cwd: projectRoot,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${program} ${args.join(" ")} ended with code ${String(status)}.`);
  return stdout;
}

function findBinary(runtime: string): string {
  if (runtime === "node") return process.execPath;
  return runProgram(process.execPath, ["scripts/runtimes.mjs", runtime]).trim();
}

/** Runs this program with `args` (and --json) on `runtime`. */
export function runOnRuntime(runtime: string, args: readonly string[]): Result {
  const binary = findBinary(runtime);
  // Deno wants a verb and permissions before the program.
  const prefix = runtime === "deno" ? ["run", "-A"] : [];
  return JSON.parse(runProgram(binary, [...prefix, "dist/bench/main.js", ...args, "--json"])) as Result;
}
