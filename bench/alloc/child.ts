/**
 * The program of the processes that take Shoal's samples: each has one heap, sleeps until it is told what to measure, and
 * answers with the figure. It ends, and removes the heap if it made it, when its parent lets go of it or dies.
 *
 * A process of its own for each heap, because engines inline a call into WebAssembly only where the call site has seen
 * one function: after a second heap every pair would take 5 to 13 ns more, in all of them.
 */

import { answerParent } from "../harness/answer.ts";
import type { Answerer } from "../harness/answer.ts";
import { warmUp } from "../harness/warm.ts";
import { Heap, ShoalError, asHandle } from "../../src/heap/index.ts";
import type { AllocatorName, HeapCreateOptions } from "../../src/heap/index.ts";
import { patternKey } from "./contenders.ts";
import type { Allocator, TimedName } from "./contenders.ts";
import { fillForOverhead, fragment, timeChurn, timeFragmented, timeLifo } from "./loops.ts";

/** The heap that a child has, as JSON in its first argument. */
export interface HeapPlan {
  readonly name: string;
  readonly allocator: Allocator;
  readonly sizeBytes: number;
  /** "fixed": it has no room to grow; "opened": another child has made it. */
  readonly kind: "growable" | "fixed" | "opened";
  readonly isQuick: boolean;
}

/** What a child can be asked; it answers each with one number. */
export type Request =
  | {
      readonly ask: TimedName;
      readonly sizeBytes: number;
      readonly ms: number;
      readonly meetingPoint?: number;
    }
  | { readonly ask: "meeting point" | "usable percent" }
  | { readonly ask: "overhead percent"; readonly sizeBytes: number };

const pageSizeBytes = 65536;
const meetingTimeoutMs = 10_000;

/** A heap whose data is as large as it will ever be: the smallest span that it fits in. */
function createFixed(name: string, sizeBytes: number, options: HeapCreateOptions): Heap {
  for (let spanBytes = sizeBytes + pageSizeBytes; ; spanBytes += pageSizeBytes) {
    try {
      return Heap.create(name, { ...options, sizeBytes, spanBytes });
    } catch (error) {
      if (!(error instanceof ShoalError) || error.code !== "ERR_SHOAL_SPAN") throw error;
    }
  }
}

function makeHeap({ name, allocator, sizeBytes, kind }: HeapPlan): Heap {
  if (kind === "opened") return Heap.open(name);
  const options = { allocator: allocator as AllocatorName };
  return kind === "fixed"
    ? createFixed(name, sizeBytes, options)
    : Heap.create(name, { ...options, sizeBytes });
}

/** Answers requests on one heap. */
class Sampler {
  readonly #heap: Heap;
  readonly #isQuick: boolean;
  readonly #warmed = new Set<string>();
  #usablePercent: number | undefined;
  #meetings = 0;

  constructor(heap: Heap, isQuick: boolean) {
    this.#heap = heap;
    this.#isQuick = isQuick;
  }

  answer(request: Request): number {
    switch (request.ask) {
      case "meeting point":
        return this.#makeMeetingPoint();
      case "usable percent":
        return this.#fragment();
      case "overhead percent":
        return fillForOverhead(this.#heap, request.sizeBytes);
      default:
        return this.#time(request.ask, request.sizeBytes, request.ms, request.meetingPoint);
    }
  }

  #fragment(): number {
    this.#usablePercent ??= fragment(this.#heap);
    return this.#usablePercent;
  }

  #time(pattern: TimedName, sizeBytes: number, ms: number, meetingPoint: number | undefined): number {
    if (pattern === "fragmented16M") this.#fragment();
    const key = patternKey({ pattern, sizeBytes });
    if (!this.#warmed.has(key)) warmUp(() => this.#run(pattern, sizeBytes, 1), this.#isQuick);
    this.#warmed.add(key);
    if (meetingPoint !== undefined) this.#meet(meetingPoint);
    return this.#run(pattern, sizeBytes, ms);
  }

  #run(pattern: TimedName, sizeBytes: number, ms: number): number {
    if (pattern === "churn10k") return timeChurn(this.#heap, sizeBytes, ms);
    if (pattern === "fragmented16M") return timeFragmented(this.#heap, sizeBytes, ms);
    return timeLifo(this.#heap, sizeBytes, ms);
  }

  /** A word in the heap that counts who has come. */
  #makeMeetingPoint(): number {
    return this.#heap.calloc(1, Int32Array.BYTES_PER_ELEMENT);
  }

  /** Returns when the other child has come too, in both at the same time but for a cache miss. */
  #meet(meetingPoint: number): void {
    const { buffer, byteOffset } = this.#heap.bytes(asHandle(meetingPoint), Int32Array.BYTES_PER_ELEMENT);
    const words = new Int32Array(buffer, byteOffset, 1);
    this.#meetings += 1;
    Atomics.add(words, 0, 1);
    const endMs = performance.now() + meetingTimeoutMs;
    while (Atomics.load(words, 0) < 2 * this.#meetings) {
      if (performance.now() > endMs) throw new Error("the other process did not come.");
    }
  }
}

function startSampler(plan: HeapPlan): Answerer<Request, number> {
  const heap = makeHeap(plan);
  const sampler = new Sampler(heap, plan.isQuick);
  return {
    answer: (request) => sampler.answer(request),
    leave() {
      if (plan.kind === "opened") heap.close();
      else heap.remove();
    },
  };
}

const [planJson] = process.argv.slice(2);
if (planJson === undefined) throw new Error("crew.ts starts this program, with the heap's plan.");
answerParent(() => startSampler(JSON.parse(planJson) as HeapPlan));
