/** A and B, and the soloists, seen from the process that runs the benchmark. */

import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Helper } from "../harness/helper.ts";
import { removeSegment, segmentName } from "../harness/shm.ts";
import type { Link } from "./contender.ts";
import type { DriveRequest, DriverPlan, Work } from "./drive.ts";
import type { SampleLength } from "./calibrate.ts";
import type { SoloReply, SoloRequest } from "./solo.ts";
import { within } from "./time.ts";

/** Longer than anything inside waits for its partner. */
const patienceMs = 30_000;

function makeLink(contender: string): Link {
  return {
    segment: segmentName(`ipc-${contender.replace(/\W+/g, "-")}`),
    // The process that uses it makes it, and removes it: so nothing is left, whenever this one is killed.
    folder: join(tmpdir(), `shoal-bench-${randomUUID()}`),
  };
}

async function start<Request extends { readonly ask: string }, Reply>(program: string, contender: string) {
  const link = makeLink(contender);
  const plan: DriverPlan = { contender, link };
  const helper = new Helper<Request | { readonly ask: "start" }, Reply>({
    program: fileURLToPath(new URL(program, import.meta.url)),
    args: [JSON.stringify(plan)],
    subject: contender,
    removeRest() {
      removeSegment(link.segment);
      rmSync(link.folder, { recursive: true, force: true });
    },
  });
  const ask = (request: Request | { readonly ask: "start" }): Promise<Reply> =>
    within(`measuring ${contender}`, helper.ask(request), patienceMs);
  try {
    await ask({ ask: "start" });
  } catch (error) {
    await helper.end();
    throw error;
  }
  return { ask, end: () => helper.end() };
}

export interface Pair {
  /** Nanoseconds a round trip (their median) or a message. */
  readonly sample: (work: Work, sizeBytes: number, length: SampleLength) => Promise<number>;
  readonly end: () => Promise<void>;
}

/** Rejects if the contender cannot be had here; then nothing is left of it. */
export async function startPair(contender: string): Promise<Pair> {
  const { ask, end } = await start<DriveRequest, number>("drive.js", contender);
  return { sample: (work, sizeBytes, length) => ask({ ask: work, sizeBytes, ...length }), end };
}

export interface SoloProcess {
  readonly ask: (request: SoloRequest) => Promise<SoloReply>;
  readonly end: () => Promise<void>;
}

export function startSoloist(name: string): Promise<SoloProcess> {
  return start<SoloRequest, SoloReply>("solo.js", name);
}
