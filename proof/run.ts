/** Runs the whole proof, or a single part of it again. */

import { readSites } from "../test/helpers/core-world.ts";
import { channelContests } from "./channel-races.ts";
import { crashCases } from "./crash-cases.ts";
import { crashEverywhere } from "./crash.ts";
import { heapKinds } from "./heaps.ts";
import { randomNumber, randomRace, runRandom } from "./random.ts";
import { eventRaces } from "./races-events.ts";
import { lockRaces } from "./races-sync.ts";
import { contestOf } from "./race.ts";
import { races } from "./races.ts";
import { replayRace, runRace } from "./run-race.ts";
import type { RaceOptions } from "./run-race.ts";
import { parsePath, replaySyncRace, runSyncRace, syncRaceName } from "./run-sync.ts";
import { parseSchedule } from "./schedule.ts";
import type { Contest } from "./stage.ts";
import type { SyncRace } from "./sync-race.ts";
import { makeTally } from "./tally.ts";
import type { Tally, Violation } from "./tally.ts";
import { topicContests } from "./topic-races.ts";

export interface ProofOptions {
  readonly seed: number;
  /** Everything: a death at each state, reads too, random races until the time is over. */
  readonly isDeep: boolean;
  readonly minutes: number;
  /** Only what has this in its name; without it, everything. */
  readonly only?: string;
}

export interface ProofResult extends Tally {
  readonly sites: number;
  readonly seconds: number;
  /** It was told to stop before its end. */
  readonly isInterrupted: boolean;
}

export interface Watcher {
  /** What is about to be done; `done` of `total` parts are. */
  progress(name: string, done: number, total: number, tally: Tally): void;
  isStopped(): boolean;
}

type Extent = Omit<RaceOptions, "isOver">;

/** The default, of heaps: of the deaths that differ one in so many, states of one race, preemptions of a larger one. */
export const usual: Extent = {
  deathStride: 48,
  mostStates: 100_000,
  preemptions: 3,
  deathStrideOfThree: 128,
  mostStatesOfThree: 20_000,
  preemptionsOfThree: 1,
};
const deep: Extent = {
  deathStride: 1,
  mostStates: 2_000_000,
  preemptions: 3,
  deathStrideOfThree: 1,
  mostStatesOfThree: 2_000_000,
  preemptionsOfThree: 2,
};

/** The same of channels. */
export const usualChannels: Extent = { ...usual, deathStride: 8, deathStrideOfThree: 8 };

/** Random races, and schedules of each. */
const usualRandom = { races: 300, schedules: 12 };
const deepRandom = { races: Infinity, schedules: 40 };

/** The same of races of the synchronisation objects. */
export const usualSync = { mostStates: 5000, preemptions: 1 };
const deepSync = { mostStates: 1_000_000, preemptions: 3 };

export const syncRaces = (isDeep: boolean): readonly SyncRace[] =>
  [...lockRaces, ...eventRaces].filter(({ isLarge }) => isDeep || isLarge !== true);

const heapContests = races.map(contestOf);
const channelsContests = [...channelContests, ...topicContests];
const contests: readonly Contest[] = [...heapContests, ...channelsContests];

interface Part {
  readonly name: string;
  run(tally: Tally): void;
}

function* partsOf(options: ProofOptions, isOver: () => boolean): Generator<Part> {
  const { isDeep, seed, only = "" } = options;
  const random = isDeep ? deepRandom : usualRandom;
  const isWanted = (name: string): boolean => name.includes(only);
  for (const one of crashCases(isDeep)) {
    const name = `crash/${one.name}`;
    if (isWanted(name)) yield { name, run: (tally) => runCrash(name, tally, isDeep) };
  }
  for (const race of contests) {
    const name = `race/${race.name}`;
    const extent = isDeep ? deep : heapContests.includes(race) ? usual : usualChannels;
    if (isWanted(name)) yield { name, run: (tally) => runRace(race, tally, { ...extent, isOver }) };
  }
  for (const race of syncRaces(isDeep)) {
    const name = `race/${syncRaceName(race)}`;
    const sync = { ...(isDeep ? deepSync : usualSync), isOver };
    if (isWanted(name)) yield { name, run: (tally) => runSyncRace(race, tally, sync) };
  }
  for (let index = 0; index < random.races; index++) {
    const one = randomNumber(seed, index);
    const name = `random/${one.heap}/${one.seed}`;
    if (!isWanted(name) && only !== "") return;
    yield { name, run: (tally) => runRandom(one.heap, one.seed, random.schedules, tally) };
  }
}

const violationOf = (name: string, message: string): Violation => ({
  name,
  message,
  replay: `npm run proof -- --replay "${name}"`,
});

/** What a part cannot cope with is a violation, too. */
function runPart({ name, run }: Part, tally: Tally): void {
  try {
    run(tally);
  } catch (error) {
    tally.violations.push(violationOf(name, `cannot be run: ${(error as Error).message}`));
  }
}

function runCrash(name: string, tally: Tally, isDeep: boolean): void {
  const found = crashCases(true).find((one) => `crash/${one.name}` === name);
  if (found === undefined) throw new Error(`there is no ${name}`);
  try {
    crashEverywhere(found.prepare(), { tally, isDeep });
  } catch (error) {
    const { message } = error as Error;
    tally.violations.push({ name, message, replay: `npm run proof -- --replay "${name}"` });
  }
}

const countOf = (options: ProofOptions): number =>
  crashCases(options.isDeep).length +
  contests.length +
  syncRaces(options.isDeep).length +
  (options.isDeep ? 0 : usualRandom.races);

export function runProof(options: ProofOptions, watcher: Watcher): ProofResult {
  const startedAt = performance.now();
  const isLate = (): boolean => options.isDeep && performance.now() - startedAt > options.minutes * 60_000;
  const isOver = (): boolean => watcher.isStopped() || isLate();
  const tally = makeTally();
  const total = countOf(options);
  let done = 0;
  for (const part of partsOf(options, isOver)) {
    if (isOver()) break;
    watcher.progress(part.name, done++, total, tally);
    runPart(part, tally);
  }
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  return { ...tally, sites: readSites().size, seconds, isInterrupted: watcher.isStopped() };
}

/** Does again what a violation names; throws what is wrong. */
export function replay(name: string, schedule: string | undefined): void {
  const [kind, ...rest] = name.split("/");
  const tally = makeTally();
  if (kind === "crash") {
    runCrash(name, tally, true);
    if (tally.violations[0] !== undefined) throw new Error(tally.violations[0].message);
    return;
  }
  if (rest[0] === "sync") {
    replaySync(name, schedule, tally);
    return;
  }
  const random = (): Contest | undefined => {
    const heap = heapKinds.find((one) => one === rest[0]);
    return heap === undefined ? undefined : contestOf(randomRace(heap, Number(rest[1])));
  };
  const race = kind === "random" ? random() : contests.find((one) => one.name === rest.join("/"));
  if (race === undefined) throw new Error(`there is nothing named "${name}"`);
  if (schedule !== undefined) {
    replayRace(race, parseSchedule(schedule));
    return;
  }
  runRace(race, tally, { ...deep, isOver: () => false });
  throwFound(tally);
}

/** What is wrong, and how it is shown again. */
function throwFound({ violations: [found] }: Tally): void {
  if (found !== undefined) throw new Error(`${found.message}\n${found.replay}`);
}

function replaySync(name: string, schedule: string | undefined, tally: Tally): void {
  const race = syncRaces(true).find((one) => `race/${syncRaceName(one)}` === name);
  if (race === undefined) throw new Error(`there is nothing named "${name}"`);
  if (schedule !== undefined) {
    replaySyncRace(race, parsePath(schedule));
    return;
  }
  runSyncRace(race, tally, { ...deepSync, isOver: () => false });
  throwFound(tally);
}
