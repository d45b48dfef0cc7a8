/**
 * The rows of shm_alloc (malloc without locks in a shared file), end to end. Its own allocator is our "buddy"; what it
 * promises to everybody is asked of all three.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { asHandle, environmentOptions, Heap } from "../../src/heap/index.ts";
import type { AllocatorName, Handle, Pointer } from "../../src/index.ts";
import { drawHeap, formatDrawing } from "../../src/inspect/index.ts";
import { linesOf, makeProgram } from "../auto/programs.ts";
import { runShoal } from "../cli/shoal.ts";
import { refusesWith, throwsCode, until } from "../helpers/assertions.ts";
import { checkHeap, createHeap } from "../helpers/heaps.ts";
import { startProcess, startProcesses } from "../helpers/peer.ts";
import type { Peer, PeerTools } from "../helpers/peer.ts";
import { freshFolder, freshPosixName } from "../helpers/segments.ts";
import { stress } from "../stress/run.ts";

const ALLOCATORS: readonly AllocatorName[] = ["buddy", "slab", "first-fit"];
const PAGE = 65536;

/** The seed of a random test: given, or new each time. */
function seedOf(t: TestContext): number {
  const given = process.env["SHOAL_TEST_SEED"];
  const seed = given === undefined ? Date.now() % 2 ** 31 : Number(given);
  t.diagnostic(`seed ${seed}; repeat with SHOAL_TEST_SEED=${seed} (the kernel's scheduling is not repeated)`);
  return seed;
}

function makeRandom(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % limit;
  };
}

for (const allocator of ALLOCATORS) {
  test(`M1 malloc, calloc and free take and return offsets that every process understands: ${allocator}`, async (t) => {
    const heap = createHeap(t, { allocator });
    const peer = startProcess(t);
    const handle = await peer.run(({ Heap: Heaps }, name) => {
      const mine = Heaps.open(name);
      const block = mine.alloc(11);
      mine.bytes(block, 11).set(new TextEncoder().encode("hello world"));
      mine.close();
      return block;
    }, heap.region.name);
    assert.equal(Buffer.from(heap.bytes(handle, 11)).toString(), "hello world");
    heap.free(handle);
    checkHeap(heap, 0);

    // Zeros, whatever was there before.
    const dirty = heap.allocMany(200, 32);
    for (const each of dirty) heap.bytes(each).fill(0xff);
    heap.freeMany(dirty);
    const zeroed = Array.from({ length: 200 }, () => heap.calloc(5, 5));
    assert.ok(zeroed.some((each) => dirty.includes(each)));
    for (const each of zeroed) assert.ok(heap.bytes(each, 25).every((byte) => byte === 0));

    // Counts and sizes whose product C's size_t, or its lower half, cannot hold.
    for (const [count, size] of [
      [2 ** 27 + 1, 32],
      [2 ** 31, 2],
      [2 ** 32 - 1, 2 ** 32 - 1],
      [1, 2 ** 32],
    ] as const) {
      throwsCode(() => heap.calloc(count, size), "ERR_SHOAL_SIZE");
    }
    checkHeap(heap, 200);
  });

  test(`M1 their twins take and return pointers, and the null value is 0: ${allocator}`, async (t) => {
    const heap = createHeap(t, { allocator, fixedAddress: true });
    const { pointers } = heap;
    const pointer = pointers.alloc(40);
    assert.equal(pointer, heap.region.fixedAddress + heap.handleOf(pointer));
    heap.bytes(heap.handleOf(pointer), 3).set([1, 2, 3]);
    const longer = pointers.realloc(pointer, 400);
    assert.ok(pointers.usableSize(longer) >= 400);
    const peer = startProcess(t);
    const seen = await peer.run(
      ({ Heap: Heaps, native }, name, address) => {
        const mine = Heaps.open(name);
        // The pointer itself, as a C program follows it.
        const there = native.externalBuffer(address, 3) as ArrayBuffer;
        const bytes = [...new Uint8Array(there)];
        native.detach(there);
        mine.pointers.free(address);
        mine.close();
        return bytes;
      },
      heap.region.name,
      longer,
    );
    assert.deepEqual(seen, [1, 2, 3]);
    const zeroed = pointers.calloc(4, 8);
    assert.ok(heap.bytes(heap.handleOf(zeroed), 32).every((byte) => byte === 0));
    pointers.free(zeroed);
    checkHeap(heap, 0);

    assert.equal(heap.tryAlloc(heap.plan.maxBlockBytes + 1), 0);
    assert.equal(heap.pointerOf(asHandle(0)), 0);
    assert.equal(heap.handleOf(0 as Pointer), 0);
    const unpinned = createHeap(t, { allocator });
    throwsCode(() => unpinned.pointers.alloc(40), "ERR_SHOAL_UNSUPPORTED", /fixedAddress/);
    checkHeap(unpinned, 0);
  });
}

test("M2 sizes are rounded up to powers of two from 32 to 1024, and what is larger gets null", (t) => {
  const heap = createHeap(t, { allocator: "buddy" });
  const given = (size: number): number => heap.usableSize(heap.alloc(size));
  for (const [asked, usable] of [
    [1, 32],
    [9, 32],
    [32, 32],
    [33, 64],
    [158, 256],
    [256, 256],
    [257, 512],
    [513, 1024],
    [1024, 1024],
  ] as const)
    assert.equal(given(asked), usable, `${asked} bytes`);
  // No header in the block: two largest lie one behind the other, and all of them is the caller's.
  assert.equal(heap.plan.headerBytes, 0);
  const [one, other] = [heap.alloc(1024), heap.alloc(1024)];
  assert.equal(Math.abs(one - other), 1024);
  heap.bytes(one).fill(1);
  heap.bytes(other).fill(2);
  assert.ok(heap.bytes(one).every((byte) => byte === 1));
  const blocks = heap.stats().blocks.used;
  assert.equal(heap.tryAlloc(1025), 0);
  throwsCode(() => heap.alloc(1025), "ERR_SHOAL_OUT_OF_MEMORY", /at most 1024/);
  assert.equal(heap.tryAlloc(2 ** 31), 0);
  checkHeap(heap, blocks);
});

test("M2 smallest and largest block are powers of two, at most 2^5 apart", (t) => {
  const limits = (minBlockBytes: number, maxBlockBytes: number): number[] => {
    const { plan } = createHeap(t, { allocator: "buddy", minBlockBytes, maxBlockBytes, spanBytes: 2 ** 26 });
    return [plan.minBlockBytes, plan.maxBlockBytes];
  };
  for (const [least, most] of [
    [16, 512],
    [64, 64],
    [128, 1024],
    [2048, 65_536],
    [65_536, 65_536],
  ] as const) {
    assert.deepEqual(limits(least, most), [least, most]);
  }
  for (const [least, most] of [
    [16, 1024], // 2^6 apart
    [64, 32],
    [48, 512],
    [32, 1000],
    [8, 64],
    [65_536, 131_072],
    [0, 32],
  ] as const) {
    throwsCode(
      () => Heap.plan({ allocator: "buddy", minBlockBytes: least, maxBlockBytes: most }),
      "ERR_SHOAL_ARGUMENT",
    );
  }
});

test("M2 a maximal block's bitmap is one word: it is cut in halves, and whole again when all of it is free", (t) => {
  const heap = createHeap(t, { allocator: "buddy" });
  const whole = heap.alloc(1024);
  heap.free(whole);
  for (let sizeBytes = 32; sizeBytes <= 1024; sizeBytes *= 2) {
    const handles = Array.from({ length: 1024 / sizeBytes }, () => heap.alloc(sizeBytes));
    assert.deepEqual(
      handles.toSorted((one, other) => one - other),
      Array.from({ length: handles.length }, (_, index) => whole + index * sizeBytes),
      `${sizeBytes} bytes: one maximal block has all of them`,
    );
    const drawing = drawHeap(heap);
    assert.equal(drawing.allocator, "buddy");
    const row = drawing.rows.find(({ offset }) => offset === whole);
    assert.equal("usedBits" in row! && row.usedBits, "ffffffff", "one word says it");
    const beyond = heap.alloc(sizeBytes);
    assert.ok(beyond < whole || beyond >= whole + 1024, "the next is elsewhere");
    heap.free(beyond);
    // Freed in an order that leaves no two neighbours free for long.
    for (const [index, handle] of handles.entries()) if (index % 2 === 0) heap.free(handle);
    for (const [index, handle] of handles.entries()) if (index % 2 === 1) heap.free(handle);
    assert.equal(heap.alloc(1024), whole);
    heap.free(whole);
  }
  checkHeap(heap, 0);
});

/** What a participant does again and again: every size, owned blocks and shared ones, some resized. */
function work(heap: Heap, rounds: number, mostBytes: number): void {
  for (let round = 0; round < rounds; round++) {
    const size = 1 + ((round * 97) % (mostBytes / 2));
    const shared = heap.alloc(size);
    const owned = heap.alloc(mostBytes - size, { owned: true });
    heap.bytes(shared, size).fill(round);
    heap.bytes(owned, 1)[0] = round;
    const moved = heap.realloc(shared, size * 2);
    const view = heap.bytes(moved, size);
    if (view.some((byte) => byte !== (round & 0xff))) throw new Error("somebody else wrote into our block");
    heap.share(owned);
    heap.free(owned);
    heap.free(moved);
  }
}

function isStopped(pid: number): boolean {
  return /^State:\tT/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
}

async function stop(peer: Peer): Promise<void> {
  process.kill(peer.pid, "SIGSTOP");
  await until("the process has stopped", () => isStopped(peer.pid));
}

/** Works once; stopped at its `last`th access to the segment. Says whether there were fewer. */
function workAndStop(
  { Heap: Heaps, useCheckpoint }: PeerTools,
  name: string,
  last: number,
  source: string,
): boolean {
  let count = 0;
  let isArmed = false;
  useCheckpoint(() => {
    if (isArmed && ++count === last) process.kill(process.pid, "SIGSTOP");
  });
  const heap = Heaps.open(name);
  useCheckpoint(undefined);
  const run = new Function(`return (${source})`)() as typeof work;
  isArmed = true;
  run(heap, 1, 1024);
  isArmed = false;
  heap.close();
  return count < last;
}

for (const allocator of ["buddy", "slab"] as const) {
  test(`M3 a participant that is stopped at any access of any operation blocks nobody: ${allocator}`, async (t) => {
    const heap = createHeap(t, { allocator });
    const peer = startProcess(t);
    work(heap, 1, 1024);
    let isThrough = false;
    let stops = 0;
    for (let last = 1; !isThrough; last++) {
      const outcome = peer.run(workAndStop, heap.region.name, last, work.toString());
      let isBack = false;
      void outcome.then(() => (isBack = true));
      await until("the peer has stopped or come through", () => isBack || isStopped(peer.pid));
      if (!isBack) {
        work(heap, 50, 1024);
        assert.ok(isStopped(peer.pid), "it was stopped all the time");
        process.kill(peer.pid, "SIGCONT");
        stops++;
      }
      isThrough = await outcome;
      assert.ok(last < 1000, "the work comes to an end");
    }
    assert.ok(stops > 30, `it was stopped at ${stops} places`);
    checkHeap(heap, 0);
  });
}

for (const allocator of ["buddy", "slab"] as const) {
  test(`M3 nobody is blocked by others who are stopped or killed in the midst of it: ${allocator}`, async (t) => {
    const random = makeRandom(seedOf(t));
    const heap = createHeap(t, { allocator });
    const peers = startProcesses(t, 3);
    const deaths: Promise<unknown>[] = peers.map((peer) =>
      peer.run(
        ({ Heap: Heaps }, name, source) => {
          const mine = Heaps.open(name);
          const run = new Function(`return (${source})`)() as typeof work;
          for (;;) run(mine, 1000, 1024);
        },
        heap.region.name,
        work.toString(),
      ),
    );
    const outcomes = Promise.allSettled(deaths);
    await until("all work", () => heap.region.participants().length === 4);
    for (let round = 0; round < 120; round++) {
      await new Promise((resolve) => setTimeout(resolve, random(4)));
      const stopped = peers.filter((_, index) => round % 4 === 0 || random(3) !== index);
      for (const peer of stopped) process.kill(peer.pid, "SIGSTOP");
      await until("they have stopped", () => stopped.every((peer) => isStopped(peer.pid)));
      work(heap, 100, 1024);
      for (const peer of stopped) process.kill(peer.pid, "SIGCONT");
    }
    for (const peer of peers) {
      // One is stopped and then killed, so that it dies where nobody has come to its help meanwhile.
      await stop(peer);
      await peer.kill();
      work(heap, 100, 1024);
    }
    for (const outcome of await outcomes) {
      assert.ok(
        outcome.status === "rejected" && /SIGKILL/.test(String(outcome.reason)),
        JSON.stringify(outcome),
      );
    }
    heap.recover();
    work(heap, 100, 1024);
    // What is owned is given back. Each may have had two shared blocks: one that was shared just before it would have been freed.
    const { used } = heap.stats().blocks;
    assert.ok(used <= 2 * peers.length, `${used} blocks are left`);
    checkHeap(heap, used);
  });
}

for (const allocator of ALLOCATORS) {
  test(`M3 freed room is used again at once: 600,000 pairs touch one page of the span: ${allocator}`, (t) => {
    const heap = createHeap(t, { allocator, spanBytes: 512 * 2 ** 20 });
    for (let pair = 0; pair < 600_000; pair++) heap.free(heap.alloc(64));
    const { highWaterBytes, sizeBytes } = heap.stats();
    assert.equal(highWaterBytes, PAGE);
    assert.equal(sizeBytes, heap.plan.segmentBytes, "it has not grown");
  });
}

/** Stores a text under the root "text". */
function store(heap: Heap, text: string): void {
  const handle = heap.alloc(text.length);
  heap.bytes(handle, text.length).set(Buffer.from(text));
  heap.roots.set("text", handle);
}

function read(heap: Heap, lengthBytes: number): string {
  return Buffer.from(heap.bytes(heap.roots.get("text") as Handle, lengthBytes)).toString();
}

for (const allocator of ALLOCATORS) {
  for (const kind of ["a file", "tmpfs"] as const) {
    test(`M4 a heap that exists is used again, and what was in it is still there: ${allocator}, ${kind}`, async (t) => {
      const folder = kind === "tmpfs" ? freshFolder(t, "/dev/shm") : freshFolder(t);
      const path = join(folder, "heap");
      const options = { backend: "file", allocator } as const;
      const plan = Heap.plan(options);
      const first = Heap.openOrCreate(path, options);
      assert.deepEqual([first.region.created, first.plan], [true, plan]);
      assert.ok(statSync(path).size >= plan.segmentBytes);
      store(first, "it was here before");
      first.close();
      const [text, created] = await startProcess(t).run(
        ({ Heap: Heaps }, name, choice) => {
          const mine = Heaps.openOrCreate(name, choice);
          const found = Buffer.from(mine.bytes(mine.roots.get("text") as Handle, 18)).toString();
          mine.free(mine.alloc(100));
          mine.close();
          return [found, mine.region.created] as const;
        },
        path,
        options,
      );
      assert.deepEqual([text, created], ["it was here before", false]);
      // The path, from the environment.
      const said = environmentOptions({ SHOAL_HEAP: path, SHOAL_ALLOCATOR: allocator });
      using again = Heap.openOrCreate(said.name, said.options);
      assert.equal(read(again, 18), "it was here before");
      checkHeap(again, 1);
    });
  }
}

test("M4 sizes and limits are known before a heap exists", (t) => {
  const options = { sizeBytes: 2 ** 22, spanBytes: 2 ** 28 };
  for (const allocator of ALLOCATORS) {
    const plan = Heap.plan({ allocator, ...options });
    const heap = createHeap(t, { allocator, ...options });
    assert.deepEqual(heap.plan, plan);
    assert.equal(plan.segmentBytes, heap.region.segmentSizeBytes);
    assert.equal(plan.spanBytes, 2 ** 28);
    assert.equal(plan.overheadBytes + plan.dataBytes, plan.segmentBytes);
    assert.ok(plan.dataBytes >= 2 ** 22 && plan.dataBytes < 2 ** 22 + PAGE);
    assert.ok(heap.usableSize(heap.alloc(1)) >= plan.minBlockBytes);
    assert.equal(heap.tryAlloc(plan.maxBlockBytes + 1), 0);
  }
  const { minBlockBytes, maxBlockBytes, headerBytes } = Heap.plan({ allocator: "buddy" });
  assert.deepEqual([minBlockBytes, maxBlockBytes, headerBytes], [32, 1024, 0]);
  assert.equal(Heap.plan({ allocator: "first-fit" }).headerBytes, 8);
});

test("M4 the mapping's address may be given, and is the same in every process", async (t) => {
  const startAddress = 79 * 2 ** 40;
  for (const allocator of ALLOCATORS) {
    const heap = createHeap(t, { allocator, fixedAddress: { startAddress, tries: 1 } });
    assert.equal(heap.region.fixedAddress, startAddress);
    const there = await startProcess(t).run(
      ({ Heap: Heaps }, name) => Heaps.open(name).region.fixedAddress,
      heap.region.name,
    );
    assert.equal(there, startAddress);
    heap.close();
  }
});

test("M4 a file of the right size that is no heap is refused, and is left as it was", async (t) => {
  const folder = freshFolder(t);
  const options = { backend: "file", allocator: "buddy", sizeBytes: 65_536, spanBytes: 2 ** 22 } as const;
  const sizeBytes = Heap.plan(options).segmentBytes;
  const random = makeRandom(4711);
  const contents: Record<string, Uint8Array> = {
    zeros: new Uint8Array(sizeBytes),
    noise: Uint8Array.from({ length: sizeBytes }, () => random(256)),
    text: Buffer.alloc(sizeBytes, "a heap, truly. "),
  };
  const peer = startProcess(t);
  for (const [name, bytes] of Object.entries(contents)) {
    const path = join(folder, name);
    writeFileSync(path, bytes);
    throwsCode(() => Heap.open(path, options), "ERR_SHOAL_NOT_SHOAL");
    throwsCode(() => Heap.openOrCreate(path, options), "ERR_SHOAL_NOT_SHOAL");
    const open = ({ Heap: Heaps }: PeerTools, at: string): void => void Heaps.open(at, { backend: "file" });
    await refusesWith(peer.run(open, path), "ERR_SHOAL_NOT_SHOAL");
    assert.ok(readFileSync(path).equals(bytes), `${name} is as it was`);
  }
  // A heap, but not the one that was asked for.
  const path = join(folder, "slab");
  Heap.create(path, { backend: "file" }).close();
  throwsCode(() => Heap.openOrCreate(path, options), "ERR_SHOAL_FORMAT");
});

const counting = `
  import { isMainThread, threadId, Worker } from "node:worker_threads";
  import { heap } from "shoal/auto";
  const again = (await import("shoal/auto")).heap;
  const { created, uuid, slotIndex } = heap.region;
  const line = JSON.stringify({ created, uuid, slotIndex, threadId, same: again === heap });
  if (isMainThread) {
    console.log(line);
    const workers = [1, 2, 3].map(() => new Worker(new URL(import.meta.url)));
    for (const worker of workers) worker.on("message", (text) => console.log(text));
  } else (await import("node:worker_threads")).parentPort.postMessage(line);`;

for (const allocator of ALLOCATORS) {
  test(`M5 initialised at program load, once, however many processes and threads ask at once: ${allocator}`, async (t) => {
    const program = makeProgram(t, counting);
    const variables = { SHOAL_HEAP: freshPosixName(t), SHOAL_ALLOCATOR: allocator };
    const lines = await Promise.all(Array.from({ length: 5 }, () => linesOf(program, variables)));
    const seen = lines.flat() as { created: boolean; uuid: string; same: boolean }[];
    assert.equal(seen.length, 20);
    assert.equal(seen.filter(({ created }) => created).length, 1);
    assert.equal(new Set(seen.map(({ uuid }) => uuid)).size, 1);
    assert.ok(seen.every(({ same }) => same));
    using heap = Heap.open(variables.SHOAL_HEAP);
    assert.deepEqual([heap.region.uuid, heap.allocator], [seen[0]!.uuid, allocator]);
  });
}

test("M6 a buddy heap's bitmap is drawn level by level, with all its bits", (t) => {
  const heap = createHeap(t, { allocator: "buddy" });
  const base = heap.region.dataOffset;
  const kept = [32, 256, 512].map((size) => heap.alloc(size));
  const gone = heap.alloc(64);
  const own = heap.alloc(64, { owned: true });
  heap.free(gone);
  const { allocator, rows, count, bookkeeping } = drawHeap(heap, { to: 2047 });
  assert.ok(allocator === "buddy");
  assert.equal(count, (heap.region.segmentSizeBytes - base) / 1024);
  assert.deepEqual([bookkeeping["dataOffset"], bookkeeping["highWaterBytes"]], [base, PAGE]);
  const blocks = rows.flatMap((row) => row.blocks);
  assert.deepEqual(blocks, [...heap.blocks()], "it says what the heap says");
  assert.equal(blocks.length, kept.length + 1);
  for (const { offset, usedBits, startBits, levels, blocks: inRow } of rows) {
    // The bits and the levels are drawn from the blocks alone, and must be what is there.
    let [used, starts] = [0, 0];
    const leaves = Array.from({ length: 32 }, () => 0);
    for (const { handle, sizeBytes, ownerSlot } of inRow) {
      const first = (handle - offset) / 32;
      starts += 2 ** first;
      for (let leaf = first; leaf < first + sizeBytes / 32; leaf++) {
        leaves[leaf] = sizeBytes;
        if (leaf > first || ownerSlot < 0) used += 2 ** leaf;
      }
    }
    assert.deepEqual([Number.parseInt(usedBits, 16), Number.parseInt(startBits, 16)], [used, starts]);
    assert.deepEqual(
      levels.map(({ blockBytes }) => blockBytes),
      [1024, 512, 256, 128, 64, 32],
    );
    for (const { blockBytes, cells } of levels) {
      const each = blockBytes / 32;
      const expected = leaves.map((sizeBytes, leaf) => {
        const group = leaves.slice(leaf - (leaf % each), leaf - (leaf % each) + each);
        if (sizeBytes > blockBytes) return "-";
        if (sizeBytes === blockBytes) return leaf % each === 0 ? "[" : "=";
        return group.some((one) => one !== 0) ? ":" : ".";
      });
      assert.equal(cells.replace("{", "["), expected.join(""), `${blockBytes} of ${inRow.length} blocks`);
    }
  }
  const owner = rows.flatMap((row) => row.blocks).find(({ handle }) => handle === own);
  assert.equal(owner?.ownerSlot, heap.region.slotIndex);
  assert.match(formatDrawing(drawHeap(heap)), /^ +64 {2}.*\{=/m, "what is owned is told apart");
});

test("M6 the command draws it from outside, and each process can have a debug file of its own", async (t) => {
  const heap = createHeap(t, { allocator: "buddy" });
  heap.alloc(700);
  const { code, stdout } = await runShoal("draw", heap.region.name, "--blocks", "0-1");
  assert.equal(code, 0);
  assert.equal(stdout.toString(), `${formatDrawing(drawHeap(heap, { to: 1 }))}\n`);
  const folder = freshFolder(t);
  const program = makeProgram(
    t,
    'import { heap } from "shoal/auto"; heap.alloc(100); console.log(process.pid);',
  );
  const variables = { SHOAL_HEAP: heap.region.name, SHOAL_DEBUG_FILE: join(folder, "debug-%p") };
  const pids = (await Promise.all([1, 2].map(() => linesOf(program, variables)))).flat();
  assert.deepEqual(readdirSync(folder).sort(), pids.map((pid) => `debug-${String(pid)}`).sort());
  for (const pid of pids) {
    const text = readFileSync(join(folder, `debug-${String(pid)}`), "utf8");
    assert.ok(text.includes(`seen by process ${String(pid)}, thread 0`));
    assert.match(text, /^ +1024 {2}\[=+$/m);
  }
});

for (const allocator of ALLOCATORS) {
  test(`M8 its stress: processes with threads share strings on a lock-free stack: ${allocator}`, async (t) => {
    const { compared, faults } = await stress({
      name: freshPosixName(t),
      allocator,
      processes: 3,
      threads: 2,
      strings: 12_000,
      mostBytes: 1000,
      kills: 0,
      seed: seedOf(t),
    });
    assert.deepEqual(faults, []);
    assert.ok(compared >= 12_000, `each string was compared at least once, ${compared} times in all`);
  });

  test(`M8 50 processes are killed meanwhile, and of what was their own nothing is left: ${allocator}`, async (t) => {
    const { victimSteps, faults } = await stress({
      name: freshPosixName(t),
      allocator,
      processes: 2,
      threads: 1,
      strings: 12_000,
      mostBytes: 1000,
      kills: 50,
      seed: seedOf(t),
    });
    assert.deepEqual(faults, []);
    assert.ok(victimSteps >= 50, `they were at work: ${victimSteps} steps`);
  });

  test(`M9 what is no allocated block is not freed, and says why: ${allocator}`, async (t) => {
    const heap = createHeap(t, { allocator, fixedAddress: true });
    const [block, freed] = [heap.alloc(500), heap.alloc(500)];
    heap.free(freed);
    const { dataOffset, segmentSizeBytes, spanBytes } = heap.region;
    const wild = [
      0,
      1,
      8,
      4096,
      dataOffset - 16,
      segmentSizeBytes - 64,
      segmentSizeBytes,
      spanBytes - 16,
      2 ** 32 - 16,
    ];
    const interior = [block + 1, block + 8, block + 16, block + 64, block + 256, block - 16];
    const before = Buffer.from(heap.region.buffer.slice(dataOffset));
    const check = (offset: number): void => {
      const error = throwsCode(() => heap.free(offset as Handle), "ERR_SHOAL_BAD_HANDLE");
      assert.equal(error.details["handle"], offset);
    };
    for (const offset of [...wild, ...interior]) check(offset);
    for (const none of [-1, 0.5, Number.NaN, 2 ** 32, "12" as unknown as number])
      throwsCode(() => heap.free(none as Handle), "ERR_SHOAL_BAD_HANDLE");
    throwsCode(() => heap.free(freed), "ERR_SHOAL_DOUBLE_FREE");
    const free = ({ Heap: Heaps }: PeerTools, name: string, offset: number): void => {
      const mine = Heaps.open(name);
      try {
        mine.free(offset as Handle);
      } finally {
        mine.close();
      }
    };
    const peer = startProcess(t);
    await refusesWith(peer.run(free, heap.region.name, freed), "ERR_SHOAL_DOUBLE_FREE");
    await refusesWith(peer.run(free, heap.region.name, interior[2]!), "ERR_SHOAL_BAD_HANDLE");

    const { pointers } = heap;
    throwsCode(() => pointers.free(0 as Pointer), "ERR_SHOAL_BAD_HANDLE");
    throwsCode(() => pointers.free(heap.pointerOf(freed)), "ERR_SHOAL_DOUBLE_FREE");
    for (const outside of [8, heap.region.fixedAddress - 8, heap.region.fixedAddress + spanBytes])
      throwsCode(() => pointers.free(outside as Pointer), "ERR_SHOAL_BAD_POINTER");
    assert.ok(before.equals(Buffer.from(heap.region.buffer.slice(dataOffset))), "nothing was changed");
    checkHeap(heap, 1);
    heap.free(block);
    checkHeap(heap, 0);
  });
}
