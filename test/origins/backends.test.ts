/** The row of "Three ways to share memory on Unix" that is about heaps; U1 to U4 are with the calls themselves. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Heap } from "../../src/heap/index.ts";
import type { Handle } from "../../src/heap/index.ts";
import type { BackendName } from "../../src/region/index.ts";
import { startProcess } from "../helpers/peer.ts";
import type { PeerTools } from "../helpers/peer.ts";
import { freshName } from "../helpers/segments.ts";

/** Another process: finds the greeting, answers it in a block of its own, frees the greeting. */
function answerGreeting({ Heap: Found }: PeerTools, name: string, backend: BackendName): string {
  const heap = Found.open(name, { backend });
  const greeting = heap.roots.get("greeting") as Handle;
  const text = Buffer.from(heap.bytes(greeting, 5)).toString();
  const answer = heap.alloc(100_000);
  heap.bytes(answer, 100_000).fill(7);
  heap.roots.set("answer", answer);
  heap.roots.delete("greeting");
  heap.free(greeting);
  heap.close();
  return text;
}

for (const backend of ["posix", "file", "sysv", "anonymous"] as const) {
  test(`U5 the same heap works on all three, and on memory files: ${backend}`, async (t) => {
    using heap = Heap.create(freshName(t, backend), { backend });
    const greeting = heap.alloc(5);
    heap.bytes(greeting, 5).set(Buffer.from("hello"));
    heap.roots.set("greeting", greeting);
    assert.equal(await startProcess(t).run(answerGreeting, heap.region.name, backend), "hello");
    assert.equal(heap.roots.get("greeting"), 0);
    const answer = heap.roots.get("answer") as Handle;
    assert.ok(heap.usableSize(answer) >= 100_000);
    assert.ok(heap.bytes(answer, 100_000).every((byte) => byte === 7));
    assert.deepEqual(heap.verify().problems, []);
    heap.free(answer);
    assert.equal(heap.stats().blocks.used, 0);
    heap.remove();
  });
}
