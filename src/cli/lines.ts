/**
 * Lines from writers to a reader through one segment: what `shoal write` and `shoal read` stand on. It is the lesson's
 * message struct with a clear-to-send flag, done right: the struct is a ring of bytes, the flag is how far the reader
 * has acknowledged, and whoever has to wait sleeps on a futex word that the other side changes and wakes.
 *
 *     0    magic u32          4  format u32
 *     64   head u32           68  published: changes with each commit and each writer's coming and going (futex word)
 *     128  tail u32           132 acknowledged: changes with each acknowledgement (futex word)
 *     192  readers asleep     196 writers asleep (each 0 or 1)    200 joined: writers that ever came
 *     256  writers' turn      320 readers' turn      384 door     (each: holder's token, then "somebody waits")
 *     448  capacity of the ring in bytes, a power of two; 0 = DEFAULT_RING_BYTES
 *     512  members: a token for each participant slot that takes part             (64 words)
 *     768  writers: the same, for those whose input has not ended                 (64 words)
 *     4096 the ring
 *
 * A frame is a word, `length | kind`, and that many bytes, padded to a multiple of 4. Head and tail count bytes since
 * the beginning, modulo 2^32.
 *
 * Invariants: tail <= head <= tail + capacity. From tail to head there are whole frames. Only the holder of the writers'
 * turn changes head, capacity and the bytes outside tail..head; only the holder of the readers' turn changes tail.
 * Capacity changes only while head = tail.
 *
 * Linearisation points: a batch of lines is sent by the one store of head, and received by the one store of tail, which
 * comes after the lines were written to where they go.
 *
 * Crash story: a writer killed before its store of head has sent nothing: the next one writes over the bytes. A reader
 * killed before its store of tail has received nothing: the next one starts with the same line. A turn whose holder is
 * dead is taken over by whoever waits for it: waits last at most LIVENESS_MS, then the holder is looked for among the
 * region's participants. A dead writer's entry is cleared by the reader in the same way, so it counts as ended. A
 * wake-up that died with the one who owed it costs the sleeper at most LIVENESS_MS. The last member to leave retires and
 * unlinks the segment inside the door's turn; who comes in behind it finds it retired and makes a new one. If all were
 * killed, the segment stays, and the next reader goes on where the last one was.
 */
import { shoalError } from "../errors.ts";
import { futexWaitAsync, futexWake } from "../os/index.ts";
import { Region } from "../region/index.ts";
import type { ParticipantInfo } from "../region/index.ts";
import {
  ACKNOWLEDGED,
  align,
  CAPACITY,
  capacityOf,
  CONTROL_WORDS,
  DEFAULT_RING_BYTES,
  DOOR,
  END,
  FORMAT,
  FORMAT_VALUE,
  FRAME_WORD_BYTES,
  HEAD,
  JOINED,
  LARGEST_RING_BYTES,
  layRing,
  MAGIC,
  MAGIC_VALUE,
  MEMBERS,
  PUBLISHED,
  READERS_ASLEEP,
  READERS_TURN,
  refreshRing,
  RING_OFFSET,
  stage,
  TABLE_COUNT,
  TAIL,
  takeFrames,
  WRITERS,
  WRITERS_ASLEEP,
  WRITERS_TURN,
} from "./line-ring.ts";
import type { Batch, LineEnd, Message } from "./line-ring.ts";

/** How long anybody sleeps before looking whether the others live. */
export const LIVENESS_MS = 1000;

function tokenOf(participant: ParticipantInfo): number {
  return ((participant.epoch & 0x1fffff) << 10) | (participant.index + 1);
}

function isAlive(region: Region, token: number): boolean {
  return region.participants().some((one) => one.alive && tokenOf(one) === token);
}

// Turns

/**
 * Takes a turn, waiting as long as its holder lives. Takes over from a dead holder.
 *
 * @param patient go on waiting though the end was stopped
 * @returns false: stopped
 */
async function takeTurn(end: LineEnd, turn: number, patient = false): Promise<boolean> {
  const { region, words, token } = end;
  let mayBeDead = true;
  for (;;) {
    const holder = Atomics.compareExchange(words, turn, 0, token);
    if (holder === 0) return true;
    if (end.isStopped && !patient) return false;
    if (mayBeDead && !isAlive(region, holder)) {
      if (Atomics.compareExchange(words, turn, holder, token) === holder) return true;
      continue;
    }
    // SYNC with giveTurn, which clears the holder before it looks at this flag.
    Atomics.store(words, turn + 1, 1);
    mayBeDead = (await futexWaitAsync(words, turn, holder, { timeoutMs: LIVENESS_MS })) === "timed-out";
  }
}

/** SYNC with takeTurn: one that set the flag before this store of 0 is woken, a later one does not go to sleep. */
function giveTurn(end: LineEnd, turn: number): void {
  Atomics.store(end.words, turn, 0);
  if (Atomics.exchange(end.words, turn + 1, 0) === 1) futexWake(end.words, turn);
}

// Coming and going

/** The first of all writes the magic; others wait until it is there. */
async function checkFormat(region: Region, words: Int32Array): Promise<void> {
  if (region.created) {
    Atomics.store(words, FORMAT, FORMAT_VALUE);
    Atomics.store(words, MAGIC, MAGIC_VALUE);
    futexWake(words, MAGIC);
  }
  if (Atomics.load(words, MAGIC) === 0) await futexWaitAsync(words, MAGIC, 0, { timeoutMs: LIVENESS_MS });
  if (Atomics.load(words, MAGIC) === MAGIC_VALUE && Atomics.load(words, FORMAT) === FORMAT_VALUE) return;
  throw shoalError(
    "ERR_SHOAL_FORMAT",
    `${region.name} is a segment, but nothing that passes lines; choose another name`,
    {
      name: region.name,
    },
  );
}

async function enter(region: Region, isWriter: boolean): Promise<LineEnd | undefined> {
  const words = region.words(0, CONTROL_WORDS);
  await checkFormat(region, words);
  const self = region.participants().find((one) => one.self)!;
  const token = tokenOf(self);
  const end: LineEnd = {
    region,
    words,
    token,
    isWriter,
    ...layRing(region, DEFAULT_RING_BYTES),
    isStopped: false,
    hasSeenWriter: false,
    joinedBefore: Atomics.load(words, JOINED),
    deadAtEntry: 0,
  };
  await takeTurn(end, DOOR, true);
  try {
    if (region.retired) return undefined;
    end.deadAtEntry = clearDeadWriters(end);
    hasEnded(end); // notes whether there is a writer
    Atomics.store(words, MEMBERS + self.index, token);
    if (isWriter) {
      Atomics.store(words, WRITERS + self.index, token);
      Atomics.add(words, JOINED, 1);
      tellReaders(end);
    }
    return end;
  } finally {
    giveTurn(end, DOOR);
  }
}

/**
 * Joins the channel `name`, making it when there is none.
 *
 * @throws ERR_SHOAL_FORMAT when the segment is another kind of thing, and what Region.openOrCreate throws
 */
export async function joinLines(name: string, role: "writer" | "reader"): Promise<LineEnd> {
  for (;;) {
    const sizeBytes = RING_OFFSET + DEFAULT_RING_BYTES;
    const region = Region.openOrCreate(name, { sizeBytes, maxParticipants: TABLE_COUNT - 4 });
    let end: LineEnd | undefined;
    try {
      if (region.sizeBytes < sizeBytes) await checkFormat(region, region.words(0, 2));
      end = await enter(region, role === "writer");
      if (end !== undefined) return end;
    } finally {
      if (end === undefined) region.close();
    }
  }
}

/** Whether the channel's name still leads to this segment: somebody may have removed it and made another. */
function isNamed(region: Region): boolean {
  return Region.list({ backend: region.backend }).some(
    (one) => one.name === region.name && one.uuid === region.uuid,
  );
}

/** Leaves the channel; the last one to leave removes it. True: it did. */
export async function leaveLines(end: LineEnd): Promise<boolean> {
  const { region, words, token } = end;
  endInput(end);
  await takeTurn(end, DOOR, true);
  try {
    Atomics.store(words, MEMBERS + region.slotIndex, 0);
    const tokens = new Set(words.subarray(MEMBERS, MEMBERS + TABLE_COUNT));
    const isLast = !region
      .participants()
      .some((one) => one.alive && tokens.has(tokenOf(one)) && tokenOf(one) !== token);
    if (isLast && isNamed(region)) region.unlink();
    return isLast;
  } finally {
    giveTurn(end, DOOR);
    region.close();
  }
}

/** Ends all waits of this end of the channel, from a signal's handler say. */
export function stopLines(end: LineEnd): void {
  end.isStopped = true;
  for (const word of [PUBLISHED, ACKNOWLEDGED]) {
    Atomics.add(end.words, word, 1);
    futexWake(end.words, word);
  }
  for (const turn of [WRITERS_TURN, READERS_TURN]) futexWake(end.words, turn);
}

/** Whether lines were sent that nobody has acknowledged. */
export function hasUnread({ words }: LineEnd): boolean {
  return Atomics.load(words, HEAD) !== Atomics.load(words, TAIL);
}

// Writing

/** SYNC with the sleep in receiveLines: the event changes first, then the flag is looked at. */
function tellReaders({ words }: LineEnd): void {
  Atomics.add(words, PUBLISHED, 1);
  if (Atomics.exchange(words, READERS_ASLEEP, 0) === 1) futexWake(words, PUBLISHED);
}

function commit(end: LineEnd, head: number): void {
  if (Atomics.load(end.words, HEAD) === (head | 0)) return;
  Atomics.store(end.words, HEAD, head | 0);
  tellReaders(end);
}

function usedBytes(words: Int32Array, head: number): number {
  return (head - Atomics.load(words, TAIL)) >>> 0;
}

/** Waits until `isDone`, looking again after each acknowledgement. False: stopped. */
async function awaitAcknowledged(end: LineEnd, isDone: () => boolean): Promise<boolean> {
  const { words } = end;
  for (;;) {
    const seen = Atomics.load(words, ACKNOWLEDGED);
    if (isDone()) return true;
    if (end.isStopped) return false;
    // SYNC with acknowledge: the flag first, then the event is compared by the kernel.
    Atomics.store(words, WRITERS_ASLEEP, 1);
    await futexWaitAsync(words, ACKNOWLEDGED, seen, { timeoutMs: LIVENESS_MS });
  }
}

/** Makes the ring large enough for a line that does not fit. The caller has the writers' turn. */
async function enlarge(end: LineEnd, head: number, frameBytes: number): Promise<boolean> {
  if (frameBytes > LARGEST_RING_BYTES) {
    throw shoalError(
      "ERR_SHOAL_SIZE",
      `a line of ${frameBytes} bytes is too long: at most ${LARGEST_RING_BYTES}`,
      {
        lengthBytes: frameBytes,
        mostBytes: LARGEST_RING_BYTES,
      },
    );
  }
  if (!(await awaitAcknowledged(end, () => usedBytes(end.words, head) === 0))) return false;
  let capacity = capacityOf(end.words);
  while (capacity < frameBytes) capacity *= 2;
  end.region.grow(RING_OFFSET + capacity);
  Atomics.store(end.words, CAPACITY, capacity);
  refreshRing(end);
  return true;
}

async function sendInTurn(end: LineEnd, messages: readonly Message[]): Promise<boolean> {
  const { words } = end;
  let capacity = refreshRing(end);
  let head = Atomics.load(words, HEAD);
  let room = capacity - usedBytes(words, head);
  for (const message of messages) {
    const frameBytes = FRAME_WORD_BYTES + align(message.bytes.length);
    if (frameBytes > room) {
      commit(end, head);
      if (frameBytes > capacity && !(await enlarge(end, head, frameBytes))) return false;
      capacity = end.ring.length;
      const fits = (): boolean => capacity - usedBytes(words, head) >= frameBytes;
      if (!(await awaitAcknowledged(end, fits))) return false;
      room = capacity - usedBytes(words, head);
    }
    head = stage(end, head, message);
    room -= frameBytes;
  }
  commit(end, head);
  return true;
}

/**
 * Sends messages in order, with no other writer's in between except where the ring was full; waits for room. False: stopped,
 * and only the first of them may have been sent.
 */
export async function sendLines(end: LineEnd, messages: readonly Message[]): Promise<boolean> {
  if (!(await takeTurn(end, WRITERS_TURN))) return false;
  try {
    return await sendInTurn(end, messages);
  } finally {
    giveTurn(end, WRITERS_TURN);
  }
}

function endInput(end: LineEnd): void {
  if (!end.isWriter) return;
  // After the last commit: a reader that finds no writers finds every line of theirs.
  Atomics.store(end.words, WRITERS + end.region.slotIndex, 0);
  tellReaders(end);
}

/** Says that this writer's input has ended, and waits until everything it sent is acknowledged. False: stopped. */
export async function finishLines(end: LineEnd): Promise<boolean> {
  if (!(await sendLines(end, [{ kind: END, bytes: new Uint8Array(0) }]))) return false;
  const last = Atomics.load(end.words, HEAD);
  endInput(end);
  return awaitAcknowledged(end, () => ((last - Atomics.load(end.words, TAIL)) | 0) <= 0);
}

// Reading

/** Clears the entries of writers that have died; returns how many there were. */
function clearDeadWriters({ region, words }: LineEnd): number {
  let count = 0;
  for (let index = WRITERS; index < WRITERS + TABLE_COUNT; index++) {
    const token = Atomics.load(words, index);
    if (token === 0 || isAlive(region, token)) continue;
    if (Atomics.compareExchange(words, index, token, 0) === token) count++;
  }
  return count;
}

/** Whether writers have come, all have gone, and nothing of theirs is left. */
function hasEnded(end: LineEnd): boolean {
  const { words } = end;
  if (Atomics.load(words, JOINED) !== end.joinedBefore) end.hasSeenWriter = true;
  for (let index = WRITERS; index < WRITERS + TABLE_COUNT; index++) {
    if (Atomics.load(words, index) === 0) continue;
    end.hasSeenWriter = true;
    return false;
  }
  return end.hasSeenWriter && !hasUnread(end);
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

/** Becomes the channel's one reader, when the one before has left or died. False: stopped. */
export async function beginReading(end: LineEnd): Promise<boolean> {
  return takeTurn(end, READERS_TURN);
}

export function endReading(end: LineEnd): void {
  giveTurn(end, READERS_TURN);
}

/** The next lines, or undefined when the input has ended or the end was stopped. The caller has begun reading. */
export async function receiveLines(end: LineEnd, options: ReceiveOptions): Promise<Batch | undefined> {
  const { words } = end;
  for (;;) {
    if (end.isStopped) return undefined;
    const seen = Atomics.load(words, PUBLISHED);
    const batch = takeFrames(end, options.limitBytes);
    if (batch !== undefined) {
      end.hasSeenWriter = true;
      return batch;
    }
    if (hasEnded(end) && !options.follow) return undefined;
    // SYNC with tellReaders: the flag first, then the event is compared by the kernel.
    Atomics.store(words, READERS_ASLEEP, 1);
    const result = await futexWaitAsync(words, PUBLISHED, seen, { timeoutMs: LIVENESS_MS });
    const deadCount = result === "timed-out" ? clearDeadWriters(end) : 0;
    if (deadCount > 0) options.onDead(deadCount);
  }
}

/** The lines are where they should be: makes room for others. */
export function acknowledge({ words, ring }: LineEnd, { next }: Batch): void {
  Atomics.store(words, TAIL, next);
  Atomics.add(words, ACKNOWLEDGED, 1);
  // Writers who wait for room are woken when it is worth it; who waits for more than half of it waits for all of it.
  const used = (Atomics.load(words, HEAD) - next) >>> 0;
  if (used * 2 > ring.length) return;
  if (Atomics.exchange(words, WRITERS_ASLEEP, 0) === 1) futexWake(words, ACKNOWLEDGED);
}
