/** What A and B say to each other besides the contender's messages, over the channel that A has started B with. */

import type { Link, Task } from "./contender.ts";
import type { Receipt } from "./messages.ts";

/** What B is started with. */
export interface ServerPlan {
  readonly contender: string;
  readonly link: Link;
  readonly fromDriver: unknown;
}

/** To B: what is coming. */
export interface Order {
  readonly order: "echo" | "drain";
  readonly task: Task;
}

/** From B: it has joined; it begins to listen; all has come, the last of it at `endNs` (machineNs); it failed. */
export type Report =
  | { readonly report: "joined" | "listening" }
  | { readonly report: "done"; readonly receipt: Receipt; readonly endNs: number }
  | { readonly report: "failed"; readonly reason: string };

export function isOrder(message: unknown): message is Order {
  return typeof message === "object" && message !== null && "order" in message;
}

export function isReport(message: unknown): message is Report {
  return typeof message === "object" && message !== null && "report" in message;
}
