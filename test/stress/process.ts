/** A process of the stress, and each of its workers: the same file runs as both. */
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { takePart, workUntilKilled } from "./participant.ts";
import type { Order } from "./participant.ts";

const order = isMainThread ? (JSON.parse(process.argv[2]!) as Order) : (workerData as Order);

if (order.isVictim) workUntilKilled(order);
if (isMainThread) {
  for (let thread = 1; thread < order.threads; thread++) {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: { ...order, number: order.number + thread },
    });
    // The leader hears of it by the exit code.
    worker.on("error", (error) => {
      throw error;
    });
  }
}
takePart(order);
