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

function nextBlock(survey: Survey, allocator: number, from: number): number {
  if (allocator === ALLOCATOR_SLAB) return survey.nextSlabBlock(from) >>> 0;
  return (allocator === ALLOCATOR_BUDDY ? survey.nextBuddyBlock(from) : survey.nextFitBlock(from)) >>> 0;
}

/** The blocks of the heap in `region`, in the order of their handles. */
export function* walkBlocks(region: Region): Generator<BlockInfo> {
  const { allocator, dataOffset } = region.session.geometry;
  const { core } = region.session.overlay;
  // A list that is kept longer than its heap is open has nothing more.
  for (let from = dataOffset; from < 2 ** 32 && !region.closed;) {
    const { survey } = region;
    const at = from;
    const handle = guarded("blocks", core, () => nextBlock(survey, allocator, at));
    if (handle === 0) return;
    const [sizeBytes, owner] = guarded("blocks", core, () => [
      survey.usableSize(handle) >>> 0,
      survey.ownerOf(handle) >>> 0,
    ]) as [number, number];
    // Freed between the two questions: not a block any more.
    if (sizeBytes > 0) yield { handle: asHandle(handle), sizeBytes, ownerSlot: owner - 1 };
    from = handle + Math.max(sizeBytes, 8);
  }
}
