import assert from "node:assert/strict";
import { renameSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { close, fstat, ftruncate, memfdCreate, mmap, open, pageSizeBytes } from "../../src/os/index.ts";
import { sharedMappings, shmUnlink } from "../../src/os/index.ts";
import { parseMapsLine } from "../../src/os/shared-mappings.ts";
import { ended, firstLine, freshFolder, freshObject, runModule, startModule, throwsCode } from "./support.ts";

const at = (address: number) => sharedMappings().find((mapping) => mapping.address === address);

test("each kind of line is told apart", () => {
  const kinds: [string, string, string][] = [
    ["/SYSV0000beef (deleted)", "sysv", "0x0000beef"],
    ["/dev/shm/queue", "posix", "/queue"],
    ["/dev/shm/queue (deleted)", "posix", "/queue"],
    ["/dev/shm/folder/file", "file", "/dev/shm/folder/file"],
    ["/home/me/my file", "file", "/home/me/my file"],
    ["/home/me/a\\012b", "file", "/home/me/a\nb"],
    ["/memfd:name (deleted)", "memfd", "name"],
    ["/memfd:odd (deleted) (deleted)", "memfd", "odd (deleted)"],
    ["/dev/zero (deleted)", "anonymous", ""],
    ["/anon_hugepage (deleted)", "anonymous", ""],
    ["", "anonymous", ""],
    ["/dev/dri/card0", "device", "/dev/dri/card0"],
    ["/dev/zero", "device", "/dev/zero"],
    ["/dev/hugepages/x", "file", "/dev/hugepages/x"],
    ["anon_inode:[io_uring]", "device", "anon_inode:[io_uring]"],
  ];
  for (const [shown, kind, name] of kinds) {
    const parsed = parseMapsLine(
      `7f0000001000-7f0000003000 rw-s 00002000 00:19 77                         ${shown}`,
    );
    assert.deepEqual([parsed!.kind, parsed!.name], [kind, name], shown);
    assert.deepEqual([parsed!.address, parsed!.sizeBytes, parsed!.offset], [0x7f0000001000, 0x2000, 0x2000]);
    assert.deepEqual([parsed!.permissions, parsed!.inode], ["rw-s", 77]);
    assert.equal(parsed!.sysvId, kind === "sysv" ? 77 : undefined);
    assert.equal(parsed!.deleted, shown === "/dev/shm/queue (deleted)", shown);
  }
});

test("private mappings and lines that are none are left out", () => {
  for (const line of [
    "",
    "7f00-7f01 rw-p 00000000 00:19 77  /x",
    "ffffffffff600000-ffffffffff601000 --xp 0 00:00 0 [vsyscall]",
  ]) {
    assert.equal(parseMapsLine(line), undefined);
  }
});

test("own mappings of every kind are found, with offset, inode and permissions", (t) => {
  const { name, fd } = freshObject(t, 3 * pageSizeBytes);
  using posix = mmap({ fd, offset: pageSizeBytes, protection: "read" });
  assert.deepEqual(at(posix.address), {
    address: posix.address,
    sizeBytes: 2 * pageSizeBytes,
    offset: pageSizeBytes,
    permissions: "r--s",
    kind: "posix",
    name,
    inode: fstat(fd).inode,
    deleted: false,
  });
  shmUnlink(name);
  assert.deepEqual([at(posix.address)!.name, at(posix.address)!.deleted], [name, true]);
  const memfd = memfdCreate("scratch");
  ftruncate(memfd, pageSizeBytes);
  using memory = mmap({ fd: memfd });
  close(memfd);
  assert.deepEqual(
    [at(memory.address)!.kind, at(memory.address)!.name, at(memory.address)!.deleted],
    ["memfd", "scratch", false],
  );
  using anonymous = mmap({ lengthBytes: pageSizeBytes });
  assert.deepEqual([at(anonymous.address)!.kind, at(anonymous.address)!.name], ["anonymous", ""]);
  using hidden = mmap({ lengthBytes: pageSizeBytes, sharing: "private" });
  assert.equal(at(hidden.address), undefined);
});

test("a file that is really called 'x (deleted)' is not taken for a deleted one", (t) => {
  const folder = freshFolder(t);
  const path = join(folder, "data (deleted)");
  const fd = open(path, { create: true });
  ftruncate(fd, pageSizeBytes);
  using mapping = mmap({ fd });
  close(fd);
  assert.deepEqual([at(mapping.address)!.name, at(mapping.address)!.deleted], [path, false]);
  renameSync(path, join(folder, "two\nlines"));
  assert.equal(at(mapping.address)!.name, join(folder, "two\nlines"));
});

test("another process's mappings are listed by its pid", async (t) => {
  const { name } = freshObject(t, pageSizeBytes);
  const code = `globalThis.kept = os.mmap({ fd: os.shmOpen(${JSON.stringify(name)}) }); process.stdout.write(kept.address + "\\n"); setTimeout(() => {}, 1e6);`;
  const child = startModule(t, code);
  const address = Number(await firstLine(child));
  const found = sharedMappings(child.pid!).filter((mapping) => mapping.name === name);
  assert.deepEqual(
    found.map((mapping) => mapping.address),
    [address],
  );
  const done = ended(child);
  child.kill("SIGKILL");
  await done;
  throwsCode(() => sharedMappings(child.pid!), "ERR_SHOAL_NOT_FOUND", /there is no process \d+/);
});

test("a process of another user cannot be looked into without permission", async (t) => {
  if (process.getuid!() !== 0) {
    throwsCode(() => sharedMappings(1), "ERR_SHOAL_PERMISSION", /by its own user/);
    return;
  }
  const code = `process.setgroups([]); process.setgid(65534); process.setuid(65534);
    try { os.sharedMappings(${process.pid}); } catch (error) { process.stdout.write(error.code + " " + error.message); }`;
  assert.match((await runModule(t, code)).stdout, /^ERR_SHOAL_PERMISSION .+EACCES.+by its own user/);
});

test("pids that are none are refused", () => {
  for (const pid of [0, -1, 1.5, Number.NaN, "self" as unknown as number]) {
    throwsCode(() => sharedMappings(pid), "ERR_SHOAL_ARGUMENT", /pid must be/);
  }
});
