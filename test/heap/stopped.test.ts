/**
 * Participants that are stopped, not dead: who holds a lock is waited for, but not for ever; who holds none holds nobody up.
 *
 * A process stops itself at a chosen access to the heap, by the hook of the checked build.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import type { AllocatorName, Handle, Heap } from "../../src/heap/index.ts";
import { H_FIT_RECORD, H_HEAP_LOCK, H_ROOTS_LOCK } from "../../src/layout/header.ts";
import { until } from "../helpers/assertions.ts";
import { assertSound, checkHeap, createHeap, openHeap } from "../helpers/heaps.ts";
import { startProcess } from "../helpers/peer.ts";
import type { Peer } from "../helpers/peer.ts";

/** As in obstacles.ts. */
const TIMEOUT_MS = 5000;
/** What is done without waiting for anybody stopped; a loaded machine's rests included. */
const PROMPT_MS = 2000;

function isStopped({ pid }: Peer): boolean {
  return /\) T /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
}

function wordAt(heap: Heap, offset: number): number {
  return Atomics.load(new Uint32Array(heap.region.buffer, offset, 1), 0);
}

/** A lock, and a call that takes it. */
interface Lock {
  readonly title: string;
  readonly allocator: AllocatorName;
  readonly lockOffset: number;
  /** The holder stops under the lock when this word is not 0: in the middle of its change. */
  readonly changeOffset: number;
  readonly call: "alloc" | "roots.set";
}

const locks: readonly Lock[] = [
  {
    title: "a first-fit heap's lock",
    allocator: "first-fit",
    lockOffset: H_HEAP_LOCK,
    changeOffset: H_FIT_RECORD,
    call: "alloc",
  },
  {
    title: "the lock of the roots",
    allocator: "slab",
    lockOffset: H_ROOTS_LOCK,
    changeOffset: H_ROOTS_LOCK,
    call: "roots.set",
  },
];

/** Makes `peer` do the call, and stop while it holds the lock. Resolves to the call's end, which comes later. */
async function holdLock(
  peer: Peer,
  heap: Heap,
  lock: Lock,
  handle: Handle,
): Promise<{ ended: Promise<unknown> }> {
  const { lockOffset, changeOffset, call } = lock;
  const ended = peer.run(
    ({ Heap: Heaps, useCheckpoint }, name, lockAt, changeAt, callName, block) => {
      let words: Uint32Array = new Uint32Array(1024);
      let number = 0;
      useCheckpoint(() => {
        if (number === 0 || words[lockAt / 4] !== number || words[changeAt / 4] === 0) return;
        number = 0;
        process.kill(process.pid, "SIGSTOP");
      });
      const mine = Heaps.open(name);
      words = new Uint32Array(mine.region.buffer, 0, words.length);
      number = mine.region.slotIndex + 1;
      if (callName === "alloc") mine.alloc(100);
      else mine.roots.set(`holder's ${process.hrtime.bigint()}`, block);
      mine.close();
    },
    heap.region.name,
    lockOffset,
    changeOffset,
    call,
    handle,
  );
  ended.catch(() => undefined); // when it is killed
  await until("the holder has stopped", () => wordAt(heap, lockOffset) !== 0 && isStopped(peer));
  return { ended };
}

/** Does the call in `peer`; first it writes 1 into the block `flag`. Says how long it took and what it threw. */
function callIn(peer: Peer, heap: Heap, { call }: Lock, handle: Handle, flag: Handle) {
  return peer.run(
    ({ Heap: Heaps }, name, callName, block, flagged) => {
      const mine = Heaps.open(name);
      mine.bytes(flagged)[0] = 1;
      const startMs = performance.now();
      let thrown;
      try {
        if (callName === "alloc") mine.alloc(100);
        else mine.roots.set("waiter's", block);
      } catch (error) {
        const { code, message, details } = error as { code: string; message: string; details: object };
        thrown = { code, message, details };
      }
      const tookMs = performance.now() - startMs;
      const { problems } = mine.verify();
      mine.close();
      return { tookMs, thrown, problems };
    },
    heap.region.name,
    call,
    handle,
    flag,
  );
}

/** What the heap holds, apart from who is in it. */
function contentsOf(heap: Heap): unknown {
  const roots = heap.roots.list().sort((one, other) => one.name.localeCompare(other.name));
  return { blocks: Array.from(heap.blocks()), roots };
}

async function checkStoppedHolder(t: TestContext, lock: Lock): Promise<void> {
  const heap = createHeap(t, { allocator: lock.allocator });
  const [handle, flag] = [heap.alloc(64), heap.calloc(1, 8)];
  heap.roots.set("first", handle);
  const [holder, waiter] = [startProcess(t), startProcess(t)];
  const before = contentsOf(heap);
  const held = await holdLock(holder, heap, lock, handle);
  const number = wordAt(heap, lock.lockOffset);

  // Whoever needs no lock goes on.
  const startMs = performance.now();
  assert.equal(heap.roots.get("first"), handle);
  assert.ok(heap.usableSize(handle) >= 64);
  assert.deepEqual(contentsOf(heap), before);
  openHeap(t, heap).close();
  assert.ok(performance.now() - startMs < PROMPT_MS);

  const refused = await callIn(waiter, heap, lock, handle, flag);
  assert.equal(refused.thrown?.code, "ERR_SHOAL_TIMEOUT");
  const told = { call: lock.call, pid: holder.pid, slot: number - 1, timeoutMs: TIMEOUT_MS };
  assert.deepEqual(refused.thrown.details, told);
  assert.match(refused.thrown.message, new RegExp(`process ${holder.pid} \\(slot ${number - 1}\\).*stopped`));
  const { tookMs } = refused;
  assert.ok(tookMs >= TIMEOUT_MS && tookMs < TIMEOUT_MS + PROMPT_MS, `waited ${tookMs} ms`);
  assert.deepEqual(refused.problems, []);
  assert.deepEqual(contentsOf(heap), before);
  assert.equal(wordAt(heap, lock.lockOffset), number);
  assertSound(heap);

  process.kill(holder.pid, "SIGCONT");
  await held.ended;
  await checkCall(waiter, heap, lock, handle, flag);
  assert.equal(heap.stats().recoveries, 0);

  // The same again, but the holder is killed under the one who waits for it.
  const atDeath = contentsOf(heap);
  await holdLock(holder, heap, lock, handle);
  assert.deepEqual(contentsOf(heap), atDeath);
  heap.bytes(flag)[0] = 0;
  const waiting = checkCall(waiter, heap, lock, handle, flag);
  await until("the waiter calls", () => heap.bytes(flag)[0] === 1);
  await new Promise((resolve) => setTimeout(resolve, 30));
  await holder.kill();
  await waiting;
  assert.equal(heap.stats().recoveries, 1);
  assert.equal(wordAt(heap, lock.lockOffset), 0);
  // What the holder made when it went on, and the waiter's two; what the holder had begun when it died is undone.
  if (lock.call === "alloc") checkHeap(heap, 2 + 3);
  else
    assert.deepEqual(
      heap.roots
        .list()
        .map(({ name }) => name.replace(/ .*/, ""))
        .sort(),
      ["first", "holder's", "waiter's"],
    );
  assertSound(heap);
}

async function checkCall(waiter: Peer, heap: Heap, lock: Lock, handle: Handle, flag: Handle): Promise<void> {
  const { tookMs, thrown, problems } = await callIn(waiter, heap, lock, handle, flag);
  assert.equal(thrown, undefined);
  assert.ok(tookMs < PROMPT_MS, `waited ${tookMs} ms`);
  assert.deepEqual(problems, []);
}

/** Makes `peer` work on the heap, and stop before each access that is new to the operation that it is at; counts the stops. */
function workStopping(peer: Peer, heap: Heap, sizes: readonly number[], board: Handle): Promise<void> {
  return peer.run(
    ({ Heap: Heaps, useCheckpoint }, name, sizesBytes, boardHandle) => {
      let words: Uint32Array = new Uint32Array(2);
      let isArmed = false;
      let step = "";
      const seen = new Set<string>();
      useCheckpoint((site) => {
        if (!isArmed || seen.has(`${step} ${site}`)) return;
        seen.add(`${step} ${site}`);
        Atomics.add(words, 0, 1);
        process.kill(process.pid, "SIGSTOP");
      });
      const mine = Heaps.open(name);
      words = new Uint32Array(mine.region.buffer, boardHandle, 256);
      // Blocks that the others free, one at each stop: they lie among those that are worked on.
      for (let index = 1; index < words.length; index++) words[index] = mine.alloc(sizesBytes[0]!);
      isArmed = true;
      const at = <Result>(label: string, work: () => Result): Result => ((step = label), work());
      for (const owned of [false, true]) {
        const handles = at(`alloc ${owned}`, () =>
          sizesBytes.map((sizeBytes) => mine.alloc(sizeBytes, { owned })),
        );
        const moved = at(`realloc ${owned}`, () =>
          handles.map((handle, index) => mine.realloc(handle, sizesBytes.at(-1 - index)!)),
        );
        at(`share ${owned}`, () => moved.map((handle) => mine.share(handle)));
        at(`adopt ${owned}`, () => mine.adopt(moved[0]!));
        at(`free ${owned}`, () => moved.map((handle) => mine.free(handle)));
      }
      at("aligned", () => mine.free(mine.alloc(sizesBytes[0]!, { alignmentBytes: 512 })));
      at("trim", () => mine.trim());
      at("alloc again", () => mine.alloc(sizesBytes.at(-1)!));
      at("grow", () => mine.grow());
      isArmed = false;
      Atomics.store(words, 0, 1_000_000);
      mine.close();
    },
    heap.region.name,
    sizes,
    board,
  );
}

const WORK = {
  slab: [16, 16, 700, 5000, 30_000, 150_000, 400_000],
  buddy: [32, 32, 100, 300, 700, 1024],
} as const;

async function checkNobodyWaits(t: TestContext, allocator: keyof typeof WORK): Promise<void> {
  const sizes = WORK[allocator];
  const heap = createHeap(t, { allocator });
  const board = heap.calloc(256, 4);
  const words = new Uint32Array(heap.region.buffer, board, 256);
  const peer = startProcess(t);
  let isOver = false;
  let slowestMs = 0;
  let stops = 0;
  const ended = workStopping(peer, heap, sizes, board).finally(() => (isOver = true));
  for (;;) {
    await until(
      "it has stopped anew",
      () => isOver || (words[0]! > stops && isStopped(peer)) || words[0]! > 10_000,
    );
    if (isOver || words[0]! > 10_000) break;
    stops = words[0]!;
    const startMs = performance.now();
    if (stops < words.length) heap.free(words[stops]! as Handle);
    const handles = sizes.flatMap((sizeBytes) => [
      heap.alloc(sizeBytes),
      heap.alloc(sizeBytes, { owned: true }),
    ]);
    for (const handle of handles) heap.free(heap.realloc(handle, sizes.at(-1)!));
    heap.roots.set("name", board);
    openHeap(t, heap).close();
    slowestMs = Math.max(slowestMs, performance.now() - startMs);
    assert.equal(words[0], stops, "it is stopped still");
    process.kill(peer.pid, "SIGCONT");
  }
  await ended;
  t.diagnostic(`${stops} stops, ${slowestMs.toFixed(1)} ms for the slowest of the others' turns`);
  assert.ok(stops > 50, `${stops} stops`);
  assert.ok(slowestMs < PROMPT_MS, `one turn took ${slowestMs} ms`);
  assertSound(heap);
  assert.equal(heap.stats().recoveries, 0);
}

describe("a live participant that does not go on", { concurrency: true }, () => {
  for (const lock of locks) {
    test(`${lock.title}: who waits for a stopped holder is told so, and goes on after it, or after its death`, (t) =>
      checkStoppedHolder(t, lock));
  }
  for (const allocator of ["slab", "buddy"] as const) {
    test(`${allocator}: nobody waits for a participant that is stopped anywhere in its work`, (t) =>
      checkNobodyWaits(t, allocator));
  }
});
