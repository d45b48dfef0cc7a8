/** Runs races of the synchronisation objects: all schedules, with a death at each state on the way; or one schedule again. */

import { DEATH, explore, makeTouches } from "./explore.ts";
import type { View } from "./explore.ts";
import { pathOf } from "./schedule.ts";
import { prepareSyncRace } from "./sync-race.ts";
import type { SyncRace, SyncStage } from "./sync-race.ts";
import type { Tally } from "./tally.ts";

export interface SyncOptions {
  /** A race that has more states is gone through up to so many preemptions instead. */
  readonly mostStates: number;
  readonly preemptions: number;
  /** True: stop here. */
  isOver(): boolean;
}

export const syncRaceName = ({ name }: SyncRace): string => `sync/${name}`;

/** As text: `0*12 1*3 0! 1*2` – participant 0 makes 12 steps, 1 makes 3, 0 dies, 1 makes 2. */
export function showPath(path: readonly number[]): string {
  const parts: string[] = [];
  for (let at = 0; at < path.length;) {
    const index = path[at]!;
    let end = at;
    while (path[end] === index) end++;
    parts.push(index >= DEATH ? `${index - DEATH}!` : `${index}*${end - at}`);
    at = end;
  }
  return parts.join(" ");
}

export function parsePath(text: string): number[] {
  return text
    .split(" ")
    .filter((part) => part !== "")
    .flatMap((part) => {
      const match = /^(\d)(?:\*(\d+)|!)$/.exec(part);
      if (match === null) throw new Error(`"${part}" is no part of a schedule: write 0*12 or 0!`);
      const index = Number(match[1]);
      if (match[2] === undefined) return [index + DEATH];
      return Array.from({ length: Number(match[2]) }, () => index);
    });
}

class FoundError extends Error {
  readonly path: readonly number[];
  constructor(path: readonly number[], cause: Error) {
    super(cause.message, { cause });
    this.path = path;
  }
}

const deadIn = (path: readonly number[]): number =>
  (path.find((index) => index >= DEATH) ?? DEATH - 1) - DEATH;

function judge(stage: SyncStage, view: View, path: () => readonly number[]): void {
  try {
    stage.aside(() => stage.judge(view.positions, deadIn(view.path)));
  } catch (error) {
    throw new FoundError(path(), error as Error);
  }
}

/** True: gone through whole. Throws FoundError. */
function search(
  race: SyncRace,
  tally: Tally,
  options: SyncOptions,
  mostStates: number,
  preemptions?: number,
): boolean {
  const stage = prepareSyncRace(race);
  stage.begin();
  const { journal, participants, mortal } = stage;
  const explored = explore(
    {
      journal,
      participants,
      mortal,
      ...(preemptions === undefined ? {} : { preemptions }),
      isAsleep: (position) => stage.isAsleep(position),
      die(index) {
        tally.deaths++;
        stage.die(index);
      },
      isOver: (states) => states > mostStates || options.isOver(),
      onState(view) {
        // What a program has found wrong is wrong at once.
        const failed = view.positions.some(({ failure }) => failure !== undefined);
        if (failed) judge(stage, view, () => pathOf(view));
      },
      onEnd: (view) => judge(stage, view, () => pathOf(view)),
    },
    makeTouches(stage.scene.world.memory),
  );
  tally.schedules += explored.schedules;
  tally.steps += explored.steps;
  return explored.isWhole;
}

/** Of a failing race, the schedule with the fewest preemptions that shows it; else the one that was found. */
function simplest(race: SyncRace, tally: Tally, options: SyncOptions, found: FoundError): FoundError {
  for (let preemptions = 0; preemptions <= 3; preemptions++) {
    try {
      search(race, tally, options, 300_000, preemptions);
    } catch (error) {
      if (error instanceof FoundError) return error;
      throw error;
    }
  }
  return found;
}

/** Goes through a race's schedules; what is found is added to the tally. */
export function runSyncRace(race: SyncRace, tally: Tally, options: SyncOptions): void {
  tally.operations++;
  try {
    if (search(race, tally, options, options.mostStates)) return;
    if (search(race, tally, options, Infinity, options.preemptions)) tally.bounded++;
    else tally.cut++;
  } catch (error) {
    if (!(error instanceof FoundError)) throw error;
    const { path, cause } = simplest(race, tally, options, error);
    const name = `race/${syncRaceName(race)}`;
    const { message } = cause as Error;
    tally.violations.push({
      name,
      message,
      replay: `npm run proof -- --replay "${name}" --schedule "${showPath(path)}"`,
    });
  }
}

/** Runs one schedule of a race, then whoever can go on to its end, one after the other; throws what is wrong. */
export function replaySyncRace(race: SyncRace, path: readonly number[]): void {
  const stage = prepareSyncRace(race);
  stage.begin();
  const { participants } = stage;
  const dead = deadIn(path);
  let hasDied = false;
  const canGo = (index: number): boolean => {
    const position = participants[index]?.position();
    return position?.isDone === false && !stage.isAsleep(position) && !(hasDied && index === dead);
  };
  for (const index of path) {
    if (index >= DEATH) {
      stage.die(index - DEATH);
      hasDied = true;
    } else if (canGo(index)) participants[index]!.step();
    else throw new Error(`participant ${index} makes no more steps: the schedule is another race's`);
  }
  for (let isGoing = true; isGoing;) {
    isGoing = false;
    for (let index = 0; index < participants.length; index++) {
      for (; canGo(index); isGoing = true) participants[index]!.step();
    }
  }
  const positions = participants.map((one, index) => {
    const position = one.position();
    return hasDied && index === dead ? { ...position, isDone: true } : position;
  });
  stage.judge(positions, dead);
}
