import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { ended, projectFolder, runModule } from "./support.ts";

let folder: string;
let program: string;

before(() => {
  const project = projectFolder();
  folder = mkdtempSync(join(tmpdir(), "shoal-test-"));
  program = join(folder, "guard-program");
  const sources = [join(project, "test", "os", "guard-program.c"), join(project, "native", "guard.c")];
  const flags = ["-O2", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-pthread", "-I"];
  execFileSync(process.env["CC"] || "cc", [...flags, join(project, "native"), ...sources, "-o", program]);
});

after(() => rmSync(folder, { recursive: true }));

async function runScenario(name: string): Promise<string> {
  const { code, signal, stderr } = await ended(spawn(program, [name], { stdio: ["ignore", "pipe", "pipe"] }));
  return signal ?? `${code}${stderr}`;
}

const scenarios: [name: string, outcome: string, sentence: string][] = [
  [
    "guarded",
    "0",
    "lost pages of a guarded span read as zeros, can be written, and set the flag of their span alone",
  ],
  ["unguarded", "SIGBUS", "a fault outside every guarded span still ends the process with SIGBUS"],
  ["beyond", "SIGBUS", "the page after a guarded span is not guarded"],
  ["removed", "SIGBUS", "a span is no longer guarded once its guard is removed"],
  [
    "siginfo",
    "0",
    "a handler with siginfo that was there before gets its own faults, with its mask, and none of ours",
  ],
  ["plain", "0", "a handler without siginfo that was there before gets its own faults"],
  ["reset-hand", "SIGBUS", "a handler that asked to be called once is called once"],
  ["ignored-sent", "0", "a SIGBUS that is sent to a process which ignored it is still ignored"],
  ["ignored-fault", "SIGBUS", "a fault in a process which ignored SIGBUS ends it, as the kernel would"],
  ["sent", "SIGBUS", "a SIGBUS that is sent to a process with no other handler ends it"],
  ["full-table", "0", "4096 guards fit, one more is refused, and removing an owner's makes room again"],
  ["race", "0", "spans may be truncated, replaced and removed while other threads touch them"],
];

for (const [name, outcome, sentence] of scenarios) {
  test(`SIGBUS guard: ${sentence}`, async () => assert.equal(await runScenario(name), outcome));
}

const setUp = `
  const fd = os.memfdCreate("shoal-test");
  os.ftruncate(fd, 4 * 65536);
  const flags = new Int32Array(new SharedArrayBuffer(4));
`;

test("a process whose mapping is truncated underneath it reads zeros, is told, and lives", async (t) => {
  const code = `${setUp}
    const mapping = os.mmap({ fd });
    const bytes = new Uint8Array(mapping.buffer).fill(7);
    const id = native.guardAdd(mapping.address, mapping.lengthBytes, flags);
    os.ftruncate(fd, 65536);
    const found = [bytes[65535], flags[0], bytes[65536], flags[0], bytes[4 * 65536 - 1]];
    bytes[65536] = 9;
    mapping.unmap();
    process.stdout.write(JSON.stringify([...found, native.guardRemove(id), native.guardRemove(id)]));`;
  const run = await runModule(t, code);
  assert.deepEqual([run.signal, run.stdout], [null, "[7,0,0,2,0,0,-2]"], run.stderr);
});

test("the same holds for a file laid over a WebAssembly memory, in a worker too", async (t) => {
  const code = `
    import { Worker, isMainThread } from "node:worker_threads";
    ${setUp}
    const memory = new WebAssembly.Memory({ initial: 4, maximum: 16, shared: true });
    const words = new Int32Array(memory.buffer);
    const address = native.addressOf(words);
    const c = native.constants;
    native.mmap(address, 16 * 65536, c.PROT_NONE, c.MAP_SHARED | c.MAP_FIXED | c.MAP_NORESERVE, fd, 0);
    native.mprotect(address, 4 * 65536, c.PROT_READ | c.PROT_WRITE);
    words.fill(5);
    native.guardAdd(address, 16 * 65536, flags);
    os.ftruncate(fd, 0);
    const worker = new Worker("import('node:worker_threads').then(({ workerData, parentPort }) => parentPort.postMessage(Atomics.add(new Int32Array(workerData), 20000, 3)))", { eval: true, workerData: memory.buffer });
    worker.on("message", (value) => process.stdout.write(JSON.stringify([value, words[20000], flags[0], words[0]])));`;
  const run = await runModule(t, code);
  assert.deepEqual([run.signal, run.stdout], [null, "[0,3,2,0]"], run.stderr);
});

test("a terminated worker's guards are removed", async (t) => {
  const code = `
    import { Worker } from "node:worker_threads";
    ${setUp}
    const url = ${JSON.stringify(new URL("../../src/os/native.js", import.meta.url).href)};
    const worker = new Worker(\`import("\${url}").then(({ native }) => {
      const flags = new Int32Array(new SharedArrayBuffer(4));
      let count = 0;
      while (native.guardAdd(4096, 4096, flags) >= 0) count++;
      import("node:worker_threads").then(({ parentPort }) => { parentPort.postMessage(count); setTimeout(() => {}, 1e6); });
    })\`, { eval: true });
    const count = await new Promise((resolve) => worker.once("message", resolve));
    const full = native.guardAdd(4096, 4096, flags);
    await worker.terminate();
    process.stdout.write(JSON.stringify([count >= 4096, full, native.guardAdd(4096, 4096, flags) >= 0]));`;
  const run = await runModule(t, code);
  assert.equal(run.stdout, "[true,-28,true]", run.stderr);
});

test("the handler stays in place when every worker that loaded the addon has ended", async (t) => {
  const code = `
    import { Worker } from "node:worker_threads";
    import { readFileSync } from "node:fs";
    const url = ${JSON.stringify(new URL("../../src/os/native.js", import.meta.url).href)};
    const worker = new Worker(\`import("\${url}").then(({ native }) => native.guardAdd(4096, 4096, new Int32Array(new SharedArrayBuffer(4))))\`, { eval: true });
    await new Promise((resolve) => worker.once("exit", resolve));
    process.stdout.write(String(readFileSync("/proc/self/maps", "utf8").match(/shoal(-asan)?\\.node/) !== null));
    process.kill(process.pid, "SIGBUS");
    setTimeout(() => {}, 5000);`;
  // Without the helper's imports: the main thread must not load the addon.
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  t.after(() => child.kill("SIGKILL"));
  const run = await ended(child);
  assert.deepEqual([run.stdout, run.signal], ["true", "SIGBUS"], run.stderr);
});

test("malformed guards are refused", async () => {
  const { native } = await import("../../src/os/native.ts");
  const flags = new Int32Array(new SharedArrayBuffer(4));
  assert.equal(native.guardAdd(0, 4096, flags), -22);
  assert.equal(native.guardAdd(4096, 0, flags), -22);
  assert.equal(native.guardAdd(4096, -1, flags), -22);
  assert.equal(native.guardAdd(4096, 4096, new Int32Array(0)), -22);
  assert.equal(native.guardAdd(4096, 4096, new Uint8Array(4) as unknown as Int32Array), -22);
  for (const id of [-1, 0, 4095, 1e15]) assert.equal(native.guardRemove(id), -2);
});
