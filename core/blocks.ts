/**
 * Blocks, whichever allocator they are of: what is called seldom enough to ask which that is.
 *
 * A block is *shared*, and outlives everyone, or *owned* by one participant: then only that one may free, resize or share
 * it, and when it dies or leaves the block is freed. Who the owner is, is each allocator's own to keep (slab-owned.ts,
 * buddy-owned.ts, fit.ts); that recovery need not look for what a participant owns when it never owned anything, is said by the
 * word `owns` in its slot, which is raised before the first block.
 */

import { NOT_OWNER } from "../src/layout/result";
import { S_OWNS } from "../src/layout/slot";
import * as buddy from "./buddy";
import * as fit from "./fit";
import { releaseLockOf } from "./fit-lock";
import { fillBytes, getScratch, getSlotWord, setScratch, setSlotWord } from "./mem";
import { releaseRootsLockOf } from "./roots";
import * as slab from "./slab";
import * as slabOwned from "./slab-owned";
import { fail, isBuddyHeap, isFitHeap, isSlabHeap, me, mySlot, setDetail } from "./state";

/** Usable bytes of the allocated block at `handle`; 0 when there is none (see lastError()). */
export function usableSize(handle: u32): u32 {
  if (isSlabHeap()) return slab.usableSize(handle);
  if (isBuddyHeap()) return buddy.usableSize(handle);
  return fit.usableSize(handle);
}

/** Slot index + 1 of the owner of the block at `handle`; 0 when it is shared, or is none. */
export function ownerOf(handle: u32): u32 {
  if (isSlabHeap()) return slabOwned.ownerOf(handle);
  if (isBuddyHeap()) return buddy.ownerOf(handle);
  return fit.ownerOf(handle);
}

export function free(handle: u32): i32 {
  if (isSlabHeap()) return slab.free(handle);
  if (isBuddyHeap()) return buddy.free(handle);
  return fit.free(handle);
}

/**
 * Allocates a block of at least `sizeBytes` at a multiple of `alignmentBytes` (a power of two up to 64 KiB; 0 = whatever the
 * allocator's blocks have), owned by this participant or shared.
 */
export function allocPlaced(sizeBytes: u32, alignmentBytes: u32, owned: bool): u32 {
  if (owned) noteOwning();
  if (isSlabHeap()) return slabOwned.allocPlaced(sizeBytes, alignmentBytes, owned);
  if (isBuddyHeap()) return buddy.allocPlaced(sizeBytes, alignmentBytes, owned);
  return fit.allocPlaced(sizeBytes, alignmentBytes, owned);
}

/** As allocPlaced; with `zeroed` the block's usable bytes are zeros. */
export function allocWith(sizeBytes: u32, alignmentBytes: u32, owned: bool, zeroed: bool): u32 {
  const handle = allocPlaced(sizeBytes, alignmentBytes, owned);
  if (handle != 0 && zeroed) fillBytes(handle, 0, usableSize(handle));
  return handle;
}

/** The block is nobody's own any more: it outlives everyone. OK for one that is shared already. */
export function share(handle: u32): i32 {
  if (isSlabHeap()) return slabOwned.share(handle);
  if (isBuddyHeap()) return buddy.share(handle);
  return fit.share(handle);
}

/** The shared block becomes this participant's own. OK for one that is so already. */
export function adopt(handle: u32): i32 {
  noteOwning();
  if (isSlabHeap()) return slabOwned.adopt(handle);
  if (isBuddyHeap()) return buddy.adopt(handle);
  return fit.adopt(handle);
}

/** Before this participant owns its first block: recovery then looks for them. */
export function noteOwning(): void {
  if (getSlotWord(mySlot, S_OWNS) == 0) setSlotWord(mySlot, S_OWNS, 1);
}

/** Records that a block belongs to the participant `owner` - 1, which is not this one. */
export function failNotOwner(owner: u32): i32 {
  setDetail(owner - 1);
  return fail(NOT_OWNER);
}

/** Whether a block that says this may be freed, resized or shared by this participant. */
@inline
export function isMineOrShared(owner: u32): bool {
  return owner == 0 || owner == me;
}

/** Allocates up to `count` shared blocks (at most SCRATCH_SIZE_BYTES / 4); their handles go to the scratch area. */
export function allocBatch(sizeBytes: u32, count: u32): u32 {
  for (let index: u32 = 0; index < count; index++) {
    const handle = allocPlaced(sizeBytes, 0, false);
    if (handle == 0) return index;
    setScratch(index, handle);
  }
  return count;
}

/** Frees the blocks whose handles are in the scratch area, in their order, up to the first that is refused. */
export function freeBatch(count: u32): u32 {
  for (let index: u32 = 0; index < count; index++) {
    if (free(getScratch(index)) != 0) return index;
  }
  return count;
}

/** After a trap in a call of this participant's: what that left undone under a lock is put right, and the lock released. */
export function settle(): void {
  if (isFitHeap()) releaseLockOf(me);
  releaseRootsLockOf(me - 1);
}

/** The side table's part for `page` has storage from now on (buddy heaps). */
export function noteStorage(page: u32): void {
  if (isBuddyHeap()) buddy.noteStorage(page);
}
