/** What came of some heaps, and how it is told. */

import type { Violation } from "./trial.ts";

export interface Report {
  readonly heaps: number;
  readonly calls: number;
  readonly codedErrors: number;
  /** The most accesses that one call made. */
  readonly mostAccesses: number;
  readonly violations: readonly Violation[];
}

export interface Result {
  readonly heaps: number;
  readonly calls: number;
  /** Processes that died, and exceptions that are no ShoalError. */
  readonly crashes: number;
  readonly hangs: number;
  readonly codedErrors: number;
  /** Segments that were made longer than their span. */
  readonly outsideAccesses: number;
  /** Locks that were left held. */
  readonly heldLocks: number;
  /** Heaps that were not sound after they had been repaired. */
  readonly badRepairs: number;
  readonly mostAccesses: number;
  readonly seconds: number;
  readonly violations: readonly Violation[];
}

/** The sum of the reports. */
export function resultOf(reports: readonly Report[], seconds: number): Result {
  const sum = (pick: (report: Report) => number): number =>
    reports.reduce((total, report) => total + pick(report), 0);
  const violations = reports.flatMap((report) => report.violations);
  const count = (fault: Violation["fault"]): number =>
    violations.filter((violation) => violation.fault === fault).length;
  return {
    heaps: sum(({ heaps }) => heaps),
    calls: sum(({ calls }) => calls),
    crashes: count("crash"),
    hangs: count("hang"),
    codedErrors: sum(({ codedErrors }) => codedErrors),
    outsideAccesses: count("outside"),
    heldLocks: count("lock"),
    badRepairs: count("repair"),
    mostAccesses: reports.reduce((most, report) => Math.max(most, report.mostAccesses), 0),
    seconds: Math.round(seconds * 10) / 10,
    violations,
  };
}

/** The command that shows a violation again. */
export function replayOf({ allocator, seed }: Violation): string {
  return `npm run flips -- --allocator ${allocator} --seed ${seed} --count 1`;
}

export function describeViolation(violation: Violation): string {
  const { fault, allocator, seed, call, damages, message } = violation;
  const lines = [`${fault.toUpperCase()} in ${call}, ${allocator} heap of seed ${seed}`];
  for (const one of damages) lines.push(`  damaged ${one}`);
  for (const line of message.split("\n").slice(0, 8)) lines.push(`  ${line}`);
  return [...lines, `  again: ${replayOf(violation)}`, ""].join("\n");
}

export function describeResult(result: Result): string {
  const { heaps, calls, codedErrors, crashes, hangs, seconds, mostAccesses } = result;
  const { outsideAccesses, heldLocks, badRepairs } = result;
  return [
    `${heaps} damaged heaps, ${calls} calls in ${seconds} s: ${codedErrors} ended in an error with a code`,
    `${crashes} crashes, ${hangs} hangs, ${outsideAccesses} accesses outside, ${heldLocks} locks left held`,
    `${badRepairs} heaps that were not sound after a repair`,
    `the longest call made ${mostAccesses} accesses`,
    "",
  ].join("\n");
}
