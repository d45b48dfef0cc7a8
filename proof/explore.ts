/**
 * Every way in which the programs of several participants can be interleaved.
 *
 * A search over states, depth first. A state is all that decides what can happen next: the memory, where each participant
 * is, and what its result will be judged by. A state that was met before is not left again, and neither is one in which some
 * participant stands before an access that none of the others can notice: then that one goes first, since going later would
 * make no difference. (Which words can be noticed is found out on the way: a word that one participant writes and another
 * touches. When the search learns of a new one it begins again.) So the search needs no bound on the number of preemptions.
 *
 * It takes one where there are too many states, and to find the simplest schedule that shows a fault. A preemption is a switch
 * away from a participant that could go on, between two accesses that others can notice: those that nobody notices belong to the
 * one before them. (In any schedule they can be moved there, and that makes no switch more.) A state is left again when it is
 * met with fewer preemptions behind it than ever before: see `isCovered`.
 */

import type { Access, Participant, Position } from "./coroutine.ts";
import { COPY, READ } from "./coroutine.ts";
import { GRANULE_BYTES, joinHash, mixHigh, mixLow } from "./journal.ts";
import type { Journal } from "./journal.ts";

/** What the explorer shows at a state; valid during the call only. */
export interface View {
  /** The indexes of the participants that have made the steps up to here, in order. */
  readonly path: readonly number[];
  /** Of each of these steps: it was made because nobody could notice it. */
  readonly alone: readonly boolean[];
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
  /** It cannot go on before the word that its next access reads is another one. */
  isAsleep?(position: Position): boolean;
  /** Of these (a bit for the index of each) one may die, at any state: a step of its own, in paths its index + DEATH. */
  readonly mortal?: number;
  /** Writes down in the memory that participant `index` has died. */
  die?(index: number): void;
  /** True: go no further. */
  isOver?(states: number): boolean;
}

/** In a path: somebody's death, beside its index. */
export const DEATH = 16;

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

/** Bits of a number in which it is noted how often a state was met with how many preemptions left: so many for each `last`. */
const coverBits = 3;
const coverMask = (1 << coverBits) - 1;

function cover(known: number, last: number, left: number): number {
  const shift = (last + 1) * coverBits;
  const before = (known >>> shift) & coverMask;
  return (known & ~(coverMask << shift)) | (Math.max(before, left + 1) << shift);
}

/**
 * Whether all that can come of a state, with so many preemptions left, has been tried: it was met with the same one running, or
 * with nobody, and as many left; or with another one running and one more, which is enough to switch.
 */
function isCovered(known: number, last: number, left: number): boolean {
  for (let other = -1; known >>> ((other + 1) * coverBits) !== 0; other++) {
    const met = ((known >>> ((other + 1) * coverBits)) & coverMask) - 1;
    if (met >= (other === last || other === -1 ? left : left + 1)) return true;
  }
  return false;
}

/** Undefined: a shared word was found that the walk did not know of. */
function walk(search: Search, touches: Touches): Explored | undefined {
  const { journal, participants, preemptions } = search;
  const seen = new Map<number, number>();
  const path: number[] = [];
  const alone: boolean[] = [];
  const positions = participants.map((one) => one.position());
  const before = participants.map(() => -1);
  const view: View = { path, alone, positions, before };
  const mortal = search.mortal ?? 0;
  let hasDied = false;
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

  const canGo = (index: number): boolean => {
    const position = positions[index]!;
    return !position.isDone && search.isAsleep?.(position) !== true;
  };

  /** The participant whose next access the others cannot notice; -1 = each one's can be. */
  const unnoticed = (): number =>
    positions.findIndex(({ next }, index) => canGo(index) && !touches.isNoticed(index, next));

  /** `last` made the last step that is noticed (-1: nobody that could go on); so many preemptions are left. */
  const visit = (last: number, left: number): void => {
    const key = keyOf();
    const known = seen.get(key);
    if (known !== undefined && isCovered(known, last, left)) {
      schedules++;
      return;
    }
    seen.set(key, cover(known ?? 0, last, left));
    isOver ||= search.isOver?.(seen.size) === true;
    if (isOver) return;
    if (known === undefined) search.onState?.(view);
    if (positions.every((_one, index) => !canGo(index))) {
      schedules++;
      search.onEnd(view);
      return;
    }
    const quiet = unnoticed();
    for (let index = 0; index < positions.length && goesOn(); index++) {
      if (!canGo(index) || (quiet !== -1 && index !== quiet)) continue;
      const isPreemption =
        preemptions !== undefined && quiet === -1 && last !== -1 && index !== last && canGo(last);
      if (isPreemption && left === 0) continue;
      take(index, quiet === index, last, isPreemption ? left - 1 : left);
    }
    if (hasDied || mortal === 0) return;
    for (let index = 0; index < positions.length && goesOn(); index++) {
      const mayDie = ((mortal >>> index) & 1) !== 0 && !positions[index]!.isDone;
      if (mayDie && (quiet === -1 || index === quiet)) lose(index, last, left);
    }
  };

  const goesOn = (): boolean => !isStale && !isOver;

  /** One step of a participant, all that comes after it, and back. */
  const take = (index: number, isAlone: boolean, last: number, left: number): void => {
    const participant = participants[index]!;
    const position = positions[index]!;
    const mark = journal.mark();
    const hadBegun = before[index]!;
    if (touches.add(index, position.next)) isStale = true;
    if (!isAlone && hadBegun === -1) before[index] = endedSet();
    participant.step();
    steps++;
    positions[index] = participant.position();
    path.push(index);
    alone.push(isAlone);
    const now = isAlone ? last : index;
    visit(preemptions === undefined || now === -1 || !canGo(now) ? -1 : now, left);
    path.pop();
    alone.pop();
    journal.undoTo(mark);
    participant.restore(position);
    positions[index] = position;
    before[index] = hadBegun;
  };

  /** A participant's death, all that comes after it, and back. */
  const lose = (index: number, last: number, left: number): void => {
    const position = positions[index]!;
    const mark = journal.mark();
    search.die!(index);
    positions[index] = { ...position, isDone: true };
    hasDied = true;
    path.push(index + DEATH);
    alone.push(false);
    visit(last === index ? -1 : last, left);
    path.pop();
    alone.pop();
    hasDied = false;
    positions[index] = position;
    journal.undoTo(mark);
  };

  visit(-1, preemptions ?? 0);
  if (isStale && !isOver) return undefined;
  return { schedules, states: seen.size, steps, isWhole: !isOver };
}
