/**
 * The rows of rszshm (resizable, pointer-safe shared memory), end to end: unrelated processes throughout.
 */
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { mmap } from "../../src/os/index.ts";
import { Region } from "../../src/region/index.ts";
import { leaksNothing, refusesWith, throwsCode } from "../helpers/assertions.ts";
import { mapsWith } from "../helpers/holdings.ts";
import { startProcess, startProcesses } from "../helpers/peer.ts";
import type { Peer, PeerTools } from "../helpers/peer.ts";
import { createRegion, freshFolder, freshPosixName, openAgain } from "../helpers/segments.ts";
import { makeProbe } from "../helpers/wasm-probe.ts";

const TIB = 2 ** 40;
const PAGE = 65536;

test("R1 unrelated processes map a segment at one address, searched from the middle outwards", async (t) => {
  const name = freshPosixName(t);
  const [one, other] = startProcesses(t, 2) as [Peer, Peer];
  const create = ({ Region: Found, regions }: PeerTools, wanted: string): number => {
    const region = Found.create(wanted, { fixedAddress: true });
    regions.set("main", region);
    // A pointer into the segment, stored in the segment, as a C program would.
    const pointer = region.fixedAddress + region.dataOffset + 64;
    new DataView(region.buffer).setBigUint64(region.dataOffset, BigInt(pointer), true);
    region.bytes(64, 5).set([83, 72, 79, 65, 76]);
    return region.fixedAddress;
  };
  assert.equal(await one.run(create, name), 64 * TIB);
  const follow = ({ Region: Found, native }: PeerTools, wanted: string): string => {
    const region = Found.open(wanted);
    const pointer = Number(new DataView(region.buffer).getBigUint64(region.dataOffset, true));
    const there = native.externalBuffer(pointer, 5) as ArrayBuffer;
    const text = Buffer.from(new Uint8Array(there)).toString();
    native.detach(there);
    region.close();
    return text;
  };
  assert.equal(await other.run(follow, name), "SHOAL");

  // What is in the way stays where it is: -hop, +hop, -2 hop are tried in turn.
  const lengthBytes = PAGE;
  const spanBytes = 16 * PAGE;
  const found: number[] = [];
  for (let round = 0; round < 4; round++) {
    const region = createRegion(t, "posix", { spanBytes, fixedAddress: true });
    found.push(region.fixedAddress / TIB);
    region.close();
    const obstacle = mmap({ address: region.fixedAddress, fixed: "no-replace", lengthBytes });
    t.after(() => obstacle.unmap());
    new Uint8Array(obstacle.buffer).fill(7);
    if (round === 3) assert.ok(new Uint8Array(obstacle.buffer).every((byte) => byte === 7));
  }
  assert.deepEqual(found, [64, 63, 65, 62]);
});

test("R2 the address is in the header: an attaching process gets exactly it, or an error", async (t) => {
  const startAddress = 76 * TIB;
  const region = createRegion(t, "posix", { fixedAddress: { startAddress } });
  const peer = startProcess(t);
  const open = ({ Region: Found, regions }: PeerTools, name: string): number => {
    const opened = Found.open(name);
    regions.set("main", opened);
    return opened.fixedAddress;
  };
  assert.equal(await peer.run(open, region.name), startAddress);
  const hindered = startProcess(t);
  await hindered.run(({ os }, address) => {
    const obstacle = os.mmap({ address, fixed: "no-replace", lengthBytes: 4096 });
    new Uint8Array(obstacle.buffer).fill(9);
    Object.assign(globalThis, { obstacle });
  }, startAddress + PAGE);
  const before = await hindered.run(({ holdings }) => holdings());
  const error = await refusesWith(hindered.run(open, region.name), "ERR_SHOAL_ADDRESS_TAKEN");
  assert.match(error.message, /0x4c0000000000/);
  assert.deepEqual(await hindered.run(({ holdings }) => holdings()), before);
  const isUntouched = await hindered.run(() => {
    const { obstacle } = globalThis as unknown as { obstacle: { buffer: ArrayBuffer } };
    return new Uint8Array(obstacle.buffer).every((byte) => byte === 9);
  });
  assert.ok(isUntouched);
  assert.equal(region.participants().length, 2);

  // A short header and one of zeros.
  const path = `/dev/shm${freshPosixName(t)}`;
  writeFileSync(path, new Uint8Array(100));
  throwsCode(() => Region.open(path.slice(8)), "ERR_SHOAL_NOT_SHOAL", /100 bytes/);
  writeFileSync(path, new Uint8Array(4096));
  throwsCode(() => Region.open(path.slice(8)), "ERR_SHOAL_NOT_SHOAL");
});

test("R3 a span is reserved and growth fills it; past the size nothing is lost silently", (t) => {
  const spanBytes = 8 * PAGE;
  const region = createRegion(t, "posix", { spanBytes, fixedAddress: true });
  const other = openAgain(t, region);
  assert.equal(region.spanBytes, spanBytes);
  const mapped = mapsWith(region.name).filter((line) => line.startsWith(region.fixedAddress.toString(16)));
  assert.ok(mapped.length >= 1, "the span is mapped at its fixed address");
  const end = region.segmentSizeBytes;
  const load = makeProbe(region.memory);
  const oldBytes = new Uint8Array(region.buffer);

  oldBytes[end] = 1; // JavaScript drops it, and says so when asked:
  assert.equal(oldBytes[end], undefined);
  assert.throws(() => new DataView(region.buffer).setUint8(end, 1), RangeError);
  assert.throws(() => load(end), WebAssembly.RuntimeError);
  assert.throws(() => load(spanBytes), WebAssembly.RuntimeError);
  throwsCode(() => region.bytes(region.sizeBytes, 1), "ERR_SHOAL_ARGUMENT");
  assert.throws(() => makeProbe(other.memory)(end), WebAssembly.RuntimeError);

  oldBytes[end - 1] = 5;
  region.grow(6 * PAGE - region.dataOffset);
  assert.equal(load(end), 0, "nothing of what was written past the end is there after growth");
  assert.equal(new Uint8Array(region.buffer)[end - 1], 5);
  assert.equal(oldBytes.buffer.byteLength, end, "an old view stays as long as it was");
  assert.ok(other.catchUp());
  other.bytes(other.sizeBytes - 1, 1)[0] = 8;
  assert.equal(region.bytes(region.sizeBytes - 1, 1)[0], 8);

  throwsCode(() => region.grow(spanBytes), "ERR_SHOAL_SPAN", /span/);
  assert.equal(region.grow(), spanBytes - region.dataOffset);
  throwsCode(() => region.grow(), "ERR_SHOAL_SPAN");
  assert.equal(statSync(`/dev/shm${region.name}`).size, spanBytes);
});

test("R4 growth is cooperative: who finds the segment large enough catches up and does not grow", async (t) => {
  const region = createRegion(t, "posix", { spanBytes: 32 * PAGE });
  const peer = startProcess(t);
  await peer.run(
    ({ Region: Found, regions }, name) => void regions.set("main", Found.open(name)),
    region.name,
  );
  const grow = ({ region: at }: PeerTools, sizeBytes?: number): number => at().grow(sizeBytes);
  /** Data bytes of a segment of so many pages. */
  const inPages = (pages: number): number => pages * PAGE - region.dataOffset;
  const sizeBytes = region.sizeBytes;
  assert.equal(region.catchUp(), false);
  assert.equal(await peer.run(grow, inPages(5)), inPages(5));
  const { growths } = region;
  assert.equal(region.sizeBytes, sizeBytes, "a participant sees growth when it looks for it");
  assert.equal(region.grow(inPages(3)), inPages(5));
  assert.equal(region.growths, growths, "the other one's growth was enough");
  assert.ok((await peer.run(grow, undefined)) >= 2 * inPages(5));
  assert.equal(region.catchUp(), true);
  assert.equal(region.catchUp(), false);
  assert.ok(region.sizeBytes >= 2 * inPages(5));
  assert.ok((await peer.run(grow, undefined)) >= 4 * inPages(5));
  assert.equal(await peer.run(grow, undefined), inPages(32), "the last doubling ends at the span");
});

test("R4 a segment grows past 1 and 3 GiB, where the original failed and wiped the file", (t) => {
  const { bavail, bsize } = statfsSync(tmpdir());
  if (bavail * bsize < 5 * 2 ** 30) return t.skip("the temporary folder has less than 5 GiB free");
  const region = createRegion(t, "file");
  const other = openAgain(t, region);
  region.bytes(0, 5).set([1, 2, 3, 4, 5]);
  for (const gib of [1.5, 3.25]) {
    const sizeBytes = gib * 2 ** 30 - region.dataOffset;
    assert.equal(region.grow(sizeBytes), sizeBytes);
    region.bytes(sizeBytes - 1, 1)[0] = gib * 4;
    assert.ok(other.catchUp());
    assert.equal(other.bytes(sizeBytes - 1, 1)[0], gib * 4);
  }
  assert.deepEqual([...other.bytes(0, 5)], [1, 2, 3, 4, 5]);
  other.remove();
});

test("R5 a segment without a name is alone in a private directory, or in one made from a template", async (t) => {
  const region = Region.create();
  t.after(() => region.remove());
  assert.equal(region.backend, "file");
  assert.match(region.name, /^\/dev\/shm\/shoal-[^/]{6}\/segment$/);
  assert.equal(statSync(dirname(region.name)).mode & 0o777, 0o700);
  assert.equal(statSync(region.name).mode & 0o777, 0o600);
  const peer = startProcess(t);
  const uuidOf = ({ Region: Found }: PeerTools, name: string): string => {
    const opened = Found.open(name, { backend: "file" });
    opened.close();
    return opened.uuid;
  };
  assert.equal(await peer.run(uuidOf, region.name), region.uuid);

  const folder = freshFolder(t);
  const template = join(folder, "mine-XXXXXX");
  using second = Region.create(undefined, { template });
  assert.match(second.name, /\/mine-[^/]{6}\/segment$/);
  throwsCode(() => Region.create(undefined, { template: join(folder, "mine") }), "ERR_SHOAL_NAME");
  throwsCode(() => Region.create(undefined, { template: join(folder, "no/XXXXXX") }), "ERR_SHOAL_NOT_FOUND");

  // Creation is exclusive, and one that fails leaves nothing and says what failed first.
  throwsCode(() => Region.create(second.name, { backend: "file" }), "ERR_SHOAL_EXISTS");
  assert.ok(existsSync(second.name), "the loser of an exclusive creation removes nothing");
  const fixedAddress = { startAddress: PAGE, hopBytes: 2 ** 47, tries: 1 };
  const listed = readdirSync(folder);
  leaksNothing("a creation that failed", () => {
    throwsCode(
      () => Region.create(undefined, { template, fixedAddress, spanBytes: 2 ** 32 }),
      "ERR_SHOAL_NO_ADDRESS",
    );
  });
  assert.deepEqual(readdirSync(folder), listed);
  second.remove();
  assert.deepEqual(readdirSync(folder), []);
});

test("R6 detaching, unlinking and removing each do that and no more, and detaching twice is harmless", async (t) => {
  const region = createRegion(t, "posix");
  const peer = startProcess(t);
  await peer.run(
    ({ Region: Found, regions }, name) => void regions.set("main", Found.open(name)),
    region.name,
  );
  region.bytes(0, 1)[0] = 42;

  const kept = region.bytes(0, 1);
  region.close();
  region.close();
  assert.equal(kept[0], 0, "a view that was kept reads zeros");
  throwsCode(() => region.bytes(), "ERR_SHOAL_CLOSED");
  assert.equal(await peer.run(({ region: at }) => at().bytes(0, 1)[0]), 42);

  await peer.run(({ region: at }) => at().unlink());
  assert.equal(existsSync(`/dev/shm${region.name}`), false);
  throwsCode(() => Region.open(region.name), "ERR_SHOAL_NOT_FOUND");
  assert.equal(await peer.run(({ region: at }) => at().bytes(0, 1)[0]), 42, "who has it keeps it");
  await refusesWith(
    peer.run(({ region: at }) => at().unlink()),
    "ERR_SHOAL_NOT_FOUND",
  );

  // A name that was no template: the folder that it is in is somebody else's and stays.
  const folder = join(freshFolder(t), "kept");
  mkdirSync(folder);
  Region.create(join(folder, "segment"), { backend: "file" }).remove();
  assert.deepEqual(readdirSync(folder), []);
  const nameless = Region.create();
  nameless.remove();
  nameless.remove();
  assert.equal(existsSync(dirname(nameless.name)), false);
});

/** Takes indexes by fetch-and-add until `stop`, growing when one passes the end; returns how many it wrote. */
function fill({ region: at }: PeerTools, stop: number, letter: number): { written: number; clashes: number } {
  const region = at();
  const next = region.words(0, 1);
  let bytes = region.bytes(64);
  let [written, clashes] = [0, 0];
  for (;;) {
    const index = Atomics.add(next, 0, 1);
    if (index >= stop) return { written, clashes };
    while (index >= bytes.length) {
      // Exactly to where the index is: as many growths as there can be, so that they meet each other.
      region.grow(64 + index + 1);
      bytes = region.bytes(64);
    }
    if (bytes[index] !== 0) clashes++;
    bytes[index] = letter;
    written++;
  }
}

test("R7 the cooperative fill: eight processes grow one segment while they write it, and no byte is lost", async (t) => {
  const peers = startProcesses(t, 8);
  const stop = 512 * 1024;
  for (let round = 0; round < 8; round++) {
    const region = createRegion(t, "posix", { sizeBytes: 1 });
    const open = ({ Region: Found, regions }: PeerTools, name: string): void =>
      void regions.set("main", Found.open(name));
    await Promise.all(peers.map((peer) => peer.run(open, region.name)));
    const results = await Promise.all(peers.map((peer, index) => peer.run(fill, stop, 65 + index)));
    region.catchUp();
    const histogram = Array.from({ length: 256 }, () => 0);
    for (const letter of region.bytes(64, stop)) histogram[letter]!++;
    assert.equal(histogram[0], 0, "no byte was lost");
    assert.deepEqual(
      results.map(({ written }) => written),
      histogram.slice(65, 65 + peers.length),
      "each letter stands as often as it was written",
    );
    assert.equal(
      results.reduce((sum, { written }) => sum + written, 0),
      stop,
    );
    assert.ok(results.every(({ clashes }) => clashes === 0));
    assert.ok(region.growths > 0);
    await Promise.all(peers.map((peer) => peer.run(({ region: at }) => at().close())));
    region.remove();
  }
});

test("R8 a header that does not match its file is refused by every process, and none dies", async (t) => {
  const peer = startProcess(t);
  const region = createRegion(t, "posix", { sizeBytes: 4 * PAGE });
  region.close();
  const path = `/dev/shm${region.name}`;
  const open = ({ Region: Found }: PeerTools, name: string, readOnly: boolean): void =>
    void Found.open(name, { readOnly });
  for (const [lengthBytes, code] of [
    [4 * PAGE, "ERR_SHOAL_SIZE_MISMATCH"],
    [5000, "ERR_SHOAL_SIZE_MISMATCH"],
    [100, "ERR_SHOAL_NOT_SHOAL"],
    [0, "ERR_SHOAL_EMPTY"],
  ] as const) {
    truncateSync(path, lengthBytes);
    await refusesWith(peer.run(open, region.name, false), code);
    await refusesWith(peer.run(open, region.name, true), code);
    throwsCode(() => Region.open(region.name), code);
    assert.equal(statSync(path).size, lengthBytes, "the file is as it was");
  }
  assert.equal(await peer.run(({ holdings }) => holdings().mappings), 0);
});

/** Grows; killed at the k-th access to the segment that it makes meanwhile. Says when that never came. */
function growAndDie({ Region: Found, useCheckpoint }: PeerTools, name: string, last: number): boolean {
  let count = 0;
  let isArmed = false;
  useCheckpoint(() => {
    if (isArmed && ++count === last) process.kill(process.pid, "SIGKILL");
  });
  const region = Found.open(name);
  isArmed = true;
  region.grow();
  isArmed = false;
  useCheckpoint(undefined);
  region.close();
  return count < last;
}

test("R9 a process that is killed inside grow blocks nobody", async (t) => {
  const region = createRegion(t, "posix", { growStepBytes: PAGE });
  let isThrough = false;
  for (let last = 1; !isThrough; last++) {
    assert.ok(last < 50, "growing comes to an end");
    const victim = startProcess(t);
    const outcome = await victim.run(growAndDie, region.name, last).catch(() => "killed" as const);
    if (outcome === "killed") assert.equal(await victim.ended, "SIGKILL");
    else isThrough = outcome;
    region.catchUp();
    const sizeBytes = region.sizeBytes;
    assert.equal(region.grow(), sizeBytes + PAGE);
    region.bytes(sizeBytes, 1)[0] = last;
    assert.equal(region.recover(), isThrough ? 0 : 1);
    const other = openAgain(t, region);
    assert.equal(other.bytes(sizeBytes, 1)[0], last);
    other.close();
    if (isThrough) assert.ok(last > 3, "the victims died at several places");
  }
});
