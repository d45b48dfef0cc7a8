import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { close, probeLock, shmOpen, tryLock, unlock } from "../../src/os/index.ts";
import { closeIfOpen, firstLine, freshObject, startModule, throwsCode, until } from "./support.ts";

function openTwice(t: TestContext): { name: string; one: number; other: number } {
  const { name, fd: one } = freshObject(t, 0);
  const other = shmOpen(name);
  t.after(() => closeIfOpen(other));
  return { name, one, other };
}

test("an exclusive lock excludes another opening of the same process, and only in its range", (t) => {
  const { one, other } = openTwice(t);
  assert.equal(tryLock(one, { offset: 10 }), true);
  assert.equal(tryLock(one, { offset: 10 }), true);
  assert.equal(tryLock(other, { offset: 10 }), false);
  assert.equal(tryLock(other, { offset: 10 }, "shared"), false);
  assert.equal(tryLock(other, { offset: 11 }), true);
  unlock(one, { offset: 10 });
  assert.equal(tryLock(other, { offset: 10 }), true);
});

test("shared locks admit each other and keep an exclusive one out", (t) => {
  const { one, other } = openTwice(t);
  assert.equal(tryLock(one, { offset: 0, lengthBytes: 100 }, "shared"), true);
  assert.equal(tryLock(other, { offset: 50 }, "shared"), true);
  assert.equal(tryLock(other, { offset: 50 }, "exclusive"), false);
  unlock(one, { offset: 0, lengthBytes: 0 });
  assert.equal(tryLock(other, { offset: 50 }, "exclusive"), true);
});

test("probing tells how another opening holds the range, and ignores one's own lock", (t) => {
  const { one, other } = openTwice(t);
  assert.equal(probeLock(one, { offset: 0 }), undefined);
  tryLock(one, { offset: 0 });
  assert.equal(probeLock(one, { offset: 0 }), undefined);
  assert.equal(probeLock(other, { offset: 0 }), "exclusive");
  tryLock(one, { offset: 0 }, "shared");
  assert.equal(probeLock(other, { offset: 0, lengthBytes: 10 }), "shared");
});

test("closing the descriptor drops its locks", (t) => {
  const { one, other } = openTwice(t);
  tryLock(one, { offset: 3 });
  assert.equal(tryLock(other, { offset: 3 }), false);
  close(one);
  assert.equal(tryLock(other, { offset: 3 }), true);
});

test("killing a process drops its locks", async (t) => {
  const { name, one } = openTwice(t);
  const code = `const held = os.tryLock(os.shmOpen(${JSON.stringify(name)}), { offset: 7 }); process.stdout.write(held + "\\n"); setTimeout(() => {}, 1e6);`;
  const child = startModule(t, code);
  assert.equal(await firstLine(child), "true");
  assert.equal(tryLock(one, { offset: 7 }), false);
  assert.equal(probeLock(one, { offset: 7 }), "exclusive");
  child.kill("SIGKILL");
  await until("the dead process's lock is free", () => tryLock(one, { offset: 7 }));
});

test("a lock that the descriptor was not opened for, and ranges that are none, are refused", (t) => {
  const { name, one } = openTwice(t);
  const reader = shmOpen(name, { access: "read" });
  t.after(() => closeIfOpen(reader));
  throwsCode(
    () => tryLock(reader, { offset: 0 }),
    "ERR_SHOAL_SYSTEM",
    /EBADF, the descriptor is not open, or not for writing/,
  );
  assert.equal(tryLock(reader, { offset: 0 }, "shared"), true);
  close(reader);
  throwsCode(() => unlock(reader, { offset: 0 }), "ERR_SHOAL_SYSTEM", /EBADF/);
  throwsCode(() => probeLock(reader, { offset: 0 }), "ERR_SHOAL_SYSTEM", /F_OFD_GETLK.+EBADF/);
  for (const range of [{ offset: -1 }, { offset: 0.5 }, { offset: 0, lengthBytes: -1 }]) {
    throwsCode(() => tryLock(one, range), "ERR_SHOAL_ARGUMENT");
    throwsCode(() => probeLock(one, range), "ERR_SHOAL_ARGUMENT");
  }
});
