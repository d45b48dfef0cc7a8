/** How objects are found and made, and what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createFullHeap, openFullHeap } from "../helpers/crew.ts";
import { throwsCode } from "../helpers/assertions.ts";
import { Heap } from "../../src/data/heap.ts";
import type { Handle } from "../../src/heap/index.ts";
import type { Place } from "../../src/sync/index.ts";

const KINDS = ["mutex", "rwlock", "semaphore", "event", "condition", "barrier", "once", "counter"] as const;

/** Finds or makes an object of the kind, whatever else that takes. */
function open(heap: Heap, kind: (typeof KINDS)[number], place?: Place): { readonly handle: Handle } {
  return kind === "barrier" ? heap.barrier(place, { parties: 2 }) : heap[kind](place);
}

test("an object is found by its name, by its handle, and in a block of one's own", (t) => {
  const heap = createFullHeap(t);
  const other = openFullHeap(t, heap);
  for (const kind of KINDS) {
    const named = open(heap, kind, `a ${kind}`);
    assert.equal(open(other, kind, `a ${kind}`).handle, named.handle);
    assert.equal(heap.roots.get(`a ${kind}`), named.handle);
    assert.equal(open(other, kind, named.handle).handle, named.handle);
    const nameless = open(heap, kind);
    assert.notEqual(nameless.handle, named.handle);
    assert.equal(open(other, kind, nameless.handle).handle, nameless.handle);
    const block = heap.alloc(2000);
    heap.bytes(block).fill(0xff);
    const placed = open(heap, kind, { block, offset: 8, create: true });
    assert.equal(placed.handle, block + 8);
    assert.equal(open(other, kind, { block, offset: 8 }).handle, placed.handle);
  }
  const mutex = heap.mutex({ block: heap.alloc(1000), create: true });
  const hold = mutex.lockSync();
  assert.equal(other.mutex({ block: mutex.handle }).tryLock(), undefined);
  hold.release();
  other.mutex(mutex.handle).lockSync().release();
});

test("objects do not belong to the one that made them: they stay when it leaves", (t) => {
  const heap = createFullHeap(t);
  const maker = openFullHeap(t, heap);
  const handles = KINDS.map((kind) => open(maker, kind, kind).handle);
  const nameless = open(maker, "mutex").handle;
  maker.close();
  for (const [index, kind] of KINDS.entries()) assert.equal(open(heap, kind, kind).handle, handles[index]);
  heap.mutex(nameless).lockSync().release();
  assert.deepEqual(heap.verify().problems, []);
});

test("another kind under a name or a handle is refused, and says what it is", (t) => {
  const heap = createFullHeap(t);
  for (const kind of KINDS) {
    const { handle } = open(heap, kind, kind);
    for (const other of KINDS) {
      if (other === kind) continue;
      for (const place of [kind, handle, { block: handle }])
        throwsCode(
          () => open(heap, other, place),
          "ERR_SHOAL_KIND",
          new RegExp(`a ${kind}, and no ${other}`),
        );
    }
  }
  const block = heap.calloc(1, 2000);
  heap.roots.set("a block", block);
  for (const kind of KINDS) {
    for (const place of ["a block", block, { block, offset: 64 }])
      throwsCode(() => open(heap, kind, place), "ERR_SHOAL_KIND", /there is no object/);
  }
});

test("other options than an object was made with are refused; none are taken as they are", (t) => {
  const heap = createFullHeap(t);
  assert.equal(heap.mutex("fair", { fair: true }).fair, true);
  assert.equal(heap.mutex("fair").fair, true);
  throwsCode(() => heap.mutex("fair", { fair: false }), "ERR_SHOAL_KIND", /other options/);
  assert.equal(heap.mutex("plain").fair, false);
  throwsCode(() => heap.mutex("plain", { fair: true }), "ERR_SHOAL_KIND", /other options/);
  assert.equal(heap.semaphore("three", { permits: 3 }).permits, 3);
  assert.equal(heap.semaphore("three").permits, 3);
  throwsCode(() => heap.semaphore("three", { permits: 4 }), "ERR_SHOAL_KIND", /limit 3, not 4/);
  assert.equal(heap.event("auto", { resets: "auto" }).resets, "auto");
  assert.equal(heap.event("auto").resets, "auto");
  throwsCode(() => heap.event("auto", { resets: "manual" }), "ERR_SHOAL_KIND");
  assert.equal(heap.barrier("two", { parties: 2 }).parties, 2);
  assert.equal(heap.barrier("two").parties, 2);
  throwsCode(() => heap.barrier("two", { parties: 3 }), "ERR_SHOAL_KIND");
  const before = heap.stats().blocks.used;
  throwsCode(() => heap.barrier("none yet"), "ERR_SHOAL_ARGUMENT", /how many parties/);
  assert.equal(heap.roots.get("none yet"), 0);
  assert.equal(heap.stats().blocks.used, before);
});

test("arguments that make no sense are refused, and nothing is made", (t) => {
  const heap = createFullHeap(t);
  const block = heap.alloc(100);
  const { used } = heap.stats().blocks;
  const bad = <T>(value: unknown): T => value as T;
  for (const permits of [0, -1, 1.5, 65536, Number.NaN, "2"])
    throwsCode(() => heap.semaphore("s", { permits: bad(permits) }), "ERR_SHOAL_ARGUMENT", /permits/);
  for (const parties of [0, -1, 1.5, 2 ** 31, Number.NaN, "2"])
    throwsCode(() => heap.barrier("b", { parties: bad(parties) }), "ERR_SHOAL_ARGUMENT", /parties/);
  throwsCode(() => heap.event("e", { resets: bad("never") }), "ERR_SHOAL_ARGUMENT", /resets/);
  throwsCode(() => heap.mutex("m", { fair: bad("yes") }), "ERR_SHOAL_ARGUMENT", /fair/);
  for (const kind of KINDS) {
    for (const place of [null, true, {}, { offset: 8 }, { block: "x" }, Symbol.iterator])
      throwsCode(() => open(heap, kind, bad(place)), "ERR_SHOAL_ARGUMENT", /found by a name/);
    throwsCode(() => open(heap, kind, "x".repeat(100)), "ERR_SHOAL_NAME");
    throwsCode(() => open(heap, kind, ""), "ERR_SHOAL_NAME");
    for (const handle of [0, 12345, 2 ** 32 - 16, -1, 1.5, Number.NaN])
      throwsCode(() => open(heap, kind, bad(handle)), "ERR_SHOAL_BAD_HANDLE");
    for (const offset of [-8, 1, 4, 8.5, 2 ** 31, Number.NaN, "8"]) {
      throwsCode(() => open(heap, kind, { block, offset: bad(offset), create: true }), "ERR_SHOAL_ARGUMENT");
      throwsCode(() => open(heap, kind, { block, offset: bad(offset) }), "ERR_SHOAL_KIND");
    }
    throwsCode(
      () => open(heap, kind, { block, offset: 64, create: true }),
      "ERR_SHOAL_ARGUMENT",
      /needs \d+ bytes/,
    );
    throwsCode(() => open(heap, kind, { block: bad(block + 8), create: true }), "ERR_SHOAL_BAD_HANDLE");
  }
  assert.equal(heap.stats().blocks.used, used);
  assert.deepEqual(heap.roots.list(), []);
  const semaphore = heap.semaphore("s", { permits: 2 });
  for (const count of [0, -1, 3, 1.5, Number.NaN, bad<number>("1")]) {
    for (const call of [
      () => semaphore.acquireSync(count),
      () => semaphore.tryAcquire(count),
      () => semaphore.release(count),
    ])
      throwsCode(call, "ERR_SHOAL_ARGUMENT", /2 permits/);
  }
  const counter = heap.counter("c");
  for (const value of [1.5, Number.NaN, 2 ** 53, Infinity, bad<number>("1"), bad<number>(1n)]) {
    for (const call of [
      () => counter.add(value),
      () => counter.set(value),
      () => counter.compareAndSet(0, value),
      () => counter.compareAndSet(value, 0),
    ])
      throwsCode(call, "ERR_SHOAL_ARGUMENT", /whole numbers/);
  }
  assert.equal(counter.value, 0);
});

test("a hold is released once, by its own holder only", (t) => {
  const heap = createFullHeap(t);
  const other = openFullHeap(t, heap);
  for (const fair of [false, true]) {
    const mutex = heap.mutex(`${fair}`, { fair });
    throwsCode(() => mutex.unlock(), "ERR_SHOAL_NOT_HOLDER");
    const hold = mutex.lockSync();
    throwsCode(() => other.mutex(`${fair}`).unlock(), "ERR_SHOAL_NOT_HOLDER", /not held by this participant/);
    hold.release();
    assert.equal(hold.held, false);
    throwsCode(() => hold.release(), "ERR_SHOAL_NOT_HOLDER", /released before/);
    // Released without its hold: that is not the next one's.
    const first = mutex.lockSync();
    mutex.unlock();
    const second = mutex.lockSync();
    throwsCode(() => first.release(), "ERR_SHOAL_NOT_HOLDER");
    assert.equal(other.mutex(`${fair}`).tryLock(), undefined);
    second.release();
  }
  const lock = heap.rwlock("lock");
  for (const hold of [lock.readSync(), lock.tryRead()!, lock.tryRead()!]) {
    hold.release();
    throwsCode(() => hold.release(), "ERR_SHOAL_NOT_HOLDER");
  }
  lock.tryWrite()!.release();
  throwsCode(
    () => heap.semaphore("s", { permits: 3 }).release(2),
    "ERR_SHOAL_NOT_HOLDER",
    /holds 0 permits, not 2/,
  );
});

test("the end of a scope releases a hold that was not released", async (t) => {
  const heap = createFullHeap(t);
  const mutex = heap.mutex("scope");
  {
    using hold = mutex.lockSync();
    assert.equal(hold.held, true);
    assert.equal(mutex.tryLock(), undefined);
  }
  {
    await using hold = await mutex.lock();
    assert.equal(hold.held, true);
    hold.release();
  }
  {
    using read = heap.rwlock("lock").readSync();
    using permit = heap.semaphore("permits").acquireSync();
    assert.equal(read.held && permit.held, true);
    assert.equal(heap.semaphore("permits").available, 0);
  }
  mutex.tryLock()!.release();
  heap.rwlock("lock").tryWrite()!.release();
  assert.equal(heap.semaphore("permits").available, 1);
});

test("who is to wait on a condition holds the mutex, or is refused and loses nothing", async (t) => {
  const heap = createFullHeap(t);
  const [mutex, condition] = [heap.mutex("m"), heap.condition("c")];
  const hold = mutex.lockSync();
  hold.release();
  throwsCode(() => condition.waitSync(mutex, hold), "ERR_SHOAL_NOT_HOLDER");
  await assert.rejects(condition.wait(mutex, hold), { code: "ERR_SHOAL_NOT_HOLDER" });
  assert.equal(condition.notifyOne(), false);
  const again = mutex.lockSync();
  throwsCode(() => condition.waitSync(mutex, again, { timeoutMs: -1 }), "ERR_SHOAL_ARGUMENT");
  await assert.rejects(condition.wait(mutex, again, { signal: AbortSignal.abort() }), {
    code: "ERR_SHOAL_ABORTED",
  });
  assert.equal(again.held, true);
  again.release();
});

test("a heap that was opened read-only has no locks", (t) => {
  const heap = createFullHeap(t);
  heap.mutex("mutex");
  const reader = Heap.open(heap.region.name, { readOnly: true });
  t.after(() => reader.close());
  for (const kind of KINDS) throwsCode(() => open(reader, kind, "mutex"), "ERR_SHOAL_READ_ONLY");
});

test("a closed heap has none either", (t) => {
  const heap = createFullHeap(t);
  heap.close();
  for (const kind of KINDS) throwsCode(() => open(heap, kind, "it"), "ERR_SHOAL_CLOSED");
});

for (const allocator of ["buddy", "first-fit"] as const) {
  test(`${allocator} heaps have them too`, async (t) => {
    const heap = createFullHeap(t, { allocator });
    const other = openFullHeap(t, heap);
    for (const kind of KINDS) assert.equal(open(heap, kind, kind).handle, open(other, kind, kind).handle);
    const hold = heap.mutex("mutex").lockSync();
    const wait = other.mutex("mutex").lock();
    hold.release();
    (await wait).release();
    assert.deepEqual(heap.verify().problems, []);
  });
}
