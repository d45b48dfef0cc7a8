/** Who holds something, for people and programs that ask. */

import { Y_SINCE } from "../layout/sync.ts";
import type { ParticipantInfo } from "../region/index.ts";
import { guarded } from "../region/traps.ts";
import type { SyncContext } from "./context.ts";
import { stackOf } from "./trace.ts";

/** A participant that holds something. */
export interface Holder extends ParticipantInfo {
  /**
   * Since when. Undefined when it was taken without having to wait: then nobody has looked at the clock, which takes longer than the
   * lock. With SHOAL_TRACE=1 in the holder's environment it is always there.
   */
  readonly since: Date | undefined;
  /** Where in the holder's program it was taken; with SHOAL_TRACE=1 in the holder's environment. */
  readonly stack: string | undefined;
}

/** What is known of the participant in that slot as the holder of `object`; undefined when there is none. */
export function holderInfo(context: SyncContext, object: number, slotIndex: number): Holder | undefined {
  const { region } = context;
  context.check();
  if (slotIndex < 0) return undefined;
  const participant = region.participants().find(({ index }) => index === slotIndex);
  if (participant === undefined) return undefined;
  const sinceMs = new Float64Array(region.buffer, object + Y_SINCE, 1)[0]!;
  return {
    ...participant,
    since: sinceMs > 0 && sinceMs < 8.64e15 ? new Date(sinceMs) : undefined,
    stack: guarded("holder", region.session.overlay.core, () => stackOf(region, object, slotIndex)),
  };
}
