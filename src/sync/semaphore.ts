/** Semaphore: so many permits, of which each participant may hold some. Those of the dead come back. */

import { shoalError } from "../errors.ts";
import type { Handle, Heap } from "../heap/index.ts";
import { MAX_PERMITS, SYNC_SEMAPHORE, Y_ABANDONED, Y_LIMIT, Y_WAITERS, Y_WAITS } from "../layout/sync.ts";
import { contextOf } from "./context.ts";
import type { SyncContext } from "./context.ts";
import { Hold } from "./hold.ts";
import { corruptObject, openObject, waitersBytes } from "./objects.ts";
import type { FoundObject, Place } from "./objects.ts";
import { checkTimeout, timedOut, waitAsync, waitSync } from "./wait.ts";
import type { AwaitOptions, BlockOptions, WaitPoint } from "./wait.ts";
import { withGetters } from "./getters.ts";

/** How a semaphore is made. */
export interface SemaphoreOptions {
  /** 1 to 65,535. Default 1. */
  readonly permits?: number;
}

/** A semaphore in a heap. `count` is how many permits, 1 or more; default 1. */
export interface Semaphore {
  readonly handle: Handle;
  /** How many there are in all. */
  readonly permits: number;
  /** How many nobody holds. */
  readonly available: number;
  /** How many this participant holds. */
  readonly held: number;
  /** @throws ERR_SHOAL_TIMEOUT, ERR_SHOAL_WOULD_BLOCK, ERR_SHOAL_ARGUMENT (more than there are), ERR_SHOAL_CLOSED */
  acquireSync(count?: number, options?: BlockOptions): Hold;
  tryAcquire(count?: number): Hold | undefined;
  /** @throws (rejects) ERR_SHOAL_TIMEOUT, ERR_SHOAL_ABORTED, ERR_SHOAL_ARGUMENT, ERR_SHOAL_CLOSED */
  acquire(count?: number, options?: AwaitOptions): Promise<Hold>;
  /** Gives permits back without their Hold. @throws ERR_SHOAL_NOT_HOLDER: this participant holds fewer */
  release(count?: number): void;
  /** Takes back what those hold who are gone, which acquiring does by itself when there are too few. From how many it was. */
  reclaim(): number;
  /** Calls `work` while it holds one permit. */
  run<T>(work: () => T | PromiseLike<T>, options?: AwaitOptions): Promise<T>;
  /** `abandoned`: how many participants have died with permits. */
  stats(): { readonly waits: number; readonly abandoned: number };
}

/** Finds or makes a semaphore. Errors as openObject; ERR_SHOAL_KIND when there is one with another number of permits. */
export function openSemaphore(heap: Heap, place?: Place, options: SemaphoreOptions = {}): Semaphore {
  const context = contextOf(heap);
  const { permits } = options;
  if (permits !== undefined && !(Number.isInteger(permits) && permits >= 1 && permits <= MAX_PERMITS)) {
    throw shoalError("ERR_SHOAL_ARGUMENT", `permits must be 1 to ${MAX_PERMITS}, not ${String(permits)}`, {
      permits: String(permits),
    });
  }
  const found = openObject(heap, place, {
    kind: SYNC_SEMAPHORE,
    noun: "semaphore",
    sizeBytes: Y_WAITERS + waitersBytes(heap) + heap.region.session.geometry.slotCount * 12,
    limit: permits ?? 1,
    expected: { limit: permits },
    init: (object) => context.core.initSemaphore(object),
  });
  return semaphoreOf(context, found);
}

function semaphoreOf(context: SyncContext, { handle: object, label }: FoundObject): Semaphore {
  const { core, region, slotIndex } = context;
  const set = object + Y_WAITERS;
  const point: WaitPoint = { context, object, set, isHeld: true, label };
  const permits = new Uint32Array(region.buffer, object, 4)[Y_LIMIT >> 2]!;
  if (permits < 1 || permits > MAX_PERMITS)
    throw corruptObject(label, object + Y_LIMIT, `${permits} permits`);

  const check = (call: string, count: number): void => {
    context.check();
    if (Number.isInteger(count) && count >= 1 && count <= permits) return;
    throw shoalError(
      "ERR_SHOAL_ARGUMENT",
      `${call}: ${label} has ${permits} permits; 1 to that many, not ${String(count)}`,
      {
        call,
        count: String(count),
        permits,
      },
    );
  };

  const release = (count: number): void => {
    check("release", count);
    if (core.release(object, count) === 0) {
      const held = core.heldBy(object, slotIndex);
      const message = `${label}: this participant holds ${held} permits, not ${count}; nothing was released`;
      throw shoalError("ERR_SHOAL_NOT_HOLDER", message, { object, held, count });
    }
    context.ringAll(object, set);
  };

  const hold = (count: number): Hold => new Hold(() => release(count), label, false);

  const semaphore: Semaphore = withGetters<Semaphore, "available" | "held">(
    {
      handle: object,
      permits,
      acquireSync(count = 1, options = {}) {
        check("acquireSync", count);
        checkTimeout("acquireSync", options.timeoutMs);
        if (core.acquire(object, count) !== 0) return hold(count);
        const result = waitSync(point, () => core.acquire(object, count), options, "acquireSync");
        if (result === 0) throw timedOut(point, "acquireSync", options.timeoutMs ?? 0);
        return hold(count);
      },
      tryAcquire(count = 1) {
        check("tryAcquire", count);
        return core.acquire(object, count) === 0 ? undefined : hold(count);
      },
      async acquire(count = 1, options = {}) {
        check("acquire", count);
        await waitAsync(point, () => core.acquire(object, count), options, "acquire");
        return hold(count);
      },
      release: (count = 1) => release(count),
      reclaim() {
        context.check();
        const count = core.reclaimAll(object);
        if (count > 0) context.ringAll(object, set);
        return count;
      },
      async run(work, options) {
        const held = await semaphore.acquire(1, options);
        try {
          return await work();
        } finally {
          held.release();
        }
      },
      stats() {
        context.check();
        const words = new Uint32Array(region.buffer, object, 8);
        return { waits: words[Y_WAITS >> 2]!, abandoned: words[Y_ABANDONED >> 2]! };
      },
    },
    {
      available: () => {
        context.check();
        core.reclaimAll(object);
        return core.available(object);
      },
      held: () => {
        context.check();
        return core.heldBy(object, slotIndex);
      },
    },
  );
  context.objects.set(object, { label, isHeld: () => core.heldBy(object, slotIndex) > 0 });
  return semaphore;
}
