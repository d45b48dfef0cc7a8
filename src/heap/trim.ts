/** Storage that a heap gave back or never had. (Being written.) */

import { shoalError } from "../errors.ts";
import type { HeapCore } from "../region/core.ts";
import type { Region } from "../region/index.ts";

/** Bytes given back to the system. */
export function trimHeap(_region: Region): number {
  return 0;
}

/** After NEED_STORAGE: gets storage for what the core asked for, and tells it. */
export function reserveStorage(region: Region): void {
  const core = region.session.overlay.core as HeapCore;
  throw shoalError("ERR_SHOAL_UNSUPPORTED", `storage for page ${core.errorDetail()}`);
}
