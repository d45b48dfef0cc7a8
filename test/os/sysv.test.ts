import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { IPC_PRIVATE, mmap, pageSizeBytes, sharedMappings } from "../../src/os/index.ts";
import { shmat, shmdt, shmget, shmLimits, shmRemove, shmStat } from "../../src/os/index.ts";
import type { Attachment } from "../../src/os/index.ts";
import { runModule, throwsCode } from "./support.ts";

/** A segment that is removed after the test, whatever happens. */
function freshSegment(t: TestContext, sizeBytes: number): number {
  const id = shmget(IPC_PRIVATE, { sizeBytes });
  t.after(() => {
    try {
      shmRemove(id);
    } catch {
      // the test removed it
    }
  });
  return id;
}

/** A key that nobody uses now. */
const freshKey = (): number => 0x5a000000 + (process.pid & 0xffffff);

const attachedTo = (id: number) => sharedMappings().filter(({ sysvId }) => sysvId === id).length;

test("a segment is found again by its key, refused a second exclusive creation, and gone when removed", (t) => {
  const key = freshKey();
  const id = shmget(key, { sizeBytes: 5000, create: true, exclusive: true, mode: 0o640 });
  t.after(() => assert.throws(() => shmRemove(id)));
  assert.equal(shmget(key), id);
  assert.equal(shmget(key, { sizeBytes: 5000 }), id);
  throwsCode(
    () => shmget(key, { sizeBytes: 1, create: true, exclusive: true }),
    "ERR_SHOAL_EXISTS",
    /IPC_CREAT\|IPC_EXCL/,
  );
  const status = shmStat(id);
  assert.deepEqual([status.key, status.sizeBytes, status.mode, status.attachCount], [key, 5000, 0o640, 0]);
  assert.deepEqual(
    [status.creatorPid, status.isRemoved, status.uid],
    [process.pid, false, process.getuid!()],
  );
  shmRemove(id);
  throwsCode(() => shmget(key), "ERR_SHOAL_NOT_FOUND", /^shmget\(0x5a.+ENOENT/);
});

test("asking for more than the segment has names both reasons that the kernel lumps together", (t) => {
  const key = freshKey() + 0x1000000;
  const id = shmget(key, { sizeBytes: 4096, create: true });
  t.after(() => shmRemove(id));
  const error = throwsCode(
    () => shmget(key, { sizeBytes: 8192 }),
    "ERR_SHOAL_SYSTEM",
    /EINVAL, .+smaller than the 8192/,
  );
  assert.equal(error.details["largestBytes"], shmLimits().largestBytes);
});

test("attachments share the bytes, are counted, and their views are empty once detached", (t) => {
  const id = freshSegment(t, 10_000);
  const [one, other] = [shmat(id), shmat(id)];
  assert.equal(one.buffer.byteLength, 10_000);
  assert.equal(shmStat(id).attachCount, 2);
  const view = new Uint8Array(one.buffer);
  view[9999] = 3;
  assert.equal(new Uint8Array(other.buffer)[9999], 3);
  shmdt(one);
  shmdt(one);
  other[Symbol.dispose]();
  assert.equal(view.length, 0);
  assert.ok(one.isDetached && other.isDetached);
  assert.equal(shmStat(id).attachCount, 0);
  assert.equal(attachedTo(id), 0);
});

test("a removed segment lives on until its last attachment is detached", (t) => {
  const id = freshSegment(t, 4096);
  const attachment = shmat(id);
  shmRemove(id);
  assert.equal(shmStat(id).isRemoved, true);
  new Uint8Array(attachment.buffer)[0] = 1;
  shmdt(attachment);
  throwsCode(() => shmStat(id), "ERR_SHOAL_NOT_FOUND", /no System V segment with this id/);
});

test("a segment can be attached at a chosen address, which must be free unless it is to be replaced", (t) => {
  const id = freshSegment(t, 2 * pageSizeBytes);
  const space = mmap({
    lengthBytes: 2 * pageSizeBytes,
    protection: "none",
    sharing: "private",
    reserve: false,
  });
  const { address } = space;
  throwsCode(() => shmat(id, { address }), "ERR_SHOAL_ADDRESS_TAKEN", /something is mapped there/);
  using replaced = shmat(id, { address, replace: true });
  assert.equal(replaced.address, address);
  throwsCode(() => shmat(id, { address: 5 }), "ERR_SHOAL_ARGUMENT", /page size/);
  throwsCode(() => shmat(id, { replace: true }), "ERR_SHOAL_ARGUMENT", /needs an address/);
});

test("an attachment for reading only sees the others' writes", (t) => {
  const id = freshSegment(t, 4096);
  using writer = shmat(id);
  using reader = shmat(id, { readOnly: true });
  new Uint8Array(writer.buffer)[1] = 2;
  assert.equal(new Uint8Array(reader.buffer)[1], 2);
  const listed = sharedMappings().find(({ address }) => address === reader.address);
  assert.equal(listed!.permissions, "r--s");
});

test("another process attaches the same segment by its id", async (t) => {
  const id = freshSegment(t, 4096);
  const run = await runModule(t, `new Uint8Array(os.shmat(${id}).buffer)[0] = 77;`);
  assert.equal(run.code, 0, run.stderr);
  using attachment = shmat(id);
  assert.equal(new Uint8Array(attachment.buffer)[0], 77);
});

test("calls on ids that are none say so, malformed arguments are refused before the kernel sees them", () => {
  const id = shmget(IPC_PRIVATE, { sizeBytes: 1 });
  shmRemove(id);
  for (const call of [() => shmat(id), () => shmStat(id), () => shmRemove(id)]) {
    throwsCode(call, "ERR_SHOAL_NOT_FOUND", /\(\d+\): EINVAL, there is no System V segment/);
  }
  const bad = [
    () => shmget(1.5),
    () => shmget(2 ** 32),
    () => shmget(1, { create: true }),
    () => shmget(IPC_PRIVATE),
    () => shmget(1, { exclusive: true }),
    () => shmget(IPC_PRIVATE, { sizeBytes: -1 }),
    () => shmget(IPC_PRIVATE, { sizeBytes: 1, mode: 0o1000 }),
    () => shmat(-1),
    () => shmStat(Number.NaN),
    () => shmdt({} as Attachment),
  ];
  for (const call of bad) throwsCode(call, "ERR_SHOAL_ARGUMENT");
});

test("the kernel's limits are those in /proc, and in the message of what they refuse", () => {
  const limits = shmLimits();
  const read = (name: string) => Number(readFileSync(`/proc/sys/kernel/${name}`, "utf8"));
  assert.deepEqual(
    [limits.largestBytes, limits.segmentCount, limits.totalPages],
    [read("shmmax"), read("shmmni"), read("shmall")],
  );
  assert.equal(limits.smallestBytes, 1);
  const call = () => shmget(IPC_PRIVATE, { sizeBytes: 2 ** 52 });
  assert.throws(call, (error: Error & { details: Record<string, unknown> }) => {
    assert.match(error.message, /^shmget\(0x0, 4503599627370496/);
    assert.equal(error.details["segmentCount"], limits.segmentCount);
    return true;
  });
});
