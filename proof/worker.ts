/** The proof, beside the thread that shows how far it is and hears Ctrl-C. */

import { parentPort, workerData } from "node:worker_threads";
import { runProof } from "./run.ts";
import type { ProofOptions, ProofResult } from "./run.ts";

export interface WorkerInput {
  readonly options: ProofOptions;
  /** One word: not 0 = stop. */
  readonly stop: Int32Array;
}

export type WorkerMessage =
  | { readonly kind: "progress"; readonly line: string }
  | { readonly kind: "result"; readonly result: ProofResult };

const { options, stop } = workerData as WorkerInput;
const port = parentPort!;
const leastPauseMs = 100;

const say = (message: WorkerMessage): void => port.postMessage(message);

let saidAt = 0;
const result = runProof(options, {
  isStopped: () => Atomics.load(stop, 0) !== 0,
  progress(name, done, total, { crashPoints, recovererCrashPoints, schedules, violations }) {
    if (performance.now() - saidAt < leastPauseMs) return;
    saidAt = performance.now();
    const counts = `${crashPoints + recovererCrashPoints} deaths, ${schedules} schedules, ${violations.length} violations`;
    say({ kind: "progress", line: `${done}/${Math.max(total, done)}  ${counts}  ${name}` });
  },
});
say({ kind: "result", result });
