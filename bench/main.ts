/**
 * `npm run bench -- TOPIC`: measures Shoal and compares it with its targets. docs/benchmarks.md explains every row.
 *
 * Reads the arguments, waits for an idle machine, runs the topics, prints. What is measured stands in topics/, how in
 * harness/. A missed target is reported and is no failure: the exit code is 0 whenever there are results.
 */

import { setImmediate as nextTurn } from "node:timers/promises";
import { parseArgs } from "node:util";
import { cleanUpNow, cleanUpWhenInterrupted, isInterrupted } from "./harness/cleanup.ts";
import { isDisturbing, waitForIdle, watchOthers } from "./harness/idle.ts";
import { measure } from "./harness/measure.ts";
import type { Row } from "./harness/measure.ts";
import type { Topic, TopicOptions } from "./harness/plan.ts";
import { makeProgress } from "./harness/progress.ts";
import { describeCpu, describeRuntime, formatMarkdown, formatTable } from "./harness/report.ts";
import type { Result } from "./harness/report.ts";
import { runOnRuntime } from "./harness/runtimes.ts";
import { topics } from "./topics/index.ts";

const idleTimeoutMs = 20_000;

const usage = `Usage: npm run bench -- TOPIC [options]

Topics: ${topics.map(({ name }) => name).join(", ")}, all

Options:
  --json           one JSON object on standard output
  --markdown       the table of docs/benchmarks.md
  --runtimes LIST  with --markdown: one column for each, for example node,node24,node26,bun
  --repeat N       how often to repeat the fill (each run checks every byte)
  --with-peers     first installs what the topic's peers need and is missing: alloc's with apt-get, as root or with
                   sudo; ipc's with npm, into .cache/peers
  --quick          as little as possible: shows that the benchmarks work, not how fast anything is
  --help           this text

Exit codes: 0 measured (whether or not the targets hold), 1 a benchmark failed, 2 wrong usage; 128 and the signal's
number after Ctrl-C or another polite kill, with everything removed that the run has made.
Examples:
  npm run bench -- region
  npm run bench -- fill --repeat 1000
  npm run bench --silent -- all --json > result.json
`;

class UsageError extends Error {}

interface Arguments {
  readonly topic: string;
  readonly format: "json" | "markdown" | "table";
  readonly runtimes: readonly string[] | undefined;
  readonly withPeers: boolean;
  readonly options: TopicOptions;
}

function parsePositive(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new UsageError(`--${option} wants a positive whole number.`);
  return value;
}

function readOptions(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        help: { type: "boolean", short: "h", default: false },
        json: { type: "boolean", default: false },
        markdown: { type: "boolean", default: false },
        quick: { type: "boolean", default: false },
        repeat: { type: "string" },
        runtimes: { type: "string" },
        "with-peers": { type: "boolean", default: false },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** Undefined if help was asked for. */
function parseArguments(args: readonly string[]): Arguments | undefined {
  const { values, positionals } = readOptions(args);
  if (values.help) return undefined;
  const [topic, ...rest] = positionals;
  if (topic === undefined) throw new UsageError("which topic?");
  if (rest.length > 0) throw new UsageError("one topic at a time, or all.");
  if (topic !== "all" && !topics.some(({ name }) => name === topic)) {
    throw new UsageError(`there is no topic "${topic}".`);
  }
  if (values.json && values.markdown) throw new UsageError("--json or --markdown, not both.");
  if (values.runtimes !== undefined && !values.markdown)
    throw new UsageError("--runtimes goes with --markdown.");
  return {
    topic,
    format: values.json ? "json" : values.markdown ? "markdown" : "table",
    runtimes: values.runtimes?.split(","),
    withPeers: values["with-peers"],
    options: {
      isQuick: values.quick,
      repeatCount: values.repeat === undefined ? undefined : parsePositive("repeat", values.repeat),
    },
  };
}

function selectTopics(topic: string): readonly Topic[] {
  return topic === "all" ? topics : topics.filter(({ name }) => name === topic);
}

async function installPeers(topic: string): Promise<void> {
  for (const one of selectTopics(topic)) {
    // One after the other: each tells what it is at.
    // oxlint-disable-next-line no-await-in-loop
    await one.installPeers?.();
  }
}

async function runTopics(topic: string, options: TopicOptions): Promise<Row[]> {
  const rows: Row[] = [];
  const progress = makeProgress();
  for (const { name, plan } of selectTopics(topic)) {
    progress.show(`${name}: starting`);
    const showRound = (round: number, rounds: number): void =>
      progress.show(`${name}: round ${round} of ${rounds}`);
    // One after the other on purpose: two at once would measure each other.
    // oxlint-disable-next-line no-await-in-loop
    rows.push(...(await measure(await plan(options), showRound)));
    progress.clear();
  }
  return rows;
}

/** Quick results are not meant as figures, so they wait for nobody. */
async function runHere(topic: string, options: TopicOptions): Promise<Result> {
  const wasIdle = await waitForIdle(options.isQuick ? 0 : idleTimeoutMs);
  if (!wasIdle) process.stderr.write("the machine is not idle; these are not figures to rely on.\n");
  const startedMs = performance.now();
  const watch = watchOthers();
  const rows = await runTopics(topic, options);
  const othersShare = watch.othersShare();
  const wasDisturbed = isDisturbing(othersShare, performance.now() - startedMs);
  if (wasIdle && wasDisturbed) {
    const percent = Math.round(othersShare * 100);
    process.stderr.write(
      `others took ${percent} % of the processors meanwhile; repeat it on an idle machine.\n`,
    );
  }
  return {
    topic,
    node: describeRuntime(),
    cpu: describeCpu(),
    date: new Date().toISOString(),
    idle: wasIdle && !wasDisturbed,
    rows,
  };
}

async function runOthers({ topic, runtimes = [], options }: Arguments): Promise<Result[]> {
  const flags = options.isQuick ? ["--quick"] : [];
  const repeat = options.repeatCount === undefined ? [] : ["--repeat", String(options.repeatCount)];
  const results: Result[] = [];
  for (const runtime of runtimes) {
    // One after the other on purpose, as above.
    // oxlint-disable-next-line no-await-in-loop
    results.push(await runOnRuntime(runtime, [topic, ...flags, ...repeat]));
  }
  return results;
}

async function run(parsed: Arguments): Promise<string> {
  if (parsed.withPeers) await installPeers(parsed.topic);
  if (parsed.runtimes !== undefined) return formatMarkdown(await runOthers(parsed));
  const result = await runHere(parsed.topic, parsed.options);
  if (parsed.format === "json") return `${JSON.stringify(result)}\n`;
  if (parsed.format === "markdown") return formatMarkdown([result]);
  return formatTable(result, process.stdout.isTTY && process.env["NO_COLOR"] === undefined);
}

async function runOrComplain(args: readonly string[]): Promise<void> {
  try {
    const parsed = parseArguments(args);
    process.stdout.write(parsed === undefined ? usage : await run(parsed));
  } catch (error) {
    // An interrupt reaches the children too: it is to be told as such, and not as a child that failed.
    await nextTurn();
    if (isInterrupted()) return;
    await cleanUpNow();
    if (error instanceof UsageError) {
      process.stderr.write(`${error.message}\n\n${usage}`);
      process.exitCode = 2;
    } else {
      process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
      process.exitCode = 1;
    }
  }
}

cleanUpWhenInterrupted();
await runOrComplain(process.argv.slice(2));
