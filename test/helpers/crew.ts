/**
 * Crews: participants of one heap for the conformance suites of the synchronisation objects, in four set-ups.
 *
 *     inEverySetup("mutex", async ({ heap, mates }, holds) => {
 *       await holds("…", async () => {
 *         await mates[0]!.run(async ({ heap }, name) => { … }, "name");
 *       });
 *     });
 *
 * What a mate runs sees its arguments and its tools only (peer.ts), whatever the set-up, so that one suite serves all.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Heap } from "../../src/data/heap.ts";
import { ShoalError } from "../../src/errors.ts";
import type { ShoalErrorCode } from "../../src/errors.ts";
import type { Handle, HeapCreateOptions } from "../../src/heap/index.ts";
import { startProcess, startWorker } from "./peer.ts";
import type { Peer } from "./peer.ts";
import { makeTools } from "./peer-tools.ts";
import type { PeerTools } from "./peer-tools.ts";
import { freshPosixName } from "./segments.ts";

export type { PeerTools } from "./peer-tools.ts";

export const SETUPS = ["one process", "two processes", "worker threads", "mixed"] as const;
export type Setup = (typeof SETUPS)[number];

/** Another participant of the heap. */
export interface Mate {
  /** Whether it has a thread of its own: then it may block. */
  readonly canBlock: boolean;
  readonly pid: number;
  /** Runs `work` there, with the tools of that place; `tools.heap` is the heap. */
  run<Args extends unknown[], Result>(
    work: (tools: PeerTools, ...args: Args) => Result | Promise<Result>,
    ...args: Args
  ): Promise<Result>;
  /** Ends it without warning. In one process: only its opening is ended. */
  kill(): Promise<void>;
}

export interface Crew {
  readonly setup: Setup;
  /** The test's own opening of the heap. */
  readonly heap: Heap;
  /** What the test itself runs functions with that mates run too. */
  readonly tools: PeerTools;
  readonly mates: readonly [Mate, Mate];
}

/** A new heap with all that can be in it, closed after the test and its name removed. */
export function createFullHeap(t: TestContext, options: HeapCreateOptions = {}): Heap {
  const heap = Heap.create(freshPosixName(t), options);
  t.after(() => closeHolding(heap));
  return heap;
}

/** Another opening of the heap in this thread, closed after the test. */
export function openFullHeap(t: TestContext, heap: Heap): Heap {
  const again = Heap.open(heap.region.name);
  t.after(() => closeHolding(again));
  return again;
}

/** Closes it. A test that has failed holds what it held: what comes after it is to be done all the same. */
function closeHolding(heap: Heap): void {
  try {
    heap.close();
  } catch (error) {
    if (!(error instanceof ShoalError) || error.code !== "ERR_SHOAL_HELD") throw error;
  }
}

export function toolsOf(heap: Heap): PeerTools {
  const tools = makeTools();
  tools.keep("heap", heap);
  return tools;
}

/** A new block of words, all 0. */
export function makeWords(heap: Heap, count: number): Handle {
  return heap.calloc(count, 4);
}

/** A mate in a process or worker that was started for it. */
export async function mateOf(peer: Peer, heap: Heap): Promise<Mate> {
  await peer.run(({ FullHeap, keep }, name) => keep("heap", FullHeap.open(name)), heap.region.name);
  return { canBlock: true, pid: peer.pid, run: peer.run, kill: peer.kill };
}

/** A mate in this thread, with an opening of its own. */
export function localMate(t: TestContext, heap: Heap): Mate {
  const again = openFullHeap(t, heap);
  const tools = toolsOf(again);
  return {
    canBlock: false,
    pid: process.pid,
    run: async (work, ...args) => work(tools, ...args),
    kill: async () => again.close(),
  };
}

export async function startMate(
  t: TestContext,
  heap: Heap,
  place: "here" | "process" | "worker",
): Promise<Mate> {
  if (place === "here") return localMate(t, heap);
  return mateOf(place === "process" ? startProcess(t) : startWorker(t), heap);
}

const PLACES = {
  "one process": ["here", "here"],
  "two processes": ["process", "process"],
  "worker threads": ["worker", "worker"],
  mixed: ["process", "worker"],
} as const satisfies Record<Setup, readonly ["here" | "process" | "worker", "here" | "process" | "worker"]>;

/** A heap with three participants. */
export async function makeCrew(t: TestContext, setup: Setup): Promise<Crew> {
  const heap = createFullHeap(t);
  const [first, second] = PLACES[setup];
  const mates = await Promise.all([startMate(t, heap, first), startMate(t, heap, second)]);
  return { setup, heap, tools: toolsOf(heap), mates };
}

/** Declares a part of a suite. */
export type Holds = (what: string, body: () => Promise<void>) => Promise<void>;

/** Declares a suite once for each set-up. Its parts share a crew; each names its own objects. */
export function inEverySetup(noun: string, suite: (crew: Crew, holds: Holds) => Promise<void>): void {
  for (const setup of SETUPS) {
    test(`${noun}, ${setup}`, async (t) => {
      const crew = await makeCrew(t, setup);
      await suite(crew, async (what, body) => t.test(`${noun}, ${setup}: ${what}`, body));
      assert.deepEqual(crew.heap.verify().problems, []);
    });
  }
}

/** Asserts that the promise rejects with this code; returns the error. */
export async function rejectsCode(
  promise: Promise<unknown>,
  code: ShoalErrorCode,
  message = /./,
): Promise<Error & { readonly code: string }> {
  const outcome: unknown = await promise.then(
    (value) => value,
    (error: unknown) => error,
  );
  const found = outcome instanceof Error && "code" in outcome ? outcome.code : undefined;
  assert.equal(found, code, `expected ${code}, got ${String(outcome)}`);
  assert.match((outcome as Error).message, message);
  return outcome as Error & { readonly code: string };
}

/** Whether the promise is still pending after `ms`. */
export async function isPending(promise: Promise<unknown>, ms = 60): Promise<boolean> {
  const late = Symbol("late");
  const timer = new Promise((resolve) => setTimeout(resolve, ms, late));
  return (await Promise.race([promise, timer])) === late;
}
