/**
 * The program of A: has one contender, starts its B, and takes a sample whenever it is asked. What B says it has received
 * is compared with what was sent, in every sample.
 */

import { mkdirSync, rmSync } from "node:fs";
import { answerParent } from "../harness/answer.ts";
import type { Answerer } from "../harness/answer.ts";
import { medianOf } from "../harness/measure.ts";
import { Sampler } from "./calibrate.ts";
import type { SampleLength } from "./calibrate.ts";
import type { Driver, Link, Task } from "./contender.ts";
import { checkReceipt, expectedReceipt } from "./messages.ts";
import { Partner } from "./partner.ts";
import { findContender } from "./registry.ts";
import { machineNs } from "./time.ts";

export interface DriverPlan {
  readonly contender: string;
  readonly link: Link;
}

/** `roundTrips`: the median of nanoseconds a trip; `oneWay`: nanoseconds a message. */
export type Work = "roundTrips" | "oneWay";

/** "start" is asked once and first, and answered with 0. */
export type DriveRequest =
  { readonly ask: "start" } | (SampleLength & { readonly ask: Work; readonly sizeBytes: number });

class Drive {
  readonly #plan: DriverPlan;
  readonly #samplers = new Map<string, Sampler>();
  #starting: Promise<number> | undefined;
  #driver: Driver | undefined;
  #partner: Partner | undefined;

  constructor(plan: DriverPlan) {
    this.#plan = plan;
  }

  async answer(request: DriveRequest): Promise<number> {
    if (request.ask === "start") {
      this.#starting = this.#start();
      return this.#starting;
    }
    return this.#samplerOf(request.ask, request.sizeBytes).sample(request);
  }

  /** The partner first: what the driver removes may be what the partner is using. */
  async leave(): Promise<void> {
    // What is only half made could not be removed. A failure has been told already.
    await this.#starting?.catch(() => undefined);
    await this.#partner?.end();
    await this.#driver?.close();
  }

  async #start(): Promise<number> {
    const { contender, link } = this.#plan;
    const found = findContender(contender);
    const partner = () => this.#startedPartner().raw;
    this.#driver = await found.drive({ ...link, partner });
    const fromDriver = this.#driver.forServer ?? null;
    this.#partner = new Partner(found, { contender, link, fromDriver });
    await this.#partner.expect("joined");
    return 0;
  }

  #startedPartner(): Partner {
    if (this.#partner === undefined) throw new Error("B has not been started yet.");
    return this.#partner;
  }

  #samplerOf(work: Work, sizeBytes: number): Sampler {
    const key = `${work} ${sizeBytes}`;
    const sampler =
      this.#samplers.get(key) ?? new Sampler((count) => this.#sample(work, { sizeBytes, count }));
    this.#samplers.set(key, sampler);
    return sampler;
  }

  async #sample(work: Work, task: Task): Promise<number> {
    const driver = this.#driver;
    const partner = this.#startedPartner();
    if (driver?.[work] === undefined) throw new Error(`this contender has no ${work}.`);
    await partner.order({ order: work === "roundTrips" ? "echo" : "drain", task });
    const done = partner.expect("done");
    const startedNs = machineNs();
    // Synchronous or not; and whichever of the two fails, it is heard of.
    const driven = (async () => driver[work]?.(task))();
    const [{ receipt, endNs }, times] = await Promise.all([done, driven]);
    checkReceipt(receipt, expectedReceipt(task.count));
    if (work === "oneWay") return (endNs - startedNs) / task.count;
    if (times === undefined || times.length === 0) throw new Error("the contender has no times.");
    return medianOf(times);
  }
}

function startDrive(plan: DriverPlan): Answerer<DriveRequest, number> {
  const drive = new Drive(plan);
  return { answer: (request) => drive.answer(request), leave: () => drive.leave() };
}

const [planJson] = process.argv.slice(2);
if (planJson === undefined) throw new Error("pair.ts starts this program, with the plan.");
const plan = JSON.parse(planJson) as DriverPlan;
// Whoever has started this program may be dead before it has begun, and removes nothing then.
process.on("exit", () => rmSync(plan.link.folder, { recursive: true, force: true }));
mkdirSync(plan.link.folder, { mode: 0o700 });
answerParent(() => startDrive(plan));
