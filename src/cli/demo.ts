/**
 * `shoal demo`, the main job: many processes (and their workers) fill one segment together while it grows, and then every
 * byte is accounted for.
 */
import type { Command } from "commander";
import { lettersOf, makeScreen, paint } from "./demo-screen.ts";
import { LETTERS } from "./fill-area.ts";
import { runFill } from "./fill-crew.ts";
import type { FillOptions, FillResult } from "./fill-crew.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { colours, EXIT_INTERRUPTED, EXIT_OK, EXIT_PROBLEMS, note, print, printJson } from "./output.ts";
import type { CommonOptions } from "./output.ts";
import { formatSize } from "./sizes.ts";

/** Indexes are signed 32-bit words, and every participant takes one beyond the end. */
const MOST_BYTES = 0x7fffffff - 1024;
const BAR_WIDTH = 40;

export interface DemoOptions extends CommonOptions {
  readonly processes: number;
  readonly threads: number;
  readonly size: number;
  readonly kill?: boolean;
  readonly busy?: boolean;
  readonly repeat: number;
}

function checkUsage(options: DemoOptions, command: Command): void {
  const { processes, threads, size } = options;
  if (processes * (1 + threads) > LETTERS.length) {
    command.error(
      `error: ${processes} processes of ${1 + threads} threads are more than the ${LETTERS.length} letters there are`,
    );
  }
  if (size < 1 || size > MOST_BYTES) command.error(`error: --size must be from 1 to ${MOST_BYTES} bytes`);
  if (options.kill && processes < 2) command.error("error: --kill needs two processes, so that one is left");
}

function count(value: number): string {
  return value.toLocaleString("en");
}

function histogram({ letters }: FillResult): string {
  const entries = Object.entries(letters);
  const most = Math.max(1, ...entries.map(([, bytes]) => bytes));
  return entries
    .map(
      ([letter, bytes]) =>
        `  ${letter} ${count(bytes).padStart(13)}  ${paint(letter.repeat(Math.round((bytes / most) * BAR_WIDTH)))}`,
    )
    .join("\n");
}

function describeKill({
  killed,
  finishedForDead,
  recoveredSlots,
  participantsBefore,
  participantsAfter,
  threads,
}: FillResult): string[] {
  if (killed === null) return [];
  const who = `process ${killed.process} (${lettersOf(killed.process, threads)}, pid ${killed.pid})`;
  return [
    `killed      ${who} by SIGKILL, with ${count(killed.afterBytes)} bytes taken; the others filled the rest`,
    `recovered   ${recoveredSlots} of ${killed.deadSlots} dead slots; participants ${participantsBefore} before, ${participantsAfter} after`,
    `finished    ${finishedForDead} bytes that it had taken and not yet written`,
  ];
}

function report(result: FillResult): void {
  const isSound = result.lostBytes === 0 && result.clashes === 0;
  const losses = `${count(result.lostBytes)} lost, ${count(result.clashes)} clashes`;
  print("");
  print(histogram(result));
  print("");
  for (const line of describeKill(result)) print(line);
  print(
    `bytes       ${count(result.sizeBytes)} filled: ${isSound ? colours.green(losses) : colours.red(losses)}`,
  );
  print(`segment     ${formatSize(result.segmentSizeBytes)} after ${result.growths} growths`);
  print(
    `time        ${result.fillSeconds.toFixed(3)} s of filling, after ${result.attachSeconds.toFixed(3)} s until all had attached`,
  );
  print(`rate        ${count(Math.round(result.bytesPerSecond / 1000))} kB/s`);
}

async function runOnce(options: FillOptions, isJson: boolean, signal: AbortSignal): Promise<FillResult> {
  if (isJson) return runFill(options, {}, signal);
  const { processes, threads, sizeBytes } = options;
  const crew = `${processes} processes${threads === 0 ? "" : ` with ${threads} workers each`}`;
  print(`${crew} fill ${formatSize(sizeBytes)} of one segment`);
  const screen = makeScreen(options);
  try {
    return await runFill(options, screen, signal);
  } finally {
    screen.close();
  }
}

interface Sum {
  readonly repetitions: number;
  readonly lostBytes: number;
  readonly clashes: number;
  readonly finishedForDead: number;
  readonly recoveredSlots: number;
  readonly fillSeconds: { readonly least: number; readonly median: number; readonly most: number };
}

function addUp(results: readonly FillResult[]): Sum {
  const sum = (pick: (result: FillResult) => number): number =>
    results.reduce((total, result) => total + pick(result), 0);
  const seconds = results.map((result) => result.fillSeconds).sort((one, other) => one - other);
  return {
    repetitions: results.length,
    lostBytes: sum((result) => result.lostBytes),
    clashes: sum((result) => result.clashes),
    finishedForDead: sum((result) => result.finishedForDead),
    recoveredSlots: sum((result) => result.recoveredSlots),
    fillSeconds: { least: seconds[0]!, median: seconds[seconds.length >> 1]!, most: seconds.at(-1)! },
  };
}

/** Repetitions say one line each, on standard error when the output is JSON. */
async function runMany(
  options: FillOptions,
  times: number,
  isJson: boolean,
  signal: AbortSignal,
): Promise<Sum> {
  const results: FillResult[] = [];
  for (let round = 1; round <= times; round++) {
    const result = await runFill(options, {}, signal);
    results.push(result);
    const line = `${round}/${times}: ${result.fillSeconds.toFixed(3)} s, ${result.lostBytes} lost, ${result.clashes} clashes`;
    if (!isJson) print(line);
    else if (result.lostBytes > 0 || result.clashes > 0) note(line);
  }
  return addUp(results);
}

function reportSum(sum: Sum): void {
  const { least, median, most } = sum.fillSeconds;
  print("");
  print(`${sum.repetitions} repetitions: ${sum.lostBytes} bytes lost, ${sum.clashes} clashes`);
  print(
    `time        ${median.toFixed(3)} s of filling in the median, from ${least.toFixed(3)} to ${most.toFixed(3)}`,
  );
}

async function perform(options: DemoOptions, signal: AbortSignal): Promise<number> {
  const isJson = options.json ?? false;
  const fill: FillOptions = {
    processes: options.processes,
    threads: options.threads,
    sizeBytes: options.size,
    kill: options.kill ?? false,
    busy: options.busy ?? false,
  };
  const outcome =
    options.repeat > 1
      ? await runMany(fill, options.repeat, isJson, signal)
      : await runOnce(fill, isJson, signal);
  if (isJson) printJson(outcome);
  else if ("repetitions" in outcome) reportSum(outcome);
  else report(outcome);
  return outcome.lostBytes === 0 && outcome.clashes === 0 ? EXIT_OK : EXIT_PROBLEMS;
}

export async function run(options: DemoOptions, command: Command): Promise<number> {
  checkUsage(options, command);
  using interrupt = listenForInterrupt();
  try {
    return await perform(options, interrupt.signal);
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    const message = "interrupted; the processes were ended and the segment removed";
    if (options.json) printJson({ error: { code: "ERR_SHOAL_INTERRUPTED", message, details: {} } });
    else note(message);
    return EXIT_INTERRUPTED;
  }
}
