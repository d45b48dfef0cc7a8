/** The allocators that are compared, and the patterns they are given, as every part of the alloc topic names them. */

export const allocators = ["slab", "buddy", "first-fit"] as const;

export type Allocator = (typeof allocators)[number];

/** What is timed: nanoseconds for an alloc and a free. `two`: in each of two processes that do so at once. */
export type TimedName = "lifo" | "churn10k" | "fragmented16M" | "two";

export interface Pattern {
  readonly pattern: TimedName;
  readonly sizeBytes: number;
}

/** "lifo.32": the part of a row's name that says what was done. */
export function patternKey({ pattern, sizeBytes }: Pattern): string {
  return `${pattern}.${sizeBytes}`;
}
