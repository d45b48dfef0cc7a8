/**
 * `alloc`: nanoseconds for one alloc and one free through the public Heap, as a program calls them, against the C
 * library's private malloc doing the same.
 *
 * `lifo.SIZE` frees each block at once. `churn10k.SIZE` keeps 10,000 blocks and replaces one at random; choosing it
 * costs a nanosecond or two, for the peer as well. One heap and one loop for all sizes: the call sites see one shape, as
 * in a program with one heap.
 */

import { consume } from "../harness/consume.ts";
import { medianRow } from "../harness/plan.ts";
import type { Probe, RowPlan, Topic, TopicOptions, TopicPlan } from "../harness/plan.ts";
import { warmUp } from "../harness/warm.ts";
import { compileMallocPeer } from "../peers/glibc.ts";
import type { MallocPeer, Pattern } from "../peers/glibc.ts";
import { Heap } from "../../src/heap/index.ts";
import type { Handle } from "../../src/heap/index.ts";

const liveCount = 10_000;

const patterns: readonly Pattern[] = [
  ...[32, 64, 158, 1024, 65536].map((sizeBytes) => ({ pattern: "lifo", sizeBytes })),
  { pattern: "churn10k", sizeBytes: 32 },
];

function rowName({ pattern, sizeBytes }: Pattern): string {
  return `alloc.slab.${pattern}.${sizeBytes}`;
}

function peerSeries(pattern: Pattern): string {
  return `glibc.${rowName(pattern)}`;
}

/** Calls into WebAssembly cost Node 20 some 5 ns more than later versions. */
function targetOf({ pattern, sizeBytes }: Pattern): number | null {
  if (pattern !== "lifo" || sizeBytes !== 64) return null;
  const [major = "0"] = process.versions.node.split(".");
  return Number(major) < 22 ? 35 : 25;
}

const pairsPerLoop = 1000;

/** Short and called often, not one long loop: engines compile a loop that is entered once less well (OSR). */
function runPairs(heap: Heap, sizeBytes: number): number {
  let sum = 0;
  for (let index = 0; index < pairsPerLoop; index += 1) {
    const handle = heap.alloc(sizeBytes);
    sum = (sum + handle) | 0;
    heap.free(handle);
  }
  return sum;
}

function runLifo(heap: Heap, sizeBytes: number, loops: number): number {
  const startedMs = performance.now();
  for (let index = 0; index < loops; index += 1) consume(runPairs(heap, sizeBytes));
  return ((performance.now() - startedMs) * 1e6) / (loops * pairsPerLoop);
}

/** Replaces blocks at random places; returns the state of the generator (xorshift32) to go on with. */
function replaceBlocks(heap: Heap, sizeBytes: number, live: Handle[], seed: number): number {
  let random = seed;
  for (let step = 0; step < pairsPerLoop; step += 1) {
    random ^= random << 13;
    random ^= random >>> 17;
    random ^= random << 5;
    const index = Math.floor(((random >>> 0) / 2 ** 32) * liveCount);
    heap.free(live[index] as Handle);
    live[index] = heap.alloc(sizeBytes);
  }
  return random;
}

/** The blocks come and go within the sample, so that the other samples see a heap as it was. */
function runChurn(heap: Heap, sizeBytes: number, loops: number): number {
  const live: Handle[] = Array.from({ length: liveCount }, () => heap.alloc(sizeBytes));
  let random = 0x2545f491;
  const startedMs = performance.now();
  for (let index = 0; index < loops; index += 1) random = replaceBlocks(heap, sizeBytes, live, random);
  const elapsedMs = performance.now() - startedMs;
  for (const handle of live) {
    consume(handle);
    heap.free(handle);
  }
  return (elapsedMs * 1e6) / (loops * pairsPerLoop);
}

function probePattern(heap: Heap, pattern: Pattern, loops: number): Probe {
  const run = pattern.pattern === "lifo" ? runLifo : runChurn;
  return () => ({ [rowName(pattern)]: run(heap, pattern.sizeBytes, loops) });
}

function probeMalloc(peer: MallocPeer, count: number): Probe {
  return () => {
    const figures = peer.run(count, patterns);
    return Object.fromEntries(patterns.map((pattern, index) => [peerSeries(pattern), figures[index] ?? NaN]));
  };
}

function planRow(pattern: Pattern, hasPeer: boolean): RowPlan {
  const row = medianRow(rowName(pattern), "ns", targetOf(pattern));
  if (!hasPeer) return row;
  return { ...row, peersOf: (series) => ({ glibc: series.median(peerSeries(pattern)) }) };
}

function planAlloc({ isQuick }: TopicOptions): TopicPlan {
  const loops = isQuick ? 2 : 200;
  const peer = compileMallocPeer();
  const heap = Heap.create(`/shoal-bench-${process.pid}-alloc`, { sizeBytes: 4 * 1024 * 1024 });
  for (const { pattern, sizeBytes } of patterns) {
    const run = pattern === "lifo" ? runLifo : runChurn;
    warmUp(() => run(heap, sizeBytes, loops), isQuick);
  }
  const probes = patterns.map((pattern) => probePattern(heap, pattern, loops));
  return {
    rounds: isQuick ? 1 : 41,
    probes: peer === undefined ? probes : [...probes, probeMalloc(peer, loops * pairsPerLoop)],
    rows: patterns.map((pattern) => planRow(pattern, peer !== undefined)),
    dispose: () => {
      peer?.dispose();
      heap.remove();
    },
  };
}

export const allocTopic: Topic = { name: "alloc", plan: planAlloc };
