/**
 * From the core's result codes to ShoalErrors.
 */

import { shoalError } from "../errors.ts";
import type { ShoalError } from "../errors.ts";
import * as result from "../layout/result.ts";
import type { HeapCore } from "../region/core.ts";

/** The error for a failed call about `handle`. `call` names the call for the message. */
export function handleError(core: HeapCore, code: number, call: string, handle: number): ShoalError {
  const shown = `${call}(${handle})`;
  switch (code) {
    case result.DOUBLE_FREE:
      return shoalError(
        "ERR_SHOAL_DOUBLE_FREE",
        `${shown}: that block is free already; nothing was changed`,
        { call, handle },
      );
    case result.CORRUPT: {
      const offset = core.errorDetail() >>> 0;
      return shoalError(
        "ERR_SHOAL_CORRUPT",
        `${shown}: the segment contradicts itself at offset ${offset}; run verify() and stop using it`,
        { call, handle, offset },
      );
    }
    case result.NOT_OWNER: {
      const slot = core.errorDetail() >>> 0;
      return shoalError(
        "ERR_SHOAL_NOT_OWNER",
        `${shown}: the participant in slot ${slot} owns that block and has not shared it; nothing was changed`,
        { call, handle, slot },
      );
    }
    default:
      return shoalError(
        "ERR_SHOAL_BAD_HANDLE",
        `${shown}: no allocated block starts there (a wild, stale or interior handle); nothing was changed`,
        { call, handle, result: code },
      );
  }
}
