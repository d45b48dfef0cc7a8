/**
 * The commons: a second heap beside the one with the blocks, with one of each thing that participants wait for and send through.
 *
 *     locks       a plain mutex, a fair one, a read-write lock: each guards two words that its holder changes one after the other,
 *                 and one that says that somebody is inside
 *     the others  a semaphore, events, a condition (with the plain mutex), a barrier, a once, a counter
 *     channels    a queue; one that gives back what the dead had borrowed; one that drops the oldest; a ring, whose ends anybody may
 *                 have for a while; a topic
 * Ports are not among them: they need an event loop, and participants here have none that turns. What is sent through them goes
 * through two queues.
 *
 * What participants do in it is commons-locks.ts and commons-channels.ts; what is counted, commons-accounting.ts.
 */

import { Heap } from "../src/data/index.ts";
import type { Queue, Ring, Topic } from "../src/data/index.ts";
import type { AllocatorName, Handle } from "../src/heap/index.ts";
import type {
  Barrier,
  Condition,
  Counter,
  Hold,
  Mutex,
  Once,
  RwLock,
  Semaphore,
  SharedEvent,
} from "../src/sync/index.ts";
import type { ChannelName, LockName } from "./commons-table.ts";
import { messageWord, numberOf, senderOf } from "./commons-table.ts";

export const PERMITS = 3;
export const PARTIES = 2;
export const TOPIC_CAPACITY = 64;
/** Room for a message in a channel itself. Some are longer. */
const INLINE_BYTES = 48;
const MOST_MESSAGE_BYTES = 2000;
const MiB = 2 ** 20;

/** Somebody's view of it. */
export interface Commons {
  readonly heap: Heap;
  /** Three words for each lock (LockName), then two of the once. */
  readonly words: Int32Array;
  readonly plain: Mutex;
  readonly fair: Mutex;
  readonly rwlock: RwLock;
  readonly semaphore: Semaphore;
  readonly manual: SharedEvent;
  readonly auto: SharedEvent;
  readonly condition: Condition;
  readonly barrier: Barrier;
  readonly once: Once;
  readonly counter: Counter;
  readonly work: Queue<Uint8Array>;
  readonly jobs: Queue<Uint8Array>;
  readonly latest: Queue<Uint8Array>;
  readonly ring: Ring<Uint8Array>;
  readonly topic: Topic<Uint8Array>;
}

/** Channels that are received from by one. */
export const PIPES = ["work", "jobs", "latest", "ring"] as const satisfies readonly ChannelName[];
export type PipeName = (typeof PIPES)[number];

const WORDS_AT: Readonly<Record<LockName | "once", number>> = { plain: 0, fair: 3, rwlock: 6, once: 9 };
const WORD_COUNT = 12;

/** Roots of what is no object with a name of its own. */
const WORDS_NAME = "words";
const ONCE_NAME = "once room";
const ONCE_BYTES = 1024;

export function commonsName(heapName: string): string {
  return `${heapName}-commons`;
}

/** Makes the heap, and all that is in it. */
export function createCommons(name: string, allocator: AllocatorName): Commons {
  const heap = Heap.create(name, {
    allocator,
    sizeBytes: MiB / 4,
    spanBytes: 64 * MiB,
    ...(allocator === "buddy" ? { minBlockBytes: 1024, maxBlockBytes: 32768 } : {}),
  });
  heap.roots.set(WORDS_NAME, heap.calloc(WORD_COUNT, 4));
  const room = heap.calloc(1, ONCE_BYTES);
  heap.roots.set(ONCE_NAME, room);
  heap.once({ block: room, create: true });
  return look(heap);
}

/** Opens it as a participant. */
export function openCommons(name: string): Commons {
  return look(Heap.open(name));
}

function look(heap: Heap): Commons {
  const codec = "raw";
  const messageBytes = INLINE_BYTES;
  return {
    heap,
    words: new Int32Array(heap.region.buffer, heap.roots.get(WORDS_NAME), WORD_COUNT),
    plain: heap.mutex("plain"),
    fair: heap.mutex("fair", { fair: true }),
    rwlock: heap.rwlock("rwlock"),
    semaphore: heap.semaphore("semaphore", { permits: PERMITS }),
    manual: heap.event("manual", { resets: "manual" }),
    auto: heap.event("auto", { resets: "auto" }),
    condition: heap.condition("condition"),
    barrier: heap.barrier("barrier", { parties: PARTIES }),
    once: heap.once({ block: heap.roots.get(ONCE_NAME) as Handle }),
    counter: heap.counter("counter"),
    work: heap.queue("work", { codec, messageBytes, capacity: 32 }),
    jobs: heap.queue("jobs", { codec, messageBytes, capacity: 16, redeliver: true }),
    latest: heap.queue("latest", { codec, messageBytes, capacity: 8, overflow: "drop-oldest" }),
    ring: heap.ring("ring", { codec, messageBytes, capacity: 8 }),
    topic: heap.topic("topic", { codec, messageBytes, capacity: TOPIC_CAPACITY, history: 4 }),
  };
}

/** The once begins anew: for the leader, when nobody is at it. */
export function renewOnce({ heap, words }: Commons): void {
  heap.once({ block: heap.roots.get(ONCE_NAME) as Handle, create: true });
  words.fill(0, WORDS_AT.once, WORDS_AT.once + 2);
}

// The words that locks guard

export function pairOf({ words }: Commons, lock: LockName | "once"): readonly [number, number] {
  const at = WORDS_AT[lock];
  return [Atomics.load(words, at), Atomics.load(words, at + 1)];
}

/** Writes one of the two words. */
export function setWord({ words }: Commons, lock: LockName | "once", index: 0 | 1, value: number): void {
  Atomics.store(words, WORDS_AT[lock] + index, value);
}

export function isSomebodyInside({ words }: Commons, lock: LockName): boolean {
  return Atomics.load(words, WORDS_AT[lock] + 2) !== 0;
}

/** Notes that somebody is inside; how many are. */
export function enterInside({ words }: Commons, lock: LockName): number {
  return Atomics.add(words, WORDS_AT[lock] + 2, 1) + 1;
}

export function leaveInside({ words }: Commons, lock: LockName): void {
  Atomics.sub(words, WORDS_AT[lock] + 2, 1);
}

/** Puts in order what somebody has left who died; only for who holds the lock to write. */
export function putInOrder(commons: Commons, lock: LockName): void {
  const [first] = pairOf(commons, lock);
  setWord(commons, lock, 1, first);
  Atomics.store(commons.words, WORDS_AT[lock] + 2, 0);
}

/** What is wrong with what the lock guards, as its holder finds it; undefined: nothing. */
export function disorderOf(commons: Commons, lock: LockName, hold: Hold): string | undefined {
  if (hold.abandoned) return undefined;
  const [first, second] = pairOf(commons, lock);
  const inside = isSomebodyInside(commons, lock) ? ", somebody is inside" : "";
  if (first === second && inside === "") return undefined;
  return `${lock}: nobody says that it was abandoned, and its words are ${first} and ${second}${inside}`;
}

// Messages

/** How long the message is, which follows from its word: mostly with room in the channel. */
function lengthOf(word: number): number {
  const mixed = Math.imul(word, 0x9e3779b1) >>> 8;
  const isLong = mixed % 4 === 0;
  return isLong
    ? INLINE_BYTES * 4 + ((mixed >>> 2) % MOST_MESSAGE_BYTES)
    : 8 + ((mixed >>> 2) % (INLINE_BYTES - 7));
}

/** The message: its id, its word, and bytes that follow from these. */
export function messageOf(id: number, word: number): Buffer {
  const bytes = Buffer.alloc(lengthOf(word), (id ^ word) & 255);
  bytes.writeInt32LE(id, 0);
  bytes.writeInt32LE(word, 4);
  return bytes;
}

/** Whether there is room for it in a channel itself. */
export function isInline(word: number): boolean {
  return lengthOf(word) <= INLINE_BYTES;
}

export interface Letter {
  readonly id: number;
  readonly word: number;
}

/** What message these bytes are; an error when they are none that was ever sent. */
export function readLetter(channel: ChannelName, bytes: Uint8Array): Letter {
  const copy = Buffer.from(bytes);
  if (copy.length >= 8) {
    const [id, word] = [copy.readInt32LE(0), copy.readInt32LE(4)];
    const isSame = word === messageWord(senderOf(word), numberOf(word)) && messageOf(id, word).equals(copy);
    if (isSame) return { id, word };
  }
  const shown = copy.subarray(0, 16).toString("hex");
  throw new Error(`${channel}: ${copy.length} bytes that nobody has sent: ${shown}`);
}
