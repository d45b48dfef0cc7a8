/**
 * The part of the conformance suite about ownership: owned blocks are their owner's alone and end with it, shared ones are
 * everybody's and stay.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { Handle, Heap } from "../../src/heap/index.ts";
import { refusesWith } from "../helpers/assertions.ts";
import { abandon, assertSound, checkHeap, openHeap } from "../helpers/heaps.ts";
import {
  assertSigned,
  changesOf,
  createFixed,
  createKind,
  exhaust,
  refuses,
  refusesAll,
  sign,
  sizesOf,
} from "../helpers/kinds.ts";
import type { Kind } from "../helpers/kinds.ts";
import { startProcess } from "../helpers/peer.ts";

const MiB = 2 ** 20;

/** Declares the tests for one kind of heap. */
export function defineOwners(kind: Kind): void {
  const label = `${kind.allocator} ${kind.backend}`;
  defineRights(kind, label);
  defineEnds(kind, label);
  defineProcess(kind, label);
}

function defineRights(kind: Kind, label: string): void {
  test(`${label}: an owned block is its owner's alone to free, resize, share and adopt`, (t) => {
    const heap = createKind(t, kind, { sizeBytes: 4 * MiB });
    const other = openHeap(t, heap);
    for (const [index, sizeBytes] of sizesOf(heap).entries()) {
      const handle = heap.alloc(sizeBytes, { owned: true });
      sign(heap, handle, index);
      const usable = heap.usableSize(handle);
      for (const one of [heap, other]) {
        const { index: slot, pid } = one.ownerOf(handle)!;
        assert.deepEqual([slot, pid], [heap.region.slotIndex, process.pid]);
        assert.equal(one.usableSize(handle), usable);
        one.roots.set("theirs", handle);
      }
      refusesAll(other, changesOf(other, handle), "ERR_SHOAL_NOT_OWNER");
      const error = refuses(other, () => other.free(handle), "ERR_SHOAL_NOT_OWNER", /slot/);
      assert.deepEqual([error.details["call"], error.details["handle"]], ["free", handle]);
      assertSigned(other, handle, index, usable);
      heap.adopt(handle);
      assert.equal(other.ownerOf(handle)?.index, heap.region.slotIndex);
      other.roots.delete("theirs");
      heap.free(heap.realloc(handle, Math.max(sizeBytes / 2, 1) | 0));
      for (const one of [heap, other]) checkHeap(one, 0);
    }
  });

  test(`${label}: a block is shared and adopted as often as one likes, by whoever may`, (t) => {
    const heap = createKind(t, kind, { sizeBytes: 4 * MiB });
    const other = openHeap(t, heap);
    for (const [index, sizeBytes] of sizesOf(heap).entries()) {
      const handle = heap.alloc(sizeBytes);
      const usable = heap.usableSize(handle);
      sign(heap, handle, index);
      heap.share(handle);
      other.share(handle);
      for (const by of [heap, other, heap]) {
        by.adopt(handle);
        by.adopt(handle);
        const rival = by === heap ? other : heap;
        assert.equal(rival.ownerOf(handle)?.index, by.region.slotIndex);
        refusesAll(heap, changesOf(rival, handle), "ERR_SHOAL_NOT_OWNER");
        by.share(handle);
        by.share(handle);
        assert.equal(by.ownerOf(handle), undefined);
        rival.share(handle);
        assertSound(heap, other);
      }
      assertSigned(other, handle, index, usable);
      other.adopt(handle);
      other.free(handle);
      for (const one of [heap, other]) checkHeap(one, 0);
    }
  });

  test(`${label}: whoever gets the place of an owned block does not get its owner`, (t) => {
    const heap = createFixed(t, kind, MiB);
    const other = openHeap(t, heap);
    for (const sizeBytes of sizesOf(heap).filter((size) => size >= 100 && size <= 65_536)) {
      const owned: Handle[] = [];
      for (let handle = heap.tryAlloc(sizeBytes, { owned: true }); handle !== 0;) {
        owned.push(handle);
        handle = heap.tryAlloc(sizeBytes, { owned: true });
      }
      heap.freeMany(owned);
      const reused: Handle[] = [];
      for (let handle = other.tryAlloc(sizeBytes); handle !== 0; handle = other.tryAlloc(sizeBytes))
        reused.push(handle);
      assert.ok(reused.some((handle) => owned.includes(handle)));
      for (const { ownerSlot } of heap.blocks()) assert.equal(ownerSlot, -1);
      other.freeMany(reused);
      for (const one of [heap, other]) checkHeap(one, 0);
    }
  });

  test(`${label}: adopting when memory is at its end either works or says so, and changes nothing else`, (t) => {
    const heap = createFixed(t, kind, MiB);
    const other = openHeap(t, heap);
    const all = exhaust(heap);
    for (const handle of [all[0]!, all.at(-1)!, all[all.length >> 1]!]) {
      let code = "";
      try {
        other.adopt(handle);
      } catch (error) {
        ({ code } = error as { code: string });
      }
      assert.match(code, /^(ERR_SHOAL_OUT_OF_MEMORY)?$/);
      assert.equal(heap.ownerOf(handle)?.index, code === "" ? other.region.slotIndex : undefined);
      for (const one of [heap, other]) checkHeap(one, all.length);
    }
    for (const { handle, ownerSlot } of heap.blocks()) if (ownerSlot < 0) heap.free(handle);
    other.adopt(heap.alloc(100));
    other.close();
    checkHeap(heap, 0);
  });
}

/** Blocks of one participant, of every size and every history. */
interface Estate {
  /** What ends with it, by what was done to the block last. */
  readonly owned: Map<Handle, string>;
  /** What stays. */
  readonly shared: Map<Handle, string>;
}

/** Makes `leaver` the owner of blocks in every way there is, and of some no more. `giver` has blocks of its own. */
function bequeath(leaver: Heap, giver: Heap): Estate {
  const owned = new Map<Handle, string>();
  const shared = new Map<Handle, string>();
  for (const sizeBytes of sizesOf(leaver).filter((size) => size < 100_000)) {
    const own = (): Handle => leaver.alloc(sizeBytes, { owned: true });
    const add = (to: Map<Handle, string>, handle: Handle, how: string): void => {
      sign(leaver, handle, handle >> 3);
      to.set(handle, `${how} ${sizeBytes}`);
    };
    add(owned, own(), "allocated");
    add(owned, leaver.calloc(1, sizeBytes, { owned: true }), "allocated zeroed");
    add(owned, leaver.alignedAlloc(64, sizeBytes, { owned: true }), "aligned");
    add(owned, leaver.block(sizeBytes, { owned: true }).handle, "with a scope");
    add(shared, leaver.alloc(sizeBytes), "allocated shared");
    add(shared, leaver.block(sizeBytes, { owned: true }).keep(), "kept");
    add(shared, giver.alloc(sizeBytes, { owned: true }), "owned by who stays");
    const given = giver.alloc(sizeBytes);
    leaver.adopt(given);
    add(owned, given, "adopted");
    const back = giver.alloc(sizeBytes);
    leaver.adopt(back);
    leaver.share(back);
    add(shared, back, "adopted and shared");
    const letGo = own();
    leaver.share(letGo);
    add(shared, letGo, "allocated and shared");
    leaver.adopt(leaver.alloc(sizeBytes));
    const [little, much] = [Math.ceil(sizeBytes / 3), Math.min(4 * sizeBytes, leaver.plan.maxBlockBytes)];
    add(owned, leaver.realloc(own(), much), "grown");
    add(owned, leaver.realloc(own(), little), "shrunk");
    add(shared, leaver.realloc(leaver.alloc(sizeBytes), much), "shared and grown");
    leaver.free(own());
  }
  // The one that was adopted without being noted.
  for (const { handle, ownerSlot } of leaver.blocks()) {
    if (ownerSlot === leaver.region.slotIndex && !owned.has(handle)) {
      sign(leaver, handle, handle >> 3);
      owned.set(handle, "adopted at once");
    }
  }
  return { owned, shared };
}

/** Asserts that of the blocks exactly the shared ones are left, as they were. */
function checkHeirs(heap: Heap, { owned, shared }: Estate): void {
  const left = new Map([...heap.blocks()].map((block) => [block.handle, block]));
  for (const [handle, how] of owned) assert.ok(!left.has(handle), `${how}: owned, and has stayed`);
  for (const [handle, how] of shared) {
    assert.ok(left.has(handle), `${how}: shared, and has gone`);
    assertSigned(heap, handle, handle >> 3, left.get(handle)!.sizeBytes);
  }
  assert.equal(left.size, shared.size);
  checkHeap(heap, shared.size);
}

/** The room of blocks that came back is room for others: as much as if they had never been. */
function checkRoom(heap: Heap, { shared }: Estate): void {
  for (const handle of shared.keys()) heap.free(handle);
  checkHeap(heap, 0);
  const { largestFreeBytes, dataBytes } = heap.stats();
  // In one piece, but for the blocks that this participant keeps ready.
  assert.ok(largestFreeBytes >= Math.min(heap.plan.maxBlockBytes, dataBytes / 2), `${largestFreeBytes}`);
}

const ends: { name: string; leave(heap: Heap, leaver: Heap): void }[] = [
  { name: "leaves in good order", leave: (_, leaver) => leaver.close() },
  {
    name: "dies",
    leave(heap, leaver) {
      abandon(leaver);
      assert.equal(heap.recover(), 1);
      assert.equal(heap.recover(), 0);
    },
  },
];

function makePair(t: TestContext, kind: Kind): [heap: Heap, leaver: Heap] {
  const heap = createKind(t, kind, { sizeBytes: 24 * MiB, maxParticipants: 3 });
  return [heap, openHeap(t, heap)];
}

function defineEnds(kind: Kind, label: string): void {
  for (const { name, leave } of ends) {
    test(`${label}: when a participant ${name}, its own blocks come back and the shared ones stay`, (t) => {
      const [heap, leaver] = makePair(t, kind);
      const estate = bequeath(leaver, heap);
      for (const handle of estate.owned.keys())
        assert.equal(heap.ownerOf(handle)?.index, leaver.region.slotIndex);
      assertSound(heap, leaver);
      leave(heap, leaver);
      checkHeirs(heap, estate);
      // Whoever gets the slot next owns nothing of that.
      const next = openHeap(t, heap);
      assert.equal(next.region.slotIndex, leaver.region.slotIndex);
      assert.deepEqual(
        next.stats().participants.map(({ ownedBlocks }) => ownedBlocks > 0),
        [true, false],
      );
      checkRoom(heap, estate);
      next.alloc(100, { owned: true });
      next.close();
      checkHeap(heap, 0);
    });
  }

  test(`${label}: the blocks of the dead are found before a heap says that it is full, and at the next opening`, (t) => {
    const heap = createFixed(t, kind, MiB, { maxParticipants: 4 });
    const size = Math.min(heap.plan.maxBlockBytes, 5000);
    const fillAndDie = (): number => {
      const dead = openHeap(t, heap);
      let count = 0;
      while (dead.tryAlloc(size, { owned: true }) !== 0) count++;
      abandon(dead);
      return count;
    };
    const count = fillAndDie();
    assert.ok(count * size > MiB / 2);
    for (let again = 0; again < count; again++) heap.alloc(size);
    checkHeap(heap, count);
    for (const { handle } of heap.blocks()) heap.free(handle);
    fillAndDie();
    assert.equal(openHeap(t, heap).verify().blocks, 0);
    assertSound(heap);
  });
}

function defineProcess(kind: Kind, label: string): void {
  test(`${label}: an unrelated process owns, shares, adopts, is refused, and is killed`, async (t) => {
    const heap = createKind(t, kind, { sizeBytes: 4 * MiB });
    const peer = startProcess(t);
    const mine = heap.alloc(100, { owned: true });
    const given = heap.alloc(200);
    const handles = await peer.run(
      ({ Heap: Heaps }, name, backend, adopted) => {
        const theirs = Heaps.open(name, { backend });
        Object.assign(globalThis, { theirs });
        theirs.adopt(adopted);
        const owned = Array.from({ length: 50 }, (_, index) =>
          theirs.alloc(10 + 19 * index, { owned: true }),
        );
        const shared = theirs.allocMany(20, 70);
        const letGo = owned.splice(0, 10);
        for (const handle of letGo) theirs.share(handle);
        for (const handle of [...owned, ...shared, ...letGo]) theirs.bytes(handle).fill(handle & 0xff);
        const moved = theirs.realloc(owned.pop()!, 1000);
        theirs.roots.set("shared", shared[0]!);
        return { owned: [...owned, moved], shared: [...shared, ...letGo] };
      },
      heap.region.name,
      kind.backend,
      given,
    );
    const owned = [...handles.owned, given];
    for (const handle of owned) assert.equal(heap.ownerOf(handle)?.pid, peer.pid);
    for (const handle of handles.shared) assert.equal(heap.ownerOf(handle), undefined);
    const row = heap.stats().participants.find(({ pid }) => pid === peer.pid);
    assert.equal(row?.ownedBlocks, owned.length);
    refusesAll(heap, changesOf(heap, owned[3]!), "ERR_SHOAL_NOT_OWNER");
    for (const call of ["free", "share", "adopt"] as const) {
      const attempt = peer.run(
        (_, handle, what) => (globalThis as unknown as { theirs: Heap }).theirs[what](handle),
        mine,
        call,
      );
      await refusesWith(attempt, "ERR_SHOAL_NOT_OWNER");
    }
    checkHeap(heap, owned.length + handles.shared.length + 1);
    // What was freed here is free there too.
    const freed = handles.shared.pop()!;
    heap.free(freed);
    const again = peer.run(
      (_, handle) => (globalThis as unknown as { theirs: Heap }).theirs.free(handle),
      freed,
    );
    await assert.rejects(again, { code: /DOUBLE_FREE|BAD_HANDLE/ });
    await peer.kill();
    assert.equal(heap.recover(), 1);
    const left = [...heap.blocks()].map(({ handle }) => handle);
    assert.deepEqual(
      left,
      [mine, ...handles.shared].sort((one, other) => one - other),
    );
    for (const handle of handles.shared)
      assert.ok(heap.bytes(handle).every((byte) => byte === (handle & 0xff)));
    assert.equal(heap.roots.get("shared"), handles.shared[0]);
    assert.deepEqual(heap.stats().participants.length, 1);
    checkHeap(heap, left.length);
  });
}
