/**
 * One process of the fill's crew, and each of its workers: the same file runs as both. Its work is handed over as
 * JSON, in the first argument or as the worker's data. What fails is written to standard error as one line of JSON,
 * and the exit code is 1.
 */
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { ShoalError } from "../errors.ts";
import { Region } from "../region/index.ts";
import { takePart } from "./fill.ts";

/** What a process is told. Its main thread is participant `first`, its workers are the ones that follow. */
export interface FillOrder {
  readonly name: string;
  readonly first: number;
  readonly threads: number;
  readonly participantCount: number;
  readonly leaderPid: number;
}

function complain(error: unknown): void {
  const known = error instanceof ShoalError;
  const code = known ? error.code : "ERR_SHOAL_SYSTEM";
  const details = known ? error.details : {};
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`${JSON.stringify({ code, message, details })}\n`);
  process.exitCode = 1;
}

function runPart({ name, participantCount, leaderPid }: FillOrder, number: number): void {
  try {
    takePart(name, number, participantCount, leaderPid);
  } catch (error) {
    complain(error);
  }
}

/** The leader removes the segment. When it was killed, whoever of its crew notices does it instead. */
function removeIfOrphaned({ name, leaderPid }: FillOrder): void {
  if (process.ppid === leaderPid) return;
  try {
    Region.unlink(name);
  } catch (error) {
    if (!(error instanceof ShoalError && error.code === "ERR_SHOAL_NOT_FOUND")) complain(error);
  }
}

function runProcess(order: FillOrder): void {
  const workers = Array.from({ length: order.threads }, (_, index) => {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: { order, number: order.first + 1 + index },
    });
    worker.on("error", complain);
    return worker;
  });
  runPart(order, order.first);
  let running = workers.length;
  for (const worker of workers) {
    worker.on("exit", (code) => {
      if (code !== 0) process.exitCode = 1;
      running--;
      if (running === 0) removeIfOrphaned(order);
    });
  }
  if (running === 0) removeIfOrphaned(order);
}

if (isMainThread) {
  runProcess(JSON.parse(process.argv[2]!) as FillOrder);
} else {
  const { order, number } = workerData as { order: FillOrder; number: number };
  runPart(order, number);
}
