/**
 * Runs work before it is measured. The engines compile a hot function three or four times, the last time in the
 * background for some milliseconds; samples from before that describe another program.
 */

const warmMs = 150;

/** Repeats `work` until its code has settled; once when `isQuick`. */
export function warmUp(work: () => void, isQuick: boolean): void {
  const endMs = performance.now() + (isQuick ? 0 : warmMs);
  do work();
  while (performance.now() < endMs);
}
