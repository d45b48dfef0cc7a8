/**
 * Waiting until an attempt succeeds: blocking the thread, or with await.
 *
 * An attempt is a call that tries what is waited for and returns 0 for "not yet". Both kinds of wait put this participant into
 * the object's set first and attempt afterwards, so that no change goes unnoticed (core/bells.ts), and both watch: at least
 * every 50 ms somebody who waits looks whether a participant has died, and recovers it. A blocked thread does so itself; for what is
 * awaited the process's waiter thread looks, and the event loop sleeps on.
 *
 * Who leaves a set in which it was rung since its last look passes the ring on, whether it got what it wanted or not: it may
 * have been rung for the next thing, and the others have not.
 */

import { isMainThread } from "node:worker_threads";
import { shoalError } from "../errors.ts";
import type { Awaiting, AwaitPoint, SyncContext } from "./context.ts";
import { native } from "../os/native.ts";
import { findCycle } from "./deadlock.ts";

/** How long to wait in a call that blocks. */
export interface BlockOptions {
  /** Milliseconds; 0 tries once; default: without limit. */
  readonly timeoutMs?: number | undefined;
  /** On a process's main thread: ERR_SHOAL_WOULD_BLOCK instead of blocking the event loop. Default false. */
  readonly warn?: boolean | undefined;
}

/** How long to wait in a call that is awaited. */
export interface AwaitOptions {
  /** Milliseconds; 0 tries once; default: without limit. */
  readonly timeoutMs?: number | undefined;
  /** Ends the wait. */
  readonly signal?: AbortSignal | undefined;
  /** Whether the wait keeps the process from ending. Default true. */
  readonly ref?: boolean | undefined;
}

/** What is waited for, by whom. */
export interface WaitPoint {
  readonly context: SyncContext;
  readonly object: number;
  readonly set: number;
  /** Somebody holds it while others wait: then it is looked for deadlocks, and looked at every 50 ms. */
  readonly isHeld: boolean;
  /** What the object is called in messages. */
  readonly label: string;
}

/** At least so often somebody who waits looks up. */
const WATCH_MS = 50;

/** How often an attempt is made before a thread sleeps: some microseconds, about what falling asleep and waking up cost. */
const SPINS = 200;

const NO_LIMIT_MS = 2 ** 40;

/** The longest time that a timer can be set to. */
const MOST_TIMER_MS = 2 ** 31 - 1;

/** Ends a wait that has left traces, and removes them. Not 0: it has succeeded after all, with that. */
export type GiveUp = () => number;

/** Of waits that leave none. */
export const leaveNothing: GiveUp = () => 0;

/** @throws ERR_SHOAL_ARGUMENT */
export function checkTimeout(call: string, timeoutMs: number | undefined): number {
  if (timeoutMs === undefined || timeoutMs === Infinity) return NO_LIMIT_MS;
  if (typeof timeoutMs === "number" && timeoutMs >= 0) return Math.min(timeoutMs, NO_LIMIT_MS);
  throw shoalError("ERR_SHOAL_ARGUMENT", `${call}: timeoutMs must be 0 or more, not ${String(timeoutMs)}`, {
    timeoutMs: String(timeoutMs),
  });
}

/**
 * Throws for options that no wait begins with. Who leaves traces before it waits calls this first.
 *
 * @throws ERR_SHOAL_ARGUMENT, ERR_SHOAL_ABORTED
 */
export function checkAwait(point: WaitPoint, call: string, { timeoutMs, signal }: AwaitOptions): void {
  checkTimeout(call, timeoutMs);
  if (signal === undefined) return;
  if (!(signal instanceof AbortSignal)) {
    throw shoalError("ERR_SHOAL_ARGUMENT", `${call}: signal must be an AbortSignal, not ${typeof signal}`, {
      call,
    });
  }
  if (signal.aborted) throw aborted(point, call, signal);
}

/** What is thrown when a wait has taken as long as it may. */
export function timedOut(point: WaitPoint, call: string, timeoutMs: number): Error {
  return shoalError("ERR_SHOAL_TIMEOUT", `${call}: ${point.label} was not to be had within ${timeoutMs} ms`, {
    call,
    object: point.object,
    timeoutMs,
  });
}

function wouldBlock(point: WaitPoint, call: string): Error {
  return shoalError(
    "ERR_SHOAL_WOULD_BLOCK",
    `${call}: ${point.label} is not to be had now, and this would block the event loop of the main thread; await it`,
    { call, object: point.object },
  );
}

/**
 * Blocks the thread until `attempt` returns something else than 0; returns that, or 0 when the time is over. `giveUp` is
 * called in that case, or when it throws.
 *
 * @throws ERR_SHOAL_WOULD_BLOCK, ERR_SHOAL_DEADLOCK, ERR_SHOAL_CLOSED, and what `attempt` throws
 */
export function waitSync(
  point: WaitPoint,
  attempt: () => number,
  options: BlockOptions,
  call: string,
  giveUp: GiveUp = leaveNothing,
): number {
  const timeoutMs = checkTimeout(call, options.timeoutMs);
  for (let spin = timeoutMs === 0 ? 1 : SPINS; spin > 0; spin--) {
    const result = attempt();
    if (result !== 0) return result;
  }
  if (timeoutMs === 0) return giveUp();
  if (options.warn === true && isMainThread) {
    const result = giveUp();
    if (result !== 0) return result;
    throw wouldBlock(point, call);
  }
  let result: number;
  try {
    result = sleepUntil(point, attempt, timeoutMs, call);
  } catch (error) {
    giveUp();
    throw error;
  }
  return result === 0 ? giveUp() : result;
}

function sleepUntil(point: WaitPoint, attempt: () => number, timeoutMs: number, call: string): number {
  const { context, object, set } = point;
  const { core } = context;
  const startMs = performance.now();
  let watchedMs = startMs;
  core.noteWaiting(object);
  core.noteWait(object, Date.now(), 1);
  try {
    for (;;) {
      context.check();
      const seen = core.enter(set);
      const result = attempt();
      if (result !== 0) {
        context.leave(object, set);
        return result;
      }
      const nowMs = performance.now();
      const leftMs = startMs + timeoutMs - nowMs;
      if (leftMs <= 0) {
        context.leave(object, set);
        return 0;
      }
      native.futexWait(context.bellAddress, seen, Math.ceil(Math.min(leftMs, WATCH_MS)));
      context.putBack(core.takeRung());
      if (performance.now() - watchedMs < WATCH_MS - 5) continue;
      watchedMs = performance.now();
      if (!context.recover() && point.isHeld) findCycle(point, call);
    }
  } catch (error) {
    if (!context.region.closed) context.leave(object, set);
    throw error;
  } finally {
    if (!context.region.closed) core.noteWait(0, 0, 1);
  }
}

/**
 * Resolves once `attempt` returns something else than 0, with that. Errors that it throws reject. `giveUp` is called when the
 * wait ends otherwise, unless the region was closed.
 *
 * @throws (rejects) ERR_SHOAL_TIMEOUT, ERR_SHOAL_ABORTED, ERR_SHOAL_CLOSED, and as Region.recover
 */
export async function waitAsync(
  point: WaitPoint,
  attempt: () => number,
  options: AwaitOptions,
  call: string,
  giveUp: GiveUp = leaveNothing,
): Promise<number> {
  checkAwait(point, call, options);
  const timeoutMs = checkTimeout(call, options.timeoutMs);
  let result = attempt();
  if (result !== 0) return result;
  if (timeoutMs > 0) return inTheLoop(point, attempt, { ...options, timeoutMs }, call, giveUp);
  result = giveUp();
  if (result !== 0) return result;
  throw timedOut(point, call, 0);
}

function inTheLoop(
  point: WaitPoint,
  attempt: () => number,
  { timeoutMs, signal, ref = true }: AwaitOptions & { readonly timeoutMs: number },
  call: string,
  giveUp: GiveUp,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const { context, object, set, isHeld } = point;
    const place = context.pointOf(object, set, isHeld);
    let timer: NodeJS.Timeout | undefined;
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
    const awaiting: Awaiting = {
      isRef: ref,
      poll() {
        try {
          const result = attempt();
          if (result === 0) return false;
          settle();
          resolve(result);
        } catch (error) {
          settle();
          reject(error);
        }
        return true;
      },
      end(error) {
        settle();
        reject(error);
      },
      fail: (error) => stop(error),
    };
    const stop = (error: Error): void => {
      settle();
      context.remove(place, awaiting);
      const result = giveUp();
      if (result !== 0) resolve(result);
      else reject(error);
    };
    const onAbort = (): void => stop(aborted(point, call, signal!));
    const endMs = performance.now() + timeoutMs;
    const setTimer = (afterMs: number): void => {
      timer = setTimeout(onTime, Math.min(Math.ceil(afterMs), MOST_TIMER_MS));
      if (!awaiting.isRef) timer.unref();
    };
    const onTime = (): void => {
      const leftMs = endMs - performance.now();
      if (leftMs > 0) setTimer(leftMs);
      else stop(timedOut(point, call, timeoutMs));
    };
    if (begin(point, place, awaiting)) return;
    signal?.addEventListener("abort", onAbort);
    if (timeoutMs < NO_LIMIT_MS) setTimer(timeoutMs);
  });
}

/** Enters the set and attempts once; true when that was enough. */
function begin({ context, object, set }: WaitPoint, place: AwaitPoint, awaiting: Awaiting): boolean {
  const { core } = context;
  core.noteWaiting(object);
  core.noteWait(object, Date.now(), 0);
  // First what waits, then the set, then the object: whatever changes from here on is seen by one of the looks.
  context.add(place, awaiting);
  core.enter(set);
  if (!awaiting.poll()) return false;
  context.remove(place, awaiting);
  return true;
}

function aborted({ object, label }: WaitPoint, call: string, signal: AbortSignal): Error {
  const message = `${call}: the wait for ${label} was aborted`;
  return shoalError("ERR_SHOAL_ABORTED", message, { call, object }, signal.reason);
}
