/** The program of B, which A starts as a process or as a thread. */

import { parentPort, workerData } from "node:worker_threads";
import type { Server } from "./contender.ts";
import { isOrder } from "./control.ts";
import type { Order, Report, ServerPlan } from "./control.ts";
import { findContender } from "./registry.ts";
import { machineNs } from "./time.ts";

function report(message: Report): void {
  if (parentPort !== null) parentPort.postMessage(message, []);
  // If A has died meanwhile, "disconnect" tells.
  else process.send?.(message, () => undefined);
}

function reportFailure(error: unknown): void {
  report({
    report: "failed",
    reason: error instanceof Error ? (error.stack ?? error.message) : String(error),
  });
}

async function obey(server: Server, { order, task }: Order): Promise<void> {
  const take = server[order];
  if (take === undefined) throw new Error(`this contender has no ${order}.`);
  // The listeners are there before A's first message can be heard: nothing else runs between this line and the next.
  report({ report: "listening" });
  const receipt = await take.call(server, task);
  report({ report: "done", receipt, endNs: machineNs() });
}

async function join({ contender, link, fromDriver }: ServerPlan): Promise<void> {
  const server = await findContender(contender).serve(link, fromDriver);
  const hear = (message: unknown): void => {
    if (isOrder(message)) obey(server, message).catch(reportFailure);
  };
  if (parentPort !== null) {
    parentPort.on("message", hear);
  } else {
    process.on("message", hear);
    const leave = async (): Promise<void> => {
      try {
        await server.close();
      } finally {
        process.exit(0);
      }
    };
    process.on("disconnect", leave);
    if (process.connected !== true) await leave(); // A died while B joined
  }
  report({ report: "joined" });
}

function readPlan(): ServerPlan {
  if (parentPort !== null) return workerData as ServerPlan;
  const [planJson] = process.argv.slice(2);
  if (planJson === undefined) throw new Error("partner.ts starts this program, with the plan.");
  return JSON.parse(planJson) as ServerPlan;
}

join(readPlan()).catch(reportFailure);
