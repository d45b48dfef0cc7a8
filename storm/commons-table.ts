/**
 * What the ledger knows of the commons (commons.ts): the messages that are on their way, and counts of what was done.
 *
 * A message has an id, and the id a word: 0 = nobody has sent it, else who has, and its number. The sender writes down what it is
 * about to do (ledger.ts), then makes the word its own by a compare-and-swap, then sends. Whoever receives the message makes the
 * word 0 by a compare-and-swap from what the message itself says. So a message that comes twice, or was never sent, is noticed at
 * once; and one that is lost when nobody has a word for it any more, but the table.
 */

export const CHANNELS = ["work", "jobs", "latest", "ring", "topic"] as const;
export type ChannelName = (typeof CHANNELS)[number];

/** Locks that guard words which only somebody who is told that it was abandoned may find different. */
export const LOCKS = ["plain", "fair", "rwlock"] as const;
export type LockName = (typeof LOCKS)[number];

export const IDS_EACH = 128;
export const IDS = CHANNELS.length * IDS_EACH;

/** Counts since the round's beginning, or since the leader has found all in order. */
export const COUNTS = [
  "messages",
  "holds",
  "told plain",
  "told fair",
  "told rwlock",
  "added",
  "sets",
  "passes",
  "first parties",
  "last parties",
  "once",
] as const;
export type CountName = (typeof COUNTS)[number];

export const TABLE_WORDS = IDS + COUNTS.length;

const SEAT_VALUES = 64;
const NUMBERS = 2 ** 24;

/** What stands for the sender's `number`-th message. Never 0. */
export function messageWord(seat: number, number: number): number {
  return (number % NUMBERS) * SEAT_VALUES + seat + 1;
}

export function senderOf(word: number): number {
  return (word % SEAT_VALUES) - 1;
}

export function numberOf(word: number): number {
  return Math.floor(word / SEAT_VALUES);
}

export function channelOf(id: number): ChannelName {
  return CHANNELS[Math.floor(id / IDS_EACH)]!;
}

export class CommonsTable {
  readonly #words: Int32Array;
  readonly #at: number;

  constructor(words: Int32Array, at: number) {
    this.#words = words;
    this.#at = at;
  }

  /** Who has sent the message, and its number; 0 = nobody. */
  word(id: number): number {
    return Atomics.load(this.#words, this.#at + id);
  }

  /** Whether the id's word was `from`, and is `to` now. */
  change(id: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.#words, this.#at + id, from, to) === from;
  }

  add(name: CountName, count = 1): void {
    Atomics.add(this.#words, this.#at + IDS + COUNTS.indexOf(name), count);
  }

  count(name: CountName): number {
    return Atomics.load(this.#words, this.#at + IDS + COUNTS.indexOf(name));
  }

  setCount(name: CountName, count: number): void {
    Atomics.store(this.#words, this.#at + IDS + COUNTS.indexOf(name), count);
  }
}
