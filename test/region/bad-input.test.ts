/**
 * Bad input: each kind gives its own code, changes nothing, and leaves neither a mapping nor a descriptor behind.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { ShoalErrorCode } from "../../src/errors.ts";
import * as layout from "../../src/layout/header.ts";
import { shmget, shmRemove } from "../../src/os/index.ts";
import { Region } from "../../src/region/index.ts";
import type { BackendName, CreateOptions, OpenOptions } from "../../src/region/index.ts";
import { leaksNothing, throwsCode } from "../helpers/assertions.ts";
import {
  createRegion,
  freshFolder,
  freshKey,
  freshPosixName,
  pathOf,
  shmNames,
} from "../helpers/segments.ts";

const PAGE = 65536;

/** Asserts that the call is refused with the code and leaves nothing, having warmed up what is loaded when first used. */
function refuses(call: () => unknown, code: ShoalErrorCode): void {
  throwsCode(call, code);
  leaksNothing(code, () => throwsCode(call, code));
}

/** A copy of a segment's file, at rest, and what to do with it. */
function segmentFile(t: TestContext): { path: string; name: string; bytes: Buffer } {
  const region = createRegion(t, "posix", { sizeBytes: 3 * PAGE, spanBytes: 8 * PAGE, mode: 0o600 });
  region.close();
  return { path: pathOf(region), name: region.name, bytes: readFileSync(pathOf(region)) };
}

test("names that cannot be are refused, on every backend", () => {
  const names: Record<Exclude<BackendName, "anonymous">, string[]> = {
    posix: ["", "/", "a/b", "/a/b", "/.", "/..", "a\0b", "x".repeat(255), `/${"é".repeat(127)}x`],
    file: [""],
    sysv: ["", "shoal", "0", "0x0", "0x100000000", "4294967296", "-1", "1.5", "id:", "id:x", "key 1"],
  };
  const shm = readdirSync("/dev/shm");
  for (const [backend, list] of Object.entries(names) as [BackendName, string[]][]) {
    for (const name of [...list, Number.NaN as never, null as never, {} as never]) {
      refuses(() => Region.open(name, { backend }), "ERR_SHOAL_NAME");
      refuses(() => Region.openOrCreate(name, { backend }), "ERR_SHOAL_NAME");
      refuses(() => Region.create(name, { backend }), "ERR_SHOAL_NAME");
      refuses(() => Region.unlink(name, { backend }), "ERR_SHOAL_NAME");
    }
  }
  refuses(() => Region.open(undefined as never), "ERR_SHOAL_NAME");
  refuses(() => Region.create("id:5", { backend: "sysv" }), "ERR_SHOAL_NAME");
  refuses(() => Region.create(undefined, { backend: "posix" }), "ERR_SHOAL_NAME");
  assert.deepEqual(
    readdirSync("/dev/shm").filter((name) => name.includes(`${process.pid}`)),
    shm.filter((name) => name.includes(`${process.pid}`)),
  );
});

test("files that are too long for their file system, or lie in no folder, are refused", (t) => {
  const folder = freshFolder(t);
  const backend = "file";
  refuses(() => Region.create(join(folder, "x".repeat(256)), { backend }), "ERR_SHOAL_SYSTEM");
  refuses(() => Region.create(join(folder, "no", "segment"), { backend }), "ERR_SHOAL_NOT_FOUND");
  refuses(() => Region.open(join(folder, "no"), { backend }), "ERR_SHOAL_NOT_FOUND");
  refuses(() => Region.open(folder, { backend }), "ERR_SHOAL_NOT_SHOAL");
  refuses(() => Region.open(folder, { backend, readOnly: true }), "ERR_SHOAL_NOT_SHOAL");
  refuses(() => Region.create("/proc/shoal", { backend }), "ERR_SHOAL_NOT_FOUND");
});

test("devices and pipes are no segments, and nobody removes them or waits for them", (t) => {
  const folder = freshFolder(t);
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  const zero = join(folder, "zero");
  symlinkSync("/dev/zero", zero);
  for (const name of [pipe, zero]) {
    for (const options of [{ backend: "file" }, { backend: "file", readOnly: true }] as OpenOptions[]) {
      refuses(() => Region.open(name, options), "ERR_SHOAL_NOT_SHOAL");
    }
    refuses(() => Region.openOrCreate(name, { backend: "file" }), "ERR_SHOAL_NOT_SHOAL");
    assert.ok(existsSync(name));
  }
});

test("sizes that are none, or beyond what there can be, are refused and nothing is created", (t) => {
  const name = freshPosixName(t);
  const noSize: unknown[] = [
    0,
    -1,
    -PAGE,
    Number.NaN,
    1.5,
    Number.POSITIVE_INFINITY,
    2 ** 32 + 1,
    2 ** 53,
    "8",
    null,
    {},
  ];
  for (const size of noSize as number[]) {
    for (const what of ["sizeBytes", "spanBytes", "growStepBytes"] as const) {
      if (size === null && what !== "spanBytes") continue; // like undefined: the default
      if (size === null) continue;
      refuses(() => Region.create(name, { [what]: size }), "ERR_SHOAL_SIZE");
    }
  }
  refuses(() => Region.create(name, { spanBytes: PAGE - 1 }), "ERR_SHOAL_SIZE");
  refuses(() => Region.create(name, { sizeBytes: 2 * PAGE, spanBytes: 2 * PAGE }), "ERR_SHOAL_SPAN");
  refuses(() => Region.create(name, { sizeBytes: 2 ** 32 }), "ERR_SHOAL_SPAN");
  refuses(() => Region.create("0x5", { backend: "sysv", sizeBytes: 2 ** 32 }), "ERR_SHOAL_SPAN");
  assert.deepEqual(shmNames(name.slice(1)), []);
});

test("other options that cannot be are refused and nothing is created", (t) => {
  const name = freshPosixName(t);
  const wrong: CreateOptions[] = [
    { backend: "tcp" as never },
    { mode: 0o1000 },
    { mode: -1 },
    { mode: 0.5 },
    { maxParticipants: 0 },
    { maxParticipants: 1017 },
    { maxParticipants: 2.5 },
    { template: "/tmp/x-XXXXXX" },
    { fixedAddress: { startAddress: 1 } },
    { fixedAddress: { startAddress: 2 ** 48 } },
    { fixedAddress: { startAddress: PAGE + 4096 } },
    { fixedAddress: { hopBytes: 0 } },
    { fixedAddress: { hopBytes: Number.NaN } },
    { fixedAddress: { tries: 0 } },
    { fixedAddress: { tries: 1.5 } },
    { fixedAddress: { factor: 0 } },
  ];
  for (const options of wrong) refuses(() => Region.create(name, options), "ERR_SHOAL_ARGUMENT");
  const region = createRegion(t, "posix");
  for (const timeoutMs of [-1, Number.NaN, "5" as never]) {
    refuses(() => Region.open(region.name, { timeoutMs }), "ERR_SHOAL_ARGUMENT");
  }
  refuses(() => Region.open(region.name, { backend: "none" as never }), "ERR_SHOAL_ARGUMENT");
  assert.deepEqual(shmNames(name.slice(1)), []);
});

test("empty and foreign objects are refused and stay as they are", (t) => {
  const name = freshPosixName(t);
  const path = `/dev/shm${name}`;
  const random = Buffer.from(Array.from({ length: 2 * PAGE }, (_, index) => (index * 7 + 1) % 251));
  for (const content of [
    random,
    random.subarray(0, 100),
    Buffer.alloc(100),
    Buffer.from("SHOALSEG"),
    Buffer.alloc(3 * PAGE),
  ]) {
    writeFileSync(path, content);
    refuses(() => Region.open(name), "ERR_SHOAL_NOT_SHOAL");
    refuses(() => Region.open(name, { readOnly: true }), "ERR_SHOAL_NOT_SHOAL");
    refuses(() => Region.openOrCreate(name), "ERR_SHOAL_NOT_SHOAL");
    throwsCode(() => Region.create(name), "ERR_SHOAL_EXISTS");
    assert.ok(readFileSync(path).equals(content), "a stranger's object is not touched");
    assert.equal(
      Region.list().some((found) => found.name === name),
      false,
    );
  }
  writeFileSync(path, "");
  refuses(() => Region.open(name), "ERR_SHOAL_EMPTY");
  assert.equal(statSync(path).size, 0);
  const region = Region.openOrCreate(name);
  assert.equal(region.created, true, "there was nothing in it that could be lost");
  region.remove();
});

test("a foreign System V segment is refused and stays, and so does its key", (t) => {
  const key = freshKey(t);
  const id = shmget(Number(key), { sizeBytes: 4096, create: true, exclusive: true });
  refuses(() => Region.create(key, { backend: "sysv" }), "ERR_SHOAL_EXISTS");
  refuses(() => Region.open(key, { backend: "sysv" }), "ERR_SHOAL_NOT_SHOAL");
  refuses(() => Region.openOrCreate(key, { backend: "sysv" }), "ERR_SHOAL_NOT_SHOAL");
  assert.deepEqual(shmNames(`shoal-sysv-key-${key.slice(2)}.`), [], "no lock file is left behind");
  assert.equal(shmget(Number(key)), id);
  refuses(() => Region.unlink(key, { backend: "sysv" }), "ERR_SHOAL_NOT_SHOAL");
  shmRemove(id);
});

test("a System V segment whose lock file is another one's is refused", (t) => {
  const region = createRegion(t, "sysv");
  const lock = `/dev/shm/shoal-sysv-key-${region.name.slice(2)}.lock`;
  copyFileSync(lock, `${lock}.new`);
  execFileSync("mv", [`${lock}.new`, lock]);
  refuses(() => Region.open(region.name, { backend: "sysv" }), "ERR_SHOAL_SIZE_MISMATCH");
  region.close();
  shmRemove(shmget(Number(region.name)));
});

/** What each damaged word of the header is refused with. Words that are not here cannot be told from good ones. */
const damages: [what: string, offset: number, values: readonly number[], code: ShoalErrorCode][] = [
  ["magic", layout.H_MAGIC, [0, 1, 0xffffffff], "ERR_SHOAL_NOT_SHOAL"],
  ["magic's end", layout.H_MAGIC + 4, [0, 1], "ERR_SHOAL_NOT_SHOAL"],
  ["format stamp", layout.H_FORMAT, [0, 1, 0xffffffff], "ERR_SHOAL_FORMAT"],
  ["byte order", layout.H_BYTE_ORDER, [0, 0x04030201], "ERR_SHOAL_FORMAT"],
  ["state", layout.H_STATE, [4, 0xffffffff], "ERR_SHOAL_CORRUPT"],
  ["backend", layout.H_BACKEND, [0, 5, 0xffffffff], "ERR_SHOAL_CORRUPT"],
  ["span", layout.H_SPAN_PAGES, [0, 65537, 0xffffffff], "ERR_SHOAL_CORRUPT"],
  ["span, below the size", layout.H_SPAN_PAGES, [1, 3], "ERR_SHOAL_CORRUPT"],
  ["slot count", layout.H_SLOT_COUNT, [0, 1017, 0xffffffff], "ERR_SHOAL_CORRUPT"],
  ["slot count, into the data", layout.H_SLOT_COUNT, [57], "ERR_SHOAL_CORRUPT"],
  ["slots offset", layout.H_SLOTS_OFFSET, [0, 4095, 8192, 0xffffffff], "ERR_SHOAL_CORRUPT"],
  ["roots offset", layout.H_ROOTS_OFFSET, [1, 4096, 0xfffffff0], "ERR_SHOAL_CORRUPT"],
  ["table offset", layout.H_TABLE_OFFSET, [1, 64, 0xffffffc0], "ERR_SHOAL_CORRUPT"],
  ["data offset", layout.H_DATA_OFFSET, [0, 4096, 4 * PAGE + 1, 0xffffffff], "ERR_SHOAL_CORRUPT"],
  ["size", layout.H_SIZE_PAGES, [0, 9, 0xffffffff], "ERR_SHOAL_CORRUPT"],
  ["size, beyond the file", layout.H_SIZE_PAGES, [5, 8], "ERR_SHOAL_SIZE_MISMATCH"],
];

test("a header with a damaged word is refused, by openOrCreate too, and stays as it is", (t) => {
  const { path, name, bytes } = segmentFile(t);
  for (const [what, offset, values, code] of damages) {
    for (const value of values) {
      const damaged = Buffer.from(bytes);
      damaged.writeUInt32LE(value, offset);
      writeFileSync(path, damaged);
      for (const options of [{}, { readOnly: true }]) {
        assert.doesNotThrow(() => refuses(() => Region.open(name, options), code), `${what} = ${value}`);
      }
      refuses(() => Region.openOrCreate(name), code);
      assert.ok(readFileSync(path).equals(damaged), `${what} = ${value} was changed`);
    }
  }
  for (const address of [Number.NaN, -1, 0.5, 2 ** 60, Number.POSITIVE_INFINITY, 4096, 2 ** 46 + 1]) {
    const damaged = Buffer.from(bytes);
    damaged.writeDoubleLE(address, layout.H_FIXED_ADDRESS);
    writeFileSync(path, damaged);
    refuses(() => Region.open(name), "ERR_SHOAL_CORRUPT");
  }
  writeFileSync(path, bytes);
  using region = Region.open(name);
  assert.equal(region.sizeBytes + region.dataOffset, 4 * PAGE, "undamaged it opens");
});

test("a refused header costs no guard: five thousand in a row", (t) => {
  const { path, name, bytes } = segmentFile(t);
  bytes.writeUInt32LE(0, layout.H_SLOT_COUNT);
  writeFileSync(path, bytes);
  leaksNothing("refusing", () => {
    for (let round = 0; round < 5000; round++) throwsCode(() => Region.open(name), "ERR_SHOAL_CORRUPT");
  });
});

test("a size word that is damaged while the segment is open does no harm", (t) => {
  const region = createRegion(t, "posix", { spanBytes: 8 * PAGE });
  const size = new Int32Array(region.buffer, layout.H_SIZE_PAGES, 1);
  for (const pages of [9, 65537, -1, 0]) {
    const other = Region.open(region.name);
    size[0] = pages;
    other.catchUp();
    assert.ok(other.segmentSizeBytes <= other.spanBytes);
    other.close();
    size[0] = 1;
  }
});

test("header and file sizes that disagree are refused, except storage that growth had reserved", (t) => {
  const { path, name } = segmentFile(t);
  assert.equal(statSync(path).size, 4 * PAGE);
  for (const sizeBytes of [8 * PAGE + 1, 8 * PAGE + 4096, 4 * PAGE - 1, 3 * PAGE, 4096]) {
    truncateSync(path, 4 * PAGE);
    truncateSync(path, sizeBytes);
    if (sizeBytes < 4 * PAGE) {
      const error = throwsCode(() => Region.open(name), "ERR_SHOAL_SIZE_MISMATCH");
      assert.equal(error.details["objectBytes"], sizeBytes);
    }
    refuses(() => Region.open(name), "ERR_SHOAL_SIZE_MISMATCH");
    refuses(() => Region.open(name, { readOnly: true }), "ERR_SHOAL_SIZE_MISMATCH");
    refuses(() => Region.openOrCreate(name, { readOnly: true }), "ERR_SHOAL_ARGUMENT");
    assert.equal(statSync(path).size, sizeBytes);
    if (sizeBytes < 4 * PAGE) return;
  }
});

test("a file that is longer than published opens, and growing covers it", (t) => {
  const { path, name } = segmentFile(t);
  truncateSync(path, 6 * PAGE + 100);
  using region = Region.open(name);
  assert.equal(region.segmentSizeBytes, 4 * PAGE);
  region.grow();
  assert.equal(region.segmentSizeBytes, 8 * PAGE);
  assert.equal(statSync(path).size, 8 * PAGE);
});

test("removing a segment leaves a private directory alone that holds something else", () => {
  const region = Region.create();
  const folder = region.name.replace(/\/segment$/, "");
  writeFileSync(join(folder, "other"), "somebody's");
  region.remove();
  assert.deepEqual(readdirSync(folder), ["other"]);
  execFileSync("rm", ["-r", folder]);
});

test("a header that claims a private directory for a segment in another one does not get it removed", (t) => {
  const folder = join(freshFolder(t), "mine");
  mkdirSync(folder);
  const name = join(folder, "segment");
  const region = Region.create(name, { backend: "file" });
  new Int32Array(region.buffer)[layout.H_FLAGS >> 2] = layout.FLAG_PRIVATE_DIRECTORY;
  writeFileSync(join(folder, "other"), "");
  region.close();
  Region.open(name, { backend: "file" }).remove();
  assert.deepEqual(readdirSync(folder), ["other"]);
});

test("Region.unlink takes the private directory too", () => {
  const region = Region.create();
  region.close();
  Region.unlink(region.name, { backend: "file" });
  assert.equal(existsSync(region.name.replace(/\/segment$/, "")), false);
});
