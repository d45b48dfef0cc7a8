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
import {
  MUTEX_OFFERED,
  SET_SWEPT_BYTES,
  SYNC_MAGIC,
  SYNC_MUTEX,
  SYNC_ONCE,
  SYNC_RWLOCK,
  Y_HOLDER,
  Y_KIND,
  Y_WAITERS,
} from "../layout/sync.ts";
import type { Region } from "../region/index.ts";
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

/** Participants that must all do something before the sleep of the one in `slot` for `object` can end; by slot index. */
function blockersOf(context: SyncContext, slot: number, object: number): number[] {
  const { core } = context;
  const kind = wordAt(context, object + Y_KIND);
  switch (kind >>> 0) {
    case SYNC_MAGIC | SYNC_MUTEX:
      return isOffered(context, object) ? [] : slotsOf(core.holderOf(object));
    case SYNC_MAGIC | SYNC_ONCE:
      return slotsOf(core.runnerOf(object));
    case SYNC_MAGIC | SYNC_RWLOCK: {
      // The one in the writer's place writes, or waits there for the readers, as the others wait for it.
      const writer = core.holderOf(object) - 1;
      return writer === slot ? readersOf(context, object) : slotsOf(writer + 1);
    }
    default:
      return [];
  }
}

function slotsOf(slotPlusOne: number): number[] {
  return slotPlusOne > 0 ? [slotPlusOne - 1] : [];
}

/** A fair mutex that is offered to somebody: that one is about to wake up, or to be passed over. */
function isOffered(context: SyncContext, object: number): boolean {
  return (wordAt(context, object + Y_HOLDER) & MUTEX_OFFERED) !== 0;
}

function readersOf({ core, region }: SyncContext, object: number): number[] {
  // What is said to be waited for may only look like one, and have no room for the readers' cells.
  if (object + Y_WAITERS + cellsBytes(region) > region.segmentSizeBytes) return [];
  const found: number[] = [];
  for (let next = core.nextReader(object, 0); next !== 0; next = core.nextReader(object, next))
    found.push(next - 1);
  return found;
}

/** How far the cells of a read-write lock reach, its set of waiters included. */
function cellsBytes({ session }: Region): number {
  const { slotCount } = session.geometry;
  return Math.ceil(slotCount / 64) * 8 + SET_SWEPT_BYTES + slotCount * 4;
}

/** What the one in `slot` is asleep for; 0 when nothing that can be an object. */
function blockedOn(context: SyncContext, slot: number): number {
  const { slotsOffset, dataOffset } = context.region.session.geometry;
  const object = wordAt(context, slotsOffset + slot * SLOT_SIZE_BYTES + S_BLOCKED);
  const isInside = object >= dataOffset && object + Y_WAITERS <= context.region.segmentSizeBytes;
  return isInside && object % 8 === 0 ? object : 0;
}

/** The cycle that this participant's sleep for `object` closes; undefined when there is none. */
function cycleFrom(context: SyncContext, object: number): readonly Link[] | undefined {
  const seen = new Set<number>();
  const search = (path: readonly Link[]): readonly Link[] | undefined => {
    const { slot, object: wanted } = path[path.length - 1]!;
    for (const blocker of blockersOf(context, slot, wanted)) {
      if (blocker === context.slotIndex) return path;
      const next = seen.has(blocker) ? 0 : blockedOn(context, blocker);
      seen.add(blocker);
      const found = next === 0 ? undefined : search([...path, { slot: blocker, object: next }]);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return search([{ slot: context.slotIndex, object }]);
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
