/**
 * The fill's leader: creates the segment, starts the processes, opens the start line once all have attached, sees them
 * out, and then judges: which bytes are whose, which were left by the dead, which are lost. It takes no index itself and
 * waits for nothing by polling: for arrivals and the milestone on futex words, for the end on the processes' exits.
 * Whatever happens, no process and no segment is left behind.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { shoalError } from "../errors.ts";
import type { ShoalError, ShoalErrorCode } from "../errors.ts";
import { futexWaitAsync, futexWake } from "../os/index.ts";
import { Region } from "../region/index.ts";
import {
  ARRIVED,
  BATCH,
  BUSY,
  controlWords,
  EXPECTED,
  fillOffset,
  FIRST_SIZE_BYTES,
  GO,
  GO_HOME,
  GO_RUN,
  GROWTH_COUNT,
  GROWTHS,
  LETTERS,
  lineOf,
  MILESTONE,
  monotonicNow,
  PASSED,
  PAUSE,
  startedCell,
  STOP,
  WRITTEN,
} from "./fill-area.ts";
import type { FillOrder } from "./fill-process.ts";
import { judge } from "./fill-verdict.ts";
import type { Verdict } from "./fill-verdict.ts";

const WAIT_LIMIT_MS = 1000;
/** Progress is published once for so many bytes, and at least so often for small sizes. */
const BATCH_BYTES = 4096;
const LEAST_BATCHES = 16;
/** With --kill the participants rest after each batch, so that "midway" is not over at once. */
const LEAST_KILL_MS = 400;
const NEVER = 0x7fffffff;

export interface FillOptions {
  readonly processes: number;
  /** Workers of each process, beside its main thread. */
  readonly threads: number;
  readonly sizeBytes: number;
  /** SIGKILL to one process when half of the bytes are taken. */
  readonly kill: boolean;
  /** One system call for each byte. */
  readonly busy: boolean;
}

/** What is told while it happens, and what can be looked at. */
export interface FillWatcher {
  readonly onStart?: (view: FillView) => void;
  /** All have gone and every byte is judged; the view's last moment. */
  readonly onEnd?: () => void;
  readonly onProcessDone?: (number: number, outcome: string) => void;
  readonly onKill?: (number: number, pid: number) => void;
}

/** A look at the fill while it runs. Reads the segment; waits for nobody. */
export interface FillView {
  readonly name: string;
  readonly segmentSizeBytes: () => number;
  /** Bytes written by each process, its workers included. */
  readonly written: () => number[];
  /** Growths seen so far: the segment's size, who was first to use it, and when. */
  readonly growths: () => { sizeBytes: number; participant: number; microseconds: number }[];
  /** Letters at so many places, evenly spread; "." = nobody has written there yet. */
  readonly map: (length: number) => string;
}

export interface KilledFacts {
  /** From 0; its letters are those of its participants. */
  readonly process: number;
  readonly pid: number;
  readonly letters: string;
  /** Bytes that were taken by anybody when it was killed. */
  readonly afterBytes: number;
  /** Its slots that were found dead, before recovery. */
  readonly deadSlots: number;
}

export interface FillResult extends Verdict {
  readonly processes: number;
  readonly threads: number;
  readonly sizeBytes: number;
  /** From the first process's start until all had attached. */
  readonly attachSeconds: number;
  /** From the opening of the start line until the last participant had finished. */
  readonly fillSeconds: number;
  readonly bytesPerSecond: number;
  readonly growths: number;
  readonly segmentSizeBytes: number;
  readonly killed: KilledFacts | null;
  readonly participantsBefore: number;
  readonly participantsAfter: number;
  readonly recoveredSlots: number;
}

interface Member {
  readonly number: number;
  readonly child: ChildProcess;
  /** Resolves when the process has gone, whichever way. */
  readonly gone: Promise<void>;
  /** Undefined while it runs; "" when it ended well. */
  outcome: string | undefined;
}

interface Crew {
  readonly options: FillOptions;
  readonly region: Region;
  readonly words: Int32Array;
  readonly participantCount: number;
  readonly members: Member[];
  /** The first thing that went wrong with a member. */
  failure: Error | undefined;
  killed: Omit<KilledFacts, "deadSlots"> | null;
  isEnding: boolean;
}

let segmentCount = 0;

function createSegment(participantCount: number): Region {
  segmentCount++;
  const name = `shoal-demo-${process.pid}${segmentCount === 1 ? "" : `-${segmentCount}`}`;
  return Region.create(name, { sizeBytes: FIRST_SIZE_BYTES, maxParticipants: participantCount + 2 });
}

function writeOrders(words: Int32Array, options: FillOptions, participantCount: number): void {
  const { sizeBytes, kill, busy } = options;
  const batch = Math.max(1, Math.min(BATCH_BYTES, Math.floor(sizeBytes / participantCount / LEAST_BATCHES)));
  words[STOP] = sizeBytes;
  words[EXPECTED] = participantCount;
  words[BUSY] = busy ? 1 : 0;
  words[BATCH] = batch;
  words[MILESTONE] = kill ? Math.floor(sizeBytes / 2) : NEVER;
  words[PAUSE] = kill ? Math.ceil((LEAST_KILL_MS * batch * participantCount) / sizeBytes) : 0;
}

/** What a member that failed wrote to its standard error, as an error. */
function parseComplaint(text: string, number: number, how: string): Error {
  const line = text.trim().split("\n").at(-1) ?? "";
  try {
    const { code, message, details } = JSON.parse(line) as Pick<ShoalError, "message" | "details"> & {
      code: ShoalErrorCode;
    };
    return shoalError(code, message, details);
  } catch (cause) {
    const message = `process ${number} of the crew ended with ${how}: ${text.trim() || "it said nothing"}`;
    return shoalError("ERR_SHOAL_SYSTEM", message, { process: number }, cause);
  }
}

function startMember(crew: Crew, number: number, watcher: FillWatcher): void {
  const { options, region, participantCount } = crew;
  const order: FillOrder = {
    name: region.name,
    first: number * (1 + options.threads),
    threads: options.threads,
    participantCount,
    leaderPid: process.pid,
  };
  const program = fileURLToPath(new URL("fill-process.js", import.meta.url));
  const child = spawn(process.execPath, [program, JSON.stringify(order)], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaint += text));
  const gone = new Promise<void>((resolve) => {
    child.once("error", (error) => {
      crew.failure ??= shoalError(
        "ERR_SHOAL_SYSTEM",
        `process ${number} could not be started: ${error.message}`,
        {},
        error,
      );
      member.outcome ??= "not started";
      futexWake(crew.words, ARRIVED);
      resolve();
    });
    child.once("close", (code, signal) => {
      member.outcome = signal ?? (code === 0 ? "" : `exit code ${code}`);
      if (code !== 0 && code !== null) crew.failure ??= parseComplaint(complaint, number, member.outcome);
      futexWake(crew.words, ARRIVED);
      if (!crew.isEnding) watcher.onProcessDone?.(number, member.outcome);
      resolve();
    });
  });
  const member: Member = { number, child, gone, outcome: undefined };
  crew.members.push(member);
}

function checkHealth(crew: Crew, signal: AbortSignal | undefined): void {
  if (crew.failure !== undefined) throw crew.failure;
  signal?.throwIfAborted();
}

/** Until every participant stands at the start line. */
async function awaitArrivals(crew: Crew, signal: AbortSignal | undefined): Promise<void> {
  const { words, participantCount } = crew;
  for (;;) {
    checkHealth(crew, signal);
    const arrived = Atomics.load(words, ARRIVED);
    if (arrived === participantCount) return;
    const early = crew.members.find((member) => member.outcome !== undefined);
    if (early !== undefined) throw parseComplaint("", early.number, early.outcome!);
    await futexWaitAsync(words, ARRIVED, arrived, { timeoutMs: WAIT_LIMIT_MS });
  }
}

/** Opens the start line. SYNC with awaitStart in fill.ts. */
function release(words: Int32Array, go: number): void {
  Atomics.store(words, GO, go);
  futexWake(words, GO);
}

/** Kills the last process once half of the indexes are taken. */
async function killAtMilestone(crew: Crew, watcher: FillWatcher): Promise<void> {
  const { words, options, members } = crew;
  while (Atomics.load(words, PASSED) === 0) {
    await futexWaitAsync(words, PASSED, 0, { timeoutMs: WAIT_LIMIT_MS });
  }
  const victim = members.at(-1)!;
  if (victim.outcome !== undefined || !victim.child.kill("SIGKILL")) return;
  const first = victim.number * (1 + options.threads);
  crew.killed = {
    process: victim.number,
    pid: victim.child.pid!,
    letters: lettersFrom(first, 1 + options.threads),
    afterBytes: Math.min(Atomics.load(words, 0), options.sizeBytes),
  };
  watcher.onKill?.(victim.number, victim.child.pid!);
}

function lettersFrom(first: number, count: number): string {
  return LETTERS.slice(first, first + count);
}

/** Ends waiting for the milestone, which nobody may have reached. */
function pass(words: Int32Array): void {
  Atomics.store(words, PASSED, 1);
  futexWake(words, PASSED);
}

async function runCrew(crew: Crew, watcher: FillWatcher, signal: AbortSignal | undefined): Promise<number> {
  const { options, region, words, members } = crew;
  const startedAt = performance.now();
  for (let number = 0; number < options.processes; number++) startMember(crew, number, watcher);
  await awaitArrivals(crew, signal);
  const attachSeconds = (performance.now() - startedAt) / 1000;
  watcher.onStart?.(viewOf(crew));
  const started = startedCell(region);
  started[0] = monotonicNow();
  release(words, GO_RUN);
  const killing = options.kill ? killAtMilestone(crew, watcher) : Promise.resolve();
  try {
    await untilGone(members, signal);
  } finally {
    pass(words);
    await killing;
  }
  checkHealth(crew, signal);
  return attachSeconds;
}

/** Until all have gone, or the signal aborts. */
async function untilGone(members: readonly Member[], signal: AbortSignal | undefined): Promise<void> {
  let abort = (): void => undefined;
  const aborted = new Promise<void>((resolve) => (abort = resolve));
  signal?.addEventListener("abort", abort);
  if (signal?.aborted) abort();
  await Promise.race([Promise.all(members.map((member) => member.gone)), aborted]);
  signal?.removeEventListener("abort", abort);
}

/** Sends everybody home who is still here, and removes the segment. */
async function dissolve(crew: Crew): Promise<void> {
  crew.isEnding = true;
  release(crew.words, GO_HOME);
  for (const { child, outcome } of crew.members) if (outcome === undefined) child.kill("SIGKILL");
  await Promise.all(crew.members.map((member) => member.gone));
  crew.region.remove();
}

function viewOf({ options, region, words, participantCount }: Crew): FillView {
  const offset = fillOffset(participantCount);
  const perProcess = 1 + options.threads;
  const firstBytes = region.segmentSizeBytes;
  return {
    name: region.name,
    segmentSizeBytes: () => {
      region.catchUp();
      return region.segmentSizeBytes;
    },
    written: () =>
      Array.from({ length: options.processes }, (_, process) => {
        let sum = 0;
        for (let part = 0; part < perProcess; part++)
          sum += words[lineOf(process * perProcess + part) + WRITTEN]!;
        return sum;
      }),
    growths: () => {
      const found = [];
      for (let entry = 1; entry < GROWTH_COUNT; entry++) {
        const number = Atomics.load(words, GROWTHS + 2 * entry);
        const microseconds = Atomics.load(words, GROWTHS + 2 * entry + 1);
        const sizeBytes = FIRST_SIZE_BYTES * 2 ** entry;
        if (microseconds === 0 || sizeBytes <= firstBytes) continue;
        found.push({ sizeBytes, participant: number - 1, microseconds });
      }
      return found;
    },
    map: (length) => {
      region.catchUp();
      const bytes = region.bytes(offset);
      const step = options.sizeBytes / length;
      const letters = Array.from({ length }, (_, index) => bytes[Math.floor((index + 0.5) * step)] ?? 0);
      return letters.map((code) => (code === 0 ? "." : String.fromCharCode(code))).join("");
    },
  };
}

function conclude(crew: Crew, attachSeconds: number): FillResult {
  const { options, region, participantCount } = crew;
  region.catchUp();
  const before = region.participants();
  const deadSlots = before.filter((one) => !one.alive).length;
  const recoveredSlots = region.recover();
  const { finishedAt, ...verdict } = judge(region, participantCount, options.sizeBytes);
  const fillSeconds = (finishedAt - startedCell(region)[0]!) / 1e9;
  return {
    processes: options.processes,
    threads: options.threads,
    sizeBytes: options.sizeBytes,
    attachSeconds,
    fillSeconds,
    bytesPerSecond: Math.round(options.sizeBytes / fillSeconds),
    ...verdict,
    growths: region.growths,
    segmentSizeBytes: region.segmentSizeBytes,
    killed: crew.killed === null ? null : { ...crew.killed, deadSlots },
    participantsBefore: before.length,
    participantsAfter: region.participants().length,
    recoveredSlots,
  };
}

/**
 * Runs one fill from beginning to end.
 *
 * @param signal ends it early: everything is cleaned up, then the signal's reason is thrown
 * @throws what a participant met (ERR_SHOAL_NO_SPACE, say), ERR_SHOAL_SYSTEM when one could not be started
 */
export async function runFill(
  options: FillOptions,
  watcher: FillWatcher = {},
  signal?: AbortSignal,
): Promise<FillResult> {
  signal?.throwIfAborted();
  const participantCount = options.processes * (1 + options.threads);
  const region = createSegment(participantCount);
  const words = controlWords(region, participantCount);
  const crew: Crew = {
    options,
    region,
    words,
    participantCount,
    members: [],
    failure: undefined,
    killed: null,
    isEnding: false,
  };
  const wake = (): void => void futexWake(words, ARRIVED);
  signal?.addEventListener("abort", wake);
  try {
    writeOrders(words, options, participantCount);
    const attachSeconds = await runCrew(crew, watcher, signal);
    const result = conclude(crew, attachSeconds);
    watcher.onEnd?.();
    return result;
  } finally {
    signal?.removeEventListener("abort", wake);
    await dissolve(crew);
  }
}
