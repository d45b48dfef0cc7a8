/** The producer of a ring remembers where the next message goes. What others do between two sends is noticed all the same. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Heap } from "../../src/data/heap.ts";
import { throwsCode } from "../helpers/assertions.ts";
import { createFullHeap } from "../helpers/crew.ts";

const options = { capacity: 4, messageBytes: 48, codec: "raw" } as const;

function openTwice(t: TestContext) {
  const heap = createFullHeap(t);
  const other = Heap.open(heap.region.name);
  t.after(() => other.close());
  const mine = heap.ring<Uint8Array>("all", options);
  const theirs = other.ring<Uint8Array>("all", options);
  mine.sendSync(Uint8Array.of(1));
  return { heap, other, mine, theirs };
}

test("a ring that somebody has ended is sent nothing more", (t) => {
  const { mine, theirs } = openTwice(t);
  theirs.end();
  throwsCode(() => mine.sendSync(Uint8Array.of(2)), "ERR_SHOAL_ENDED", /ended/);
  assert.deepEqual([...theirs.receiveSync()], [1]);
  throwsCode(() => theirs.receiveSync(), "ERR_SHOAL_ENDED", /ended/);
});

test("into what was a ring nothing is written", (t) => {
  const { heap, mine, theirs } = openTwice(t);
  theirs.destroy();
  const before = new Uint8Array(heap.region.buffer).slice();
  throwsCode(() => mine.sendSync(Uint8Array.of(2)), "ERR_SHOAL_NOT_FOUND", /destroyed/);
  throwsCode(() => mine.reserve(8), "ERR_SHOAL_NOT_FOUND", /destroyed/);
  assert.deepEqual(new Uint8Array(heap.region.buffer), before);
});

test("who has resigned does not send to where it would have", (t) => {
  const { mine, theirs } = openTwice(t);
  mine.resign();
  theirs.sendSync(Uint8Array.of(2));
  throwsCode(() => mine.sendSync(Uint8Array.of(3)), "ERR_SHOAL_TAKEN", /one producer/);
  assert.deepEqual([...mine.receiveSync()], [1]);
  assert.deepEqual([...mine.receiveSync()], [2]);
});

test("two objects of one ring, lent and sent in turn, keep the order", (t) => {
  const { heap, mine, theirs } = openTwice(t);
  const same = heap.ring<Uint8Array>("all", options);
  const large = new Uint8Array(100).fill(4);
  for (let round = 0; round < 10; round++) {
    same.sendSync(Uint8Array.of(2));
    const loan = mine.reserve(1);
    throwsCode(() => same.trySend(Uint8Array.of(9)), "ERR_SHOAL_HELD", /lent already/);
    loan.bytes[0] = 3;
    loan.commit();
    same.sendSync(large);
    assert.equal(mine.trySend(Uint8Array.of(9)), false);
    const got = [1, 2, 3, 4].map(() => theirs.receiveSync()[0]);
    assert.deepEqual(got, [1, 2, 3, 4]);
    mine.sendSync(Uint8Array.of(1));
  }
});
