/**
 * Objects in a heap: found by name, made where there is none yet, or placed in a block of the caller's.
 *
 * A named object is a block under a root of that name; of several that make it at once one wins. It is shared, and outlives
 * everyone. Its first word says what it is; that is written last, and checked by whoever finds it.
 */

import { shoalError } from "../errors.ts";
import { asHandle } from "../heap/index.ts";
import type { Handle, Heap } from "../heap/index.ts";
import { SET_SWEPT_BYTES, SYNC_MAGIC, SYNC_MAGIC_MASK } from "../layout/sync.ts";
import {
  fillObject,
  getFlags,
  getLimit,
  loadKind,
  setFlags,
  setLimit,
  storeKind,
  wordsAt,
} from "./object-words.ts";
import type { SharedWords } from "./object-words.ts";

/**
 * Where an object is: under a name; at a handle, which is another one's `handle`; or in a block of the caller's, at an
 * offset in it that is a multiple of 8. Without any: a new block, for whoever is told its handle.
 */
export type Place =
  | string
  | Handle
  | {
      readonly block: Handle;
      /** Default 0. */
      readonly offset?: number;
      /** Whether it is to be made there. Default: there is one. */
      readonly create?: boolean;
    };

/** What an object is to be. */
export interface ObjectPlan {
  /** SYNC_MUTEX… */
  readonly kind: number;
  /** "mutex"…, for messages. */
  readonly noun: string;
  readonly sizeBytes: number;
  /** One that there is may have another size, which its opener checks. */
  readonly isVariable?: true;
  readonly flags?: number;
  readonly limit?: number;
  /** Options that the caller has named: an object that has others is refused. */
  readonly expected?: { readonly flags?: number | undefined; readonly limit?: number | undefined };
  /** Throws when what was said is not enough to make one. */
  checkMaking?(): void;
  /** Puts the kind's own words into a block of zeros; flags and limit are there. */
  init?(object: number): void;
}

/** An object, found or made. */
export interface FoundObject {
  readonly handle: Handle;
  readonly created: boolean;
  /** From the handle to the end of its block. */
  readonly roomBytes: number;
  /** What it is called in messages. */
  readonly label: string;
}

/** Kind, flags and limit. */
const HEAD_BYTES = 16;

/** Kinds by number, for messages. */
const nouns = new Map<number, string>();

/** Size of a set of waiters. */
export function waitersBytes(heap: Heap): number {
  return Math.ceil(heap.region.session.geometry.slotCount / 64) * 8 + SET_SWEPT_BYTES;
}

/**
 * Finds or makes an object.
 *
 * @throws ERR_SHOAL_KIND, ERR_SHOAL_BAD_HANDLE, ERR_SHOAL_ARGUMENT, ERR_SHOAL_NAME, ERR_SHOAL_ROOTS_FULL, and as Heap.alloc
 */
export function openObject(heap: Heap, place: Place | undefined, plan: ObjectPlan): FoundObject {
  nouns.set(plan.kind, plan.noun);
  if (typeof place === "string") return openNamed(heap, place, plan);
  if (place === undefined) {
    const handle = make(heap, plan);
    heap.share(handle);
    return { handle, created: true, roomBytes: plan.sizeBytes, label: `${plan.noun} ${handle}` };
  }
  if (typeof place === "number") return openAt(heap, place, 0, plan);
  if (typeof place !== "object" || place === null || typeof place.block !== "number") {
    const message = `a ${plan.noun} is found by a name, a handle, or { block, offset }; not by ${String(place)}`;
    throw shoalError("ERR_SHOAL_ARGUMENT", message, { kind: plan.noun });
  }
  if (place.create !== true) return openAt(heap, place.block, place.offset ?? 0, plan);
  plan.checkMaking?.();
  const at = checkRoom(heap, place.block, place.offset ?? 0, plan);
  checkReach(heap, at, plan.sizeBytes);
  fillObject(wordsAt(heap.region.buffer, at, plan.sizeBytes));
  initialise(heap, at, plan);
  return { handle: asHandle(at), created: true, roomBytes: plan.sizeBytes, label: `${plan.noun} ${at}` };
}

function openNamed(heap: Heap, name: string, plan: ObjectPlan): FoundObject {
  const label = `${plan.noun} "${name}"`;
  const known = heap.roots.get(name);
  if (known !== 0) return { ...openAt(heap, known, 0, plan, label), label };
  // Its own until the root leads to it: if this participant dies before, it is freed.
  const handle = make(heap, plan);
  const present = heap.roots.publish(name, handle);
  if (present === handle) return { handle, created: true, roomBytes: plan.sizeBytes, label };
  heap.free(handle);
  return { ...openAt(heap, present, 0, plan, label), label };
}

function make(heap: Heap, plan: ObjectPlan): Handle {
  plan.checkMaking?.();
  const handle = heap.alloc(plan.sizeBytes, { owned: true, zeroed: true, alignmentBytes: 64 });
  initialise(heap, handle, plan);
  return handle;
}

/** The block can be reached. What its allocator says of a damaged heap need not be so. */
function checkReach(heap: Heap, block: number, sizeBytes: number): void {
  if (block + sizeBytes > heap.region.segmentSizeBytes) heap.region.catchUp();
  if (block % 8 === 0 && block + sizeBytes <= heap.region.segmentSizeBytes) return;
  const message = `the segment has no block of ${sizeBytes} bytes at ${block}; run verify() and stop using it`;
  throw shoalError("ERR_SHOAL_CORRUPT", message, { offset: block, sizeBytes });
}

function initialise(heap: Heap, object: number, plan: ObjectPlan): void {
  checkReach(heap, object, plan.sizeBytes);
  const words = wordsAt(heap.region.buffer, object, HEAD_BYTES);
  setFlags(words, plan.flags ?? 0);
  setLimit(words, plan.limit ?? 0);
  plan.init?.(object);
  storeKind(words, SYNC_MAGIC | plan.kind);
}

function checkRoom(heap: Heap, block: Handle, offset: number, plan: ObjectPlan): number {
  const usableBytes = heap.usableSize(block);
  const isInside = Number.isInteger(offset) && offset >= 0 && offset % 8 === 0;
  if (isInside && (block + offset) % 8 === 0 && offset + plan.sizeBytes <= usableBytes) return block + offset;
  throw shoalError(
    "ERR_SHOAL_ARGUMENT",
    `a ${plan.noun} needs ${plan.sizeBytes} bytes from a multiple of 8 on; block ${block} has ${usableBytes}, and the offset is ${offset}`,
    { block, offset, sizeBytes: plan.sizeBytes, usableBytes },
  );
}

function openAt(heap: Heap, block: Handle, offset: number, plan: ObjectPlan, label?: string): FoundObject {
  const usableBytes = heap.usableSize(block);
  const found = {
    handle: block,
    created: false,
    roomBytes: usableBytes - offset,
    label: label ?? `${plan.noun} ${block + offset}`,
  };
  const isRoom = offset % 8 === 0 && offset >= 0 && offset + 64 <= usableBytes;
  if (!isRoom) throw wrongKind(found.label, plan, "no object");
  checkReach(heap, block, usableBytes);
  const words = wordsAt(heap.region.buffer, block + offset, HEAD_BYTES);
  const word = loadKind(words);
  const kind = word & ~SYNC_MAGIC_MASK;
  const isObject = (word & SYNC_MAGIC_MASK) >>> 0 === SYNC_MAGIC;
  if (!isObject || kind !== plan.kind)
    throw wrongKind(
      found.label,
      plan,
      isObject ? `a ${nouns.get(kind) ?? `object of kind ${kind}`}` : "no object",
    );
  checkOptions(found.label, plan, words);
  if (plan.isVariable !== true && offset + plan.sizeBytes > usableBytes)
    throw wrongKind(found.label, plan, `a block of ${usableBytes} bytes`);
  return { ...found, handle: asHandle(block + offset) };
}

/** For what its opener finds wrong with it. */
export function corruptObject(label: string, offset: number, what: string): Error {
  const message = `${label} contradicts itself at offset ${offset}: ${what}; run verify() and stop using it`;
  return shoalError("ERR_SHOAL_CORRUPT", message, { label, offset });
}

function wrongKind(label: string, plan: ObjectPlan, is: string): Error {
  const message = `${label}: there is ${is}, and no ${plan.noun}; choose another name or handle`;
  return shoalError("ERR_SHOAL_KIND", message, { label, kind: plan.noun });
}

function checkOptions(label: string, { noun, expected }: ObjectPlan, words: SharedWords): void {
  for (const [option, read] of [
    ["flags", getFlags],
    ["limit", getLimit],
  ] as const) {
    const wanted = expected?.[option];
    const present = read(words);
    if (wanted === undefined || wanted === present) continue;
    throw shoalError(
      "ERR_SHOAL_KIND",
      `${label}: that ${noun} was made with other options (${option} ${present}, not ${wanted}); leave them out, or choose another name`,
      { label, option, present, wanted },
    );
  }
}
