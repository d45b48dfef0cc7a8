/** Python's multiprocessing.shared_memory and Shoal open each other's segments raw. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { Region } from "../../src/index.ts";
import { freshPosixName } from "../helpers/segments.ts";

const script = join(import.meta.dirname, "..", "..", "..", "test", "interop", "shared_memory.py");

function runPython(command: string, name: string, argument: string): string {
  // Python adds the slash itself.
  const run = spawnSync("python3", [script, command, name.slice(1), argument], { encoding: "utf8" });
  assert.equal(run.status, 0, `these tests need python3: ${run.error?.message ?? run.stderr}`);
  return run.stdout.trim();
}

test("Shoal opens a segment that Python made; each sees what the other writes", async (t) => {
  const name = freshPosixName(t);
  const python = spawn("python3", [script, "create", name.slice(1), "100000"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  t.after(() => python.kill());
  const lines = createInterface({ input: python.stdout })[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, "created");

  const region = Region.openRaw(name);
  assert.equal(region.sizeBytes, 100_000);
  assert.equal(Buffer.from(region.bytes.subarray(0, 5)).toString(), "hello");
  region.bytes.set(Buffer.from("shoal says so"), 0);
  region.close();

  python.stdin.write("\n");
  const seen = Buffer.from(String((await lines.next()).value), "hex").toString();
  assert.equal(seen.slice(0, 13), "shoal says so");
  const [code] = (await once(python, "exit")) as [number];
  assert.equal(code, 0);
});

test("a read-only raw opening of Python's segment changes nothing there", (t) => {
  const name = freshPosixName(t);
  using made = Region.openRaw(name, { createSizeBytes: 4096 });
  made.bytes.fill(7, 0, 4);
  using reader = Region.openRaw(name, { readOnly: true });
  reader.bytes[0] = 99;
  assert.equal(runPython("read", name, "4"), "07070707");
});

test("Python opens a segment that Shoal made raw; each sees what the other writes", (t) => {
  const name = freshPosixName(t);
  using region = Region.openRaw(name, { createSizeBytes: 8192 });
  region.bytes.set([1, 2, 3], 0);
  assert.equal(runPython("read", name, "4"), "01020300");
  assert.equal(runPython("write", name, "from python"), "8192");
  assert.equal(Buffer.from(region.bytes.subarray(0, 11)).toString(), "from python");
});

test("Python reads the magic and the data of a Shoal segment", (t) => {
  const name = freshPosixName(t);
  using region = Region.create(name);
  assert.equal(Buffer.from(runPython("read", name, "8"), "hex").toString(), "SHOALSEG");
  region.bytes().set(Buffer.from("data"), 0);
  const bytes = Buffer.from(runPython("read", name, String(region.dataOffset + 4)), "hex");
  assert.equal(bytes.subarray(region.dataOffset).toString(), "data");
});
