/** Random numbers that a seed repeats. */

/** A whole number from 0 to below `limit`. */
export type Random = (limit: number) => number;

export function makeRandom(seed: number): Random {
  let state = seed >>> 0 || 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state = (state ^ (state << 5)) >>> 0;
    return state % limit;
  };
}
