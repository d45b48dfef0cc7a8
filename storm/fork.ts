/** The addon of fork.c. */

import { createRequire } from "node:module";

interface Fork {
  /** The child's pid, 0 in the child, or -errno. */
  fork(): number;
  /** Waits for a child's end: the signal's number, or 256 + the exit code, or -errno. */
  wait(pid: number): number;
  /** Ends this process at once, without any of Node's ends. */
  exit(code: number): never;
  /** The pid of this process; Node remembers the one it started with. */
  pid(): number;
}

/** Loads it. It is built like everything else, by `npm run build`. */
export function loadFork(): Fork {
  return createRequire(import.meta.url)("../../build/storm-fork.node") as Fork;
}
