/**
 * What every backend must do alike: one suite, run over posix, file, sysv and anonymous segments.
 *
 * Where a backend cannot do a thing (System V segments do not grow, memory files have no names) its test says what
 * happens instead.
 */
import assert from "node:assert/strict";
import { closeSync, existsSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { isMainThread } from "node:worker_threads";
import { Region } from "../../src/region/index.ts";
import type { BackendName } from "../../src/region/index.ts";
import { leaksNothing, refusesWith, throwsCode } from "../helpers/assertions.ts";
import { mapsWith } from "../helpers/holdings.ts";
import { startProcess } from "../helpers/peer.ts";
import type { PeerTools } from "../helpers/peer.ts";
import {
  createRegion,
  freshFolder,
  freshName,
  freshNameOf,
  openAgain,
  pathOf,
  hasSysvKey,
} from "../helpers/segments.ts";

const PAGE = 65536;

function keepOpen({ Region: Found, regions }: PeerTools, name: string, backend: BackendName): string {
  const region = Found.open(name, { backend });
  regions.set("main", region);
  return region.uuid;
}

/** Declares the suite for one backend. */
export function defineConformance(backend: BackendName): void {
  defineLife(backend);
  defineData(backend);
  if (backend === "sysv") defineFixedSize();
  else defineGrowth(backend);
  defineEnd(backend);
}

function defineLife(backend: BackendName): void {
  test(`${backend}: what create says of the segment is what every opener sees`, async (t) => {
    const region = createRegion(t, backend, { sizeBytes: 100_000, maxParticipants: 5 });
    const other = openAgain(t, region);
    for (const one of [region, other]) {
      assert.equal(one.backend, backend);
      assert.equal(one.uuid, region.uuid);
      assert.equal(one.readOnly, false);
      assert.equal(one.closed, false);
      assert.equal(one.retired, false);
      assert.equal(one.dataOffset, 4096 + 5 * 512);
      assert.equal(one.segmentSizeBytes, 2 * PAGE);
      assert.equal(one.sizeBytes, 2 * PAGE - one.dataOffset);
      assert.equal(one.spanBytes, backend === "sysv" ? 2 * PAGE : 2 ** 32);
      assert.equal(one.buffer.byteLength, one.segmentSizeBytes);
      assert.ok(one.buffer instanceof SharedArrayBuffer);
      assert.equal(one.fixedAddress, 0);
      assert.equal(one.recoveries, 0);
    }
    assert.match(region.uuid, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.deepEqual([region.created, other.created], [true, false]);
    assert.deepEqual([region.slotIndex, other.slotIndex], [0, 1]);
    assert.equal(region.fd >= 0, backend === "anonymous");
    assert.equal(await startProcess(t).run(keepOpen, region.name, backend), region.uuid);
    const another = createRegion(t, backend);
    assert.notEqual(another.uuid, region.uuid);
    assert.equal(another.dataOffset, PAGE / 2);
    assert.equal(another.segmentSizeBytes, PAGE);
  });

  test(`${backend}: bytes and words that one participant writes are read by the others`, async (t) => {
    const region = createRegion(t, backend);
    const other = openAgain(t, region);
    const peer = startProcess(t);
    await peer.run(keepOpen, region.name, backend);
    region.bytes(10, 3).set([1, 2, 3]);
    assert.deepEqual([...other.bytes(10, 3)], [1, 2, 3]);
    await peer.run(({ region: at }) => {
      at().bytes(20, 1)[0] = at().bytes(12, 1)[0]! + 1;
      Atomics.add(at().words(64, 1), 0, 5);
    });
    assert.equal(other.bytes(20, 1)[0], 4);
    assert.equal(Atomics.add(other.words(64, 1), 0, 1), 5);
    assert.equal(region.words(64, 1)[0], 6);
    assert.equal(region.bytes().length, region.sizeBytes);
    assert.equal(region.bytes(100).length, region.sizeBytes - 100);
  });

  if (backend === "anonymous") defineNameless();
  else defineNamed(backend);
}

function defineNamed(backend: BackendName): void {
  test(`${backend}: a name is created once, opened by all, and openOrCreate does what is missing`, (t) => {
    const name = freshNameOf(t, backend);
    leaksNothing("opening what is not there", () => {
      throwsCode(() => Region.open(name, { backend }), "ERR_SHOAL_NOT_FOUND");
    });
    throwsCode(() => Region.unlink(name, { backend }), "ERR_SHOAL_NOT_FOUND");
    using region = Region.openOrCreate(name, { backend });
    assert.equal(region.created, true);
    using again = Region.openOrCreate(name, { backend, sizeBytes: 10 * PAGE });
    assert.equal(again.created, false);
    assert.equal(again.uuid, region.uuid);
    assert.equal(again.sizeBytes, region.sizeBytes);
    leaksNothing("creating what exists", () => {
      throwsCode(() => Region.create(name, { backend }), "ERR_SHOAL_EXISTS");
    });
    using third = Region.open(name, { backend });
    assert.equal(third.participants().length, 3);
  });

  test(`${backend}: an unlinked segment works on for those who have it, and its name is free`, (t) => {
    const name = freshNameOf(t, backend);
    using region = Region.create(name, { backend });
    using other = Region.open(name, { backend });
    region.unlink();
    assert.equal(other.retired, true);
    region.bytes(0, 1)[0] = 9;
    assert.equal(other.bytes(0, 1)[0], 9);
    throwsCode(() => Region.open(name, { backend }), "ERR_SHOAL_NOT_FOUND");
    using next = Region.create(name, { backend });
    assert.notEqual(next.uuid, region.uuid);
    assert.equal(next.bytes(0, 1)[0], 0);
    // The old segment's participants cannot remove the new one's name.
    throwsCode(() => other.unlink(), "ERR_SHOAL_NOT_FOUND");
    throwsCode(() => region.remove(), "ERR_SHOAL_NOT_FOUND");
    assert.equal(region.closed, true, "remove closes also when there is nothing to remove");
    using sameAsNext = Region.open(name, { backend });
    assert.equal(sameAsNext.uuid, next.uuid);
    Region.unlink(name, { backend });
    throwsCode(() => Region.open(name, { backend }), "ERR_SHOAL_NOT_FOUND");
    throwsCode(() => next.unlink(), "ERR_SHOAL_NOT_FOUND");
  });

  test(`${backend}: remove takes the name away and leaves nothing behind`, (t) => {
    leaksNothing("a life from creation to removal", () => {
      const region = Region.create(freshNameOf(t, backend), { backend });
      region.remove();
      region.remove();
      region.close();
      if (backend !== "sysv") assert.equal(existsSync(pathOf(region)), false);
      assert.equal(existsSync(`/dev/shm/shoal-sysv-key-${region.name.slice(2)}.lock`), false);
      if (backend === "sysv") assert.equal(hasSysvKey(region.name), false);
      throwsCode(() => Region.open(region.name, { backend }), "ERR_SHOAL_NOT_FOUND");
    });
  });

  test(`${backend}: list shows the segment and its living participants`, (t) => {
    const region = createRegion(t, backend, { mode: 0o640 });
    openAgain(t, region);
    const directory = pathOf(region).replace(/\/[^/]*$/, "");
    const found = Region.list({ backend, directory }).filter(({ name }) => name === region.name);
    assert.deepEqual(found, [
      {
        name: region.name,
        backend,
        state: "ready",
        sizeBytes: region.segmentSizeBytes,
        spanBytes: region.spanBytes,
        allocator: 0,
        uuid: region.uuid,
        ownerUid: process.geteuid?.() ?? -1,
        mode: 0o640,
        participants: 2,
        creatorPid: process.pid,
      },
    ]);
  });
}

function defineNameless(): void {
  const backend = "anonymous";
  test("anonymous: a segment is opened by its descriptor, or by the path that is its name", async (t) => {
    const region = createRegion(t, backend);
    using byFd = Region.open("", { backend, fd: region.fd });
    assert.equal(byFd.uuid, region.uuid);
    assert.notEqual(byFd.fd, region.fd, "each opening has descriptors of its own");
    assert.match(region.name, new RegExp(`^/proc/${process.pid}/fd/${region.fd}$`));
    const peer = startProcess(t);
    assert.equal(await peer.run(keepOpen, region.name, backend), region.uuid);
    // It outlives its creator, and can be opened from whoever has it.
    region.bytes(0, 1)[0] = 3;
    const theirs = await peer.run(({ region: at }) => at().name);
    byFd.close();
    region.close();
    throwsCode(() => Region.open(region.name, { backend }), "ERR_SHOAL_NOT_FOUND");
    using heir = Region.open(theirs, { backend });
    assert.equal(heir.bytes(0, 1)[0], 3);
  });

  test("anonymous: names that are no descriptors are refused, and removing is harmless", (t) => {
    for (const name of ["", "/shoal", "shoal", "/proc/self/maps"]) {
      throwsCode(() => Region.open(name, { backend }), "ERR_SHOAL_NAME");
    }
    const region = createRegion(t, backend);
    const path = join(freshFolder(t), "text");
    writeFileSync(path, "no segment");
    const fd = openSync(path, "r+");
    leaksNothing("a descriptor that is another file's", () => {
      throwsCode(() => Region.open(`/proc/${process.pid}/fd/${fd}`, { backend }), "ERR_SHOAL_NOT_SHOAL");
      throwsCode(() => Region.open("", { backend, fd }), "ERR_SHOAL_NOT_SHOAL");
    });
    closeSync(fd);
    throwsCode(() => Region.open("", { backend, fd }), "ERR_SHOAL_NOT_FOUND");
    region.unlink();
    region.remove();
    assert.equal(region.closed, true);
    assert.deepEqual(Region.list({ backend }), []);
  });
}

function defineData(backend: BackendName): void {
  test(`${backend}: ranges that are not all inside the data are refused`, (t) => {
    const region = createRegion(t, backend);
    const { sizeBytes } = region;
    for (const [offset, length] of [
      [-1, 1],
      [0, -1],
      [0, sizeBytes + 1],
      [sizeBytes, 1],
      [sizeBytes + 4, 0],
      [0.5, 1],
      [0, 0.5],
      [Number.NaN, 1],
      [0, Number.NaN],
      [0, Number.POSITIVE_INFINITY],
      [2 ** 53, 1],
    ] as const) {
      throwsCode(() => region.bytes(offset, length), "ERR_SHOAL_ARGUMENT", /grow\(\) or catchUp\(\)/);
      throwsCode(() => region.words(offset * 2, length), "ERR_SHOAL_ARGUMENT");
    }
    throwsCode(() => region.words(2, 1), "ERR_SHOAL_ARGUMENT", /multiples of 4/);
    throwsCode(() => region.words(sizeBytes - 4, 2), "ERR_SHOAL_ARGUMENT");
    assert.equal(region.bytes(sizeBytes, 0).length, 0);
    assert.equal(region.bytes(sizeBytes - 1, 1).length, 1);
    assert.equal(region.words(sizeBytes - 4, 1).length, 1);
  });

  test(`${backend}: two openings in one process are two participants and share one fixed mapping`, (t) => {
    const startAddress = 77 * 2 ** 40;
    const region = createRegion(t, backend, { sizeBytes: 1, fixedAddress: { startAddress } });
    const start = region.fixedAddress.toString(16);
    const isPinned = (): boolean => mapsWith(`${start}-`).some((line) => line.startsWith(start));
    const lines = mapsWith(backend === "sysv" ? "SYSV" : "shoal").length;
    const other = openAgain(t, region);
    assert.equal(other.fixedAddress, region.fixedAddress);
    assert.notEqual(other.slotIndex, region.slotIndex);
    assert.equal(region.participants().length, 2);
    const own = mapsWith(backend === "sysv" ? "SYSV" : "shoal").length - lines;
    const expected = backend === "sysv" ? 1 : 2; // what is open and what is not of the span are two lines
    assert.equal(own, expected, "the second opening adds its overlay and no second fixed mapping");
    region.close();
    assert.ok(isPinned(), "the mapping stays for the other opening");
    other.close();
    assert.equal(isPinned(), false);
  });
}

function defineGrowth(backend: BackendName): void {
  test(`${backend}: growth by doubling, by step and to a size, up to the span`, (t) => {
    const half = PAGE / 2; // Shoal's own
    const doubling = createRegion(t, backend, { spanBytes: 8 * PAGE + 1 });
    assert.equal(doubling.spanBytes, 8 * PAGE);
    assert.equal(doubling.growStepBytes, 0);
    const sizes = [doubling.segmentSizeBytes];
    while (sizes.at(-1)! < doubling.spanBytes) {
      const before = doubling.sizeBytes;
      assert.equal(doubling.grow(), doubling.sizeBytes);
      assert.ok(doubling.sizeBytes >= 2 * before || doubling.segmentSizeBytes === doubling.spanBytes);
      sizes.push(doubling.segmentSizeBytes);
    }
    throwsCode(() => doubling.grow(), "ERR_SHOAL_SPAN");

    const stepping = createRegion(t, backend, { growStepBytes: PAGE + 1, spanBytes: 6 * PAGE });
    assert.equal(stepping.growStepBytes, 2 * PAGE);
    assert.equal(stepping.grow(), 3 * PAGE - half);
    assert.equal(stepping.grow(1), 3 * PAGE - half, "it is that large already");
    assert.equal(stepping.grow(3 * PAGE - half + 1), 4 * PAGE - half);
    assert.equal(stepping.grow(), 6 * PAGE - half);
    const error = throwsCode(() => stepping.grow(6 * PAGE - half + 1), "ERR_SHOAL_SPAN");
    assert.equal(error.details["mostBytes"], 6 * PAGE - half);
    assert.equal(stepping.sizeBytes, 6 * PAGE - half);
  });

  test(`${backend}: the others catch up with growth, their views staying valid`, async (t) => {
    const region = createRegion(t, backend);
    const other = openAgain(t, region);
    const reader = openAgain(t, region, { readOnly: true });
    const peer = startProcess(t);
    await peer.run(keepOpen, region.name, backend);
    const before = other.bytes();
    before[5] = 55;
    assert.equal(other.catchUp(), false);
    const sizeBytes = await peer.run(({ region: at }) => {
      const grown = at().grow(200_000);
      at().bytes(grown - 1, 1)[0] = 99;
      return grown;
    });
    assert.ok(sizeBytes >= 200_000);
    throwsCode(() => other.bytes(sizeBytes - 1, 1), "ERR_SHOAL_ARGUMENT");
    for (const one of [region, other, reader]) {
      assert.equal(one.catchUp(), true);
      assert.equal(one.catchUp(), false);
      assert.equal(one.sizeBytes, sizeBytes);
      assert.equal(one.bytes(sizeBytes - 1, 1)[0], 99);
      assert.equal(one.growths, 1);
    }
    before[6] = 66;
    assert.deepEqual([...other.bytes(5, 2)], [55, 66]);
    using late = Region.open(region.name, { backend });
    assert.equal(late.sizeBytes, sizeBytes);
  });

  test(`${backend}: sizes that are none cannot be grown to`, (t) => {
    const region = createRegion(t, backend);
    for (const size of [0, -1, Number.NaN, 1.5, Number.POSITIVE_INFINITY, "9" as never]) {
      throwsCode(() => region.grow(size), "ERR_SHOAL_SIZE");
    }
    for (const size of [region.spanBytes, 2 ** 32 + 1, 2 ** 40]) {
      throwsCode(() => region.grow(size), "ERR_SHOAL_SPAN");
    }
    assert.equal(region.segmentSizeBytes, PAGE);
    assert.equal(region.growths, 0);
  });
}

function defineFixedSize(): void {
  test("sysv: a segment has the size that it was made with, and says so", (t) => {
    const region = createRegion(t, "sysv", { sizeBytes: 100_000 });
    const { sizeBytes } = region;
    assert.equal(region.spanBytes, region.segmentSizeBytes);
    assert.equal(region.grow(sizeBytes), sizeBytes);
    assert.equal(region.catchUp(), false);
    throwsCode(() => region.grow(), "ERR_SHOAL_SPAN");
    throwsCode(() => region.grow(sizeBytes + 1), "ERR_SHOAL_SPAN");
    throwsCode(() => region.grow(0), "ERR_SHOAL_SIZE");
    assert.equal(region.sizeBytes, sizeBytes);
    const name = freshNameOf(t, "sysv");
    throwsCode(() => Region.create(name, { backend: "sysv", spanBytes: 2 ** 20 }), "ERR_SHOAL_SPAN");
  });

  test("sysv: a segment without a key is opened by its id", async (t) => {
    using region = Region.create(undefined, { backend: "sysv" });
    try {
      assert.match(region.name, /^id:\d+$/);
      assert.equal(await startProcess(t).run(keepOpen, region.name, "sysv" as const), region.uuid);
    } finally {
      region.remove();
    }
    throwsCode(() => Region.open(region.name, { backend: "sysv" }), "ERR_SHOAL_NOT_FOUND");
    assert.equal(existsSync(`/dev/shm/shoal-sysv-id-${region.name.slice(3)}.lock`), false);
  });
}

function defineEnd(backend: BackendName): void {
  test(`${backend}: after close every call says so, views read zeros, and closing again is harmless`, (t) => {
    const region = createRegion(t, backend);
    const other = openAgain(t, region);
    const bytes = region.bytes(0, 8);
    const words = region.words(8, 1);
    bytes.fill(1);
    words.fill(2);
    region.close();
    assert.equal(region.closed, true);
    assert.ok(bytes.every((byte) => byte === 0));
    bytes.fill(7);
    assert.equal(other.bytes(0, 1)[0], 1, "what is written to a stale view goes nowhere");
    const calls: Record<string, () => unknown> = {
      bytes: () => region.bytes(),
      words: () => region.words(0, 1),
      grow: () => region.grow(),
      catchUp: () => region.catchUp(),
      participants: () => region.participants(),
      recover: () => region.recover(),
      recoveries: () => region.recoveries,
      growths: () => region.growths,
      retired: () => region.retired,
      unlink: () => region.unlink(),
      check: () => region.check(),
    };
    for (const call of Object.values(calls)) throwsCode(call, "ERR_SHOAL_CLOSED");
    region.close();
    region.remove();
    region[Symbol.dispose]();
    assert.equal(other.participants().length, 1);
    assert.equal(other.recoveries, 0, "leaving is no death");
    using back = Region.open(other.name, { backend });
    assert.equal(back.slotIndex, region.slotIndex, "its slot is free again");
    assert.equal(back.bytes(0, 1)[0], 1);
  });

  test(`${backend}: what a closed region has held is given back, a hundred times over`, (t) => {
    const keeper = createRegion(t, backend, { fixedAddress: { startAddress: 78 * 2 ** 40 } });
    leaksNothing("opening and closing", () => {
      for (let round = 0; round < 100; round++) {
        const region = Region.open(keeper.name, { backend, readOnly: round % 3 === 0 });
        if (!region.readOnly) region.bytes(0, 1)[0] = round;
        region.close();
      }
    });
    leaksNothing("creating and removing", () => {
      for (let round = 0; round < 20; round++) Region.create(freshName(t, backend), { backend }).remove();
    });
    assert.equal(keeper.participants().length, 1);
  });

  test(`${backend}: a process that comes when all slots are taken is told so, until one is free`, async (t) => {
    assert.ok(isMainThread);
    const region = createRegion(t, backend, { maxParticipants: 2 });
    const [second, third] = [startProcess(t), startProcess(t)];
    await second.run(keepOpen, region.name, backend);
    const before = await third.run(({ holdings }) => holdings());
    const error = await refusesWith(third.run(keepOpen, region.name, backend), "ERR_SHOAL_PARTICIPANTS_FULL");
    assert.equal(error.details["maxParticipants"], 2);
    assert.deepEqual(await third.run(({ holdings }) => holdings()), before);
    using reader = Region.open(region.name, { backend, readOnly: true });
    assert.equal(reader.slotIndex, -1, "readers need no slot");
    await second.kill();
    await third.run(keepOpen, region.name, backend);
    assert.equal(region.recoveries, 1);
    assert.deepEqual(
      region.participants().map(({ pid, alive, epoch }) => [pid, alive, epoch]),
      [
        [process.pid, true, 0],
        [third.pid, true, 1],
      ],
    );
  });
}
