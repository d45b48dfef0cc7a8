/**
 * What every runtime must be able to do, as a plain program: `npm run test:runtimes` runs it on Node 22, 24 and 26, Bun and
 * Deno. The runtimes' own test runners differ; asserting and printing a line they have in common.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parentPort, Worker } from "node:worker_threads";
import { Heap, Region, ShoalError } from "../../src/index.ts";
import {
  fallocate,
  futexWake,
  mmap,
  openWaiter,
  shmOpen,
  shmUnlink,
  WAITER_RANG,
  WAITER_TICKED,
} from "../../src/os/index.ts";
import type { Waiter } from "../../src/os/index.ts";
import type { BackendName, Handle } from "../../src/index.ts";

const self = fileURLToPath(import.meta.url);
const isDeno = "Deno" in globalThis;

/** Another process, of the same runtime, that runs this file in a role. */
function runPeer(role: string, name: string): void {
  const args = [...(isDeno ? ["run", "-A"] : []), self, role, name];
  const run = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 60_000 });
  assert.equal(run.status, 0, `${role}: ${run.stderr}`);
}

function nameOn(backend: BackendName): string | undefined {
  if (backend === "posix") return `shoal-test-${process.pid}-smoke`;
  if (backend === "file") return join(tmpdir(), `shoal-test-${process.pid}-smoke`);
  return backend === "sysv" ? `0x${(0x40000000 + process.pid).toString(16)}` : undefined;
}

function checkBackend(backend: BackendName): void {
  const one = Region.create(nameOn(backend), { backend, fixedAddress: true });
  try {
    const other = Region.open(one.name, { backend });
    one.bytes()[7] = 42;
    assert.equal(other.bytes()[7], 42);
    assert.equal(other.fixedAddress, one.fixedAddress);
    if (backend !== "sysv") checkGrowth(one, other);
    const reader = Region.open(one.name, { backend, readOnly: true });
    reader.bytes()[7] = 1;
    assert.equal(one.bytes()[7], 42);
    reader.close();
    const view = other.bytes();
    other.close();
    assert.equal(view[7], 0, "a stale view reads zeros");
    assert.throws(() => other.bytes(), ShoalError);
  } finally {
    one.remove();
  }
}

/** Catching up with growth must not touch what others have written into the new pages. */
function checkGrowth(one: Region, other: Region): void {
  for (let round = 0; round < 6; round++) {
    const old = one.sizeBytes;
    one.grow();
    one.bytes().fill(round + 1, old);
    assert.equal(other.bytes().length, old);
    assert.equal(other.catchUp(), true);
    assert.ok(other.bytes(old).every((byte) => byte === round + 1));
  }
}

function checkHeap(): void {
  const heap = Heap.create(`shoal-test-${process.pid}-smoke-heap`, { fixedAddress: true });
  try {
    const live = new Map<Handle, number>();
    for (let round = 0; round < 20_000; round++) {
      const size = 1 + ((round * 7919) % (round % 50 === 0 ? 200_000 : 2000));
      const handle = heap.alloc(size);
      heap.bytes(handle, size).fill(round & 255);
      live.set(handle, round & 255);
      if (live.size > 300) {
        const [oldest, byte] = live.entries().next().value as [Handle, number];
        assert.equal(heap.bytes(oldest)[0], byte);
        heap.free(oldest);
        live.delete(oldest);
      }
    }
    heap.roots.set("shared", live.keys().next().value as Handle);
    runPeer("peer", heap.region.name);
    assert.equal(heap.roots.get("shared"), 0, "the peer has removed it");
    runPeer("victim", heap.region.name);
    assert.equal(heap.recover(), 1);
    assert.deepEqual(heap.verify().problems, []);
  } finally {
    heap.remove();
  }
}

/** Allocates, frees what the other has allocated, leaves in order. */
function actAsPeer(name: string): void {
  const heap = Heap.open(name);
  const shared = heap.roots.get("shared");
  assert.notEqual(shared, 0);
  heap.roots.delete("shared");
  heap.free(shared as Handle);
  heap.close();
}

/** Has pages of its own when it ends without leaving. */
function actAsVictim(name: string): void {
  const heap = Heap.open(name);
  for (let count = 0; count < 1000; count++) heap.alloc(16 + count);
  process.exit(0);
}

async function checkWorker(): Promise<void> {
  const region = Region.create(`shoal-test-${process.pid}-smoke-worker`);
  try {
    const worker = new Worker(self, { argv: ["worker", region.name] });
    await new Promise((resolve, reject) => {
      worker.on("error", reject);
      worker.on("exit", resolve);
    });
    assert.equal(region.bytes()[3], 33);
    region.recover();
    assert.equal(region.participants().length, 1);
  } finally {
    region.remove();
  }
}

/** Rings, ticks and a worker that ends while it waits. (src/os/waiter.ts is no part of the public API.) */
async function checkWaiter(): Promise<void> {
  const name = `/shoal-test-${process.pid}-smoke-waiter`;
  const fd = shmOpen(name, { create: true });
  try {
    fallocate(fd, 0, 4096);
    const words = new Int32Array(mmap({ fd }).buffer);
    const worker = new Worker(self, { argv: ["waiter", name] });
    await new Promise((resolve, reject) => {
      worker.on("error", reject);
      worker.on("message", resolve);
    });
    const told: number[] = [];
    await new Promise<void>((resolve) => {
      const waiter = waitOn(name, 1, (reasons) => {
        told.push(reasons);
        if (told.length === 1) waiter.setTicking(true);
        if (reasons === WAITER_TICKED) resolve();
        if (reasons === WAITER_TICKED) waiter.close();
      });
      waiter.setRef(true);
      Atomics.add(words, 1, 1);
      futexWake(words, 1);
    });
    assert.deepEqual(told, [WAITER_RANG, WAITER_TICKED]);
    await worker.terminate();
  } finally {
    shmUnlink(name);
  }
}

/** Values there and back between two threads that await them; a lock whose holder has died. */
async function checkChannels(): Promise<void> {
  const heap = Heap.create(`shoal-test-${process.pid}-smoke-channels`);
  try {
    const there = heap.queue<{ number: number; text: string }>("there", { capacity: 8, messageBytes: 64 });
    const back = heap.ring<number>("back", { capacity: 8 });
    const worker = new Worker(self, { argv: ["echo", heap.region.name] });
    const ended = new Promise((resolve, reject) => {
      worker.on("error", reject);
      worker.on("exit", resolve);
    });
    const receiving = (async () => {
      for (let number = 0; number < 500; number++)
        assert.equal(await back.receive({ timeoutMs: 20_000 }), number);
    })();
    // Some are larger than a cell.
    for (let number = 0; number < 500; number++)
      await there.send({ number, text: "x".repeat(number % 100) }, { timeoutMs: 20_000 });
    await receiving;
    there.end();
    await ended;
    runPeer("holder", heap.region.name);
    const hold = await heap.mutex("lock").lock({ timeoutMs: 20_000 });
    assert.equal(hold.abandoned, true);
    hold.release();
    const again = heap.mutex("lock").lockSync({ timeoutMs: 0 });
    assert.equal(again.abandoned, false);
    again.release();
    assert.deepEqual(heap.verify().problems, []);
  } finally {
    heap.remove();
  }
}

async function actAsEcho(name: string): Promise<void> {
  const heap = Heap.open(name);
  const back = heap.ring<number>("back");
  for await (const { number } of heap.queue<{ number: number }>("there")) await back.send(number);
  heap.close();
}

/** Ends without giving the lock back. */
function actAsHolder(name: string): void {
  Heap.open(name).mutex("lock").lockSync();
  process.exit(0);
}

function waitOn(name: string, bell: number, notify: (reasons: number) => void): Waiter {
  const lockFd = shmOpen(name);
  const memory = mmap({ fd: lockFd }).buffer;
  const places = { bellOffset: bell * 4, slotsOffset: 1024, usedOffset: 0, slotCount: 1, ownIndex: 0 };
  const waiter = openWaiter({ memory, ...places, lockFd, lockOffset: 1024 }, notify);
  waiter.setActive(true);
  return waiter;
}

async function main(): Promise<void> {
  for (const backend of ["posix", "file", "sysv", "anonymous"] as const) checkBackend(backend);
  checkHeap();
  await checkWorker();
  await checkWaiter();
  await checkChannels();
  const { versions } = process;
  console.log(`ok on ${versions["bun"] ? "bun" : versions["deno"] ? "deno" : "node"} ${process.version}`);
}

const [role, name = ""] = process.argv.slice(2);
if (role === "peer") actAsPeer(name);
else if (role === "victim") actAsVictim(name);
else if (role === "holder") actAsHolder(name);
else if (role === "echo") await actAsEcho(name);
else if (role === "worker") {
  const region = Region.open(name);
  region.bytes()[3] = 33;
  region.close();
} else if (role === "waiter") {
  waitOn(name, 2, () => {}).setTicking(true);
  parentPort!.postMessage("here", []);
  setInterval(() => {}, 1000);
} else {
  try {
    await main();
  } finally {
    rmSync(join(tmpdir(), `shoal-test-${process.pid}-smoke`), { force: true });
  }
}
