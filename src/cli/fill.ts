/**
 * A participant of the cooperative fill: it attaches by name, stands at the start line, then takes index after index
 * with a fetch-and-add, grows the segment when an index lies beyond its end, checks that the byte is zero, and writes
 * its letter. Who starts and judges them is fill-crew.ts; the words they share are drawn in fill-area.ts.
 */
import { Region } from "../region/index.ts";
import { futexWait, futexWake } from "../os/index.ts";
import {
  ARRIVED,
  BATCH,
  BUSY,
  CLASHES,
  controlWords,
  EXPECTED,
  fillOffset,
  finishedCell,
  FIRST_SIZE_BYTES,
  GO,
  GO_HOME,
  GROWTH_COUNT,
  GROWTHS,
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
  startedCell,
  STOP,
  TAKING,
  WRITTEN,
} from "./fill-area.ts";

/** How long to wait at the start line before looking whether the leader lives. */
const WAIT_LIMIT_MS = 1000;

const sleeper = new Int32Array(new SharedArrayBuffer(4));

interface Place {
  readonly region: Region;
  readonly words: Int32Array;
  readonly number: number;
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
    const isLeaderGone = (): boolean =>
      !region.participants().some((one) => one.pid === leaderPid && one.alive);
    if (result === "timed-out" && isLeaderGone()) return false;
  }
}

/** Notes who was the first to use the segment at its present size, and when. */
function noteGrowth({ region, words, number }: Place): void {
  const entry = Math.round(Math.log2(region.segmentSizeBytes / FIRST_SIZE_BYTES));
  if (entry < 1 || entry >= GROWTH_COUNT) return;
  const word = GROWTHS + 2 * entry;
  if (Atomics.compareExchange(words, word, 0, number + 1) !== 0) return;
  Atomics.store(words, word + 1, Math.max(1, Math.round((monotonicNow() - startedCell(region)[0]!) / 1000)));
}

/** The bytes from index 0 on, as far as the segment reaches, which is beyond `index`. */
function reach(place: Place, index: number): Uint8Array {
  const { region, offset } = place;
  region.catchUp();
  // Asked for by size, so that of several that find the end at once one grows and the others take that over.
  if (offset + index >= region.sizeBytes) {
    const doubled = Math.min(region.segmentSizeBytes * 2, region.spanBytes) - region.dataOffset;
    region.grow(Math.max(offset + index + 1, doubled));
  }
  noteGrowth(place);
  return region.bytes(offset);
}

/** After each batch: tells how far it is, wakes the leader at the milestone, and rests when told to. */
function report(words: Int32Array, line: number, written: number, index: number): void {
  words[line + WRITTEN] = written;
  if (index >= words[MILESTONE]! && Atomics.compareExchange(words, PASSED, 0, 1) === 0)
    futexWake(words, PASSED);
  if (words[PAUSE]! > 0) Atomics.wait(sleeper, 0, 0, words[PAUSE]);
}

/** The hot loop: two plain stores of the intent, one atomic add, one load and one store of a byte. */
function fill(place: Place, letter: number): void {
  const { words, line } = place;
  const stop = words[STOP]!;
  const isBusy = words[BUSY] === 1;
  const intent = line + INTENT;
  let bytes = reach(place, 0);
  let length = bytes.length;
  let written = 0;
  const batch = words[BATCH]!;
  let left = batch;
  for (;;) {
    words[intent] = TAKING;
    const index = Atomics.add(words, NEXT, 1);
    if (index >= stop) break;
    words[intent] = index;
    if (index >= length) {
      bytes = reach(place, index);
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
      left = batch;
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
  const place = { region, words, number, line, offset: fillOffset(words[EXPECTED]!) };
  if (!awaitStart(place, leaderPid)) return;
  fill(place, LETTERS.charCodeAt(number));
  const finished = finishedCell(region, number);
  finished[0] = monotonicNow();
}
