/**
 * Assertions that Shoal's tests share: on error codes, and on leaving nothing behind.
 */
import assert from "node:assert/strict";
import { ShoalError } from "../../src/errors.ts";
import type { ShoalErrorCode } from "../../src/errors.ts";
import { holdings } from "./holdings.ts";
import { PeerError } from "./peer.ts";

/** Asserts that `call` throws a ShoalError of this code whose message matches; returns the error. */
export function throwsCode(call: () => unknown, code: ShoalErrorCode, message = /./): ShoalError {
  let thrown: unknown;
  try {
    call();
  } catch (error) {
    thrown = error;
  }
  if (!(thrown instanceof ShoalError)) assert.fail(`expected ${code}, got ${String(thrown)}`);
  assert.equal(thrown.code, code, thrown.message);
  assert.match(thrown.message, message);
  return thrown;
}

/** Asserts that a peer's call was refused with this code; returns the error. */
export async function refusesWith(call: Promise<unknown>, code: ShoalErrorCode): Promise<PeerError> {
  const outcome: unknown = await call.then(
    (value) => value,
    (error: unknown) => error,
  );
  if (!(outcome instanceof PeerError)) assert.fail(`expected ${code}, got ${String(outcome)}`);
  assert.equal(outcome.code, code, outcome.message);
  return outcome;
}

/** Asserts that `call` leaves this process with as many descriptors and mappings of segments as it had. */
export function leaksNothing(what: string, call: () => void): void {
  const before = holdings();
  call();
  assert.deepEqual(holdings(), before, `${what} leaks`);
}

/** Waits until `holds`, looking again every few milliseconds; fails after ten seconds. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!holds()) {
    if (Date.now() > end) assert.fail(`waited ten seconds in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
