/**
 * What one participant has of one channel: the core's functions and the views that it reads and writes messages through; and
 * what is done when the core says that it cannot go on.
 */

import { shoalError } from "../../errors.ts";
import { asHandle } from "../../heap/index.ts";
import type { Handle, Heap } from "../../heap/index.ts";
import { clear } from "../../heap/obstacles.ts";
import type { Refused } from "../../heap/obstacles.ts";
import {
  CHANNEL_AGAIN,
  CHANNEL_NONE,
  CHANNEL_QUEUE,
  CHANNEL_RELEASE,
  CHANNEL_RING,
  CHANNEL_TAKEN,
  RING_RECEIVERS,
  RING_SENDERS,
} from "../../layout/channel.ts";
import { OK } from "../../layout/result.ts";
import { CHANNEL_TOPIC } from "../../layout/topic.ts";
import type { HeapCore } from "../../region/core.ts";
import type { Region } from "../../region/index.ts";
import { contextOf } from "../../sync/context.ts";
import type { SyncContext } from "../../sync/context.ts";
import { wordsAt } from "../../sync/object-words.ts";
import { openObject } from "../../sync/objects.ts";
import type { Place } from "../../sync/objects.ts";
import type { WaitPoint } from "../../sync/wait.ts";
import {
  CHANNEL_HEAD_BYTES,
  getSubscribers,
  setCellBytes,
  setHistory,
  setSubscribers,
} from "./channel-words.ts";
import { instantiateChannels } from "./core.ts";
import type { ChannelCore } from "./core.ts";
import { planChannel, traitsOf } from "./options.ts";
import type { ChannelOptions, ChannelTraits } from "./options.ts";
import { placesOf } from "./places.ts";

export interface Link extends ChannelTraits {
  readonly heap: Heap;
  readonly region: Region;
  readonly context: SyncContext;
  readonly core: ChannelCore;
  readonly object: number;
  readonly handle: Handle;
  readonly created: boolean;
  readonly label: string;
  /** Address of the first cell. */
  readonly cells: number;
  /** Where receivers wait for messages, and senders for room. */
  readonly receivers: WaitPoint;
  readonly senders: WaitPoint;
  /** One word: 0 = open and whole. */
  readonly flags: Int32Array;
  /** Rings those who wait, as RING_… says. */
  ring(bits: number): void;
  ringAll(): void;
  /**
   * Does what can be done about a code of the core: then the call is to be repeated.
   *
   * @throws for all others
   */
  settle(code: number, call: string): void;
  /** Makes a call that returns OK or a code, until it is OK. */
  insist(call: string, step: () => number): void;
}

/** What only a topic has: for how many subscribers there is room, and with how many messages late ones begin. */
export interface TopicTable {
  readonly subscribers: number;
  readonly history: number;
}

const NO_TABLE: TopicTable = { subscribers: 0, history: 0 };

const KINDS = { queue: CHANNEL_QUEUE, ring: CHANNEL_RING, topic: CHANNEL_TOPIC } as const;

/** Two refusals that are no further apart are of one call. */
const SAME_MS = 100;

const cores = new WeakMap<Region, ChannelCore>();

function coreOf(region: Region): ChannelCore {
  let core = cores.get(region);
  if (core === undefined) {
    core = instantiateChannels(region.session.overlay.memory, region.slotIndex);
    cores.set(region, core);
  }
  return core;
}

/** The channels' core as the obstacles see it: the heap's, but that what it could not do is told by the channels'. */
function mixed(heapCore: HeapCore, core: ChannelCore): HeapCore {
  return {
    ...heapCore,
    errorDetail: () => core.errorDetail(),
    noteStorage: (page: number) => heapCore.noteStorage(page),
  };
}

/** Finds or makes a channel. Errors as openObject; ERR_SHOAL_KIND when there is one with other options. */
export function openLink(
  heap: Heap,
  noun: "queue" | "ring" | "topic",
  place: Place | undefined,
  options: ChannelOptions<never>,
  table: TopicTable = NO_TABLE,
): Link {
  const context = contextOf(heap);
  const { region } = heap;
  const plan = planChannel(heap, noun, options, table.subscribers);
  const found = openObject(heap, place, {
    kind: KINDS[noun],
    noun,
    sizeBytes: plan.sizeBytes,
    isVariable: true,
    flags: plan.flags,
    limit: plan.capacity,
    init: (object) => {
      const words = wordsAt(region.buffer, object, CHANNEL_HEAD_BYTES);
      setCellBytes(words, plan.cellBytes);
      setSubscribers(words, table.subscribers);
      setHistory(words, table.history);
    },
  });
  const { handle, created, label } = found;
  const object: number = handle;
  const traits = traitsOf(heap, object, label, plan, options);
  const { slotCount } = region.session.geometry;
  const subscribers = getSubscribers(wordsAt(region.buffer, object, CHANNEL_HEAD_BYTES));
  const places = placesOf(slotCount, traits.capacity, traits.cellBytes, subscribers);
  const core = coreOf(region);
  core.forgetChannel();
  const obstacles = mixed(region.session.overlay.core as HeapCore, core);
  const point = (at: number): WaitPoint => ({ context, object, set: object + at, isHeld: false, label });
  const receivers = point(places.receivers);
  const senders = point(places.senders);

  const ringAll = (): void => {
    context.ringAll(object, receivers.set);
    context.ringAll(object, senders.set);
  };

  /** What stands in the way, and when that was seen last: a lock is not waited for for ever. */
  let refused: Refused | undefined;
  let refusedMs = 0;

  /** True: something was done. */
  const settleOne = (code: number, call: string): boolean => {
    if (code === CHANNEL_AGAIN) ringAll();
    else if (code === CHANNEL_RELEASE) heap.free(asHandle(core.errorDetail() >>> 0));
    else {
      const nowMs = performance.now();
      if (refused === undefined || nowMs - refusedMs > SAME_MS)
        refused = { call, sizeBytes: 0, isTried: false, waitingSinceMs: 0 };
      refusedMs = nowMs;
      return clear(region, obstacles, code, refused);
    }
    return true;
  };

  /** A queue's cell that is being cleared is cleared before anything else is done. */
  const finish = (call: string): void => {
    if (noun !== "queue") return;
    for (let code = core.sweepQueue(object); code !== OK; code = core.sweepQueue(object))
      if (!settleOne(code, call)) throw errorOf(code, call);
  };

  const errorOf = (code: number, call: string): Error => {
    if (code === CHANNEL_NONE) {
      const message = `${call}: ${label} is no more: somebody has destroyed it`;
      return shoalError("ERR_SHOAL_NOT_FOUND", message, { call, object });
    }
    if (code === CHANNEL_TAKEN) {
      const slot = core.errorDetail() >>> 0;
      const message = `${call}: the participant in slot ${slot} has that end of ${label}; a ring has one producer and one consumer`;
      return shoalError("ERR_SHOAL_TAKEN", message, { call, object, slot });
    }
    const message = `${call}: ${label} contradicts itself (code ${code}); run verify() and stop using it`;
    return shoalError("ERR_SHOAL_CORRUPT", message, { call, object, code });
  };

  return {
    ...traits,
    heap,
    region,
    context,
    core,
    object,
    handle,
    created,
    label,
    cells: object + places.cells,
    receivers,
    senders,
    flags: region.session.overlay.flags,
    ring(bits) {
      if ((bits & RING_RECEIVERS) !== 0) context.ringOne(object, receivers.set);
      if ((bits & RING_SENDERS) !== 0) context.ringOne(object, senders.set);
    },
    ringAll,
    settle(code, call) {
      const isSettled = settleOne(code, call);
      if (!isSettled) throw errorOf(code, call);
      if (code === CHANNEL_RELEASE) finish(call);
    },
    insist(call, step) {
      for (let code = step(); code !== OK; code = step())
        if (!settleOne(code, call)) throw errorOf(code, call);
    },
  };
}
