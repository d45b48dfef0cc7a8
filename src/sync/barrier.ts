/** Barrier: so many come and wait for each other; the last one lets all go on. */

import { shoalError } from "../errors.ts";
import type { Handle, Heap } from "../heap/index.ts";
import {
  SYNC_BARRIER,
  SYNC_BROKEN,
  SYNC_DONE,
  SYNC_NO,
  SYNC_YES,
  Y_LIMIT,
  Y_WAITERS,
} from "../layout/sync.ts";
import { contextOf } from "./context.ts";
import type { SyncContext } from "./context.ts";
import { openObject, waitersBytes } from "./objects.ts";
import type { FoundObject, Place } from "./objects.ts";
import { checkAwait, checkTimeout, timedOut, waitAsync, waitSync } from "./wait.ts";
import type { AwaitOptions, BlockOptions, WaitPoint } from "./wait.ts";
import { withGetters } from "./getters.ts";

/** How a barrier is made. */
export interface BarrierOptions {
  /** How many have to come, 1 or more. Has to be said where the barrier is made. */
  readonly parties?: number;
}

/** A barrier in a heap. */
export interface Barrier {
  readonly handle: Handle;
  readonly parties: number;
  /** How many have come and wait. */
  readonly waiting: number;
  /** A party has died: nobody passes until reset(). */
  readonly isBroken: boolean;
  /**
   * Comes, and waits for the others.
   *
   * @returns true for the one who came last
   * @throws ERR_SHOAL_BROKEN (a party that has come, now or an earlier time, has died; or reset()), ERR_SHOAL_TIMEOUT (it has
   *   not come, then), ERR_SHOAL_CLOSED
   */
  waitSync(options?: BlockOptions): boolean;
  /** @throws (rejects) as waitSync, and ERR_SHOAL_ABORTED */
  wait(options?: AwaitOptions): Promise<boolean>;
  /** This participant will not come any more: its end breaks nothing. */
  leave(): void;
  /** Begins anew. Whoever waits gets ERR_SHOAL_BROKEN. */
  reset(): void;
}

/** Finds or makes a barrier. Errors as openObject. */
export function openBarrier(heap: Heap, place?: Place, { parties }: BarrierOptions = {}): Barrier {
  const context = contextOf(heap);
  if (parties !== undefined && !(Number.isInteger(parties) && parties >= 1 && parties < 2 ** 31)) {
    throw shoalError("ERR_SHOAL_ARGUMENT", `parties must be 1 or more, not ${String(parties)}`, {
      parties: String(parties),
    });
  }
  const found = openObject(heap, place, {
    kind: SYNC_BARRIER,
    noun: "barrier",
    sizeBytes: Y_WAITERS + waitersBytes(heap) + heap.region.session.geometry.slotCount * 4,
    limit: parties ?? 0,
    expected: { limit: parties },
    checkMaking() {
      if (parties !== undefined) return;
      throw shoalError(
        "ERR_SHOAL_ARGUMENT",
        "there is no such barrier yet: say how many parties it is to have",
        {},
      );
    },
  });
  return barrierOf(context, found);
}

function barrierOf(context: SyncContext, { handle: object, label }: FoundObject): Barrier {
  const { core, region } = context;
  const set = object + Y_WAITERS;
  const point: WaitPoint = { context, object, set, isHeld: false, label };

  const broken = (): Error => {
    const gone = core.goneParty(object) - 1;
    const why = gone >= 0 ? `the party in slot ${gone} has died` : "a party has died, or it was reset";
    return shoalError("ERR_SHOAL_BROKEN", `${label}: ${why}; call reset() and begin anew`, {
      object,
      slot: gone,
    });
  };

  /** Comes; the generation to wait for, or undefined for the last one. */
  const arrive = (): number | undefined => {
    for (;;) {
      const generation = core.barrierGeneration(object) >>> 0;
      const result = core.arrive(object, generation);
      if (result === SYNC_DONE) continue;
      if (result === SYNC_NO) return generation;
      // It may be this call that has found that a party is gone.
      context.ringAll(object, set);
      if (result === SYNC_BROKEN) throw broken();
      return undefined;
    }
  };

  const attempter = (generation: number) => (): number => {
    const result = core.hasPassed(object, generation);
    if (result !== SYNC_BROKEN) return result;
    context.ringAll(object, set);
    throw broken();
  };

  /** Who has come and gives up has not come; unless all have meanwhile. */
  const giveUp = (generation: number) => (): number =>
    core.withdraw(object, generation) === 0 && core.hasPassed(object, generation) === SYNC_YES ? SYNC_YES : 0;

  return withGetters<Barrier, "waiting" | "isBroken">(
    {
      handle: object,
      parties: new Uint32Array(region.buffer, object, 4)[Y_LIMIT >> 2]!,
      waitSync(options = {}) {
        context.check();
        checkTimeout("waitSync", options.timeoutMs);
        const generation = arrive();
        if (generation === undefined) return true;
        const result = waitSync(point, attempter(generation), options, "waitSync", giveUp(generation));
        if (result === 0) throw timedOut(point, "waitSync", options.timeoutMs ?? 0);
        return false;
      },
      async wait(options = {}) {
        context.check();
        checkAwait(point, "wait", options);
        const generation = arrive();
        if (generation === undefined) return true;
        await waitAsync(point, attempter(generation), options, "wait", giveUp(generation));
        return false;
      },
      leave() {
        context.check();
        core.leaveBarrier(object);
      },
      reset() {
        context.check();
        core.resetBarrier(object);
        context.ringAll(object, set);
      },
    },
    {
      waiting: () => {
        context.check();
        return core.arrivals(object);
      },
      isBroken: () => {
        context.check();
        return core.isBroken(object) !== 0;
      },
    },
  );
}
