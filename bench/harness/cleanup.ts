/**
 * What must not outlive the run: segments, temporary folders, child processes. Whoever makes one says here how to be rid
 * of it; then it goes when its owner says so, and otherwise when the run ends, by an error, Ctrl-C or a polite kill.
 */

import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

type Work = () => void | Promise<void>;

/** How long an interrupted run waits for its children to be gone; a second Ctrl-C does not wait. */
const patienceMs = 3000;

const pending = new Set<Work>();
let interrupted = false;

/**
 * Has `work` done at the end of the run, at the latest; it may find that what it removes is gone.
 *
 * @returns does it now, the first time it is called
 */
export function cleanUpLater<Result extends void | Promise<void>>(
  work: () => Result,
): () => Result | undefined {
  const once = (): Result | undefined => (pending.delete(once) ? work() : undefined);
  pending.add(once);
  return once;
}

/**
 * Everything that is still to be done, the latest first and one after the other: what a child process makes can only be
 * removed when the process is gone. What fails is told and keeps nothing else from being done.
 */
export async function cleanUpNow(): Promise<void> {
  for (const work of [...pending].reverse()) {
    try {
      // oxlint-disable-next-line no-await-in-loop
      await work();
    } catch (error) {
      process.stderr.write(`cleaning up: ${error instanceof Error ? error.message : String(error)}\n`);
    }
  }
}

/** From now on an interrupt cleans up before it ends the process, with the exit code that shells expect. */
export function cleanUpWhenInterrupted(): void {
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(name, async () => {
      interrupted = true;
      await Promise.race([cleanUpNow(), sleep(patienceMs)]);
      process.exit(128 + constants.signals[name]);
    });
  }
}

/** Whether the run is about to end for that reason; what fails now fails because its children are being ended. */
export function isInterrupted(): boolean {
  return interrupted;
}
