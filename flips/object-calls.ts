/**
 * Every call of locks and channels that does not await, with arguments drawn from a seed: on objects that were opened before
 * the damage and such as are opened then, by name and by handles of all sorts.
 *
 * What a call gives (holds, loans, messages, subscriptions) is kept, and released by some later call, or never.
 */

import { openPort, openQueue, openRing, openTopic } from "../src/data/channel/index.ts";
import type { Channel, Loan, Message, Port, Ring, Subscription, Topic } from "../src/data/channel/index.ts";
import type { Handle, Heap } from "../src/heap/index.ts";
import { listObjects, objectKind } from "../src/inspect/index.ts";
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
import type { Hold, Mutex } from "../src/sync/index.ts";
import type { Hand } from "./calls.ts";
import { EVENTS, LOCKS, openers, QUEUES, reopeners, RINGS, someMessage, someText } from "./objects.ts";
import type { Random } from "./random.ts";

/** What somebody has of the objects of a heap. */
interface Kit {
  readonly opened: Map<string, unknown>;
  readonly holds: Hold[];
  readonly loans: Loan[];
  readonly messages: Message<unknown>[];
  readonly subscriptions: Subscription[];
  readonly ports: Port[];
}

const kits = new WeakMap<Heap, Kit>();

function kitOf(heap: Heap): Kit {
  let kit = kits.get(heap);
  if (kit === undefined) {
    kit = { opened: new Map(), holds: [], loans: [], messages: [], subscriptions: [], ports: [] };
    kits.set(heap, kit);
  }
  return kit;
}

/** Whether this participant has ports, which go on in the event loop. */
export function hasPorts(heap: Heap): boolean {
  return kitOf(heap).ports.length > 0;
}

type Openers = typeof openers;

function get<Name extends keyof Openers>(
  heap: Heap,
  { random }: Hand,
  name: Name,
): ReturnType<Openers[Name]> {
  const { opened } = kitOf(heap);
  if (!opened.has(name) || random.once(6))
    opened.set(name, ((random.once(2) ? reopeners[name] : undefined) ?? openers[name])(heap));
  return opened.get(name) as ReturnType<Openers[Name]>;
}

/** The second of these is long enough for a deadlock to be seen twice. */
function someTimeout({ random }: Hand): { readonly timeoutMs: number } {
  return { timeoutMs: random.pick([0, 300, 1200]) };
}

/** Of channels: now and then it is looked out, some looks long (flips/clock.ts). */
function someWait(hand: Hand): { readonly timeoutMs: number; readonly spin?: boolean } {
  return hand.random.once(4) ? { timeoutMs: 0.003, spin: true } : someTimeout(hand);
}

function kept<T>(list: T[], item: T | undefined): void {
  if (item !== undefined) list.push(item);
}

function takeOne<T>(list: T[], random: Random): T | undefined {
  return list.length === 0 ? undefined : list.splice(random.below(list.length), 1)[0];
}

type Call = (heap: Heap, hand: Hand) => unknown;

const lock = (heap: Heap, hand: Hand): Mutex => get(heap, hand, hand.random.pick(LOCKS));

const locks: Readonly<Record<string, Call>> = {
  "mutex.tryLock": (heap, hand) => kept(kitOf(heap).holds, lock(heap, hand).tryLock()),
  "mutex.tryLock again": (heap, hand) => kept(kitOf(heap).holds, lock(heap, hand).tryLock()),
  "mutex.lockSync": (heap, hand) => kept(kitOf(heap).holds, lock(heap, hand).lockSync(someTimeout(hand))),
  "mutex.lockSync again": (heap, hand) =>
    kept(kitOf(heap).holds, lock(heap, hand).lockSync(someTimeout(hand))),
  "mutex.runSync": (heap, hand) => lock(heap, hand).runSync(() => 1, someTimeout(hand)),
  "mutex.unlock": (heap, hand) => lock(heap, hand).unlock(),
  "mutex.holder": (heap, hand) => lock(heap, hand).holder(),
  "mutex.stats": (heap, hand) => lock(heap, hand).stats(),
  "hold.release": (heap, { random }) => takeOne(kitOf(heap).holds, random)?.release(),
  "hold.release again": (heap, { random }) => takeOne(kitOf(heap).holds, random)?.release(),
  "rwlock.tryRead": (heap, hand) => kept(kitOf(heap).holds, get(heap, hand, "rwlock").tryRead()),
  "rwlock.tryWrite": (heap, hand) => kept(kitOf(heap).holds, get(heap, hand, "rwlock").tryWrite()),
  "rwlock.readSync": (heap, hand) =>
    kept(kitOf(heap).holds, get(heap, hand, "rwlock").readSync(someTimeout(hand))),
  "rwlock.writeSync": (heap, hand) =>
    kept(kitOf(heap).holds, get(heap, hand, "rwlock").writeSync(someTimeout(hand))),
  "rwlock.readers": (heap, hand) => get(heap, hand, "rwlock").readers(),
  "rwlock.writer": (heap, hand) => get(heap, hand, "rwlock").writer(),
  "semaphore.tryAcquire": (heap, hand) =>
    kept(kitOf(heap).holds, get(heap, hand, "semaphore").tryAcquire(1 + hand.random.below(5))),
  "semaphore.acquireSync": (heap, hand) =>
    kept(
      kitOf(heap).holds,
      get(heap, hand, "semaphore").acquireSync(1 + hand.random.below(5), someTimeout(hand)),
    ),
  "semaphore.release": (heap, hand) => get(heap, hand, "semaphore").release(1 + hand.random.below(5)),
  "semaphore.available": (heap, hand) => get(heap, hand, "semaphore").available,
  "semaphore.held": (heap, hand) => get(heap, hand, "semaphore").held,
  "semaphore.reclaim": (heap, hand) => get(heap, hand, "semaphore").reclaim(),
  "semaphore.stats": (heap, hand) => get(heap, hand, "semaphore").stats(),
};

const signals: Readonly<Record<string, Call>> = {
  "event.set": (heap, hand) => get(heap, hand, hand.random.pick(EVENTS)).set(),
  "event.reset": (heap, hand) => get(heap, hand, hand.random.pick(EVENTS)).reset(),
  "event.tryWait": (heap, hand) => get(heap, hand, hand.random.pick(EVENTS)).tryWait(),
  "event.waitSync": (heap, hand) => get(heap, hand, hand.random.pick(EVENTS)).waitSync(someTimeout(hand)),
  "event.isSet": (heap, hand) => get(heap, hand, hand.random.pick(EVENTS)).isSet,
  "condition.notifyOne": (heap, hand) => get(heap, hand, "condition").notifyOne(),
  "condition.notifyAll": (heap, hand) => get(heap, hand, "condition").notifyAll(),
  // With a mutex of its own: one that is said to be held by somebody who lives is waited for without a limit, as it should be.
  "condition.waitSync": (heap, hand) => {
    const condition = get(heap, hand, "condition");
    const mutex = openMutex(heap);
    const hold = mutex.tryLock();
    if (hold !== undefined) condition.waitSync(mutex, hold, someTimeout(hand)).release();
  },
  "barrier.waitSync": (heap, hand) => get(heap, hand, "barrier").waitSync(someTimeout(hand)),
  "barrier.waitSync again": (heap, hand) => get(heap, hand, "barrier").waitSync(someTimeout(hand)),
  "barrier.leave": (heap, hand) => get(heap, hand, "barrier").leave(),
  "barrier.reset": (heap, hand) => get(heap, hand, "barrier").reset(),
  "barrier.waiting": (heap, hand) => [
    get(heap, hand, "barrier").waiting,
    get(heap, hand, "barrier").isBroken,
    get(heap, hand, "barrier").parties,
  ],
  "once.runSync": (heap, hand) => get(heap, hand, "once").runSync(() => undefined, someTimeout(hand)),
  "once.runner": (heap, hand) => [get(heap, hand, "once").isDone, get(heap, hand, "once").runner()],
  "counter.add": (heap, hand) => get(heap, hand, "counter").add(hand.random.below(100) - 50),
  "counter.set": (heap, hand) => get(heap, hand, "counter").set(hand.random.word()),
  "counter.compareAndSet": (heap, hand) => get(heap, hand, "counter").compareAndSet(0, hand.random.word()),
  "counter.value": (heap, hand) => get(heap, hand, "counter").value,
};

/** A queue or a ring, with what can be said in it. */
function channel(heap: Heap, hand: Hand): { one: Channel<unknown>; message: unknown } {
  const { random } = hand;
  const name = random.pick([...QUEUES, ...RINGS]);
  const isRaw = name === "lossy" || name === "raw ring";
  return {
    one: get(heap, hand, name) as Channel<unknown>,
    message: isRaw ? someMessage(random) : someText(random),
  };
}

function length({ random }: Hand): number {
  return random.pick([1, 30, 48, 49, 500]);
}

/** Writes into what was lent, all of it. */
function fill(loan: Loan | undefined): Loan | undefined {
  loan?.bytes.fill(49);
  return loan;
}

/** Reads what was lent: the bytes, and what the codec makes of it. */
function read(message: Message<unknown> | undefined): Message<unknown> | undefined {
  message?.bytes.at(-1);
  return message;
}

const channels: Readonly<Record<string, Call>> = {
  "channel.trySend": (heap, hand) => {
    const { one, message } = channel(heap, hand);
    return one.trySend(message);
  },
  "channel.trySend again": (heap, hand) => {
    const { one, message } = channel(heap, hand);
    return one.trySend(message);
  },
  "channel.sendSync": (heap, hand) => {
    const { one, message } = channel(heap, hand);
    return one.sendSync(message, someWait(hand));
  },
  "channel.sendSync again": (heap, hand) => {
    const { one, message } = channel(heap, hand);
    return one.sendSync(message, someWait(hand));
  },
  "channel.tryReceive": (heap, hand) => channel(heap, hand).one.tryReceive(),
  "channel.tryReceive again": (heap, hand) => channel(heap, hand).one.tryReceive(),
  "channel.receiveSync": (heap, hand) => channel(heap, hand).one.receiveSync(someWait(hand)),
  "channel.receiveSync again": (heap, hand) => channel(heap, hand).one.receiveSync(someWait(hand)),
  "channel.tryReceiveInto": (heap, hand) =>
    channel(heap, hand).one.tryReceiveInto(new Uint8Array(hand.random.pick([0, 10, 48, 5000]))),
  "channel.tryReserve": (heap, hand) =>
    kept(kitOf(heap).loans, fill(channel(heap, hand).one.tryReserve(length(hand)))),
  "channel.reserve": (heap, hand) =>
    kept(kitOf(heap).loans, fill(channel(heap, hand).one.reserve(length(hand), someWait(hand)))),
  "channel.tryBorrow": (heap, hand) => kept(kitOf(heap).messages, read(channel(heap, hand).one.tryBorrow())),
  "channel.borrow": (heap, hand) =>
    kept(kitOf(heap).messages, read(channel(heap, hand).one.borrow(someWait(hand)))),
  "loan.commit": (heap, { random }) => fill(takeOne(kitOf(heap).loans, random))?.commit(),
  "loan.commit again": (heap, { random }) => fill(takeOne(kitOf(heap).loans, random))?.commit(),
  "loan.cancel": (heap, { random }) => takeOne(kitOf(heap).loans, random)?.cancel(),
  "message.value": (heap, { random }) => {
    const { messages } = kitOf(heap);
    return messages.length > 0 ? random.pick(messages).value : undefined;
  },
  "message.release": (heap, { random }) => takeOne(kitOf(heap).messages, random)?.release(),
  "message.release again": (heap, { random }) => takeOne(kitOf(heap).messages, random)?.release(),
  "message.giveBack": (heap, { random }) => takeOne(kitOf(heap).messages, random)?.giveBack(),
  "channel.depth": (heap, hand) => [channel(heap, hand).one.depth, channel(heap, hand).one.ended],
  "channel.stats": (heap, hand) => channel(heap, hand).one.stats(),
  "channel.end": (heap, hand) => {
    if (hand.random.once(3)) channel(heap, hand).one.end();
  },
  "channel.destroy": (heap, hand) => {
    if (hand.random.once(2)) channel(heap, hand).one.destroy();
  },
  "ring.resign": (heap, hand) => (get(heap, hand, hand.random.pick(RINGS)) as Ring).resign(),
};

const topicOf = (heap: Heap, hand: Hand): Topic => get(heap, hand, "topic") as Topic;

function subscription(heap: Heap, { random }: Hand): Subscription | undefined {
  const { subscriptions } = kitOf(heap);
  return subscriptions.length === 0 ? undefined : random.pick(subscriptions);
}

function subscribe(heap: Heap, hand: Hand): void {
  const { random } = hand;
  const policy = random.pick(["block", "block", "drop-oldest", "disconnect"] as const);
  const from = random.pick(["history", "now"] as const);
  kitOf(heap).subscriptions.push(topicOf(heap, hand).subscribe({ policy, from }));
}

const topics: Readonly<Record<string, Call>> = {
  "topic.tryPublish": (heap, hand) => topicOf(heap, hand).tryPublish(someText(hand.random)),
  "topic.tryPublish again": (heap, hand) => topicOf(heap, hand).tryPublish(someText(hand.random)),
  "topic.publishSync": (heap, hand) => topicOf(heap, hand).publishSync(someText(hand.random), someWait(hand)),
  "topic.tryReserve": (heap, hand) =>
    kept(kitOf(heap).loans, fill(topicOf(heap, hand).tryReserve(length(hand)))),
  "topic.subscribe": subscribe,
  "topic.subscribe again": subscribe,
  "topic.stats": (heap, hand) => [topicOf(heap, hand).stats(), topicOf(heap, hand).ended],
  "topic.end": (heap, hand) => {
    if (hand.random.once(4)) topicOf(heap, hand).end();
  },
  "topic.destroy": (heap, hand) => {
    if (hand.random.once(4)) topicOf(heap, hand).destroy();
  },
  "subscription.tryReceive": (heap, hand) => subscription(heap, hand)?.tryReceive(),
  "subscription.tryReceive again": (heap, hand) => subscription(heap, hand)?.tryReceive(),
  "subscription.receiveSync": (heap, hand) => subscription(heap, hand)?.receiveSync(someWait(hand)),
  "subscription.tryBorrow": (heap, hand) =>
    kept(kitOf(heap).messages, read(subscription(heap, hand)?.tryBorrow())),
  "subscription.borrow": (heap, hand) =>
    kept(kitOf(heap).messages, read(subscription(heap, hand)?.borrow(someWait(hand)))),
  "subscription.lag": (heap, hand) => [subscription(heap, hand)?.lag, subscription(heap, hand)?.dropped],
  "subscription.close": (heap, { random }) => takeOne(kitOf(heap).subscriptions, random)?.close(),
};

function port(heap: Heap): void {
  const { ports } = kitOf(heap);
  const made = openPort(heap, "port", { capacity: 2, messageBytes: 48 });
  ports.push(made);
  // What is found while the event loop goes on is told there.
  for (const type of ["message", "messageerror"]) made.on(type, () => undefined);
}

const ports: Readonly<Record<string, Call>> = {
  port,
  "port again": port,
  "port.postMessage": (heap, { random }) => {
    // Nobody's window: it has no origin.
    // oxlint-disable-next-line unicorn/require-post-message-target-origin
    for (const one of kitOf(heap).ports) one.postMessage(someText(random));
  },
  "port.close": (heap, { random }) => takeOne(kitOf(heap).ports, random)?.close(),
};

function someHandle({ random, handles }: Hand): Handle {
  if (handles.length > 0 && !random.once(12)) return random.pick(handles);
  return (random.once(2) ? random.word() : 65536 + 8 * random.below(60_000)) as Handle;
}

const openAt: readonly ((heap: Heap, place?: Handle) => unknown)[] = [
  (heap, place) => openMutex(heap, place).tryLock(),
  (heap, place) => openMutex(heap, place, place === undefined ? { fair: true } : {}).tryLock(),
  (heap, place) => openRwLock(heap, place).tryWrite(),
  (heap, place) => openSemaphore(heap, place).tryAcquire(),
  (heap, place) => openEvent(heap, place).set(),
  (heap, place) => openCondition(heap, place).notifyAll(),
  (heap, place) => openBarrier(heap, place, place === undefined ? { parties: 2 } : {}).reset(),
  (heap, place) => openOnce(heap, place).isDone,
  (heap, place) => openCounter(heap, place).add(),
  (heap, place) => openQueue(heap, place, place === undefined ? { capacity: 2 } : {}).tryReceive(),
  (heap, place) => openRing(heap, place, place === undefined ? { capacity: 2 } : {}).tryReceive(),
  (heap, place) => openTopic(heap, place, place === undefined ? { capacity: 2 } : {}).stats(),
];

const names = Object.keys(openers);

const others: Readonly<Record<string, Call>> = {
  "open by handle": (heap, hand) => hand.random.pick(openAt)(heap, someHandle(hand)),
  "open by handle again": (heap, hand) => hand.random.pick(openAt)(heap, someHandle(hand)),
  "make one": (heap, hand) => hand.random.pick(openAt)(heap),
  "make one in a block": (heap, hand) => {
    const place = { block: someHandle(hand), offset: 8 * hand.random.below(40), create: true };
    return hand.random.pick([openMutex, openRwLock, openSemaphore, openEvent])(heap, place);
  },
};

/** Of those who may write. */
export const objectCalls: Readonly<Record<string, Call>> = {
  ...locks,
  ...signals,
  ...channels,
  ...topics,
  ...ports,
  ...others,
};

/** Of anybody. */
export const objectLooks: Readonly<Record<string, Call>> = {
  listObjects: (heap) => listObjects(heap),
  objectKind: (heap, { random }) => objectKind(heap, random.pick(names)),
};
