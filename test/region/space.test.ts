/** Space: a full file system is an error with numbers, and a segment that is truncated underneath kills nobody. */
import assert from "node:assert/strict";
import { mkdirSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Region } from "../../src/region/index.ts";
import { refusesWith, throwsCode } from "../helpers/assertions.ts";
import { startProcess } from "../helpers/peer.ts";
import type { PeerTools } from "../helpers/peer.ts";
import { noMount, startInSmallMount } from "../helpers/root.ts";
import { createRegion, freshFolder, pathOf } from "../helpers/segments.ts";

const PAGE = 65536 as const;

/** Creates a file segment; says what is in its folder afterwards. */
async function create({ Region: Found, regions, holdings }: PeerTools, name: string, sizeBytes: number) {
  const before = holdings();
  try {
    regions.set(name, Found.create(name, { backend: "file", sizeBytes }));
  } catch (error) {
    const after = holdings();
    const { readdirSync, statfsSync } = await import("node:fs");
    const folder = name.replace(/\/[^/]*$/, "");
    const { bfree, blocks } = statfsSync(folder);
    Object.assign(error as Error, { details: { ...(error as { details: object }).details, before, after } });
    Object.assign((error as { details: object }).details, {
      names: readdirSync(folder).join(),
      bfree,
      blocks,
    });
    throw error;
  }
}

test(
  "a full file system refuses creation with the numbers, and nothing is left of it",
  { skip: noMount },
  async (t) => {
    const folder = join(freshFolder(t), "small");
    mkdirSync(folder);
    const peer = startInSmallMount(t, folder, 1024 * 1024);
    const attempt = (): Promise<unknown> => peer.run(create, join(folder, "segment"), 2 * 1024 * 1024);
    await refusesWith(attempt(), "ERR_SHOAL_NO_SPACE");
    const error = await refusesWith(attempt(), "ERR_SHOAL_NO_SPACE");
    assert.match(error.message, /\d{5}/, "the message has the numbers");
    const details = error.details as Record<string, unknown>;
    assert.equal(details["names"], "");
    assert.equal(details["bfree"], details["blocks"], "all of the space is free again");
    assert.deepEqual(details["after"], details["before"]);
    await peer.run(create, join(folder, "segment"), 512 * 1024);
  },
);

test(
  "a full file system refuses growth with the numbers, and what is there stays whole",
  { skip: noMount },
  async (t) => {
    const folder = join(freshFolder(t), "small");
    mkdirSync(folder);
    const peer = startInSmallMount(t, folder, 1024 * 1024);
    const name = join(folder, "segment");
    await peer.run(create, name, 512 * 1024);
    const before = await peer.run(({ holdings, region }, key) => {
      const sizeBytes = region(key).sizeBytes;
      region(key).bytes().fill(0x5a);
      return { sizeBytes, held: holdings() };
    }, name);
    for (const sizeBytes of [1024 * 1024, 2 ** 30]) {
      const error = await refusesWith(
        peer.run(({ region }, key, wanted) => region(key).grow(wanted), name, sizeBytes),
        "ERR_SHOAL_NO_SPACE",
      );
      assert.match(error.message, /\d{5}/);
    }
    const after = await peer.run(({ holdings, region }, key) => {
      const mine = region(key);
      const isWhole = mine.bytes().every((byte) => byte === 0x5a);
      const found = { sizeBytes: mine.sizeBytes, held: holdings() };
      // What does fit can still be had.
      mine.grow(mine.sizeBytes + 65536);
      mine.bytes(mine.sizeBytes - 1, 1)[0] = 1;
      return { ...found, isWhole, caughtUp: mine.catchUp() };
    }, name);
    assert.deepEqual(after, { ...before, isWhole: true, caughtUp: false });
  },
);

/** How a truncated object refuses to be opened while others have it open. */
const reopening = {
  0: "ERR_SHOAL_NOT_READY",
  100: "ERR_SHOAL_NOT_SHOAL",
  [PAGE]: "ERR_SHOAL_SIZE_MISMATCH",
} as const;

for (const lengthBytes of [0, 100, PAGE] as const) {
  test(`a process whose segment is truncated to ${lengthBytes} bytes underneath reads zeros, is told, and lives`, async (t) => {
    const region = createRegion(t, "posix", { sizeBytes: 4 * PAGE });
    const peer = startProcess(t);
    const before = await peer.run(({ Region: Found, regions, holdings }, name) => {
      const found = holdings();
      const mine = Found.open(name);
      mine.bytes().fill(9);
      regions.set("main", mine);
      Object.assign(globalThis, { view: mine.bytes() });
      return found;
    }, region.name);
    truncateSync(pathOf(region), lengthBytes);
    const read = await peer.run(() => {
      const { view } = globalThis as unknown as { view: Uint8Array };
      return [view.at(-1), view.at(3 * 65536)];
    });
    assert.deepEqual(read, [0, 0]);
    for (const call of ["bytes", "participants", "grow", "recover", "catchUp"] as const) {
      await refusesWith(
        peer.run(({ region: at }, what) => void at()[what](), call),
        "ERR_SHOAL_DAMAGED",
      );
    }
    await refusesWith(
      peer.run(({ Region: Found }, name) => void Found.open(name, { timeoutMs: 0 }), region.name),
      // Nothing tells an empty object whose participants live from one that is being created.
      reopening[lengthBytes],
    );
    await peer.run(({ region: at }) => at().remove());
    await refusesWith(
      peer.run(({ region: at }) => void at().bytes()),
      "ERR_SHOAL_CLOSED",
    );
    assert.deepEqual(await peer.run(({ holdings }) => holdings()), before);
    throwsCode(() => Region.open(region.name), "ERR_SHOAL_NOT_FOUND");
    // This process had it open too, and lives: its own view is as damaged.
    assert.equal(region.buffer.byteLength > 0 && new Uint8Array(region.buffer).at(-1), 0);
    throwsCode(() => region.bytes(), "ERR_SHOAL_DAMAGED");
  });
}

test("a region that is no longer used but whose view is, stays open", async (t) => {
  const peer = startProcess(t, { execArgv: ["--expose-gc"] });
  const region = createRegion(t, "posix");
  const seen = await peer.run(async ({ Region: Found }, name) => {
    const collect = (globalThis as unknown as { gc(): void }).gc;
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    const view = ((): Uint8Array => Found.open(name).bytes(0, 1))();
    for (let round = 0; round < 5; round++) {
      collect();
      await turn();
    }
    view[0] = 77;
    return view[0];
  }, region.name);
  assert.equal(seen, 77);
  assert.equal(region.bytes(0, 1)[0], 77, "the view is still the segment's");
  assert.equal(region.participants().length, 2);
});

test("a region that nobody uses any more gives up its slot when it is collected", async (t) => {
  const peer = startProcess(t, { execArgv: ["--expose-gc"] });
  const region = createRegion(t, "posix");
  await peer.run(async ({ Region: Found }, name) => {
    const collect = (globalThis as unknown as { gc(): void }).gc;
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    for (let round = 0; round < 3; round++) ((): void => void Found.open(name).grow())();
    for (let round = 0; round < 10; round++) {
      collect();
      await turn();
    }
  }, region.name);
  assert.equal(region.participants().filter((participant) => participant.alive).length, 1);
  assert.equal(region.recover(), 3);
  assert.equal(region.participants().length, 1);
});

test("regions that are opened and closed in one turn of the event loop do not keep their memories", async (t) => {
  const peer = startProcess(t, { execArgv: ["--expose-gc"] });
  const region = createRegion(t, "posix");
  const grownKiB = await peer.run(({ Region: Found, os, native }, name) => {
    const collect = (globalThis as unknown as { gc(): void }).gc;
    const sizeKiB = (): number => {
      const bytes = new Uint8Array(4096);
      const fd = os.open("/proc/self/status", { access: "read" });
      native.pread(fd, bytes, 0);
      os.close(fd);
      return Number(/VmSize:\s*(\d+)/.exec(Buffer.from(bytes).toString("latin1"))?.[1]);
    };
    const before = sizeKiB();
    for (let round = 0; round < 200; round++) {
      Found.open(name).close();
      if (round % 20 === 19) collect();
    }
    return sizeKiB() - before;
  }, region.name);
  // Each reserves 4 GiB of addresses and more.
  assert.ok(grownKiB < 100 * 4 * 2 ** 20, `${grownKiB} KiB of address space are kept`);
});
