/**
 * The pointer twins: the heap's calls for those who think in addresses, as programs in C do that share the heap.
 */

import type { AllocOptions } from "./block.ts";
import { asHandle } from "./handle.ts";
import type { Pointer } from "./handle.ts";
import type { Heap } from "./heap.ts";

/**
 * `alloc` and its like, taking and returning addresses that are the same in every process. The heap must have been created
 * with `fixedAddress`; errors are those of the calls that they stand for.
 */
export interface Pointers {
  alloc(sizeBytes: number, options?: AllocOptions): Pointer;
  calloc(count: number, sizeBytes: number): Pointer;
  realloc(pointer: Pointer, sizeBytes: number): Pointer;
  free(pointer: Pointer): void;
  usableSize(pointer: Pointer): number;
}

/** Before anything is allocated that there would be no pointer to. */
function checkPinned(heap: Heap): void {
  heap.pointerOf(asHandle(0));
}

/** The pointer twins of a heap's calls. */
export function pointersOf(heap: Heap): Pointers {
  return {
    alloc(sizeBytes, options) {
      checkPinned(heap);
      return heap.pointerOf(heap.alloc(sizeBytes, options));
    },
    calloc(count, sizeBytes) {
      checkPinned(heap);
      return heap.pointerOf(heap.calloc(count, sizeBytes));
    },
    realloc: (pointer, sizeBytes) => heap.pointerOf(heap.realloc(heap.handleOf(pointer), sizeBytes)),
    free: (pointer) => heap.free(heap.handleOf(pointer)),
    usableSize: (pointer) => heap.usableSize(heap.handleOf(pointer)),
  };
}
