/**
 * All allocated blocks of a heap, one after the other.
 */

import { ALLOCATOR_BUDDY, ALLOCATOR_SLAB } from "../layout/header.ts";
import type { Survey } from "../region/core.ts";
import type { Region } from "../region/index.ts";
import { guarded } from "../region/traps.ts";
import { asHandle } from "./handle.ts";
import type { Handle } from "./handle.ts";

/** An allocated block. */
export interface BlockInfo {
  readonly handle: Handle;
  /** Usable bytes. */
  readonly sizeBytes: number;
  /** Slot index of the participant whose own it is; -1 = it is shared. */
  readonly ownerSlot: number;
}

/** Handle of the first block at or after `from` (0 = none), its usable bytes (0 = it is none any more), slot index + 1 of its owner. */
type Found = readonly [handle: number, sizeBytes: number, owner: number];

function nextBlock(survey: Survey, allocator: number, from: number): Found {
  if (allocator === ALLOCATOR_SLAB) {
    const handle = survey.nextSlabBlock(from) >>> 0;
    return [handle, survey.foundBytes() >>> 0, survey.foundOwner() >>> 0];
  }
  const isBuddy = allocator === ALLOCATOR_BUDDY;
  const handle = (isBuddy ? survey.nextBuddyBlock(from) : survey.nextFitBlock(from)) >>> 0;
  if (handle === 0) return [0, 0, 0];
  return [handle, survey.usableSize(handle) >>> 0, survey.ownerOf(handle) >>> 0];
}

/** The blocks of the heap in `region`, in the order of their handles. */
export function* walkBlocks(region: Region): Generator<BlockInfo> {
  const { allocator, dataOffset } = region.session.geometry;
  const { core } = region.session.overlay;
  // A list that is kept longer than its heap is open has nothing more.
  for (let from = dataOffset; from < 2 ** 32 && !region.closed;) {
    const { survey } = region;
    const at = from;
    const found = guarded("blocks", core, () => nextBlock(survey, allocator, at));
    const [handle, sizeBytes, owner] = found;
    if (handle === 0) return;
    if (sizeBytes > 0) yield { handle: asHandle(handle), sizeBytes, ownerSlot: owner - 1 };
    from = handle + Math.max(sizeBytes, 8);
  }
}
