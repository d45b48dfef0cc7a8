/**
 * Participants as coroutines of one thread.
 *
 * The module is the checked build of the core with one change (scripts/lib/instrument.mjs): before every access to shared
 * memory it says which it is, and can be unwound there and rewound later. So a participant stops before each access for as
 * long as the explorer likes, others run meanwhile, and one that is never resumed has died there. All that it is, is words:
 * its stack lies in the *area*, a part of the memory that the segment does not use, its globals are copied there when it
 * stops. So it can be put back to where it was, too.
 */

import { PAGE_SIZE_BYTES } from "../src/layout/header.ts";
import { S_SCRATCH, SCRATCH_SIZE_BYTES } from "../src/layout/slot.ts";
import type { HeapCore } from "../src/region/core.ts";
import { mixHigh, mixLow } from "./journal.ts";
import type { Journal } from "./journal.ts";

/** A core whose participant reaches as many pages as it is told, not as the memory has: so it must catch up with a growth. */
export interface SteppedCore extends HeapCore {
  setMapped(pages: number): void;
}

/** What a participant does: calls of the core, and what it makes of their results. Called anew for each step of its own. */
export type Program = (core: SteppedCore) => number;

export const READ = 0;
export const WRITE = 1;
export const FILL = 2;
export const COPY = 3;

/** An access that is about to happen. */
export interface Access {
  readonly site: number;
  readonly kind: number;
  readonly address: number;
  readonly lengthBytes: number;
  /** Of a copy: from where. */
  readonly from: number;
}

interface Exports {
  readonly [name: string]: (...args: number[]) => number;
}

/** Bytes of an area: the globals, the two words that Asyncify wants, the stack. */
export const AREA_BYTES = 4096;

/**
 * Sites of the helpers that make several accesses: addFitChange, getAtLeast, getLargest (core/mem-fit.ts), and counts of
 * channels (core/mem-channel.ts, core/mem-topic.ts).
 */
const SEVERAL_ACCESSES: ReadonlySet<number> = new Set([307, 324, 325, 636, 637, 638, 709, 710, 722]);

/** No operation of the core makes so many accesses. */
const mostAccesses = 100_000;

/** Where a participant is. Two that are in the same state go on in the same way on the same memory. */
export interface Position {
  readonly isDone: boolean;
  /** What the program returned, as an unsigned number; lastError() besides when that was 0. */
  readonly result: number;
  readonly error: number;
  /** Why the program failed, if it threw. */
  readonly failure: Error | undefined;
  readonly results: readonly number[];
  readonly call: string;
  readonly args: readonly number[];
  readonly next: Access;
  readonly accesses: number;
  readonly words: Int32Array;
  readonly low: number;
  readonly high: number;
}

export interface Participant {
  readonly slot: number;
  /** Its core, for what is no part of the exploration: nothing is noted, nothing stops. */
  readonly core: SteppedCore;
  /** From now on its instance is as it is now whenever a program begins. */
  keepGlobals(): void;
  /** Begins a program: runs to before its first access. */
  begin(program: Program): void;
  /** Carries out the access that it stands before and runs to before the next one, or to its end. */
  step(): void;
  /** Carries out all the rest. Returns how many accesses that were. */
  finish(): number;
  position(): Position;
  /** Back to where it was; the memory has been put back, or is about to be. */
  restore(position: Position): void;
}

const noAccess: Access = { site: 0, kind: READ, address: 0, lengthBytes: 0, from: 0 };

/** Thrown through a program that has made its next call. */
const paused = new Error("the program waits for its call's end");

class RunawayError extends Error {}

type Mode = "plain" | "stepping" | "free" | "unwinding" | "rewinding";

/** How the instance's accesses come out: its memory, journal, and its place there. */
export interface Surroundings {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly journal: Journal;
  readonly areaOffset: number;
  readonly slotsOffset: number;
  readonly slotSizeBytes: number;
}

/** The participant in slot `slot`, which is taken already. */
export function makeParticipant(slot: number, around: Surroundings): Participant {
  const { memory, journal, areaOffset } = around;
  const scratchOffset = around.slotsOffset + slot * around.slotSizeBytes + S_SCRATCH;
  const words = new Int32Array(memory.buffer);
  const areaAt = areaOffset >>> 2;

  let mode: Mode = "plain";
  let next: Access = noAccess;
  let accesses = 0;
  let program: Program | undefined;
  let results: readonly number[] = [];
  let call = "";
  let args: readonly number[] = [];
  let isDone = true;
  let result = 0;
  let error = 0;
  let failure: Error | undefined;
  let kept: Int32Array | undefined;

  const carryOut = (access: Access): void => {
    if (access.kind !== READ) journal.note(access.address, access.lengthBytes);
  };

  const access = (site: number, kind: number, address: number, lengthBytes: number, from: number): void => {
    if (mode === "plain") return;
    if (mode === "rewinding") {
      exports["asyncify_stop_rewind"]!();
      mode = isFree ? "free" : "stepping";
      return;
    }
    const isSame = site === 0 && SEVERAL_ACCESSES.has(next.site);
    if (site === 0 && !isSame) throw new Error(`an access at ${address} comes without a checkpoint`);
    if (++accesses > mostAccesses) throw new RunawayError(`${call} makes more than ${mostAccesses} accesses`);
    next = {
      site: isSame ? next.site : site,
      kind,
      address: address >>> 0,
      lengthBytes: lengthBytes >>> 0,
      from: from >>> 0,
    };
    const endOffset = next.address + next.lengthBytes;
    if (endOffset > exports["mapped"]!() * PAGE_SIZE_BYTES)
      throw new WebAssembly.RuntimeError(
        `${call} reaches ${endOffset}, which its participant has not mapped`,
      );
    if (mode === "free") {
      journal.settle();
      carryOut(next);
      return;
    }
    mode = "unwinding";
    words[stackAt] = stackOffset + 8;
    words[stackAt + 1] = areaOffset + AREA_BYTES;
    exports["asyncify_start_unwind"]!(stackOffset);
  };

  let isFree = false;
  const exports = new WebAssembly.Instance(around.module, { env: { memory, access } })
    .exports as unknown as Exports;
  const stackOffset = areaOffset + exports["globalsBytes"]!();
  const stackAt = stackOffset >>> 2;

  /** The core as the program sees it. */
  let cursor = 0;
  let hasCalled = false;
  const facade: Record<string, (...args: number[]) => number> = {};
  const plain: Record<string, (...args: number[]) => number> = {};
  for (const name of Object.keys(exports)) {
    plain[name] = (...values) => {
      const before = mode;
      mode = "plain";
      try {
        return exports[name]!(...values);
      } finally {
        mode = before;
      }
    };
    facade[name] = (...values) => {
      // A `finally` of the program must not make a call of its own.
      if (hasCalled) throw paused;
      const known = results[cursor];
      if (known !== undefined) {
        cursor++;
        return known;
      }
      hasCalled = true;
      call = name;
      args = values;
      throw paused;
    };
  }

  /** Runs the program up to its next call; true when it has ended. */
  const runProgram = (): boolean => {
    cursor = 0;
    hasCalled = false;
    journal.note(scratchOffset, SCRATCH_SIZE_BYTES);
    try {
      result = program!(facade as unknown as SteppedCore) >>> 0;
      isDone = true;
      error = result === 0 ? (exports["lastError"]?.() ?? 0) : 0;
    } catch (thrown) {
      if (!hasCalled) {
        isDone = true;
        failure = thrown as Error;
      }
    }
    journal.settle();
    return isDone;
  };

  /** From the return of the wasm code on: the call goes on later, or has ended and the next one begins. */
  const goOn = (value: number | undefined): void => {
    let returned = value;
    while (mode !== "unwinding") {
      journal.settle();
      // Calls without a result give undefined.
      results = [...results, returned ?? 0];
      next = noAccess;
      if (runProgram()) {
        mode = "plain";
        return;
      }
      mode = isFree ? "free" : "stepping";
      returned = exports[call]!(...args);
    }
    exports["asyncify_stop_unwind"]!();
    mode = "stepping";
    journal.settle();
    exports["saveGlobals"]!(areaOffset);
  };

  const resume = (): void => {
    carryOut(next);
    mode = "rewinding";
    exports["asyncify_start_rewind"]!(stackOffset);
    try {
      goOn(exports[call]!(...args));
    } catch (thrown) {
      fail(thrown as Error);
    }
  };

  /** The wasm code trapped. */
  const fail = (thrown: Error): void => {
    mode = "plain";
    isDone = true;
    failure = thrown;
    next = noAccess;
    journal.settle();
  };

  return {
    slot,
    core: plain as unknown as SteppedCore,
    keepGlobals() {
      exports["saveGlobals"]!(areaOffset);
      kept = words.slice(areaAt, stackAt);
    },
    begin(what) {
      words.set(kept!, areaAt);
      exports["loadGlobals"]!(areaOffset);
      program = what;
      results = [];
      accesses = 0;
      isDone = false;
      result = error = 0;
      failure = undefined;
      next = noAccess;
      if (runProgram()) return;
      mode = "stepping";
      try {
        goOn(exports[call]!(...args));
      } catch (thrown) {
        fail(thrown as Error);
      }
    },
    step() {
      isFree = false;
      resume();
    },
    finish() {
      const before = accesses;
      isFree = true;
      if (!isDone) resume();
      isFree = false;
      return accesses - before;
    },
    position() {
      const length = isDone ? 0 : words[stackAt]! / 4 - areaAt;
      const copy = words.slice(areaAt, areaAt + length);
      let low = mixLow(slot, isDone ? result : results.length, error);
      let high = mixHigh(slot, isDone ? result : results.length, error);
      for (const one of results) {
        low = mixLow(low, one, 1);
        high = mixHigh(high, one, 1);
      }
      for (let at = 0; at < length; at++) {
        low = Math.imul(low ^ copy[at]!, 0x85ebca6b) + (low >>> 15);
        high = Math.imul(high ^ copy[at]!, 0xc2b2ae35) + (high >>> 14);
      }
      return { isDone, result, error, failure, results, call, args, next, accesses, words: copy, low, high };
    },
    restore(position) {
      ({ isDone, result, error, failure, results, call, args, next, accesses } = position);
      words.set(position.words, areaAt);
      mode = isDone ? "plain" : "stepping";
      if (!isDone) exports["loadGlobals"]!(areaOffset);
    },
  };
}
