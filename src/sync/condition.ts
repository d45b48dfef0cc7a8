/**
 * Condition: who waits releases a mutex, sleeps until it is notified, and takes the mutex again. It may go on without having been
 * notified (somebody died, somebody gave up): look at what you wait for, in a loop, or use waitUntil.
 */

import { shoalError } from "../errors.ts";
import type { Handle, Heap } from "../heap/index.ts";
import { SYNC_CONDITION, Y_WAITERS } from "../layout/sync.ts";
import { contextOf } from "./context.ts";
import type { Hold } from "./hold.ts";
import type { Mutex } from "./mutex.ts";
import { openObject, waitersBytes } from "./objects.ts";
import type { Place } from "./objects.ts";
import { checkAwait, checkTimeout, timedOut, waitAsync, waitSync } from "./wait.ts";
import type { AwaitOptions, BlockOptions, WaitPoint } from "./wait.ts";

/** A condition in a heap. The mutex is the caller's: whoever changes what is waited for holds it. */
export interface Condition {
  readonly handle: Handle;
  /** Lets one who waits go on. False: nobody waits. */
  notifyOne(): boolean;
  /** Lets all who wait go on. */
  notifyAll(): boolean;
  /**
   * Releases `mutex` by `hold`, waits, and takes it again, also when it throws.
   *
   * @returns the new hold; it says whether the mutex was abandoned meanwhile
   * @throws ERR_SHOAL_TIMEOUT and as Mutex.lockSync; `mutex` is held again then, by `error.hold`
   */
  waitSync(mutex: Mutex, hold: Hold, options?: BlockOptions): Hold;
  wait(mutex: Mutex, hold: Hold, options?: AwaitOptions): Promise<Hold>;
  /** Waits until `test`, called with the mutex held, says yes. */
  waitUntil(mutex: Mutex, hold: Hold, test: () => boolean, options?: AwaitOptions): Promise<Hold>;
}

/** Finds or makes a condition. Errors as openObject. */
export function openCondition(heap: Heap, place?: Place): Condition {
  const context = contextOf(heap);
  const { core, region } = context;
  const { handle: object, label } = openObject(heap, place, {
    kind: SYNC_CONDITION,
    noun: "condition",
    sizeBytes: Y_WAITERS + waitersBytes(heap),
  });
  const set = object + Y_WAITERS;
  const point: WaitPoint = { context, object, set, isHeld: false, label };

  const notify = (all: boolean): boolean => {
    context.check();
    if (core.notify(object, all ? 1 : 0) === 0) return false;
    // Who is notified is told by tickets: everybody looks.
    context.ringAll(object, set);
    return true;
  };

  /** Takes a ticket; the attempt of a wait with it: notified, or somebody is gone since. See core/event.ts. */
  const begin = (): (() => number) => {
    const departures = core.departures();
    const ticket = core.takeTicket(object) >>> 0;
    return () => (core.isNotified(object, ticket) !== 0 || core.departures() !== departures ? 1 : 0);
  };

  /** A ticket that nobody waits with any more must not swallow a notification. */
  const giveUp = (): number => {
    if (!region.closed) notify(true);
    return 0;
  };

  /** Before the mutex is released: who does not hold it does not wait. */
  const checkHold = (call: string, hold: Hold): void => {
    context.check();
    if (hold.held) return;
    const message = `${call}: ${label}: the hold was released before; hold the mutex when you begin to wait`;
    throw shoalError("ERR_SHOAL_NOT_HOLDER", message, { call, object });
  };

  const condition: Condition = {
    handle: object,
    notifyOne: () => notify(false),
    notifyAll: () => notify(true),
    waitSync(mutex, hold, options = {}) {
      checkHold("waitSync", hold);
      checkTimeout("waitSync", options.timeoutMs);
      const attempt = begin();
      hold.release();
      let result: number;
      try {
        result = waitSync(point, attempt, options, "waitSync", giveUp);
      } catch (error) {
        throw withHold(error, mutex.lockSync());
      }
      const next = mutex.lockSync();
      if (result === 0) throw withHold(timedOut(point, "waitSync", options.timeoutMs ?? 0), next);
      return next;
    },
    async wait(mutex, hold, options = {}) {
      checkHold("wait", hold);
      checkAwait(point, "wait", options);
      const attempt = begin();
      hold.release();
      try {
        await waitAsync(point, attempt, options, "wait", giveUp);
      } catch (error) {
        if (region.closed) throw error;
        throw withHold(error, await mutex.lock());
      }
      return mutex.lock();
    },
    async waitUntil(mutex, hold, test, options = {}) {
      const { timeoutMs } = options;
      checkTimeout("waitUntil", timeoutMs);
      const endMs = timeoutMs === undefined ? Infinity : performance.now() + timeoutMs;
      let held = hold;
      while (!test()) {
        const leftMs = Math.max(endMs - performance.now(), 0);
        held = await condition.wait(mutex, held, { ...options, timeoutMs: leftMs });
      }
      return held;
    },
  };
  return condition;
}

/** The error of a wait that has ended without its object: the mutex is held again, and the caller needs to know by what. */
function withHold(error: unknown, hold: Hold): unknown {
  if (error instanceof Error) Object.defineProperty(error, "hold", { value: hold });
  else hold.release();
  return error;
}
