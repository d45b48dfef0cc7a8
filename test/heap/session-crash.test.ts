/**
 * Participants of a real segment, with its file and its locks, that die at any access to shared memory: while they open,
 * allocate, grow, set a root, recover somebody else, or close. test/core/crash.test.ts does the same to the core alone, and
 * looks closer.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { Heap } from "../../src/heap/index.ts";
import { useCheckpoint } from "../../src/region/core.ts";
import { makeTrigger, survives } from "../helpers/core-world.ts";
import type { Trigger } from "../helpers/core-world.ts";
import { abandon, assertSound, createHeap } from "../helpers/heaps.ts";

/** Opens the heap for a participant that `trigger` watches. */
function openWatched(name: string, trigger: Trigger): Heap {
  useCheckpoint(trigger.hook);
  try {
    return Heap.open(name);
  } finally {
    useCheckpoint(undefined);
  }
}

interface Act {
  readonly name: string;
  /** How many blocks come with each act that was not cut short, and may come with one that was. */
  readonly blocks: number;
  run(heap: Heap, survivor: Heap): void;
}

const acts: readonly Act[] = [
  { name: "allocating", blocks: 1, run: (heap) => void heap.alloc(100) },
  {
    name: "allocating what makes the heap grow",
    blocks: 1,
    run: (heap) => void heap.alloc(heap.region.sizeBytes),
  },
  { name: "allocating and resizing", blocks: 1, run: (heap) => void heap.realloc(heap.alloc(100), 100_000) },
  { name: "allocating and freeing", blocks: 0, run: (heap) => heap.free(heap.alloc(100)) },
  { name: "growing", blocks: 0, run: (heap) => void heap.grow(heap.region.sizeBytes + 65536) },
  { name: "setting a root", blocks: 1, run: (heap) => heap.roots.set("root", heap.alloc(16)) },
  { name: "closing", blocks: 1, run: (heap) => (heap.alloc(1000), heap.close()) },
];

/** A small heap in which a root "root" leads to a block. */
function makeHeap(t: TestContext): Heap {
  const heap = createHeap(t, { sizeBytes: 65536, spanBytes: 48 * 2 ** 20, maxParticipants: 4 });
  heap.roots.set("root", heap.alloc(16));
  return heap;
}

/** After a death: the survivor recovers, finds the heap sound, and the dead one's slot can be taken. */
function checkSurvivor(survivor: Heap, place: string): void {
  survivor.recover();
  assert.deepEqual(survivor.verify().problems, [], place);
  assert.deepEqual(
    survivor.region.participants().map(({ index }) => index),
    [survivor.region.slotIndex],
    place,
  );
  survivor.usableSize(survivor.roots.get("root") as ReturnType<Heap["alloc"]>);
}

/** `act` by a fresh participant that dies before access number `at`. Returns whether it came to its end. */
function dieIn(survivor: Heap, act: Act, at: number): boolean {
  const trigger = makeTrigger();
  const victim = openWatched(survivor.region.name, trigger);
  trigger.arm(at, "kill");
  const isDone = survives(() => act.run(victim, survivor));
  if (!victim.region.closed) abandon(victim);
  return isDone;
}

describe("a participant that dies at any access to shared memory", () => {
  for (const act of acts) {
    test(`while ${act.name} leaves a heap that works, and at most one block that nobody knows`, (t) => {
      let survivor = makeHeap(t);
      let blocks = survivor.verify().blocks;
      for (let at = 1; ; at++) {
        if (survivor.region.segmentSizeBytes > 24 * 2 ** 20) {
          survivor = makeHeap(t);
          blocks = survivor.verify().blocks;
        }
        const place = `died before access ${at}`;
        const isDone = dieIn(survivor, act, at);
        checkSurvivor(survivor, place);
        const now = survivor.verify().blocks;
        const came = now - blocks;
        assert.ok(isDone ? came === act.blocks : came >= 0 && came <= 1, `${place}: ${came} blocks came`);
        blocks = now;
        if (isDone) break;
      }
      assertSound(survivor);
    });
  }

  test("while opening leaves its slot to others", (t) => {
    const survivor = makeHeap(t);
    for (let at = 1; ; at++) {
      const trigger = makeTrigger();
      trigger.arm(at, "kill");
      let heap: Heap | undefined;
      const isDone = survives(() => (heap = openWatched(survivor.region.name, trigger)));
      if (heap !== undefined) abandon(heap);
      checkSurvivor(survivor, `died before access ${at}`);
      if (isDone) break;
    }
  });

  test("while recovering another that died leaves both to a third", (t) => {
    const survivor = makeHeap(t);
    const { name } = survivor.region;
    for (let at = 1; ; at++) {
      const dead = Heap.open(name);
      const handles = [100, 100, 3000, 100_000].map((sizeBytes) => dead.alloc(sizeBytes));
      dead.free(handles[0]!);
      const trigger = makeTrigger();
      const recoverer = openWatched(name, trigger);
      abandon(dead);
      trigger.arm(at, "kill");
      const isDone = survives(() => assert.equal(recoverer.recover(), 1));
      abandon(recoverer);
      checkSurvivor(survivor, `the recoverer died before access ${at}`);
      assert.equal(survivor.verify().blocks, 4);
      for (const handle of handles.slice(1)) survivor.free(handle);
      if (isDone) break;
    }
    assertSound(survivor);
  });
});

test("a block whose resizer died in the middle can be used and freed at once", (t) => {
  const survivor = makeHeap(t);
  for (let at = 1; ; at++) {
    const handle = survivor.alloc(65536);
    const trigger = makeTrigger();
    const victim = openWatched(survivor.region.name, trigger);
    trigger.arm(at, "kill");
    let moved = handle;
    const isDone = survives(() => (moved = victim.realloc(handle, 3 * 65536)));
    abandon(victim);
    // Nobody has called recover(): the calls see for themselves.
    assert.ok(survivor.usableSize(moved) >= 65536, `died before access ${at}`);
    survivor.free(moved);
    assert.equal(survivor.verify().blocks, 1);
    survivor.recover();
    if (isDone) break;
  }
  assertSound(survivor);
});
