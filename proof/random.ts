/**
 * Random races: rows of operations drawn from a seed, run in random orders, some with a death.
 */

import type { HeapCore } from "../src/region/core.ts";
import { heapKinds, rootNames, sizePagesOf } from "./heaps.ts";
import type { HeapKind } from "./heaps.ts";
import type { Block, Operation, Operations } from "./operations.ts";
import { prepareRace } from "./race.ts";
import type { Race } from "./race.ts";
import { sizesOf } from "./set-up.ts";
import { violationOf } from "./run-race.ts";
import { runPlan } from "./schedule.ts";
import type { Plan } from "./schedule.ts";
import { shrink } from "./shrink.ts";
import type { Tally } from "./tally.ts";

/** Numbers from 0 to below 1 (mulberry32). */
type Draw = () => number;

function makeDraw(seed: number): Draw {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const pick = <T>(draw: Draw, list: readonly T[]): T => list[Math.floor(draw() * list.length)]!;

/** What one participant does with its blocks. One, `named`, is for roots alone: none may lead to a block that is freed. */
function drawOperations(
  draw: Draw,
  sizes: readonly number[],
  given: readonly number[],
  named: number,
  mostPages: number,
): Operations {
  const operations: Operation[] = [];
  const held: Block[] = [...given];
  const takeOne = (): Block => held.splice(Math.floor(draw() * held.length), 1)[0]!;
  for (let count = 2 + Math.floor(draw() * 3); count > 0; count--) {
    const at = { resultOf: operations.length };
    const what = held.length === 0 ? 0 : Math.floor(draw() * 10);
    if (what < 3) {
      operations.push({ kind: "alloc", sizeBytes: pick(draw, sizes), isOwned: draw() < 0.4 });
      held.push(at);
    } else if (what < 5) operations.push({ kind: "free", block: takeOne() });
    else if (what < 6) {
      operations.push({ kind: "realloc", block: takeOne(), sizeBytes: pick(draw, sizes) });
      held.push(at);
    } else if (what < 7) operations.push({ kind: "adopt", block: pick(draw, held) });
    else if (what < 8) operations.push({ kind: "share", block: pick(draw, held) });
    else if (what < 9) operations.push({ kind: "grow", pages: mostPages });
    else if (draw() < 0.5) operations.push({ kind: "getRoot", name: "one" });
    else
      operations.push({ kind: "setRoot", name: pick(draw, rootNames), block: pick(draw, [named, named, 0]) });
  }
  return operations;
}

/** The race that belongs to a seed. */
export function randomRace(heap: HeapKind, seed: number): Race {
  const { small, larger, large, largest } = sizesOf[heap];
  return {
    name: `${seed}`,
    heap,
    pages: heap === "slab" ? 8 : 2,
    sparePages: 1,
    isTight: true,
    setUp(enterSlot, world) {
      const draw = makeDraw(seed);
      const count = draw() < 0.6 ? 2 : 3;
      const cores = Array.from({ length: count }, (_none, slot): HeapCore => enterSlot(slot));
      const sizes = [small, small, small, larger, large, largest];
      // Blocks of one may lie in another's pages.
      const given = cores.map(() =>
        Array.from(
          { length: Math.floor(draw() * 3) },
          () => pick(draw, cores).alloc(pick(draw, sizes)) >>> 0,
        ),
      );
      const programs = given.map((blocks, slot) => {
        const held = blocks.filter((block) => block !== 0);
        return drawOperations(draw, sizes, held, cores[slot]!.alloc(small) >>> 0, sizePagesOf(world) + 1);
      });
      return programs;
    },
  };
}

/** Steps in a random order, up to where all have ended or one dies. */
function randomPlan(participants: number, draw: Draw): Plan {
  const isDying = draw() < 0.4;
  // Mostly short rows of steps: what is interleaved finely, and what is not, both turn up.
  const change = pick(draw, [0.03, 0.1, 0.3]);
  const deathAt = isDying ? Math.floor(draw() * 120) : -1;
  let now = Math.floor(draw() * participants);
  let isDead = false;
  return {
    next(left, made) {
      if (!left.includes(now) || draw() < change) now = pick(draw, left);
      isDead = made === deathAt;
      return isDead ? undefined : now;
    },
    death: () => (isDead ? { index: now, isRecoveredFirst: draw() < 0.5 } : undefined),
  };
}

/** Runs `count` random schedules of a race, or as many as go well; of one that does not the least that shows it is told. */
export function runAtRandom(race: Race, name: string, seed: number, count: number, tally: Tally): void {
  const stage = prepareRace(race);
  tally.operations++;
  const draw = makeDraw(~seed);
  for (let number = 0; number < count; number++) {
    const { schedule, error } = runPlan(stage, randomPlan(stage.participants.length, draw));
    tally.schedules++;
    tally.steps += schedule.path.length;
    if (schedule.death !== undefined) tally.deaths++;
    if (error === undefined) continue;
    const least = shrink(stage, schedule) ?? { schedule, error };
    tally.violations.push(violationOf(name, least.schedule, least.error));
    return;
  }
}

/** The random race of a seed. */
export function runRandom(heap: HeapKind, seed: number, count: number, tally: Tally): void {
  runAtRandom(randomRace(heap, seed), `random/${heap}/${seed}`, seed, count, tally);
}

/** The heap and seed of the random race number `index` from `seed` on. */
export function randomNumber(seed: number, index: number): { heap: HeapKind; seed: number } {
  return { heap: heapKinds[index % heapKinds.length]!, seed: (seed + index * 7919) >>> 0 };
}
