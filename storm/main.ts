/**
 * `npm run storm`: participants of all kinds are killed at random moments, and after each blow every block is counted.
 * docs/reliability.md says what is done and what came of it.
 */

import { setImmediate as nextTurn } from "node:timers/promises";
import { parseArgs } from "node:util";
import { cleanUpNow, cleanUpWhenInterrupted, isInterrupted } from "../bench/harness/cleanup.ts";
import { makeProgress } from "../bench/harness/progress.ts";
import { ALLOCATORS, storm } from "./storm.ts";
import type { StormOptions, StormResult } from "./storm.ts";

const usage = `Usage: npm run storm -- [options]

Processes and worker threads allocate, free, resize, share and set roots in one heap, lock, send and receive in another one;
they are killed (SIGKILL), stopped (SIGSTOP) and terminated (worker.terminate()) at random moments. After each blow the
survivors recover and everything is counted: every block, its contents, its owner, every root, every lock, every message.

Options:
  --kills N         how many processes are killed (default 300)
  --seconds S       ends after this time, whatever has been killed by then (default 600)
  --allocator NAME  ${ALLOCATORS.join(", ")} or several with commas between (default: all, in turn)
  --seed N          repeats the random decisions of a run (the kernel's scheduling is not repeated)
  --json            one JSON object on standard output
  --help            this text

Exit codes: 0 nothing was found, 1 something was (standard error says what), 2 wrong usage; 128 and the signal's number
after Ctrl-C or another polite kill, with everything ended and removed that the run has made.
Examples:
  npm run storm -- --kills 1000
  npm run storm --silent -- --kills 10000 --seconds 3600 --json
`;

class UsageError extends Error {}

function parsePositive(option: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value >= 2 ** 31)
    throw new UsageError(`--${option} wants a positive whole number.`);
  return value;
}

function readOptions(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        help: { type: "boolean", short: "h", default: false },
        json: { type: "boolean", default: false },
        kills: { type: "string" },
        seconds: { type: "string" },
        seed: { type: "string" },
        allocator: { type: "string" },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** Undefined if help was asked for. */
function parseArguments(args: readonly string[]): (StormOptions & { isJson: boolean }) | undefined {
  const values = readOptions(args);
  if (values.help) return undefined;
  const names = values.allocator?.split(",") ?? ALLOCATORS;
  const allocators = ALLOCATORS.filter((name) => names.includes(name));
  if (allocators.length !== names.length)
    throw new UsageError(`--allocator wants names of ${ALLOCATORS.join(", ")}.`);
  return {
    kills: parsePositive("kills", values.kills, 300),
    seconds: parsePositive("seconds", values.seconds, 600),
    seed: parsePositive("seed", values.seed, 1 + (Date.now() % (2 ** 31 - 1))),
    allocators,
    isJson: values.json,
  };
}

function describe({ faults: _faults, ...figures }: StormResult, isJson: boolean): string {
  const rounded = { ...figures, seconds: Math.round(figures.seconds * 10) / 10 };
  if (isJson) return `${JSON.stringify(rounded)}\n`;
  const width = Math.max(...Object.keys(rounded).map((name) => name.length));
  return Object.entries(rounded)
    .map(([name, value]) => `${name.padEnd(width)}  ${value.toLocaleString("en")}\n`)
    .join("");
}

async function run(args: readonly string[]): Promise<void> {
  const parsed = parseArguments(args);
  if (parsed === undefined) return void process.stdout.write(usage);
  const progress = makeProgress();
  const result = await storm({ ...parsed, show: progress.show });
  progress.clear();
  process.stdout.write(describe(result, parsed.isJson));
  if (result.faults.length === 0) return;
  process.stderr.write(`${result.faults.join("\n")}\n`);
  process.stderr.write(`again: npm run storm -- --seed ${result.seed} --kills ${parsed.kills}\n`);
  process.exitCode = 1;
}

async function runOrComplain(args: readonly string[]): Promise<void> {
  try {
    await run(args);
  } catch (error) {
    // An interrupt ends the children; what fails then fails because of that.
    await nextTurn();
    if (isInterrupted()) return;
    await cleanUpNow();
    const isUsage = error instanceof UsageError;
    const text = error instanceof Error ? (isUsage ? error.message : error.stack) : String(error);
    process.stderr.write(`${text}\n${isUsage ? `\n${usage}` : ""}`);
    process.exitCode = isUsage ? 2 : 1;
  }
}

cleanUpWhenInterrupted();
await runOrComplain(process.argv.slice(2));
