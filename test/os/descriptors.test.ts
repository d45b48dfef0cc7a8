import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  close,
  fallocate,
  fstat,
  ftruncate,
  memfdCreate,
  open,
  shmOpen,
  shmUnlink,
} from "../../src/os/index.ts";
import {
  countAllDescriptors,
  countDescriptors,
  ended,
  freshFolder,
  freshName,
  freshObject,
} from "./support.ts";
import { startModule, throwsCode } from "./support.ts";

test("open creates a file with the mode asked for, and fstat describes it", (t) => {
  const path = join(freshFolder(t), "file");
  const before = countAllDescriptors();
  const fd = open(path, { create: true, exclusive: true, mode: 0o640 });
  assert.equal(countAllDescriptors(), before + 1);
  ftruncate(fd, 5000);
  const status = fstat(fd);
  assert.equal(status.sizeBytes, 5000);
  assert.equal(status.mode & 0o777, 0o640 & ~process.umask());
  assert.equal(status.uid, process.getuid!());
  assert.equal(status.gid, process.getgid!());
  assert.equal(status.linkCount, 1);
  assert.ok(status.inode > 0 && status.device > 0);
  close(fd);
  assert.equal(countAllDescriptors(), before);
});

test("open truncates an existing file when asked to", (t) => {
  const path = join(freshFolder(t), "file");
  writeFileSync(path, "content");
  const fd = open(path, { truncate: true });
  assert.equal(fstat(fd).sizeBytes, 0);
  close(fd);
});

test("a refused open names the call, its arguments, errno and what to do", (t) => {
  const path = join(freshFolder(t), "missing");
  const error = throwsCode(() => open(path), "ERR_SHOAL_NOT_FOUND", /^open\("\/.+", O_RDWR\): ENOENT, .+;/);
  assert.equal(error.details["errno"], "ENOENT");
  assert.equal(error.details["call"], "open");
  const cause = error.cause as NodeJS.ErrnoException;
  assert.deepEqual([cause.code, cause.errno, cause.syscall], ["ENOENT", -2, "open"]);
  writeFileSync(path, "");
  throwsCode(
    () => open(path, { create: true, exclusive: true }),
    "ERR_SHOAL_EXISTS",
    /O_RDWR\|O_CREAT\|O_EXCL, 0o600/,
  );
  throwsCode(() => open("/"), "ERR_SHOAL_SYSTEM", /EISDIR/);
  throwsCode(() => open(`/${"x".repeat(5000)}`), "ERR_SHOAL_SYSTEM", /ENAMETOOLONG/);
});

test("a refused open leaves no descriptor behind", (t) => {
  const path = join(freshFolder(t), "missing");
  const before = countAllDescriptors();
  for (let i = 0; i < 100; i++) throwsCode(() => open(path), "ERR_SHOAL_NOT_FOUND");
  assert.equal(countAllDescriptors(), before);
});

test("contradicting or malformed options of open are refused before any system call", () => {
  const bad = [
    () => open(""),
    () => open("a\0b"),
    () => open("/tmp", { exclusive: true }),
    () => open("/tmp", { truncate: true, access: "read" }),
    () => open("/tmp", { mode: 0o10000 }),
    () => open("/tmp", { mode: -1 }),
    () => open("/tmp", { access: "write" as "read" }),
    () => open(7 as unknown as string),
  ];
  for (const call of bad) throwsCode(call, "ERR_SHOAL_ARGUMENT");
});

test("closing twice says EBADF and closes nobody else's descriptor", (t) => {
  const { fd } = freshObject(t, 0);
  close(fd);
  throwsCode(() => close(fd), "ERR_SHOAL_SYSTEM", /^close\(\d+\): EBADF/);
  for (const bad of [-1, 1.5, Number.NaN, 2 ** 31])
    throwsCode(() => close(bad), "ERR_SHOAL_ARGUMENT", /fd must be/);
});

test("descriptors are not passed on to child processes", async (t) => {
  const { name } = freshObject(t, 0);
  assert.equal(countDescriptors(name), 1);
  const code = `
    import { readdirSync, readlinkSync } from "node:fs";
    const names = readdirSync("/proc/self/fd").map((fd) => { try { return readlinkSync("/proc/self/fd/" + fd); } catch { return ""; } });
    process.stdout.write(String(names.some((name) => name.includes(${JSON.stringify(name)}))));`;
  assert.equal((await ended(startModule(t, code))).stdout, "false");
});

test("thousands of descriptors are opened and closed without a trace", (t) => {
  const name = freshName(t);
  close(shmOpen(name, { create: true }));
  const before = countAllDescriptors();
  const fds = Array.from({ length: 3000 }, () => shmOpen(name));
  assert.equal(countAllDescriptors(), before + 3000);
  for (const fd of fds) close(fd);
  assert.equal(countAllDescriptors(), before);
});

test("shmOpen refuses every name that POSIX does not allow, with the rules", () => {
  const long = `/${"é".repeat(128)}`;
  for (const name of [
    "",
    "/",
    "a",
    "/a/b",
    "//a",
    "/a/",
    "/.",
    "/..",
    "/a\0b",
    "/dev/shm/a",
    long,
    "/" + "x".repeat(255),
  ]) {
    const message = /cannot name a POSIX shared memory object: .+ The rules: a name is one slash/;
    throwsCode(() => shmOpen(name, { create: true }), "ERR_SHOAL_NAME", message);
    throwsCode(() => shmUnlink(name), "ERR_SHOAL_NAME", message);
  }
  throwsCode(() => shmOpen("queue"), "ERR_SHOAL_NAME", /did you mean "\/queue"\?/);
  throwsCode(() => shmOpen("/dev/shm/queue"), "ERR_SHOAL_NAME", /did you mean "\/queue"\?/);
  throwsCode(() => shmOpen(3 as unknown as string), "ERR_SHOAL_NAME");
});

test("a POSIX name may have 255 bytes, its slash included", (t) => {
  const start = freshName(t);
  const name = start + "x".repeat(255 - start.length);
  const fd = shmOpen(name, { create: true });
  shmUnlink(name);
  assert.equal(fstat(fd).linkCount, 0);
  close(fd);
});

test("removing a POSIX object that is not there says so", (t) => {
  throwsCode(
    () => shmUnlink(freshName(t)),
    "ERR_SHOAL_NOT_FOUND",
    /^shm_unlink\("\/shoal-test-.+"\): ENOENT/,
  );
});

test("a memory file has no name in any folder and may not be mapped before it has a size", () => {
  const fd = memfdCreate("scratch");
  assert.equal(fstat(fd).linkCount, 0);
  assert.equal(fstat(fd).sizeBytes, 0);
  assert.equal(countDescriptors("/memfd:scratch"), 1);
  close(fd);
  assert.equal(countDescriptors("/memfd:scratch"), 0);
  throwsCode(() => memfdCreate("x".repeat(250)), "ERR_SHOAL_NAME", /at most 249 bytes/);
  throwsCode(() => memfdCreate("a\0b"), "ERR_SHOAL_NAME");
  throwsCode(() => memfdCreate(1 as unknown as string), "ERR_SHOAL_NAME");
  close(memfdCreate("x".repeat(249)));
  close(memfdCreate("sealable", { allowSealing: true }));
});

test("ftruncate sets the size both ways and explains a descriptor that is not for writing", (t) => {
  const { name, fd } = freshObject(t, 0);
  ftruncate(fd, 10_000);
  assert.equal(fstat(fd).sizeBytes, 10_000);
  assert.equal(fstat(fd).occupiedBytes, 0);
  ftruncate(fd, 10);
  assert.equal(fstat(fd).sizeBytes, 10);
  const reader = shmOpen(name, { access: "read" });
  throwsCode(
    () => ftruncate(reader, 5),
    "ERR_SHOAL_SYSTEM",
    /EINVAL, the descriptor is not open for writing/,
  );
  close(reader);
  throwsCode(() => ftruncate(reader, 5), "ERR_SHOAL_SYSTEM", /EBADF/);
  for (const bad of [-1, 1.5, Number.NaN, Infinity])
    throwsCode(() => ftruncate(fd, bad), "ERR_SHOAL_ARGUMENT");
  assert.equal(fstat(fd).sizeBytes, 10);
});

test("fallocate takes storage, keeps the size or gives storage back, as asked", (t) => {
  const { fd } = freshObject(t, 0);
  fallocate(fd, 0, 65536);
  assert.equal(fstat(fd).sizeBytes, 65536);
  assert.equal(fstat(fd).occupiedBytes, 65536);
  fallocate(fd, 65536, 65536, "keep-size");
  assert.equal(fstat(fd).sizeBytes, 65536);
  assert.equal(fstat(fd).occupiedBytes, 131072);
  fallocate(fd, 0, 65536, "punch-hole");
  assert.equal(fstat(fd).sizeBytes, 65536);
  assert.equal(fstat(fd).occupiedBytes, 65536);
});

test("fallocate beyond the file system's room throws the numbers and changes nothing", (t) => {
  const { fd } = freshObject(t, 4096);
  const message = /ENOSPC, 1000000000000000 bytes asked, \d+ of \d+ available/;
  const error = throwsCode(() => fallocate(fd, 0, 1e15), "ERR_SHOAL_NO_SPACE", message);
  assert.equal(error.details["neededBytes"], 1e15);
  assert.equal(error.details["errno"], "ENOSPC");
  assert.ok(Number(error.details["availableBytes"]) > 0);
  assert.ok(Number(error.details["totalBytes"]) >= Number(error.details["availableBytes"]));
  assert.equal(fstat(fd).sizeBytes, 4096);
  assert.equal(fstat(fd).occupiedBytes, 4096);
});

test("fallocate refuses sizes that are none, and what the file system cannot do", (t) => {
  const { fd } = freshObject(t, 0);
  for (const bad of [0, -1, 0.5, Number.NaN, 2 ** 53])
    throwsCode(() => fallocate(fd, 0, bad), "ERR_SHOAL_ARGUMENT");
  throwsCode(() => fallocate(fd, -1, 1), "ERR_SHOAL_ARGUMENT");
  throwsCode(() => fallocate(fd, 0, 1, "shrink" as "grow"), "ERR_SHOAL_ARGUMENT", /one of grow, keep-size/);
  throwsCode(() => fallocate(fd, 0, 4096, "zero"), "ERR_SHOAL_UNSUPPORTED", /EOPNOTSUPP/);
  throwsCode(() => fallocate(fd, Number.MAX_SAFE_INTEGER, 1), "ERR_SHOAL_ARGUMENT", /offset \+ lengthBytes/);
});
