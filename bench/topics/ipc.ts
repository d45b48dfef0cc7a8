/**
 * `ipc`: what it takes to hand messages from one process to another and back, through Shoal's channels and through what
 * else there is (bench/ipc/peers); what a lock costs that nobody else wants; and what a thousand channels cost that
 * nothing comes through.
 *
 * The contenders' processes live over all rounds (bench/ipc/contender.ts) and take short samples in turn. Rows of what
 * bench/ipc/shoal.ts does not have yet have no value.
 */

import { medianRow } from "../harness/plan.ts";
import type { Probe, RowPlan, Series, Topic, TopicOptions, TopicPlan } from "../harness/plan.ts";
import type { SampleLength } from "../ipc/calibrate.ts";
import type { Work } from "../ipc/drive.ts";
import { startPair, startSoloist } from "../ipc/pair.ts";
import type { Pair, SoloProcess } from "../ipc/pair.ts";
import { ipcPeers, postMessagePeer, socketPeer } from "../ipc/peers/index.ts";
import type { IpcPeer } from "../ipc/peers/index.ts";
import { installPackages } from "../ipc/peers/install.ts";
import { nameOfShoal, plainNode } from "../ipc/registry.ts";
import { shoalContenders, shoalSoloists } from "../ipc/shoal.ts";
import type { ShoalRow, ShoalSoloRow } from "../ipc/shoal.ts";

const smallSizeBytes = 64;
const largeSizesBytes = [65536, 1048576] as const;
const nsPerUs = 1000;

/** How many times as fast as the Unix socket. */
const largeTargets = { loan: 5, copy: 1.5 } as const;

type Large = keyof typeof largeTargets;

interface Job {
  readonly work: Work;
  readonly sizeBytes: number;
}

const smallTrips: Job = { work: "roundTrips", sizeBytes: smallSizeBytes };
const smallOneWay: Job = { work: "oneWay", sizeBytes: smallSizeBytes };
const largeJobs: readonly Job[] = largeSizesBytes.map((sizeBytes) => ({ work: "oneWay", sizeBytes }));

/** What is measured of Shoal for the rows of this name. */
const shoalJobs: Readonly<Record<ShoalRow, readonly Job[]>> = {
  "rtt.spin": [smallTrips],
  "rtt.block": [smallTrips],
  "rtt.await": [smallTrips],
  ring: [smallOneWay],
  queue: [smallOneWay],
  loan: largeJobs,
  copy: largeJobs,
};

/** Series are named after who and what, "pipe oneWay 64": nanoseconds. */
function seriesOf(contender: string, { work, sizeBytes }: Job): string {
  return `${contender} ${work} ${sizeBytes}`;
}

function jobsOf({ isSmall, large }: IpcPeer): Job[] {
  return [...(isSmall ? [smallTrips, smallOneWay] : []), ...(large.length > 0 ? largeJobs : [])];
}

function probesOf(contender: string, pair: Pair, jobs: readonly Job[], length: SampleLength): Probe[] {
  return jobs.map((job) => async () => ({
    [seriesOf(contender, job)]: await pair.sample(job.work, job.sizeBytes, length),
  }));
}

type Started = readonly { readonly end: () => Promise<void> }[];

/** Those that can be had here; of the others it is said why not. */
async function startPeers(): Promise<{ peer: IpcPeer; pair: Pair }[]> {
  const started = await Promise.all(
    ipcPeers.map(async (peer) => {
      const pair = await startPeer(peer);
      return pair === undefined ? [] : [{ peer, pair }];
    }),
  );
  return started.flat();
}

/** Starts it and does a little of everything, because what is installed may not run on this runtime. */
async function startAndTry(peer: IpcPeer): Promise<Pair> {
  const pair = await startPair(peer.name);
  try {
    for (const { work, sizeBytes } of jobsOf(peer)) {
      // oxlint-disable-next-line no-await-in-loop
      await pair.sample(work, sizeBytes, { ms: 0, isQuick: true });
    }
    return pair;
  } catch (error) {
    await pair.end();
    throw error;
  }
}

async function startPeer(peer: IpcPeer): Promise<Pair | undefined> {
  let obstacle = peer.findObstacle?.();
  try {
    if (obstacle === undefined) return await startAndTry(peer);
  } catch (error) {
    obstacle = error instanceof Error ? error.message.split("\n", 1)[0] : String(error);
  }
  process.stderr.write(`no figures for ${peer.name} (${obstacle})\n`);
  return undefined;
}

/** A row of Shoal's, in the unit that `convert` makes of nanoseconds, and what the peers came to. */
function rowOf(
  name: string,
  unit: string,
  target: RowPlan["target"],
  from: { row: ShoalRow; job: Job; peers: readonly IpcPeer[]; convert: (ns: number) => number },
): RowPlan {
  const { row, job, peers, convert } = from;
  const figureOf = (series: Series, contender: string) => convert(series.median(seriesOf(contender, job)));
  return {
    name,
    unit,
    target,
    atLeast: job.work === "oneWay",
    valueOf: (series) =>
      shoalContenders[row] === undefined ? Number.NaN : figureOf(series, nameOfShoal(row)),
    peersOf: (series) => Object.fromEntries(peers.map((peer) => [peer.name, figureOf(series, peer.name)])),
  };
}

/** Within 20 us, and faster than what threads of one process have. */
function awaitTarget(series: Series): number {
  return Math.min(20, series.median(seriesOf(postMessagePeer, smallTrips)) / nsPerUs);
}

function smallRows(all: readonly IpcPeer[]): RowPlan[] {
  const peers = all.filter(({ isSmall }) => isSmall);
  const trip = (row: ShoalRow, unit: "ns" | "us", target: RowPlan["target"]): RowPlan =>
    rowOf(`ipc.${row}.${unit}`, unit, target, {
      row,
      job: smallTrips,
      peers,
      convert: (ns) => (unit === "ns" ? ns : ns / nsPerUs),
    });
  const rate = (row: ShoalRow, target: number): RowPlan =>
    rowOf(`ipc.${row}.${smallSizeBytes}.mps`, "M/s", target, {
      row,
      job: smallOneWay,
      peers,
      convert: (ns) => 1000 / ns,
    });
  return [
    trip("rtt.spin", "ns", 500),
    trip("rtt.block", "us", 10),
    trip("rtt.await", "us", all.some(({ name }) => name === postMessagePeer) ? awaitTarget : 20),
    rate("ring", 8),
    rate("queue", 4),
  ];
}

/** Bytes a nanosecond are GB a second. */
function largeRow(row: Large, job: Job, all: readonly IpcPeer[]): RowPlan {
  const convert = (ns: number): number => job.sizeBytes / ns;
  const socketTarget = (series: Series): number =>
    largeTargets[row] * convert(series.median(seriesOf(socketPeer, job)));
  return rowOf(
    `ipc.${row}.${job.sizeBytes}.gbps`,
    "GB/s",
    all.some(({ name }) => name === socketPeer) ? socketTarget : null,
    { row, job, peers: all.filter(({ large }) => large.includes(row)), convert },
  );
}

const soloRows = ["mutex", "mutex.await", "idle1000"] as const satisfies readonly ShoalSoloRow[];

function soloRow(
  row: ShoalSoloRow,
  name: string,
  unit: string,
  target: number | null,
  series = row as string,
) {
  const plan = medianRow(name, unit, target, series);
  return shoalSoloists[row] === undefined ? { ...plan, valueOf: () => Number.NaN } : plan;
}

function idleRows(): RowPlan[] {
  return [
    {
      // A bare process takes some tenths of a percent itself, now and then: less than this cannot be told from it.
      ...soloRow("idle1000", "ipc.idle1000.cpu.percent", "%", 0.5, "idle1000.cpu"),
      peersOf: (series) => ({ [plainNode]: series.median("plain.cpu") }),
    },
    {
      ...soloRow("idle1000", "ipc.idle1000.threads", "threads", 2),
      valueOf: (series) =>
        shoalSoloists.idle1000 === undefined
          ? Number.NaN
          : series.median("idle1000.threads") - series.median("plain.threads"),
    },
  ];
}

/**
 * Looking lasts seconds, so in some rounds only; and not in the first ones, in which the engine still compiles and tidies up
 * what was needed for the start.
 */
const restRounds = [6, 12, 18, 24, 30] as const;

function probeRest(series: string, process: SoloProcess, ms: number, isQuick: boolean): Probe {
  let round = 0;
  return async () => {
    round += 1;
    if (!(isQuick ? [1] : (restRounds as readonly number[])).includes(round)) return {};
    const { cpuPercent = Number.NaN, threads = Number.NaN } = await process.ask({ ask: "rest", ms });
    return { [`${series}.cpu`]: cpuPercent, [`${series}.threads`]: threads };
  };
}

function probeRepeat(row: ShoalSoloRow, process: SoloProcess, length: SampleLength): Probe {
  return async () => {
    const { ns = Number.NaN } = await process.ask({ ask: "repeat", ...length });
    return { [row]: ns };
  };
}

async function startSoloists(length: SampleLength, restMs: number) {
  const rows = soloRows.filter((row) => shoalSoloists[row] !== undefined);
  const plain = await startSoloist(plainNode);
  const own = await Promise.all(
    rows.map(async (row) => ({ row, process: await startSoloist(nameOfShoal(row)) })),
  );
  const probes = own.map(({ row, process }) =>
    row === "idle1000" ? probeRest(row, process, restMs, length.isQuick) : probeRepeat(row, process, length),
  );
  return {
    processes: [plain, ...own.map(({ process }) => process)],
    probes: [probeRest("plain", plain, restMs, length.isQuick), ...probes],
  };
}

async function startShoal(): Promise<{ row: ShoalRow; pair: Pair }[]> {
  const rows = Object.keys(shoalContenders) as ShoalRow[];
  return Promise.all(rows.map(async (row) => ({ row, pair: await startPair(nameOfShoal(row)) })));
}

async function planIpc({ isQuick }: TopicOptions): Promise<TopicPlan> {
  const length: SampleLength = { ms: 20, isQuick };
  const peers = await startPeers();
  const shoal = await startShoal();
  const solo = await startSoloists(length, isQuick ? 100 : 3000);
  const started: Started = [
    ...peers.map(({ pair }) => pair),
    ...shoal.map(({ pair }) => pair),
    ...solo.processes,
  ];
  const known = peers.map(({ peer }) => peer);
  return {
    rounds: isQuick ? 1 : 31,
    probes: [
      ...shoal.flatMap(({ row, pair }) => probesOf(nameOfShoal(row), pair, shoalJobs[row], length)),
      ...peers.flatMap(({ peer, pair }) => probesOf(peer.name, pair, jobsOf(peer), length)),
      ...solo.probes,
    ],
    rows: [
      ...smallRows(known),
      ...largeJobs.flatMap((job) => [largeRow("loan", job, known), largeRow("copy", job, known)]),
      soloRow("mutex", "sync.mutex.ns", "ns", 30),
      soloRow("mutex.await", "sync.mutex.await.ns", "ns", 150),
      ...idleRows(),
    ],
    async dispose() {
      await Promise.all(started.map(({ end }) => end()));
    },
  };
}

export const ipcTopic: Topic = { name: "ipc", plan: planIpc, installPeers: installPackages };
