/**
 * `npm run flips`: damages heaps, and makes every call on each. docs/reliability.md says what has come of it.
 *
 * Reads the arguments, has the engines work (crew.ts), prints.
 */

import { constants } from "node:os";
import { parseArguments, usage, UsageError } from "./arguments.ts";
import type { Arguments } from "./arguments.ts";
import { dismiss, runAll } from "./crew.ts";
import { describeResult, describeViolation, resultOf } from "./report.ts";
import type { Report } from "./report.ts";

let interrupted: NodeJS.Signals | undefined;

/** The first interrupt ends the engines and has what was done so far printed. */
function heedInterrupts(): void {
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(name, () => {
      interrupted = name;
      dismiss();
    });
  }
}

/** So many violations are told at length; the rest are most likely the same ones. */
const MOST_TOLD = 20;

const eraseLine = "\r\u001b[K";

function showProgress(done: number, { count }: Arguments, startedMs: number): void {
  if (process.stderr.isTTY !== true) return;
  const seconds = (performance.now() - startedMs) / 1000;
  const left = Math.round((seconds / done) * (count - done));
  process.stderr.write(`${eraseLine}${done} of ${count} heaps, ${left} s left`);
}

async function run(options: Arguments): Promise<number> {
  const startedMs = performance.now();
  const reports: Report[] = [];
  let done = 0;
  let told = 0;
  const note = (report: Report): void => {
    reports.push(report);
    done += report.heaps;
    showProgress(done, options, startedMs);
    for (const violation of report.violations) {
      if (++told > MOST_TOLD) break;
      if (process.stderr.isTTY === true) process.stderr.write(eraseLine);
      process.stderr.write(`${describeViolation(violation)}\n`);
    }
  };
  await runAll(options, note, () => interrupted !== undefined);
  if (process.stderr.isTTY === true) process.stderr.write(eraseLine);
  const result = resultOf(reports, (performance.now() - startedMs) / 1000);
  process.stdout.write(options.isJson ? `${JSON.stringify(result)}\n` : describeResult(result));
  if (interrupted !== undefined) return 128 + constants.signals[interrupted];
  return result.violations.length === 0 ? 0 : 1;
}

function readArguments(): Arguments | undefined {
  try {
    return parseArguments(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n\n${usage}`);
    process.exitCode = 2;
    return undefined;
  }
}

const options = readArguments();
if (options !== undefined) {
  heedInterrupts();
  process.exitCode = await run(options);
} else if (process.exitCode === undefined) process.stdout.write(usage);
