/**
 * What the participants of a race do: rows of operations that are plain data, so that they can be drawn, printed, cut down
 * and done again.
 */

import { NEED_CATCH_UP, NEED_STORAGE, OK } from "../src/layout/result.ts";
import { S_SCRATCH, SCRATCH_SIZE_BYTES, SLOT_SIZE_BYTES } from "../src/layout/slot.ts";
import type { HeapCore, SlabCore } from "../src/region/core.ts";
import type { SteppedCore } from "./coroutine.ts";
import type { World } from "../test/helpers/core-world.ts";

/** A block: a handle, or what this participant's operation number `resultOf` has returned. */
export type Block = number | { readonly resultOf: number };

export type Operation =
  | {
      readonly kind: "alloc";
      readonly sizeBytes: number;
      readonly isOwned?: boolean;
      readonly alignmentBytes?: number;
    }
  | { readonly kind: "free"; readonly block: Block }
  | { readonly kind: "realloc"; readonly block: Block; readonly sizeBytes: number }
  | { readonly kind: "share"; readonly block: Block }
  | { readonly kind: "adopt"; readonly block: Block }
  | { readonly kind: "setRoot"; readonly name: string; readonly block: Block }
  | { readonly kind: "getRoot"; readonly name: string }
  | { readonly kind: "grow"; readonly pages: number }
  /** Slab heaps: the storage of free pages is given back, or so many pages in a row get theirs again. */
  | { readonly kind: "trim" }
  | { readonly kind: "restore"; readonly pages: number }
  /** `slot` is dead. */
  | { readonly kind: "recover"; readonly slot: number }
  | { readonly kind: "leave"; readonly slot: number }
  | { readonly kind: "take"; readonly slot: number };

export type Operations = readonly Operation[];

/** How an operation ended: what it returned, as an unsigned number, and why when that says "no". */
export interface Ending {
  readonly value: number;
  readonly error: number;
}

/** Endings of the operations that have ended, in order. */
export type Endings = readonly Ending[];

function handleOf(block: Block, endings: Endings): number {
  return typeof block === "number" ? block : (endings[block.resultOf]?.value ?? 0);
}

/** The block that the operation is about, in the hands of a participant to whom the earlier ones have ended so. 0 = none. */
export function blockOf(operation: Operation, endings: Endings): number {
  return "block" in operation ? handleOf(operation.block, endings) : 0;
}

/** Leaves a root's name where the core of slot `slot` looks for it; returns its length. */
export function writeName(world: World, slot: number, name: string): number {
  const place = world.geometry.slotsOffset + slot * SLOT_SIZE_BYTES + S_SCRATCH;
  const scratch = new Uint8Array(world.memory.buffer, place, SCRATCH_SIZE_BYTES);
  scratch.fill(0);
  for (let at = 0; at < name.length; at++) scratch[at] = name.charCodeAt(at);
  return name.length;
}

/** A result that is a code. */
const coded = (value: number): Ending => ({ value: value >>> 0, error: value >>> 0 });

function handled(core: HeapCore, value: number): Ending {
  return value === 0 ? { value: 0, error: core.lastError() } : { value: value >>> 0, error: OK };
}

/** No call is refused so often for what can be helped. */
const mostTries = 4;

/** As `memory.grow`: from now on the participant reaches what has been published. */
const catchUp = (core: SteppedCore): void => core.setMapped(core.sizePages());

/** Calls again after what was missing has been seen to, as src/heap does: storage that is noted, pages that others have added. */
function carefully(core: SteppedCore, call: () => Ending): Ending {
  for (let tries = mostTries; ; tries--) {
    const ending = call();
    if (tries === 0) return ending;
    if (ending.error === NEED_STORAGE) core.noteStorage(core.errorDetail());
    else if (ending.error === NEED_CATCH_UP) catchUp(core);
    else return ending;
  }
}

function setRoot(world: World, slot: number, core: HeapCore, name: string, handle: number): Ending {
  const locked = core.lockRoots();
  if (locked !== OK) return coded(locked);
  const code = core.rootSet(writeName(world, slot, name), handle, 0);
  core.unlockRoots();
  return coded(code);
}

/** As src/heap/trim.ts does, without a system. */
function trim(core: SlabCore): Ending {
  for (let page = core.trimFrom(0); page !== 0;) {
    const count = core.errorDetail();
    core.settleStorage(page, count, 0);
    page = core.trimFrom(page + count);
  }
  return coded(OK);
}

function restore(core: SlabCore, pages: number): Ending {
  const page = core.claimHollow(pages);
  if (page !== 0) core.settleStorage(page, pages, 1);
  return coded(OK);
}

function attempt(
  world: World,
  slot: number,
  core: SteppedCore,
  operation: Operation,
  endings: Endings,
): Ending {
  switch (operation.kind) {
    case "alloc": {
      const { sizeBytes, isOwned = false, alignmentBytes = 0 } = operation;
      if (!isOwned && alignmentBytes === 0) return handled(core, core.alloc(sizeBytes));
      return handled(core, core.allocWith(sizeBytes, alignmentBytes, isOwned ? 1 : 0, 0));
    }
    case "realloc":
      return handled(core, core.realloc(handleOf(operation.block, endings), operation.sizeBytes));
    case "free":
      return coded(core.free(handleOf(operation.block, endings)));
    case "share":
      return coded(core.share(handleOf(operation.block, endings)));
    case "adopt":
      return coded(core.adopt(handleOf(operation.block, endings)));
    case "setRoot":
      return setRoot(world, slot, core, operation.name, handleOf(operation.block, endings));
    case "getRoot":
      return handled(core, core.rootGet(writeName(world, slot, operation.name)));
    case "grow": {
      const value = core.publishSize(operation.pages) >>> 0;
      catchUp(core);
      return { value, error: OK };
    }
    case "trim":
      return trim(core as unknown as SlabCore);
    case "restore":
      return restore(core as unknown as SlabCore, operation.pages);
    case "recover":
      // What the dead one has added it may have died in.
      catchUp(core);
      return coded(core.recoverSlot(operation.slot, 1));
    case "leave":
      return coded(core.recoverSlot(operation.slot, 0));
    case "take":
      core.takeSlot(operation.slot, 1000 + operation.slot, 1, 0, 1);
      return coded(OK);
  }
}

/** Does the operations one after the other; `onEnd` is told of each ending. */
export function runAll(
  world: World,
  slot: number,
  core: SteppedCore,
  operations: Operations,
  onEnd: (ending: Ending) => void = () => undefined,
): void {
  const endings: Ending[] = [];
  for (const operation of operations) {
    const ending = carefully(core, () => attempt(world, slot, core, operation, endings));
    endings.push(ending);
    onEnd(ending);
  }
}

const thrown = new Error("no more results");

/** What the operations have come to when the core's calls have returned `results` up to now. */
export function endingsFrom(
  world: World,
  slot: number,
  operations: Operations,
  results: readonly number[],
): Endings {
  const endings: Ending[] = [];
  let cursor = 0;
  const call = (): number => {
    const value = results[cursor++];
    if (value === undefined) throw thrown;
    return value;
  };
  const core = new Proxy({}, { get: () => call }) as SteppedCore;
  try {
    runAll(world, slot, core, operations, (ending) => endings.push(ending));
  } catch (error) {
    if (error !== thrown) throw error;
  }
  return endings;
}

const showBlock = (block: Block): string =>
  typeof block === "number" ? String(block) : `what ${block.resultOf} returned`;

/** The operation in words. */
export function describe(operation: Operation): string {
  switch (operation.kind) {
    case "alloc": {
      const { sizeBytes, isOwned, alignmentBytes } = operation;
      const place = alignmentBytes === undefined ? "" : ` at a multiple of ${alignmentBytes}`;
      return `alloc ${sizeBytes}${isOwned === true ? " owned" : ""}${place}`;
    }
    case "realloc":
      return `realloc ${showBlock(operation.block)} to ${operation.sizeBytes}`;
    case "free":
    case "share":
    case "adopt":
      return `${operation.kind} ${showBlock(operation.block)}`;
    case "setRoot":
      return `root ${operation.name} = ${showBlock(operation.block)}`;
    case "getRoot":
      return `root ${operation.name}`;
    case "grow":
      return `grow to ${operation.pages} pages`;
    case "trim":
      return "trim";
    case "restore":
      return `restore ${operation.pages} pages`;
    case "recover":
    case "leave":
    case "take":
      return `${operation.kind} slot ${operation.slot}`;
  }
}
