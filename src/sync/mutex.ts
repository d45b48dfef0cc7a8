/**
 * Mutex: one participant at a time, and within it one holder at a time.
 *
 * The lock is the participant's (core/mutex.ts). Of several calls in one thread, each holds it in turn: who finds it held
 * by this very participant waits like any other, and is rung like any other when it is released.
 */

import { shoalError } from "../errors.ts";
import type { Handle, Heap } from "../heap/index.ts";
import {
  SYNC_ABANDONED,
  SYNC_FAIR,
  SYNC_MINE,
  SYNC_MUTEX,
  SYNC_YES,
  Y_ABANDONED,
  Y_WAITERS,
  Y_WAITS,
} from "../layout/sync.ts";
import { contextOf } from "./context.ts";
import type { SyncContext } from "./context.ts";
import { selfDeadlock } from "./deadlock.ts";
import { Hold } from "./hold.ts";
import { holderInfo } from "./holder.ts";
import type { Holder } from "./holder.ts";
import { openObject, waitersBytes } from "./objects.ts";
import type { FoundObject, Place } from "./objects.ts";
import { forget, isTraced, remember } from "./trace.ts";
import { timedOut, waitAsync, waitSync } from "./wait.ts";
import type { AwaitOptions, BlockOptions, WaitPoint } from "./wait.ts";

/** How a mutex is made. */
export interface MutexOptions {
  /** Handed to the one that has waited longest, instead of to whoever comes first. Slower. Default false. */
  readonly fair?: boolean;
}

/** A lock in a heap that outlives its holders. Made by openMutex, or by heap.mutex(). */
export interface Mutex {
  /** Where it is, for others to find it by. */
  readonly handle: Handle;
  readonly fair: boolean;
  /**
   * Takes the mutex, blocking the thread as long as need be.
   *
   * @throws ERR_SHOAL_TIMEOUT, ERR_SHOAL_DEADLOCK (this participant holds it, or a cycle of sleepers), ERR_SHOAL_WOULD_BLOCK,
   *   ERR_SHOAL_ARGUMENT, ERR_SHOAL_CLOSED, ERR_SHOAL_DAMAGED
   */
  lockSync(options?: BlockOptions): Hold;
  /** Takes it if nobody holds it. */
  tryLock(): Hold | undefined;
  /**
   * Takes the mutex; the event loop goes on meanwhile.
   *
   * @throws (rejects) ERR_SHOAL_TIMEOUT, ERR_SHOAL_ABORTED, ERR_SHOAL_ARGUMENT, ERR_SHOAL_CLOSED, ERR_SHOAL_DAMAGED
   */
  lock(options?: AwaitOptions): Promise<Hold>;
  /** Releases what this participant holds, without its Hold. @throws ERR_SHOAL_NOT_HOLDER */
  unlock(): void;
  /** Calls `work` while it holds the mutex. */
  run<T>(work: (hold: Hold) => T | PromiseLike<T>, options?: AwaitOptions): Promise<T>;
  runSync<T>(work: (hold: Hold) => T, options?: BlockOptions): T;
  /** Who holds it; undefined when nobody who lives does. */
  holder(): Holder | undefined;
  stats(): { readonly waits: number; readonly abandoned: number };
}

/** Finds or makes a mutex. Errors as openObject. */
export function openMutex(heap: Heap, place?: Place, options: MutexOptions = {}): Mutex {
  const context = contextOf(heap);
  const { fair } = options;
  const { slotCount } = heap.region.session.geometry;
  const flags = fair === true ? SYNC_FAIR : 0;
  const found = openObject(heap, place, {
    kind: SYNC_MUTEX,
    noun: "mutex",
    sizeBytes: Y_WAITERS + waitersBytes(heap) + (fair === true ? slotCount * 8 : 0),
    flags,
    expected: { flags: fair === undefined ? undefined : flags },
  });
  const isFair = (new Uint32Array(heap.region.buffer, found.handle, 2)[1]! & SYNC_FAIR) !== 0;
  return (isFair ? fairMutex : plainMutex)(context, found);
}

/** What fair and other mutexes do differently. */
interface Ways {
  /** SYNC_…, for who has not waited. */
  readonly attempt: () => number;
  /** The same while waiting. */
  readonly attemptWaiting: () => number;
  readonly beginWait: () => void;
  readonly giveUp: () => void;
  /** Whether it was held. */
  readonly release: () => boolean;
}

function plainMutex(context: SyncContext, found: FoundObject): Mutex {
  const { core } = context;
  const object = found.handle;
  const { tryLock, unlock } = core;
  const set = object + Y_WAITERS;
  const attempt = (): number => tryLock(object);
  return mutexOf(context, found, false, {
    attempt,
    attemptWaiting: attempt,
    beginWait: () => undefined,
    giveUp: () => undefined,
    release() {
      if (unlock(object) === 0) return false;
      context.wake(core.ringNext(object, set));
      return true;
    },
  });
}

/** i32's least value: unlockFair by somebody who does not hold it. */
const NOT_HELD = -0x80000000;

function fairMutex(context: SyncContext, found: FoundObject): Mutex {
  const { core } = context;
  const object = found.handle;
  let waiting = 0;
  return mutexOf(context, found, true, {
    attempt: () => core.tryLockFair(object, 0),
    attemptWaiting() {
      const result = core.tryLockFair(object, 1);
      // The turn is used up; the others of this thread that wait take a new one.
      if (isLocked(result) && --waiting > 0) core.takeTurn(object);
      return result;
    },
    beginWait() {
      if (waiting++ === 0) core.takeTurn(object);
    },
    giveUp() {
      if (--waiting > 0 || core.dropTurn(object) !== 0) return;
      // It was offered to this participant, which holds it now.
      context.wake(core.unlockFair(object));
    },
    release() {
      const rung = core.unlockFair(object);
      if (rung === NOT_HELD) return false;
      context.wake(rung);
      return true;
    },
  });
}

function isLocked(result: number): boolean {
  return result === SYNC_YES || result === SYNC_ABANDONED;
}

function mutexOf(context: SyncContext, found: FoundObject, fair: boolean, ways: Ways): Mutex {
  const { core, region } = context;
  const { flags } = region.session.overlay;
  const { handle: object, label } = found;
  const { attempt, release } = ways;
  const point: WaitPoint = { context, object, set: object + Y_WAITERS, isHeld: true, label };

  const attemptWaiting = (): number => {
    const result = ways.attemptWaiting();
    return isLocked(result) ? result : 0;
  };

  const notHolder = (): Error =>
    shoalError(
      "ERR_SHOAL_NOT_HOLDER",
      `${label} is not held by this participant, or not any more: nothing to release`,
      {
        object,
      },
    );

  const unlock = (): void => {
    if (flags[0] !== 0) context.check();
    if (isTraced) forget(context, object);
    if (!release()) throw notHolder();
  };

  /** The clock is read after a wait only, or when all is traced: it takes longer than the lock. */
  const holdSince = (result: number): Hold => {
    core.noteSince(object, Date.now());
    if (isTraced) remember(context, object);
    return new Hold(unlock, label, result === SYNC_ABANDONED);
  };

  const holdNow = (result: number): Hold =>
    isTraced ? holdSince(result) : new Hold(unlock, label, result === SYNC_ABANDONED);

  const lockSlowly = (result: number, options: BlockOptions): Hold => {
    if (result === SYNC_MINE) throw selfDeadlock(point, "lockSync");
    ways.beginWait();
    const after = waitSync(point, attemptWaiting, options, "lockSync", ways.giveUp);
    if (after === 0) throw timedOut(point, "lockSync", options.timeoutMs ?? 0);
    return holdSince(after);
  };

  const mutex: Mutex = {
    handle: object,
    fair,
    lockSync(options = {}) {
      if (flags[0] !== 0) context.check();
      const result = attempt();
      if (isLocked(result)) return holdNow(result);
      return lockSlowly(result, options);
    },
    tryLock() {
      if (flags[0] !== 0) context.check();
      const result = attempt();
      return isLocked(result) ? holdNow(result) : undefined;
    },
    lock(options = {}) {
      try {
        if (flags[0] !== 0) context.check();
        if (options.signal?.aborted !== true) {
          const result = attempt();
          if (isLocked(result)) return Promise.resolve(holdNow(result));
        }
        ways.beginWait();
        return waitAsync(point, attemptWaiting, options, "lock", ways.giveUp).then(holdSince);
      } catch (error) {
        return Promise.reject(error as Error);
      }
    },
    unlock,
    async run(work, options) {
      const held = await mutex.lock(options);
      try {
        return await work(held);
      } finally {
        held.release();
      }
    },
    runSync(work, options) {
      const held = mutex.lockSync(options);
      try {
        return work(held);
      } finally {
        held.release();
      }
    },
    holder: () => holderInfo(context, object, core.holderOf(object) - 1),
    stats() {
      context.check();
      const words = new Uint32Array(region.buffer, object, 8);
      return { waits: words[Y_WAITS >> 2]!, abandoned: words[Y_ABANDONED >> 2]! };
    },
  };
  context.objects.set(object, { label, isHeld: () => core.holderOf(object) - 1 === context.slotIndex });
  return mutex;
}
