import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import {
  close,
  fallocate,
  ftruncate,
  mmap,
  open,
  pageSizeBytes,
  sharedMappings,
  shmOpen,
} from "../../src/os/index.ts";
import type { MmapOptions, Protection } from "../../src/os/index.ts";
import { countMaps, freshFolder, freshObject, runModule, throwsCode, until } from "./support.ts";

const page = pageSizeBytes;

test("two mappings of one object share their bytes, and unmapping leaves none", (t) => {
  const { name, fd } = freshObject(t, 3 * page);
  const [one, other] = [mmap({ fd }), mmap({ fd })];
  assert.equal(one.lengthBytes, 3 * page);
  assert.notEqual(one.address, other.address);
  assert.equal(countMaps(name), 2);
  new Uint8Array(one.buffer)[7] = 42;
  assert.equal(new Uint8Array(other.buffer)[7], 42);
  one.unmap();
  other[Symbol.dispose]();
  assert.equal(countMaps(name), 0);
  assert.ok(one.isUnmapped && other.isUnmapped);
});

test("a view on an unmapped mapping has length 0 and does not crash", (t) => {
  const { fd } = freshObject(t, page);
  const mapping = mmap({ fd });
  const view = new Uint8Array(mapping.buffer);
  mapping.unmap();
  assert.equal(view.length, 0);
  assert.equal(view[0], undefined);
  view[0] = 1;
  assert.equal(mapping.buffer.byteLength, 0);
});

test("unmapping twice is harmless, everything else on an unmapped mapping says closed", (t) => {
  const { fd } = freshObject(t, page);
  const mapping = mmap({ fd });
  mapping.unmap();
  assert.deepEqual(mapping.unmap(), []);
  for (const call of [
    () => mapping.unmap({ offset: 0, lengthBytes: page }),
    () => mapping.protect("read"),
    () => mapping.advise("normal"),
    () => mapping.sync(),
  ]) {
    throwsCode(call, "ERR_SHOAL_CLOSED", /unmapped already/);
  }
});

test("unmapping the middle gives back the two mappings that remain, each with a fresh buffer", (t) => {
  const { name, fd } = freshObject(t, 4 * page + 100);
  const mapping = mmap({ fd });
  const view = new Uint8Array(mapping.buffer);
  view[0] = 1;
  view[3 * page] = 3;
  view[4 * page + 99] = 4;
  const [head, tail, ...none] = mapping.unmap({ offset: page, lengthBytes: 2 * page });
  assert.deepEqual(none, []);
  assert.equal(view.length, 0);
  assert.deepEqual([head!.address, head!.lengthBytes], [mapping.address, page]);
  assert.deepEqual([tail!.address, tail!.lengthBytes], [mapping.address + 3 * page, page + 100]);
  assert.equal(new Uint8Array(head!.buffer)[0], 1);
  assert.equal(new Uint8Array(tail!.buffer)[0], 3);
  assert.equal(new Uint8Array(tail!.buffer)[page + 99], 4);
  assert.equal(countMaps(name), 2);
  head!.unmap();
  tail!.unmap();
  assert.equal(countMaps(name), 0);
});

test("unmapping the start or the end leaves one mapping, unmapping all by parts leaves none", (t) => {
  const { name, fd } = freshObject(t, 3 * page);
  const [rest] = mmap({ fd }).unmap({ offset: 0, lengthBytes: page });
  assert.equal(rest!.lengthBytes, 2 * page);
  const [first] = rest!.unmap({ offset: page });
  assert.equal(first!.lengthBytes, page);
  assert.deepEqual(first!.unmap({ offset: 0, lengthBytes: page }), []);
  assert.equal(countMaps(name), 0);
});

test("parts that are not whole pages or not inside the mapping are refused and change nothing", (t) => {
  const { fd } = freshObject(t, 2 * page);
  using mapping = mmap({ fd });
  for (const part of [
    { offset: 1, lengthBytes: page },
    { offset: 0, lengthBytes: 5 },
    { offset: -page, lengthBytes: page },
    { offset: page, lengthBytes: 2 * page },
    { offset: 2 * page },
    { offset: 0, lengthBytes: 0 },
    { offset: Number.NaN },
  ]) {
    throwsCode(() => mapping.unmap(part), "ERR_SHOAL_ARGUMENT");
    throwsCode(() => mapping.protect("read", part), "ERR_SHOAL_ARGUMENT");
  }
  assert.equal(mapping.isUnmapped, false);
  assert.equal(mapping.buffer.byteLength, 2 * page);
});

test("an empty object and a range beyond the end are refused with the numbers", (t) => {
  const { fd } = freshObject(t, 0);
  throwsCode(() => mmap({ fd }), "ERR_SHOAL_EMPTY", /empty, .+Give it a size first/);
  ftruncate(fd, page + 1);
  const error = throwsCode(() => mmap({ fd, lengthBytes: page + 2 }), "ERR_SHOAL_SIZE", /beyond its end/);
  assert.deepEqual({ ...error.details }, { fd, sizeBytes: page + 1, offset: 0, lengthBytes: page + 2 });
  throwsCode(() => mmap({ fd, offset: page, lengthBytes: 2 }), "ERR_SHOAL_SIZE");
  throwsCode(() => mmap({ fd, offset: 2 * page }), "ERR_SHOAL_SIZE");
  const mapping = mmap({ fd, offset: page });
  assert.equal(mapping.lengthBytes, 1);
  mapping.unmap();
});

test("malformed options are refused before any system call", (t) => {
  const { fd } = freshObject(t, page);
  const bad: MmapOptions[] = [
    {},
    { lengthBytes: 0 },
    { lengthBytes: -1 },
    { lengthBytes: 1.5 },
    { lengthBytes: 2 ** 48 },
    { fd: -1 },
    { fd, offset: 1 },
    { fd, offset: -page },
    { fd, address: 123 },
    { fd, address: -page },
    { fd, fixed: "replace" },
    { fd, fixed: "maybe" as "replace", address: page },
    { fd, sharing: "public" as "shared" },
    { fd, protection: "write" as "read" },
  ];
  for (const options of bad) throwsCode(() => mmap(options), "ERR_SHOAL_ARGUMENT");
});

test("an address is a wish, unless it is fixed; fixed without replacing never unmaps anything", (t) => {
  const { fd } = freshObject(t, page);
  const space = mmap({ lengthBytes: 4 * page, protection: "none", sharing: "private" });
  const { address } = space;
  const error = throwsCode(
    () => mmap({ fd, address, fixed: "no-replace" }),
    "ERR_SHOAL_ADDRESS_TAKEN",
    /0x[0-9a-f]+ on/,
  );
  assert.equal(error.details["errno"], "EEXIST");
  using elsewhere = mmap({ fd, address });
  assert.notEqual(elsewhere.address, address);
  space.unmap();
  using wished = mmap({ fd, address });
  assert.equal(wished.address, address);
  using exact = mmap({ fd, address: address + page, fixed: "no-replace" });
  assert.equal(exact.address, address + page);
  using replaced = mmap({ fd, address, fixed: "replace", sharing: "private" });
  assert.equal(replaced.address, address);
});

test("private writes stay here, also over a descriptor that may only be read", (t) => {
  const { name, fd } = freshObject(t, page);
  using shared = mmap({ fd });
  const reader = shmOpen(name, { access: "read" });
  using copy = mmap({ fd: reader, sharing: "private" });
  const error = throwsCode(
    () => mmap({ fd: reader }),
    "ERR_SHOAL_PERMISSION",
    /PROT_READ\|PROT_WRITE, MAP_SHARED.+EACCES/,
  );
  assert.equal(error.details["fd"], reader);
  close(reader);
  new Uint8Array(shared.buffer)[0] = 5;
  assert.equal(new Uint8Array(copy.buffer)[0], 5);
  new Uint8Array(copy.buffer)[0] = 6;
  assert.equal(new Uint8Array(shared.buffer)[0], 5);
});

test("every protection can be asked for and shows in the memory map", (t) => {
  const { fd } = freshObject(t, page);
  const shown: Record<Protection, string> = {
    none: "---s",
    read: "r--s",
    "read-write": "rw-s",
    "read-exec": "r-xs",
    "read-write-exec": "rwxs",
  };
  for (const [protection, permissions] of Object.entries(shown) as [Protection, string][]) {
    using mapping = mmap({ fd, protection });
    const found = sharedMappings().find(({ address }) => address === mapping.address);
    assert.equal(found!.permissions, permissions);
    assert.equal(mapping.buffer.byteLength, protection === "none" ? 0 : page);
  }
});

test("protecting a whole mapping from every access detaches its buffer, and opening it makes a new one", (t) => {
  const { fd } = freshObject(t, 2 * page);
  using mapping = mmap({ fd });
  const view = new Uint8Array(mapping.buffer);
  view[0] = 9;
  mapping.protect("none");
  assert.equal(view.length, 0);
  throwsCode(() => mapping.protect("read", { offset: 0, lengthBytes: page }), "ERR_SHOAL_ARGUMENT", /"none"/);
  mapping.protect("read");
  assert.equal(new Uint8Array(mapping.buffer)[0], 9);
  mapping.protect("read-write", { offset: 0, lengthBytes: page });
  new Uint8Array(mapping.buffer)[0] = 10;
  assert.equal(new Uint8Array(mapping.buffer)[0], 10);
});

test("writing to a mapping that is only for reading ends the process with SIGSEGV, as documented", async (t) => {
  const code = `new Uint8Array(os.mmap({ lengthBytes: 4096, protection: "read" }).buffer)[0] = 1;`;
  assert.equal((await runModule(t, code)).signal, "SIGSEGV");
});

test("a protection that the descriptor does not allow is refused", (t) => {
  const { name } = freshObject(t, page);
  const reader = shmOpen(name, { access: "read" });
  using mapping = mmap({ fd: reader, protection: "read" });
  close(reader);
  throwsCode(() => mapping.protect("read-write"), "ERR_SHOAL_PERMISSION", /^mprotect\(0x.+EACCES/);
  throwsCode(() => mapping.protect("all" as "none"), "ERR_SHOAL_ARGUMENT", /one of none, read/);
});

test("advice reaches the kernel: populating takes storage, removing gives it back", (t) => {
  const { fd } = freshObject(t, 0);
  ftruncate(fd, 4 * page);
  using mapping = mmap({ fd });
  const view = new Uint8Array(mapping.buffer);
  view.fill(1);
  mapping.advise("remove", { offset: 0, lengthBytes: 2 * page });
  assert.deepEqual([view[0], view[2 * page]], [0, 1]);
  for (const advice of [
    "normal",
    "random",
    "sequential",
    "will-need",
    "dont-need",
    "dont-dump",
    "do-dump",
  ] as const) {
    mapping.advise(advice);
  }
  assert.equal(view[2 * page], 1);
  throwsCode(() => mapping.advise("free"), "ERR_SHOAL_SYSTEM", /^madvise\(0x.+"free"\): EINVAL/);
  throwsCode(() => mapping.advise("please" as "free"), "ERR_SHOAL_ARGUMENT");
});

test("huge pages can be advised for and against, and populated anonymous memory is zero", () => {
  for (const hugePages of [true, false]) {
    using mapping = mmap({
      lengthBytes: 4 << 20,
      sharing: "private",
      hugePages,
      populate: true,
      reserve: false,
    });
    assert.ok(new Uint8Array(mapping.buffer).every((byte) => byte === 0));
  }
});

test("sync writes a file mapping back to its file", (t) => {
  const path = join(freshFolder(t), "file");
  const fd = open(path, { create: true });
  ftruncate(fd, 2 * page);
  using mapping = mmap({ fd });
  close(fd);
  new Uint8Array(mapping.buffer).set([1, 2, 3], page);
  mapping.sync();
  mapping.sync("async");
  mapping.sync("sync", { offset: page, lengthBytes: page });
  assert.deepEqual([...readFileSync(path).subarray(page, page + 4)], [1, 2, 3, 0]);
  throwsCode(() => mapping.sync("later" as "sync"), "ERR_SHOAL_ARGUMENT");
});

test("a buffer of a mapping cannot be transferred away", (t) => {
  const { fd } = freshObject(t, page);
  using mapping = mmap({ fd });
  const transfer = Reflect.get(mapping.buffer, "transfer") as () => void;
  throwsCode(() => transfer.call(mapping.buffer), "ERR_SHOAL_UNSUPPORTED", /slice/);
});

test(
  "memory whose buffer was moved all the same is replaced by zeros, not unmapped",
  { skip: !("transfer" in ArrayBuffer.prototype) },
  (t) => {
    const { name, fd } = freshObject(t, page);
    const mapping = mmap({ fd });
    new Uint8Array(mapping.buffer)[0] = 1;
    const transfer = Reflect.get(ArrayBuffer.prototype, "transfer") as () => ArrayBuffer;
    const moved = transfer.call(mapping.buffer);
    assert.equal(new Uint8Array(moved)[0], 1);
    mapping.unmap();
    assert.equal(countMaps(name), 0);
    assert.equal(new Uint8Array(moved)[0], 0);
  },
);

test("a mapping that is dropped without unmap is unmapped when its buffer is collected, not before", async (t) => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const { name, fd } = freshObject(t, 4 * page);
  let kept: Uint8Array | undefined;
  (() => {
    mmap({ fd });
    kept = new Uint8Array(mmap({ fd }).buffer).subarray(1);
  })();
  const collected = (most: number) => () => {
    collect();
    return countMaps(name) <= most;
  };
  await until("the dropped mapping is gone", collected(1));
  for (let i = 0; i < 20; i++) collect();
  assert.equal(countMaps(name), 1);
  kept![0] = 1;
  kept = undefined;
  await until("the view's mapping is gone too", collected(0));
});

test("a mapping beyond the engine's longest buffer is refused and leaves nothing, or works", () => {
  const lengthBytes = 64 * 2 ** 30;
  const before = countMaps("/dev/zero");
  try {
    using mapping = mmap({ lengthBytes, reserve: false });
    assert.equal(mapping.buffer.byteLength, lengthBytes);
  } catch {
    const call = () => mmap({ lengthBytes, reserve: false });
    throwsCode(call, "ERR_SHOAL_UNSUPPORTED", /no ArrayBuffer of 68719476736 bytes/);
  }
  assert.equal(countMaps("/dev/zero"), before);
});

test("refused mappings leave no mapping and no descriptor behind", (t) => {
  const { name, fd } = freshObject(t, page);
  fallocate(fd, 0, page);
  for (let i = 0; i < 50; i++) throwsCode(() => mmap({ fd, offset: page }), "ERR_SHOAL_SIZE");
  assert.equal(countMaps(name), 0);
});
