/**
 * Calls that are cut off in the middle because the caller's stack is full: whoever makes them lives on, and so does the heap.
 */
import assert from "node:assert/strict";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, test } from "node:test";
import type { Handle, Heap } from "../../src/heap/index.ts";
import { createHeap, openHeap } from "../helpers/heaps.ts";
import { ALLOCATORS } from "../helpers/kinds.ts";

/** What was returned by calls that ended, and what those that did not may have done. */
interface Ledger {
  readonly blocks: Set<Handle>;
  readonly doubtful: Set<Handle>;
}

const SIZES = [16, 100, 1000, 30_000];

/** Calls something until the stack is full; `padding` varies what is left of it when a call begins. */
function dive(heap: Heap, ledger: Ledger, padding: readonly number[], depth: number): number {
  const size = Math.min(SIZES[depth % SIZES.length]!, heap.plan.maxBlockBytes);
  const held = [...ledger.blocks].at(-1);
  const kind = depth % 7;
  if (held !== undefined && kind >= 4) {
    ledger.doubtful.add(held);
    if (kind === 4) {
      heap.free(held);
      ledger.blocks.delete(held);
    } else if (kind === 5) {
      const moved = heap.realloc(held, size);
      ledger.blocks.delete(held);
      ledger.blocks.add(moved);
    } else heap.share(held);
    ledger.doubtful.delete(held);
  } else ledger.blocks.add(heap.alloc(size, kind === 0 ? undefined : { owned: kind === 1 }));
  // Not the last thing that is done: else it could be done without a stack.
  return dive(heap, ledger, padding, depth + 1) + padding.length;
}

function diveWith(heap: Heap, ledger: Ledger, paddings: number, depth: number): void {
  const inner = (left: number, ...rest: number[]): number =>
    left === 0 ? dive(heap, ledger, rest, depth) : inner(left - 1, left, ...rest) + 1;
  assert.throws(() => inner(paddings), RangeError);
}

for (const allocator of ALLOCATORS) {
  describe(`${allocator}: calls that are cut off by a full stack`, () => {
    test("have happened or not, nothing is lost or held, and all goes on", async (t) => {
      const heap = createHeap(t, { allocator, spanBytes: 2 ** 28 });
      const other = openHeap(t, heap);
      for (let round = 0; round < 24; round++) {
        const ledger: Ledger = { blocks: new Set(), doubtful: new Set() };
        diveWith(heap, ledger, round % 30, round);
        await nextTurn();
        await nextTurn();
        assert.deepEqual(heap.verify().problems, [], `round ${round}`);
        assert.deepEqual(other.verify().problems, [], `round ${round}`);
        const there = new Set([...heap.blocks()].map(({ handle }) => handle));
        for (const handle of ledger.blocks)
          assert.ok(there.has(handle) || ledger.doubtful.has(handle), `block ${handle} is lost`);
        const unknown = [...there].filter((handle) => !ledger.blocks.has(handle));
        // What was returned just when the stack was full, the caller has not been told of.
        assert.ok(unknown.length <= 1, `${unknown.length} blocks are nobody's`);
        for (const handle of there) heap.free(handle);
        // Whoever else there is finds everything as usual.
        const handles = SIZES.filter((size) => size <= heap.plan.maxBlockBytes).map((size) =>
          other.alloc(size),
        );
        for (const handle of handles) heap.free(handle);
        assert.equal(heap.stats().usedBytes, 0);
      }
    });
  });
}
