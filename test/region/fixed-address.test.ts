/**
 * Fixed addresses: where they are looked for, who shares a mapping, and what is never unmapped to make room.
 *
 * The tests' own addresses lie between 64 TiB, below which V8 puts its memories at random places, and 85 TiB, where
 * Linux loads programs.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { mmap } from "../../src/os/index.ts";
import { candidates } from "../../src/region/fixed-address.ts";
import { Region } from "../../src/region/index.ts";
import type { AddressSearch, BackendName } from "../../src/region/index.ts";
import { leaksNothing, refusesWith, throwsCode } from "../helpers/assertions.ts";
import { startProcess, startWorker } from "../helpers/peer.ts";
import type { PeerTools } from "../helpers/peer.ts";
import { createRegion, freshName, openAgain, shmNames } from "../helpers/segments.ts";

const TIB = 2 ** 40;
const PAGE = 65536;
const backends: readonly BackendName[] = ["posix", "file", "sysv", "anonymous"];

/** Maps something of this test's own at an address. */
function occupy(t: TestContext, address: number): Uint8Array {
  const obstacle = mmap({ address, fixed: "no-replace", lengthBytes: 4096 });
  t.after(() => obstacle.unmap());
  const bytes = new Uint8Array(obstacle.buffer);
  bytes.fill(0xab);
  return bytes;
}

test("addresses are tried from the start outwards, with hop, number of tries and factor as asked", () => {
  const inTib = (search: AddressSearch): number[] => candidates(search).map((address) => address / TIB);
  assert.deepEqual(inTib({}), [64, 63, 65, 62, 66, 61, 67, 60, 68, 59]);
  assert.deepEqual(inTib({ startAddress: 16 * TIB, hopBytes: 2 * TIB, tries: 4 }), [16, 14, 18, 12]);
  assert.deepEqual(inTib({ startAddress: 100 * TIB, factor: 2, tries: 7 }), [100, 99, 101, 97, 103, 93, 107]);
  assert.deepEqual(inTib({ tries: 1 }), [64]);
  assert.deepEqual(inTib({ startAddress: TIB, tries: 5 }), [1, 2, 3], "what is no address is left out");
  assert.ok(candidates({ tries: 10_000, hopBytes: 2 ** 47 }).length < 10);
  assert.ok(candidates({ tries: 10_000, factor: 1024 }).every((address) => address > 0 && address < 2 ** 48));
});

for (const backend of backends) {
  test(`${backend}: creation passes by what is in the way, and opening has that one address or none`, async (t) => {
    const startAddress = 66 * TIB + backends.indexOf(backend) * (TIB / 8);
    const spanBytes = backend === "sysv" ? {} : { spanBytes: 4 * PAGE };
    const fixedAddress = { startAddress, hopBytes: 4 * PAGE, tries: 3 };
    const first = occupy(t, startAddress + 4096);
    const region = createRegion(t, backend, { ...spanBytes, sizeBytes: PAGE, fixedAddress });
    assert.equal(region.fixedAddress, startAddress - 4 * PAGE);
    assert.ok(first.every((byte) => byte === 0xab));

    const second = occupy(t, startAddress + 5 * PAGE);
    const name = freshName(t, backend);
    const create = (): Region =>
      Region.create(name, { backend, ...spanBytes, sizeBytes: PAGE, fixedAddress });
    const error = throwsCode(create, "ERR_SHOAL_NO_ADDRESS", /none of 3 addresses/);
    assert.equal(error.details["tries"], 3);
    leaksNothing("a search in vain", () => throwsCode(create, "ERR_SHOAL_NO_ADDRESS"));
    assert.deepEqual(shmNames(name?.slice(1) ?? "no such name"), []);
    assert.ok(second.every((byte) => byte === 0xab));

    const open = ({ Region: Found, regions }: PeerTools, wanted: string, at: BackendName): number => {
      const opened = Found.open(wanted, { backend: at });
      regions.set("main", opened);
      return opened.fixedAddress;
    };
    const hindered = startProcess(t);
    await hindered.run(({ os }, address) => {
      Object.assign(globalThis, { obstacle: os.mmap({ address, fixed: "no-replace", lengthBytes: 4096 }) });
    }, region.fixedAddress + PAGE);
    const before = await hindered.run(({ holdings }) => holdings());
    await refusesWith(hindered.run(open, region.name, backend), "ERR_SHOAL_ADDRESS_TAKEN");
    assert.deepEqual(await hindered.run(({ holdings }) => holdings()), before);
    const peer = startProcess(t);
    assert.equal(await peer.run(open, region.name, backend), region.fixedAddress);
    assert.equal(region.participants().length, 2);
  });
}

test("what is written through the fixed address is the segment, before and after growth", async (t) => {
  const region = createRegion(t, "posix", { spanBytes: 16 * PAGE, fixedAddress: { startAddress: 68 * TIB } });
  const peer = startProcess(t);
  const write = ({ region: at, native }: PeerTools, offset: number, value: number): void => {
    const address = at().fixedAddress + at().dataOffset + offset;
    const there = native.externalBuffer(address, 1) as ArrayBuffer;
    new Uint8Array(there)[0] = value;
    native.detach(there);
  };
  await peer.run(
    ({ Region: Found, regions }, name) => void regions.set("main", Found.open(name)),
    region.name,
  );
  await peer.run(write, 7, 11);
  assert.equal(region.bytes(7, 1)[0], 11);
  region.grow(8 * PAGE);
  await peer.run(({ region: at }) => void at().catchUp());
  await peer.run(write, 8 * PAGE - 1, 12);
  assert.equal(region.bytes(8 * PAGE - 1, 1)[0], 12);
});

test("threads and openings of a process share the fixed mapping, and the last one takes it away", async (t) => {
  const region = createRegion(t, "posix", { fixedAddress: { startAddress: 69 * TIB } });
  const isThere = (): boolean => {
    try {
      mmap({ address: region.fixedAddress, fixed: "no-replace", lengthBytes: 4096 }).unmap();
      return false;
    } catch {
      return true; // taken: ERR_SHOAL_ADDRESS_TAKEN
    }
  };
  const worker = startWorker(t);
  const open = ({ Region: Found, regions }: PeerTools, name: string): number => {
    const opened = Found.open(name);
    regions.set("main", opened);
    return opened.fixedAddress;
  };
  assert.equal(await worker.run(open, region.name), region.fixedAddress);
  const again = openAgain(t, region);
  region.close();
  again.close();
  assert.ok(isThere(), "the worker has it still");
  await worker.kill();
  assert.equal(isThere(), false, "a terminated worker's share is given back");
});

test("another segment cannot have an address that this process uses for one", (t) => {
  const fixedAddress = { startAddress: 70 * TIB, tries: 1 };
  const region = createRegion(t, "posix", { fixedAddress });
  throwsCode(() => createRegion(t, "posix", { fixedAddress }), "ERR_SHOAL_NO_ADDRESS");
  region.close();
  const next = createRegion(t, "file", { fixedAddress });
  assert.equal(next.fixedAddress, region.fixedAddress);
  throwsCode(() => openAgain(t, region), "ERR_SHOAL_ADDRESS_TAKEN");
  const reader = openAgain(t, region, { readOnly: true });
  assert.equal(reader.uuid, region.uuid, "a reader needs no address");
});
