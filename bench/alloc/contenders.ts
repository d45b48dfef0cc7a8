/** The allocators that are compared, and the patterns they are given, as every part of the alloc topic names them. */

import { Heap } from "../../src/heap/index.ts";
import type { AllocatorName } from "../../src/heap/index.ts";

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

function isAvailable(allocator: Allocator): boolean {
  try {
    const heap = Heap.create(undefined, { backend: "anonymous", allocator: allocator as AllocatorName });
    try {
      return heap.tryAlloc(32) !== 0;
    } finally {
      heap.close();
    }
  } catch {
    return false;
  }
}

/** The allocators that this build has: it neither refuses their names nor a first block. */
export function availableAllocators(): Allocator[] {
  return allocators.filter(isAvailable);
}
