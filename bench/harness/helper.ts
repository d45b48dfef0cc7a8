/**
 * A process that measures, seen from the process that runs the benchmark: it lives over all rounds, answers one question
 * at a time and sleeps otherwise. It leads a process group, so that whatever it has started ends with it. The program's
 * own part stands in answer.ts.
 */

import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { cleanUpLater } from "./cleanup.ts";

export type Reply<Value> = { readonly value: Value } | { readonly error: string };

export interface HelperPlan {
  readonly program: string;
  readonly args: readonly string[];
  /** For messages: "the process that measures …". */
  readonly subject: string;
  /** Removes what a process leaves that did not end by itself. Called when it is gone. */
  readonly removeRest: () => void;
}

/** A process that has been let go of and does not end by itself is ended. */
const patienceMs = 3000;

export class Helper<Request extends object, Value> {
  readonly #child: ChildProcess;
  readonly #subject: string;
  readonly #ended: Promise<void>;
  readonly #kill: () => Promise<void> | undefined;
  #settle: { resolve: (value: Value) => void; reject: (error: Error) => void } | undefined;

  constructor({ program, args, subject, removeRest }: HelperPlan) {
    const stdio = ["ignore", "ignore", "inherit", "ipc"] as const;
    const child = fork(program, [...args], { stdio: [...stdio], detached: true });
    this.#child = child;
    this.#subject = subject;
    this.#kill = cleanUpLater(async () => {
      killGroup(child);
      await this.#ended; // until then it may be making what is to be removed
      removeRest();
    });
    child.on("message", (reply: Reply<Value>) => {
      if ("value" in reply) this.#settle?.resolve(reply.value);
      else this.#settle?.reject(new Error(`measuring ${subject}: ${reply.error}`));
    });
    this.#ended = new Promise((resolve) => {
      child.on("error", (error) => this.#settle?.reject(error));
      child.on("exit", (code, signal) => {
        const how = signal === null ? `with code ${String(code)}` : `by ${signal}`;
        this.#settle?.reject(new Error(`the process that measures ${subject} ended ${how}.`));
        resolve();
      });
    });
  }

  /** One question at a time. */
  ask(request: Request): Promise<Value> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      // A process that ended between two questions cannot be asked; it has nobody to tell but this one.
      if (this.#child.connected) this.#child.send(request);
      else reject(new Error(`the process that measures ${this.#subject} has ended.`));
    });
  }

  /** Resolves when the process is gone and what it made with it. */
  async end(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    const control = new AbortController();
    const tooLate = sleep(patienceMs, undefined, { signal: control.signal }).catch(() => undefined);
    await Promise.race([this.#ended, tooLate]);
    control.abort();
    await this.#kill();
  }
}

/** Also where the leader has ended: what it started may be left. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    child.kill("SIGKILL"); // a group without members, or a runtime that makes no groups
  }
}
