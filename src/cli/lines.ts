/**
 * Lines from writers to a reader through one heap: what `shoal write` and `shoal read` stand on. It is the lesson's message
 * struct with a clear-to-send flag, done right: the struct is a queue, and nobody polls for the flag.
 *
 *     lines     queue         one message a line; what a reader that dies had not passed on is given back
 *     reader    mutex         its holder is the one reader
 *     writers   semaphore     one permit for each writer whose input has not ended: those of the dead come back
 *     joined    counter       writers that ever came
 *     members   semaphore     one permit for each who takes part
 *     door      mutex         held by who comes or goes: the last one to leave removes the heap
 *
 * A message is its kind, one byte, and the line without its newline. The last of a writer's messages is END with the handle of an
 * event, which the reader sets when all that came before has been passed on; for that the writer waits.
 *
 * Deaths cost nothing: a writer's that dies in the middle of a line is passed over, and its permits come back; a reader's
 * lines that it has not passed on are the next reader's. If all are killed the heap stays, and the next reader goes on where the
 * last one was.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Heap } from "../data/index.ts";
import type { Message, Queue } from "../data/index.ts";
import { ShoalError, shoalError } from "../errors.ts";
import { asHandle } from "../heap/index.ts";
import { Region } from "../region/index.ts";
import type { Counter, Hold, Mutex, Semaphore } from "../sync/index.ts";

/** How often a reader that waits looks whether the writers still live, and a joiner whether the heap is ready. */
const LOOK_MS = 100;

/** How long a heap may take to become one that passes lines. */
const READY_MS = 1000;

const MOST_PARTICIPANTS = 60;
const MOST_MEMBERS = 1024;
const SPAN_BYTES = 2 ** 31;
const LARGEST_LINE_BYTES = 2 ** 30;

/** What a message is. */
export const LINE = 0;
/** A line that the input's end ended, without a newline. */
export const BARE_LINE = 1;
const END = 2;

const NEWLINE = 10;

/** What is sent: a line's bytes without the newline. */
export interface Line {
  readonly kind: typeof LINE | typeof BARE_LINE;
  readonly bytes: Uint8Array;
}

/** This process's end of the channel. */
export interface LineEnd {
  readonly heap: Heap;
  readonly lines: Queue<Uint8Array>;
  readonly reader: Mutex;
  readonly writers: Semaphore;
  readonly members: Semaphore;
  readonly joined: Counter;
  readonly door: Mutex;
  readonly membership: Hold;
  /** A writer's, until its input has ended. */
  writing: Hold | undefined;
  /** Ends all waits. */
  readonly stop: AbortController;
  /** Reader: a writer has been seen, so that "no writers" means that the input has ended. */
  hasSeenWriter: boolean;
  readonly joinedBefore: number;
  /** How many writers had died when that was told last. */
  deadTold: number;
}

/** Runs a wait; undefined when stop() ended it. */
async function unlessStopped<T>({ stop }: LineEnd, wait: Promise<T>): Promise<T | undefined> {
  try {
    return await wait;
  } catch (error) {
    if (stop.signal.aborted && error instanceof ShoalError && error.code === "ERR_SHOAL_ABORTED")
      return undefined;
    throw error;
  }
}

// Coming and going

/** Makes the objects, or waits until whoever makes the heap has. A heap that is for something else is left alone. */
async function checkKind(heap: Heap): Promise<void> {
  const { name, created } = heap.region;
  if (created) return;
  for (let leftMs = READY_MS; leftMs > 0; leftMs -= LOOK_MS / 10) {
    if (heap.roots.get("door") !== 0) return;
    await sleep(LOOK_MS / 10);
  }
  const message = `${name} is a heap, but nothing that passes lines; choose another name`;
  throw shoalError("ERR_SHOAL_FORMAT", message, { name });
}

/** Takes part from now on. Undefined: the last one has just left, and the heap goes. */
async function enter(heap: Heap, isWriter: boolean): Promise<LineEnd | undefined> {
  const lines = heap.queue<Uint8Array>("lines", {
    capacity: 4096,
    messageBytes: 112,
    codec: "raw",
    redeliver: true,
  });
  const reader = heap.mutex("reader", { fair: true });
  const writers = heap.semaphore("writers", { permits: MOST_MEMBERS });
  const members = heap.semaphore("members", { permits: MOST_MEMBERS });
  const joined = heap.counter("joined");
  // The last one: it says that the others are there.
  const door = heap.mutex("door");
  return door.run(async () => {
    if (heap.region.retired) return undefined;
    const end: LineEnd = {
      heap,
      lines,
      reader,
      writers,
      members,
      joined,
      door,
      membership: await members.acquire(),
      writing: undefined,
      stop: new AbortController(),
      hasSeenWriter: false,
      joinedBefore: joined.value,
      deadTold: writers.stats().abandoned,
    };
    hasEnded(end); // notes whether there is a writer
    if (isWriter) {
      end.writing = await writers.acquire();
      joined.add();
    }
    return end;
  });
}

/**
 * Joins the channel `name`, making it when there is none.
 *
 * @throws ERR_SHOAL_FORMAT when the heap is for something else, and what Heap.openOrCreate throws
 */
export async function joinLines(name: string, role: "writer" | "reader"): Promise<LineEnd> {
  for (;;) {
    const heap = Heap.openOrCreate(name, { spanBytes: SPAN_BYTES, maxParticipants: MOST_PARTICIPANTS });
    let end: LineEnd | undefined;
    try {
      await checkKind(heap);
      end = await enter(heap, role === "writer");
      if (end !== undefined) return end;
    } finally {
      if (end === undefined) heap.close();
    }
  }
}

/** Whether the channel's name still leads to this heap: somebody may have removed it and made another. */
function isNamed({ region }: Heap): boolean {
  return Region.list({ backend: region.backend }).some(
    (one) => one.name === region.name && one.uuid === region.uuid,
  );
}

/** Leaves the channel; the last one to leave removes it. True: it did. */
export async function leaveLines(end: LineEnd): Promise<boolean> {
  const { heap, members, door } = end;
  end.writing?.release();
  end.writing = undefined;
  const isLast = await door.run(() => {
    end.membership.release();
    heap.recover();
    const isAlone = members.available === members.permits;
    if (isAlone && isNamed(heap)) heap.unlink();
    return isAlone;
  });
  heap.close();
  return isLast;
}

/** Ends all waits of this end of the channel, from a signal's handler say. */
export function stopLines({ stop }: LineEnd): void {
  stop.abort();
}

/** Whether lines were sent that nobody has received. */
export function hasUnread({ lines }: LineEnd): boolean {
  return lines.depth > 0;
}

// Writing

function messageOf(kind: number, bytes: Uint8Array): Uint8Array {
  const message = new Uint8Array(bytes.length + 1);
  message[0] = kind;
  message.set(bytes, 1);
  return message;
}

/** Sends lines in order; waits for room. False: stopped, and only the first of them may have been sent. */
export async function sendLines(end: LineEnd, lines: Iterable<Line>): Promise<boolean> {
  const { signal } = end.stop;
  for (const { kind, bytes } of lines) {
    if (bytes.length > LARGEST_LINE_BYTES) {
      const numbers = { lengthBytes: bytes.length, mostBytes: LARGEST_LINE_BYTES };
      throw shoalError(
        "ERR_SHOAL_SIZE",
        `a line of ${bytes.length} bytes is too long: at most ${LARGEST_LINE_BYTES}`,
        numbers,
      );
    }
    const message = messageOf(kind, bytes);
    if (end.lines.trySend(message)) continue;
    const sent = end.lines.send(message, { signal }).then(() => true);
    if ((await unlessStopped(end, sent)) === undefined) return false;
  }
  return !signal.aborted;
}

/** Says that this writer's input has ended, and waits until everything it sent has been passed on. False: stopped. */
export async function finishLines(end: LineEnd): Promise<boolean> {
  const { heap, lines, stop } = end;
  const { signal } = stop;
  const done = heap.event();
  const handle = new Uint8Array(Uint32Array.of(done.handle).buffer);
  const finish = async (): Promise<true> => {
    await lines.send(messageOf(END, handle), { signal });
    end.writing?.release();
    end.writing = undefined;
    await done.wait({ signal });
    return true;
  };
  return (await unlessStopped(end, finish())) === true;
}

// Reading

/** Whether writers have come, all have gone, and nothing of theirs is left. */
function hasEnded(end: LineEnd): boolean {
  const { writers, joined, lines } = end;
  if (joined.value !== end.joinedBefore) end.hasSeenWriter = true;
  if (writers.available < writers.permits) {
    end.hasSeenWriter = true;
    return false;
  }
  return end.hasSeenWriter && lines.depth === 0;
}

/** How a reader is to wait. */
export interface ReceiveOptions {
  /** At most so many bytes at once, except for one longer line. */
  readonly limitBytes: number;
  /** Go on waiting when all writers have gone. */
  readonly follow: boolean;
  /** Is told how many writers were found dead. */
  readonly onDead: (count: number) => void;
}

/** Becomes the channel's one reader, when the one before has left or died; undefined when it was stopped. */
export function beginReading(end: LineEnd): Promise<Hold | undefined> {
  return unlessStopped(end, end.reader.lock({ signal: end.stop.signal }));
}

/** Lines as they come out: their bytes, newlines included; to be acknowledged when they are where they should be. */
export interface Batch {
  readonly bytes: Buffer;
  readonly lineCount: number;
  readonly messages: readonly Message<Uint8Array>[];
}

/** The next message; undefined when there is none for a while, or the end was stopped. */
async function borrowNext({ lines, stop }: LineEnd): Promise<Message<Uint8Array> | undefined> {
  try {
    return await lines.borrowAsync({ timeoutMs: LOOK_MS, signal: stop.signal });
  } catch (error) {
    const code = error instanceof ShoalError ? error.code : "";
    if (code === "ERR_SHOAL_TIMEOUT" || code === "ERR_SHOAL_ABORTED") return undefined;
    throw error;
  }
}

function isEnd({ bytes }: Message<Uint8Array>): boolean {
  return bytes[0] === END;
}

/** `first` and what is there behind it, within the limit. */
function batchOf(end: LineEnd, first: Message<Uint8Array>, limitBytes: number): Batch {
  const messages: Message<Uint8Array>[] = [];
  let length = 0;
  for (let next: Message<Uint8Array> | undefined = first; next !== undefined; next = end.lines.tryBorrow()) {
    const bytes = isEnd(next) ? 0 : next.bytes.length - (next.bytes[0] === LINE ? 0 : 1);
    if (messages.length > 0 && length + bytes > limitBytes) {
      next.giveBack();
      break;
    }
    messages.push(next);
    length += bytes;
  }
  const bytes = Buffer.allocUnsafe(length);
  let at = 0;
  let lineCount = 0;
  for (const message of messages) {
    if (isEnd(message)) continue;
    lineCount++;
    bytes.set(message.bytes.subarray(1), at);
    at += message.bytes.length - 1;
    if (message.bytes[0] === LINE) bytes[at++] = NEWLINE;
  }
  return { bytes, lineCount, messages };
}

/** The next lines, or undefined when the input has ended or the end was stopped. The caller has begun reading. */
export async function receiveLines(end: LineEnd, options: ReceiveOptions): Promise<Batch | undefined> {
  for (;;) {
    if (end.stop.signal.aborted) return undefined;
    const first = end.lines.tryBorrow() ?? (await borrowNext(end));
    tellDead(end, options.onDead);
    if (first !== undefined) {
      end.hasSeenWriter = true;
      return batchOf(end, first, options.limitBytes);
    }
    if (hasEnded(end) && !options.follow) return undefined;
  }
}

function tellDead(end: LineEnd, onDead: (count: number) => void): void {
  end.writers.reclaim();
  const { abandoned } = end.writers.stats();
  const count = abandoned - end.deadTold;
  end.deadTold = abandoned;
  if (count > 0) onDead(count);
}

/** The lines are where they should be: they have been received, and whoever waits for that is told. */
export function acknowledge({ heap }: LineEnd, { messages }: Batch): void {
  for (const message of messages) {
    const event = isEnd(message) ? new DataView(message.bytes.slice().buffer).getUint32(1, true) : 0;
    message.release();
    if (event !== 0) heap.event(asHandle(event)).set();
  }
}

/** The lines could not be put anywhere: they are the next ones again, for somebody else. */
export function giveBack({ messages }: Batch): void {
  for (const message of [...messages].reverse()) message.giveBack();
}
