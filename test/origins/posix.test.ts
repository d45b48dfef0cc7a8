/** Rows P1 to P5 of the origins: POSIX shared memory objects, the operating-systems lesson. */
import assert from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import { test } from "node:test";
import { close, fstat, ftruncate, mmap, pageSizeBytes, shmOpen, shmUnlink } from "../../src/os/index.ts";
import { countDescriptors, countMaps, freshName, freshObject, runModule, throwsCode } from "../os/support.ts";

test("P1 shared memory objects are opened with flags and mode, and unlinked", async (t) => {
  const name = freshName(t);
  throwsCode(() => shmOpen(name), "ERR_SHOAL_NOT_FOUND", /ENOENT/);
  const fd = shmOpen(name, { create: true, exclusive: true, mode: 0o600 });
  assert.equal(statSync(`/dev/shm${name}`).mode & 0o777, 0o600);
  throwsCode(() => shmOpen(name, { create: true, exclusive: true }), "ERR_SHOAL_EXISTS", /EEXIST/);
  ftruncate(fd, 100);
  const reader = shmOpen(name, { access: "read" });
  throwsCode(() => ftruncate(reader, 5), "ERR_SHOAL_SYSTEM", /EINVAL/);
  const again = shmOpen(name, { truncate: true });
  assert.equal(fstat(fd).sizeBytes, 0);
  const other = await runModule(t, `os.ftruncate(os.shmOpen(${JSON.stringify(name)}), 4242);`);
  assert.equal(other.code, 0, other.stderr);
  assert.equal(fstat(fd).sizeBytes, 4242);
  shmUnlink(name);
  assert.equal(existsSync(`/dev/shm${name}`), false);
  throwsCode(() => shmOpen(name), "ERR_SHOAL_NOT_FOUND");
  assert.equal(fstat(reader).sizeBytes, 4242);
  for (const each of [fd, reader, again]) close(each);
  assert.equal(countDescriptors(name), 0);
});

test("P2 an object gets its size before it is mapped, and mapping an empty one is refused with an explanation", (t) => {
  const { name, fd } = freshObject(t, 0);
  throwsCode(
    () => mmap({ fd }),
    "ERR_SHOAL_EMPTY",
    /an empty object cannot be mapped.+SIGBUS.+ftruncate\(fd, lengthBytes\)/,
  );
  assert.equal(countMaps(name), 0);
  ftruncate(fd, 10_000);
  using mapping = mmap({ fd });
  assert.equal(mapping.lengthBytes, 10_000);
  assert.ok(new Uint8Array(mapping.buffer).every((byte) => byte === 0));
});

test("P3 mmap takes an address hint, protection, sharing, anonymous memory and an offset; errors carry errno's name", (t) => {
  const { name, fd } = freshObject(t, 4 * pageSizeBytes);
  using shared = mmap({ fd });
  const bytes = new Uint8Array(shared.buffer);
  bytes[3 * pageSizeBytes] = 3;
  using tail = mmap({ fd, offset: 3 * pageSizeBytes, protection: "read" });
  assert.equal(new Uint8Array(tail.buffer)[0], 3);
  using copy = mmap({ fd, sharing: "private" });
  new Uint8Array(copy.buffer)[0] = 9;
  assert.deepEqual([new Uint8Array(copy.buffer)[0], bytes[0]], [9, 0]);
  const anonymous = mmap({ lengthBytes: 4 * pageSizeBytes });
  const { address } = anonymous;
  anonymous.unmap();
  using hinted = mmap({ fd, address });
  assert.equal(hinted.address, address);
  const reader = shmOpen(name, { access: "read" });
  const error = throwsCode(
    () => mmap({ fd: reader }),
    "ERR_SHOAL_PERMISSION",
    /^mmap\(0x0, \d+, PROT_READ\|PROT_WRITE, MAP_SHARED, \d+, 0\): EACCES/,
  );
  assert.equal(error.details["errno"], "EACCES");
  assert.equal((error.cause as NodeJS.ErrnoException).code, "EACCES");
  close(reader);
});

test("P4 a part can be unmapped, and what remains works on", (t) => {
  const { name, fd } = freshObject(t, 3 * pageSizeBytes);
  const mapping = mmap({ fd });
  new Uint8Array(mapping.buffer).fill(7);
  const [head, tail] = mapping.unmap({ offset: pageSizeBytes, lengthBytes: pageSizeBytes });
  assert.deepEqual([head!.lengthBytes, tail!.lengthBytes], [pageSizeBytes, pageSizeBytes]);
  assert.equal(countMaps(name), 2);
  assert.deepEqual([new Uint8Array(head!.buffer)[0], new Uint8Array(tail!.buffer)[0]], [7, 7]);
  assert.equal(mapping.buffer.byteLength, 0);
  head!.unmap();
  tail!.unmap();
  assert.equal(countMaps(name), 0);
});

test("P5 the descriptor may be closed while the mapping lives", (t) => {
  const { name, fd } = freshObject(t, pageSizeBytes);
  using mapping = mmap({ fd });
  close(fd);
  assert.equal(countDescriptors(name), 0);
  const bytes = new Uint8Array(mapping.buffer);
  bytes[5] = 6;
  const reader = shmOpen(name);
  using other = mmap({ fd: reader });
  close(reader);
  assert.equal(new Uint8Array(other.buffer)[5], 6);
});
