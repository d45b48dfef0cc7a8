/**
 * Participants that wait for each other. Only those whose threads are asleep count, as in src/sync/deadlock.ts: whoever awaits
 * goes on. Read at one go, so each cycle is a suspicion: who looks again and finds it again may be sure.
 */

import { SYNC_MAGIC, SYNC_MAGIC_MASK, SYNC_MUTEX, SYNC_ONCE, SYNC_RWLOCK, Y_KIND } from "../layout/sync.ts";
import { sleepOf } from "./look.ts";
import type { Look } from "./look.ts";

/** Participants that seem to wait for each other for ever: each is asleep for what the next one holds. */
export interface Cycle {
  readonly links: readonly { readonly slot: number; readonly pid: number; readonly object: string }[];
}

/** The slot of the one participant that holds `object`; -1 when nobody, or several may. */
function holderSlot({ core, region, word }: Look, object: number): number {
  const { dataOffset, segmentSizeBytes } = region;
  if (object < dataOffset || object % 8 !== 0 || object + 64 > segmentSizeBytes) return -1;
  const kind = word(object + Y_KIND);
  if ((kind & SYNC_MAGIC_MASK) >>> 0 !== SYNC_MAGIC) return -1;
  switch (kind & ~SYNC_MAGIC_MASK) {
    case SYNC_MUTEX:
    case SYNC_RWLOCK:
      return core.holderOf(object) - 1;
    case SYNC_ONCE:
      return core.runnerOf(object) - 1;
    default:
      return -1;
  }
}

export function findCycles(
  look: Look,
  objects: readonly { readonly handle: number; readonly kind: string; readonly name: string }[],
): Cycle[] {
  const names = new Map(objects.map(({ handle, kind, name }) => [handle, `${kind} "${name}"`]));
  const cycles: Cycle[] = [];
  const seen = new Set<number>();
  for (const { index } of look.participants) {
    const path: { slot: number; object: number }[] = [];
    for (let slot = index; slot >= 0 && !seen.has(slot);) {
      const start = path.findIndex((link) => link.slot === slot);
      if (start >= 0) {
        const links = path.slice(start).map((link) => ({
          slot: link.slot,
          pid: look.party(link.slot)?.pid ?? 0,
          object: names.get(link.object) ?? `object ${link.object}`,
        }));
        cycles.push({ links });
        break;
      }
      const { object } = sleepOf(look, slot);
      if (object === 0) break;
      path.push({ slot, object });
      slot = holderSlot(look, object);
    }
    for (const { slot } of path) seen.add(slot);
  }
  return cycles;
}
