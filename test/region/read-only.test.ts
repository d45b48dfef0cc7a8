/** Read-only opening: looks, needs no permission to write, takes no slot, and changes nothing. */
import assert from "node:assert/strict";
import { chmodSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Heap } from "../../src/heap/index.ts";
import type { Handle } from "../../src/heap/index.ts";
import { Region } from "../../src/region/index.ts";
import type { BackendName } from "../../src/region/index.ts";
import { refusesWith, throwsCode } from "../helpers/assertions.ts";
import { noSecondUser, startStranger } from "../helpers/root.ts";
import { createRegion, freshName, freshPosixName, openAgain, pathOf } from "../helpers/segments.ts";

const backends: readonly BackendName[] = ["posix", "file", "sysv", "anonymous"];

for (const backend of backends) {
  test(`${backend}: a reader sees what others write, and what it writes itself stays its own`, (t) => {
    const region = createRegion(t, backend);
    region.bytes(0, 2).set([1, 2]);
    const reader = openAgain(t, region, { readOnly: true });
    assert.equal(reader.readOnly, true);
    assert.equal(reader.slotIndex, -1);
    assert.equal(region.participants().length, 1);
    assert.deepEqual(
      reader.participants().map(({ self, alive }) => [self, alive]),
      [[false, true]],
    );
    assert.deepEqual([...reader.bytes(0, 2)], [1, 2]);
    region.bytes(1, 1)[0] = 3;
    // System V segments cannot be mapped copy-on-write: a reader has a copy, made anew at each catchUp().
    assert.equal(reader.bytes(1, 1)[0], backend === "sysv" ? 2 : 3);
    assert.equal(reader.catchUp(), false);
    assert.equal(reader.bytes(1, 1)[0], 3);
    reader.bytes(0, 1)[0] = 200;
    assert.equal(region.bytes(0, 1)[0], 1);
    if (backend !== "sysv") {
      const file = readFileSync(backend === "anonymous" ? `/proc/self/fd/${region.fd}` : pathOf(region));
      assert.equal(file[region.dataOffset], 1);
    }
    throwsCode(() => reader.grow(), "ERR_SHOAL_READ_ONLY");
    throwsCode(() => reader.recover(), "ERR_SHOAL_READ_ONLY");
    throwsCode(() => reader.unlink(), "ERR_SHOAL_READ_ONLY");
    assert.equal(region.retired, false);
    reader.close();
    throwsCode(() => reader.bytes(), "ERR_SHOAL_CLOSED");
    using again = Region.open(region.name, { backend });
    assert.equal(again.slotIndex, 1);
  });
}

for (const backend of ["posix", "sysv"] as const) {
  test(`${backend}: a reader needs no permission to write`, { skip: noSecondUser }, async (t) => {
    const region = createRegion(t, backend, { mode: 0o644 });
    region.bytes(0, 1)[0] = 77;
    const stranger = startStranger(t);
    await refusesWith(
      stranger.run(
        ({ Region: Found }, name, at) => void Found.open(name, { backend: at }),
        region.name,
        backend,
      ),
      "ERR_SHOAL_PERMISSION",
    );
    const seen = await stranger.run(
      ({ Region: Found }, name, at) => {
        const reader = Found.open(name, { backend: at, readOnly: true });
        const first = reader.bytes(0, 1)[0];
        reader.bytes(0, 1)[0] = 1;
        reader.close();
        return first;
      },
      region.name,
      backend,
    );
    assert.equal(seen, 77);
    assert.equal(region.bytes(0, 1)[0], 77);
  });
}

test("a file with mode 0400 is read by its owner", { skip: noSecondUser }, async (t) => {
  const stranger = startStranger(t);
  const name = freshPosixName(t);
  await stranger.run(
    ({ Region: Found, regions }, wanted) => void regions.set("main", Found.create(wanted)),
    name,
  );
  chmodSync(`/dev/shm${name}`, 0o400);
  await refusesWith(
    stranger.run(({ Region: Found }, wanted) => void Found.open(wanted), name),
    "ERR_SHOAL_PERMISSION",
  );
  const sizeBytes = await stranger.run(({ Region: Found }, wanted) => {
    const reader = Found.open(wanted, { readOnly: true });
    const found = reader.sizeBytes;
    reader.close();
    return found;
  }, name);
  assert.ok(sizeBytes > 0);
});

test("a reader with a fixed address in the header maps nothing there", (t) => {
  const region = createRegion(t, "posix", { fixedAddress: { startAddress: 80 * 2 ** 40 } });
  region.close();
  const reader = openAgain(t, region, { readOnly: true });
  assert.equal(reader.fixedAddress, 80 * 2 ** 40);
  const maps = readFileSync("/proc/self/maps", "latin1");
  assert.equal(maps.includes(`\n${reader.fixedAddress.toString(16)}-`), false);
});

for (const backend of backends) {
  test(`${backend}: a reader of a heap that has looked up a root still sees growth and new roots`, (t) => {
    using heap = Heap.create(freshName(t, backend), { backend });
    t.after(() => heap.remove());
    const first = heap.alloc(16);
    heap.roots.set("first", first);
    using reader = Heap.open(heap.region.name, { backend, readOnly: true });
    assert.equal(reader.roots.get("first"), first);
    const second: Handle = backend === "sysv" ? heap.alloc(16) : heap.alloc(8 * 2 ** 20);
    heap.bytes(second, 1)[0] = 6;
    heap.roots.set("second", second);
    assert.equal(reader.region.catchUp(), backend !== "sysv");
    assert.equal(reader.roots.get("second"), second);
    assert.equal(reader.bytes(second, 1)[0], 6);
  });
}
