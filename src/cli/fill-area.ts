/**
 * The fill's control area: where its words are in the segment's data, and how much room they need.
 *
 * Every word that several participants change, and every participant's own line, has a cache line to itself.
 *
 *       0  next: the index that is taken next (fetch-and-add)
 *      64  stop: how many bytes to fill      68  participants expected    72  pause after each batch, ms
 *      76  milestone: index at which the crew's leader is woken           80  1 = one system call a byte (--busy)
 *      84  batch: after so many bytes each participant publishes its progress
 *     128  arrived: how many stand at the start line (futex word: the leader waits)
 *     192  go: 1 = run, 2 = go home (futex word: the participants wait)     200  started at, f64, as `finished at`
 *     256  passed: 1 = the milestone was reached (futex word: the leader waits)
 *     320  growths: for each power of two times 64 KiB that the segment's size has been, the number of the participant that was
 *          the first to use it, plus 1, and when that was, in microseconds since the start (2 words each)
 *     512  lines, 64 bytes for each participant:
 *            0  written: bytes it has written, published once a batch and at the end
 *            4  intent: TAKING just before the fetch-and-add, then the index taken
 *            8  clashes: indexes whose byte was not zero     12  pid
 *           16  finished at, f64: nanoseconds on the machine's monotonic clock, 0 = still running
 *          24  slot: which of the segment's participant slots it has
 *       …  the bytes to fill, from the next multiple of 4096 on
 *
 * Crash story: a participant may be killed between taking an index and writing its byte. Nobody else will ever take
 * that index, so its byte stays zero. The intent is written with plain stores in the order TAKING, index, byte; so a
 * byte that is zero when all others have finished either has its index in the intent of a dead participant, or was
 * taken by one whose intent is still TAKING: at most one byte for each of the dead. Any other zero byte is lost.
 */
import type { Region } from "../region/index.ts";

/** Word indexes. */
export const NEXT = 0;
export const STOP = 16;
export const EXPECTED = 17;
export const PAUSE = 18;
export const MILESTONE = 19;
export const BUSY = 20;
export const BATCH = 21;
export const ARRIVED = 32;
export const GO = 48;
export const PASSED = 64;

export const GROWTHS = 80;
const LINES = 128;
const LINE_WORDS = 16;

/** Word offsets in a line; FINISHED counts in 64-bit words. */
export const WRITTEN = 0;
export const INTENT = 1;
export const CLASHES = 2;
export const PID = 3;
export const SLOT = 6;
const FINISHED_BYTES = 16;
const STARTED_BYTES = 200;

/** How many sizes of the segment are noted: enough for 4 GiB. */
export const GROWTH_COUNT = 17;
export const FIRST_SIZE_BYTES = 65536;

export const TAKING = -1;
export const GO_RUN = 1;
export const GO_HOME = 2;

/** What participants write, one each: their number is at most 62. */
export const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** Word index of a participant's line. */
export function lineOf(number: number): number {
  return LINES + number * LINE_WORDS;
}

/** Where the bytes to fill start in the data area. */
export function fillOffset(participantCount: number): number {
  return Math.ceil((lineOf(participantCount) * 4) / 4096) * 4096;
}

/** The control words of a segment that has at least this many participants. */
export function controlWords(region: Region, participantCount: number): Int32Array {
  return region.words(0, lineOf(participantCount));
}

/** When the start line opened, on the clock of `monotonicNow`. */
export function startedCell(region: Region): Float64Array {
  return new Float64Array(region.buffer, region.dataOffset + STARTED_BYTES, 1);
}

/** When the participant finished, on the clock of `monotonicNow`. */
export function finishedCell(region: Region, number: number): Float64Array {
  const offset = region.dataOffset + lineOf(number) * 4 + FINISHED_BYTES;
  return new Float64Array(region.buffer, offset, 1);
}

/** Nanoseconds on a clock that all processes of the machine share. */
export function monotonicNow(): number {
  return Number(process.hrtime.bigint());
}
