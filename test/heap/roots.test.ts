/** Named roots: how participants that know only the heap's name find each other's blocks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Handle } from "../../src/heap/index.ts";
import { H_ROOTS_LOCK } from "../../src/layout/header.ts";
import { throwsCode } from "../helpers/assertions.ts";
import { abandon, assertSound, createHeap, openHeap } from "../helpers/heaps.ts";
import { startProcesses } from "../helpers/peer.ts";

test("a root is set, found, replaced, listed and deleted by any participant", (t) => {
  const heap = createHeap(t);
  const other = openHeap(t, heap);
  const [one, two] = [heap.alloc(10), heap.alloc(10)];
  assert.equal(heap.roots.get("name"), 0);
  heap.roots.set("name", one);
  assert.equal(other.roots.get("name"), one);
  other.roots.set("name", two);
  other.roots.set("another", one);
  assert.equal(heap.roots.get("name"), two);
  const sorted = heap.roots.list().sort((a, b) => a.name.localeCompare(b.name));
  assert.deepEqual(sorted, [
    { name: "another", handle: one },
    { name: "name", handle: two },
  ]);
  assert.equal(heap.roots.delete("name"), true);
  assert.equal(heap.roots.delete("name"), false);
  assert.equal(other.roots.get("name"), 0);
  assert.equal(heap.verify().blocks, 2);
  assertSound(heap, other);
});

test("setIfAbsent keeps what is there and says what that is", (t) => {
  const heap = createHeap(t);
  const [one, two] = [heap.alloc(10), heap.alloc(10)];
  assert.equal(heap.roots.setIfAbsent("name", one), one);
  assert.equal(heap.roots.setIfAbsent("name", two), one);
  heap.roots.delete("name");
  assert.equal(heap.roots.setIfAbsent("name", two), two);
});

test("names are 1 to 48 bytes of UTF-8, and differ as their bytes do", (t) => {
  const heap = createHeap(t);
  const names = [
    "a",
    "A",
    "a\0",
    "a ",
    "ä",
    "a\u0308",
    "日本",
    "🦈".repeat(12),
    "x".repeat(48),
    "x".repeat(47),
    "../etc",
  ];
  const handles = names.map((name) => {
    const handle = heap.alloc(16);
    heap.roots.set(name, handle);
    return handle;
  });
  for (const [index, name] of names.entries()) assert.equal(heap.roots.get(name), handles[index], name);
  assert.deepEqual(new Set(heap.roots.list().map(({ name }) => name)), new Set(names));
  const handle = handles[0]!;
  for (const wrong of ["", "x".repeat(49), "🦈".repeat(13), 5, null, undefined, {}] as string[]) {
    throwsCode(() => heap.roots.set(wrong, handle), "ERR_SHOAL_NAME");
    throwsCode(() => heap.roots.get(wrong), "ERR_SHOAL_NAME");
    throwsCode(() => heap.roots.delete(wrong), "ERR_SHOAL_NAME");
  }
  const reader = openHeap(t, heap, { readOnly: true });
  for (const [index, name] of names.entries()) assert.equal(reader.roots.get(name), handles[index], name);
  throwsCode(() => reader.roots.get(""), "ERR_SHOAL_NAME");
  assertSound(heap);
});

test("the hundred and twenty-ninth root is ERR_SHOAL_ROOTS_FULL, and a deletion makes room", (t) => {
  const heap = createHeap(t);
  const handle = heap.alloc(16);
  for (let index = 0; index < 128; index++) heap.roots.set(`root ${index}`, handle);
  throwsCode(() => heap.roots.set("one more", handle), "ERR_SHOAL_ROOTS_FULL", /128/);
  heap.roots.set("root 5", handle);
  assert.equal(heap.roots.list().length, 128);
  heap.roots.delete("root 77");
  heap.roots.set("one more", handle);
  assert.equal(heap.roots.get("one more"), handle);
  assert.equal(heap.roots.get("root 77"), 0);
  assertSound(heap);
});

test("a root leads to a block: null, wild and freed handles are refused, and verify finds one that was freed", (t) => {
  const heap = createHeap(t);
  const handle = heap.alloc(16);
  throwsCode(() => heap.roots.set("it", 0 as Handle), "ERR_SHOAL_BAD_HANDLE");
  heap.roots.set("it", handle);
  throwsCode(() => heap.roots.set("it", (handle + 1) as Handle), "ERR_SHOAL_BAD_HANDLE");
  assert.equal(heap.roots.get("it"), handle);
  heap.free(handle);
  assert.deepEqual(
    heap.verify().problems.map(({ code }) => code),
    ["root"],
  );
  throwsCode(() => heap.roots.set("it", handle), "ERR_SHOAL_DOUBLE_FREE");
  heap.roots.delete("it");
  assertSound(heap);
});

test("a roots lock that a dead participant held is taken over", (t) => {
  const heap = createHeap(t);
  const handle = heap.alloc(16);
  const dead = openHeap(t, heap);
  const word = new Int32Array(heap.region.buffer, 192, 1);
  Atomics.store(word, 0, dead.region.slotIndex + 1);
  abandon(dead);
  heap.roots.set("it", handle);
  assert.equal(heap.roots.get("it"), handle);
  assert.equal(Atomics.load(word, 0), 0);
  assert.equal(heap.stats().recoveries, 1);
  assertSound(heap);
});

test("a roots lock that names a slot that there is not is ERR_SHOAL_CORRUPT at once, and waits for nobody", (t) => {
  const heap = createHeap(t);
  const handle = heap.alloc(16);
  const word = new Int32Array(heap.region.buffer, H_ROOTS_LOCK, 1);
  for (const wrong of [57, 100_000, -1]) {
    Atomics.store(word, 0, wrong);
    for (const call of [
      () => heap.roots.set("it", handle),
      () => heap.roots.setIfAbsent("it", handle),
      () => heap.roots.delete("it"),
    ]) {
      const { details } = throwsCode(call, "ERR_SHOAL_CORRUPT", new RegExp(`offset ${H_ROOTS_LOCK}`));
      assert.equal(details["offset"], H_ROOTS_LOCK);
      assert.equal(word[0], wrong, "nothing was changed");
    }
  }
  Atomics.store(word, 0, 0);
  heap.roots.set("it", handle);
  assertSound(heap);
});

test("four processes change the same roots at once, and every reader sees whole entries", async (t) => {
  const heap = createHeap(t);
  const rounds = 3000;
  const names = ["one", "two", "three"];
  const peers = startProcesses(t, 4);
  const counts = await Promise.all(
    peers.map((peer, number) =>
      peer.run(
        ({ Heap }, heapName, rootNames, count, self) => {
          const mine = Heap.open(heapName);
          const handles = rootNames.map((_, index) => mine.alloc(16 * (index + 1)));
          let torn = 0;
          for (let round = 0; round < count; round++) {
            const at = (round + self) % rootNames.length;
            const name = rootNames[at]!;
            if (round % 5 === 4) mine.roots.delete(name);
            else mine.roots.set(name, handles[at]!);
            // Whoever set it, a name leads to a block of that name's size.
            const found = mine.roots.get(rootNames[(at + 1) % rootNames.length]!);
            if (found !== 0 && mine.usableSize(found) !== 16 * (((at + 1) % rootNames.length) + 1)) torn++;
          }
          mine.close();
          return torn;
        },
        heap.region.name,
        names,
        rounds,
        number,
      ),
    ),
  );
  assert.deepEqual(counts, [0, 0, 0, 0]);
  assert.ok(heap.roots.list().length <= names.length);
  assert.equal(new Set(heap.roots.list().map(({ name }) => name)).size, heap.roots.list().length);
  assert.equal(heap.verify().blocks, 12);
  assertSound(heap);
});

test("of four processes that set a root if it is absent, one wins and all learn its handle", async (t) => {
  const heap = createHeap(t);
  const peers = startProcesses(t, 4);
  const outcomes = await Promise.all(
    peers.map((peer) =>
      peer.run(({ Heap }, heapName) => {
        const mine = Heap.open(heapName);
        return Array.from({ length: 100 }, (_, index) =>
          mine.roots.setIfAbsent(`root ${index}`, mine.alloc(16)),
        );
      }, heap.region.name),
    ),
  );
  for (const outcome of outcomes) assert.deepEqual(outcome, outcomes[0]);
  for (const [index, handle] of outcomes[0]!.entries()) assert.equal(heap.roots.get(`root ${index}`), handle);
});
