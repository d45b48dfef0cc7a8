/**
 * Runs the same benchmark on other JavaScript runtimes, one after the other, for the columns of the document's table.
 * "node" is the runtime this runs on; every other name is one that scripts/runtimes.mjs knows how to fetch.
 */

import { fileURLToPath } from "node:url";
import { runCommand } from "./command.ts";
import type { Result } from "./report.ts";

/** The project's folder; this file is compiled to dist/bench/harness/. */
export const projectRoot = fileURLToPath(new URL("../../../", import.meta.url));

async function runProgram(program: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand(program, args, { cwd: projectRoot, stderr: "inherit" });
  if (code === 0) return stdout;
  const outcome = code === undefined ? `did not run to its end: ${stderr}` : `ended with code ${code}`;
  throw new Error(`${program} ${args.join(" ")} ${outcome}.`);
}

async function findBinary(runtime: string): Promise<string> {
  if (runtime === "node") return process.execPath;
  return (await runProgram(process.execPath, ["scripts/runtimes.mjs", runtime])).trim();
}

/** Runs this program with `args` (and --json) on `runtime`. */
export async function runOnRuntime(runtime: string, args: readonly string[]): Promise<Result> {
  const binary = await findBinary(runtime);
  // Deno wants a verb and permissions before the program.
  const prefix = runtime === "deno" ? ["run", "-A"] : [];
  return JSON.parse(await runProgram(binary, [...prefix, "dist/bench/main.js", ...args, "--json"])) as Result;
}
