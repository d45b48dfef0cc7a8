/** How a heap's objects are looked at: what there is at a handle, and who the participants are. */

import type { Heap } from "../heap/index.ts";
import { CHANNEL_QUEUE, CHANNEL_RING } from "../layout/channel.ts";
import { PORT_KIND } from "../layout/port.ts";
import { CHANNEL_TOPIC } from "../layout/topic.ts";
import { S_BLOCKED, S_WAITING, SLOT_SIZE_BYTES } from "../layout/slot.ts";
import {
  SYNC_BARRIER,
  SYNC_CONDITION,
  SYNC_COUNTER,
  SYNC_EVENT,
  SYNC_MAGIC,
  SYNC_MAGIC_MASK,
  SYNC_MUTEX,
  SYNC_ONCE,
  SYNC_RWLOCK,
  SYNC_SEMAPHORE,
  Y_KIND,
  Y_SINCE,
} from "../layout/sync.ts";
import type { ParticipantInfo, Region } from "../region/index.ts";
import { instantiateSync } from "../sync/core.ts";
import type { SyncCore } from "../sync/core.ts";
import { waitersBytes } from "../sync/objects.ts";
import { stackOf } from "../sync/trace.ts";

export type ObjectKind =
  | "mutex"
  | "rwlock"
  | "semaphore"
  | "event"
  | "condition"
  | "barrier"
  | "once"
  | "counter"
  | "queue"
  | "ring"
  | "topic"
  | "port"
  | "other";

const KINDS: Readonly<Record<number, ObjectKind>> = {
  [SYNC_MUTEX]: "mutex",
  [SYNC_RWLOCK]: "rwlock",
  [SYNC_SEMAPHORE]: "semaphore",
  [SYNC_EVENT]: "event",
  [SYNC_CONDITION]: "condition",
  [SYNC_BARRIER]: "barrier",
  [SYNC_ONCE]: "once",
  [SYNC_COUNTER]: "counter",
  [CHANNEL_QUEUE]: "queue",
  [CHANNEL_RING]: "ring",
  [CHANNEL_TOPIC]: "topic",
  [PORT_KIND]: "port",
};

/** A participant that holds something, or waits. */
export interface Party {
  readonly slot: number;
  readonly pid: number;
  readonly threadId: number;
  readonly alive: boolean;
  /** What it has of the object, or waits for: "reads", "2 permits". */
  readonly what?: string;
  /** When it is known. */
  readonly since?: Date;
  /** Where it was taken, when the holder was started with SHOAL_TRACE=1. */
  readonly stack?: string;
}

/** Somebody who waits. */
export interface Waiter extends Party {
  /** Its thread is asleep for it; else its event loop goes on, and may have been rung already. */
  readonly asleep: boolean;
}

/** What the readers of one heap's objects share. */
export interface Look {
  readonly heap: Heap;
  readonly region: Region;
  readonly core: SyncCore;
  readonly participants: readonly ParticipantInfo[];
  /** The party in that slot; undefined when nobody is there. */
  party(slot: number): Party | undefined;
  word(offset: number): number;
}

export function lookAt(heap: Heap): Look {
  const { region } = heap;
  const participants = region.participants();
  const parties = new Map(
    participants.map(({ index, pid, threadId, alive }) => [index, { slot: index, pid, threadId, alive }]),
  );
  return {
    heap,
    region,
    core: instantiateSync(region.session.overlay.memory),
    participants,
    party: (slot) => parties.get(slot),
    word: (offset) => new Uint32Array(region.buffer, offset, 1)[0]!,
  };
}

/** The kind of the object at `handle`; undefined when there is none. Bytes that look like one are taken for one. */
export function kindAt({ heap, region, word }: Look, handle: number): ObjectKind | undefined {
  if (handle % 8 !== 0) return undefined;
  const usableBytes = region.survey.usableSize(handle) >>> 0;
  if (usableBytes < 64 || handle + usableBytes > heap.region.segmentSizeBytes) return undefined;
  const kind = word(handle + Y_KIND);
  if ((kind & SYNC_MAGIC_MASK) >>> 0 !== SYNC_MAGIC) return undefined;
  return KINDS[kind & ~SYNC_MAGIC_MASK] ?? "other";
}

/** What a holder says of itself: since when, and where it took it. */
export function withTrace({ region }: Look, object: number, party: Party): Party {
  const sinceMs = new Float64Array(region.buffer, object + Y_SINCE, 1)[0]!;
  const stack = stackOf(region, object, party.slot);
  return {
    ...party,
    ...(sinceMs > 0 && sinceMs < 8.64e15 && { since: new Date(sinceMs) }),
    ...(stack !== undefined && { stack }),
  };
}

/** Which object a participant's thread is asleep for, and since when. */
export function sleepOf({ region, word }: Look, slot: number): { object: number; since?: Date } {
  const at = region.session.geometry.slotsOffset + slot * SLOT_SIZE_BYTES;
  const object = word(at + S_BLOCKED);
  const sinceMs = new Float64Array(region.buffer, at + S_WAITING, 1)[0]!;
  return { object, ...(sinceMs > 0 && sinceMs < 8.64e15 && { since: new Date(sinceMs) }) };
}

/** Size of a set of waiters. */
export function setBytes({ heap }: Look): number {
  return waitersBytes(heap);
}
