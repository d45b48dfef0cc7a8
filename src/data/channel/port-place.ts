/**
 * A port in a heap: its parts, and who has its sides. What the words mean is drawn in src/layout/port.ts.
 *
 * Sides are mutexes, so they outlive their holders: that of a participant that has died is free. Who takes a side connects with
 * the one that has the other side, if that one is not connected with somebody yet (who has gone, or the side would not have been
 * free): such a one is about to find out and to leave, and who comes after it on that side is the partner. So nobody is ever
 * connected with two, one after the other. Serials say which taking of a side is meant; messages bear that of their receiver.
 *
 * All of this happens under the door. If a participant dies there, its side is free again, whatever it has written: at worst it was
 * connected already, and then its partner sees it go.
 */

import { shoalError } from "../../errors.ts";
import type { Handle, Heap } from "../../heap/index.ts";
import { PORT_CELL_BYTES, PORT_KIND, PORT_PARTNERS, PORT_SERIALS } from "../../layout/port.ts";
import { CELL_DATA } from "../../layout/channel.ts";
import {
  SYNC_ABANDONED,
  SYNC_MAGIC,
  SYNC_MUTEX,
  SYNC_YES,
  Y_KIND,
  Y_LIMIT,
  Y_WAITERS,
} from "../../layout/sync.ts";
import { contextOf } from "../../sync/context.ts";
import type { SyncContext } from "../../sync/context.ts";
import { openMutex } from "../../sync/index.ts";
import { openObject, waitersBytes } from "../../sync/objects.ts";
import type { WaitPoint } from "../../sync/wait.ts";
import { planChannel } from "./options.ts";
import { placesOf } from "./places.ts";
import { openQueue } from "./queue.ts";
import type { Queue } from "./queue.ts";

/** How a port is made. Of one that there is already it is not compared. */
export interface PortOptions {
  /** Messages that wait in shared memory, each way; the others wait in their sender. Rounded up to a power of two. Default 256. */
  readonly capacity?: number;
  /** Room for a message in the queue itself; larger ones get a block of their own. Default 496. */
  readonly messageBytes?: number;
}

const DEFAULT_CAPACITY = 256;
const DEFAULT_MESSAGE_BYTES = 496;

/** A side of a port that this participant has. */
export interface Seat {
  readonly handle: Handle;
  readonly context: SyncContext;
  /** 0 or 1. */
  readonly side: number;
  readonly inbound: Queue<Uint8Array>;
  readonly outbound: Queue<Uint8Array>;
  /** For those who wait for the other side to come or go. */
  readonly point: WaitPoint;
  readonly serial: number;
  /** The serial of the one this is connected with; 0 = with none yet. */
  partner(): number;
  /** Whether the one that this was connected with is there no more. */
  isPartnerGone(): boolean;
  leave(): void;
}

export interface Parts {
  readonly door: number;
  readonly sides: readonly [number, number];
  readonly queues: readonly [number, number];
  readonly sizeBytes: number;
}

function toLine(bytes: number): number {
  return Math.ceil(bytes / 64) * 64;
}

/** Offsets from the port's start. */
export function partsOf(heap: Heap, capacity: number, cellBytes: number): Parts {
  const mutexBytes = toLine(Y_WAITERS + waitersBytes(heap));
  const door = mutexBytes;
  const first = door + mutexBytes;
  const queues = first + 2 * mutexBytes;
  const { slotCount } = heap.region.session.geometry;
  const queueBytes = toLine(placesOf(slotCount, capacity, cellBytes).sizeBytes);
  return {
    door,
    sides: [first, first + mutexBytes],
    queues: [queues, queues + queueBytes],
    sizeBytes: queues + 2 * queueBytes,
  };
}

/** Finds or makes the port `name`; the parts, and what it is called. */
function openPlace(
  heap: Heap,
  name: string,
  options: PortOptions,
): { handle: Handle; label: string; parts: Parts } {
  const { capacity = DEFAULT_CAPACITY, messageBytes = DEFAULT_MESSAGE_BYTES } = options;
  const queueOptions = { capacity, messageBytes, codec: "raw" } as const;
  const plan = planChannel(heap, "queue", queueOptions);
  const planned = partsOf(heap, plan.capacity, plan.cellBytes);
  const { handle, label } = openObject(heap, name, {
    kind: PORT_KIND,
    noun: "port",
    sizeBytes: planned.sizeBytes,
    isVariable: true,
    limit: plan.capacity,
    init(object) {
      const block = object as Handle;
      new Uint32Array(heap.region.buffer, object + PORT_CELL_BYTES, 1)[0] = plan.cellBytes;
      for (const offset of [planned.door, ...planned.sides])
        new Uint32Array(heap.region.buffer, object + offset + Y_KIND, 1)[0] = (SYNC_MAGIC | SYNC_MUTEX) >>> 0;
      for (const offset of planned.queues) openQueue(heap, { block, offset, create: true }, queueOptions);
    },
  });
  const words = new Uint32Array(heap.region.buffer, handle, (PORT_CELL_BYTES >> 2) + 1);
  const cellBytes = words[PORT_CELL_BYTES >> 2]!;
  const parts = partsOf(heap, words[Y_LIMIT >> 2]!, cellBytes);
  if (cellBytes > CELL_DATA && parts.sizeBytes <= heap.usableSize(handle)) return { handle, label, parts };
  const message = `${label} contradicts itself: a block of ${heap.usableSize(handle)} bytes; stop using it`;
  throw shoalError("ERR_SHOAL_CORRUPT", message, { object: handle });
}

/** Somebody holds the door for some microseconds; or was stopped there. */
const DOOR_MS = 5000;

/**
 * Takes a side of the port `name`, making the port when there is none.
 *
 * @throws ERR_SHOAL_TAKEN (both sides have somebody), ERR_SHOAL_TIMEOUT, and as openObject
 */
export function takeSide(heap: Heap, name: string, options: PortOptions): Seat {
  const context = contextOf(heap);
  const { handle, label, parts } = openPlace(heap, name, options);
  const { core, region } = context;
  const object: number = handle;
  const door = openMutex(heap, { block: handle, offset: parts.door });
  const serials = new Uint32Array(region.buffer, object + PORT_SERIALS, 2);
  const partners = new Uint32Array(region.buffer, object + PORT_PARTNERS, 2);
  const point: WaitPoint = { context, object, set: object + Y_WAITERS, isHeld: false, label };
  const holderAt = (side: number): number => core.holderOf(object + parts.sides[side]!);
  const queueTo = (side: number): Queue<Uint8Array> =>
    openQueue<Uint8Array>(heap, { block: handle, offset: parts.queues[side]! }, { codec: "raw" });

  const take = (): number => {
    const side = parts.sides.findIndex((offset) => {
      const result = core.tryLock(object + offset);
      return result === SYNC_YES || result === SYNC_ABANDONED;
    });
    if (side >= 0) return side;
    const slots = [holderAt(0) - 1, holderAt(1) - 1].join(" and ");
    throw shoalError(
      "ERR_SHOAL_TAKEN",
      `${label} has two sides, and the participants in slots ${slots} have them; wait until one closes it, or choose another name`,
      { object, slots },
    );
  };

  return door.runSync(
    () => {
      const side = take();
      const mine = object + parts.sides[side]!;
      try {
        core.noteSince(mine, Date.now());
        const inbound = queueTo(side);
        const outbound = queueTo(1 - side);
        // For those who had this side before.
        while (inbound.tryReceive() !== undefined);
        const serial = Math.max((serials[side]! + 1) >>> 0, 1);
        Atomics.store(partners, side, 0);
        Atomics.store(serials, side, serial);
        if (holderAt(1 - side) !== 0 && Atomics.load(partners, 1 - side) === 0) {
          Atomics.store(partners, side, Atomics.load(serials, 1 - side));
          Atomics.store(partners, 1 - side, serial);
          context.ringAll(object, point.set);
        }
        return {
          handle,
          context,
          side,
          inbound,
          outbound,
          point,
          serial,
          partner: () => Atomics.load(partners, side),
          isPartnerGone: () =>
            holderAt(1 - side) === 0 || Atomics.load(serials, 1 - side) !== Atomics.load(partners, side),
          leave() {
            if (region.closed || core.unlock(mine) === 0) return;
            context.ringAll(object, point.set);
          },
        };
      } catch (error) {
        core.unlock(mine);
        throw error;
      }
    },
    { timeoutMs: DOOR_MS },
  );
}
