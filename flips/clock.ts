/**
 * Time that passes only when somebody waits, for the whole process: a wait of a millisecond takes none and counts as half a
 * second. So what waits for a lock comes to its limit at once, always after the same number of looks.
 */

const LEAP_MS = 500;

export function stopTheClock(): void {
  let nowMs = 1000;
  performance.now = () => nowMs;
  Atomics.wait = () => {
    nowMs += LEAP_MS;
    return "timed-out";
  };
}
