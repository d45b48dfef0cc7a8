/** Programs that are started with `--import shoal/auto`, as a user's are: by the package's own name. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { freshFolder } from "../helpers/segments.ts";

/** The package: where its name means itself. */
const root = join(import.meta.dirname, "..", "..", "..");

/** What came of a program. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A module that imports from "shoal/auto", in a file that can be run. */
export function makeProgram(t: TestContext, source: string): string {
  const path = join(freshFolder(t, join(root, "dist")), "program.mjs");
  writeFileSync(path, source);
  return path;
}

/** Runs a program to its end, with the heap that the variables say loaded before it. */
export function runAuto(program: string, variables: Readonly<Record<string, string>>): Promise<Ended> {
  // The variables of whoever runs the tests are none of the program's.
  const own = Object.entries(process.env).filter(
    ([name]) => !name.startsWith("SHOAL_") || name === "SHOAL_TEST_RUN",
  );
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ["--import", "shoal/auto", program],
      { cwd: root, env: { ...Object.fromEntries(own), ...variables } },
      (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
}

/** The same for one that must end well; what it printed, one JSON value a line. */
export async function linesOf(
  program: string,
  variables: Readonly<Record<string, string>>,
): Promise<unknown[]> {
  const { code, stdout, stderr } = await runAuto(program, variables);
  assert.equal(code, 0, stderr);
  return stdout
    .trim()
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as unknown);
}
