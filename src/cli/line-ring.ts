/**
 * The ring of lines.ts: its words, this thread's end of it, and frames going in and coming out. Knows nothing of who may
 * do which when; that, and what the words mean to each other, is in lines.ts, where they are drawn.
 */
import { shoalError } from "../errors.ts";
import type { Region } from "../region/index.ts";

export const MAGIC_VALUE = 0x4c4e4853;
export const FORMAT_VALUE = 1;

/** Word indexes. */
export const MAGIC = 0;
export const FORMAT = 1;
export const HEAD = 16;
export const PUBLISHED = 17;
export const TAIL = 32;
export const ACKNOWLEDGED = 33;
export const READERS_ASLEEP = 48;
export const WRITERS_ASLEEP = 49;
export const JOINED = 50;
export const WRITERS_TURN = 64;
export const READERS_TURN = 80;
export const DOOR = 96;
export const CAPACITY = 112;
export const MEMBERS = 128;
export const WRITERS = 192;
export const TABLE_COUNT = 64;
export const CONTROL_WORDS = 256;

export const RING_OFFSET = 4096;
export const DEFAULT_RING_BYTES = 256 * 1024;
export const LARGEST_RING_BYTES = 2 ** 30;
export const FRAME_WORD_BYTES = 4;

/** Kinds of frames, in the two top bits of the frame's word. */
export const LINE = 0;
/** A line that the input's end ended, without a newline. */
export const BARE_LINE = 1;
/** A writer's input has ended; no bytes. */
export const END = 2;
const KIND_SHIFT = 30;
const LENGTH_MASK = 2 ** KIND_SHIFT - 1;

/** What is sent: a line's bytes without the newline, or END with none. */
export interface Message {
  readonly kind: typeof LINE | typeof BARE_LINE | typeof END;
  readonly bytes: Uint8Array;
}

/** This thread's end of the channel. State that is per participant; all else is in the segment. */
export interface LineEnd {
  readonly region: Region;
  readonly words: Int32Array;
  /** Names this participant in turns and tables: its slot's index and epoch. */
  readonly token: number;
  readonly isWriter: boolean;
  ring: Uint8Array;
  ringWords: Int32Array;
  /** Set by stop(): waits end. */
  isStopped: boolean;
  /** Reader: a writer has been seen, so that "no writers" means that the input has ended. */
  hasSeenWriter: boolean;
  readonly joinedBefore: number;
  /** Writers that were found dead on entering. */
  deadAtEntry: number;
}

export function layRing(region: Region, capacity: number): Pick<LineEnd, "ring" | "ringWords"> {
  return { ring: region.bytes(RING_OFFSET, capacity), ringWords: region.words(RING_OFFSET, capacity / 4) };
}

export function capacityOf(words: Int32Array): number {
  const capacity = Atomics.load(words, CAPACITY);
  return capacity === 0 ? DEFAULT_RING_BYTES : capacity;
}

/** Views of the ring at its present capacity, which another participant may have changed. */
export function refreshRing(end: LineEnd): number {
  const capacity = capacityOf(end.words);
  if (capacity === end.ring.length) return capacity;
  if (RING_OFFSET + capacity > end.region.sizeBytes) end.region.catchUp();
  Object.assign(end, layRing(end.region, capacity));
  return capacity;
}

/** Frames start at multiples of 4. */
export function align(lengthBytes: number): number {
  return (lengthBytes + 3) & ~3;
}

function copyIn({ ring }: LineEnd, position: number, bytes: Uint8Array): void {
  const start = (position & (ring.length - 1)) >>> 0;
  const room = ring.length - start;
  if (bytes.length <= room) {
    ring.set(bytes, start);
    return;
  }
  ring.set(bytes.subarray(0, room), start);
  ring.set(bytes.subarray(room), 0);
}

/** Writes one frame at head; nobody sees it before commit. */
export function stage(end: LineEnd, head: number, { kind, bytes }: Message): number {
  end.ringWords[(head & (end.ring.length - 1)) >>> 2] = bytes.length | (kind << KIND_SHIFT);
  copyIn(end, head + FRAME_WORD_BYTES, bytes);
  return (head + FRAME_WORD_BYTES + align(bytes.length)) | 0;
}

/** Lines as they come out: their bytes, newlines included; to be acknowledged when they are where they should be. */
export interface Batch {
  readonly bytes: Buffer;
  readonly lineCount: number;
  /** Position behind the last frame. */
  readonly next: number;
}

function copyOut({ ring }: LineEnd, position: number, into: Buffer, at: number, lengthBytes: number): void {
  const start = (position & (ring.length - 1)) >>> 0;
  const room = Math.min(lengthBytes, ring.length - start);
  into.set(ring.subarray(start, start + room), at);
  if (room < lengthBytes) into.set(ring.subarray(0, lengthBytes - room), at + room);
}

/** The frames from tail on: all that end within `limitBytes`, and one at least. */
export function takeFrames(end: LineEnd, limitBytes: number): Batch | undefined {
  const { words } = end;
  const tail = Atomics.load(words, TAIL);
  const used = (Atomics.load(words, HEAD) - tail) >>> 0;
  if (used === 0) return undefined;
  // SYNC with enlarge: the capacity was stored before the head that was just loaded.
  const capacity = refreshRing(end);
  const pieces: { position: number; lengthBytes: number; isBare: boolean }[] = [];
  let offset = 0;
  let outBytes = 0;
  while (offset < used) {
    const word = end.ringWords[((tail + offset) & (capacity - 1)) >>> 2]!;
    const lengthBytes = word & LENGTH_MASK;
    const kind = word >>> KIND_SHIFT;
    const after = offset + FRAME_WORD_BYTES + align(lengthBytes);
    if (used > capacity || after > used || kind > END) throw corrupt(end, tail + offset);
    if (outBytes > 0 && outBytes + lengthBytes + 1 > limitBytes) break;
    if (kind !== END) {
      pieces.push({ position: tail + offset + FRAME_WORD_BYTES, lengthBytes, isBare: kind === BARE_LINE });
      outBytes += lengthBytes + (kind === LINE ? 1 : 0);
    }
    offset = after;
  }
  const bytes = Buffer.allocUnsafe(outBytes);
  let at = 0;
  for (const { position, lengthBytes, isBare } of pieces) {
    copyOut(end, position, bytes, at, lengthBytes);
    at += lengthBytes;
    if (!isBare) bytes[at++] = 10;
  }
  return { bytes, lineCount: pieces.length, next: (tail + offset) | 0 };
}

function corrupt({ region, ring }: LineEnd, position: number): Error {
  const offset = region.dataOffset + RING_OFFSET + ((position & (ring.length - 1)) >>> 0);
  return shoalError(
    "ERR_SHOAL_CORRUPT",
    `the lines in ${region.name} contradict themselves at offset ${offset}`,
    {
      offset,
    },
  );
}
