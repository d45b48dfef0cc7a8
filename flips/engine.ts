/**
 * The engine: a process that damages one heap after the other, for main.ts. It may die of that, or make no end; so it says
 * what it is at, line by line on descriptor 3: the number of the heap that it begins, and what came of some heaps.
 *
 *     node dist/flips/engine.js ALLOCATORS SEED FIRST COUNT STEP
 *
 * Heap number n has the seed SEED + n and the n-th of the allocators.
 */

import { writeSync } from "node:fs";
import { PAGE_SIZE_BYTES } from "../src/layout/header.ts";
import { stopTheClock } from "./clock.ts";
import { hasObjects } from "./kinds.ts";
import type { Kind } from "./kinds.ts";
import type { Report } from "./report.ts";
import { limitRoom } from "./room.ts";
import { runTrial } from "./trial.ts";

const REPORT_FD = 3;
/** No heap gets more storage than for so many pages. */
const MOST_PAGES = 32;
/** After so many heaps what came of them is told, and the memories of those that are closed are given back. */
const HEAPS_A_REPORT = 100;

const [list = "", seedText = "", firstText = "", countText = "", stepText = ""] = process.argv.slice(2);
const allocators = list.split(",") as Kind[];
const [seed, first, count, step] = [seedText, firstText, countText, stepText].map(Number) as [
  number,
  number,
  number,
  number,
];

const tell = (line: string): void => void writeSync(REPORT_FD, `${line}\n`);
const nothing = (): Report => ({ heaps: 0, calls: 0, codedErrors: 0, mostAccesses: 0, violations: [] });

stopTheClock();
limitRoom(MOST_PAGES * PAGE_SIZE_BYTES);
// Where an error comes from costs as much as all the rest; it is told of one heap at a time.
if (count - first > step) Error.stackTraceLimit = 0;
let report = nothing();
const flush = (): void => {
  if (report.heaps > 0) tell(JSON.stringify(report));
  report = nothing();
  globalThis.gc?.();
};
for (let number = first; number < count; number += step) {
  tell(String(number));
  const kind = allocators[number % allocators.length]!;
  // One after the other.
  // oxlint-disable-next-line no-await-in-loop
  const { calls, codedErrors, mostAccesses, violations } = await runTrial(kind, seed + number);
  // What was put off to the event loop has its turn: promises of closed ports are kept by nobody any more.
  // oxlint-disable-next-line no-await-in-loop
  if (hasObjects(kind)) await new Promise(setImmediate);
  report = {
    heaps: report.heaps + 1,
    calls: report.calls + calls,
    codedErrors: report.codedErrors + codedErrors,
    mostAccesses: Math.max(report.mostAccesses, mostAccesses),
    violations: [...report.violations, ...violations],
  };
  if (report.heaps === HEAPS_A_REPORT) flush();
}
flush();
