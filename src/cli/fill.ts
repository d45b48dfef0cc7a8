/**
 * A participant of the cooperative fill: it attaches by name, stands at the start line, then takes index after index
 * with a fetch-and-add, grows the segment when an index lies beyond its end, checks that the byte is zero, and writes
 * its letter. Who starts and judges them is fill-crew.ts; the words they share are drawn in fill-area.ts.
 */
import { Region } from "../region/index.ts";
import { futexWait, futexWake } from "../os/index.ts";
import {
  ARRIVED,
  BUSY,
  CLASHES,
  controlWords,
  EXPECTED,
  fillOffset,
  finishedCell,
  GO,
  GO_HOME,
  INTENT,
  LETTERS,
  lineOf,
  MILESTONE,
  monotonicNow,
  NEXT,
  PASSED,
  PAUSE,
  PID,
  SLOT,
  STOP,
  TAKING,
  WRITTEN,
} from "./fill-area.ts";

/** Progress is published once for so many bytes. */
const BATCH_COUNT = 4096;

/** How long to wait at the start line before looking whether the leader lives. */
const WAIT_LIMIT_MS = 1000;

const sleeper = new Int32Array(new SharedArrayBuffer(4));

interface Place {
  readonly region: Region;
  readonly words: Int32Array;
  readonly line: number;
  /** Of index 0, in the data area. */
  readonly offset: number;
}

/**
 * Waits until all have attached. False: there is nothing to run for.
 *
 * SYNC with release in fill-crew.ts, which stores `go` and then wakes: seen here, everything before it is seen too.
 */
function awaitStart({ region, words }: Place, leaderPid: number): boolean {
  Atomics.add(words, ARRIVED, 1);
  futexWake(words, ARRIVED);
  for (;;) {
    const go = Atomics.load(words, GO);
    if (go !== 0) return go !== GO_HOME;
    const result = futexWait(words, GO, 0, { timeoutMs: WAIT_LIMIT_MS });
    const isLeaderGone = (): boolean => !region.participants().some((one) => one.pid === leaderPid && one.alive);
    if (result === "timed-out" && isLeaderGone()) return false;
  }
}

/** The bytes from index 0 on, as far as the segment reaches, which is beyond `index`. */
function reach(region: Region, offset: number, index: number): Uint8Array {
  region.catchUp();
  // Asked for by size, so that of several that find the end at once one grows and the others take that over.
  if (offset + index >= region.sizeBytes) {
    const mostBytes = region.spanBytes - region.dataOffset;
    region.grow(Math.max(offset + index + 1, Math.min(region.sizeBytes * 2, mostBytes)));
  }
  return region.bytes(offset);
}

/** After each batch: tells how far it is, wakes the leader at the milestone, and rests when told to. */
function report(words: Int32Array, line: number, written: number, index: number): void {
  words[line + WRITTEN] = written;
  if (index >= words[MILESTONE]! && Atomics.compareExchange(words, PASSED, 0, 1) === 0) futexWake(words, PASSED);
  if (words[PAUSE]! > 0) Atomics.wait(sleeper, 0, 0, words[PAUSE]);
}

/** The hot loop: two plain stores of the intent, one atomic add, one load and one store of a byte. */
function fill({ region, words, line, offset }: Place, letter: number): void {
  const stop = words[STOP]!;
  const isBusy = words[BUSY] === 1;
  const intent = line + INTENT;
  let bytes = reach(region, offset, 0);
  let length = bytes.length;
  let written = 0;
  let left = BATCH_COUNT;
  for (;;) {
    words[intent] = TAKING;
    const index = Atomics.add(words, NEXT, 1);
    if (index >= stop) break;
    words[intent] = index;
    if (index >= length) {
      bytes = reach(region, offset, index);
      length = bytes.length;
    }
    if (isBusy) void process.ppid; // getppid: a system call that no library remembers the answer of
    if (bytes[index] !== 0) {
      words[line + CLASHES] = words[line + CLASHES]! + 1;
      continue;
    }
    bytes[index] = letter;
    written++;
    if (--left === 0) {
      report(words, line, written, index);
      left = BATCH_COUNT;
    }
  }
  words[line + WRITTEN] = written;
}

/**
 * Takes part in the fill of the segment `name` as participant `number`, and returns when every index is taken.
 *
 * @param leaderPid the process that opens the start line; when it dies before that, nobody runs
 */
export function takePart(name: string, number: number, participantCount: number, leaderPid: number): void {
  using region = Region.open(name);
  const words = controlWords(region, participantCount);
  const line = lineOf(number);
  words[line + PID] = process.pid;
  words[line + SLOT] = region.slotIndex;
  const place = { region, words, line, offset: fillOffset(words[EXPECTED]!) };
  if (!awaitStart(place, leaderPid)) return;
  fill(place, LETTERS.charCodeAt(number));
  const finished = finishedCell(region, number);
  finished[0] = monotonicNow();
}
