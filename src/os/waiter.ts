/**
 * Waiting without blocking: a thread of the process watches the bells of its participants, and calls back.
 *
 * A bell is a u32 in shared memory, one for each participant. Who wants to tell it something changes what there is to see,
 * adds 1 to the bell (`Atomics.add`) and wakes it (`futexWake`). What that means is for the rooms above to decide; here is only
 * the news that it happened. How the thread works, and why no ring is lost: native/waiter_thread.c.
 *
 * @internal
 */
import { shoalError } from "../errors.ts";
import { SLOT_SIZE_BYTES } from "../layout/slot.ts";
import { checkBytes, checkFd, checkInteger } from "./checks.ts";
import { checkResult } from "./errno.ts";
import { native } from "./native.ts";

/** The bell was rung, once or more often. Also when that was while the waiter was inactive, since the last call back. */
export const WAITER_RANG = 1;
/** A participant that somebody else is, is dead and not recovered: told again every 50 ms for as long as that is so. */
export const WAITER_DIED = 2;
/** 50 ms have passed, of a waiter that wanted to know. */
export const WAITER_TICKED = 4;

/** Where things are. All words lie in `memory`, at multiples of 4. */
export interface WaiterOptions {
  /** Mapped until the waiter is closed; held as long. */
  readonly memory: ArrayBuffer | SharedArrayBuffer;
  readonly bellOffset: number;
  /** Of slot 0: `slotCount` slots as src/layout/slot.ts has them. */
  readonly slotsOffset: number;
  /** Of the u32 that says how many slots were ever taken. */
  readonly usedOffset: number;
  readonly slotCount: number;
  /** The waiting participant's own slot. */
  readonly ownIndex: number;
  /** Whoever lives in slot i holds, of this file, the lock on the byte at `lockOffset` plus i slots' bytes. */
  readonly lockFd: number;
  readonly lockOffset: number;
}

/** Of a waiter that is closed, the functions do nothing. */
export interface Waiter {
  /**
   * An active waiter is called back. Look at what you wait for after activating: what was rung for before may be told already.
   * A call that was on its way may still come after deactivating, and calls for no reason happen.
   *
   * @throws ERR_SHOAL_SYSTEM when the thread cannot be started
   */
  setActive(isActive: boolean): void;
  /** Whether it is called every 50 ms while it is active. */
  setTicking(isTicking: boolean): void;
  /** Whether it keeps the event loop alive, active or not; at first it does not. */
  setRef(isRef: boolean): void;
  /** No call comes any more, and the memory may be unmapped and the descriptor closed. */
  close(): void;
}

function checkWords(options: WaiterOptions, what: "bellOffset" | "slotsOffset" | "usedOffset"): number {
  const { memory } = options;
  const bytes = what === "slotsOffset" ? options.slotCount * SLOT_SIZE_BYTES : 4;
  const offset = checkInteger(what, options[what], 0, memory.byteLength - bytes);
  if (offset % 4 === 0) return offset;
  throw shoalError("ERR_SHOAL_ARGUMENT", `${what} must be a multiple of 4; ${offset} is not`, {
    what,
    offset,
  });
}

/** What the open waiters need, by id. Not every engine holds what the native call back refers to. */
const held = new Map<number, unknown>();

/**
 * Makes a waiter: inactive, and not keeping the event loop alive. It closes when the calling thread ends.
 *
 * @param notify gets the reasons, a sum of WAITER_RANG, WAITER_DIED and WAITER_TICKED; what it throws is an uncaught error of
 *   the event loop
 * @throws ERR_SHOAL_ARGUMENT, ERR_SHOAL_SYSTEM
 */
export function openWaiter(options: WaiterOptions, notify: (reasons: number) => void): Waiter {
  const { memory, lockFd, lockOffset } = options;
  const slotCount = checkInteger("slotCount", options.slotCount, 1, 0xffff);
  const ownIndex = checkInteger("ownIndex", options.ownIndex, 0, slotCount - 1);
  const [bell, slots, used] = [
    checkWords(options, "bellOffset"),
    checkWords(options, "slotsOffset"),
    checkWords(options, "usedOffset"),
  ];
  const base = checkResult(native.addressOf(new Uint8Array(memory)), "addressOf");
  const deliver = (reasons: number): void => {
    try {
      notify(reasons);
    } catch (error) {
      // Engines differ in what they do with an error of a native call back.
      setImmediate(() => {
        throw error;
      });
    }
  };
  const id = native.waiterOpen(
    base + bell,
    base + slots,
    base + used,
    slotCount,
    ownIndex,
    checkFd(lockFd),
    checkBytes("lockOffset", lockOffset),
    deliver,
  );
  held.set(checkResult(id, "waiterOpen"), { memory, deliver });
  return controls(id);
}

function controls(id: number): Waiter {
  let isOpen = true;
  return {
    setActive(isActive) {
      if (isOpen) checkResult(native.waiterActive(id, isActive ? 1 : 0), "pthread_create");
    },
    setTicking(isTicking) {
      if (isOpen) native.waiterTicking(id, isTicking ? 1 : 0);
    },
    setRef(isRef) {
      if (isOpen) native.waiterRef(id, isRef ? 1 : 0);
    },
    close() {
      if (!isOpen) return;
      isOpen = false;
      native.waiterClose(id);
      held.delete(id);
    },
  };
}
