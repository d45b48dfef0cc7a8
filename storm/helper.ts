/** The leader's side of the processes that read and write lines: the nursery and the crews. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { cleanUpLater } from "../bench/harness/cleanup.ts";

/** How long an answer may take before the process counts as hung. */
const PATIENCE_MS = 30_000;

/** A process that answers each line with a line. */
export interface Helper {
  readonly pid: number;
  /** Sends a line; resolves to the answer to it. */
  ask(line: string): Promise<string>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** The end of its input; resolves when it is gone. */
  end(): Promise<void>;
}

interface Waiting {
  resolve(line: string): void;
  reject(error: Error): void;
}

/** Starts `program`, a module of this folder, and waits for its "ready". */
export async function startHelper(program: string, nodeArgs: string[], args: string[]): Promise<Helper> {
  const path = fileURLToPath(new URL(program, import.meta.url));
  // A process group of its own: Ctrl-C reaches the leader alone, who ends the others by their ids.
  const child = spawn(process.execPath, [...nodeArgs, path, ...args], {
    stdio: ["pipe", "pipe", "inherit"],
    detached: true,
  });
  const waiting: Waiting[] = [];
  const awaitEnd = async (): Promise<void> => {
    const [code, signal] = await once(child, "exit");
    for (const { reject } of waiting.splice(0)) reject(new Error(`${program} ended: ${signal ?? code}`));
  };
  const ended = awaitEnd();
  child.stdin.on("error", () => undefined); // its end is heard of by "exit"
  createInterface({ input: child.stdout }).on("line", (line) => waiting.shift()?.resolve(line));
  const answer = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`${program} has not answered for ${PATIENCE_MS} ms`)),
        PATIENCE_MS,
      );
      waiting.push({
        resolve(line) {
          clearTimeout(timer);
          resolve(line);
        },
        reject(error) {
          clearTimeout(timer);
          reject(error);
        },
      });
    });
  const kill = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    await ended;
    forget();
  };
  const forget = cleanUpLater(() => void child.kill("SIGKILL"));
  const ready = answer();
  await ready;
  return {
    pid: child.pid!,
    ask(line) {
      const answered = answer();
      child.stdin.write(`${line}\n`);
      return answered;
    },
    kill,
    async end() {
      child.stdin.end();
      await ended;
      forget();
    },
  };
}
