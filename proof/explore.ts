/**
 * Every way in which the programs of several participants can be interleaved.
 *
 * A search over states, depth first. A state is all that decides what can happen next: the memory, where each participant
 * is, and what its result will be judged by. A state that was met before is not left again, and neither is one in which some
 * participant stands before an access that none of the others can notice: then that one goes first, since going later would
 * make no difference. (Which words can be noticed is found out on the way: a word that one participant writes and another
 * touches. When the search learns of a new one it begins again.) So the search needs no bound on the number of preemptions;
 * it takes one to find the simplest schedule that shows a fault.
 */

import type { Access, Participant, Position } from "./coroutine.ts";
import { COPY, READ } from "./coroutine.ts";
import { GRANULE_BYTES, joinHash, mixHigh, mixLow } from "./journal.ts";
import type { Journal } from "./journal.ts";

/** What the explorer shows at a state; valid during the call only. */
export interface View {
  /** The indexes of the participants that have made the steps up to here, in order. */
  readonly path: readonly number[];
  readonly positions: readonly Position[];
  /** For each participant the set of those (a bit for each index) that had ended before its first step that others notice. */
  readonly before: readonly number[];
}

export interface Search {
  readonly journal: Journal;
  readonly participants: readonly Participant[];
  /** Everybody has ended. */
  onEnd(view: View): void;
  /** A state that was not met before. What this does to the memory it undoes, and to the participants. */
  onState?(view: View): void;
  /** At most so many preemptions; without it, all schedules. */
  readonly preemptions?: number;
  /** True: go no further. */
  isOver?(states: number): boolean;
}

export interface Explored {
  /** Paths walked, each until everybody had ended or to where another path had been. */
  readonly schedules: number;
  readonly states: number;
  readonly steps: number;
  /** Nothing was left out. */
  readonly isWhole: boolean;
}

/** Which participants touch which granules: a bit for each that reads (the lower four) and writes (the upper four). */
export interface Touches {
  /** Notes an access of participant `index`. True when a granule is shared by it that was not before. */
  add(index: number, access: Access): boolean;
  /** Whether another participant writes what `index` is about to touch, or touches what it is about to write. */
  isNoticed(index: number, access: Access): boolean;
}

export function makeTouches(memory: WebAssembly.Memory): Touches {
  const bits = new Uint8Array(memory.buffer.byteLength / GRANULE_BYTES);
  const writeShift = 4;
  const conflict = (index: number, isWrite: boolean, granule: number): boolean => {
    const others = bits[granule]! & ~(0x11 << index);
    return isWrite ? others !== 0 : others >>> writeShift !== 0;
  };
  const addRange = (index: number, isWrite: boolean, address: number, lengthBytes: number): boolean => {
    const bit = 1 << (isWrite ? index + writeShift : index);
    let isNew = false;
    const last = Math.floor((address + lengthBytes - 1) / GRANULE_BYTES);
    for (let granule = Math.floor(address / GRANULE_BYTES); granule <= last; granule++) {
      if ((bits[granule]! & bit) !== 0) continue;
      bits[granule]! |= bit;
      isNew ||= conflict(index, isWrite, granule);
    }
    return isNew;
  };
  const isRangeNoticed = (index: number, isWrite: boolean, address: number, lengthBytes: number): boolean => {
    const last = Math.floor((address + lengthBytes - 1) / GRANULE_BYTES);
    for (let granule = Math.floor(address / GRANULE_BYTES); granule <= last; granule++)
      if (conflict(index, isWrite, granule)) return true;
    return false;
  };
  return {
    add(index, { kind, address, lengthBytes, from }) {
      const isNew = addRange(index, kind !== READ, address, lengthBytes);
      return kind === COPY ? addRange(index, false, from, lengthBytes) || isNew : isNew;
    },
    isNoticed: (index, { kind, address, lengthBytes, from }) =>
      isRangeNoticed(index, kind !== READ, address, lengthBytes) ||
      (kind === COPY && isRangeNoticed(index, false, from, lengthBytes)),
  };
}

/** Walks all schedules from here, where each participant has begun. Puts everything back. */
export function explore(search: Search, touches: Touches): Explored {
  for (;;) {
    const explored = walk(search, touches);
    if (explored !== undefined) return explored;
  }
}

/** Undefined: a shared word was found that the walk did not know of. */
function walk(search: Search, touches: Touches): Explored | undefined {
  const { journal, participants, preemptions } = search;
  const seen = new Map<number, number>();
  const path: number[] = [];
  const positions = participants.map((one) => one.position());
  const before = participants.map(() => -1);
  const view: View = { path, positions, before };
  let [schedules, steps] = [0, 0];
  let isStale = false;
  let isOver = false;

  const keyOf = (): number => {
    let [low, high] = [journal.low(), journal.high()];
    for (let index = 0; index < positions.length; index++) {
      const { low: one, high: other } = positions[index]!;
      low = mixLow(low, one, before[index]!);
      high = mixHigh(high, other, before[index]!);
    }
    return joinHash(low, high);
  };

  const endedSet = (): number =>
    positions.reduce((set, { isDone }, index) => (isDone ? set | (1 << index) : set), 0);

  /** The participant whose next access the others cannot notice; -1 = each one's can be. */
  const unnoticed = (): number => {
    if (preemptions !== undefined) return -1;
    return positions.findIndex(({ isDone, next }, index) => !isDone && !touches.isNoticed(index, next));
  };

  const visit = (last: number, left: number): void => {
    const key = keyOf() + (preemptions === undefined ? 0 : last + 1);
    const known = seen.get(key);
    if (known !== undefined && known >= left) {
      schedules++;
      return;
    }
    seen.set(key, left);
    isOver ||= search.isOver?.(seen.size) === true;
    if (isOver) return;
    if (known === undefined) search.onState?.(view);
    if (positions.every(({ isDone }) => isDone)) {
      schedules++;
      search.onEnd(view);
      return;
    }
    const alone = unnoticed();
    for (let index = 0; index < positions.length && !isStale && !isOver; index++) {
      if (positions[index]!.isDone || (alone !== -1 && index !== alone)) continue;
      const isPreemption =
        preemptions !== undefined && last !== -1 && index !== last && !positions[last]!.isDone;
      if (isPreemption && left === 0) continue;
      take(index, alone === index, isPreemption ? left - 1 : left);
    }
  };

  /** One step of a participant, all that comes after it, and back. */
  const take = (index: number, isAlone: boolean, left: number): void => {
    const participant = participants[index]!;
    const position = positions[index]!;
    const mark = journal.mark();
    const hadBegun = before[index]!;
    if (touches.add(index, position.next) && preemptions === undefined) isStale = true;
    if (!isAlone && hadBegun === -1) before[index] = endedSet();
    participant.step();
    steps++;
    positions[index] = participant.position();
    path.push(index);
    visit(index, left);
    path.pop();
    journal.undoTo(mark);
    participant.restore(position);
    positions[index] = position;
    before[index] = hadBegun;
  };

  visit(-1, preemptions ?? 0);
  if (isStale && preemptions === undefined && !isOver) return undefined;
  return { schedules, states: seen.size, steps, isWhole: !isOver };
}
