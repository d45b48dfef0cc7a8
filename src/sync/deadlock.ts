/**
 * Finds out whether a wait can ever end: who holds what this thread waits for may itself be asleep, waiting for what this
 * participant holds, directly or through others.
 *
 * Each participant's slot says which object its thread is asleep for (core/bells.ts, noteWait). Participants that await have an
 * event loop that goes on, and may release what they hold whatever they wait for; so only sleepers make a cycle. The
 * slots are read one after the other while others go on: a cycle counts when it is seen twice, 50 ms apart.
 */

import { shoalError } from "../errors.ts";
import { S_BLOCKED, SLOT_SIZE_BYTES } from "../layout/slot.ts";
import { SYNC_MUTEX, SYNC_ONCE, SYNC_RWLOCK, Y_KIND } from "../layout/sync.ts";
import type { SyncContext } from "./context.ts";
import type { WaitPoint } from "./wait.ts";

/** One participant of a cycle, and the object that it is asleep for. */
interface Link {
  readonly slot: number;
  readonly object: number;
}

function wordAt({ region }: SyncContext, offset: number): number {
  return new Uint32Array(region.buffer, offset, 1)[0]!;
}

/** The slot index of the one participant that holds `object`; -1 when nobody, or several may. */
export function holderIndex(context: SyncContext, object: number): number {
  const { core } = context;
  switch (wordAt(context, object + Y_KIND) & 0xffff) {
    case SYNC_MUTEX:
    case SYNC_RWLOCK:
      return core.holderOf(object) - 1;
    case SYNC_ONCE:
      return core.runnerOf(object) - 1;
    default:
      return -1;
  }
}

function blockedOn(context: SyncContext, slot: number): number {
  const { slotsOffset } = context.region.session.geometry;
  return wordAt(context, slotsOffset + slot * SLOT_SIZE_BYTES + S_BLOCKED);
}

/** The cycle that this participant's sleep for `object` closes; undefined when there is none. */
function cycleFrom(context: SyncContext, object: number): Link[] | undefined {
  const links: Link[] = [{ slot: context.slotIndex, object }];
  const { dataOffset, slotCount } = context.region.session.geometry;
  while (links.length <= slotCount) {
    const slot = holderIndex(context, links[links.length - 1]!.object);
    if (slot === context.slotIndex) return links;
    if (slot < 0) return undefined;
    const next = blockedOn(context, slot);
    if (next < dataOffset || next + 64 > context.region.segmentSizeBytes || next % 4 !== 0) return undefined;
    links.push({ slot, object: next });
  }
  return undefined;
}

const suspected = new WeakMap<SyncContext, string>();

/**
 * Throws when the thread's wait at `point` is part of a cycle, which the last look has shown as well.
 *
 * @throws ERR_SHOAL_DEADLOCK
 */
export function findCycle(point: WaitPoint, call: string): void {
  const { context, object } = point;
  const cycle = cycleFrom(context, object);
  if (cycle === undefined) {
    suspected.delete(context);
    return;
  }
  const shown = cycle.map((link) => `slot ${link.slot} waits for object ${link.object}`).join(", ");
  if (suspected.get(context) !== shown) {
    suspected.set(context, shown);
    return;
  }
  suspected.delete(context);
  throw shoalError("ERR_SHOAL_DEADLOCK", `${call}: nobody of a cycle can go on: ${shown}`, {
    call,
    object,
    slots: cycle.map((link) => link.slot).join(", "),
  });
}

/** The error for a thread that is about to sleep for what its own participant holds. */
export function selfDeadlock({ object, label }: WaitPoint, call: string): Error {
  return shoalError(
    "ERR_SHOAL_DEADLOCK",
    `${call}: this participant holds ${label} itself, and would sleep for ever; release it first, or await it`,
    { call, object },
  );
}
