/**
 * Takes the samples: every probe once, then every probe again, round after round. Clock frequency, neighbours and
 * caches drift within a minute, and so everything that is compared is measured side by side. The median over the
 * rounds is the figure: one interrupted batch does not move it, and the minimum would promise what nobody sees.
 */

import { setImmediate as nextTurn } from "node:timers/promises";
import type { RowPlan, Series, TopicPlan } from "./plan.ts";

/** A row as it is printed, and as it stands in the JSON. */
export interface Row {
  readonly name: string;
  /** Null where Shoal has nothing yet to be measured; its peers have. */
  readonly value: number | null;
  readonly unit: string;
  readonly target: number | null;
  /** Whether the target is the least that the value may be, and not the most. */
  readonly atLeast: boolean;
  /** Whether the value is within its target; null where there is none. */
  readonly holds: boolean | null;
  readonly peers: Readonly<Record<string, number>>;
}

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Runs `work` `count` times; the median of its results. For batches whose every step is timed by itself. */
export function medianOfRuns(count: number, work: (index: number) => number): number {
  return medianOf(Array.from({ length: count }, (_, index) => work(index)));
}

/** Told which round begins: 1 to `rounds`. */
export type RoundListener = (round: number, rounds: number) => void;

async function collectSamples(
  { probes, rounds }: TopicPlan,
  onRound: RoundListener,
): Promise<Map<string, number[]>> {
  const taken = new Map<string, number[]>();
  for (let round = 0; round < rounds; round += 1) {
    onRound(round + 1, rounds);
    for (const probe of probes) {
      // Probes may be synchronous from the first to the last; an interrupt is to be heard between them.
      // oxlint-disable-next-line no-await-in-loop
      await nextTurn();
      // One after the other on purpose: two at once would measure each other.
      // oxlint-disable-next-line no-await-in-loop
      for (const [name, value] of Object.entries(await probe())) {
        const series = taken.get(name);
        if (series === undefined) taken.set(name, [value]);
        else series.push(value);
      }
    }
  }
  return taken;
}

function seriesOver(taken: ReadonlyMap<string, readonly number[]>): Series {
  const samplesOf = (name: string): readonly number[] => {
    const samples = taken.get(name);
    if (samples === undefined) throw new Error(`no probe feeds the series "${name}".`);
    return samples;
  };
  return {
    median: (name) => medianOf(samplesOf(name)),
    sum: (name) => samplesOf(name).reduce((total, value) => total + value, 0),
  };
}

/** Three digits behind the first are more than a benchmark can mean, and they keep the JSON readable. */
function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

function makeRow(plan: RowPlan, series: Series): Row {
  const figure = rounded(plan.valueOf(series));
  const value = Number.isNaN(figure) ? null : figure;
  const target = typeof plan.target === "function" ? rounded(plan.target(series)) : plan.target;
  const atLeast = plan.atLeast ?? false;
  const peers = Object.entries(plan.peersOf?.(series) ?? {}).map(([name, taken]) => [name, rounded(taken)]);
  return {
    name: plan.name,
    value,
    unit: plan.unit,
    target,
    atLeast,
    holds: target === null || value === null ? null : atLeast ? value >= target : value <= target,
    peers: Object.fromEntries(peers) as Record<string, number>,
  };
}

/** All rows of a topic, in the plan's order. */
export async function measure(plan: TopicPlan, onRound: RoundListener = () => undefined): Promise<Row[]> {
  try {
    const series = seriesOver(await collectSamples(plan, onRound));
    return plan.rows.map((row) => makeRow(row, series));
  } finally {
    await plan.dispose();
  }
}
