/**
 * Runs races: all schedules of one, with a death at each state on the way; or one schedule, to see it again.
 */

import { explore, makeTouches } from "./explore.ts";
import type { View } from "./explore.ts";
import { joinHash, mixHigh, mixLow } from "./journal.ts";
import { judge, prepareRace, recoverDead } from "./race.ts";
import type { Race, Stage } from "./race.ts";
import type { Tally, Violation } from "./tally.ts";

export interface RaceOptions {
  /** At most so many states are met. */
  readonly mostStates: number;
  /** Of the deaths that differ, one in so many is tried; 0 = none. */
  readonly deathStride: number;
  /** True: stop here. */
  isOver(): boolean;
}

/** A schedule: who makes a step, again and again; then perhaps somebody dies and is recovered, before or after the rest go on. */
export interface Schedule {
  readonly path: readonly number[];
  readonly death?: Death;
}

interface Death {
  readonly index: number;
  readonly isRecoveredFirst: boolean;
}

/** As text: `0*12 1*3 0!` – participant 0 makes 12 steps, 1 makes 3, 0 dies; `!!` = it is recovered before 1 goes on. */
export function showSchedule({ path, death }: Schedule): string {
  const parts: string[] = [];
  for (let at = 0; at < path.length;) {
    let end = at;
    while (path[end] === path[at]) end++;
    parts.push(`${path[at]}*${end - at}`);
    at = end;
  }
  if (death !== undefined) parts.push(`${death.index}${death.isRecoveredFirst ? "!!" : "!"}`);
  return parts.join(" ");
}

export function parseSchedule(text: string): Schedule {
  const path: number[] = [];
  let death: Death | undefined;
  for (const part of text.split(" ").filter((one) => one !== "")) {
    const match = /^(\d)(?:\*(\d+)|(!!?))$/.exec(part);
    if (match === null) throw new Error(`"${part}" is no part of a schedule: write 0*12 or 0!`);
    const index = Number(match[1]);
    if (match[3] !== undefined) death = { index, isRecoveredFirst: match[3] === "!!" };
    else for (let count = Number(match[2]); count > 0; count--) path.push(index);
  }
  return death === undefined ? { path } : { path, death };
}

export const raceName = ({ heap, name }: Race): string => `${heap}/${name}`;

export function violationOf(name: string, schedule: Schedule, error: Error): Violation {
  const replay = `npm run proof -- --replay "${name}" --schedule "${showSchedule(schedule)}"`;
  return { name, message: error.message, replay };
}

/** Thrown out of a search when a schedule has failed. */
class FoundError extends Error {
  readonly schedule: Schedule;
  constructor(schedule: Schedule, cause: Error) {
    super(cause.message, { cause });
    this.schedule = schedule;
  }
}

/** What happens when participant `index` dies here. Leaves everything as it was. */
function die(stage: Stage, view: View, death: Death, known: Set<number>): void {
  const { participants, journal } = stage;
  const others = participants.filter((_one, index) => index !== death.index);
  stage.aside(() => {
    const mark = journal.mark();
    try {
      if (death.isRecoveredFirst) recoverDead(stage, [death.index]);
      for (const other of others) if (!other.position().isDone) other.finish();
      const key = joinHash(mixLow(journal.low(), death.index, 1), mixHigh(journal.high(), death.index, 1));
      const isKnown = !death.isRecoveredFirst && known.has(key);
      const positions = participants.map((one, index) =>
        index === death.index ? view.positions[index]! : one.position(),
      );
      judge(stage, positions, view.before, isKnown);
      if (!death.isRecoveredFirst) known.add(key);
    } catch (error) {
      throw new FoundError({ path: [...view.path], death }, error as Error);
    } finally {
      journal.undoTo(mark);
    }
  });
  participants.forEach((one, index) => one.restore(view.positions[index]!));
}

/** Tells whether a death of participant `index` here is one that was not tried. */
function makeDeathFilter(stage: Stage, stride: number): (view: View, index: number) => boolean {
  const tried = new Set<number>();
  return (view, index) => {
    const { positions } = view;
    const { isDone, accesses, results } = positions[index]!;
    if (isDone || accesses < 2) return false;
    let low = mixLow(stage.journal.low(), index, results.length);
    let high = mixHigh(stage.journal.high(), index, results.length);
    positions.forEach((one, other) => {
      if (other === index) return;
      low = mixLow(low, one.low, other);
      high = mixHigh(high, one.high, other);
    });
    if (stride > 1 && (low >>> 0) % stride !== 0) return false;
    const key = joinHash(low, high);
    if (tried.has(key)) return false;
    tried.add(key);
    return true;
  };
}

/** One search of a race's schedules. Throws FoundError. */
function search(race: Race, tally: Tally, options: RaceOptions, preemptions?: number): boolean {
  const stage = prepareRace(race);
  stage.begin();
  const known = new Set<number>();
  const isNewDeath = makeDeathFilter(stage, options.deathStride);
  const { journal, participants } = stage;
  const explored = explore(
    {
      journal,
      participants,
      ...(preemptions === undefined ? {} : { preemptions }),
      isOver: (states) => states > options.mostStates || options.isOver(),
      onEnd(view) {
        const key = joinHash(journal.low(), journal.high());
        try {
          stage.aside(() => judge(stage, view.positions, view.before, known.has(key)));
        } catch (error) {
          throw new FoundError({ path: [...view.path] }, error as Error);
        }
        known.add(key);
      },
      onState(view) {
        if (options.deathStride === 0) return;
        for (let index = 0; index < participants.length; index++) {
          if (!isNewDeath(view, index)) continue;
          tally.deaths += 2;
          for (const isRecoveredFirst of [false, true]) die(stage, view, { index, isRecoveredFirst }, known);
        }
      },
    },
    makeTouches(stage.world.memory),
  );
  tally.schedules += explored.schedules;
  tally.steps += explored.steps;
  return explored.isWhole;
}

/** Of a failing race, the schedule with the fewest preemptions that shows it; else the one that was found. */
function simplest(race: Race, tally: Tally, options: RaceOptions, found: FoundError): FoundError {
  for (let preemptions = 0; preemptions <= 3; preemptions++) {
    try {
      search(race, tally, { ...options, mostStates: 200_000 }, preemptions);
    } catch (error) {
      if (error instanceof FoundError) return error;
      throw error;
    }
  }
  return found;
}

/** Goes through a race's schedules; what is found is added to the tally. */
export function runRace(race: Race, tally: Tally, options: RaceOptions): void {
  tally.operations++;
  try {
    if (!search(race, tally, options)) tally.cut++;
  } catch (error) {
    if (!(error instanceof FoundError)) throw error;
    const { schedule, cause } = simplest(race, tally, options, error);
    tally.violations.push(violationOf(`race/${raceName(race)}`, schedule, cause as Error));
  }
}

/** Runs one schedule of a race; throws what is wrong. Whoever is not at its end when the schedule is goes on to it. */
export function replayRace(race: Race, { path, death }: Schedule): void {
  const stage = prepareRace(race);
  stage.begin();
  const { participants } = stage;
  for (const index of path) {
    if (participants[index]?.position().isDone !== false)
      throw new Error(`participant ${index} makes no more steps: the schedule is another race's`);
    participants[index].step();
  }
  const before = participants.map(() => -1);
  const positions = participants.map((one) => one.position());
  if (death !== undefined) {
    die(stage, { path, positions, before }, death, new Set());
    return;
  }
  for (const one of participants) if (!one.position().isDone) one.finish();
  judge(
    stage,
    participants.map((one) => one.position()),
    before,
    false,
  );
}
