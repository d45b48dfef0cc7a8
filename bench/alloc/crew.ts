/**
 * The processes that measure one of Shoal's allocators, seen from the process that runs the benchmark: they live over all
 * rounds, and one of them works at a time, or two where that is what is measured.
 */

import { fileURLToPath } from "node:url";
import { Helper } from "../harness/helper.ts";
import { removeSegment, segmentName } from "../harness/shm.ts";
import type { HeapPlan, Request } from "./child.ts";
import type { Allocator, Pattern } from "./contenders.ts";

const program = fileURLToPath(new URL("child.js", import.meta.url));

const smallHeapBytes = 4 * 1024 * 1024;
const largeHeapBytes = 16 * 1024 * 1024;

type HeapHelper = Helper<Request, number>;

/** One process and its heap. */
function startHelper(plan: HeapPlan): HeapHelper {
  return new Helper({
    program,
    args: [JSON.stringify(plan)],
    subject: plan.allocator,
    removeRest() {
      if (plan.kind !== "opened") removeSegment(plan.name);
    },
  });
}

/** Two processes on one heap, and each of them alone right before: nanoseconds a pair, the mean of the two. */
export interface TwoSample {
  readonly together: number;
  readonly alone: number;
}

export interface Crew {
  readonly allocator: Allocator;
  /** Nanoseconds a pair. */
  readonly time: (pattern: Pattern, ms: number) => Promise<number>;
  readonly timeTwo: (sizeBytes: number, ms: number) => Promise<TwoSample>;
  /** What the allocator keeps for itself with blocks of one size, in percent of these. */
  readonly countOverhead: (sizeBytes: number) => Promise<number>;
  /** What mixed sizes can have of a heap, in percent. */
  readonly countUsable: () => Promise<number>;
  readonly end: () => Promise<void>;
}

/** Three processes: two on a heap of 4 MiB that may grow, one on a heap of 16 MiB that is full and half freed. */
export async function startCrew(allocator: Allocator, isQuick: boolean): Promise<Crew> {
  const plan = (purpose: string, kind: HeapPlan["kind"], sizeBytes = smallHeapBytes): HeapPlan => ({
    name: segmentName(`${allocator}-${purpose}`),
    allocator,
    sizeBytes,
    kind,
    isQuick,
  });
  const small = startHelper(plan("small", "growable"));
  const large = startHelper(plan("large", "fixed", largeHeapBytes));
  const meetingPoint = await small.ask({ ask: "meeting point" }); // and the heap is there to be opened
  const partner = startHelper(plan("small", "opened"));
  return {
    allocator,
    time: ({ pattern, sizeBytes }, ms) =>
      (pattern === "fragmented16M" ? large : small).ask({ ask: pattern, sizeBytes, ms }),
    async timeTwo(sizeBytes, ms) {
      const request: Request = { ask: "two", sizeBytes, ms };
      const alone = [await small.ask(request), await partner.ask(request)];
      const meeting: Request = { ...request, meetingPoint };
      const together = await Promise.all([small.ask(meeting), partner.ask(meeting)]);
      return { together: meanOf(together), alone: meanOf(alone) };
    },
    async countOverhead(sizeBytes) {
      const helper = startHelper(plan("overhead", "fixed"));
      const percent = await helper.ask({ ask: "overhead percent", sizeBytes });
      await helper.end();
      return percent;
    },
    countUsable: () => large.ask({ ask: "usable percent" }),
    async end() {
      await Promise.all([small, large, partner].map((helper) => helper.end()));
    },
  };
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
