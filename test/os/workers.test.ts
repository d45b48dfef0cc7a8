import assert from "node:assert/strict";
import { closeSync, fstatSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { IPC_PRIVATE, shmget, shmRemove, shmStat, tryLock } from "../../src/os/index.ts";
import {
  countAllDescriptors,
  countDescriptors,
  countMaps,
  freshFolder,
  freshObject,
  osUrl,
} from "./support.ts";

/** A worker that has run `code`, which gets `os` and posts nothing; it then stays until terminated. */
async function startWorker(code: string): Promise<Worker> {
  const whole = `import(${JSON.stringify(osUrl)}).then(async (os) => {
    const result = await (async () => { ${code} })();
    require("node:worker_threads").parentPort.postMessage(result);
    setTimeout(() => {}, 1e6);
  })`;
  const worker = new Worker(whole, { eval: true });
  await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
  return worker;
}

test("a terminated worker's descriptors close, and with them its locks", async (t) => {
  const { name, fd } = freshObject(t, 0);
  const before = countAllDescriptors();
  const code = `const fds = Array.from({ length: 500 }, () => os.shmOpen(${JSON.stringify(name)}));
    os.tryLock(fds[7], { offset: 1 }); os.close(fds[8]); os.memfdCreate("shoal-test-worker");`;
  const worker = await startWorker(code);
  assert.equal(countDescriptors(name), 500);
  assert.equal(countDescriptors("/memfd:shoal-test-worker"), 1);
  assert.equal(tryLock(fd, { offset: 1 }), false);
  await worker.terminate();
  assert.equal(countDescriptors(name), 1);
  assert.equal(countDescriptors("/memfd:shoal-test-worker"), 0);
  assert.equal(tryLock(fd, { offset: 1 }), true);
  assert.ok(countAllDescriptors() <= before);
});

test("a terminated worker's mappings and attachments go with it", async (t) => {
  const { name } = freshObject(t, 16384);
  const id = shmget(IPC_PRIVATE, { sizeBytes: 4096 });
  t.after(() => shmRemove(id));
  const code = `const fd = os.shmOpen(${JSON.stringify(name)});
    globalThis.kept = [os.mmap({ fd }), os.mmap({ fd, protection: "none" }), os.shmat(${id}), ...os.mmap({ fd }).unmap({ offset: 4096, lengthBytes: 4096 })];
    os.mmap({ fd }).unmap();`;
  const worker = await startWorker(code);
  assert.equal(countMaps(name), 4);
  assert.equal(shmStat(id).attachCount, 1);
  await worker.terminate();
  assert.equal(countMaps(name), 0);
  assert.equal(shmStat(id).attachCount, 0);
});

test("a descriptor that was closed behind our back is not closed again under its next owner", async (t) => {
  const path = join(freshFolder(t), "file");
  writeFileSync(path, "x");
  const { name } = freshObject(t, 0);
  const code = `const fd = os.shmOpen(${JSON.stringify(name)}); require("node:fs").closeSync(fd); return fd;`;
  const worker = await startWorker(code);
  const fds: number[] = [];
  for (let i = 0; i < 20; i++) fds.push(openSync(path, "r")); // one of them gets the worker's number
  await worker.terminate();
  for (const fd of fds) assert.equal(fstatSync(fd).size, 1);
  for (const fd of fds) closeSync(fd);
});

test("a worker that ends by itself leaves as little behind as a terminated one", async (t) => {
  const { name } = freshObject(t, 4096);
  const code = `import(${JSON.stringify(osUrl)}).then((os) => { globalThis.kept = os.mmap({ fd: os.shmOpen(${JSON.stringify(name)}) }); })`;
  for (let i = 0; i < 5; i++) {
    const worker = new Worker(code, { eval: true });
    assert.equal(await new Promise((resolve) => worker.once("exit", resolve)), 0);
  }
  assert.equal(countMaps(name), 0);
  assert.equal(countDescriptors(name), 1);
});

test("many workers use the addon at the same time", async (t) => {
  const { name } = freshObject(t, 4096);
  const code = `for (let i = 0; i < 200; i++) {
      const fd = os.shmOpen(${JSON.stringify(name)}); const mapping = os.mmap({ fd }); os.close(fd);
      Atomics.add(new Int32Array(mapping.buffer), 0, 1); mapping.unmap();
    }`;
  const workers = await Promise.all(Array.from({ length: 6 }, () => startWorker(code)));
  assert.equal(countMaps(name), 0);
  await Promise.all(workers.map((worker) => worker.terminate()));
});
