/**
 * `alloc`: nanoseconds for one alloc and one free through the public Heap, as a program calls them, for each allocator
 * that Shoal has, against other allocators that do the same (bench/peers); and what the allocators keep for themselves.
 *
 * What the patterns do stands in bench/alloc/loops.ts. All are short samples, taken in turn; what is counted and not timed
 * comes out the same every time, and is counted in the first round.
 */

import { allocators, patternKey } from "../alloc/contenders.ts";
import type { Allocator, Pattern } from "../alloc/contenders.ts";
import { startCrew } from "../alloc/crew.ts";
import type { Crew } from "../alloc/crew.ts";
import { medianRow } from "../harness/plan.ts";
import type { Probe, RowPlan, Series, Topic, TopicOptions, TopicPlan } from "../harness/plan.ts";
import { installMissing } from "../peers/install.ts";
import { compilePeers } from "../peers/peers.ts";
import type { DriverRequest, Peer } from "../peers/peers.ts";

const pagesSizeBytes = 65536;
const twoSizeBytes = 158;
const overheadSizeBytes = 32;

const twoKey = patternKey({ pattern: "two", sizeBytes: twoSizeBytes });
const scalingKey = "two.scaling";
const overheadKey = `overhead${overheadSizeBytes}.percent`;
const usableKey = "usable.percent";

/** How long a sample takes: of one process, and of two at once, whose start and end are not quite the same. */
interface SampleTimes {
  readonly oneMs: number;
  readonly twoMs: number;
}

/** What is promised on Node 22 and later: nanoseconds a pair, times, percent; null where nothing is. */
interface Targets {
  readonly lifo: number;
  /** Blocks of whole pages. */
  readonly pages: number | null;
  readonly churn10k: number;
  readonly fragmented16M: number;
  readonly scaling: number | null;
  readonly overhead: number | null;
  readonly usable: number | null;
}

const targets: Readonly<Record<Allocator, Targets>> = {
  slab: {
    lifo: 20,
    pages: 150,
    churn10k: 45,
    fragmented16M: 60,
    scaling: 1.1,
    overhead: 4,
    usable: 85,
  },
  buddy: {
    lifo: 28,
    pages: null,
    churn10k: 60,
    fragmented16M: 80,
    scaling: 1.5,
    overhead: null,
    usable: null,
  },
  "first-fit": {
    lifo: 50,
    pages: 100,
    churn10k: 150,
    fragmented16M: 300,
    scaling: null,
    overhead: 25,
    usable: 90,
  },
};

/** Calls into WebAssembly cost Node 20 some 5 ns each more than later versions. */
const [nodeMajor = "0"] = process.versions.node.split(".");
const callSurchargeNs = Number(nodeMajor) < 22 ? 10 : 0;

const patterns: readonly Pattern[] = [
  ...[32, 64, 158, 1024, pagesSizeBytes].map((sizeBytes) => ({ pattern: "lifo" as const, sizeBytes })),
  { pattern: "churn10k", sizeBytes: 32 },
  ...[32, 158].map((sizeBytes) => ({ pattern: "fragmented16M" as const, sizeBytes })),
];

function patternsOf(allocator: Allocator): readonly Pattern[] {
  // A buddy heap's largest block is 1 KiB.
  return allocator === "buddy" ? patterns.filter(({ sizeBytes }) => sizeBytes < pagesSizeBytes) : patterns;
}

function targetOf(allocator: Allocator, { pattern, sizeBytes }: Pattern): number | null {
  if (pattern === "two") return null;
  const target = targets[allocator][sizeBytes === pagesSizeBytes ? "pages" : pattern];
  return target === null ? null : target + callSurchargeNs;
}

/** Series are named after who and what: "slab.lifo.32", "boost.two.158". */
function seriesOf(contender: string, key: string): string {
  return `${contender}.${key}`;
}

function probeTime(crew: Crew, pattern: Pattern, { oneMs }: SampleTimes): Probe {
  const series = seriesOf(crew.allocator, patternKey(pattern));
  return async () => ({ [series]: await crew.time(pattern, oneMs) });
}

function probeTwo(crew: Crew, { twoMs }: SampleTimes): Probe {
  return async () => {
    const { together, alone } = await crew.timeTwo(twoSizeBytes, twoMs);
    return {
      [seriesOf(crew.allocator, twoKey)]: together,
      [seriesOf(crew.allocator, scalingKey)]: together / alone,
    };
  };
}

/** Calls the probe in the first round only. */
function once(probe: Probe): Probe {
  let isFirst = true;
  return () => {
    const samples = isFirst ? probe() : {};
    isFirst = false;
    return samples;
  };
}

function probeSpace(crew: Crew): Probe {
  return once(async () => ({
    [seriesOf(crew.allocator, overheadKey)]: await crew.countOverhead(overheadSizeBytes),
    [seriesOf(crew.allocator, usableKey)]: await crew.countUsable(),
  }));
}

function probesOf(crew: Crew, times: SampleTimes): Probe[] {
  const timed = patternsOf(crew.allocator).map((pattern) => probeTime(crew, pattern, times));
  return [...timed, probeTwo(crew, times), probeSpace(crew)];
}

function probeDriver(peer: Peer, requests: ReadonlyMap<string, DriverRequest>): Probe {
  const keys = [...requests.keys()];
  return async () => {
    const figures = await peer.run([...requests.values()]);
    return Object.fromEntries(keys.map((key, index) => [seriesOf(peer.name, key), figures[index] ?? NaN]));
  };
}

function probesOfPeer(peer: Peer, { oneMs, twoMs }: SampleTimes): Probe[] {
  const timed = new Map<string, DriverRequest>(
    patterns.map((pattern) => [patternKey(pattern), { ...pattern, ms: oneMs }]),
  );
  timed.set(twoKey, { pattern: "two", sizeBytes: twoSizeBytes, ms: twoMs });
  if (!peer.isShared) return [probeDriver(peer, timed)];
  const counted = new Map<string, DriverRequest>([
    [overheadKey, { pattern: "overhead", sizeBytes: overheadSizeBytes, ms: 0 }],
    [usableKey, { pattern: "usable", sizeBytes: 0, ms: 0 }],
  ]);
  return [probeDriver(peer, timed), once(probeDriver(peer, counted))];
}

/** A row and what `peers` came to in the same series. */
function rowOf(
  allocator: Allocator,
  key: string,
  unit: string,
  target: RowPlan["target"],
  peers: readonly Peer[],
): RowPlan {
  return {
    ...medianRow(`alloc.${allocator}.${key}`, unit, target, seriesOf(allocator, key)),
    peersOf: (series) =>
      Object.fromEntries(peers.map(({ name }) => [name, series.median(seriesOf(name, key))])),
  };
}

function scalingRow(allocator: Allocator, peers: readonly Peer[]): RowPlan {
  const aloneKey = patternKey({ pattern: "lifo", sizeBytes: twoSizeBytes });
  const scalingOf = (series: Series, peer: string): number =>
    series.median(seriesOf(peer, twoKey)) / series.median(seriesOf(peer, aloneKey));
  return {
    ...rowOf(allocator, scalingKey, "x", targets[allocator].scaling, []),
    peersOf: (series) => Object.fromEntries(peers.map(({ name }) => [name, scalingOf(series, name)])),
  };
}

/** First-fit serialises all, as Boost does, and must do it no worse; the others are held to their scaling. */
function twoTarget(allocator: Allocator, peers: readonly Peer[]): RowPlan["target"] {
  if (allocator !== "first-fit" || !peers.some(({ name }) => name === "boost")) return null;
  return (series) => series.median(seriesOf("boost", twoKey));
}

function rowsOf(allocator: Allocator, peers: readonly Peer[]): RowPlan[] {
  const { overhead, usable } = targets[allocator];
  const shared = peers.filter(({ isShared }) => isShared);
  return [
    ...patternsOf(allocator).map((pattern) =>
      rowOf(allocator, patternKey(pattern), "ns", targetOf(allocator, pattern), peers),
    ),
    rowOf(allocator, twoKey, "ns", twoTarget(allocator, peers), peers),
    scalingRow(allocator, peers),
    rowOf(allocator, overheadKey, "%", overhead, shared),
    { ...rowOf(allocator, usableKey, "%", usable, shared), atLeast: true },
  ];
}

async function planAlloc({ isQuick }: TopicOptions): Promise<TopicPlan> {
  const crews = await Promise.all(allocators.map((allocator) => startCrew(allocator, isQuick)));
  const { peers, dispose } = await compilePeers();
  const times = isQuick ? { oneMs: 0, twoMs: 0 } : { oneMs: 5, twoMs: 20 };
  return {
    rounds: isQuick ? 1 : 41,
    probes: [
      ...crews.flatMap((crew) => probesOf(crew, times)),
      ...peers.flatMap((peer) => probesOfPeer(peer, times)),
    ],
    rows: allocators.flatMap((allocator) => rowsOf(allocator, peers)),
    async dispose() {
      dispose();
      await Promise.all(crews.map((crew) => crew.end()));
    },
  };
}

export const allocTopic: Topic = { name: "alloc", plan: planAlloc, installPeers: installMissing };
