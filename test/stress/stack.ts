/**
 * A stack of strings in shared memory that any number of participants push to and pop from without a lock.
 *
 * Each entry is a block of the heap's own, so the heap is under stress from the stack as well:
 *
 *     head u64     bits 0..31 handle of the topmost entry, 0 = none; bits 32..63 a tag, counted up by every change
 *     entry  0  handle of the entry below u32       4  handle of the string u32       8  its index u32
 *
 * The tag is what makes popping right: between the look at the topmost entry and the exchange of the head, others may have
 * popped that entry, freed it, and pushed another one that got the same block; the handle is the same then, the tag is not.
 * What was read from the entry meanwhile may be anything, and is thrown away.
 */
import type { Handle, Heap } from "../../src/index.ts";

export const HEAD_BYTES = 8;
const ENTRY_BYTES = 12;

/** A string: where it is, and its number. */
export interface Item {
  readonly handle: Handle;
  readonly index: number;
}

export interface Stack {
  push(item: Item): void;
  pop(): Item | undefined;
}

const HANDLE_BITS = 32n;

/** The stack whose head is in the block `head`. `owned`: entries are the pusher's own. */
export function openStack(heap: Heap, head: Handle, owned: boolean): Stack {
  // Old views stay good: neither a block nor its address ever moves.
  const word = new BigUint64Array(heap.region.buffer, head, 1);
  let words = new Uint32Array(heap.region.buffer);
  const wordsUpTo = (handle: number): Uint32Array => {
    if (handle + ENTRY_BYTES > words.byteLength) {
      heap.region.catchUp();
      words = new Uint32Array(heap.region.buffer);
    }
    return words;
  };
  const exchange = (seen: bigint, top: number): boolean => {
    const next = BigInt.asUintN(64, (((seen >> HANDLE_BITS) + 1n) << HANDLE_BITS) | BigInt(top));
    return Atomics.compareExchange(word, 0, seen, next) === seen;
  };
  return {
    push({ handle, index }) {
      const entry = owned ? heap.alloc(ENTRY_BYTES, { owned }) : heap.alloc(ENTRY_BYTES);
      const at = entry >>> 2;
      const own = wordsUpTo(entry);
      Atomics.store(own, at + 1, handle);
      Atomics.store(own, at + 2, index);
      for (;;) {
        const seen = Atomics.load(word, 0);
        Atomics.store(own, at, Number(BigInt.asUintN(32, seen)));
        if (exchange(seen, entry)) return;
      }
    },
    pop() {
      for (;;) {
        const seen = Atomics.load(word, 0);
        const entry = Number(BigInt.asUintN(32, seen));
        if (entry === 0) return undefined;
        const all = wordsUpTo(entry);
        const [below, handle, index] = [0, 1, 2].map((part) => Atomics.load(all, (entry >>> 2) + part)) as [
          number,
          number,
          number,
        ];
        if (!exchange(seen, below)) continue;
        heap.free(entry as Handle);
        return { handle: handle as Handle, index };
      }
    },
  };
}
