import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Worker } from "node:worker_threads";
import { futexWait, futexWaitAsync, futexWake, mmap } from "../../src/os/index.ts";
import { ended, firstLine, freshObject, osUrl, runModule, startModule, throwsCode } from "./support.ts";

function freshWords(t: TestContext): { words: Int32Array; name: string } {
  const { name, fd } = freshObject(t, 4096);
  const mapping = mmap({ fd });
  t.after(() => mapping.unmap());
  return { words: new Int32Array(mapping.buffer), name };
}

const openWords = (name: string) =>
  `const fd = os.shmOpen(${JSON.stringify(name)}); const words = new Int32Array(os.mmap({ fd }).buffer);\n`;

test("a wait ends at once when the word has another value, and on time when nobody wakes it", (t) => {
  const { words } = freshWords(t);
  words[3] = -5;
  assert.equal(futexWait(words, 3, 0), "not-equal");
  const startedAt = performance.now();
  assert.equal(futexWait(words, 3, -5, { timeoutMs: 20 }), "timed-out");
  assert.ok(performance.now() - startedAt >= 19);
  assert.equal(futexWait(words, 3, -5, { timeoutMs: 0 }), "timed-out");
});

test("a process that waits is woken by another one", async (t) => {
  const { words, name } = freshWords(t);
  const code = `${openWords(name)} process.stdout.write("here\\n"); process.stdout.write(os.futexWait(words, 1, 0));`;
  const child = startModule(t, code);
  const done = ended(child);
  assert.equal(await firstLine(child), "here");
  let woken = 0;
  while (woken === 0) woken = futexWake(words, 1);
  assert.equal(woken, 1);
  assert.match((await done).stdout, /ok$/);
});

test("waking counts the woken, and wakes no more than asked", async (t) => {
  const { words } = freshWords(t);
  const waits = [1, 2, 3].map(() => futexWaitAsync(words, 0, 0));
  let woken = 0;
  while (woken < 3) {
    const count = futexWake(words, 0, 1);
    assert.ok(count <= 1);
    woken += count;
  }
  assert.deepEqual(await Promise.all(waits), ["ok", "ok", "ok"]);
  assert.equal(futexWake(words, 0), 0);
  assert.equal(futexWake(words, 0, Infinity), 0);
});

test("an awaited wait leaves the event loop free", async (t) => {
  const { words } = freshWords(t);
  // Who waits is woken by the event loop, in its sixth turn: were it held up, the wait would time out.
  let turns = 0;
  const timer = setInterval(() => {
    if (++turns > 5) futexWake(words, 0);
  }, 1);
  assert.equal(await futexWaitAsync(words, 0, 0, { timeoutMs: 20_000 }), "ok");
  clearInterval(timer);
  assert.equal(await futexWaitAsync(words, 0, 0, { timeoutMs: 50 }), "timed-out");
  assert.equal(await futexWaitAsync(words, 0, 1), "not-equal");
});

test("more awaited waits than libuv has threads do not keep a file from being read", async (t) => {
  const { words } = freshWords(t);
  const waits = Array.from({ length: 20 }, () => futexWaitAsync(words, 0, 0));
  const { readFile } = await import("node:fs/promises");
  assert.ok((await readFile("/proc/self/stat", "utf8")).length > 0);
  let woken = 0;
  while (woken < 20) woken += futexWake(words, 0);
  await Promise.all(waits);
});

test("process.exit() does not wait for an awaited wait", async (t) => {
  const { name } = freshWords(t);
  const code = `${openWords(name)} void os.futexWaitAsync(words, 0, 0); setTimeout(() => process.exit(3), 20);`;
  assert.equal((await runModule(t, code)).code, 3);
});

test("a worker can be terminated in an awaited wait, and the word still works", async (t) => {
  const { words, name } = freshWords(t);
  const code = `import(${JSON.stringify(osUrl)}).then((os) => { ${openWords(name)} void os.futexWaitAsync(words, 0, 0); os.futexWaitAsync(words, 1, 0, { timeoutMs: 1 }).then(() => require("node:worker_threads").parentPort.postMessage("waiting")); });`;
  for (let i = 0; i < 5; i++) {
    const worker = new Worker(code, { eval: true });
    await new Promise((resolve) => worker.once("message", resolve));
    await worker.terminate();
  }
  const wait = futexWaitAsync(words, 0, 0);
  while (futexWake(words, 0) === 0) await new Promise(setImmediate);
  assert.equal(await wait, "ok");
});

test("a worker can be terminated at the very moment when its awaited waits end", async (t) => {
  const { name } = freshWords(t);
  const code = `import(${JSON.stringify(osUrl)}).then((os) => { ${openWords(name)}
    for (let i = 0; i < 50; i++) void os.futexWaitAsync(words, 2, i % 2, { timeoutMs: i % 5 });
    require("node:worker_threads").parentPort.postMessage("waiting"); });`;
  for (let i = 0; i < 10; i++) {
    const worker = new Worker(code, { eval: true });
    await new Promise((resolve) => worker.once("message", resolve));
    await new Promise((resolve) => setTimeout(resolve, i % 4));
    await worker.terminate();
  }
});

test("the process ends by itself once its awaited wait is over", async (t) => {
  const { name } = freshWords(t);
  const code = `${openWords(name)} process.stdout.write(await os.futexWaitAsync(words, 0, 0, { timeoutMs: 30 }));`;
  const run = await runModule(t, code);
  assert.deepEqual([run.code, run.stdout], [0, "timed-out"]);
});

test("a signal interrupts a blocking wait", async (t) => {
  const { name } = freshWords(t);
  const code = `process.on("SIGUSR2", () => process.stdout.write(" listener")); ${openWords(name)}
    process.stdout.write("here\\n"); const result = os.futexWait(words, 0, 0); process.stdout.write(result); setTimeout(() => {}, 20);`;
  const child = startModule(t, code);
  const done = ended(child);
  await firstLine(child);
  const timer = setInterval(() => child.kill("SIGUSR2"), 20);
  const { stdout } = await done.finally(() => clearInterval(timer));
  assert.match(stdout, /interrupted.* listener/);
});

test("words that are none are refused", (t) => {
  const { words } = freshWords(t);
  const bad = [
    () => futexWait(words, -1, 0),
    () => futexWait(words, words.length, 0),
    () => futexWait(words, 0, 2 ** 31),
    () => futexWait(words, 0, 0, { timeoutMs: -1 }),
    () => futexWait(words, 0, 0, { timeoutMs: Number.NaN }),
    () => futexWait(new Uint32Array(4) as unknown as Int32Array, 0, 0),
    () => futexWake(words, 0.5),
    () => futexWake(words, 0, -1),
    () => futexWake([] as unknown as Int32Array, 0),
  ];
  for (const call of bad) throwsCode(call, "ERR_SHOAL_ARGUMENT");
  assert.throws(() => void futexWaitAsync(words, -1, 0), { code: "ERR_SHOAL_ARGUMENT" });
});
