/** A channel's steps, whichever kind it is of; what they return is what the core's calls do (src/data/channel/core.ts). */
export interface Driver {
  /** A cell to write a message into, or a code. */
  room(): number;
  put(cell: number, block: number): number;
  commit(cell: number, lengthBytes: number, isOut: number): number;
  cancel(cell: number): number;
  /** The cell of the next message, or a code. */
  next(isLent: number): number;
  spin(isLent: number, looks: number): number;
  take(cell: number): number;
  received(cell: number): number;
  giveBack(cell: number): number;
  depth(): number;
  /** How many cells somebody is writing or reading. */
  claimed(): number;
  /** Drops the oldest message; as dropNext. */
  drop(): number;
  /** Only one message at a time can be written, and one be lent. */
  readonly isSingle: boolean;
}
