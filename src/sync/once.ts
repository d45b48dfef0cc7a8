/** Once: something is done by one of all participants, and nobody goes on before it is done. */

import type { Handle, Heap } from "../heap/index.ts";
import { SYNC_ABANDONED, SYNC_DONE, SYNC_MINE, SYNC_ONCE, SYNC_YES, Y_WAITERS } from "../layout/sync.ts";
import { contextOf } from "./context.ts";
import { selfDeadlock } from "./deadlock.ts";
import { holderInfo } from "./holder.ts";
import type { Holder } from "./holder.ts";
import { openObject, waitersBytes } from "./objects.ts";
import type { Place } from "./objects.ts";
import { checkTimeout, timedOut, waitAsync, waitSync } from "./wait.ts";
import type { AwaitOptions, BlockOptions, WaitPoint } from "./wait.ts";
import { withGetters } from "./getters.ts";

/** What the work is told. */
export interface OnceState {
  /** Somebody has begun before, and died: part of the work may be done. */
  readonly abandoned: boolean;
}

/** Work that is done once, in a heap. */
export interface Once {
  readonly handle: Handle;
  readonly isDone: boolean;
  /**
   * Does `work`, or waits until somebody else has. When it throws, or its participant dies, the next one does it.
   *
   * @returns true when it was this call that did it
   * @throws what `work` throws; ERR_SHOAL_TIMEOUT, ERR_SHOAL_DEADLOCK (`work` calls itself), ERR_SHOAL_CLOSED
   */
  runSync(work: (state: OnceState) => void, options?: BlockOptions): boolean;
  /** @throws (rejects) as runSync, and ERR_SHOAL_ABORTED */
  run(work: (state: OnceState) => void | PromiseLike<void>, options?: AwaitOptions): Promise<boolean>;
  /** Who is doing it. */
  runner(): Holder | undefined;
}

/** Finds or makes a once. Errors as openObject. */
export function openOnce(heap: Heap, place?: Place): Once {
  const context = contextOf(heap);
  const { core } = context;
  const { handle: object, label } = openObject(heap, place, {
    kind: SYNC_ONCE,
    noun: "once",
    sizeBytes: Y_WAITERS + waitersBytes(heap),
  });
  const set = object + Y_WAITERS;
  const point: WaitPoint = { context, object, set, isHeld: true, label };

  /** 0 while somebody is at it. */
  const attempt = (): number => {
    const result = core.beginOnce(object);
    return result === SYNC_MINE ? 0 : result;
  };

  const end = (isDone: boolean): void => {
    // Closed meanwhile: this participant is gone, and the next one does it.
    if (context.region.closed) return;
    core.endOnce(object, isDone ? 1 : 0);
    context.ringAll(object, set);
  };

  context.objects.set(object, { label, isHeld: () => core.runnerOf(object) - 1 === context.slotIndex });
  return withGetters<Once, "isDone">(
    {
      handle: object,
      runSync(work, options = {}) {
        context.check();
        checkTimeout("runSync", options.timeoutMs);
        let result = core.beginOnce(object);
        if (result === SYNC_MINE) throw selfDeadlock(point, "runSync");
        if (result === 0) result = waitSync(point, attempt, options, "runSync");
        if (result === 0) throw timedOut(point, "runSync", options.timeoutMs ?? 0);
        if (result === SYNC_DONE) return false;
        let isDone = false;
        try {
          work({ abandoned: result === SYNC_ABANDONED });
          isDone = true;
        } finally {
          end(isDone);
        }
        return true;
      },
      async run(work, options = {}) {
        context.check();
        const result = await waitAsync(point, attempt, options, "run");
        if (result !== SYNC_YES && result !== SYNC_ABANDONED) return false;
        let isDone = false;
        try {
          await work({ abandoned: result === SYNC_ABANDONED });
          isDone = true;
        } finally {
          end(isDone);
        }
        return true;
      },
      runner: () => holderInfo(context, object, core.runnerOf(object) - 1),
    },
    {
      isDone: () => {
        context.check();
        return core.isDone(object) !== 0;
      },
    },
  );
}
