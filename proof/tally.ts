/** What a proof has done, and what it has found. */

export interface Violation {
  readonly name: string;
  readonly message: string;
  /** The command line that shows it again. */
  readonly replay: string;
}

export interface Tally {
  /** Operations that were cut short at each of their accesses, and races. */
  operations: number;
  /** Points at which a participant of an operation was killed, and at which its recoverer was. */
  crashPoints: number;
  recovererCrashPoints: number;
  /** Orders of the accesses of several that were gone through to where one met another. */
  schedules: number;
  /** Accesses made in them. */
  steps: number;
  /** Deaths in the middle of them. */
  deaths: number;
  /** Races that were too large to be gone through whole: they were up to two or three preemptions. */
  bounded: number;
  /** Races that were not even that: it was told to stop. */
  cut: number;
  readonly sitesHit: Set<number>;
  readonly violations: Violation[];
}

export function makeTally(): Tally {
  return {
    operations: 0,
    crashPoints: 0,
    recovererCrashPoints: 0,
    schedules: 0,
    steps: 0,
    deaths: 0,
    bounded: 0,
    cut: 0,
    sitesHit: new Set(),
    violations: [],
  };
}
