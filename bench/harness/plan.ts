/**
 * What a benchmark is: probes that take samples, and rows that turn the samples' medians into the figures printed.
 *
 * A *sample* is one number of one *series*: nanoseconds a pair, say, as measured in one batch. A *probe* takes one
 * sample for each series it feeds every time it is called. A *row* is a figure with a stable name, made of one or more
 * series. Rows and series are kept apart because one run can feed several rows (filling gives seconds and lost bytes),
 * and one row can need several runs (growing, less what the kernel alone takes).
 *
 * Nothing here measures; measure.ts calls the probes, report.ts prints the rows.
 */

/** One number for each series that the probe feeds. */
export type Samples = Readonly<Record<string, number>>;

/** Takes one sample of each of its series; short enough (some milliseconds) that probes can take turns. */
export type Probe = () => Samples | Promise<Samples>;

/** What the series came to: `median("open")`, `sum("lost")`. An unknown series throws. */
export interface Series {
  median(name: string): number;
  sum(name: string): number;
}

export interface RowPlan {
  /** Stable: documents and other programs refer to it. */
  readonly name: string;
  readonly unit: string;
  /** Most that the value may be; null where nothing is promised. A function where it depends on what others took. */
  readonly target: number | null | ((series: Series) => number);
  /** The target is the least that the value may be. Default false. */
  readonly atLeast?: boolean;
  /** NaN where Shoal has nothing yet to be measured. */
  readonly valueOf: (series: Series) => number;
  /** What others take for the same work, by their names. */
  readonly peersOf?: (series: Series) => Record<string, number>;
}

export interface TopicPlan {
  readonly rounds: number;
  readonly probes: readonly Probe[];
  readonly rows: readonly RowPlan[];
  /** Removes whatever the probes made; called whether or not they succeeded, but not at an interrupt (cleanup.ts). */
  readonly dispose: () => void | Promise<void>;
}

export interface TopicOptions {
  /** As few samples as possible: shows that the benchmark works, not how fast anything is. */
  readonly isQuick: boolean;
  /** How often to repeat what is counted rather than timed; undefined: the topic's own choice. */
  readonly repeatCount: number | undefined;
}

export interface Topic {
  readonly name: string;
  /** Makes what the probes need. Says on standard error what cannot be measured here, and leaves that out. */
  readonly plan: (options: TopicOptions) => TopicPlan | Promise<TopicPlan>;
  /** `--with-peers`: installs what its peers need and is missing. Never rejects: what cannot be is told. */
  readonly installPeers?: () => Promise<void>;
}

/** A row whose value is the median of one series. */
export function medianRow(
  name: string,
  unit: string,
  target: RowPlan["target"],
  series: string = name,
): RowPlan {
  return { name, unit, target, valueOf: (all) => all.median(series) };
}
