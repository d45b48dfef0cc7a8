/**
 * The bytes of the messages. The first and the last byte of each say its number (or what fits of it), and a receipt sums
 * up all that have come, in their order: a lost, doubled or torn message, or two that changed places, make another sum.
 * The bytes are printable ASCII, so that a message may travel as a string too.
 */

const firstPrintable = 48;

export function firstByteOf(index: number): number {
  return firstPrintable + (index & 63);
}

export function lastByteOf(index: number): number {
  return firstPrintable + ((index >>> 6) & 63);
}

/** Makes `bytes` the message number `index`. */
export function stamp(bytes: Uint8Array, index: number): void {
  bytes[0] = firstByteOf(index);
  bytes[bytes.length - 1] = lastByteOf(index);
}

/** Throws if `bytes` is not the message number `index` of `sizeBytes`. */
export function check(bytes: Uint8Array, index: number, sizeBytes: number): void {
  if (bytes.length !== sizeBytes) {
    throw new Error(`message ${index} has ${bytes.length} bytes instead of ${sizeBytes}.`);
  }
  if (bytes[0] !== firstByteOf(index) || bytes[sizeBytes - 1] !== lastByteOf(index)) {
    throw new Error(`message ${index} came back with other bytes.`);
  }
}

/** A private array of printable bytes, for a message to be sent. */
export function makeMessage(sizeBytes: number): Uint8Array {
  return new Uint8Array(sizeBytes).fill(firstPrintable);
}

/** What has come. */
export interface Receipt {
  readonly count: number;
  readonly sum: number;
}

export class Tally {
  #count = 0;
  #sum = 0;

  /** A message has come, with this first and last byte. */
  add(first: number, last: number): void {
    this.#count += 1;
    this.#sum = (Math.imul(this.#sum, 31) + (first << 8) + last) | 0;
  }

  get count(): number {
    return this.#count;
  }

  receipt(): Receipt {
    return { count: this.#count, sum: this.#sum };
  }
}

/** The receipt for the messages 0 to `count` - 1. */
export function expectedReceipt(count: number): Receipt {
  const tally = new Tally();
  for (let index = 0; index < count; index += 1) tally.add(firstByteOf(index), lastByteOf(index));
  return tally.receipt();
}

export function checkReceipt({ count, sum }: Receipt, expected: Receipt): void {
  if (count !== expected.count) {
    throw new Error(`${count} messages have come instead of ${expected.count}.`);
  }
  if (sum !== expected.sum)
    throw new Error(`the ${count} messages that have come are not those that were sent.`);
}

/** Messages of one size out of a stream of bytes that is cut anywhere. */
export class FrameTally {
  readonly #tally = new Tally();
  readonly #sizeBytes: number;
  #offset = 0;
  #first = 0;

  constructor(sizeBytes: number) {
    this.#sizeBytes = sizeBytes;
  }

  /** How many are complete. */
  get count(): number {
    return this.#tally.count;
  }

  add(chunk: Uint8Array): void {
    const sizeBytes = this.#sizeBytes;
    for (let start = -this.#offset; ; start += sizeBytes) {
      if (start >= 0) {
        if (start >= chunk.length) break;
        this.#first = chunk[start] ?? 0;
      }
      const end = start + sizeBytes;
      if (end > chunk.length) {
        this.#offset = chunk.length - start;
        return;
      }
      this.#tally.add(this.#first, chunk[end - 1] ?? 0);
    }
    this.#offset = 0;
  }

  receipt(): Receipt {
    return this.#tally.receipt();
  }
}
