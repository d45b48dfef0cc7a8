/** The codec "msgpack": what JSON cannot say comes through, and nothing that was received lies in shared memory. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Heap } from "../../src/data/heap.ts";
import { throwsCode } from "../helpers/assertions.ts";
import { createFullHeap, startMate } from "../helpers/crew.ts";

const message = {
  text: "Grüße, 鱼群 🐟",
  numbers: [0, -1, 2 ** 40, 1.5, Number.POSITIVE_INFINITY],
  when: new Date(1_800_000_000_000),
  bytes: Uint8Array.of(1, 2, 3),
  nothing: null,
  nested: { list: [[], {}, [true, false]] },
};

for (const noun of ["queue", "ring"] as const)
  test(`messages of a ${noun} with msgpack come out as they were, small and large, in their order`, (t) => {
    const heap = createFullHeap(t);
    const other = Heap.open(heap.region.name);
    t.after(() => other.close());
    const mine = heap[noun]<object>("all", { codec: "msgpack", capacity: 4, messageBytes: 64 });
    const theirs = other[noun]<typeof message>("all");
    assert.equal(theirs.codec, "msgpack");
    for (let round = 0; round < 10; round++) {
      mine.sendSync({ round });
      mine.sendSync(message);
      mine.sendSync({ ...message, text: "x".repeat(100_000) });
      assert.deepEqual(theirs.receiveSync(), { round });
      const got = theirs.receiveSync();
      assert.deepEqual({ ...got, bytes: Uint8Array.from(got.bytes) }, message);
      assert.ok(!(got.bytes.buffer instanceof SharedArrayBuffer));
      assert.equal(theirs.receiveSync().text.length, 100_000);
    }
  });

test("a message with msgpack goes from one process to another and back", async (t) => {
  const heap = createFullHeap(t);
  const options = { codec: "msgpack" } as const;
  const there = heap.queue<object>("there", options);
  const back = heap.queue<object>("back", options);
  const mate = await startMate(t, heap, "process");
  const done = mate.run(async ({ heap: own }) => {
    const received = await own.queue<{ when: Date }>("there").receive({ timeoutMs: 20_000 });
    await own.queue<object>("back").send({ ...received, year: received.when.getUTCFullYear() });
  });
  await there.send(message);
  const got = (await back.receive({ timeoutMs: 20_000 })) as { year: number; text: string };
  await done;
  assert.equal(got.year, message.when.getUTCFullYear());
  assert.equal(got.text, message.text);
});

test("bytes that are no MessagePack are an error with a code, and are received", (t) => {
  const heap = createFullHeap(t);
  const queue = heap.queue<unknown>("all", { codec: "msgpack" });
  const loan = queue.reserve(3);
  loan.bytes.set([0xc1, 0xc1, 0xc1]); // a byte that MessagePack never uses
  loan.commit();
  queue.sendSync("next");
  throwsCode(() => queue.receiveSync(), "ERR_SHOAL_CODEC", /nothing that msgpack can read/);
  assert.equal(queue.receiveSync(), "next");
});
