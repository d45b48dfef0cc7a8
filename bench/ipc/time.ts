/** How long trips take, for the contenders: a look at the clock takes some 50 ns, so fast trips are timed several at once. */

import { setTimeout as sleep } from "node:timers/promises";
import { patienceMs } from "./contender.ts";

const nsPerMs = 1e6;

/** Trips that end when `trip` returns. Of each `tripsPerLook` together, the mean. */
export function timeTrips(count: number, tripsPerLook: number, trip: (index: number) => void): number[] {
  const times: number[] = [];
  let index = 0;
  while (index < count) {
    const end = Math.min(count, index + tripsPerLook);
    const trips = end - index;
    const startedMs = performance.now();
    for (; index < end; index += 1) trip(index);
    times.push(((performance.now() - startedMs) * nsPerMs) / trips);
  }
  return times;
}

/** Trips that end when the promise of `trip` is kept. */
export async function timeAwaitedTrips(
  count: number,
  trip: (index: number) => Promise<void>,
): Promise<number[]> {
  const times: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const startedMs = performance.now();
    // oxlint-disable-next-line no-await-in-loop
    await trip(index);
    times.push((performance.now() - startedMs) * nsPerMs);
  }
  return times;
}

/** Trips that end in an event: the next is sent from within it, with no promise between. */
export class EventTrips {
  readonly #count: number;
  readonly #send: (index: number) => void;
  readonly #times: number[] = [];
  #startedMs = 0;
  #resolve: (times: number[]) => void = () => undefined;
  #reject: (error: unknown) => void = () => undefined;

  constructor(count: number, send: (index: number) => void) {
    this.#count = count;
    this.#send = send;
  }

  /** Sends the first. */
  run(): Promise<number[]> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#startedMs = performance.now();
      this.#send(0);
    });
  }

  /** How many have come back: the number of the message that is on its way. */
  get done(): number {
    return this.#times.length;
  }

  /** The message is back. `check` is given its number, and throws if it is another. */
  heard(check: (index: number) => void): void {
    const nowMs = performance.now();
    try {
      check(this.done);
      this.#times.push((nowMs - this.#startedMs) * nsPerMs);
      if (this.done === this.#count) {
        this.#resolve(this.#times);
        return;
      }
      this.#startedMs = performance.now();
      this.#send(this.done);
    } catch (error) {
      this.#reject(error);
    }
  }
}

/** Nanoseconds since some moment that all processes of the machine share. */
export function machineNs(): number {
  return Number(process.hrtime.bigint());
}

/** Rejects if `promise` is not settled after `ms`. */
export async function within<Value>(what: string, promise: Promise<Value>, ms = patienceMs): Promise<Value> {
  const control = new AbortController();
  const tooLate = sleep(ms, undefined, { signal: control.signal }).then(() => {
    throw new Error(`${what} takes longer than ${ms / 1000} s.`);
  });
  try {
    return await Promise.race([promise, tooLate]);
  } finally {
    control.abort();
    tooLate.catch(() => undefined);
  }
}
