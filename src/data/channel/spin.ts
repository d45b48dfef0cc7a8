/** Looking for a message for a while before sleeping: worth it when messages come fast. */

import { checkTimeout } from "../../sync/wait.ts";
import type { Link } from "./link.ts";

/** Looks of an `await receive()`: some microseconds. */
const LOOKS = 1000;

/** Looks between two looks at the clock. */
const SPIN_LOOKS = 2000;

/** A wait that was no longer than this, waking up included, might as well have been looked out. */
const SHORT_MS = 0.1;

/** How often in a row it may be in vain. */
const MOST_MISSES = 3;

/** How often who spins looks whether somebody has died. */
const WATCH_MS = 50;

export interface Spin {
  /** How often to look before sleeping. */
  looks(): number;
  /** It was in vain. */
  noteMiss(): void;
  /** A wait took so long. */
  note(waitedMs: number): void;
  /** How often an attempt of `wait` may look. */
  readonly most: number;
  /** Waits without ever sleeping; 0: in vain. */
  wait(
    link: Link,
    attempt: () => number,
    options: { readonly timeoutMs?: number | undefined },
    call: string,
  ): number;
}

export function makeSpin(): Spin {
  let left = 0;
  return {
    looks: () => (left > 0 ? LOOKS : 1),
    noteMiss() {
      if (left > 0) left--;
    },
    note(waitedMs) {
      if (waitedMs <= SHORT_MS) left = MOST_MISSES;
    },
    most: SPIN_LOOKS,
    wait(link, attempt, { timeoutMs }, call) {
      const limitMs = checkTimeout(call, timeoutMs);
      const startMs = performance.now();
      let watchedMs = startMs;
      for (;;) {
        const result = attempt();
        if (result !== 0) return result;
        const nowMs = performance.now();
        if (nowMs - startMs >= limitMs) return 0;
        if (nowMs - watchedMs < WATCH_MS) continue;
        watchedMs = nowMs;
        link.context.check();
        link.context.recover();
      }
    },
  };
}
