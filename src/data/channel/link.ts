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
  CHANNEL_LEAST_SHIFT,
  CHANNEL_LINE_BYTES,
  CHANNEL_MOST_CELL_BYTES,
  CHANNEL_MOST_SHIFT,
  CHANNEL_NONE,
  CHANNEL_QUEUE,
  CHANNEL_RELEASE,
  CHANNEL_RING,
  CHANNEL_TAKEN,
  C_CELL_BYTES,
  RING_RECEIVERS,
  RING_SENDERS,
} from "../../layout/channel.ts";
import { OK } from "../../layout/result.ts";
import { Y_LIMIT } from "../../layout/sync.ts";
import { C_SUBSCRIBERS, CHANNEL_TOPIC, TOPIC_MOST_SUBSCRIBERS } from "../../layout/topic.ts";
import type { HeapCore } from "../../region/core.ts";
import type { Region } from "../../region/index.ts";
import { guarded } from "../../region/traps.ts";
import { contextOf } from "../../sync/context.ts";
import type { SyncContext } from "../../sync/context.ts";
import { wordsAt } from "../../sync/object-words.ts";
import { corruptObject, openObject } from "../../sync/objects.ts";
import type { FoundObject, Place } from "../../sync/objects.ts";
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
  /** Of a topic: how many subscribers there is room for. */
  readonly subscribers: number;
  /**
   * The core has found that cell: is it one of those that this participant has views of? What the channel says of itself may have
   * changed since it was opened.
   *
   * @throws ERR_SHOAL_CORRUPT
   */
  checkCell(cell: number, call: string): void;
  /** Where receivers wait for messages, and senders for room. */
  readonly receivers: WaitPoint;
  readonly senders: WaitPoint;
  /** One word: 0 = open and whole. */
  readonly flags: Int32Array;
  /** Rings those who wait, as RING_… says. */
  ring(bits: number): void;
  ringAll(): void;
  /**
   * Does what can be done about a code of the core: then the call is to be repeated. `again` is what this returned for the same
   * call before, at first 0: how often in a row something was put right without a result, which in a sound channel has an end.
   *
   * @throws for all others
   */
  settle(code: number, call: string, again?: number): number;
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

/** A refusal that comes no later after the last one was cleared is of the same call. */
const SAME_MS = 100;

/**
 * How often in a row a call is told to look again. Others have to get something done, or to die, each time; who is told so more often
 * goes round in a damaged channel.
 */
const MOST_AGAIN = 64;

const cores = new WeakMap<Region, ChannelCore>();

/** What each message goes through. Their callers see to traps, and save the way through a function more. */
const HOT = new Set<string>([
  "claimSend",
  "commitSend",
  "claimReceive",
  "spinReceive",
  "endReceive",
  "ringRoom",
  "ringSend",
  "ringNextMessage",
  "ringSpin",
  "ringReceived",
  "claimPublish",
  "commitPublish",
  "nextMessage",
  "isThere",
  "passMessage",
]);

type CoreFunction = (one?: number, two?: number, three?: number) => number;

function coreOf(region: Region): ChannelCore {
  const known = cores.get(region);
  if (known !== undefined) return known;
  const { memory, core: heapCore } = region.session.overlay;
  const made = instantiateChannels(memory, region.slotIndex);
  // Handing blocks over is the heap's business, and a damaged one may lead out of bounds.
  const guardedOne = ([name, step]: readonly [string, CoreFunction]): [string, CoreFunction] => [
    name,
    HOT.has(name) ? step : (one, two, three) => guarded(name, heapCore, () => step(one, two, three)),
  ];
  const functions = Object.entries(made as unknown as Record<string, CoreFunction>);
  const core = Object.fromEntries(
    functions.filter(([, step]) => typeof step === "function").map(guardedOne),
  ) as unknown as ChannelCore;
  cores.set(region, core);
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

/** What a channel says of its size is what one can have; as use() in core/channel-map.ts. @throws ERR_SHOAL_CORRUPT */
function checkConstants(
  { handle, label }: FoundObject,
  { capacity, cellBytes }: ChannelTraits,
  subscribers: number,
): void {
  const shift = Math.log2(capacity);
  if (!Number.isInteger(shift) || shift < CHANNEL_LEAST_SHIFT || shift > CHANNEL_MOST_SHIFT)
    throw corruptObject(label, handle + Y_LIMIT, `a capacity of ${capacity}`);
  const isWhole = cellBytes > 0 && cellBytes % CHANNEL_LINE_BYTES === 0;
  if (!isWhole || cellBytes > CHANNEL_MOST_CELL_BYTES)
    throw corruptObject(label, handle + C_CELL_BYTES, `cells of ${cellBytes} bytes`);
  if (subscribers > TOPIC_MOST_SUBSCRIBERS)
    throw corruptObject(label, handle + C_SUBSCRIBERS, `${subscribers} subscribers`);
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
  const said = getSubscribers(wordsAt(region.buffer, object, CHANNEL_HEAD_BYTES));
  const subscribers = noun === "topic" ? said : 0;
  checkConstants(found, traits, subscribers);
  const places = placesOf(slotCount, traits.capacity, traits.cellBytes, subscribers);
  if (places.sizeBytes > found.roomBytes) {
    const what = `${places.sizeBytes} bytes in a block of ${found.roomBytes}`;
    throw corruptObject(label, object + C_CELL_BYTES, what);
  }
  const core = coreOf(region);
  core.forgetChannel();
  const obstacles = mixed(region.session.overlay.core as HeapCore, core);
  const point = (at: number): WaitPoint => ({ context, object, set: object + at, isHeld: false, label });
  const receivers = point(places.receivers);
  const senders = point(places.senders);

  const cells = object + places.cells;
  const lastCell = object + places.sizeBytes - traits.cellBytes;

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
      if (refused === undefined || performance.now() - refusedMs > SAME_MS)
        refused = { call, sizeBytes: 0, isTried: false, waitingSinceMs: 0 };
      let isCleared = false;
      try {
        isCleared = clear(region, obstacles, code, refused);
      } finally {
        // The wait was a part of it. Who has waited in vain waits anew the next time.
        refusedMs = isCleared ? performance.now() : -Infinity;
      }
      return isCleared;
    }
    return true;
  };

  const settle = (code: number, call: string, again: number): number => {
    if (again >= MOST_AGAIN || !settleOne(code, call)) throw errorOf(code, call);
    return code === CHANNEL_AGAIN ? again + 1 : 0;
  };

  /**
   * A queue's cell that is being cleared is cleared before anything else is done: whatever stood in the way, the next attempt may
   * have another cell to do with, and nobody else clears what is in the name of one who lives.
   */
  const finish = (call: string): void => {
    if (noun !== "queue") return;
    let again = 0;
    for (let code = core.sweepQueue(object); code !== OK; code = core.sweepQueue(object))
      again = settle(code, call, again);
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
    cells,
    subscribers,
    checkCell(cell, call) {
      if (cell >= cells && cell <= lastCell) return;
      throw corruptObject(`${call}: ${label}`, object + C_CELL_BYTES, `a cell at ${cell}`);
    },
    receivers,
    senders,
    flags: region.session.overlay.flags,
    ring(bits) {
      if ((bits & RING_RECEIVERS) !== 0) context.ringOne(object, receivers.set);
      if ((bits & RING_SENDERS) !== 0) context.ringOne(object, senders.set);
    },
    ringAll,
    settle(code, call, again = 0) {
      const next = settle(code, call, again);
      if (code !== CHANNEL_AGAIN) finish(call);
      return next;
    },
    insist(call, step) {
      let again = 0;
      for (let code = step(); code !== OK; code = step()) again = settle(code, call, again);
    },
  };
}
