/**
 * Traps: the core read a number from the segment that led it out of bounds, which WebAssembly does not allow. The host
 * process is unharmed, and its caller gets an error with a code.
 */

import { shoalError } from "../errors.ts";
import type { Core } from "./core.ts";

/** The core of a heap can put right what a trap has left half done; a plain region's has nothing of the kind. */
function mend(core: Core): void {
  if (!("mend" in core) || typeof core.mend !== "function") return;
  try {
    core.mend();
  } catch (error) {
    // What it has to read for that is damaged too. The next call that wants a lock tries again.
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
  }
}

/**
 * The error for what `call` of the participant with this core threw: a trap is ERR_SHOAL_CORRUPT, and the participant holds no
 * lock any more; anything else is what it was.
 */
export function trapError(cause: unknown, call: string, core: Core): unknown {
  if (!(cause instanceof WebAssembly.RuntimeError)) return cause;
  mend(core);
  return shoalError(
    "ERR_SHOAL_CORRUPT",
    `${call}: the segment's own data led out of bounds (${cause.message}); run verify() and stop using it`,
    { call, offset: 0 },
    cause,
  );
}

/** Makes a call into the core of a segment that may be damaged. */
export function guarded<T>(call: string, core: Core, step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw trapError(error, call, core);
  }
}
