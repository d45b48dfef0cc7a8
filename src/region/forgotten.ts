/**
 * Regions that nobody closed: what they hold of the system's is given back when they are collected.
 *
 * Collected means: neither the Region nor any of its buffers can be reached any more. A view of a segment stays good for as
 * long as it is kept, even if the Region that it came from is not. So a token stands for the opening; the Region refers
 * to it, and so does each buffer that the memory has had.
 *
 * The overlay needs no care: the engine unmaps the span with its memory. The other participants see a death: the lock of
 * the slot is dropped with the descriptor, and they recover it.
 */

import { native } from "../os/native.ts";
import type { Backing } from "./backing.ts";
import { FLAG_CLOSED } from "./overlay.ts";

/** Stands for an opening. */
export type Token = Record<never, never>;

/** What an opening holds. Must not lead to its memory, which would then never be collected. */
interface Holding {
  readonly backing: Backing;
  readonly flags: Int32Array;
  readonly guardId: number;
  /** 0: none. */
  readonly pinnedAddress: number;
}

const collected = new FinalizationRegistry<Holding>(giveBack);

/** The token of each buffer's opening. */
const tokens = new WeakMap<ArrayBufferLike, Token>();

/** What is to be watched from the next turn of the event loop on. */
let fresh = new Map<Token, { readonly buffer: ArrayBufferLike; readonly holding: Holding }>();
let isDue = false;

/**
 * Gives back what is held when neither the token nor a buffer of the opening can be reached. Registering costs the engine
 * several microseconds, now and at each collection, so it is put off: what is opened and closed in one turn never pays.
 */
export function watch(token: Token, buffer: ArrayBufferLike, holding: Holding): void {
  if (!isDue) setImmediate(registerFresh).unref();
  isDue = true;
  fresh.set(token, { buffer, holding });
}

function registerFresh(): void {
  const due = fresh;
  fresh = new Map();
  isDue = false;
  for (const [token, { buffer, holding }] of due) {
    if (isClosed(holding.flags)) continue;
    tie(buffer, token);
    collected.register(token, holding, token);
  }
}

function isClosed(flags: Int32Array): boolean {
  return (Atomics.load(flags, 0) & FLAG_CLOSED) !== 0;
}

/** The opening was ended in order. */
export function unwatch(token: Token): void {
  // A program that opens and closes many without a turn of its event loop must not keep their memories.
  fresh.delete(token);
  collected.unregister(token);
}

/** As long as `buffer` can be reached, so can the token. */
export function tie(buffer: ArrayBufferLike, token: Token): void {
  tokens.set(buffer, token);
}

function giveBack({ backing, flags, guardId, pinnedAddress }: Holding): void {
  if (isClosed(flags)) return;
  native.guardRemove(guardId);
  if (pinnedAddress !== 0) native.pinRelease(pinnedAddress);
  try {
    backing.close();
  } catch (error) {
    // There is no caller; what failed here is a descriptor that somebody else has closed.
    process.emitWarning(error instanceof Error ? error : String(error));
  }
}
