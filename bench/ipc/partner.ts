/** B, seen from A. */

import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { Contender } from "./contender.ts";
import { isReport } from "./control.ts";
import type { Order, Report, ServerPlan } from "./control.ts";
import { within } from "./time.ts";

const program = fileURLToPath(new URL("serve.js", import.meta.url));

function startProcess(
  plan: ServerPlan,
  { serialization = "json", hasPipes = false }: Contender["fork"] & {},
) {
  const pipe = hasPipes ? "pipe" : "ignore";
  return fork(program, [JSON.stringify(plan)], { serialization, stdio: [pipe, pipe, "inherit", "ipc"] });
}

export class Partner {
  /** For the contender. */
  readonly raw: ChildProcess | Worker;
  #expected: { what: Report["report"]; resolve: (report: Report) => void } | undefined;
  #fault: Error | undefined;
  #reject: (error: Error) => void = () => undefined;

  constructor(contender: Contender, plan: ServerPlan) {
    this.raw =
      contender.partner === "thread"
        ? new Worker(program, { workerData: plan })
        : startProcess(plan, contender.fork ?? {});
    this.raw.on("message", (message: unknown) => {
      if (isReport(message)) this.#hear(message);
    });
    this.raw.on("error", (error: Error) => this.#fail(error));
    this.raw.on("exit", (code: number | null) => this.#fail(new Error(`B has ended (${String(code)}).`)));
  }

  /** B has joined, if it is the first; or says what it has come to. */
  expect<What extends Report["report"]>(what: What): Promise<Report & { report: What }> {
    const told = new Promise<Report>((resolve, reject) => {
      this.#expected = { what, resolve };
      this.#reject = reject;
      if (this.#fault !== undefined) reject(this.#fault);
    });
    return within(`B's "${what}"`, told) as Promise<Report & { report: What }>;
  }

  /** Resolves when B begins to listen. */
  async order(order: Order): Promise<void> {
    const listening = this.expect("listening");
    if (this.raw instanceof Worker) this.raw.postMessage(order, []);
    else this.raw.send(order);
    await listening;
  }

  /** Resolves when B is gone. It goes by itself when its process's channel is closed; a thread is ended. */
  async end(): Promise<void> {
    const { raw } = this;
    if (raw instanceof Worker) {
      await raw.terminate();
      return;
    }
    if (raw.exitCode !== null || raw.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => raw.once("exit", () => resolve()));
    if (raw.connected) raw.disconnect();
    try {
      await within("B's end", gone, endMs);
    } catch {
      raw.kill("SIGKILL");
    }
  }

  #hear(report: Report): void {
    if (report.report === "failed") this.#fail(new Error(`B: ${report.reason}`));
    else if (report.report === this.#expected?.what) this.#expected.resolve(report);
    else this.#fail(new Error(`B says "${report.report}" instead of "${String(this.#expected?.what)}".`));
  }

  #fail(error: Error): void {
    this.#fault ??= error;
    this.#reject(this.#fault);
  }
}

const endMs = 1000;
