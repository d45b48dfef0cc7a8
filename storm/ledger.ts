/**
 * The ledger of a kill storm: what every participant has and is doing, in shared memory of its own beside the heap, so that it
 * can be read when they are dead.
 *
 *     head     0  pause u32: 1 = everybody rests between two operations
 *     seats    one for each participant: what it is doing
 *     cells    the blocks that there are: handle, size, contents, and whose own it is
 *     roots    the named roots that there are
 *     table    the messages that are on their way in the commons, and what was done there (commons-table.ts)
 *
 * Whoever does something to a block first takes the lock of its cell, if nobody has it (nobody waits for one), then writes into
 * its own seat what it is about to do, the kind last; then it calls the heap, enters the result into the cell, and clears the
 * kind. So a participant that dies leaves at most one operation in doubt: the one that its seat names. All other cells are
 * certain. A block that is shared may be worked on by whoever has its cell.
 */

import { Region } from "../src/region/index.ts";
import type { RawRegion } from "../src/region/index.ts";
import { CommonsTable, TABLE_WORDS } from "./commons-table.ts";

export const SEATS = 48;
export const CELLS = 320;
export const ROOTS = 8;

const PAUSE = 0;
const SEATS_AT = 16;
const SEAT_WORDS = 128;
const MESSAGE = 16;
const MESSAGE_BYTES = (SEAT_WORDS - MESSAGE) * 4;
const CELLS_AT = SEATS_AT + SEATS * SEAT_WORDS;
const CELL_WORDS = 8;
const ROOTS_AT = CELLS_AT + CELLS * CELL_WORDS;
const ROOT_WORDS = 4;
const TABLE_AT = ROOTS_AT + ROOTS * ROOT_WORDS;
const LEDGER_BYTES = (TABLE_AT + TABLE_WORDS) * 4;

/** A seat's words. */
const enum Seat {
  State,
  Operations,
  Kind,
  Phase,
  Cell,
  Before,
  Size,
  Sign,
  Wanted,
  Owned,
  Slot,
  MessageBytes,
  CommonsSlot,
  Permits,
  Pid,
  Thread,
}

/** What a participant is at. */
export const STATES = ["free", "hired", "opening", "working", "resting", "failed"] as const;
export type State = (typeof STATES)[number];

/** What it does to a block or a root, or in the commons; "none" between two operations. */
export const KINDS = [
  "none",
  "alloc",
  "free",
  "realloc",
  "share",
  "adopt",
  "root",
  "recover",
  "trim",
  "stats",
  "grow",
  "enter",
  "lock",
  "write",
  "read",
  "acquire",
  "event",
  "condition",
  "barrier",
  "once",
  "count",
  "send",
  "receive",
  "borrow",
  "subscribe",
] as const;
export type Kind = (typeof KINDS)[number];

/** An operation, as it is written down before it begins. */
export interface Intent {
  readonly kind: Kind;
  /** Of a root: the root's number; in the commons that of the lock, the channel or the message. */
  readonly cell: number;
  /** The handle before; 0 = none. */
  readonly before: number;
  /** The size before, in bytes. */
  readonly sizeBytes: number;
  /** What the contents are made from. */
  readonly sign: number;
  /** The size afterwards, in bytes; of a root the handle; in the commons how far it has come. */
  readonly wanted: number;
  /** Whether the block is the participant's own: before, or of an allocation afterwards. */
  readonly isOwned: boolean;
}

/** A block. */
export interface Cell {
  readonly handle: number;
  readonly sizeBytes: number;
  readonly sign: number;
  /** Number of the seat whose own it is; -1 = it is shared. */
  readonly owner: number;
}

export const EMPTY_CELL: Cell = { handle: 0, sizeBytes: 0, sign: 0, owner: -1 };

const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** Sleeps without a turn of the event loop. */
export function nap(ms: number): void {
  Atomics.wait(sleeper, 0, 0, ms);
}

/** The ledger. Words are read and written one at a time, in the order of the program. */
export class Ledger {
  readonly #region: RawRegion;
  readonly #words: Int32Array;
  readonly table: CommonsTable;

  private constructor(region: RawRegion) {
    this.#region = region;
    this.#words = new Int32Array(region.buffer);
    this.table = new CommonsTable(this.#words, TABLE_AT);
  }

  static create(name: string): Ledger {
    return new Ledger(Region.openRaw(name, { createSizeBytes: LEDGER_BYTES }));
  }

  static open(name: string): Ledger {
    return new Ledger(Region.openRaw(name));
  }

  close(): void {
    this.#region.close();
  }

  /** Everything empty: new heaps. */
  clear(): void {
    this.#words.fill(0);
  }

  get isPaused(): boolean {
    return Atomics.load(this.#words, PAUSE) !== 0;
  }

  set isPaused(value: boolean) {
    Atomics.store(this.#words, PAUSE, value ? 1 : 0);
  }

  #seat(seat: number, word: Seat): number {
    return Atomics.load(this.#words, SEATS_AT + seat * SEAT_WORDS + word);
  }

  #setSeat(seat: number, word: Seat, value: number): void {
    Atomics.store(this.#words, SEATS_AT + seat * SEAT_WORDS + word, value);
  }

  stateOf(seat: number): State {
    return STATES[this.#seat(seat, Seat.State)] ?? "free";
  }

  setState(seat: number, state: State): void {
    this.#setSeat(seat, Seat.State, STATES.indexOf(state));
  }

  /** How many operations the participant has finished. */
  operationsOf(seat: number): number {
    return this.#seat(seat, Seat.Operations);
  }

  /** The heap's slot that the participant has; -1 = none yet. */
  slotOf(seat: number): number {
    return this.#seat(seat, Seat.Slot) - 1;
  }

  setSlot(seat: number, slot: number): void {
    this.#setSeat(seat, Seat.Slot, slot + 1);
  }

  /** As slotOf, of the commons. */
  commonsSlotOf(seat: number): number {
    return this.#seat(seat, Seat.CommonsSlot) - 1;
  }

  setCommonsSlot(seat: number, slot: number, pid: number, thread: number): void {
    this.#setSeat(seat, Seat.Pid, pid);
    this.#setSeat(seat, Seat.Thread, thread);
    this.#setSeat(seat, Seat.CommonsSlot, slot + 1);
  }

  pidOf(seat: number): number {
    return this.#seat(seat, Seat.Pid);
  }

  threadOf(seat: number): number {
    return this.#seat(seat, Seat.Thread);
  }

  /** The semaphore's permits that the participant has, and more of a number that is different each time. */
  permitsOf(seat: number): number {
    return this.#seat(seat, Seat.Permits);
  }

  setPermits(seat: number, permits: number): void {
    this.#setSeat(seat, Seat.Permits, permits);
  }

  /** Whether the participant is between calling the heap and having been answered. */
  isInCall(seat: number): boolean {
    return this.#seat(seat, Seat.Phase) !== 0;
  }

  setInCall(seat: number, isInCall: boolean): void {
    this.#setSeat(seat, Seat.Phase, isInCall ? 1 : 0);
  }

  /** Makes the seat a new participant's. */
  hire(seat: number): void {
    this.#words.fill(0, SEATS_AT + seat * SEAT_WORDS, SEATS_AT + (seat + 1) * SEAT_WORDS);
    this.setState(seat, "hired");
  }

  kindOf(seat: number): Kind {
    return KINDS[this.#seat(seat, Seat.Kind)] ?? "none";
  }

  /** What the participant is in the middle of. */
  intentOf(seat: number): Intent {
    return {
      kind: this.kindOf(seat),
      cell: this.#seat(seat, Seat.Cell),
      before: this.#seat(seat, Seat.Before) >>> 0,
      sizeBytes: this.#seat(seat, Seat.Size),
      sign: this.#seat(seat, Seat.Sign),
      wanted: this.#seat(seat, Seat.Wanted) >>> 0,
      isOwned: this.#seat(seat, Seat.Owned) !== 0,
    };
  }

  begin(seat: number, { kind, cell, before, sizeBytes, sign, wanted, isOwned }: Intent): void {
    this.#setSeat(seat, Seat.Cell, cell);
    this.#setSeat(seat, Seat.Before, before);
    this.#setSeat(seat, Seat.Size, sizeBytes);
    this.#setSeat(seat, Seat.Sign, sign);
    this.#setSeat(seat, Seat.Wanted, wanted);
    this.#setSeat(seat, Seat.Owned, isOwned ? 1 : 0);
    this.#setSeat(seat, Seat.Kind, KINDS.indexOf(kind));
  }

  /** The operation has come so far. */
  setProgress(seat: number, progress: number): void {
    this.#setSeat(seat, Seat.Wanted, progress);
  }

  /** Nothing came of the operation, and it does not count as one. */
  drop(seat: number): void {
    this.#setSeat(seat, Seat.Kind, 0);
  }

  /** The result stands in the cell, and the contents in the block. */
  finish(seat: number): void {
    this.#setSeat(seat, Seat.Kind, 0);
    Atomics.add(this.#words, SEATS_AT + seat * SEAT_WORDS + Seat.Operations, 1);
  }

  /** The last words of a participant that goes because something is wrong. */
  fail(seat: number, message: string): void {
    const bytes = Buffer.from(message).subarray(0, MESSAGE_BYTES);
    const start = (SEATS_AT + seat * SEAT_WORDS + MESSAGE) * 4;
    new Uint8Array(this.#region.buffer, start, MESSAGE_BYTES).set(bytes);
    this.#setSeat(seat, Seat.MessageBytes, bytes.length);
    this.setState(seat, "failed");
  }

  messageOf(seat: number): string {
    const start = (SEATS_AT + seat * SEAT_WORDS + MESSAGE) * 4;
    return Buffer.from(this.#region.buffer, start, this.#seat(seat, Seat.MessageBytes)).toString();
  }

  #lockWord(cell: number): number {
    return CELLS_AT + cell * CELL_WORDS;
  }

  /** Takes the cell's lock if nobody has it. */
  tryLock(cell: number, seat: number): boolean {
    return Atomics.compareExchange(this.#words, this.#lockWord(cell), 0, seat + 1) === 0;
  }

  unlock(cell: number): void {
    Atomics.store(this.#words, this.#lockWord(cell), 0);
  }

  /** The seat that holds the cell's lock; -1 = none. */
  holderOf(cell: number): number {
    return Atomics.load(this.#words, this.#lockWord(cell)) - 1;
  }

  cell(cell: number): Cell {
    const at = CELLS_AT + cell * CELL_WORDS;
    return {
      handle: Atomics.load(this.#words, at + 1) >>> 0,
      sizeBytes: Atomics.load(this.#words, at + 2),
      sign: Atomics.load(this.#words, at + 3),
      owner: Atomics.load(this.#words, at + 4) - 1,
    };
  }

  setCell(cell: number, { handle, sizeBytes, sign, owner }: Cell): void {
    const at = CELLS_AT + cell * CELL_WORDS;
    Atomics.store(this.#words, at + 1, handle);
    Atomics.store(this.#words, at + 2, sizeBytes);
    Atomics.store(this.#words, at + 3, sign);
    Atomics.store(this.#words, at + 4, owner + 1);
  }

  tryLockRoot(root: number, seat: number): boolean {
    return Atomics.compareExchange(this.#words, ROOTS_AT + root * ROOT_WORDS, 0, seat + 1) === 0;
  }

  unlockRoot(root: number): void {
    Atomics.store(this.#words, ROOTS_AT + root * ROOT_WORDS, 0);
  }

  rootHolderOf(root: number): number {
    return Atomics.load(this.#words, ROOTS_AT + root * ROOT_WORDS) - 1;
  }

  /** The handle under the root; 0 = none. */
  root(root: number): number {
    return Atomics.load(this.#words, ROOTS_AT + root * ROOT_WORDS + 1) >>> 0;
  }

  setRoot(root: number, handle: number): void {
    Atomics.store(this.#words, ROOTS_AT + root * ROOT_WORDS + 1, handle);
  }
}

/** A root's name in the heap. */
export function rootName(root: number): string {
  return `root ${root}`;
}
