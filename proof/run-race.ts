/**
 * Runs races: all schedules of one, with a death at each state on the way; or one schedule, to see it again.
 */

import { explore, makeTouches } from "./explore.ts";
import type { Touches, View } from "./explore.ts";
import { joinHash, mixHigh, mixLow } from "./journal.ts";
import { pathOf, runSchedule, showSchedule } from "./schedule.ts";
import type { Death, Schedule } from "./schedule.ts";
import { shrink } from "./shrink.ts";
import type { Contest, Stage } from "./stage.ts";
import type { Tally, Violation } from "./tally.ts";

export interface RaceOptions {
  /** A race of two that has more states is gone through up to so many preemptions instead, and one of three. */
  readonly mostStates: number;
  readonly preemptions: number;
  readonly mostStatesOfThree: number;
  readonly preemptionsOfThree: number;
  /** Of the deaths that differ, one in so many is tried, of races of two and of three; 0 = none. */
  readonly deathStride: number;
  readonly deathStrideOfThree: number;
  /** True: stop here. */
  isOver(): boolean;
}

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
      if (death.isRecoveredFirst) stage.recoverDead([death.index]);
      for (const other of others) if (!other.position().isDone) other.finish();
      const key = joinHash(mixLow(journal.low(), death.index, 1), mixHigh(journal.high(), death.index, 1));
      const isKnown = !death.isRecoveredFirst && known.has(key);
      const positions = participants.map((one, index) =>
        index === death.index ? view.positions[index]! : one.position(),
      );
      stage.judge(positions, view.before, isKnown);
      if (!death.isRecoveredFirst) known.add(key);
    } catch (error) {
      throw new FoundError({ path: pathOf(view), death }, error as Error);
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

/** Searches of one race's schedules, which share what they find out. */
interface Search {
  readonly isPair: boolean;
  run(mostStates: number, preemptions?: number): boolean;
}

/** Each run returns whether it has gone through all, and throws FoundError. */
function makeSearch(race: Contest, tally: Tally, options: RaceOptions): Search {
  const stage = race.prepare();
  stage.begin();
  const known = new Set<number>();
  const isPair = stage.participants.length === 2;
  const deathStride = isPair ? options.deathStride : options.deathStrideOfThree;
  const isNewDeath = makeDeathFilter(stage, deathStride);
  const touches = makeTouches(stage.world.memory);
  const searching = { stage, known, deathStride, isNewDeath, touches, tally, options };
  return {
    isPair,
    run: (mostStates, preemptions) => search(searching, mostStates, preemptions),
  };
}

interface Searching {
  readonly stage: Stage;
  /** Memories that were judged. */
  readonly known: Set<number>;
  readonly deathStride: number;
  readonly isNewDeath: ReturnType<typeof makeDeathFilter>;
  readonly touches: Touches;
  readonly tally: Tally;
  readonly options: RaceOptions;
}

function search(searching: Searching, mostStates: number, preemptions: number | undefined): boolean {
  const { stage, known, deathStride, isNewDeath, touches, tally, options } = searching;
  const { journal, participants } = stage;
  const explored = explore(
    {
      journal,
      participants,
      ...(preemptions === undefined ? {} : { preemptions }),
      isOver: (states) => states > mostStates || options.isOver(),
      onEnd(view) {
        const key = joinHash(journal.low(), journal.high());
        try {
          stage.aside(() => stage.judge(view.positions, view.before, known.has(key)));
        } catch (error) {
          throw new FoundError({ path: pathOf(view) }, error as Error);
        }
        known.add(key);
      },
      onState(view) {
        if (deathStride === 0) return;
        for (let index = 0; index < participants.length; index++) {
          if (!isNewDeath(view, index)) continue;
          tally.deaths += 2;
          for (const isRecoveredFirst of [false, true]) die(stage, view, { index, isRecoveredFirst }, known);
        }
      },
    },
    touches,
  );
  tally.schedules += explored.schedules;
  tally.steps += explored.steps;
  return explored.isWhole;
}

/** Up to so many preemptions the simplest schedule is looked for. */
const PREEMPTIONS = 3;

/** Of a failing race, the schedule with the fewest preemptions that shows it; else the one that was found. */
function simplest(race: Contest, tally: Tally, options: RaceOptions, found: FoundError): FoundError {
  // A search that was left by an error has left the memory as it was then.
  const searchAgain = makeSearch(race, tally, options);
  for (let preemptions = 0; preemptions <= PREEMPTIONS; preemptions++) {
    try {
      searchAgain.run(200_000, preemptions);
    } catch (error) {
      if (error instanceof FoundError) return error;
      throw error;
    }
  }
  return found;
}

/** Goes through a race's schedules; what is found is added to the tally. */
export function runRace(race: Contest, tally: Tally, options: RaceOptions): void {
  tally.operations++;
  try {
    const whole = makeSearch(race, tally, options);
    const { isPair } = whole;
    if (whole.run(isPair ? options.mostStates : options.mostStatesOfThree)) return;
    if (whole.run(Infinity, isPair ? options.preemptions : options.preemptionsOfThree)) tally.bounded++;
    else tally.cut++;
  } catch (error) {
    if (!(error instanceof FoundError)) throw error;
    const { schedule, cause } = simplest(race, tally, options, error);
    const least = shrink(race.prepare(), schedule) ?? { schedule, error: cause as Error };
    tally.violations.push(violationOf(`race/${race.name}`, least.schedule, least.error));
  }
}

/** Runs one schedule of a race; throws what is wrong. Whoever is not at its end when the schedule is goes on to it. */
export function replayRace(race: Contest, schedule: Schedule): void {
  const outcome = runSchedule(race.prepare(), schedule);
  if (outcome.isVoid || outcome.schedule.path.length < schedule.path.length)
    throw new Error("somebody makes no more steps: the schedule is another race's");
  if (outcome.error !== undefined) throw outcome.error;
}
