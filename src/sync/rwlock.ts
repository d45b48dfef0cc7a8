/**
 * Read-write lock: any number of readers, or one writer. Who wants to write keeps new readers out from then on.
 *
 * The core counts participants; here the readers of one thread are counted, which reads for all of them.
 */

import { shoalError } from "../errors.ts";
import type { Handle, Heap } from "../heap/index.ts";
import {
  SYNC_ABANDONED,
  SYNC_MINE,
  SYNC_RWLOCK,
  SYNC_SEEN,
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
import { ownState } from "./own-state.ts";
import { callPlace, forget, isTraced, remember } from "./trace.ts";
import { checkAwait, checkTimeout, timedOut, waitAsync, waitSync } from "./wait.ts";
import type { AwaitOptions, BlockOptions, WaitPoint } from "./wait.ts";

/** A read-write lock in a heap. Errors as Mutex's; `abandoned` stays true for all until one that writes has released it. */
export interface RwLock {
  readonly handle: Handle;
  readSync(options?: BlockOptions): Hold;
  writeSync(options?: BlockOptions): Hold;
  tryRead(): Hold | undefined;
  tryWrite(): Hold | undefined;
  read(options?: AwaitOptions): Promise<Hold>;
  write(options?: AwaitOptions): Promise<Hold>;
  /** Calls `work` while it may read, or write. */
  runReading<T>(work: (hold: Hold) => T | PromiseLike<T>, options?: AwaitOptions): Promise<T>;
  runWriting<T>(work: (hold: Hold) => T | PromiseLike<T>, options?: AwaitOptions): Promise<T>;
  /** Who writes. */
  writer(): Holder | undefined;
  /** Participants that read. */
  readers(): Holder[];
  stats(): { readonly waits: number; readonly abandoned: number };
}

/** What a participant keeps of a lock: how many of its calls read, and how many wait to write. */
interface Own {
  readers: number;
  waitingWriters: number;
}

const ownOf = ownState<Own>(() => ({ readers: 0, waitingWriters: 0 }));

/** Three ways to get in, to read or to write. */
interface Side {
  tryNow(): Hold | undefined;
  sync(options?: BlockOptions): Hold;
  wait(options?: AwaitOptions): Promise<Hold>;
}

/** Finds or makes a read-write lock. Errors as openObject. */
export function openRwLock(heap: Heap, place?: Place): RwLock {
  const context = contextOf(heap);
  const found = openObject(heap, place, {
    kind: SYNC_RWLOCK,
    noun: "rwlock",
    sizeBytes: Y_WAITERS + waitersBytes(heap) + heap.region.session.geometry.slotCount * 4,
  });
  return rwLockOf(context, found);
}

function isIn(result: number): boolean {
  return result === SYNC_YES || result === SYNC_ABANDONED;
}

function rwLockOf(context: SyncContext, found: FoundObject): RwLock {
  const { core, region } = context;
  const { handle: object, label } = found;
  const set = object + Y_WAITERS;
  const own = ownOf(context, found);
  const point: WaitPoint = { context, object, set, isHeld: true, label };

  const notHeld = (): Error => {
    const message = `${label} is not held by this participant, or not any more: nothing to release`;
    return shoalError("ERR_SHOAL_NOT_HOLDER", message, { object });
  };

  const endRead = (): void => {
    context.check();
    if (own.readers === 0) throw notHeld();
    if (--own.readers > 0) return;
    if (core.endRead(object) === 0) throw notHeld();
    context.ringAll(object, set);
  };

  const endWrite = (): void => {
    context.check();
    if (isTraced) forget(context, object);
    if (core.endWrite(object) === 0) throw notHeld();
    context.ringAll(object, set);
  };

  const tryRead = (): number => {
    // Not past a writer that waits, not even with those that read already.
    const result = own.readers > 0 && core.holderOf(object) === 0 ? readAgain() : core.tryRead(object);
    if (isIn(result)) own.readers++;
    else if (result === SYNC_SEEN) context.ringAll(object, set);
    return result;
  };

  const readAgain = (): number => (core.isDirty(object) === 0 ? SYNC_YES : SYNC_ABANDONED);
  const tryWrite = (): number => core.tryWrite(object);
  /** Leaves the writer's place, in which nobody of this participant waits any more. */
  const cancelWrite = (): void => {
    if (own.waitingWriters === 0 && !region.closed && core.cancelWrite(object) !== 0)
      context.ringAll(object, set);
  };

  const hold = (result: number, isWriting: boolean, place = callPlace()): Hold => {
    context.check();
    if (isWriting) core.noteSince(object, Date.now());
    if (isWriting && place !== undefined) remember(context, object, place);
    return new Hold(isWriting ? endWrite : endRead, label, result === SYNC_ABANDONED);
  };

  const side = (call: "read" | "write"): Side => {
    const isWriting = call === "write";
    const attempt = isWriting ? tryWrite : tryRead;
    const attemptWaiting = (): number => {
      const result = attempt();
      if (!isIn(result)) return 0;
      if (isWriting) own.waitingWriters--;
      return result;
    };
    const beginWait = (): void => {
      if (isWriting) own.waitingWriters++;
    };
    const giveUp = (): number => {
      if (!isWriting) return 0;
      own.waitingWriters--;
      cancelWrite();
      return 0;
    };
    return {
      tryNow() {
        context.check();
        const result = attempt();
        if (isIn(result)) return hold(result, isWriting);
        if (isWriting) cancelWrite();
        return undefined;
      },
      sync(options = {}) {
        context.check();
        checkTimeout(`${call}Sync`, options.timeoutMs);
        const first = attempt();
        if (isIn(first)) return hold(first, isWriting);
        if (first === SYNC_MINE) {
          if (isWriting) cancelWrite();
          throw selfDeadlock(point, `${call}Sync`);
        }
        beginWait();
        const result = waitSync(point, attemptWaiting, options, `${call}Sync`, giveUp);
        if (result === 0) throw timedOut(point, `${call}Sync`, options.timeoutMs ?? 0);
        return hold(result, isWriting);
      },
      async wait(options = {}) {
        context.check();
        checkAwait(point, call, options);
        const place = callPlace();
        beginWait();
        const result = await waitAsync(point, attemptWaiting, options, call, giveUp);
        return hold(result, isWriting, place);
      },
    };
  };
  const reading = side("read");
  const writing = side("write");

  const run = async <T>(held: Promise<Hold>, work: (hold: Hold) => T | PromiseLike<T>): Promise<T> => {
    const taken = await held;
    try {
      return await work(taken);
    } finally {
      taken.release();
    }
  };

  context.objects.set(object, {
    label,
    isHeld: () => own.readers > 0 || core.isWriting(object) !== 0,
  });
  return {
    handle: object,
    readSync: reading.sync,
    writeSync: writing.sync,
    tryRead: reading.tryNow,
    tryWrite: writing.tryNow,
    read: reading.wait,
    write: writing.wait,
    runReading: (work, options) => run(reading.wait(options), work),
    runWriting: (work, options) => run(writing.wait(options), work),
    writer: () => holderInfo(context, object, core.holderOf(object) - 1),
    readers() {
      context.check();
      const holders: Holder[] = [];
      for (let index = core.nextReader(object, 0); index !== 0; index = core.nextReader(object, index)) {
        const info = holderInfo(context, object, index - 1);
        // What is noted of time and place is the writer's.
        if (info !== undefined) holders.push({ ...info, since: undefined, stack: undefined });
      }
      return holders;
    },
    stats() {
      context.check();
      const words = new Uint32Array(region.buffer, object, 8);
      return { waits: words[Y_WAITS >> 2]!, abandoned: words[Y_ABANDONED >> 2]! };
    },
  };
}
