import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Worker } from "node:worker_threads";
import { fstat, mmap, sharedMappings, shmget, shmRemove, shmStat } from "../../src/os/index.ts";
import { native } from "../../src/os/native.ts";
import { countMaps, freshObject, nativeUrl } from "./support.ts";

const sizeBytes = 65536;
const eexist = -17;
const enoent = -2;
const einval = -22;

/** An address where nothing is mapped. */
function freeAddress(): number {
  const space = mmap({ lengthBytes: 4 * sizeBytes, protection: "none", sharing: "private" });
  space.unmap();
  return space.address;
}

function freshPinned(t: TestContext) {
  const { name, fd } = freshObject(t, sizeBytes);
  const { device, inode } = fstat(fd);
  const address = freeAddress();
  const acquire = (at = address, lengthBytes = sizeBytes) =>
    native.pinAcquire(at, lengthBytes, fd, device, inode);
  return { name, fd, address, device, inode, acquire };
}

test("a pin maps once, counts those who hold it, and unmaps with the last", (t) => {
  const { name, address, acquire } = freshPinned(t);
  assert.deepEqual([acquire(), acquire(), acquire()], [1, 2, 3]);
  assert.equal(countMaps(name), 1);
  assert.equal(sharedMappings().find((mapping) => mapping.name === name)!.address, address);
  assert.deepEqual([native.pinRelease(address), native.pinRelease(address)], [2, 1]);
  assert.equal(countMaps(name), 1);
  assert.equal(native.pinRelease(address), 0);
  assert.equal(countMaps(name), 0);
  assert.equal(native.pinRelease(address), enoent);
});

test("a pin has no access until it is given", (t) => {
  const { name, address, acquire } = freshPinned(t);
  acquire();
  assert.equal(sharedMappings().find((mapping) => mapping.name === name)!.permissions, "---s");
  assert.equal(native.mprotect(address, sizeBytes, native.constants.PROT_READ), 0);
  const buffer = native.externalBuffer(address, sizeBytes) as ArrayBuffer;
  assert.equal(new Uint8Array(buffer)[0], 0);
  native.detach(buffer);
  native.pinRelease(address);
  assert.equal(countMaps(name), 0);
});

test("a pin never takes an address where anything else is, be it another pin", (t) => {
  const one = freshPinned(t);
  const other = freshPinned(t);
  assert.equal(one.acquire(), 1);
  assert.equal(other.acquire(one.address), eexist);
  assert.equal(one.acquire(one.address, sizeBytes / 2), eexist);
  assert.equal(other.acquire(one.address + 4096), eexist);
  assert.equal(native.pinRelease(one.address), 0);
  const space = mmap({ lengthBytes: sizeBytes, sharing: "private" });
  new Uint8Array(space.buffer)[0] = 5;
  assert.equal(one.acquire(space.address), eexist);
  assert.equal(new Uint8Array(space.buffer)[0], 5);
  space.unmap();
  assert.equal(countMaps(one.name) + countMaps(other.name), 0);
});

test("arguments that are none make no pin", (t) => {
  const { name, address, acquire, device, inode } = freshPinned(t);
  assert.equal(acquire(0), einval);
  assert.equal(acquire(address, 0), einval);
  assert.equal(acquire(address + 1), einval);
  assert.equal(native.pinAcquire(address, sizeBytes, -1, device, inode), -9);
  assert.equal(native.pinRelease(address), enoent);
  assert.equal(countMaps(name), 0);
});

test("a System V segment is pinned by its id", (t) => {
  const id = shmget(0, { sizeBytes });
  t.after(() => shmRemove(id));
  const address = freeAddress();
  assert.equal(native.pinAcquireSysv(address, sizeBytes, id), 1);
  assert.equal(native.pinAcquireSysv(address, sizeBytes, id), 2);
  assert.equal(shmStat(id).attachCount, 1);
  const other = shmget(0, { sizeBytes });
  assert.equal(native.pinAcquireSysv(address, sizeBytes, other), eexist);
  assert.equal(native.pinAcquireSysv(address + 4096, sizeBytes, other), eexist);
  assert.equal(native.pinAcquireSysv(address + 8, sizeBytes, other), einval);
  assert.equal(native.pinAcquireSysv(address, sizeBytes - 1, other), eexist);
  shmRemove(other);
  assert.equal(native.pinAcquireSysv(address + sizeBytes, sizeBytes, other), einval);
  assert.deepEqual([native.pinRelease(address), native.pinRelease(address)], [1, 0]);
  assert.equal(shmStat(id).attachCount, 0);
});

test("threads share a pin, and a terminated worker's share is given back", async (t) => {
  const { name, fd, address, device, inode, acquire } = freshPinned(t);
  assert.equal(acquire(), 1);
  const code = `import(${JSON.stringify(nativeUrl)}).then(({ native }) => {
    const acquire = () => native.pinAcquire(${address}, ${sizeBytes}, ${fd}, ${device}, ${inode});
    require("node:worker_threads").parentPort.postMessage([acquire(), acquire()]);
    setTimeout(() => {}, 1e6);
  })`;
  const workers = [2, 4].map(async (from) => {
    if (from === 4) await new Promise((resolve) => setTimeout(resolve, 5));
    const worker = new Worker(code, { eval: true });
    await new Promise((resolve) => worker.once("message", resolve));
    return worker;
  });
  const [one, other] = await Promise.all(workers);
  assert.equal(acquire(), 6);
  assert.equal(native.pinRelease(address), 5);
  await one!.terminate();
  assert.equal(native.pinRelease(address), 2);
  assert.equal(countMaps(name), 1);
  await other!.terminate();
  assert.equal(countMaps(name), 0);
});
