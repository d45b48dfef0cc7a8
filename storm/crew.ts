/**
 * A crew: an ordinary Node process whose workers take part in the storm, each a participant of its own. The same file runs as
 * the process and as each worker.
 *
 * Reads a line, does it, writes a line when it is done:
 *
 *     start ORDER       starts a worker
 *     end SEAT          worker.terminate(), in the middle of whatever it is at
 *     (end of input)    ends
 */

import { createInterface } from "node:readline";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { Ledger } from "./ledger.ts";
import { takePart } from "./work.ts";
import type { Order } from "./work.ts";

const workers = new Map<number, Worker>();

function start(ledgerName: string, order: Order): void {
  const worker = new Worker(new URL(import.meta.url), { workerData: { ledgerName, order } });
  workers.set(order.seat, worker);
  // What goes wrong within the work is in its seat; this is what goes wrong before that.
  worker.on("error", (error) => {
    throw error;
  });
}

async function answer(ledgerName: string, line: string): Promise<void> {
  const [word = "", ...rest] = line.split(" ");
  if (word === "start") start(ledgerName, JSON.parse(rest.join(" ")) as Order);
  else await workers.get(Number(rest[0]))?.terminate();
  process.stdout.write("done\n");
}

if (isMainThread) {
  const ledgerName = process.argv[2]!;
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (line) => void answer(ledgerName, line));
  lines.on("close", () => process.exit(0));
  process.stdout.write("ready\n");
} else {
  const { ledgerName, order } = workerData as { ledgerName: string; order: Order };
  takePart(Ledger.open(ledgerName), order, () => false);
}
