/**
 * Waiting for a message, or for room: first looking for a while, if that may be worth it, then asleep (src/sync/wait.ts).
 *
 * To fall asleep and be woken takes two sides some ten microseconds, of which a message needs less than one. So two that answer each
 * other fast would spend their time on sleeping, each because the other does. Who has waited shortly, sleep included, looks for
 * that long the next times, before it sleeps; after a few times in vain it does not any more. So who waits long spends nothing.
 */

import { checkAwait, checkTimeout, waitAsync, waitSync } from "../../sync/wait.ts";
import type { AwaitOptions, BlockOptions, WaitPoint } from "../../sync/wait.ts";
import type { Link } from "./link.ts";

/** How long to wait in a call that blocks the thread. */
export interface SyncOptions extends BlockOptions {
  /** Looks all the time instead of sleeping: the fastest, and takes all of a processor. Default false. */
  readonly spin?: boolean | undefined;
}

/** How often an attempt may look while somebody looks and does not sleep: and if it never sleeps. */
export const LOOKS = 8;
export const MOST_LOOKS = 2000;

/** A wait that was no longer than this, falling asleep and waking up included, might as well have been looked out. */
const SHORT_MS = 0.15;

/** How often in a row it may be in vain. */
const MOST_MISSES = 3;

/** Attempts between two looks at the clock. */
const ATTEMPTS = 16;

/** Within a limit that is shorter it is not worth it. */
const LEAST_TIMEOUT_MS = 1;

/** How often who spins looks whether somebody has died. */
const WATCH_MS = 50;

/** The waits of one participant at one place of a channel. An attempt returns 0 for "not yet". */
export interface Waits {
  /** With the thread. 0: in vain. Errors as waitSync. */
  block(attempt: () => number, options: SyncOptions, call: string): number;
  /** While the event loop goes on. Errors as waitAsync. */
  turn(attempt: () => number, options: AwaitOptions, call: string): Promise<number>;
}

const turnOfTheLoop = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export function makeWaits(link: Link, point: WaitPoint): Waits {
  /** How often more looking may be in vain. */
  let left = 0;

  const isWorthIt = (timeoutMs: number | undefined): boolean =>
    left > 0 && (timeoutMs === undefined || timeoutMs >= LEAST_TIMEOUT_MS);

  const tryOften = (attempt: () => number): number => {
    let result = 0;
    for (let tries = ATTEMPTS; tries > 0 && result === 0; tries--) result = attempt();
    if (result !== 0) left = MOST_MISSES;
    return result;
  };

  const lookOut = (attempt: () => number): number => {
    const endMs = performance.now() + SHORT_MS;
    do {
      const result = tryOften(attempt);
      if (result !== 0) return result;
    } while (performance.now() < endMs);
    left--;
    return 0;
  };

  const lookOutInTurns = async (attempt: () => number, signal: AbortSignal | undefined): Promise<number> => {
    const endMs = performance.now() + SHORT_MS;
    do {
      const result = tryOften(attempt);
      if (result !== 0) return result;
      // oxlint-disable-next-line no-await-in-loop
      await turnOfTheLoop();
      // It changes while the event loop has its turn.
      // oxlint-disable-next-line no-unmodified-loop-condition
    } while (performance.now() < endMs && signal?.aborted !== true);
    left--;
    return 0;
  };

  const note = (startMs: number): void => {
    if (performance.now() - startMs <= SHORT_MS) left = MOST_MISSES;
  };

  const spin = (attempt: () => number, { timeoutMs }: BlockOptions, call: string): number => {
    const limitMs = checkTimeout(call, timeoutMs);
    const startMs = performance.now();
    let watchedMs = startMs;
    for (;;) {
      const result = attempt();
      if (result !== 0) return result;
      const nowMs = performance.now();
      if (nowMs - startMs >= limitMs) return 0;
      if (nowMs - watchedMs < WATCH_MS) continue;
      watchedMs = nowMs;
      link.context.check();
      link.context.recover();
    }
  };

  return {
    block(attempt, options, call) {
      if (options.spin === true) return spin(attempt, options, call);
      const { timeoutMs, warn } = options;
      checkTimeout(call, timeoutMs);
      const early = warn !== true && isWorthIt(timeoutMs) ? lookOut(attempt) : 0;
      if (early !== 0) return early;
      const startMs = performance.now();
      const result = waitSync(point, attempt, options, call);
      note(startMs);
      return result;
    },
    async turn(attempt, options, call) {
      checkAwait(point, call, options);
      const early = isWorthIt(options.timeoutMs) ? await lookOutInTurns(attempt, options.signal) : 0;
      if (early !== 0) return early;
      const startMs = performance.now();
      const result = await waitAsync(point, attempt, options, call);
      note(startMs);
      return result;
    },
  };
}
