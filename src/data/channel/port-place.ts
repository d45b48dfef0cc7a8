/**
 * A port in a heap: its parts, and who has its sides. What the words mean is drawn in src/layout/port.ts.
 *
 * Sides are mutexes, so they outlive their holders: that of a participant that has died is free. Who takes a side connects with
 * the one that has the other side, if that one is not connected with somebody yet (who has gone, or the side would not have been
 * free): such a one is about to find out and to leave, and who comes after it on that side is the partner. So nobody is ever
 * connected with two, one after the other. Serials say which taking of a side is meant; messages bear that of their receiver.
 * Who comes first of all recovers whoever has died, so that sides and door are not theirs any more.
 *
 * All of this happens under the door. Invariants, whoever has died where:
 *
 *     - who has a side is whose ident is in its mutex, and lives; nobody else writes that side's partner, but who comes to the
 *       other side, and finds 0 there
 *     - a side's serial grows by one whenever it is taken, and stays while somebody has it
 *     - two who have the sides are connected when each one's partner is the other one's serial. Whoever's partner is not 0, and is
 *       not the serial of the other side, or nobody has the other side, has lost its partner, and can but leave
 *
 * The linearisation point of coming is the taking of the side's mutex; of connecting the store of the other one's partner, which
 * is what that one waits for; of leaving, and of a death, that the mutex is released, or its holder recovered.
 *
 * What the words are like when the one who comes dies after each of its stores (it is recovered then: its side and the door are
 * free, and everybody who waits has been rung):
 *
 *     takes the door, the side        the side's words are its predecessor's; who has the other side sees nobody here, or is
 *                                     connected with the predecessor still, and leaves
 *     receives what is for that one   as receiving from any queue (core/queue.ts); the rest is the next one's to throw away
 *     partner of its side = 0         as before: nobody reads that word as long as nobody has the side
 *     serial of its side + 1          as before; the next one adds 1 again, so no serial is used twice
 *     partner of its side = the       the other one knows nothing of it, and is still unconnected: the next one to come on this
 *       other one's serial            side sets the word to 0, and connects with it
 *     partner of the other side =     they were connected, and the other one has lost its partner: it leaves
 *       its serial
 *     rings                           recovery rings as well, and later
 *     releases the door               it has its side
 *
 * Leaving is one store, that of the mutex, and a ring; if the one who leaves dies before it rings, recovery does.
 *
 * A port is made as all objects are, a block of its maker's own until it has its name (src/sync/objects.ts): if that one dies it
 * never was there. What is posted and received is in the queues' hands, with what becomes of it (core/queue.ts): a message that
 * was committed before its sender died is received once by the one whom it is for, or thrown away by that one's successor.
 * proof/crash-port.ts kills at each of these accesses, port-words.ts are those that are TypeScript's.
 */

import { shoalError } from "../../errors.ts";
import type { Handle, Heap } from "../../heap/index.ts";
import { PORT_KIND } from "../../layout/port.ts";
import { CELL_DATA } from "../../layout/channel.ts";
import { SYNC_ABANDONED, SYNC_MAGIC, SYNC_MUTEX, SYNC_YES, Y_WAITERS } from "../../layout/sync.ts";
import { contextOf } from "../../sync/context.ts";
import type { SyncContext } from "../../sync/context.ts";
import { openMutex } from "../../sync/index.ts";
import { getLimit, storeKind, wordsAt } from "../../sync/object-words.ts";
import { openObject, waitersBytes } from "../../sync/objects.ts";
import type { WaitPoint } from "../../sync/wait.ts";
import { planChannel } from "./options.ts";
import { placesOf } from "./places.ts";
import {
  getPortCellBytes,
  loadPartner,
  loadSerial,
  PORT_HEAD_WORDS_BYTES,
  setPortCellBytes,
  storePartner,
  storeSerial,
} from "./port-words.ts";
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
      setPortCellBytes(wordsAt(heap.region.buffer, object, PORT_HEAD_WORDS_BYTES), plan.cellBytes);
      for (const offset of [planned.door, ...planned.sides])
        storeKind(wordsAt(heap.region.buffer, object + offset, Y_WAITERS), SYNC_MAGIC | SYNC_MUTEX);
      for (const offset of planned.queues) openQueue(heap, { block, offset, create: true }, queueOptions);
    },
  });
  const words = wordsAt(heap.region.buffer, handle, PORT_HEAD_WORDS_BYTES);
  const cellBytes = getPortCellBytes(words);
  const parts = partsOf(heap, getLimit(words), cellBytes);
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
  const words = wordsAt(region.buffer, object, PORT_HEAD_WORDS_BYTES);
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

  // A side of one who has died would be taken, and the door shut, until somebody notices.
  context.recover();
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
        const serial = Math.max((loadSerial(words, side) + 1) >>> 0, 1);
        storePartner(words, side, 0);
        storeSerial(words, side, serial);
        if (holderAt(1 - side) !== 0 && loadPartner(words, 1 - side) === 0) {
          storePartner(words, side, loadSerial(words, 1 - side));
          storePartner(words, 1 - side, serial);
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
          partner: () => loadPartner(words, side),
          isPartnerGone: () =>
            holderAt(1 - side) === 0 || loadSerial(words, 1 - side) !== loadPartner(words, side),
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
