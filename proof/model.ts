/**
 * What a heap is supposed to do, as seen by those who use it one after the other; and whether what happened to several at a
 * time could have happened so: is there an order of their operations, true to what ended before what began, in which each
 * returns what it did and which ends in the state that was found?
 */

import {
  BAD_HANDLE,
  BUSY,
  DOUBLE_FREE,
  LOCKED,
  NEED_PAGES,
  NEED_STORAGE,
  NOT_FOUND,
  NOT_OWNER,
  OK,
} from "../src/layout/result.ts";
import { blockOf } from "./operations.ts";
import type { Ending, Endings, Operation, Operations } from "./operations.ts";

export interface ModelBlock {
  readonly sizeBytes: number;
  /** Slot index; undefined = shared. */
  readonly owner: number | undefined;
}

/** What there is. Of a block that was allocated on the way at least so many bytes. */
export interface ModelState {
  readonly blocks: ReadonlyMap<number, ModelBlock>;
  readonly roots: ReadonlyMap<string, number>;
  readonly sizePages: number;
}

/** What one participant has done, as far as it was told. */
export interface History {
  readonly slot: number;
  readonly operations: Operations;
  readonly endings: Endings;
  /** It died in the middle of the operation behind the last that has ended, and was recovered at some time after. */
  readonly isDead: boolean;
  /** The participants (a bit for the index of each) that had ended before this one's first step that others notice. */
  readonly before: number;
}

export interface Rules {
  /** There may be no room. */
  readonly isTight: boolean;
  /**
   * A block is used by several who do not agree on who frees it. Then they may all be told that they did; but the heap stays
   * sound.
   */
  readonly isMisuse: boolean;
}

const without = (blocks: ModelState["blocks"], handle: number): Map<number, ModelBlock> => {
  const copy = new Map(blocks);
  copy.delete(handle);
  return copy;
};

/** The state with one more block; undefined when that would share bytes with another. */
function place(
  state: ModelState,
  blocks: ModelState["blocks"],
  handle: number,
  block: ModelBlock,
): ModelState | undefined {
  for (const [other, { sizeBytes }] of blocks)
    if (handle < other + sizeBytes && other < handle + block.sizeBytes) return undefined;
  return { ...state, blocks: new Map(blocks).set(handle, block) };
}

/** The state after an operation that was refused for this reason; undefined when that cannot be. */
function refuse(
  state: ModelState,
  slot: number,
  handle: number,
  error: number,
  rules: Rules,
): ModelState | undefined {
  const block = state.blocks.get(handle);
  switch (error) {
    case LOCKED:
    case BUSY:
    case NEED_STORAGE:
      return state;
    case NEED_PAGES:
      return rules.isTight ? state : undefined;
    case BAD_HANDLE:
    case DOUBLE_FREE:
      return block === undefined ? state : undefined;
    case NOT_OWNER:
      return block?.owner !== undefined && block.owner !== slot ? state : undefined;
    default:
      return undefined;
  }
}

/** The state after everything that belonged to a slot has gone. */
function release(state: ModelState, slot: number): ModelState {
  const blocks = new Map([...state.blocks].filter(([, { owner }]) => owner !== slot));
  return { ...state, blocks };
}

/** The state after a block's user did something to it; undefined when it has none, or when `slot` is not one. */
function change(
  state: ModelState,
  slot: number,
  handle: number,
  operation: Operation,
  value: number,
  rules: Rules,
): ModelState | undefined {
  const block = state.blocks.get(handle);
  if (block === undefined && rules.isMisuse && operation.kind !== "realloc") return state;
  if (block === undefined || (block.owner !== undefined && block.owner !== slot)) return undefined;
  switch (operation.kind) {
    case "free":
      return { ...state, blocks: without(state.blocks, handle) };
    case "share":
      return { ...state, blocks: new Map(state.blocks).set(handle, { ...block, owner: undefined }) };
    case "adopt":
      return { ...state, blocks: new Map(state.blocks).set(handle, { ...block, owner: slot }) };
    case "realloc": {
      const { sizeBytes } = operation;
      if (value === 0) return { ...state, blocks: without(state.blocks, handle) };
      return place(state, without(state.blocks, handle), value, { ...block, sizeBytes });
    }
    default:
      return undefined;
  }
}

/** The state after `operation` ended so; undefined when it cannot have. */
export function apply(
  state: ModelState,
  slot: number,
  operation: Operation,
  earlier: Endings,
  { value, error }: Ending,
  rules: Rules,
): ModelState | undefined {
  const handle = blockOf(operation, earlier);
  switch (operation.kind) {
    case "alloc": {
      if (value === 0) return refuse(state, slot, 0, error, rules);
      if (value % (operation.alignmentBytes ?? 1) !== 0) return undefined;
      const owner = operation.isOwned === true ? slot : undefined;
      return place(state, state.blocks, value, { sizeBytes: operation.sizeBytes, owner });
    }
    case "free":
    case "share":
    case "adopt":
    case "realloc":
      return error === OK
        ? change(state, slot, handle, operation, value, rules)
        : refuse(state, slot, handle, error, rules);
    case "setRoot": {
      if (error === LOCKED) return state;
      const roots = new Map(state.roots);
      if (handle === 0 && error === NOT_FOUND) return roots.has(operation.name) ? undefined : state;
      if (error !== OK) return refuse(state, slot, handle, error, rules);
      if (handle === 0) roots.delete(operation.name);
      else roots.set(operation.name, handle);
      return { ...state, roots };
    }
    case "getRoot":
      return (state.roots.get(operation.name) ?? 0) === value ? state : undefined;
    case "grow": {
      const sizePages = Math.max(state.sizePages, operation.pages);
      return value === sizePages ? { ...state, sizePages } : undefined;
    }
    case "recover":
    case "leave":
      if (error === LOCKED) return state;
      return error === OK ? release(state, operation.slot) : undefined;
    case "take":
    case "trim":
    case "restore":
      return state;
  }
}

/**
 * How an operation in whose middle its participant died may have ended: not at all, or with one of these results. (A realloc
 * that moves may have freed the old block: core/realloc.ts. That is 0 and OK.)
 */
function guesses(operation: Operation, earlier: Endings, found: ModelState): readonly Ending[] {
  const done = { value: OK, error: OK };
  switch (operation.kind) {
    case "alloc":
      // An owned block went with its owner.
      return operation.isOwned === true
        ? []
        : [...found.blocks.keys()].map((value) => ({ value, error: OK }));
    case "realloc":
      return [...new Set([0, blockOf(operation, earlier), ...found.blocks.keys()])].map((value) => ({
        value,
        error: OK,
      }));
    case "grow":
      return [{ value: Math.max(found.sizePages, operation.pages), error: OK }];
    case "getRoot":
    case "take":
    case "trim":
    case "restore":
      return [];
    default:
      return [done];
  }
}

/** Whether the model's state is what was found. Blocks may be larger than was asked for, but those that nobody touched not. */
function isFound(state: ModelState, found: ModelState, initial: ModelState): boolean {
  if (state.blocks.size !== found.blocks.size || state.roots.size !== found.roots.size) return false;
  if (state.sizePages !== found.sizePages) return false;
  for (const [handle, block] of state.blocks) {
    const real = found.blocks.get(handle);
    if (real === undefined || real.owner !== block.owner || real.sizeBytes < block.sizeBytes) return false;
    const isUntouched = initial.blocks.get(handle)?.sizeBytes === block.sizeBytes;
    if (isUntouched && real.sizeBytes !== block.sizeBytes) return false;
  }
  for (const [name, handle] of state.roots) if (found.roots.get(name) !== handle) return false;
  return true;
}

/**
 * Whether some order of the histories' operations leads from `initial` to `found`.
 *
 * @param alsoDead slots that were dead from the start and are recovered in `found`: at some time
 */
export function isLinearisable(
  initial: ModelState,
  found: ModelState,
  ofParticipants: readonly History[],
  rules: Rules,
  alsoDead: readonly number[] = [],
): boolean {
  const dead = { operations: [], endings: [], isDead: true, before: -1 };
  const histories = [...ofParticipants, ...alsoDead.map((slot) => ({ slot, ...dead }))];
  /** How many of each one's operations are in the order so far; a dead one's last are what it died in, and its recovery. */
  const taken = histories.map(() => 0);
  const isThrough = (index: number): boolean => {
    const { endings, isDead } = histories[index]!;
    return taken[index] === endings.length + (isDead ? 2 : 0);
  };
  const mayBegin = (index: number): boolean => {
    const { before } = histories[index]!;
    if (taken[index]! > 0 || before <= 0) return true;
    return histories.every((_other, at) => ((before >>> at) & 1) === 0 || isThrough(at));
  };
  /** What may come next of one participant: the states after it. */
  const nextOf = (index: number, state: ModelState): readonly ModelState[] => {
    const { slot, operations, endings } = histories[index]!;
    const at = taken[index]!;
    const operation = operations[at];
    if (at < endings.length) {
      const after = apply(state, slot, operation!, endings.slice(0, at), endings[at]!, rules);
      return after === undefined ? [] : [after];
    }
    if (at > endings.length) return [release(state, slot)];
    // It died in this one: it did nothing, or what it could.
    const likely = operation === undefined ? [] : guesses(operation, endings, found);
    const after = likely.map((ending) => apply(state, slot, operation!, endings, ending, rules));
    return [state, ...after].filter((one) => one !== undefined);
  };
  const search = (state: ModelState): boolean => {
    if (histories.every((_one, index) => isThrough(index))) return isFound(state, found, initial);
    for (let index = 0; index < histories.length; index++) {
      if (isThrough(index) || !mayBegin(index)) continue;
      const states = nextOf(index, state);
      taken[index]!++;
      if (states.some(search)) return true;
      taken[index]!--;
    }
    return false;
  };
  return search(initial);
}
