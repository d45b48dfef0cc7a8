/**
 * How many messages make a sample of the length that is wanted: found by trying, which warms the code up too, and adapted
 * from sample to sample, because the try may have met with a neighbour who kept a processor busy.
 */

const warmMs = 150;
const longestMs = 3000;
const firstCount = 16;
const maxFactor = 8;
const quickCount = 20;

export interface SampleLength {
  readonly ms: number;
  /** As few as show that it works. */
  readonly isQuick: boolean;
}

/** What to do next after `count` took so long: the same, unless it was less than half or more than twice as long. */
export function adaptCount(count: number, elapsedMs: number, wantedMs: number): number {
  const factor = wantedMs / elapsedMs;
  if (factor > 0.5 && factor < 2) return count;
  return Math.max(1, Math.round(count * Math.min(maxFactor, Math.max(1 / maxFactor, factor))));
}

async function findCount(wantedMs: number, run: (count: number) => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  for (let count = firstCount; ;) {
    const beganMs = performance.now();
    // oxlint-disable-next-line no-await-in-loop
    await run(count);
    const nowMs = performance.now();
    const next = adaptCount(count, nowMs - beganMs, wantedMs);
    const hasSettled = next === count && nowMs - startedMs > warmMs;
    if (hasSettled || nowMs - startedMs > longestMs) return next;
    count = next;
  }
}

/** Takes samples of one kind. */
export class Sampler {
  readonly #run: (count: number) => Promise<number>;
  #count: number | undefined;

  /** `run` does so many and resolves to the figure. */
  constructor(run: (count: number) => Promise<number>) {
    this.#run = run;
  }

  async sample({ ms, isQuick }: SampleLength): Promise<number> {
    if (isQuick) return this.#run(quickCount);
    const count = this.#count ?? (await findCount(ms, this.#run));
    const startedMs = performance.now();
    const figure = await this.#run(count);
    this.#count = adaptCount(count, performance.now() - startedMs, ms);
    return figure;
  }
}
