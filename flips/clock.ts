/**
 * Time that passes only when somebody waits, for the whole process: a wait of a millisecond takes none and counts as half a
 * second. So what waits for a lock comes to its limit at once, always after the same number of looks.
 *
 * Whoever spins waits by looking at the clock: for that a look can be let take time, too.
 */

import { native } from "../src/os/native.ts";

const LEAP_MS = 500;

const ETIMEDOUT = -110;

let lookMs = 0;

/** From now on each look at the clock takes so long. */
export function letLooksTake(ms: number): void {
  lookMs = ms;
}

export function stopTheClock(): void {
  let nowMs = 1000;
  performance.now = () => (nowMs += lookMs);
  Atomics.wait = () => {
    nowMs += LEAP_MS;
    return "timed-out";
  };
  // Nobody rings: whoever might is in this thread, and waits itself.
  native.futexWait = () => {
    nowMs += LEAP_MS;
    return ETIMEDOUT;
  };
}
