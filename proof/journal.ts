/**
 * What has been written to a memory since it was at its base, so that it can be undone, and a number that stands for it.
 *
 * Writes are noted before they happen and settled after. The number is 53 bits wide and depends on the contents alone, not on
 * the way to them: two histories that leave the same memory have the same number.
 */

/** The least that is noted: an aligned word of eight bytes. */
export const GRANULE_BYTES = 8;
const granuleShift = 3;

export interface Journal {
  /** Says that `lengthBytes` bytes at `address` are about to be written. */
  note(address: number, lengthBytes: number): void;
  /** What was noted has been written. */
  settle(): void;
  mark(): Mark;
  /** Puts back what was written since the mark was made. */
  undoTo(mark: Mark): void;
  /** Stands for the memory's contents as far as they are settled. */
  low(): number;
  high(): number;
  /** The addresses of granules written since `mark`, oldest first; some perhaps several times. */
  writtenSince(mark: Mark): readonly number[];
}

export interface Mark {
  readonly length: number;
  readonly low: number;
  readonly high: number;
}

/** Two halves of a hash; kept apart, since numbers of 64 bits are slow. */
export function mixLow(one: number, two: number, three: number): number {
  let hash = Math.imul(one, 0x9e3779b1) ^ Math.imul(two, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35) ^ Math.imul(three, 0x27d4eb2f);
  hash = Math.imul(hash ^ (hash >>> 13), 0x165667b1);
  return hash ^ (hash >>> 16);
}

export function mixHigh(one: number, two: number, three: number): number {
  let hash = Math.imul(three, 0x2545f491) ^ Math.imul(one, 0x6c8e9cf5);
  hash = Math.imul(hash ^ (hash >>> 16), 0x7feb352d) ^ Math.imul(two, 0x846ca68b);
  hash = Math.imul(hash ^ (hash >>> 15), 0x9e3779b1);
  return hash ^ (hash >>> 14);
}

/** Both halves as one number that a Map or a Set takes. */
export function joinHash(low: number, high: number): number {
  return (high & 0x1fffff) * 0x1_0000_0000 + (low >>> 0);
}

const entryWords = 3;

export function makeJournal(memory: WebAssembly.Memory): Journal {
  const words = new Int32Array(memory.buffer);
  // An entry is a granule's number and its two words as they were.
  let entries = new Int32Array(entryWords * 4096);
  let length = 0;
  let settled = 0;
  let low = 0;
  let high = 0;

  const push = (granule: number): void => {
    if (length + entryWords > entries.length) {
      const more = new Int32Array(entries.length * 2);
      more.set(entries);
      entries = more;
    }
    entries[length] = granule;
    entries[length + 1] = words[granule * 2]!;
    entries[length + 2] = words[granule * 2 + 1]!;
    length += entryWords;
  };

  return {
    note(address, lengthBytes) {
      const last = (address + lengthBytes - 1) >>> granuleShift;
      for (let granule = address >>> granuleShift; granule <= last; granule++) push(granule);
    },
    settle() {
      let kept = settled;
      for (let at = settled; at < length; at += entryWords) {
        const granule = entries[at]!;
        const [oldLow, oldHigh] = [entries[at + 1]!, entries[at + 2]!];
        const [newLow, newHigh] = [words[granule * 2]!, words[granule * 2 + 1]!];
        if (oldLow === newLow && oldHigh === newHigh) continue;
        low ^= mixLow(granule, oldLow, oldHigh) ^ mixLow(granule, newLow, newHigh);
        high ^= mixHigh(granule, oldLow, oldHigh) ^ mixHigh(granule, newLow, newHigh);
        entries[kept] = granule;
        entries[kept + 1] = oldLow;
        entries[kept + 2] = oldHigh;
        kept += entryWords;
      }
      settled = length = kept;
    },
    mark: () => ({ length, low, high }),
    undoTo(mark) {
      for (let at = length; at > mark.length;) {
        at -= entryWords;
        const granule = entries[at]!;
        words[granule * 2] = entries[at + 1]!;
        words[granule * 2 + 1] = entries[at + 2]!;
      }
      settled = length = mark.length;
      ({ low, high } = mark);
    },
    low: () => low,
    high: () => high,
    writtenSince(mark) {
      const addresses: number[] = [];
      for (let at = mark.length; at < length; at += entryWords) addresses.push(entries[at]! << granuleShift);
      return addresses;
    },
  };
}
