/**
 * What a contender of the ipc topic is: a way to get messages from one place to another and back, with one part for each
 * of the two places. Shoal's own (shoal.ts) and the peers (peers/) have the same interface.
 *
 * The benchmark starts process A; A makes what both need (`drive`) and then starts B, another process or a thread of its
 * own, which joins it (`serve`). Both live over all rounds and sleep between the samples. For each sample A tells B what
 * is coming, B calls `echo` or `drain` and A `roundTrips` or `oneWay`, with the same task. Each may be synchronous and
 * block its thread, or give a promise: that is the contender's own affair. The messages' bytes are those of messages.ts,
 * numbered from 0 within each task, so that both sides can tell whether all of them have come.
 */

import type { ChildProcess } from "node:child_process";
import type { Worker } from "node:worker_threads";
import type { Receipt } from "./messages.ts";

export type MaybePromise<Value> = Value | Promise<Value>;

/** So many messages of this size; the same in A and B. */
export interface Task {
  readonly sizeBytes: number;
  readonly count: number;
}

/** What belongs to one pair of A and B and to nobody else. */
export interface Link {
  /** Of a POSIX segment: "/shoal-bench-…". Its name is removed after the run whatever happened. */
  readonly segment: string;
  /** An empty folder, for sockets and the like. Removed after the run. */
  readonly folder: string;
}

export interface DriverLink extends Link {
  /** B, once it has been started: in `roundTrips` and `oneWay`, not yet in `drive`. */
  readonly partner: () => ChildProcess | Worker;
}

/** A's part. */
export interface Driver {
  /** What B has to know beyond its link, as JSON has it (for a thread: as postMessage has it). */
  readonly forServer?: unknown;
  /** Sends each message when the echo of the one before has come and been checked. Nanoseconds of each (see time.ts). */
  roundTrips?(task: Task): MaybePromise<readonly number[]>;
  /** Sends all messages as fast as B takes them. */
  oneWay?(task: Task): MaybePromise<void>;
  /** Removes what `drive` made. */
  close(): MaybePromise<void>;
}

/** B's part. Each returns when as many messages have come as the task says, and must begin to listen at once. */
export interface Server {
  /** Sends each message back. */
  echo?(task: Task): MaybePromise<Receipt>;
  /** Takes the messages, looking at the first and the last byte of each at least. */
  drain?(task: Task): MaybePromise<Receipt>;
  close(): MaybePromise<void>;
}

export interface Contender {
  /** Where B is. */
  readonly partner: "process" | "thread";
  /** How B is started, if it is a process: as child_process.fork has it. B's standard error is A's. */
  readonly fork?: { readonly serialization?: "json" | "advanced"; readonly hasPipes?: boolean };
  /** In A, before B is started. */
  drive(link: DriverLink): MaybePromise<Driver>;
  /** In B, with what the driver has for it. */
  serve(link: Link, fromDriver: unknown): MaybePromise<Server>;
}

/** What one process measures by itself. */
export interface Soloist {
  /** Called once in a process of its own. */
  start(link: Link): MaybePromise<Solo>;
}

export interface Solo {
  /** Does what is measured so often. Not needed by a soloist that is measured at rest. */
  repeat?(count: number): MaybePromise<void>;
  close(): MaybePromise<void>;
}

/** How long anything may wait for its partner: a contender whose partner has died must not wait for ever. */
export const patienceMs = 20_000;
