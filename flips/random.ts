/** Numbers that look random and follow from a seed alone, so that what a run has found can be shown again. */

export interface Random {
  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number;
  /** Whether something happens that happens in one of `of` cases. */
  once(of: number): boolean;
  pick<T>(from: readonly T[]): T;
  word(): number;
}

/** A Weyl sequence of the seed, mixed by multiplications (after the finaliser of MurmurHash3). */
export function makeRandom(seed: number): Random {
  let state = seed >>> 0;
  const word = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return (mixed ^ (mixed >>> 16)) >>> 0;
  };
  const below = (limit: number): number => Math.floor((word() / 2 ** 32) * limit);
  return {
    word,
    below,
    once: (of) => below(of) === 0,
    pick: <T>(from: readonly T[]): T => from[below(from.length)] as T,
  };
}

/** The same items in another order. */
export function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const result = [...items];
  for (let end = result.length; end > 1; end--) {
    const other = random.below(end);
    [result[end - 1], result[other]] = [result[other] as T, result[end - 1] as T];
  }
  return result;
}
