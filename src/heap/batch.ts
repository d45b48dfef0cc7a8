/**
 * Many blocks at once: one call into the core for as many as fit in the participant's scratch area.
 */

import { ShoalError, shoalError } from "../errors.ts";
import { S_SCRATCH, SCRATCH_SIZE_BYTES, SLOT_SIZE_BYTES } from "../layout/slot.ts";
import type { HeapCore } from "../region/core.ts";
import { checkHandle, checkSize } from "./checks.ts";
import type { Handle } from "./handle.ts";
import type { Heap } from "./heap.ts";
import { outOfMemory } from "./obstacles.ts";

const PER_CALL = SCRATCH_SIZE_BYTES / 4;

/** The scratch area of the heap's participant: where the core takes and leaves handles. */
function scratchOf({ region }: Heap): Uint32Array {
  const { geometry, slotIndex } = region.session;
  return new Uint32Array(
    region.buffer,
    geometry.slotsOffset + slotIndex * SLOT_SIZE_BYTES + S_SCRATCH,
    PER_CALL,
  );
}

/** `count` blocks: all of them, or none. */
export function allocMany(heap: Heap, core: HeapCore, count: number, sizeBytes: number): Handle[] {
  checkSize("allocMany", sizeBytes);
  if (!Number.isInteger(count) || count < 0) {
    throw shoalError("ERR_SHOAL_ARGUMENT", `allocMany: a count is a whole number, not ${String(count)}`, {
      call: "allocMany",
      value: String(count),
    });
  }
  // What cannot be had is refused before the heap has grown as far as it can for it.
  const wantedBytes = count * sizeBytes;
  if (wantedBytes > heap.plan.mostDataBytes) {
    throw outOfMemory(heap.region, {
      call: "allocMany",
      sizeBytes: wantedBytes,
      isTried: false,
      waitingSinceMs: 0,
    });
  }
  const scratch = scratchOf(heap);
  const handles: Handle[] = [];
  try {
    while (handles.length < count) {
      const wanted = Math.min(count - handles.length, PER_CALL);
      const got = core.allocBatch(sizeBytes, wanted) >>> 0;
      for (let index = 0; index < got; index++) handles.push(scratch[index] as Handle);
      // The one that the core could not give is asked for by itself: that makes room, or says why there is none.
      if (got < wanted) handles.push(heap.alloc(sizeBytes));
    }
    return handles;
  } catch (error) {
    for (const handle of handles) heap.free(handle);
    throw error;
  }
}

/** Frees blocks up to the first that is refused. */
export function freeMany(heap: Heap, core: HeapCore, handles: readonly Handle[]): void {
  const scratch = scratchOf(heap);
  let freed = 0;
  try {
    for (const handle of handles) checkHandle("freeMany", handle);
    while (freed < handles.length) {
      const wanted = Math.min(handles.length - freed, PER_CALL);
      for (let index = 0; index < wanted; index++) scratch[index] = handles[freed + index]!;
      const done = core.freeBatch(wanted) >>> 0;
      freed += done;
      // The one that was refused by itself: that clears what stands in its way, or says what is wrong with it.
      if (done < wanted) {
        heap.free(handles[freed]!);
        freed++;
      }
    }
  } catch (error) {
    if (!(error instanceof ShoalError)) throw error;
    throw shoalError(
      error.code,
      `freeMany: ${freed} of ${handles.length} blocks are free now; then ${error.message}`,
      { ...error.details, call: "freeMany", freed },
      error,
    );
  }
}
