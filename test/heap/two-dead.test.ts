/** What the kill storm has found where several participants meet: each test is the smallest way to it. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { AllocatorName, Handle, Heap } from "../../src/heap/index.ts";
import { H_HEAP_LOCK } from "../../src/layout/header.ts";
import { useCheckpoint } from "../../src/region/core.ts";
import { abandon, checkHeap, createHeap, openHeap } from "../helpers/heaps.ts";
import { startWorker } from "../helpers/peer.ts";
import type { Peer } from "../helpers/peer.ts";

class Cut extends Error {}

/** Another participant of the heap, whose calls are cut off before the first access for which `isTime` says so. */
function openCuttable(t: TestContext, heap: Heap, isTime: () => boolean): Heap {
  useCheckpoint(() => {
    if (isTime()) throw new Cut();
  });
  try {
    return openHeap(t, heap);
  } finally {
    useCheckpoint(undefined);
  }
}

function cutOff(call: () => unknown): void {
  assert.throws(call, Cut);
}

function createSmall(t: TestContext, allocator: AllocatorName): Heap {
  return createHeap(t, { allocator, sizeBytes: 65536, spanBytes: 2 ** 24 });
}

test("first-fit: of two dead, the one in the lower slot is recovered too when the other one died with the lock", (t) => {
  const heap = createSmall(t, "first-fit");
  const lower = openHeap(t, heap);
  lower.alloc(100, { owned: true });
  let isArmed = false;
  const word = new Int32Array(heap.region.buffer, H_HEAP_LOCK, 1);
  const holder = openCuttable(t, heap, () => isArmed && word[0] === holder.region.slotIndex + 1);
  isArmed = true;
  cutOff(() => holder.alloc(100));
  isArmed = false;
  assert.ok(lower.region.slotIndex < holder.region.slotIndex);
  abandon(lower);
  abandon(holder);
  assert.equal(heap.recover(), 2);
  assert.equal(heap.region.participants().length, 1);
  checkHeap(heap, 0);
});

test("buddy: a block is adopted although somebody was about to allocate one of its own where it is, and died", async (t) => {
  const heap = createSmall(t, "buddy");
  const worker = startWorker(t);
  await worker.run(() => undefined);
  // So that there is storage for owners where the next blocks are going to be.
  heap.free(heap.alloc(32, { owned: true }));
  // One access further each time, until what is left cannot be adopted at once.
  for (let accesses = 1; ; accesses++) {
    assert.ok(accesses < 100);
    let left = Infinity;
    const dying = openCuttable(t, heap, () => --left < 0);
    left = accesses;
    cutOff(() => dying.alloc(32, { owned: true }));
    left = Infinity;
    // Of all that there are, one is where that was to be.
    const handles = heap.allocMany(65536 / 32, 32);
    const handle = handles.find((one) => isReserved(heap, one));
    if (handle !== undefined) {
      const adopted = adoptElsewhere(worker, heap, handle);
      // It dies only now, and somebody else is the one to recover it.
      await sleep(100);
      abandon(dying);
      heap.recover();
      assert.equal(await adopted, true);
      return;
    }
    heap.freeMany(handles);
    abandon(dying);
    heap.recover();
  }
});

/** Whether somebody has the right to own a block where this shared one of a buddy heap is. */
function isReserved({ region }: Heap, handle: Handle): boolean {
  const { sideOffset, minShift } = region.session.geometry;
  return new Uint16Array(region.buffer, sideOffset + (handle >>> minShift) * 2, 1)[0] !== 0;
}

/** Another participant, which lives in the worker, adopts the block; whether it then has it. */
async function adoptElsewhere(worker: Peer, heap: Heap, handle: Handle): Promise<boolean> {
  return worker.run(
    ({ Heap: Heaps }, name, block) => {
      const mine = Heaps.open(name);
      mine.adopt(block);
      return mine.ownerOf(block)?.self === true;
    },
    heap.region.name,
    handle,
  );
}
