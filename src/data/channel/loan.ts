/** Messages that are written and read where they are, without a copy. */

import { shoalError } from "../../errors.ts";

/** What a loan does to its channel. */
export interface LoanEnds {
  readonly label: string;
  commit(lengthBytes: number): void;
  cancel(): void;
}

/**
 * Room for a message in the channel: written through `bytes`, then sent by commit(), or given up. At the end of a `using` scope
 * it is given up if it was not sent.
 */
export class Loan implements Disposable {
  /** Shared memory. Not to be touched after commit() or cancel(). */
  readonly bytes: Uint8Array;
  #ends: LoanEnds | undefined;

  /** @internal */
  constructor(bytes: Uint8Array, ends: LoanEnds) {
    this.bytes = bytes;
    this.#ends = ends;
  }

  /**
   * Sends the message: the first `lengthBytes` of `bytes`; default all.
   *
   * @throws ERR_SHOAL_ARGUMENT, ERR_SHOAL_NOT_HOLDER (it was sent or given up before)
   */
  commit(lengthBytes: number = this.bytes.length): void {
    const ends = this.#take("commit");
    if (!Number.isInteger(lengthBytes) || lengthBytes < 0 || lengthBytes > this.bytes.length) {
      this.#ends = ends;
      const message = `commit: the loan has ${this.bytes.length} bytes, not ${String(lengthBytes)}`;
      throw shoalError("ERR_SHOAL_ARGUMENT", message, { lengthBytes: String(lengthBytes) });
    }
    ends.commit(lengthBytes);
  }

  /** Gives it up: nothing is sent. */
  cancel(): void {
    this.#take("cancel").cancel();
  }

  [Symbol.dispose](): void {
    if (this.#ends !== undefined) this.cancel();
  }

  #take(call: string): LoanEnds {
    const ends = this.#ends;
    if (ends === undefined)
      throw shoalError("ERR_SHOAL_NOT_HOLDER", `${call}: the loan was sent or given up before`, { call });
    this.#ends = undefined;
    return ends;
  }
}

/** What a borrowed message does to its channel. */
export interface MessageEnds<T> {
  decode(bytes: Uint8Array): T;
  release(): void;
  giveBack(): void;
}

/**
 * A message, read where it is. While it is borrowed nobody else gets it; at the end of a `using` scope, or by release(), it has
 * been received.
 */
export class Message<T> implements Disposable {
  /** Shared memory. Not to be touched after release(). */
  readonly bytes: Uint8Array;
  #ends: MessageEnds<T> | undefined;

  /** @internal */
  constructor(bytes: Uint8Array, ends: MessageEnds<T>) {
    this.bytes = bytes;
    this.#ends = ends;
  }

  /** What the channel's codec makes of it. @throws ERR_SHOAL_NOT_HOLDER (it was released), ERR_SHOAL_CODEC */
  get value(): T {
    if (this.#ends === undefined) throw released("value");
    return this.#ends.decode(this.bytes);
  }

  /** It has been received. */
  release(): void {
    this.#take("release").release();
  }

  /** It has not been received: it is the next one again. */
  giveBack(): void {
    this.#take("giveBack").giveBack();
  }

  [Symbol.dispose](): void {
    if (this.#ends !== undefined) this.release();
  }

  #take(call: string): MessageEnds<T> {
    const ends = this.#ends;
    if (ends === undefined) throw released(call);
    this.#ends = undefined;
    return ends;
  }
}

function released(call: string): Error {
  return shoalError("ERR_SHOAL_NOT_HOLDER", `${call}: the message was released before`, { call });
}
