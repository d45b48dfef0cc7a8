/**
 * Whether the machine has nothing else to do: looked at before a measurement (and waited for, a bounded time), and
 * again over the measurement itself, where the processor time of this process and of its ended children is subtracted.
 *
 * All from /proc/stat, in ticks of 10 ms, so a look lasts 300 ms; /proc/loadavg gives the tasks that are runnable at
 * this instant, which catches a neighbour that has just started. Time stolen by other guests of the host counts as
 * busy. Linux only, as Shoal is.
 */

import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

const lookMs = 300;
const tickMs = 10;

/** Above this share of all processors' time, the others disturb. Housekeeping is about 1 %. */
const maxBusyShare = 0.05;

interface Ticks {
  readonly busy: number;
  readonly total: number;
}

/** Ticks of all processors since boot: /proc/stat's first line (see proc_stat(5)). */
function readTicks(): Ticks {
  const [first = ""] = readFileSync("/proc/stat", "utf8").split("\n", 1);
  const numbers = first.split(/\s+/).slice(1, 9).map(Number);
  const [user = 0, nice = 0, system = 0, idle = 0, waiting = 0, hard = 0, soft = 0, stolen = 0] = numbers;
  const busy = user + nice + system + hard + soft + stolen;
  return { busy, total: busy + idle + waiting };
}

/** Ticks that this process and its ended children have used: fields 14 to 17 of /proc/self/stat. */
function readOwnTicks(): number {
  const text = readFileSync("/proc/self/stat", "utf8");
  // The second field, the program's name, may contain spaces and ends at the last parenthesis.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
}

/** Tasks runnable now, this one excluded. */
function readOtherRunnable(): number {
  const [, , , tasks = "1/1"] = readFileSync("/proc/loadavg", "utf8").split(" ");
  return Math.max(0, Number.parseInt(tasks, 10) - 1);
}

/** Share of all processors' time, 0 to 1, that somebody else used since the watch began. */
export interface Watch {
  readonly othersShare: () => number;
}

export function watchOthers(): Watch {
  const [ticks, own] = [readTicks(), readOwnTicks()];
  return {
    othersShare: () => {
      const now = readTicks();
      const total = now.total - ticks.total;
      if (total <= 0) return 0;
      return Math.max(0, now.busy - ticks.busy - (readOwnTicks() - own)) / total;
    },
  };
}

/** Whether a share is more than housekeeping: two ticks are, over a short look, and mean nothing. */
export function isDisturbing(othersShare: number, lastedMs: number): boolean {
  const ticks = othersShare * (lastedMs / tickMs) * availableParallelism();
  return othersShare > maxBusyShare && ticks > 3;
}

async function lookOnce(): Promise<boolean> {
  const watch = watchOthers();
  await sleep(lookMs);
  return !isDisturbing(watch.othersShare(), lookMs) && readOtherRunnable() < availableParallelism();
}

/** Waits until nothing else runs. False if that did not come to pass within `timeoutMs`. */
export async function waitForIdle(timeoutMs: number): Promise<boolean> {
  const endAt = performance.now() + timeoutMs;
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop
    if (await lookOnce()) return true;
    if (performance.now() >= endAt) return false;
  }
}
