/** The rows of shmheap (a shared heap with handles), end to end. Its allocator is our "first-fit". */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Heap } from "../../src/heap/index.ts";
import { ShoalError } from "../../src/index.ts";
import type { Handle, HeapCreateOptions, Pointer } from "../../src/index.ts";
import { useCheckpoint } from "../../src/region/core.ts";
import { refusesWith, throwsCode, until } from "../helpers/assertions.ts";
import { checkHeap, createHeap, openHeap } from "../helpers/heaps.ts";
import { mapsWith } from "../helpers/holdings.ts";
import { makeQueue, startProcess } from "../helpers/peer.ts";
import type { Peer, PeerTools } from "../helpers/peer.ts";
import { freshPosixName } from "../helpers/segments.ts";

const FIRST_FIT = { allocator: "first-fit" } as const;
const HEADER_BYTES = 8;
const LEAST_BLOCK_BYTES = 16;

/** The seed of a random test: given, or new each time. */
function seedOf(t: TestContext): number {
  const given = process.env["SHOAL_TEST_SEED"];
  const seed = given === undefined ? Date.now() % 2 ** 31 : Number(given);
  t.diagnostic(`seed ${seed}; repeat with SHOAL_TEST_SEED=${seed}`);
  return seed;
}

function makeRandom(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % limit;
  };
}

/** A heap that is as large as it may ever be. */
function createFull(t: TestContext, spanBytes: number): Heap {
  const { overheadBytes } = Heap.plan({ ...FIRST_FIT, sizeBytes: 1, spanBytes });
  return createHeap(t, { ...FIRST_FIT, spanBytes, sizeBytes: spanBytes - overheadBytes });
}

test("H1 a heap is created, connected to, disconnected from and destroyed; not over one that lives, nor to none", async (t) => {
  const name = freshPosixName(t);
  const options: HeapCreateOptions = { ...FIRST_FIT, sizeBytes: 300_000 };
  throwsCode(() => Heap.open(name), "ERR_SHOAL_NOT_FOUND");
  const heap = Heap.create(name, options);
  assert.ok(heap.region.sizeBytes >= 300_000);
  const block = heap.alloc(5);
  heap.bytes(block, 5).set(Buffer.from("still"));
  heap.roots.set("block", block);

  const peer = startProcess(t);
  const connect = ({ Heap: Heaps, regions }: PeerTools, at: string): string => {
    const mine = Heaps.open(at);
    regions.set("main", mine.region);
    return Buffer.from(mine.bytes(mine.roots.get("block") as Handle, 5)).toString();
  };
  assert.equal(await peer.run(connect, name), "still");
  // Creating over a live heap takes nothing from it.
  throwsCode(() => Heap.create(name, options), "ERR_SHOAL_EXISTS");
  const create = ({ Heap: Heaps }: PeerTools, at: string, wanted: HeapCreateOptions): void =>
    void Heaps.create(at, wanted);
  await refusesWith(peer.run(create, name, options), "ERR_SHOAL_EXISTS");
  assert.equal(Buffer.from(heap.bytes(block, 5)).toString(), "still");
  checkHeap(heap, 1);

  heap.close();
  heap.close();
  throwsCode(() => heap.alloc(5), "ERR_SHOAL_CLOSED");
  assert.deepEqual(mapsWith(name), []);
  assert.ok(existsSync(`/dev/shm${name}`), "disconnecting leaves it for others");
  const again = Heap.open(name);
  assert.equal(Buffer.from(again.bytes(again.roots.get("block") as Handle, 5)).toString(), "still");
  again.remove();
  assert.deepEqual(mapsWith(name), []);
  assert.equal(existsSync(`/dev/shm${name}`), false);
  throwsCode(() => Heap.open(name), "ERR_SHOAL_NOT_FOUND");
  assert.ok(await peer.run(({ region }) => region().retired), "who has it keeps it, and can know");
  const missing = ({ Heap: Heaps }: PeerTools, at: string): void => void Heaps.open(at);
  await refusesWith(peer.run(missing, name), "ERR_SHOAL_NOT_FOUND");
  Heap.create(name, options).remove();
});

test("H2 the lowest block that is large enough is taken, and what it has too much is split off", (t) => {
  const heap = createHeap(t, FIRST_FIT);
  const [a, b, c, d, e] = [96, 48, 480, 56, 200].map((size) => heap.alloc(size)) as [
    Handle,
    Handle,
    Handle,
    Handle,
    Handle,
  ];
  assert.deepEqual(
    [b - a, c - b, d - c, e - d],
    [96, 48, 480, 56].map((size) => size + HEADER_BYTES),
  );
  heap.free(b);
  heap.free(d);
  // d would fit exactly; b is lower.
  assert.equal(heap.alloc(40), b);
  assert.equal(heap.usableSize(b), 48, "8 bytes are too few for a block of their own");
  assert.equal(heap.alloc(50), d, "50 bytes do not fit into b");
  heap.free(c);
  // The hole of 480 is cut from its low end, again and again.
  const first = heap.alloc(100);
  const second = heap.alloc(1);
  const third = heap.alloc(200);
  assert.deepEqual([first, second, third], [c, c + 112, c + 128]);
  // What is left of it is 480 - 104 - 8 - 8 - 8 - 200 - 8 = 144.
  assert.equal(heap.alloc(144), c + 336);
  assert.ok(heap.alloc(8) > e);
  checkHeap(heap, 9);
});

test("H2 a freed block is joined with what is free beside it, at once and on both sides", (t) => {
  const heap = createHeap(t, FIRST_FIT);
  const orders = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ];
  for (const order of orders) {
    const low = heap.alloc(24);
    const three = [100, 40, 300].map((size) => heap.alloc(size));
    const high = heap.alloc(24);
    for (const index of order) heap.free(three[index]!);
    // 104 + 40 + 304 and the headers between them: one hole, to the byte.
    const joined = heap.alloc(104 + 40 + 304 + 2 * HEADER_BYTES);
    assert.equal(joined, three[0], `freed in the order ${order.join(", ")}`);
    assert.equal(heap.usableSize(joined), 464);
    for (const handle of [low, joined, high]) heap.free(handle);
    assert.deepEqual([heap.stats().blocks.free, heap.stats().blocks.used], [1, 0]);
  }
  checkHeap(heap, 0);
});

interface ModelBlock {
  offset: number;
  sizeBytes: number;
  used: boolean;
}

/** First fit as it is in books: a walk over all blocks. Sizes with their headers. */
class Model {
  readonly blocks: ModelBlock[];

  constructor(offset: number, sizeBytes: number) {
    this.blocks = [{ offset, sizeBytes, used: false }];
  }

  alloc(sizeBytes: number): number {
    const wanted = Math.max(Math.ceil(sizeBytes / 8) * 8 + HEADER_BYTES, LEAST_BLOCK_BYTES);
    const index = this.blocks.findIndex((block) => !block.used && block.sizeBytes >= wanted);
    if (index < 0) return 0;
    const block = this.blocks[index]!;
    const rest = block.sizeBytes - wanted;
    if (rest >= LEAST_BLOCK_BYTES) {
      this.blocks.splice(index + 1, 0, { offset: block.offset + wanted, sizeBytes: rest, used: false });
      block.sizeBytes = wanted;
    }
    block.used = true;
    return block.offset + HEADER_BYTES;
  }

  free(handle: number): void {
    const index = this.blocks.findIndex(({ offset }) => offset + HEADER_BYTES === handle);
    this.blocks[index]!.used = false;
    this.#join(index);
    if (index > 0) this.#join(index - 1);
  }

  #join(index: number): void {
    const [block, next] = [this.blocks[index]!, this.blocks[index + 1]];
    if (next === undefined || block.used || next.used) return;
    block.sizeBytes += next.sizeBytes;
    this.blocks.splice(index + 1, 1);
  }
}

test("H2 every block lies where a walk in the order of addresses would have put it", (t) => {
  const random = makeRandom(seedOf(t));
  const heap = createFull(t, 24 * 65536);
  const { dataOffset } = heap.region;
  const model = new Model(dataOffset, heap.region.segmentSizeBytes - dataOffset);
  const other = openHeap(t, heap);
  const held: Handle[] = [];
  let refused = 0;
  for (let round = 0; round < 20_000; round++) {
    const one = random(2) === 0 ? heap : other;
    // Now rather full, now rather empty.
    const isGrowing = Math.floor(round / 2500) % 2 === 0;
    if (held.length === 0 || random(10) < (isGrowing ? 6 : 4)) {
      const size = 1 + (random(25) === 0 ? random(60_000) : random(random(2) === 0 ? 200 : 3000));
      const handle = one.tryAlloc(size);
      assert.equal(handle, model.alloc(size), `round ${round}: ${size} bytes`);
      if (handle !== 0) held.push(handle);
      else refused++;
    } else {
      const [handle] = held.splice(random(held.length), 1);
      one.free(handle!);
      model.free(handle!);
    }
  }
  t.diagnostic(`${held.length} blocks at the end, ${refused} refused`);
  assert.deepEqual(
    [...heap.blocks()].map(({ handle, sizeBytes }) => [handle, sizeBytes]),
    model.blocks
      .filter(({ used }) => used)
      .map(({ offset, sizeBytes }) => [offset + HEADER_BYTES, sizeBytes - HEADER_BYTES]),
  );
  assert.equal(heap.stats().blocks.free, model.blocks.filter(({ used }) => !used).length);
  checkHeap(heap, held.length);
  for (const handle of held) heap.free(handle);
  assert.deepEqual(heap.stats().blocks, { used: 0, free: 1 });
});

test("H2 on a fragmented heap of 16 MiB nothing is walked over", (t) => {
  const heap = createHeap(t, { ...FIRST_FIT, sizeBytes: 16 * 2 ** 20 });
  const handles = heap.allocMany(200_000, 64);
  heap.freeMany(handles.filter((_, index) => index % 2 === 0));
  const holes = heap.stats().blocks.free;
  assert.ok(holes >= 100_000, `${holes} holes`);
  // Every access to the segment is counted.
  let count = 0;
  useCheckpoint(() => void count++);
  let counted: Heap;
  try {
    counted = openHeap(t, heap);
  } finally {
    useCheckpoint(undefined);
  }
  const measure = (what: string, call: () => void): void => {
    count = 0;
    call();
    t.diagnostic(`${what}: ${count} accesses`);
    assert.ok(count > 0 && count < 1000, `${what} makes ${count} accesses, on a heap with ${holes} holes`);
  };
  const middle = handles[100_001]!;
  let handle = 0 as Handle;
  measure("filling the first hole", () => (handle = counted.alloc(64)));
  assert.equal(handle, handles[0]);
  measure("freeing it", () => counted.free(handle));
  measure("freeing between two holes", () => counted.free(middle));
  measure("filling what that has made, which is the first of its size", () => (handle = counted.alloc(200)));
  assert.equal(handle, handles[100_000]);
  counted.free(handle);
  measure("passing by all holes", () => (handle = counted.alloc(4000)));
  assert.ok(handle > handles.at(-1)!);
  measure("freeing at the end", () => counted.free(handle));
  measure("resizing into a hole", () => (handle = counted.realloc(handles[50_001]!, 100)));
  assert.equal(handle, handles[50_001]);
  // For people; a test does not assert times.
  const times: number[] = [];
  for (let round = 0; round < 2000; round++) {
    const start = process.hrtime.bigint();
    const block = heap.alloc(round % 2 === 0 ? 4000 : 64);
    heap.free(block);
    times.push(Number(process.hrtime.bigint() - start) / 2000);
  }
  times.sort((one, two) => one - two);
  t.diagnostic(`an operation takes ${times[1000]!.toFixed(2)} µs in the median`);
  checkHeap(heap);
});

for (const allocator of ["first-fit", "slab"] as const) {
  test(`H3 all but 80 bytes of an empty heap can be had in one block: ${allocator}`, (t) => {
    for (const sizeBytes of [65_536, 1_000_000, 2 ** 20, 16 * 2 ** 20]) {
      const heap = createHeap(t, { allocator, sizeBytes });
      const { dataBytes } = heap.plan;
      assert.ok(dataBytes >= sizeBytes);
      const handle = heap.alloc(dataBytes - 80);
      const bytes = heap.bytes(handle, dataBytes - 80);
      [bytes[0], bytes[bytes.length - 1]] = [1, 2];
      assert.equal(heap.region.growths, 0);
      checkHeap(heap, 1);
      heap.free(handle);
      heap.free(heap.alloc(dataBytes - heap.plan.headerBytes));
      assert.equal(heap.region.growths, 0, "all of it, less the header that the plan says");
    }
    // The most there can ever be, and one byte more.
    const heap = createHeap(t, { allocator, spanBytes: 32 * 65536 });
    const { maxBlockBytes } = heap.plan;
    throwsCode(() => heap.alloc(maxBlockBytes + 1), "ERR_SHOAL_OUT_OF_MEMORY");
    assert.equal(heap.region.growths, 0, "what cannot be had is not grown for");
    heap.free(heap.alloc(maxBlockBytes));
    checkHeap(heap, 0);
  });
}

test("H4 a pointer becomes a handle here and a pointer again there; what is outside is refused", async (t) => {
  const heap = createHeap(t, { ...FIRST_FIT, fixedAddress: true });
  const handle = heap.alloc(16);
  const pointer = heap.pointerOf(handle);
  const base = heap.region.fixedAddress;
  assert.equal(pointer, base + handle);
  assert.equal(heap.handleOf(pointer), handle);
  assert.equal(heap.handleOf((pointer + 5) as Pointer), handle + 5, "interior pointers have their offsets");
  heap.bytes(handle, 4).set([1, 2, 3, 4]);
  const peer = startProcess(t);
  const there = await peer.run(
    ({ Heap: Heaps, native }, name, sent) => {
      const mine = Heaps.open(name);
      const address = mine.pointerOf(sent);
      const bytes = native.externalBuffer(address, 4) as ArrayBuffer;
      const seen = [...new Uint8Array(bytes)];
      native.detach(bytes);
      return { base: mine.region.fixedAddress, address, back: mine.handleOf(address), seen };
    },
    heap.region.name,
    handle,
  );
  assert.deepEqual(there, { base, address: pointer, back: handle, seen: [1, 2, 3, 4] });

  const { dataOffset, segmentSizeBytes } = heap.region;
  assert.equal(heap.pointerOf((segmentSizeBytes - 1) as Handle), base + segmentSizeBytes - 1);
  for (const outside of [1, dataOffset - 1, segmentSizeBytes, 2 ** 32 - 1, 2 ** 40, -8, 1.5, Number.NaN]) {
    throwsCode(() => heap.pointerOf(outside as Handle), "ERR_SHOAL_BAD_HANDLE");
    throwsCode(() => heap.handleOf((base + outside) as Pointer), "ERR_SHOAL_BAD_POINTER");
  }
  const unpinned = createHeap(t, FIRST_FIT);
  throwsCode(() => unpinned.pointerOf(unpinned.alloc(8)), "ERR_SHOAL_UNSUPPORTED", /fixedAddress/);
});

/** Allocates and frees until it is killed; counts its rounds in word `place` of the block `progress`. */
function allocAndFree(
  { Heap: Heaps }: PeerTools,
  name: string,
  progress: Handle,
  place: number,
  seed: number,
): void {
  const heap = Heaps.open(name);
  const words = new Int32Array(heap.region.buffer, progress, 16);
  let state = seed;
  const random = (limit: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % limit;
  };
  for (;;) {
    const held: Handle[] = [];
    for (let index = 0; index < 20; index++) {
      const handle = heap.alloc(1 + random(3000), { owned: true });
      heap.bytes(handle, 1)[0] = 1;
      held.push(handle);
    }
    while (held.length > 0) heap.free(held.splice(random(held.length), 1)[0]!);
    Atomics.add(words, place, 1);
  }
}

test("H5 50 processes are killed while they allocate and free: the others go on, and nothing is lost", async (t) => {
  const random = makeRandom(seedOf(t));
  const heap = createHeap(t, FIRST_FIT);
  const progress = heap.calloc(16, 4);
  const before = heap.stats();
  const words = new Int32Array(heap.region.buffer, progress, 16);
  const next = makeQueue(t);
  const crew: Peer[] = [];
  const complaints: string[] = [];
  const hire = (place: number): void => {
    crew[place] = next();
    crew[place]
      .run(allocAndFree, heap.region.name, progress, place, random(2 ** 30))
      .catch(({ message }: Error) => void (message.includes("SIGKILL") || complaints.push(message)));
  };
  const works = async (place: number): Promise<void> => {
    const rounds = Atomics.load(words, place);
    await until(
      `participant ${place} goes on`,
      () => Atomics.load(words, place) > rounds || complaints.length > 0,
    );
    assert.deepEqual(complaints, []);
  };
  for (const place of [0, 1]) hire(place);
  await Promise.all([works(0), works(1)]);
  for (let kill = 0; kill < 50; kill++) {
    const place = random(2);
    await works(place);
    await new Promise((resolve) => setTimeout(resolve, random(5)));
    await crew[place]!.kill();
    // Whoever wants something now, with or without having been told of the death.
    const mine = Array.from({ length: 20 }, () => heap.alloc(1 + random(3000)));
    for (const handle of mine) heap.free(handle);
    await works(1 - place);
    hire(place);
  }
  await Promise.all(crew.map((peer) => peer.kill()));
  heap.recover();
  checkHeap(heap, 1);
  const after = heap.stats();
  assert.equal(after.usedBytes, before.usedBytes);
  assert.equal(after.blocks.free, 1, "what is free is in one piece again");
  assert.equal(after.participants.length, 1);
  assert.ok(after.recoveries >= 50);
});

test("H6 sizes that overflow, and frees of what is free or none, are refused and change nothing", (t) => {
  const heap = createHeap(t, { ...FIRST_FIT, spanBytes: 2 ** 22 });
  const block = heap.alloc(100);
  const freed = heap.alloc(100);
  heap.free(freed);
  const before = Buffer.from(heap.region.buffer.slice(heap.region.dataOffset));
  for (const size of [
    0,
    -1,
    1.5,
    Number.NaN,
    Infinity,
    2 ** 32,
    2 ** 53,
    -(2 ** 31),
    "8" as unknown as number,
  ]) {
    throwsCode(() => heap.alloc(size), "ERR_SHOAL_SIZE");
    throwsCode(() => heap.realloc(block, size), "ERR_SHOAL_SIZE");
    throwsCode(() => heap.calloc(1, size), "ERR_SHOAL_SIZE");
  }
  // Sizes that are numbers, but to which nothing can be added in 32 bits.
  for (let less = 1; less <= 24; less++) {
    throwsCode(() => heap.alloc(2 ** 32 - less), "ERR_SHOAL_OUT_OF_MEMORY");
    throwsCode(() => heap.realloc(block, 2 ** 32 - less), "ERR_SHOAL_OUT_OF_MEMORY");
  }
  throwsCode(() => heap.free(freed), "ERR_SHOAL_DOUBLE_FREE");
  throwsCode(() => heap.realloc(freed, 10), "ERR_SHOAL_DOUBLE_FREE");
  for (const wild of [0, block + 8, block + 1, block - 8, 2 ** 32 - 8])
    throwsCode(() => heap.free(wild as Handle), "ERR_SHOAL_BAD_HANDLE");
  assert.ok(before.equals(Buffer.from(heap.region.buffer.slice(heap.region.dataOffset))));
  checkHeap(heap, 1);
});

/** Calls and says what came of it: "" or a ShoalError's code. Anything else that is thrown is a fault. */
function codeOf(call: () => unknown): string {
  try {
    call();
    return "";
  } catch (error) {
    if (error instanceof ShoalError) return error.code;
    throw error;
  }
}

test("H6 who writes over the next block's header makes errors, and neither hangs nor holds up anybody", async (t) => {
  const random = makeRandom(seedOf(t));
  const peer = startProcess(t);
  const codes = new Map<string, number>();
  const call = (what: () => unknown): void => {
    const code = codeOf(what);
    codes.set(code, (codes.get(code) ?? 0) + 1);
  };
  for (let round = 0; round < 60; round++) {
    const heap = createHeap(t, { ...FIRST_FIT, sizeBytes: 200_000, spanBytes: 16 * 65536 });
    const handles = Array.from({ length: 40 }, () => heap.alloc(8 + random(300)));
    for (const index of [3, 7, 8, 20, 30, 31, 32]) heap.free(handles[index]!);
    // Beyond the end of a block, as C programs do; most of what follows is a used one, here and there a free one.
    const victim = handles[[1, 2, 6, 10, 19, 33][round % 6]!]!;
    const lengthBytes = [8, 4, 24, 400][round % 4]!;
    const end = victim + heap.usableSize(victim);
    const garbage = [() => 0, () => 0xff, () => 65, () => random(256), () => (random(2) === 0 ? 8 : 0)];
    const bytes = Uint8Array.from({ length: lengthBytes }, garbage[round % 5]!);
    new Uint8Array(heap.region.buffer, end, lengthBytes).set(bytes);
    const report = heap.verify();
    assert.ok(!report.ok, `verify finds it in round ${round}: ${bytes.join(" ")}`);
    for (const handle of handles) call(() => heap.free(handle));
    for (let size = 1; size < 60_000; size *= 3) call(() => heap.alloc(size));
    call(() => heap.realloc(victim, 1000));
    call(() => heap.stats());
    call(() => [...heap.blocks()]);
    call(() => heap.verify());
    // The lock is nobody's: another process comes in, gets its answers, and leaves.
    if (round % 6 === 0) {
      const answers = await peer.run(({ Heap: Heaps }, name) => {
        const found: string[] = [];
        const mine = Heaps.open(name);
        for (const size of [10, 1000, 100_000]) {
          try {
            mine.free(mine.alloc(size));
            found.push("");
          } catch (error) {
            found.push(String((error as { code?: unknown }).code));
          }
        }
        mine.close();
        return found;
      }, heap.region.name);
      for (const answer of answers) assert.match(answer, /^$|^ERR_SHOAL_(CORRUPT|OUT_OF_MEMORY)$/);
    }
    heap.remove();
  }
  t.diagnostic([...codes].map(([code, count]) => `${code || "ok"} ${count}`).join(", "));
  for (const code of codes.keys())
    assert.match(code, /^$|^ERR_SHOAL_(CORRUPT|OUT_OF_MEMORY|BAD_HANDLE|DOUBLE_FREE|NOT_OWNER)$/);
  assert.ok((codes.get("ERR_SHOAL_CORRUPT") ?? 0) > 0);
});
