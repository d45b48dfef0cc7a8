/**
 * What the checked build tells of each access to the segment: here it is counted, and a call that makes too many is cut off.
 *
 * So a loop without an end is found by counting, on any machine, and after the same access each time.
 */

/** Thrown out of a call that makes no end. */
export const endless = new Error("more accesses than any call may make");

export interface Meter {
  readonly hook: (site: number) => void;
  /** A call begins. */
  begin(): void;
  /** Accesses since then. */
  readonly accesses: number;
  readonly isEndless: boolean;
  /** The stack of the access that was one too many. */
  readonly where: string;
}

export function makeMeter(limit: number): Meter {
  let accesses = 0;
  let where = "";
  return {
    hook() {
      if (++accesses <= limit) return;
      if (accesses === limit + 1) where = new Error("here").stack ?? "";
      throw endless;
    },
    begin() {
      accesses = 0;
    },
    get accesses() {
      return accesses;
    },
    get isEndless() {
      return accesses > limit;
    },
    get where() {
      return where;
    },
  };
}
