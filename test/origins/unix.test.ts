/** Rows U1 to U4 of the origins: three ways to share memory on Unix. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { close, fallocate, mmap, open, pageSizeBytes, sharedMappings, shmOpen } from "../../src/os/index.ts";
import { IPC_PRIVATE, shmat, shmdt, shmget, shmLimits, shmRemove, shmStat } from "../../src/os/index.ts";
import { firstLine, freshFolder, freshObject, runModule, startModule, throwsCode } from "../os/support.ts";

test("U1 System V segments: got by key and flags, attached, detached, looked at, removed, with the kernel's limits", async (t) => {
  const key = 0x5b000000 + (process.pid & 0xffffff);
  const id = shmget(key, { sizeBytes: 8192, create: true, exclusive: true, mode: 0o600 });
  t.after(() => assert.throws(() => shmStat(id)));
  const attachment = shmat(id);
  const code = `const id = os.shmget(${key}); const seen = os.shmat(id); new Uint8Array(seen.buffer)[1] = 65; os.shmdt(seen);`;
  const other = await runModule(t, code);
  assert.equal(other.code, 0, other.stderr);
  assert.equal(new Uint8Array(attachment.buffer)[1], 65);
  const { sizeBytes, attachCount, creatorPid, mode } = shmStat(id);
  assert.deepEqual([sizeBytes, attachCount, creatorPid, mode], [8192, 1, process.pid, 0o600]);
  shmRemove(id);
  assert.equal(shmStat(id).isRemoved, true);
  shmdt(attachment);
  throwsCode(() => shmStat(id), "ERR_SHOAL_NOT_FOUND");
  const limits = shmLimits();
  assert.equal(limits.segmentCount, Number(readFileSync("/proc/sys/kernel/shmmni", "utf8")));
  assert.throws(
    () => shmget(IPC_PRIVATE, { sizeBytes: 2 ** 52 }),
    (error: { details: Record<string, unknown> }) => {
      return (
        error.details["largestBytes"] === limits.largestBytes &&
        error.details["totalPages"] === limits.totalPages
      );
    },
  );
});

test("U2 a POSIX name that breaks the rules is refused with the rules", () => {
  const rules = /The rules: a name is one slash, then 1 to 254 bytes without slash or NUL/;
  for (const name of ["no-slash", "/two/slashes", "/", "", `/${"x".repeat(255)}`]) {
    throwsCode(() => shmOpen(name, { create: true }), "ERR_SHOAL_NAME", rules);
  }
});

test("U3 any file is mapped, shared with other processes, and holds what was written", async (t) => {
  const path = join(freshFolder(t), "file");
  const fd = open(path, { create: true, exclusive: true });
  fallocate(fd, 0, 5000);
  using mapping = mmap({ fd });
  close(fd);
  new Uint8Array(mapping.buffer)[4999] = 33;
  const code = `const bytes = new Uint8Array(os.mmap({ fd: os.open(${JSON.stringify(path)}) }).buffer); bytes[0] = bytes[4999] + 1;`;
  const other = await runModule(t, code);
  assert.equal(other.code, 0, other.stderr);
  mapping.sync();
  const content = readFileSync(path);
  assert.deepEqual([content.length, content[0], content[4999]], [5000, 34, 33]);
});

test("U4 the shared mappings of any readable process are listed with address, size, permissions, kind and name", async (t) => {
  const { name } = freshObject(t, 2 * pageSizeBytes);
  const path = join(freshFolder(t), "file");
  const id = shmget(IPC_PRIVATE, { sizeBytes: pageSizeBytes });
  t.after(() => shmRemove(id));
  const code = `
    const file = os.open(${JSON.stringify(path)}, { create: true }); os.fallocate(file, 0, 4096);
    globalThis.kept = [os.mmap({ fd: os.shmOpen(${JSON.stringify(name)}), protection: "read" }), os.mmap({ fd: file }), os.shmat(${id})];
    process.stdout.write(JSON.stringify(kept.map(({ address }) => address)) + "\\n"); setTimeout(() => {}, 1e6);`;
  const child = startModule(t, code);
  const addresses = JSON.parse(await firstLine(child)) as number[];
  const listed = sharedMappings(child.pid!);
  const [posix, file, sysv] = addresses.map((address) =>
    listed.find((mapping) => mapping.address === address)!,
  );
  assert.deepEqual(
    [posix!.kind, posix!.name, posix!.sizeBytes, posix!.permissions],
    ["posix", name, 2 * pageSizeBytes, "r--s"],
  );
  assert.deepEqual(
    [file!.kind, file!.name, file!.sizeBytes, file!.permissions],
    ["file", path, 4096, "rw-s"],
  );
  assert.deepEqual(
    [sysv!.kind, sysv!.sysvId, sysv!.sizeBytes, sysv!.permissions],
    ["sysv", id, pageSizeBytes, "rw-s"],
  );
});
