/** Random strings that every participant knows by their number: made from the same seed everywhere. */

/** A generator of numbers below `limit`; the same for the same seed. */
export function makeRandom(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    // xorshift: its high bits are good enough for sizes and letters.
    state ^= state << 13;
    state ^= state >>> 17;
    state = (state ^ (state << 5)) >>> 0;
    return state % limit;
  };
}

const DIFFERENT = 512;

/** Gives the string of a number: 1 to `mostBytes` capital letters, the number's own letters first. */
export function makeStrings(seed: number, mostBytes: number): (index: number) => Uint8Array {
  const random = makeRandom(seed | 1);
  const strings = Array.from({ length: DIFFERENT }, () =>
    Uint8Array.from({ length: 1 + random(mostBytes) }, () => 65 + random(26)),
  );
  return (index) => strings[index % DIFFERENT]!;
}
