/** What a search of schedules runs on: a race on its mark, of a heap (race.ts), or of a channel (channel-stage.ts). */

import type { World } from "../test/helpers/core-world.ts";
import type { Participant, Position } from "./coroutine.ts";
import type { Journal } from "./journal.ts";

export interface Stage {
  readonly world: World;
  readonly journal: Journal;
  readonly participants: readonly Participant[];
  /** Everybody stands before the first access. */
  begin(): void;
  /** Calls `action` and puts the memory back to what it was before. */
  aside(action: () => void): void;
  /** Somebody recovers those who have died, as far as that can be done while the others go on. */
  recoverDead(died: readonly number[]): void;
  /**
   * Everybody has ended, or died: throws unless all is as it should be. May destroy what is in the memory.
   *
   * @param before for each participant the set of those (a bit for each index) that had ended before it began
   * @param isKnownSound the same memory was judged before; what remains is what the participants were told
   */
  judge(positions: readonly Position[], before: readonly number[], isKnownSound: boolean): void;
}

/** A race by its name, and how it is prepared. */
export interface Contest {
  /** "slab/…", "channel/…". */
  readonly name: string;
  prepare(): Stage;
}

/** Keeps the memory while something is done to it; may be nested. */
export function makeAside(memory: WebAssembly.Memory): (action: () => void) => void {
  const buffer = new Uint8Array(memory.buffer);
  /** One for each call inside another. */
  const spares: Uint8Array[] = [];
  let depth = 0;
  return (action) => {
    const spare = (spares[depth++] ??= new Uint8Array(buffer.length));
    spare.set(buffer);
    try {
      action();
    } finally {
      depth--;
      buffer.set(spare);
    }
  };
}
