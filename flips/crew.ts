/**
 * The engines that share a run, and the watch over them: one that dies, or says nothing for too long, has found something;
 * another goes on behind the heap that it was at.
 */

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Arguments } from "./arguments.ts";
import type { Report } from "./report.ts";
import type { Violation } from "./trial.ts";

/** The program of an engine, and how long it may say nothing. (A heap takes some milliseconds.) */
export interface Machine {
  readonly path: string;
  readonly patienceMs: number;
}

export const engine: Machine = {
  path: fileURLToPath(new URL("engine.js", import.meta.url)),
  patienceMs: 60_000,
};

const running = new Set<ChildProcess>();

/** Ends all engines. */
export function dismiss(): void {
  for (const child of running) child.kill("SIGKILL");
}

interface End {
  /** The heap that the engine was at last; -1: it began none. */
  readonly at: number;
  readonly isDone: boolean;
  readonly isSilent: boolean;
  readonly how: string;
}

/** Runs one engine over the heaps `first`, `first + step`, … until it ends. */
async function runEngine(
  options: Arguments,
  machine: Machine,
  first: number,
  step: number,
  note: (report: Report) => void,
): Promise<End> {
  const { allocators, seed, count } = options;
  const numbers = [seed, first, count, step].map(String);
  const child = spawn(
    process.execPath,
    ["--expose-gc", "--enable-source-maps", machine.path, allocators.join(","), ...numbers],
    {
      stdio: ["ignore", "ignore", "pipe", "pipe"],
    },
  );
  running.add(child);
  let at = -1;
  let isSilent = false;
  let said = "";
  child.stderr?.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4000)));
  const watchdog = setTimeout(() => {
    isSilent = true;
    child.kill("SIGKILL");
  }, machine.patienceMs);
  const lines = createInterface({ input: child.stdio[3] as Readable });
  lines.on("line", (line) => {
    watchdog.refresh();
    if (line.startsWith("{")) note(JSON.parse(line) as Report);
    else at = Number(line);
  });
  const [[code, signal]] = (await Promise.all([once(child, "close"), once(lines, "close")])) as [
    [number | null, string | null],
    unknown,
  ];
  clearTimeout(watchdog);
  running.delete(child);
  return { at, isDone: code === 0, isSilent, how: `ended with ${code ?? signal}\n${said}` };
}

function lossOf(
  { allocators, seed }: Arguments,
  { patienceMs }: Machine,
  { at, isSilent, how }: End,
): Violation {
  return {
    allocator: allocators[at % allocators.length]!,
    seed: seed + at,
    fault: isSilent ? "hang" : "crash",
    call: "some call",
    damages: [],
    message: isSilent ? `the process said nothing for ${patienceMs} ms` : `the process ${how}`,
  };
}

/** Runs all heaps of one process's share; `note` is told as they come what came of them. */
async function runShare(
  options: Arguments,
  machine: Machine,
  first: number,
  step: number,
  note: (report: Report) => void,
  isEnding: () => boolean,
): Promise<void> {
  for (let next = first; next < options.count && !isEnding();) {
    // One after the other: each begins where the last one ended.
    // oxlint-disable-next-line no-await-in-loop
    const end = await runEngine(options, machine, next, step, note);
    if (end.isDone || isEnding()) return;
    if (end.at < 0) throw new Error(`an engine that had done nothing yet ${end.how}`);
    // What it had done since its last report is not counted.
    note({
      heaps: 1,
      calls: 1,
      codedErrors: 0,
      mostAccesses: 0,
      violations: [lossOf(options, machine, end)],
    });
    next = end.at + step;
  }
}

/** Runs all heaps in as many processes as were asked for. */
export async function runAll(
  options: Arguments,
  note: (report: Report) => void,
  isEnding: () => boolean,
  machine = engine,
): Promise<void> {
  const processes = Math.min(options.processes, options.count);
  const shares = Array.from({ length: processes }, (_, index) =>
    runShare(options, machine, index, processes, note, isEnding),
  );
  await Promise.all(shares);
}
