/** A schedule: who makes a step, again and again; then perhaps somebody dies. Its text, and what it comes to. */

import type { View } from "./explore.ts";
import type { Stage } from "./stage.ts";

export interface Schedule {
  readonly path: readonly number[];
  /** Then this one dies and is recovered, before or after the rest go on. */
  readonly death?: Death;
}

export interface Death {
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

/**
 * The steps up to where a search is, as somebody would make them: those that the others cannot notice come just before the
 * next one that they can, or after the last one, and not as early as the search makes them.
 */
export function pathOf({ path, alone }: View): number[] {
  const first: number[] = [];
  const parts: number[][] = [first];
  const lastOf = new Map<number, number[]>();
  const waiting = new Map<number, number>();
  const add = (part: number[], index: number, count: number): void => {
    for (let left = count; left > 0; left--) part.push(index);
  };
  path.forEach((index, at) => {
    const earlier = waiting.get(index) ?? 0;
    if (alone[at] === true) {
      waiting.set(index, earlier + 1);
      return;
    }
    const part: number[] = [];
    add(part, index, earlier + 1);
    waiting.set(index, 0);
    lastOf.set(index, part);
    parts.push(part);
  });
  for (const [index, count] of waiting) add(lastOf.get(index) ?? first, index, count);
  return parts.flat();
}

/** What a schedule has come to. */
export interface Outcome {
  /** The schedule as it was: nobody makes a step who has ended. */
  readonly schedule: Schedule;
  /** What is wrong; undefined = nothing. Not looked for when `isVoid`. */
  readonly error: Error | undefined;
  /** Who was to die had ended. */
  readonly isVoid: boolean;
}

/** A schedule that is made up on the way. */
export interface Plan {
  /** Who of those who have not ended makes the next step; undefined: nobody, the schedule ends. */
  next(left: readonly number[], made: number): number | undefined;
  /** Asked when it has ended. */
  death(): Death | undefined;
}

/** Begins a race, runs a plan, lets everybody else come to the end one after the other, judges, and puts everything back. */
export function runPlan(stage: Stage, plan: Plan): Outcome {
  const { participants, journal } = stage;
  const path: number[] = [];
  const before = participants.map(() => -1);
  const left = (): number[] => participants.flatMap((one, index) => (one.position().isDone ? [] : [index]));
  const noteFirst = (index: number, others: readonly number[]): void => {
    if (before[index] === -1)
      before[index] = participants.reduce(
        (set, _one, at) => (others.includes(at) ? set : set | (1 << at)),
        0,
      );
  };
  const goOn = (death: Death | undefined): void => {
    if (death?.isRecoveredFirst === true) stage.recoverDead([death.index]);
    for (const index of left()) {
      if (index === death?.index) continue;
      noteFirst(index, left());
      participants[index]!.finish();
    }
    const positions = participants.map((one) => one.position());
    stage.judge(positions, before, false);
  };
  const makeSteps = (): void => {
    for (let others = left(); others.length > 0; others = left()) {
      const index = plan.next(others, path.length);
      if (index === undefined) return;
      noteFirst(index, others);
      path.push(index);
      participants[index]!.step();
    }
  };
  let death: Death | undefined;
  let error: Error | undefined;
  let isVoid = false;
  const mark = journal.mark();
  stage.aside(() => {
    try {
      stage.begin();
      makeSteps();
      death = plan.death();
      isVoid = death !== undefined && !left().includes(death.index);
      if (!isVoid) goOn(death);
    } catch (thrown) {
      error = thrown as Error;
    } finally {
      journal.undoTo(mark);
    }
  });
  return { schedule: death === undefined ? { path } : { path, death }, error, isVoid };
}

/** Runs a schedule as far as there are steps to be made. */
export function runSchedule(stage: Stage, { path, death }: Schedule): Outcome {
  let at = 0;
  return runPlan(stage, {
    next(left) {
      while (at < path.length && !left.includes(path[at]!)) at++;
      return path[at++];
    },
    death: () => death,
  });
}
