/**
 * A buddy system as textbooks have it: lists of free blocks by level, splitting and joining. Of the free blocks that are
 * large enough, the one at the lowest address is taken.
 */
export class TextbookBuddy {
  readonly topLevel: number;
  /** First leaf of each free block, by level. */
  readonly free: Set<number>[];
  /** First leaf to level of each allocated block. */
  readonly allocated = new Map<number, number>();

  constructor(topLevel: number) {
    this.topLevel = topLevel;
    this.free = Array.from({ length: topLevel + 1 }, (_, level) => new Set(level === topLevel ? [0] : []));
  }

  copy(): TextbookBuddy {
    const copy = new TextbookBuddy(this.topLevel);
    this.free.forEach((leaves, level) => (copy.free[level] = new Set(leaves)));
    for (const [leaf, level] of this.allocated) copy.allocated.set(leaf, level);
    return copy;
  }

  /** The first leaf of a new block of 2^level leaves; -1 = there is no room. */
  alloc(level: number): number {
    const candidates = this.free.flatMap((leaves, at) =>
      at < level ? [] : [...leaves].map((leaf) => ({ leaf, at })),
    );
    if (candidates.length === 0) return -1;
    const { leaf, at } = candidates.reduce((one, other) => (other.leaf < one.leaf ? other : one));
    this.free[at]!.delete(leaf);
    for (let half = at - 1; half >= level; half--) this.free[half]!.add(leaf + 2 ** half);
    this.allocated.set(leaf, level);
    return leaf;
  }

  release(leaf: number): void {
    let level = this.allocated.get(leaf)!;
    this.allocated.delete(leaf);
    let start = leaf;
    while (level < this.topLevel) {
      const buddy = start ^ (2 ** level);
      if (!this.free[level]!.delete(buddy)) break;
      start = Math.min(start, buddy);
      level++;
    }
    this.free[level]!.add(start);
  }
}
