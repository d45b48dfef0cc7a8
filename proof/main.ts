/** `npm run proof`: see the help below. */

import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { replay } from "./run.ts";
import type { ProofOptions, ProofResult } from "./run.ts";
import type { WorkerInput, WorkerMessage } from "./worker.ts";

const help = `npm run proof -- [options]

Crashes every operation of the core before each of its accesses to shared memory, and whoever recovers it before each of
its own; runs pairs of operations, and three, on heaps, channels and locks, in every order of their accesses, and random ones; and
judges what is left.

  --json             prints one JSON object and nothing else
  --deep             all that can be: takes as long as --minutes says
  --minutes M        with --deep: at most so long (default 30)
  --seed N           the random races' first seed (default 1)
  --only TEXT        only what has TEXT in its name, for example race/buddy or crash/segment
  --replay NAME      does one part again, as the line printed for a violation says
  --schedule TEXT    with --replay: this schedule of it alone
  --help             prints this

Ctrl-C ends it with what was found so far. The exit code is 1 when something was found, 130 after Ctrl-C.
`;

/** Violations that are told in full; more of them would be of the same. */
const mostShown = 20;

const print = (text: string): void => void process.stdout.write(`${text}\n`);
const { isTTY: isTerminal, columns = 100 } = process.stderr;

function showProgress(line: string): void {
  if (isTerminal) process.stderr.write(`\r\x1b[K${line.slice(0, columns - 1)}`);
}

function fail(message: string, code: number): void {
  process.stderr.write(`${message}\n`);
  process.exitCode = code;
}

function readNumber(text: string, name: string, least: number): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value >= least) return value;
  throw new Error(`--${name} wants a number of at least ${least}, not "${text}"`);
}

function toJson(result: ProofResult, seed: number): string {
  const { sites, sitesHit, violations, seconds, isInterrupted, bounded, cut, deaths } = result;
  const { operations, crashPoints, recovererCrashPoints, schedules, steps } = result;
  const counts = { sites, sitesHit: sitesHit.size, operations, crashPoints, recovererCrashPoints };
  const rest = {
    schedules,
    steps,
    deaths,
    bounded,
    cut,
    violations: violations.length,
    seed,
    seconds,
    isInterrupted,
  };
  return JSON.stringify({ ...counts, ...rest, found: violations.slice(0, mostShown) });
}

function printResult(result: ProofResult, seed: number): void {
  const { sites, sitesHit, operations, crashPoints, recovererCrashPoints } = result;
  print(`${sitesHit.size} of ${sites} checkpoint sites crashed at`);
  print(`${operations} operations and races`);
  print(`${crashPoints} crash points, ${recovererCrashPoints} of recoverers`);
  print(`${result.schedules} schedules of ${result.steps} steps, ${result.deaths} deaths in them`);
  if (result.bounded > 0)
    print(`${result.bounded} races were gone through up to 1, 2 or 3 preemptions, not whole`);
  if (result.cut > 0) print(`${result.cut} races were broken off`);
  print(`${result.seconds} s, seed ${seed}${result.isInterrupted ? ", interrupted" : ""}`);
  for (const { name, message, replay: line } of result.violations.slice(0, mostShown))
    print(`\nVIOLATION ${name}\n  ${message.replaceAll("\n", "\n  ")}\n  again: ${line}`);
  print(`${result.violations.length} violations`);
}

/** Runs the proof in a worker, so that this thread hears signals meanwhile. */
function runInWorker(options: ProofOptions): Promise<ProofResult> {
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const workerData: WorkerInput = { options, stop };
  const worker = new Worker(new URL("./worker.js", import.meta.url), { workerData });
  let signals = 0;
  const onSignal = (): void => {
    Atomics.store(stop, 0, 1);
    if (++signals === 1) showProgress("stopping: a moment, or Ctrl-C again");
    else process.exit(130);
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  return new Promise((resolve, reject) => {
    worker.on("message", (message: WorkerMessage) => {
      if (message.kind === "progress") showProgress(message.line);
      else resolve(message.result);
    });
    worker.on("error", reject);
    worker.on("exit", (code) => reject(new Error(`the worker ended with code ${code}`)));
  });
}

async function main(): Promise<void> {
  const text = { type: "string" } as const;
  const flag = { type: "boolean", default: false } as const;
  const { values } = parseArgs({
    options: {
      json: flag,
      deep: flag,
      help: flag,
      minutes: { ...text, default: "30" },
      seed: { ...text, default: "1" },
      only: text,
      replay: text,
      schedule: text,
    },
  });
  if (values.help) {
    process.stdout.write(help);
    return;
  }
  if (values.replay !== undefined) {
    replay(values.replay, values.schedule);
    print("nothing is wrong");
    return;
  }
  const seed = readNumber(values.seed, "seed", 0);
  const minutes = readNumber(values.minutes, "minutes", 0);
  const only = values.only === undefined ? {} : { only: values.only };
  const result = await runInWorker({ seed, minutes, isDeep: values.deep, ...only });
  showProgress("");
  if (values.json) print(toJson(result, seed));
  else printResult(result, seed);
  if (result.violations.length > 0) process.exitCode = 1;
  else if (result.isInterrupted) process.exitCode = 130;
}

try {
  await main();
} catch (error) {
  fail((error as Error).message, 1);
}
