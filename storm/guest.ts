/** A participant in the commons, and how it writes down there what it does. */

import { nap } from "./ledger.ts";
import type { Intent, Kind, Ledger } from "./ledger.ts";
import type { Commons } from "./commons.ts";
import type { Random } from "./random.ts";

export interface Guest {
  readonly commons: Commons;
  readonly ledger: Ledger;
  readonly seat: number;
  readonly random: Random;
  /** How many messages it has sent. */
  sent: number;
}

/** A wait so long ends only if something is wrong: nobody holds anything for long, and who is stopped is woken before. */
export const LONG_MS = 15_000;
/** Of waits that may be in vain. */
export const SHORT_MS = 1;

/** An operation in the commons, before anything was done. `cell`: of what. */
export function intentOf(kind: Kind, cell: number): Intent {
  return { kind, cell, before: 0, sizeBytes: 0, sign: 0, wanted: 0, isOwned: false };
}

/** Writes down what is to be done, does it, and that it was done. */
export function perform({ ledger, seat }: Guest, kind: Kind, cell: number, work: () => void): void {
  ledger.begin(seat, intentOf(kind, cell));
  work();
  ledger.finish(seat);
}

/** Makes a call of Shoal's; undefined when it is refused with one of these codes. */
export function ask<Result>(
  { ledger, seat }: Guest,
  call: () => Result,
  ...codes: readonly string[]
): Result | undefined {
  ledger.setInCall(seat, true);
  try {
    return call();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (!codes.includes(code)) throw error;
    return undefined;
  } finally {
    ledger.setInCall(seat, false);
  }
}

/** Stays a while, now and then: so that others come meanwhile. */
export function dwell({ random }: Guest): void {
  if (random(20) === 0) nap(random(200) / 1000);
}
