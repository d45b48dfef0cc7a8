/**
 * Every public call of a heap, with arguments drawn from a seed: handles of the heap, handles that are none, sizes of all
 * sorts.
 */

import type { Handle, Heap } from "../src/heap/index.ts";
import { ShoalError } from "../src/errors.ts";
import type { Random } from "./random.ts";

/** What the calls work with. */
export interface Hand {
  readonly random: Random;
  /** Handles of blocks that there were. */
  readonly handles: Handle[];
}

type Call = (heap: Heap, hand: Hand) => unknown;

/** More than a small heap can have: whoever lists on after that has no end. */
const MOST_BLOCKS = 200_000;

function someHandle({ random, handles }: Hand): Handle {
  if (handles.length > 0 && !random.once(12)) return random.pick(handles);
  return (random.once(2) ? random.word() : 65536 + 8 * random.below(60_000)) as Handle;
}

function someSize({ random }: Hand): number {
  return 1 + random.below(random.pick([16, 100, 700, 1024, 4000, 33_000, 140_000]));
}

function keep({ handles }: Hand, handle: Handle | 0): void {
  if (handle !== 0) handles.push(handle);
}

/** A value that says how far the listing came: the optimiser must not drop it. */
function list(heap: Heap): number {
  let count = 0;
  for (const { sizeBytes } of heap.blocks()) {
    if (sizeBytes <= 0 || ++count > MOST_BLOCKS) throw new RangeError(`a listing of ${count} blocks`);
  }
  return count;
}

export const changingCalls: Readonly<Record<string, Call>> = {
  alloc: (heap, hand) => keep(hand, heap.alloc(someSize(hand))),
  "alloc owned": (heap, hand) => keep(hand, heap.alloc(someSize(hand), { owned: true })),
  tryAlloc: (heap, hand) => keep(hand, heap.tryAlloc(someSize(hand))),
  calloc: (heap, hand) => keep(hand, heap.calloc(1 + hand.random.below(8), someSize(hand))),
  alignedAlloc: (heap, hand) => keep(hand, heap.alignedAlloc(2 ** hand.random.below(17), someSize(hand))),
  allocMany: (heap, hand) => hand.handles.push(...heap.allocMany(hand.random.below(40), someSize(hand))),
  "free one": (heap, hand) => heap.free(someHandle(hand)),
  "free another": (heap, hand) => heap.free(someHandle(hand)),
  freeMany: (heap, hand) => heap.freeMany([someHandle(hand), someHandle(hand), someHandle(hand)]),
  realloc: (heap, hand) => keep(hand, heap.realloc(someHandle(hand), someSize(hand))),
  "realloc again": (heap, hand) => keep(hand, heap.realloc(someHandle(hand), someSize(hand))),
  share: (heap, hand) => heap.share(someHandle(hand)),
  adopt: (heap, hand) => heap.adopt(someHandle(hand)),
  block: (heap, hand) => heap.block(someSize(hand), { owned: hand.random.once(2) })[Symbol.dispose](),
  "roots.set": (heap, hand) => heap.roots.set(`root-${hand.random.below(6)}`, someHandle(hand)),
  "roots.setIfAbsent": (heap, hand) =>
    heap.roots.setIfAbsent(`root-${hand.random.below(9)}`, someHandle(hand)),
  "roots.delete": (heap, hand) => heap.roots.delete(`root-${hand.random.below(6)}`),
  trim: (heap) => heap.trim(),
  recover: (heap) => heap.recover(),
  grow: (heap, hand) => (hand.random.once(4) ? heap.grow() : 0),
};

export const lookingCalls: Readonly<Record<string, Call>> = {
  usableSize: (heap, hand) => heap.usableSize(someHandle(hand)),
  ownerOf: (heap, hand) => heap.ownerOf(someHandle(hand)),
  bytes: (heap, hand) => heap.bytes(someHandle(hand)).length,
  "roots.get": (heap, hand) => heap.roots.get(`root-${hand.random.below(6)}`),
  "roots.list": (heap) => heap.roots.list(),
  blocks: (heap) => list(heap),
  stats: (heap) => heap.stats(),
  verify: (heap) => heap.verify(),
  participants: (heap) => heap.region.participants(),
  counters: (heap) => [heap.region.recoveries, heap.region.growths, heap.region.retired],
  plan: (heap) => heap.plan,
  catchUp: (heap) => heap.region.catchUp(),
};

/** Whether what was thrown is what the documents promise. */
export function isCoded(error: unknown): error is ShoalError {
  return error instanceof ShoalError && error.code.startsWith("ERR_SHOAL_");
}
