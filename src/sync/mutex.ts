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
  Y_FLAGS,
  Y_WAITERS,
  Y_WAITS,
} from "../layout/sync.ts";
import { contextOf } from "./context.ts";
import type { SyncContext } from "./context.ts";
import { selfDeadlock } from "./deadlock.ts";
import { Hold } from "./hold.ts";
import { holderInfo } from "./holder.ts";
import type { Holder } from "./holder.ts";
import { corruptObject, openObject, waitersBytes } from "./objects.ts";
import type { FoundObject, Place } from "./objects.ts";
import { ownState } from "./own-state.ts";
import { callPlace, forget, isTraced, remember } from "./trace.ts";
import { checkAwait, checkTimeout, leaveNothing, timedOut, waitAsync, waitSync } from "./wait.ts";
import type { AwaitOptions, BlockOptions, GiveUp, WaitPoint } from "./wait.ts";

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
  if (fair !== undefined && typeof fair !== "boolean") {
    const message = `fair must be true or false, not ${String(fair)}`;
    throw shoalError("ERR_SHOAL_ARGUMENT", message, { fair: String(fair) });
  }
  const { slotCount } = heap.region.session.geometry;
  const sizeBytes = Y_WAITERS + waitersBytes(heap);
  const turnsBytes = slotCount * 8;
  const flags = fair === true ? SYNC_FAIR : 0;
  const found = openObject(heap, place, {
    kind: SYNC_MUTEX,
    noun: "mutex",
    sizeBytes: sizeBytes + (fair === true ? turnsBytes : 0),
    flags,
    expected: { flags: fair === undefined ? undefined : flags },
  });
  const isFair = (new Uint32Array(heap.region.buffer, found.handle, 2)[Y_FLAGS >> 2]! & SYNC_FAIR) !== 0;
  if (isFair && sizeBytes + turnsBytes > found.roomBytes)
    throw corruptObject(
      found.label,
      found.handle + Y_FLAGS,
      "a fair mutex in a block that is too small for it",
    );
  const own = ownOf(context, found);
  const ways = isFair ? fairWays(context, found.handle, own) : plainWays(context, found.handle);
  return mutexOf(context, found, isFair, ways, own);
}

/** What a participant keeps of a mutex. */
interface Own {
  /** Its holding. Undefined also when it was released without its Hold. */
  hold: Hold | undefined;
  /** Of a fair one: its calls that wait. The first one has the participant's turn. */
  readonly queue: Wait[];
}

const ownOf = ownState<Own>(() => ({ hold: undefined, queue: [] }));

/** One call's wait. */
interface Wait {
  attempt(): number;
  readonly giveUp: GiveUp;
}

/** What fair and other mutexes do differently. */
interface Ways {
  /** SYNC_…, for who has not waited. */
  readonly attempt: () => number;
  /** Begins a wait, which goes before the others of this thread if it blocks them. */
  readonly wait: (isBlocking: boolean) => Wait;
  /** Whether it was held. */
  readonly release: () => boolean;
}

function plainWays({ core, wake }: SyncContext, object: number): Ways {
  const { tryLock, unlock } = core;
  const set = object + Y_WAITERS;
  const attempt = (): number => tryLock(object);
  const wait: Wait = { attempt, giveUp: leaveNothing };
  return {
    attempt,
    wait: () => wait,
    release() {
      if (unlock(object) === 0) return false;
      wake(core.ringNext(object, set));
      return true;
    },
  };
}

/** i32's least value: unlockFair by somebody who does not hold it. */
const NOT_HELD = -0x80000000;

function fairWays(context: SyncContext, object: number, { queue }: Own): Ways {
  const { core } = context;
  const wait = (isBlocking: boolean): Wait => {
    const self: Wait = {
      attempt() {
        if (queue[0] !== self) return 0;
        const result = core.tryLockFair(object, 1);
        if (!isLocked(result)) return 0;
        queue.shift();
        // The turn is used up; the others of this thread that wait take a new one.
        if (queue.length > 0) core.takeTurn(object);
        return result;
      },
      giveUp() {
        queue.splice(queue.indexOf(self), 1);
        // If it was offered to this participant, that holds it now.
        if (queue.length === 0 && core.dropTurn(object) === 0) context.wake(core.unlockFair(object));
        return 0;
      },
    };
    if (queue.length === 0) core.takeTurn(object);
    if (isBlocking) queue.unshift(self);
    else queue.push(self);
    return self;
  };
  return {
    attempt: () => core.tryLockFair(object, 0),
    wait,
    release() {
      const rung = core.unlockFair(object);
      if (rung === NOT_HELD) return false;
      context.wake(rung);
      return true;
    },
  };
}

function isLocked(result: number): boolean {
  return result === SYNC_YES || result === SYNC_ABANDONED;
}

function mutexOf(context: SyncContext, found: FoundObject, fair: boolean, ways: Ways, own: Own): Mutex {
  const { core, region } = context;
  const { flags } = region.session.overlay;
  const { handle: object, label } = found;
  const { attempt, release } = ways;
  const point: WaitPoint = { context, object, set: object + Y_WAITERS, isHeld: true, label };

  const notHolder = (): Error => {
    const message = `${label} is not held by this participant, or not any more: nothing to release`;
    return shoalError("ERR_SHOAL_NOT_HOLDER", message, { object });
  };

  const unlock = (): void => {
    if (flags[0] !== 0) context.check();
    if (isTraced) forget(context, object);
    own.hold = undefined;
    if (!release()) throw notHolder();
  };

  const endHold = (hold: Hold): void => {
    if (flags[0] !== 0) context.check();
    if (own.hold !== hold) throw notHolder();
    unlock();
  };

  const makeHold = (result: number): Hold => (own.hold = new Hold(endHold, label, result === SYNC_ABANDONED));

  /** The clock is read after a wait or a death only, or when all is traced: it takes longer than the lock. */
  const holdSince = (result: number, place: Error | undefined): Hold => {
    if (flags[0] !== 0) context.check();
    core.noteSince(object, Date.now());
    if (place !== undefined) remember(context, object, place);
    return makeHold(result);
  };

  const holdNow = (result: number): Hold =>
    isTraced || result === SYNC_ABANDONED ? holdSince(result, callPlace()) : makeHold(result);

  const attempter =
    (wait: Wait): (() => number) =>
    () => {
      const result = wait.attempt();
      return isLocked(result) ? result : 0;
    };

  const lockSlowly = (result: number, options: BlockOptions): Hold => {
    if (result === SYNC_MINE) throw selfDeadlock(point, "lockSync");
    const wait = ways.wait(true);
    const after = waitSync(point, attempter(wait), options, "lockSync", wait.giveUp);
    if (after === 0) throw timedOut(point, "lockSync", options.timeoutMs ?? 0);
    return holdSince(after, callPlace());
  };

  const mutex: Mutex = {
    handle: object,
    fair,
    lockSync(options = {}) {
      if (flags[0] !== 0) context.check();
      if (options.timeoutMs !== undefined) checkTimeout("lockSync", options.timeoutMs);
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
        checkAwait(point, "lock", options);
        const result = attempt();
        if (isLocked(result)) return Promise.resolve(holdNow(result));
        const place = callPlace();
        const wait = ways.wait(false);
        const after = waitAsync(point, attempter(wait), options, "lock", wait.giveUp);
        return after.then((waited) => holdSince(waited, place));
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
  context.objects.set(object, { label, isHeld: () => core.isHolding(object) !== 0 });
  return mutex;
}
