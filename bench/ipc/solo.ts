/** The program of a soloist: one process, that does what is measured or rests while it is looked at. */

import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { answerParent } from "../harness/answer.ts";
import type { Answerer } from "../harness/answer.ts";
import { Sampler } from "./calibrate.ts";
import type { SampleLength } from "./calibrate.ts";
import type { Solo } from "./contender.ts";
import type { DriverPlan } from "./drive.ts";
import { findSoloist } from "./registry.ts";

export type SoloRequest =
  | { readonly ask: "start" }
  | (SampleLength & { readonly ask: "repeat" })
  | { readonly ask: "rest"; readonly ms: number };

export interface SoloReply {
  /** Nanoseconds each time. */
  readonly ns?: number;
  /** Processor time while resting, in percent of one processor. */
  readonly cpuPercent?: number;
  readonly threads?: number;
}

async function timeRepeats(solo: Solo, count: number): Promise<number> {
  if (solo.repeat === undefined) throw new Error("this soloist is measured at rest.");
  const startedMs = performance.now();
  await solo.repeat(count);
  return ((performance.now() - startedMs) * 1e6) / count;
}

async function rest(ms: number): Promise<SoloReply> {
  const startedMs = performance.now();
  const before = process.cpuUsage();
  await sleep(ms);
  const { user, system } = process.cpuUsage(before);
  const elapsedUs = (performance.now() - startedMs) * 1000;
  return {
    cpuPercent: ((user + system) / elapsedUs) * 100,
    threads: readdirSync("/proc/self/task").length,
  };
}

function startSolo({ contender, link }: DriverPlan): Answerer<SoloRequest, SoloReply> {
  let solo: Solo | undefined;
  let sampler: Sampler | undefined;
  return {
    async answer(request) {
      if (request.ask === "start") {
        const started = await findSoloist(contender).start(link);
        solo = started;
        sampler = new Sampler((count) => timeRepeats(started, count));
        return {};
      }
      if (sampler === undefined) throw new Error("the soloist has not been started.");
      return request.ask === "rest" ? rest(request.ms) : { ns: await sampler.sample(request) };
    },
    leave: () => solo?.close(),
  };
}

const [planJson] = process.argv.slice(2);
if (planJson === undefined) throw new Error("pair.ts starts this program, with the plan.");
const plan = JSON.parse(planJson) as DriverPlan;
// Whoever has started this program may be dead before it has begun, and removes nothing then.
process.on("exit", () => rmSync(plan.link.folder, { recursive: true, force: true }));
mkdirSync(plan.link.folder, { mode: 0o700 });
answerParent(() => startSolo(plan));
