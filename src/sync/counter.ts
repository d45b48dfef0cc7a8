/** Counter: a whole number that participants add to, each addition at once and none lost. */

import { shoalError } from "../errors.ts";
import type { Handle, Heap } from "../heap/index.ts";
import { SYNC_COUNTER, Y_WAITERS } from "../layout/sync.ts";
import { contextOf } from "./context.ts";
import { openObject, waitersBytes } from "./objects.ts";
import type { Place } from "./objects.ts";
import { withGetters } from "./getters.ts";

/** A counter in a heap. Values are whole numbers; beyond 2^53 they are not exact any more. */
export interface Counter {
  readonly handle: Handle;
  readonly value: number;
  /** Adds `delta` (default 1, may be negative). The sum. */
  add(delta?: number): number;
  /** Sets it. What it was. */
  set(value: number): number;
  /** Sets it to `value` if it is `expected`. Whether it was. */
  compareAndSet(expected: number, value: number): boolean;
}

/** Finds or makes a counter. Errors as openObject. */
export function openCounter(heap: Heap, place?: Place): Counter {
  const context = contextOf(heap);
  const { core } = context;
  const { flags } = context.region.session.overlay;
  const { handle: object, label } = openObject(heap, place, {
    kind: SYNC_COUNTER,
    noun: "counter",
    sizeBytes: Y_WAITERS + waitersBytes(heap),
  });

  const check = (value: number): number => {
    if (flags[0] !== 0) context.check();
    if (Number.isSafeInteger(value)) return value;
    const message = `${label}: a counter takes whole numbers up to 2^53, not ${String(value)}`;
    throw shoalError("ERR_SHOAL_ARGUMENT", message, { value: String(value) });
  };

  return withGetters<Counter, "value">(
    {
      handle: object,
      add: (delta = 1) => core.addCounter(object, check(delta)),
      set: (value) => core.swapCounter(object, check(value)),
      compareAndSet: (expected, value) => core.casCounter(object, check(expected), check(value)) !== 0,
    },
    {
      value: () => {
        return core.readCounter(check(object));
      },
    },
  );
}
