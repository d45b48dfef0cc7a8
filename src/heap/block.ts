/**
 * A block that frees itself: `using block = heap.block(100)`.
 */

import { shoalError } from "../errors.ts";
import type { Handle } from "./handle.ts";
import type { Heap } from "./heap.ts";

/** How a block is allocated. */
export interface AllocOptions {
  /** The block is this participant's own: given back when it dies or leaves. `share` ends that. Default false. */
  readonly owned?: boolean;
  /** Its bytes are zeros. Default: they are what they were. */
  readonly zeroed?: boolean;
  /** The block begins at a multiple of this, a power of two up to 64 KiB. Default: the allocator's own alignment. */
  readonly alignmentBytes?: number;
}

/** A block with a scope. Freed at the scope's end unless it was kept. */
export interface Block extends Disposable {
  readonly handle: Handle;
  /** All of the block's usable bytes. */
  readonly bytes: Uint8Array;
  /**
   * The scope lets go of the block: it is not freed at the scope's end, and shared from now on if it was owned.
   *
   * @returns the handle, to be stored or passed on
   */
  keep(): Handle;
  /** Frees the block now. Again, or at the scope's end: harmless. */
  free(): void;
}

/** A block of `heap` that is allocated already. */
export function blockOf(heap: Heap, handle: Handle, isOwned: boolean): Block {
  let isHeld = true;
  const free = (): void => {
    if (!isHeld) return;
    isHeld = false;
    heap.free(handle);
  };
  return {
    handle,
    bytes: heap.bytes(handle),
    keep() {
      if (!isHeld) {
        throw shoalError("ERR_SHOAL_BAD_HANDLE", `keep(): block ${handle} was freed or kept before`, {
          handle,
        });
      }
      if (isOwned) heap.share(handle);
      isHeld = false;
      return handle;
    },
    free,
    [Symbol.dispose]: free,
  };
}
