/**
 * The named objects of a heap: locks, channels, ports. Who holds them, who waits for them, what they have counted; read from
 * outside, without a slot and without a change, while others use them. What is read may be of two moments.
 */

import type { Handle, Heap } from "../heap/index.ts";
import { Y_ABANDONED, Y_WAITS } from "../layout/sync.ts";
import { guarded } from "../region/traps.ts";
import { channelFacts } from "./channels.ts";
import type { ChannelCounts } from "./channels.ts";
import { findCycles } from "./cycles.ts";
import type { Cycle } from "./cycles.ts";
import { lockFacts, waitersIn } from "./locks.ts";
import { kindAt, lookAt } from "./look.ts";
import type { Look, ObjectKind, Party, Waiter } from "./look.ts";

/** A named object. */
export interface ObjectReport {
  readonly name: string;
  readonly handle: Handle;
  readonly kind: ObjectKind;
  /** What is the case with it, in words. */
  readonly state: string;
  readonly holders: readonly Party[];
  readonly waiters: readonly Waiter[];
  /** How often somebody had to wait. */
  readonly waits: number;
  /** How often a holder died. */
  readonly abandoned: number;
  /** Of queues, rings and topics. */
  readonly channel?: ChannelCounts;
}

/** All of them. */
export interface ObjectsReport {
  readonly name: string;
  readonly objects: readonly ObjectReport[];
  readonly cycles: readonly Cycle[];
}

function report(look: Look, name: string, handle: Handle, kind: ObjectKind): ObjectReport {
  const { word } = look;
  const common = {
    name,
    handle,
    kind,
    waits: word(handle + Y_WAITS),
    abandoned: word(handle + Y_ABANDONED),
  };
  if (kind === "queue" || kind === "ring" || kind === "topic")
    return { ...common, ...channelFacts(look, handle, kind) };
  return { ...common, ...lockFacts(look, handle, kind), waiters: waitersIn(look, handle) };
}

/**
 * The named objects of a heap that is open, in the order of their names.
 *
 * @throws ERR_SHOAL_CORRUPT when what an object says of itself leads out of the segment
 */
export function listObjects(heap: Heap): ObjectsReport {
  heap.region.catchUp();
  heap.region.check();
  return guarded("listObjects", heap.region.session.overlay.core, () => reportAll(heap));
}

function reportAll(heap: Heap): ObjectsReport {
  const look = lookAt(heap);
  const objects = heap.roots
    .list()
    .toSorted((one, other) => (one.name < other.name ? -1 : 1))
    .flatMap(({ name, handle }) => {
      const kind = kindAt(look, handle);
      return kind === undefined ? [] : [report(look, name, handle, kind)];
    });
  return { name: heap.region.name, objects, cycles: findCycles(look, objects) };
}

/** What kind of object has that name; undefined: none. */
export function objectKind(heap: Heap, name: string): ObjectKind | undefined {
  const handle = heap.roots.get(name);
  if (handle === 0) return undefined;
  return guarded("objectKind", heap.region.session.overlay.core, () => kindAt(lookAt(heap), handle));
}
