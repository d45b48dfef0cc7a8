import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ended, freshFolder, freshObject, nativeUrl } from "./support.ts";
import { native } from "../../src/os/native.ts";

const einval = -22;

test("every error number that Node knows has the same name here", () => {
  const aliases = new Set(["EWOULDBLOCK", "ENOTSUP", "EDEADLOCK"]);
  for (const [name, number] of Object.entries(constants.errno)) {
    if (!aliases.has(name)) assert.equal(native.constants.errno[number], name);
  }
});

test("every flag has a number", () => {
  const { errno, ...flags } = native.constants;
  assert.ok(Object.keys(errno).length > 130);
  assert.ok(Object.keys(flags).length > 80);
  for (const [name, value] of Object.entries(flags))
    assert.ok(Number.isSafeInteger(value) && value >= 0, name);
  assert.equal(flags.O_EXCL, constants.signals.SIGINT === 2 ? 0o200 : -1);
  assert.equal(flags.PAGE_SIZE % 4096, 0);
});

test("arguments that are no numbers or strings are EINVAL in every function, never a crash", () => {
  const odd: unknown[] = [undefined, null, "x", {}, Symbol("x"), [], () => 1, 5n];
  const functions = Object.entries(native).filter(([, value]) => typeof value === "function");
  assert.ok(functions.length > 35);
  for (const [name, call] of functions as [string, (...args: unknown[]) => unknown][]) {
    if (name === "gettid") continue;
    for (const value of odd) {
      const args = Array.from({ length: 6 }, () => value);
      const result = call(...args);
      assert.ok(typeof result === "number" && result < 0, `${name}(${String(value)}): ${String(result)}`);
    }
    assert.ok((call() as number) < 0, `${name}()`);
  }
});

test("output arrays that are too short or of another type are refused", (t) => {
  const { fd } = freshObject(t, 0);
  assert.equal(native.fstat(fd, new Float64Array(7)), einval);
  assert.equal(native.fstat(fd, new Float32Array(8) as unknown as Float64Array), einval);
  assert.equal(native.shmLimits(new Float64Array(4)), einval);
  assert.equal(native.pread(fd, new Int8Array(8) as unknown as Uint8Array, 0), einval);
});

test("pread fills an array from an offset and tells how much there was", (t) => {
  const path = join(freshFolder(t), "file");
  writeFileSync(path, "0123456789");
  const fd = native.open(path, native.constants.O_RDONLY, 0);
  const into = Buffer.alloc(6);
  assert.equal(native.pread(fd, into, 7), 3);
  assert.equal(into.toString("latin1"), "789\0\0\0");
  assert.equal(native.pread(fd, into, 100), 0);
  assert.equal(native.pread(fd, into, -1), einval);
  assert.equal(native.close(fd), 0);
  assert.equal(native.pread(fd, into, 0), -9);
});

test("pwrite and fchmod change a file, and getrandom fills a view, or say why not", (t) => {
  const path = join(freshFolder(t), "file");
  const { O_RDWR, O_CREAT, O_RDONLY } = native.constants;
  const fd = native.open(path, O_RDWR | O_CREAT, 0o600);
  assert.equal(native.pwrite(fd, Buffer.from("abc"), 2), 3);
  assert.equal(readFileSync(path, "latin1"), "\0\0abc");
  assert.equal(native.pwrite(fd, Buffer.from("abc"), -1), einval);
  assert.equal(native.fchmod(fd, 0o640), 0);
  assert.equal(statSync(path).mode & 0o777, 0o640);
  native.close(fd);
  assert.equal(native.fchmod(fd, 0o600), -9);
  const reader = native.open(path, O_RDONLY, 0);
  assert.equal(native.pwrite(reader, Buffer.from("abc"), 0), -9);
  native.close(reader);
  const [one, two] = [new Uint8Array(32), new Uint8Array(32)];
  assert.equal(native.getrandom(one), 32);
  assert.equal(native.getrandom(two), 32);
  assert.notDeepEqual(one, two);
  assert.equal(native.getrandom(new Uint8Array(257)), einval);
});

test("the address of a view is that of its first byte, on every kind of buffer", () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true });
  const base = native.addressOf(new Uint8Array(memory.buffer));
  assert.equal(base % 4096, 0);
  assert.equal(native.addressOf(new Int32Array(memory.buffer, 8)), base + 8);
  assert.equal(native.addressOf(new DataView(memory.buffer as unknown as ArrayBuffer, 3)), base + 3);
  const buffer = new ArrayBuffer(100);
  assert.equal(native.addressOf(new Uint8Array(buffer, 10)), native.addressOf(buffer) + 10);
  assert.equal(native.addressOf({} as Uint8Array), einval);
});

test("the thread's id is the kernel's", () => {
  assert.equal(native.gettid(), process.pid);
});

// Of the addon that is shipped; not of one that somebody names, such as the sanitizers'.
const isShipped = process.env["SHOAL_NATIVE"] === undefined;

test("the addon asks for nothing newer than the glibc that Node 20 asks for", { skip: !isShipped }, () => {
  const loaded = readFileSync("/proc/self/maps", "utf8").match(/\/\S*shoal\.node/)![0];
  const versions = readFileSync(loaded, "latin1").match(/GLIBC_2\.\d+/g) ?? [];
  for (const version of new Set(versions)) assert.ok(Number(version.slice(8)) <= 28, version);
});

test("a missing or wrong addon is reported with every path tried", async (t) => {
  const wrong = join(freshFolder(t), "wrong.node");
  writeFileSync(wrong, "not a library");
  for (const [path, reason] of [
    [join(tmpdir(), "shoal-test-missing.node"), "no such file"],
    [wrong, "invalid ELF header|file too short"],
  ] as const) {
    const code = `import(${JSON.stringify(nativeUrl)}).catch((error) => process.stdout.write(error.code + " " + error.message))`;
    const env = { ...process.env, SHOAL_NATIVE: path };
    const run = await ended(
      spawn(process.execPath, ["-e", code], { env, stdio: ["ignore", "pipe", "pipe"] }),
    );
    assert.match(run.stdout, /^ERR_SHOAL_NATIVE no native addon for linux-\S+; build it with/);
    assert.match(run.stdout, new RegExp(`${path}: .*(${reason})`));
  }
});
