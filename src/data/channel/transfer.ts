/**
 * One message into a channel, or out of it, without waiting: what queues and rings have in common, over their steps (driver.ts).
 *
 * A message that fits is written into its cell. A larger one gets a block of the heap: the sender's own until it is in the cell,
 * then nobody's, then the receiver's own, who frees it; whoever dies in between, it is not lost (core/hand-over.ts).
 */

import { shoalError } from "../../errors.ts";
import { asHandle } from "../../heap/index.ts";
import {
  CELL_BLOCK,
  CELL_DATA,
  CELL_LENGTH,
  CHANNEL_BLOCKED,
  CHANNEL_EMPTY,
  CHANNEL_FULL,
  CHANNEL_LAST_CODE,
  CHANNEL_OVER,
  C_ENDED,
  ROOM_BEHIND,
} from "../../layout/channel.ts";
import { OK } from "../../layout/result.ts";
import { Y_KIND } from "../../layout/sync.ts";
import type { Region } from "../../region/index.ts";
import { trapError } from "../../region/traps.ts";
import type { Driver } from "./driver.ts";
import type { Link } from "./link.ts";
import { Loan, Message } from "./loan.ts";

/** A message as it is to be written: text, if that surely fits into a cell; else bytes. */
export type Encoded = string | Uint8Array;

/** There was no message; there was one (`value`); there will be none. */
export const NONE = 0;
export const GOT = 1;
export const OVER = 2;

/** The bits in a cell's address that say who is to be rung. */
const RING_BITS = 7;

/** UTF-16 code units become at most so many bytes. */
const MOST_BYTES_PER_UNIT = 3;

/** Up to so many bytes are copied by a loop, which is faster than a call. */
const LOOP_BYTES = 48;

export interface Transfer<T> {
  encode(message: T): Encoded;
  /** Whether there was room. */
  trySend(encoded: Encoded, call: string): boolean;
  /** Looks up to `looks` times; NONE, GOT (`value`) or OVER. */
  tryReceive(looks: number, call: string): number;
  /** What tryReceive has got. (No getter: see sync/getters.ts.) */
  value(): T;
  /** The message's length; -1: there was none; -2: there will be none. */
  tryReceiveInto(target: Uint8Array, call: string): number;
  tryReserve(lengthBytes: number, call: string): Loan | undefined;
  /** A message, or NONE, or OVER. */
  tryBorrow(call: string): Message<T> | number;
  /** Receives a message and forgets it. Whether there was one. */
  discard(call: string): boolean;
}

/** What this participant knows of a ring, whichever object it was found out by. */
interface Out {
  /** What is lent. */
  isLoan: boolean;
  isMessage: boolean;
  /** The cell for the next message, as long as nobody ends, destroys or resigns the ring; 0 = the core is to be asked. */
  room: number;
}

const outs = new WeakMap<Region, Map<number, Out>>();

function outOf({ region, object }: Link): Out {
  let known = outs.get(region);
  if (known === undefined) outs.set(region, (known = new Map()));
  let out = known.get(object);
  if (out === undefined) known.set(object, (out = { isLoan: false, isMessage: false, room: 0 }));
  return out;
}

/** The cell for the next message is not known any more. */
export function forgetRoom(link: Link): void {
  outOf(link).room = 0;
}

function copyBytes(from: Uint8Array, fromAt: number, to: Uint8Array, toAt: number, length: number): void {
  for (let index = 0; index < length; index++) to[toAt + index] = from[fromAt + index]!;
}

export function transferOf<T>(link: Link, driver: Driver): Transfer<T> {
  const { heap, region, core, codec, inlineBytes, object, label, cells, cellBytes, flags } = link;
  // Its cells are inside whatever the segment grows to: these views stay right.
  const bytes = new Uint8Array(region.buffer);
  const words = new Int32Array(region.buffer);
  const text = Buffer.from(region.buffer);
  /** Views of borrowed messages, for each cell the last one. */
  const views: (Uint8Array | undefined)[] = [];
  const isRaw = codec.name === "raw" && !codec.isText;
  const lastCell = cells + (link.capacity - 1) * cellBytes;
  const { core: heapCore } = region.session.overlay;
  const out = outOf(link);
  // There may have been another ring at its place.
  forgetRoom(link);
  const kindAt = (object + Y_KIND) >>> 2;
  const endedAt = (object + C_ENDED) >>> 2;
  const kind = words[kindAt]!;
  const cellsEnd = cells + link.capacity * cellBytes;
  let value: T;

  const viewAt = (cell: number, length: number): Uint8Array => {
    const index = (cell - cells) / cellBytes;
    const known = views[index];
    if (known !== undefined && known.length === length) return known;
    const view = new Uint8Array(region.buffer, cell + CELL_DATA, length);
    if (views.length <= index) views.length = link.capacity;
    views[index] = view;
    return view;
  };

  const blockBytes = (block: number, length: number, call: string): Uint8Array => {
    if (block + length > region.buffer.byteLength) region.catchUp();
    if (block >= region.dataOffset && block + length <= region.buffer.byteLength)
      return new Uint8Array(region.buffer, block, length);
    throw corrupt(call, `a message of ${length} bytes at ${block}`);
  };

  const corrupt = (call: string, what: string): Error =>
    shoalError("ERR_SHOAL_CORRUPT", `${call}: ${label} has ${what}; run verify() and stop using it`, {
      call,
      object,
    });

  const ended = (call: string): Error => {
    // Somebody may wait behind the cell that was claimed and given up.
    link.ringAll();
    return shoalError("ERR_SHOAL_ENDED", `${call}: ${label} was ended; nothing more can be sent`, {
      call,
      object,
    });
  };

  const busy = (call: string, what: string): Error => {
    const message = `${call}: ${what} of ${label} is lent already; a ring lends one at a time`;
    return shoalError("ERR_SHOAL_HELD", message, { call, object });
  };

  /** A cell to write into; 0 when there is no room. */
  const claim = (call: string): number => {
    if (flags[0] !== 0) region.check();
    if (out.isLoan) throw busy(call, "room");
    // As ringRoom looks, so that nothing is written into what is a ring no more.
    if (out.room !== 0 && words[kindAt] === kind && words[endedAt] === 0) return out.room;
    for (let again = 0; ;) {
      let result: number;
      try {
        result = driver.room() >>> 0;
      } catch (error) {
        throw trapError(error, call, heapCore);
      }
      if (result > CHANNEL_LAST_CODE) {
        const cell = (result & ~RING_BITS) >>> 0;
        if (cell < cells || cell > lastCell) link.checkCell(cell, call);
        if (cell !== result) link.ring(result & RING_BITS);
        return cell;
      }
      if (result === CHANNEL_FULL) return 0;
      if (result === CHANNEL_OVER) throw ended(call);
      again = link.settle(result, call, again);
    }
  };

  const commit = (cell: number, length: number, isOut: number, call: string): void => {
    out.room = 0;
    const bits = driver.commit(cell, length, isOut);
    if (bits < 0) throw corrupt(call, "a cell that is somebody else's");
    if ((bits & ROOM_BEHIND) !== 0) out.room = cell + cellBytes < cellsEnd ? cell + cellBytes : cells;
    if ((bits & ~ROOM_BEHIND) !== 0) link.ring(bits & ~ROOM_BEHIND);
  };

  const cancel = (cell: number): void => {
    const bits = driver.cancel(cell);
    if (bits > 0) link.ring(bits);
  };

  /** A block of this participant's own for a message; if there is none to be had the cell is given up. */
  const allocFor = (cell: number, length: number): number => {
    try {
      return heap.alloc(length, { owned: true });
    } catch (error) {
      cancel(cell);
      throw error;
    }
  };

  const commitOut = (cell: number, block: number, length: number, call: string): void => {
    try {
      link.insist(call, () => driver.put(cell, block));
    } catch (error) {
      heap.free(asHandle(block));
      cancel(cell);
      throw error;
    }
    commit(cell, length, 1, call);
  };

  const trySend = (encoded: Encoded, call: string): boolean => {
    const cell = claim(call);
    if (cell === 0) return false;
    if (typeof encoded === "string") {
      commit(cell, text.write(encoded, cell + CELL_DATA, inlineBytes, "utf8"), 0, call);
      return true;
    }
    const { length } = encoded;
    if (length <= inlineBytes) {
      if (length <= LOOP_BYTES) copyBytes(encoded, 0, bytes, cell + CELL_DATA, length);
      else bytes.set(encoded, cell + CELL_DATA);
      commit(cell, length, 0, call);
      return true;
    }
    const block = allocFor(cell, length);
    blockBytes(block, length, call).set(encoded);
    commitOut(cell, block, length, call);
    return true;
  };

  /** The next message's cell; or NONE, or OVER: no cell has such an address. */
  const next = (isLent: number, looks: number, call: string): number => {
    if (flags[0] !== 0) region.check();
    if (out.isMessage) throw busy(call, "a message");
    for (let again = 0; ;) {
      let result: number;
      try {
        result = (looks === 1 ? driver.next(isLent) : driver.spin(isLent, looks)) >>> 0;
      } catch (error) {
        throw trapError(error, call, heapCore);
      }
      if (result > CHANNEL_LAST_CODE) {
        const cell = (result & ~RING_BITS) >>> 0;
        if (cell < cells || cell > lastCell) link.checkCell(cell, call);
        if (cell !== result) link.ring(result & RING_BITS);
        return cell;
      }
      if (result === CHANNEL_EMPTY || result === CHANNEL_BLOCKED) return NONE;
      if (result === CHANNEL_OVER) return OVER;
      again = link.settle(result, call, again);
    }
  };

  const received = (cell: number, call: string): void => {
    const bits = driver.received(cell);
    if (bits === 0) return;
    if (bits < 0) throw corrupt(call, "a cell that is somebody else's");
    link.ring(bits);
  };

  const receivedOut = (cell: number, call: string): void => {
    link.insist(call, () => {
      const code = driver.take(cell);
      if (code !== OK) return code;
      const block = core.errorDetail() >>> 0;
      if (block !== 0) heap.free(asHandle(block));
      return OK;
    });
    received(cell, call);
  };

  const lengthAt = (cell: number): number => words[(cell + CELL_LENGTH) >>> 2]!;

  /** The message's bytes where they are. `isOut`: in a block. */
  const bytesOf = (cell: number, call: string, word = lengthAt(cell)): Uint8Array => {
    if (word < 0) return blockBytes(words[(cell + CELL_BLOCK) >>> 2]! >>> 0, word & 0x7fffffff, call);
    if (word > inlineBytes) throw corrupt(call, `a message of ${word} bytes in a cell of ${inlineBytes}`);
    return viewAt(cell, word);
  };

  const finish = (cell: number, call: string): void => {
    if (lengthAt(cell) < 0) receivedOut(cell, call);
    else received(cell, call);
  };

  const decode = (view: Uint8Array): T => {
    try {
      if (!codec.isText) return codec.decode(view) as T;
      const { byteOffset, length } = view;
      return codec.decode(textAt(byteOffset, length)) as T;
    } catch (cause) {
      const message = `a message of ${view.length} bytes in ${label} is nothing that ${codec.name} can read; it was received all the same`;
      throw shoalError("ERR_SHOAL_CODEC", message, { object, lengthBytes: view.length }, cause);
    }
  };

  const textAt = (at: number, length: number): string =>
    at + length <= text.length
      ? text.toString("utf8", at, at + length)
      : Buffer.from(region.buffer, at, length).toString("utf8");

  /** Makes the message in the cell `value`, and has received it, whatever comes of it. */
  const read = (cell: number, call: string): void => {
    const length = lengthAt(cell);
    try {
      if (isRaw && length >= 0 && length <= LOOP_BYTES && length <= inlineBytes) {
        const copy = new Uint8Array(length);
        copyBytes(bytes, cell + CELL_DATA, copy, 0, length);
        value = copy as T;
      } else value = decode(bytesOf(cell, call));
    } finally {
      finish(cell, call);
    }
  };

  const lend = (cell: number, length: number, call: string): Loan => {
    const isOut = length > inlineBytes;
    const block = isOut ? allocFor(cell, length) : 0;
    if (driver.isSingle) out.isLoan = true;
    const view = isOut ? blockBytes(block, length, call) : viewAt(cell, length);
    return new Loan(view, {
      label,
      commit(lengthBytes) {
        if (flags[0] !== 0) region.check();
        out.isLoan = false;
        if (isOut) commitOut(cell, block, lengthBytes, "commit");
        else commit(cell, lengthBytes, 0, "commit");
      },
      cancel() {
        out.isLoan = false;
        // What belonged to a region that is closed is gone with it.
        if (flags[0] !== 0) return;
        if (isOut) heap.free(asHandle(block));
        cancel(cell);
      },
    });
  };

  return {
    encode(message) {
      try {
        if (!codec.isText) return codec.encode(message);
        const encoded = codec.encode(message);
        return encoded.length * MOST_BYTES_PER_UNIT <= inlineBytes ? encoded : Buffer.from(encoded);
      } catch (cause) {
        if (cause instanceof Error && "code" in cause && cause.code === "ERR_SHOAL_CODEC") throw cause;
        const said = `the message is nothing that ${codec.name} can write`;
        throw shoalError("ERR_SHOAL_CODEC", said, { object }, cause);
      }
    },
    trySend,
    tryReceive(looks, call) {
      const cell = next(0, looks, call);
      if (cell <= OVER) return cell;
      read(cell, call);
      return GOT;
    },
    value: () => value,
    tryReceiveInto(target, call) {
      const cell = next(0, 1, call);
      if (cell <= OVER) return cell === NONE ? -1 : -2;
      const word = lengthAt(cell);
      const length = word & 0x7fffffff;
      if (length > target.length) {
        driver.giveBack(cell);
        const message = `${call}: the message has ${length} bytes, and there is room for ${target.length}; it is still the next`;
        throw shoalError("ERR_SHOAL_SIZE", message, { lengthBytes: length, roomBytes: target.length });
      }
      try {
        if (word >= 0 && length <= LOOP_BYTES && length <= inlineBytes)
          copyBytes(bytes, cell + CELL_DATA, target, 0, length);
        else target.set(bytesOf(cell, call, word));
      } finally {
        finish(cell, call);
      }
      return length;
    },
    tryReserve(lengthBytes, call) {
      const cell = claim(call);
      return cell === 0 ? undefined : lend(cell, lengthBytes, call);
    },
    tryBorrow(call) {
      const cell = next(1, 1, call);
      if (cell <= OVER) return cell;
      let view: Uint8Array;
      try {
        view = bytesOf(cell, call);
      } catch (error) {
        finish(cell, call);
        throw error;
      }
      if (driver.isSingle) out.isMessage = true;
      return new Message<T>(view, {
        decode,
        release() {
          out.isMessage = false;
          if (flags[0] === 0) finish(cell, "release");
        },
        giveBack() {
          out.isMessage = false;
          if (flags[0] === 0) link.ring(driver.giveBack(cell));
        },
      });
    },
    discard(call) {
      const cell = next(0, 1, call);
      if (cell <= OVER) return false;
      finish(cell, call);
      return true;
    },
  };
}
