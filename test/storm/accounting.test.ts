/** The storm's count finds what it is there to find: each test does to a heap what must never happen. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { account } from "../../storm/accounting.ts";
import type { Fate, Findings } from "../../storm/accounting.ts";
import { commonsName, createCommons } from "../../storm/commons.ts";
import { stamp, wordsOf } from "../../storm/contents.ts";
import { Ledger, rootName } from "../../storm/ledger.ts";
import type { Intent } from "../../storm/ledger.ts";
import { takePart } from "../../storm/work.ts";
import type { Handle, Heap } from "../../src/heap/index.ts";
import { abandon, createHeap, openHeap } from "../helpers/heaps.ts";
import { ALLOCATORS } from "../helpers/kinds.ts";
import { freshPosixName } from "../helpers/segments.ts";

interface Stage {
  readonly heap: Heap;
  /** A participant in seat 1. */
  readonly other: Heap;
  readonly ledger: Ledger;
  readonly fates: Map<number, Fate>;
  readonly anchors: Handle[];
  readonly count: () => Findings;
}

const SIZE = 100;
const SEAT = 1;
const SIGN = 77;

function setStage(t: TestContext, allocator: (typeof ALLOCATORS)[number] = "slab"): Stage {
  const heap = createHeap(t, { allocator, sizeBytes: 65536 });
  const ledger = Ledger.create(freshPosixName(t));
  t.after(() => ledger.close());
  const other = openHeap(t, heap);
  const fates = new Map<number, Fate>([[SEAT, "alive"]]);
  ledger.hire(SEAT);
  ledger.setSlot(SEAT, other.region.slotIndex);
  const anchors = [heap.alloc(16)];
  return { heap, other, ledger, fates, anchors, count: () => account({ heap, ledger, fates, anchors }) };
}

/** A block in cell `cell`, as the work would have made it. */
function enter({ other, ledger }: Stage, cell: number, owned: boolean): Handle {
  const handle = other.alloc(SIZE, { owned });
  stamp(wordsOf(other), handle, SIZE, SIGN);
  ledger.setCell(cell, { handle, sizeBytes: SIZE, sign: SIGN, owner: owned ? SEAT : -1 });
  return handle;
}

function die({ other, ledger, fates }: Stage, intent?: Partial<Intent>): void {
  if (intent !== undefined) {
    const nothing = {
      before: 0,
      sizeBytes: 0,
      sign: 0,
      wanted: 0,
      isOwned: false,
      cell: 0,
      kind: "none",
    } as const;
    ledger.tryLock(intent.cell ?? 0, SEAT);
    ledger.begin(SEAT, { ...nothing, ...intent });
    ledger.setInCall(SEAT, true);
  }
  abandon(other);
  fates.set(SEAT, "dead");
}

const FINE = { faults: [], corruptions: 0, leakedBytes: 0, lostBlocks: 0 };

for (const allocator of ALLOCATORS) {
  test(`${allocator}: what is as the ledger says is fine, before and after a death; what was the dead one's own is gone`, (t) => {
    const stage = setStage(t, allocator);
    enter(stage, 3, false);
    enter(stage, 4, true);
    assert.deepEqual(stage.count(), FINE);
    die(stage);
    assert.deepEqual(stage.count(), FINE);
    assert.equal(stage.ledger.cell(4).handle, 0);
    assert.equal(stage.heap.verify().blocks, 2);
  });

  test(`${allocator}: the operation in doubt may have happened or not; what it has left is freed`, (t) => {
    for (const hasHappened of [false, true]) {
      const stage = setStage(t, allocator);
      const block = enter(stage, 3, false);
      if (hasHappened) stage.other.free(block);
      die(stage, { kind: "free", cell: 3, before: block, sizeBytes: SIZE, sign: SIGN });
      assert.deepEqual(stage.count(), FINE);
      assert.equal(stage.heap.verify().blocks, 1);
      assert.equal(stage.ledger.holderOf(3), -1);
    }
  });
}

test("a block that is in nobody's ledger is a leak, also beside an operation in doubt that explains another one", (t) => {
  const stage = setStage(t);
  const leaked = stage.other.alloc(SIZE);
  assert.equal(stage.count().leakedBytes, stage.heap.usableSize(leaked));
  stage.other.alloc(SIZE);
  die(stage, { kind: "alloc", cell: 3, wanted: SIZE });
  assert.equal(stage.count().leakedBytes, stage.heap.usableSize(leaked));
});

test("what was to be the dead one's own and was not freed is a leak", (t) => {
  const stage = setStage(t);
  const block = stage.other.alloc(SIZE);
  stage.ledger.setCell(3, { handle: block, sizeBytes: SIZE, sign: SIGN, owner: SEAT });
  die(stage);
  assert.ok(stage.count().leakedBytes >= SIZE);
});

test("a block that a cell names and that is gone is lost", (t) => {
  const stage = setStage(t);
  stage.heap.free(enter(stage, 3, false));
  assert.equal(stage.count().lostBlocks, 1);
});

test("a block in two cells is found", (t) => {
  const stage = setStage(t);
  enter(stage, 3, false);
  stage.ledger.setCell(5, stage.ledger.cell(3));
  assert.equal(stage.count().lostBlocks, 1);
});

test("contents, owner and size that are not what was written are found", (t) => {
  const stage = setStage(t);
  const block = enter(stage, 3, false);
  stage.heap.bytes(block)[5]! ^= 1;
  assert.equal(stage.count().corruptions, 1);
  stage.heap.bytes(block)[5]! ^= 1;
  assert.deepEqual(stage.count(), FINE);
  stage.other.adopt(block);
  assert.equal(stage.count().corruptions, 1);
  stage.other.share(block);
  stage.ledger.setCell(3, { ...stage.ledger.cell(3), sizeBytes: 10 * SIZE });
  assert.ok(stage.count().corruptions >= 1);
});

test("a root that leads elsewhere is found; one that was being changed may lead to either", (t) => {
  const stage = setStage(t);
  const { heap, ledger, anchors } = stage;
  heap.roots.set(rootName(2), anchors[0]!);
  assert.equal(stage.count().corruptions, 1);
  die(stage, { kind: "root", cell: 2, before: 0, wanted: anchors[0]! });
  assert.deepEqual(stage.count(), FINE);
  assert.equal(ledger.root(2), anchors[0]);
});

test("a survivor that has lost its slot is found, and a stopped one's block stays in doubt until it goes on", (t) => {
  const stage = setStage(t);
  const { ledger, fates, other } = stage;
  other.alloc(SIZE);
  ledger.begin(SEAT, {
    kind: "alloc",
    cell: 3,
    before: 0,
    sizeBytes: 0,
    sign: SIGN,
    wanted: SIZE,
    isOwned: false,
  });
  fates.set(SEAT, "stopped");
  for (let counts = 0; counts < 2; counts++) assert.deepEqual(stage.count(), FINE);
  assert.equal(stage.heap.verify().blocks, 2);
  abandon(other);
  assert.equal(stage.count().corruptions, 1);
});

test("a participant that finds another's bytes in its block says so in its seat", (t) => {
  const stage = setStage(t);
  const { heap, ledger, anchors } = stage;
  const commons = createCommons(commonsName(heap.region.name), "slab");
  t.after(() => commons.heap.remove());
  const order = { heap: heap.region.name, seat: 2, seed: 5, anchors, mostRounds: 5000 };
  takePart(ledger, order, () => false);
  assert.equal(ledger.messageOf(2), "");
  for (let cell = 0; cell < 100; cell++) {
    const { handle, owner } = ledger.cell(cell);
    if (handle !== 0 && owner === -1) heap.bytes(handle as Handle)[0]! ^= 1;
  }
  takePart(ledger, { ...order, seat: 3, seed: 6 }, () => false);
  assert.equal(ledger.stateOf(3), "failed");
  assert.match(ledger.messageOf(3), /is not what was written/);
});
