/**
 * Locks and channels in the heaps that are damaged: one of each sort and every part in use, by a participant that lives and by
 * one that dies in the middle of using them.
 */

import { ShoalError } from "../src/errors.ts";
import { openPort, openQueue, openRing, openTopic } from "../src/data/channel/index.ts";
import type { Channel, Topic } from "../src/data/channel/index.ts";
import { partsOf, takeSide } from "../src/data/channel/port-place.ts";
import { placesOf } from "../src/data/channel/places.ts";
import type { ChannelPlaces } from "../src/data/channel/places.ts";
import type { Handle, Heap } from "../src/heap/index.ts";
import { C_CELL_BYTES, C_SETS } from "../src/layout/channel.ts";
import { PORT_CELL_BYTES } from "../src/layout/port.ts";
import { Y_LIMIT, Y_WAITERS } from "../src/layout/sync.ts";
import { C_SUBSCRIBERS } from "../src/layout/topic.ts";
import {
  openBarrier,
  openCondition,
  openCounter,
  openEvent,
  openMutex,
  openOnce,
  openRwLock,
  openSemaphore,
} from "../src/sync/index.ts";
import { contextOf } from "../src/sync/context.ts";
import { waitersBytes } from "../src/sync/objects.ts";
import { shuffled } from "./random.ts";
import type { Random } from "./random.ts";

export type ChannelNoun = "queue" | "ring" | "topic";

/** A part of the heap that is a lock, or a channel; those of ports are parts by themselves. */
export interface ObjectPlace {
  readonly noun: string;
  readonly offset: number;
  readonly sizeBytes: number;
  /** Of channels. */
  readonly channel?: ChannelPlaces & { readonly capacity: number; readonly cellBytes: number };
}

export const LOCKS = ["mutex", "fair", "held"] as const;
export const EVENTS = ["event", "auto"] as const;
export const QUEUES = ["queue", "lossy"] as const;
export const RINGS = ["ring", "raw ring"] as const;

/** How each is opened, and made where there is none. */
export const openers = {
  mutex: (heap: Heap) => openMutex(heap, "mutex"),
  fair: (heap: Heap) => openMutex(heap, "fair", { fair: true }),
  held: (heap: Heap) => openMutex(heap, "held", {}),
  rwlock: (heap: Heap) => openRwLock(heap, "rwlock"),
  semaphore: (heap: Heap) => openSemaphore(heap, "semaphore", { permits: 5 }),
  event: (heap: Heap) => openEvent(heap, "event"),
  auto: (heap: Heap) => openEvent(heap, "auto", { resets: "auto" }),
  condition: (heap: Heap) => openCondition(heap, "condition"),
  barrier: (heap: Heap) => openBarrier(heap, "barrier", { parties: 3 }),
  once: (heap: Heap) => openOnce(heap, "once"),
  counter: (heap: Heap) => openCounter(heap, "counter"),
  queue: (heap: Heap) =>
    openQueue<unknown>(heap, "queue", { capacity: 4, messageBytes: 48, redeliver: true }),
  lossy: (heap: Heap) =>
    openQueue<Uint8Array>(heap, "lossy", {
      capacity: 2,
      messageBytes: 112,
      overflow: "drop-oldest",
      codec: "raw",
    }),
  ring: (heap: Heap) => openRing<unknown>(heap, "ring", { capacity: 4, messageBytes: 48 }),
  "raw ring": (heap: Heap) =>
    openRing<Uint8Array>(heap, "raw ring", { capacity: 2, messageBytes: 48, codec: "raw" }),
  topic: (heap: Heap) =>
    openTopic<unknown>(heap, "topic", { capacity: 4, messageBytes: 48, history: 2, subscribers: 4 }),
  port: (heap: Heap) => openPort(heap, "port", portOptions),
} as const;

/** The same without what they were made with, which is looked at if it is said. */
export const reopeners: Partial<Record<keyof typeof openers, (heap: Heap) => unknown>> = {
  fair: (heap) => openMutex(heap, "fair"),
  semaphore: (heap) => openSemaphore(heap, "semaphore"),
  auto: (heap) => openEvent(heap, "auto"),
  barrier: (heap) => openBarrier(heap, "barrier"),
  queue: (heap) => openQueue(heap, "queue"),
  lossy: (heap) => openQueue(heap, "lossy"),
  ring: (heap) => openRing(heap, "ring"),
  "raw ring": (heap) => openRing(heap, "raw ring"),
  topic: (heap) => openTopic(heap, "topic"),
};

export const portOptions = { capacity: 2, messageBytes: 48 } as const;

/** A message: small as a rule, now and then too large for a cell. */
export function someMessage(random: Random): Uint8Array {
  return new Uint8Array(random.pick([0, 1, 20, 47, 48, 49, 113, 700, 3000])).fill(random.below(256));
}

export function someText(random: Random): unknown {
  return random.pick<unknown>([1, "a", null, { a: [1, 2] }, "x".repeat(random.pick([10, 45, 300, 2000]))]);
}

const CHANNELS: Readonly<Record<string, ChannelNoun>> = {
  queue: "queue",
  lossy: "queue",
  ring: "ring",
  "raw ring": "ring",
  topic: "topic",
};

function channelPlace(heap: Heap, noun: ChannelNoun, offset: number): ObjectPlace {
  const words = new Uint32Array(heap.region.buffer, offset, 16);
  const capacity = words[Y_LIMIT >> 2]!;
  const cellBytes = words[C_CELL_BYTES >> 2]!;
  const { slotCount } = heap.region.session.geometry;
  const subscribers = noun === "topic" ? words[C_SUBSCRIBERS >> 2]! : 0;
  const places = placesOf(slotCount, capacity, cellBytes, subscribers);
  return { noun, offset, sizeBytes: places.sizeBytes, channel: { ...places, capacity, cellBytes } };
}

function portPlaces(heap: Heap, handle: Handle): ObjectPlace[] {
  const words = new Uint32Array(heap.region.buffer, handle, 16);
  const { door, sides, queues } = partsOf(heap, words[Y_LIMIT >> 2]!, words[PORT_CELL_BYTES >> 2]!);
  return [
    { noun: "port", offset: handle, sizeBytes: 64 + waitersBytes(heap) },
    ...[door, ...sides].map((at) => ({ noun: "mutex", offset: handle + at, sizeBytes: 80 })),
    ...queues.map((at) => channelPlace(heap, "queue", handle + at)),
  ];
}

/** Makes one of each, as far as there is room, and puts messages into the channels. Where they are. */
export function makeObjects(heap: Heap, random: Random): ObjectPlace[] {
  const places: ObjectPlace[] = [];
  for (const [name, open] of Object.entries(openers)) {
    try {
      if (name === "port") takeSide(heap, "port", portOptions).leave();
      else open(heap);
    } catch (error) {
      if (error instanceof ShoalError) continue;
      throw error;
    }
    const handle = heap.roots.get(name) as Handle;
    const noun = CHANNELS[name];
    if (name === "port") places.push(...portPlaces(heap, handle));
    else if (noun !== undefined) places.push(channelPlace(heap, noun, handle));
    else
      places.push({
        noun: (LOCKS as readonly string[]).includes(name) ? "mutex" : name,
        offset: handle,
        sizeBytes: heap.usableSize(handle),
      });
  }
  const user = userOf(heap, places);
  for (let count = random.below(5); count > 0; count--) user.send(random);
  return places;
}

/** What somebody does with the objects of a heap. */
export interface User {
  send(random: Random): void;
  /** A bit of everything, in an order of its own; what it gets it keeps. */
  use(random: Random): void;
}

function attempt(step: () => unknown): void {
  try {
    step();
  } catch (error) {
    if (!(error instanceof ShoalError)) throw error;
  }
}

/** Somebody who uses the objects of a heap; opens them at once. */
export function userOf(heap: Heap, places: readonly ObjectPlace[]): User {
  const { core } = contextOf(heap);
  const names = heap.roots.list().map(({ name }) => name);
  const known = <Name extends keyof typeof openers>(
    name: Name,
  ): ReturnType<(typeof openers)[Name]> | undefined =>
    names.includes(name) && name !== "port"
      ? (openers[name](heap) as ReturnType<(typeof openers)[Name]>)
      : undefined;
  const locks = LOCKS.map(known);
  const rwlock = known("rwlock");
  const semaphore = known("semaphore");
  const events = EVENTS.map(known);
  const counter = known("counter");
  const [queue, lossy, ring, rawRing] = [known("queue"), known("lossy"), known("ring"), known("raw ring")];
  const topic = known("topic");
  const texts = [queue, ring].filter((one) => one !== undefined) as Channel<unknown>[];
  const raws = [lossy, rawRing].filter((one) => one !== undefined) as Channel<Uint8Array>[];
  const offsetOf = (noun: string): number | undefined => places.find((place) => place.noun === noun)?.offset;

  const send = (random: Random): void => {
    for (const one of texts) attempt(() => one.trySend(someText(random)));
    for (const one of raws) attempt(() => one.trySend(someMessage(random)));
    attempt(() => topic?.tryPublish(someText(random)));
  };

  const useTopic = (one: Topic, random: Random): void => {
    const subscription = one.subscribe({
      policy: random.pick(["block", "block", "drop-oldest", "disconnect"]),
      from: random.pick(["history", "now"]),
    });
    send(random);
    subscription.tryReceive();
    if (subscription.policy === "block" && random.once(2)) subscription.tryBorrow();
  };

  const steps: ((random: Random) => unknown)[] = [
    send,
    send,
    (random) => random.pick(locks)?.tryLock(),
    (random) => random.pick(locks)?.tryLock(),
    (random) => (random.once(2) ? rwlock?.tryRead() : rwlock?.tryWrite()),
    (random) => semaphore?.tryAcquire(1 + random.below(3)),
    (random) => random.pick(events)?.set(),
    (random) => counter?.add(random.below(1000)),
    () => offsetOf("once") !== undefined && core.beginOnce(offsetOf("once")!),
    () => offsetOf("condition") !== undefined && core.takeTicket(offsetOf("condition")!),
    () => {
      const barrier = offsetOf("barrier");
      if (barrier !== undefined) core.arrive(barrier, core.barrierGeneration(barrier));
    },
    (random) => {
      for (const { offset, channel } of places) {
        if (random.once(3)) continue;
        if (channel === undefined) core.enter(offset + Y_WAITERS);
        else core.enter(offset + C_SETS + (random.once(2) ? 0 : channel.senders - channel.receivers));
      }
    },
    () => locks[1] !== undefined && core.takeTurn(locks[1].handle),
    (random) => texts.length > 0 && random.pick(texts).tryReserve(random.pick([10, 400])),
    (random) => raws.length > 0 && random.pick(raws).tryReserve(random.pick([10, 400])),
    (random) => texts.length > 0 && random.pick(texts).tryBorrow(),
    (random) => raws.length > 0 && random.pick(raws).tryBorrow(),
    (random) => texts.length > 0 && random.pick(texts).tryReceive(),
    (random) => topic !== undefined && useTopic(topic, random),
    (random) => topic?.tryReserve(random.pick([10, 400])),
    (random) => {
      if (!names.includes("port")) return;
      const seat = takeSide(heap, "port", portOptions);
      seat.outbound.trySend(someMessage(random));
      if (random.once(3)) seat.leave();
    },
  ];
  return {
    send,
    use(random) {
      for (const step of shuffled(random, steps)) attempt(() => step(random));
    },
  };
}
