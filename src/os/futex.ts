/**
 * Futexes: waiting for a word of shared memory to change, without polling. The word may lie at different addresses in
 * different processes; what counts is the place in the shared object. `Atomics.wait` cannot do this: it knows only
 * its own process.
 */
import { shoalError } from "../errors.ts";
import { checkInteger } from "./checks.ts";
import { errnoName, systemError } from "./errno.ts";
import { native } from "./native.ts";

/**
 * "ok": woken (or for no reason, as any futex may be: look at the word again). "not-equal": the word had another value
 * already. "timed-out". "interrupted": by a signal, whose JavaScript listener runs once the caller returns.
 */
export type FutexResult = "ok" | "not-equal" | "timed-out" | "interrupted";

/** How long to wait. */
export interface FutexWaitOptions {
  /** Milliseconds; default: without limit. */
  readonly timeoutMs?: number;
}

const results: Readonly<Record<string, FutexResult>> = {
  EAGAIN: "not-equal",
  ETIMEDOUT: "timed-out",
  EINTR: "interrupted",
};

/**
 * No limit is 34 years: a wait without one would be restarted by the kernel after a signal (Node's handlers ask for
 * that), and a listener for Ctrl-C would never run.
 */
const maxTimeoutMs = 2 ** 40;

function addressOfWord(view: Int32Array, index: number): number {
  if (!(view instanceof Int32Array)) throw shoalError("ERR_SHOAL_ARGUMENT", "view must be an Int32Array");
  checkInteger("index", index, 0, view.length - 1);
  const address = native.addressOf(view);
  if (address < 0) throw systemError("addressOf", address);
  return address + index * 4;
}

/** Fractions are rounded up, so that a short wait does not become none; Infinity is no limit. */
function checkTimeout({ timeoutMs }: FutexWaitOptions): number {
  if (timeoutMs === undefined || timeoutMs === Infinity) return maxTimeoutMs;
  if (typeof timeoutMs === "number" && timeoutMs >= 0) return Math.min(Math.ceil(timeoutMs), maxTimeoutMs);
  throw shoalError("ERR_SHOAL_ARGUMENT", `timeoutMs must be 0 or more, not ${String(timeoutMs)}`);
}

function nameResult(result: number): FutexResult {
  if (result >= 0) return "ok";
  const outcome = results[errnoName(result)];
  if (outcome !== undefined) return outcome;
  throw systemError("futex", result, { operation: "FUTEX_WAIT" });
}

/**
 * Blocks the thread until the word is woken, if it has the expected value.
 *
 * @param view over memory that the waker shares: a mapping's buffer, or a SharedArrayBuffer
 * @param index of the word in the view
 * @param expected the value at which to wait; another one returns "not-equal" at once
 * @throws ERR_SHOAL_ARGUMENT, ERR_SHOAL_SYSTEM
 */
export function futexWait(
  view: Int32Array,
  index: number,
  expected: number,
  options: FutexWaitOptions = {},
): FutexResult {
  checkInteger("expected", expected, -0x80000000, 0x7fffffff);
  return nameResult(native.futexWait(addressOfWord(view, index), expected, checkTimeout(options)));
}

/**
 * As `futexWait`, on a thread of its own: the event loop goes on, and stays alive until the wait is over. Never
 * "interrupted". When the thread ends first, the wait is given up. Do not unmap the memory before.
 */
export function futexWaitAsync(
  view: Int32Array,
  index: number,
  expected: number,
  options: FutexWaitOptions = {},
): Promise<FutexResult> {
  checkInteger("expected", expected, -0x80000000, 0x7fffffff);
  const address = addressOfWord(view, index);
  const timeoutMs = checkTimeout(options);
  return new Promise((resolve, reject) => {
    const done = (result: number): void => {
      try {
        void view.length; // the view, and so its memory, is held until here
        resolve(nameResult(result));
      } catch (error) {
        reject(error);
      }
    };
    const started = native.futexWaitAsync(address, expected, timeoutMs, done);
    if (started < 0) reject(systemError("pthread_create", started));
  });
}

/**
 * Wakes those who wait at the word, in any process.
 *
 * @param count at most this many; default all
 * @returns how many were woken
 * @throws ERR_SHOAL_ARGUMENT, ERR_SHOAL_SYSTEM
 */
export function futexWake(view: Int32Array, index: number, count = 0x7fffffff): number {
  const most = count === Infinity ? 0x7fffffff : checkInteger("count", count, 0, 0x7fffffff);
  const result = native.futexWake(addressOfWord(view, index), most);
  if (result < 0) throw systemError("futex", result, { operation: "FUTEX_WAKE", count: most });
  return result;
}
