/** Event: somebody says that something has happened; others wait for that. */

import { shoalError } from "../errors.ts";
import type { Handle, Heap } from "../heap/index.ts";
import { SYNC_EVENT, SYNC_MANUAL, Y_FLAGS, Y_WAITERS } from "../layout/sync.ts";
import { contextOf } from "./context.ts";
import { openObject, waitersBytes } from "./objects.ts";
import type { Place } from "./objects.ts";
import { timedOut, waitAsync, waitSync } from "./wait.ts";
import type { AwaitOptions, BlockOptions, WaitPoint } from "./wait.ts";
import { withGetters } from "./getters.ts";

/** How an event is made. */
export interface EventOptions {
  /** "manual": stays set, and lets everybody pass, until it is reset (default). "auto": lets one pass, and is unset by that. */
  readonly resets?: "manual" | "auto";
}

/** An event in a heap. */
export interface SharedEvent {
  readonly handle: Handle;
  readonly resets: "manual" | "auto";
  /** Whether it is set. */
  readonly isSet: boolean;
  /** Lets those pass who wait, and of a manual event all who come until it is reset. */
  set(): void;
  /** Unsets it. Who waited when it was set last passes all the same. */
  reset(): void;
  /** Passes if it is set. */
  tryWait(): boolean;
  /** @throws ERR_SHOAL_TIMEOUT, ERR_SHOAL_WOULD_BLOCK, ERR_SHOAL_CLOSED */
  waitSync(options?: BlockOptions): void;
  /** @throws (rejects) ERR_SHOAL_TIMEOUT, ERR_SHOAL_ABORTED, ERR_SHOAL_CLOSED */
  wait(options?: AwaitOptions): Promise<void>;
}

/** Finds or makes an event. Errors as openObject. */
export function openEvent(heap: Heap, place?: Place, options: EventOptions = {}): SharedEvent {
  const context = contextOf(heap);
  const { core, region } = context;
  const { resets } = options;
  if (resets !== undefined && resets !== "auto" && resets !== "manual") {
    const message = `resets must be "manual" or "auto", not ${String(resets)}`;
    throw shoalError("ERR_SHOAL_ARGUMENT", message, { resets: String(resets) });
  }
  const flags = resets === "auto" ? 0 : SYNC_MANUAL;
  const { handle: object, label } = openObject(heap, place, {
    kind: SYNC_EVENT,
    noun: "event",
    sizeBytes: Y_WAITERS + waitersBytes(heap),
    flags,
    expected: { flags: resets === undefined ? undefined : flags },
  });
  const isManual = (new Uint32Array(region.buffer, object, 2)[Y_FLAGS >> 2]! & SYNC_MANUAL) !== 0;
  const set = object + Y_WAITERS;
  const point: WaitPoint = { context, object, set, isHeld: false, label };

  /** What one wait tries: a manual event is not missed when it is unset again before this one has looked. */
  const attempter = (): (() => number) => {
    if (!isManual) return () => core.passEvent(object);
    const generation = core.eventGeneration(object);
    return () => core.seenEvent(object, generation);
  };

  return withGetters<SharedEvent, "isSet">(
    {
      handle: object,
      resets: isManual ? "manual" : "auto",
      set() {
        context.check();
        core.setEvent(object);
        context.ringAll(object, set);
      },
      reset() {
        context.check();
        core.resetEvent(object);
      },
      tryWait() {
        context.check();
        return attempter()() !== 0;
      },
      waitSync(waitOptions = {}) {
        context.check();
        if (waitSync(point, attempter(), waitOptions, "waitSync") !== 0) return;
        throw timedOut(point, "waitSync", waitOptions.timeoutMs ?? 0);
      },
      async wait(waitOptions = {}) {
        context.check();
        await waitAsync(point, attempter(), waitOptions, "wait");
      },
    },
    {
      isSet: () => {
        context.check();
        return core.isSet(object) !== 0;
      },
    },
  );
}
