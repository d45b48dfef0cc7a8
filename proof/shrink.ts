/**
 * Makes a schedule that shows a fault smaller: parts of it are left out, and rows of steps joined, as long as a fault is shown
 * and there are fewer switches, or as many and fewer steps. (Who makes no step in the schedule makes its steps after it.)
 */

import { runSchedule } from "./schedule.ts";
import type { Death, Schedule } from "./schedule.ts";
import type { Stage } from "./stage.ts";

/** Steps of one participant in a row. */
interface Row {
  readonly index: number;
  readonly count: number;
}

export interface Shrunk {
  readonly schedule: Schedule;
  readonly error: Error;
}

/** Schedules that are tried at most: some tenths of a millisecond each. */
const MOST_TRIES = 3000;

function rowsOf(path: readonly number[]): Row[] {
  const rows: Row[] = [];
  for (const index of path) {
    const last = rows.at(-1);
    if (last?.index === index) rows[rows.length - 1] = { index, count: last.count + 1 };
    else rows.push({ index, count: 1 });
  }
  return rows;
}

const stepsOf = (rows: readonly Row[]): number[] =>
  rows.flatMap(({ index, count }) => Array.from({ length: count }, () => index));

/** Rows that may do as well: shorter first. */
function* smaller(rows: readonly Row[]): Generator<readonly Row[]> {
  for (let length = rows.length; length >= 1; length >>>= 1)
    for (let at = rows.length - length; at >= 0; at -= length)
      yield [...rows.slice(0, at), ...rows.slice(at + length)];
  // A row goes to the one of the same participant that is before it, or after it.
  for (let at = 0; at < rows.length; at++) {
    const row = rows[at]!;
    const next = rows.findIndex(({ index }, other) => other > at && index === row.index);
    if (next === -1) continue;
    const joined = { index: row.index, count: row.count + rows[next]!.count };
    yield rows.flatMap((one, other) => (other === at ? [joined] : other === next ? [] : [one]));
    yield rows.flatMap((one, other) => (other === next ? [joined] : other === at ? [] : [one]));
  }
  for (let at = 0; at < rows.length; at++)
    for (let less = rows[at]!.count >>> 1; less >= 1; less >>>= 1)
      yield rows.map((one, other) => (other === at ? { ...one, count: one.count - less } : one));
}

/** Undefined: the schedule shows no fault. */
export function shrink(stage: Stage, schedule: Schedule): Shrunk | undefined {
  let tries = 0;
  const attempt = (path: readonly number[], death: Death | undefined): Shrunk | undefined => {
    tries++;
    const outcome = runSchedule(stage, death === undefined ? { path } : { path, death });
    const { error } = outcome;
    return error === undefined ? undefined : { schedule: outcome.schedule, error };
  };
  let best = attempt(schedule.path, schedule.death);
  if (best === undefined) return undefined;
  if (schedule.death !== undefined) best = attempt(best.schedule.path, undefined) ?? best;

  const better = (): Shrunk | undefined => {
    const { path, death } = best!.schedule;
    const rows = rowsOf(path);
    for (const candidate of smaller(rows)) {
      if (tries >= MOST_TRIES) return undefined;
      const found = attempt(stepsOf(candidate), death);
      if (found === undefined) continue;
      const now = rowsOf(found.schedule.path).length;
      if (now < rows.length || (now === rows.length && found.schedule.path.length < path.length))
        return found;
    }
    return undefined;
  };
  for (let next = better(); next !== undefined; next = better()) best = next;
  return best;
}
