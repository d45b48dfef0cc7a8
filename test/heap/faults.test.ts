/**
 * Faults of the system: no space at any growth, no descriptors, no address space, signals in the midst of calls, files that are
 * cut or removed underneath, file systems that cannot be written to, other namespaces, clocks that jump. Each is a coded error
 * that changes nothing, or is not noticed at all.
 *
 * (Participants that are stopped: stopped.test.ts. Segments that are truncated while only a region uses them: test/region/space.)
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, truncateSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { Heap } from "../../src/heap/index.ts";
import type { Handle } from "../../src/heap/index.ts";
import { throwsCode } from "../helpers/assertions.ts";
import { assertSound, createHeap } from "../helpers/heaps.ts";
import { ALLOCATORS } from "../helpers/kinds.ts";
import { startProcess } from "../helpers/peer.ts";
import type { Peer, PeerTools } from "../helpers/peer.ts";
import { noMount } from "../helpers/root.ts";
import { freshFolder, freshNameOf } from "../helpers/segments.ts";

const KiB = 1024;

function smallMount(t: TestContext, options: string): { readonly peer: Peer; readonly folder: string } {
  const folder = join(freshFolder(t), "small");
  mkdirSync(folder);
  const script = 'mount -t tmpfs -o "$1" none "$2" && shift 2 && exec "$@"';
  const launcher = ["unshare", "-m", "sh", "-c", script, "sh", options, folder];
  return { peer: startProcess(t, { launcher }), folder };
}

/**
 * Fills the file system but for `freeBytes`, makes a heap there, and calls everything that may need storage until each is
 * refused. What the calls were refused with, once each.
 */
async function fillUp({ Heap: Found }: PeerTools, folder: string, allocator: never, freeBytes: number) {
  const fs = await import("node:fs");
  const { bsize, bfree } = fs.statfsSync(folder);
  fs.writeFileSync(`${folder}/ballast`, Buffer.alloc(Math.max(bfree * bsize - freeBytes, 0)));
  const refusals = new Set<string>();
  const attempt = <T>(call: () => T): T | undefined => {
    try {
      return call();
    } catch (error) {
      refusals.add(String((error as { code?: unknown }).code ?? error));
      return undefined;
    }
  };
  const name = `${folder}/heap`;
  const heap = attempt(() => Found.create(name, { backend: "file", allocator, sizeBytes: 65536 }));
  let count = 0;
  if (heap !== undefined) {
    const kept: { handle: Handle; length: number; byte: number }[] = [];
    const keep = (handle: Handle | undefined): boolean => {
      if (handle === undefined) return false;
      const bytes = heap.bytes(handle);
      bytes.fill(++count & 255);
      kept.push({ handle, length: bytes.length, byte: count & 255 });
      return true;
    };
    while (keep(attempt(() => heap.alloc(1000, { owned: count % 2 === 0 }))));
    while (keep(attempt(() => heap.calloc(10, 10))));
    attempt(() => heap.grow());
    attempt(() => heap.allocMany(1000, 100_000));
    const first = kept[0];
    if (first !== undefined) attempt(() => heap.realloc(first.handle, 1024 * 1024));
    const problems = heap.verify().problems;
    if (problems.length > 0) throw new Error(JSON.stringify(problems));
    for (const { handle, length, byte } of kept) {
      if (heap.bytes(handle).length !== length || heap.bytes(handle).some((found) => found !== byte))
        throw new Error(`block ${handle} is not as it was`);
      heap.free(handle);
    }
    if (heap.stats().usedBytes !== 0) throw new Error("something is left");
    // What has been freed can be had again, although there is still no storage for more.
    if (count > 0) heap.free(heap.alloc(1000));
    heap.unlink();
    heap.close();
  }
  const left = fs.readdirSync(folder).join();
  fs.rmSync(`${folder}/ballast`, { force: true });
  return { refusals: [...refusals].sort(), left, count };
}

for (const allocator of ALLOCATORS) {
  test(
    `${allocator}: on a full file system every call is refused or done, at every size that is left`,
    {
      skip: noMount,
    },
    async (t) => {
      const { peer, folder } = smallMount(t, "size=3m");
      const refused = new Set<string>();
      let most = 0;
      for (
        let freeBytes = 0;
        freeBytes <= 900 * KiB;
        freeBytes += freeBytes < 300 * KiB ? 12 * KiB : 75 * KiB
      ) {
        const outcome = await peer.run(fillUp, folder, allocator as never, freeBytes);
        assert.equal(outcome.left, "ballast", `with ${freeBytes} bytes nothing is left behind`);
        for (const code of outcome.refusals) refused.add(code);
        most = Math.max(most, outcome.count);
      }
      assert.ok(refused.has("ERR_SHOAL_NO_SPACE"));
      refused.delete("ERR_SHOAL_NO_SPACE");
      // A buddy heap's largest block is smaller than what is asked for last.
      refused.delete("ERR_SHOAL_OUT_OF_MEMORY");
      assert.deepEqual([...refused], []);
      assert.ok(most > 100, "there was room for something");
    },
  );
}

test("without descriptors nothing is opened, what is open goes on, and afterwards all is as before", async (t) => {
  const heap = createHeap(t);
  const peer = startProcess(t, { launcher: ["sh", "-c", 'ulimit -n 200 && exec "$@"', "sh"] });
  const outcome = await peer.run(({ Heap: Found, holdings }, name) => {
    const mine = Found.open(name);
    const before = holdings();
    const others: Heap[] = [];
    let refusal: { code?: string; message?: string } = {};
    for (let index = 0; index < 300; index++) {
      try {
        others.push(Found.open(name, { readOnly: true }));
      } catch (error) {
        refusal = error as typeof refusal;
        break;
      }
    }
    let created = "";
    try {
      Found.create(`${name}-more`);
    } catch (error) {
      created = (error as { code: string }).code;
    }
    // Growing needs no descriptor that is not there.
    const block = mine.alloc(3_000_000);
    mine.free(block);
    const isSound = mine.verify().ok;
    for (const other of others) other.close();
    const after = holdings();
    Found.open(name).close();
    mine.close();
    return { code: refusal.code, message: refusal.message, created, isSound, before, after };
  }, heap.region.name);
  assert.equal(outcome.code, "ERR_SHOAL_SYSTEM");
  assert.match(outcome.message ?? "", /EMFILE.*RLIMIT_NOFILE/s);
  assert.equal(outcome.created, "ERR_SHOAL_SYSTEM");
  assert.equal(outcome.isSound, true);
  assert.deepEqual(outcome.after, outcome.before);
  assertSound(heap);
  assert.equal(heap.stats().participants.length, 1);
});

const noPrlimit = spawnSync("prlimit", ["--version"]).status === 0 ? false : "there is no prlimit here";

test("without address space nothing is opened, and what is open goes on", { skip: noPrlimit }, async (t) => {
  const heap = createHeap(t);
  const peer = startProcess(t);
  const outcome = await peer.run(async ({ Heap: Found, holdings }, name) => {
    const { execFileSync } = await import("node:child_process");
    const { readFileSync } = await import("node:fs");
    const mine = Found.open(name);
    const limit = (value: string): void =>
      void execFileSync("prlimit", ["--pid", String(process.pid), `--as=${value}:unlimited`]);
    limit("unlimited");
    const now = Number(/VmSize:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))![1]) * 1024;
    const before = holdings();
    limit(String(now + 64 * 1024 * 1024));
    let code = "";
    try {
      Found.open(name);
    } catch (error) {
      code = String((error as { code?: unknown }).code ?? error);
    }
    const block = mine.alloc(100_000);
    mine.free(block);
    const isSound = mine.verify().ok;
    limit("unlimited");
    const after = holdings();
    Found.open(name).close();
    mine.close();
    return { code, isSound, before: before, after };
  }, heap.region.name);
  assert.match(outcome.code, /^ERR_SHOAL_(SYSTEM|NO_SPACE)$/);
  assert.equal(outcome.isSound, true);
  assert.deepEqual(outcome.after, outcome.before);
  assertSound(heap);
});

test("signals in the midst of calls change nothing", async (t) => {
  const heap = createHeap(t, { allocator: "first-fit" });
  const peer = startProcess(t);
  const ready = await peer.run(() => {
    process.on("SIGUSR2", () => undefined);
    return process.pid;
  });
  const script = `let count = 0; const timer = setInterval(() => { for (let index = 0; index < 5; index++) process.kill(${ready}, "SIGUSR2"); if (++count > 20000) clearInterval(timer); }, 0.1);`;
  const sender = spawn(process.execPath, ["-e", script], { stdio: "ignore" });
  t.after(() => sender.kill("SIGKILL"));
  const outcome = await peer.run(({ Heap: Found, os }, name) => {
    const codes = new Map<string, number>();
    const count = (what: string): void => void codes.set(what, (codes.get(what) ?? 0) + 1);
    const words = new Int32Array(new SharedArrayBuffer(64));
    const endMs = performance.now() + 1200;
    while (performance.now() < endMs) {
      const mine = Found.open(name);
      for (let index = 0; index < 100; index++) mine.free(mine.alloc(200_000));
      mine.roots.set("it", mine.alloc(10));
      mine.free(mine.roots.get("it") as never);
      mine.roots.delete("it");
      const { dataBytes } = mine.stats();
      if (dataBytes < 32_000_000) mine.grow(dataBytes + 65536);
      mine.close();
      const other = Found.create(`${name}-other`);
      other.unlink();
      other.close();
      count(os.futexWait(words, 0, 0, { timeoutMs: 5 }));
    }
    return [...codes.keys()];
  }, heap.region.name);
  // Waiting itself says that there was a signal; whoever waits for something waits again.
  assert.deepEqual(
    outcome.filter((one) => one !== "interrupted"),
    ["timed-out"],
  );
  assertSound(heap);
});

for (const allocator of ALLOCATORS) {
  test(`${allocator}: a heap whose file is cut underneath gives coded errors and kills nobody`, async (t) => {
    const name = freshNameOf(t, "posix");
    const peer = startProcess(t);
    await peer.run(
      ({ Heap: Found, regions }, wanted, kind) => {
        const heap = Found.create(wanted, { allocator: kind, sizeBytes: 1 << 20 });
        regions.set("main", heap.region);
        const handles = Array.from({ length: 1000 }, () => heap.alloc(500));
        heap.roots.set("it", handles[5]!);
        Object.assign(globalThis, { heap, handles });
      },
      name,
      allocator as never,
    );
    truncateSync(`/dev/shm${name}`, 4096);
    const outcome = await peer.run(() => {
      type Made = { heap: Heap; handles: Handle[] };
      const { heap, handles } = globalThis as unknown as Made;
      const tries: Record<string, () => unknown> = {
        alloc: () => heap.alloc(500),
        large: () => heap.alloc(900),
        free: () => handles.forEach((handle) => heap.free(handle)),
        realloc: () => heap.realloc(handles[7]!, 1000),
        owned: () => heap.alloc(100, { owned: true }),
        roots: () => heap.roots.get("it"),
        set: () => heap.roots.set("that", handles[9]!),
        stats: () => heap.stats(),
        verify: () => heap.verify(),
        blocks: () => [...heap.blocks()].length,
        grow: () => heap.grow(),
        trim: () => heap.trim(),
        recover: () => heap.recover(),
        close: () => heap.close(),
      };
      return Object.entries(tries).map(([what, call]) => {
        try {
          call();
          return `${what}: done`;
        } catch (error) {
          return `${what}: ${String((error as { code?: unknown }).code ?? error)}`;
        }
      });
    });
    for (const line of outcome) assert.match(line, /: (done|ERR_SHOAL_\w+)$/);
    assert.match(outcome.join(), /DAMAGED|CORRUPT/, "somebody was told");
    assert.equal(outcome.at(-1), "close: done");
    await peer.run(() => "alive");
  });
}

test("a heap whose name is removed goes on among those who have it; the next of that name is another", (t) => {
  const heap = createHeap(t);
  const other = Heap.open(heap.region.name);
  unlinkSync(`/dev/shm${heap.region.name}`);
  const block = heap.alloc(5_000_000);
  other.bytes(block)[4_999_999] = 7;
  assert.equal(heap.bytes(block)[4_999_999], 7);
  throwsCode(() => Heap.open(heap.region.name), "ERR_SHOAL_NOT_FOUND");
  const next = Heap.create(heap.region.name);
  assert.notEqual(next.region.uuid, heap.region.uuid);
  next.close();
  other.free(block);
  other.close();
  assertSound(heap);
});

test("a file system that is read-only can be read from", { skip: noMount }, async (t) => {
  const { peer, folder } = smallMount(t, "size=4m");
  const outcome = await peer.run(async ({ Heap: Found }, where) => {
    const { execFileSync } = await import("node:child_process");
    const heap = Found.create(`${where}/heap`, { backend: "file", sizeBytes: 1 << 20 });
    const handle = heap.alloc(100);
    heap.bytes(handle).fill(9);
    heap.roots.set("it", handle);
    heap.close();
    execFileSync("mount", ["-o", "remount,ro", where]);
    const codeOf = (call: () => unknown): string => {
      try {
        call();
        return "done";
      } catch (error) {
        return String((error as { code?: unknown }).code ?? error);
      }
    };
    const reader = Found.open(`${where}/heap`, { backend: "file", readOnly: true });
    const found = [
      codeOf(() => Found.open(`${where}/heap`, { backend: "file" })),
      codeOf(() => Found.create(`${where}/more`, { backend: "file" })),
      codeOf(() => reader.alloc(10)),
      reader.bytes(reader.roots.get("it") as never)[99],
      reader.verify().ok,
    ];
    reader.close();
    return found;
  }, folder);
  assert.deepEqual(outcome, ["ERR_SHOAL_PERMISSION", "ERR_SHOAL_PERMISSION", "ERR_SHOAL_READ_ONLY", 9, true]);
});

/** Why a command that starts others in a namespace of their own cannot be had; false when it can. */
function obstacleTo(...unshare: string[]): string | false {
  const { status, error, stderr } = spawnSync("unshare", [...unshare, "true"], { encoding: "utf8" });
  return status === 0 ? false : `not possible here: ${error?.message ?? stderr.trim()}`;
}

/** Namespaces in which numbers of processes, or clocks, are not those of the others. */
const elsewhere = {
  "with numbers of processes of its own": ["--pid", "--fork", "--kill-child"],
  "with clocks that are a day ahead": ["--time", "--monotonic", "86400", "--boottime", "86400"],
} as const;

describe("a participant in a namespace", () => {
  for (const [title, unshare] of Object.entries(elsewhere)) {
    const skip = obstacleTo(...unshare);
    test(`${title} is alive while it is, and is recovered when it dies`, { skip }, async (t) => {
      const heap = createHeap(t, { allocator: "first-fit" });
      const peer = startProcess(t, { launcher: ["unshare", ...unshare] });
      const owned = await peer.run(({ Heap: Found }, name) => {
        const mine = Found.open(name);
        Object.assign(globalThis, { mine });
        return [mine.alloc(100, { owned: true }), mine.recover(), mine.stats().participants.length];
      }, heap.region.name);
      assert.deepEqual(owned.slice(1), [0, 2], "it takes nobody for dead");
      assert.equal(heap.recover(), 0, "nor is it taken for dead");
      assert.equal(heap.stats().participants.filter(({ alive }) => alive).length, 2);
      assert.equal(heap.ownerOf(owned[0] as Handle)?.index, 1);
      await peer.kill();
      for (let tries = 0; tries < 1000 && heap.recover() === 0; tries++)
        await new Promise((resolve) => setTimeout(resolve, 5));
      assert.equal(heap.stats().participants.length, 1);
      assert.equal(heap.stats().usedBytes, 0, "what it owned is free");
      assertSound(heap);
    });
  }
});

test("a clock on the wall that jumps about is of no consequence", async (t) => {
  const heap = createHeap(t);
  const peer = startProcess(t);
  const outcome = await peer.run(({ Heap: Found, os }, name) => {
    const { now } = Date;
    let calls = 0;
    Date.now = () => now() + (calls++ % 2 === 0 ? 1e11 : -1e11);
    const mine = Found.open(name);
    for (let index = 0; index < 100; index++) mine.free(mine.alloc(1000));
    const words = new Int32Array(new SharedArrayBuffer(64));
    const before = performance.now();
    const waited = os.futexWait(words, 0, 0, { timeoutMs: 50 });
    const ms = performance.now() - before;
    const { participants } = mine.stats();
    mine.close();
    return { waited, ms, alive: participants.every(({ alive }) => alive) };
  }, heap.region.name);
  assert.equal(outcome.waited, "timed-out");
  assert.ok(outcome.ms >= 49 && outcome.ms < 20_000, `${outcome.ms} ms`);
  assert.equal(outcome.alive, true);
  assert.equal(heap.recover(), 0);
  assertSound(heap);
});
