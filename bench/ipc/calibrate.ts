/** How many messages make a sample of the length that is wanted; found by trying, which warms the code up too. */

const warmMs = 150;
const firstCount = 16;
const maxGrowth = 8;
const quickCount = 20;

export interface SampleLength {
  readonly ms: number;
  /** As few as show that it works. */
  readonly isQuick: boolean;
}

/** `run` does so many and resolves when they are done. */
export async function findCount(
  { ms, isQuick }: SampleLength,
  run: (count: number) => Promise<unknown>,
): Promise<number> {
  if (isQuick) return quickCount;
  const endMs = performance.now() + warmMs;
  for (let count = firstCount; ;) {
    const startedMs = performance.now();
    // oxlint-disable-next-line no-await-in-loop
    await run(count);
    const nowMs = performance.now();
    const factor = Math.min(maxGrowth, ms / (nowMs - startedMs));
    count = Math.max(1, Math.round(count * factor));
    if (nowMs > endMs && factor < 2) return count;
  }
}
