/** Permissions: mode bits, owners, and what another user's process may do. */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";
import { shmget, shmStat } from "../../src/os/index.ts";
import { Region } from "../../src/region/index.ts";
import type { BackendName } from "../../src/region/index.ts";
import { leaksNothing, refusesWith, throwsCode } from "../helpers/assertions.ts";
import type { PeerTools } from "../helpers/peer.ts";
import { noSecondUser, startStranger, STRANGER_UID } from "../helpers/root.ts";
import { createRegion, freshName, freshPosixName, pathOf } from "../helpers/segments.ts";

const backends: readonly BackendName[] = ["posix", "file", "sysv", "anonymous"];

function modeOf(region: Region): number {
  if (region.backend === "sysv") return shmStat(shmget(Number(region.name))).mode & 0o777;
  return statSync(pathOf(region)).mode & 0o7777;
}

for (const backend of backends) {
  test(`${backend}: mode bits are exactly those asked for, whatever the umask`, (t) => {
    const before = process.umask();
    t.after(() => void process.umask(before));
    for (const umask of [0o077, 0o000, 0o022]) {
      process.umask(umask);
      for (const mode of [undefined, 0o600, 0o640, 0o666, 0o400]) {
        const region = createRegion(t, backend, mode === undefined ? {} : { mode });
        assert.equal(modeOf(region), mode ?? 0o600, `umask ${umask.toString(8)}`);
        if (backend === "sysv") {
          // Whoever may write the segment must be able to hold a lock on its companion.
          const lock = statSync(`/dev/shm/shoal-sysv-key-${region.name.slice(2)}.lock`);
          assert.equal(lock.mode & 0o777, mode ?? 0o600);
        }
        region.remove();
      }
    }
  });
}

test("a private directory and its segment are for this user alone under any umask", (t) => {
  const before = process.umask(0);
  t.after(() => void process.umask(before));
  const region = Region.create();
  assert.equal(statSync(region.name.replace(/\/segment$/, "")).mode & 0o777, 0o700);
  assert.equal(modeOf(region), 0o600);
  region.remove();
});

function tryToOpen(
  { Region: Found }: PeerTools,
  name: string,
  backend: BackendName,
  readOnly: boolean,
): void {
  Found.open(name, { backend, readOnly }).close();
}

for (const backend of backends) {
  test(`${backend}: another user cannot open a 0600 segment`, { skip: noSecondUser }, async (t) => {
    const region = createRegion(t, backend);
    const stranger = startStranger(t);
    const open = (readOnly: boolean): Promise<void> =>
      stranger.run(tryToOpen, region.name, backend, readOnly);
    await refusesWith(open(false), "ERR_SHOAL_PERMISSION");
    const before = await stranger.run(({ holdings }) => holdings());
    await refusesWith(open(false), "ERR_SHOAL_PERMISSION");
    await refusesWith(open(true), "ERR_SHOAL_PERMISSION");
    await refusesWith(
      stranger.run(
        ({ Region: Found }, name, at) => void Found.openOrCreate(name, { backend: at }),
        region.name,
        backend,
      ),
      "ERR_SHOAL_PERMISSION",
    );
    assert.deepEqual(await stranger.run(({ holdings }) => holdings()), before);
    assert.equal(region.participants().length, 1);
  });
}

for (const backend of ["posix", "sysv"] as const) {
  test(
    `${backend}: another user takes part in a 0666 segment and cannot remove it`,
    { skip: noSecondUser },
    async (t) => {
      const umask = process.umask(0o077);
      t.after(() => void process.umask(umask));
      const region = createRegion(t, backend, { mode: 0o666 });
      const stranger = startStranger(t);
      const written = await stranger.run(
        ({ Region: Found, regions }, name, at) => {
          const opened = Found.open(name, { backend: at });
          regions.set("main", opened);
          opened.bytes(0, 1)[0] = 123;
          return opened.slotIndex;
        },
        region.name,
        backend,
      );
      assert.equal(written, 1);
      assert.equal(region.bytes(0, 1)[0], 123);
      await refusesWith(
        stranger.run(({ region: at }) => at().unlink()),
        "ERR_SHOAL_PERMISSION",
      );
      assert.equal(region.retired, false, "a removal that was refused changes nothing");
      const again = Region.open(region.name, { backend });
      again.close();
      await stranger.kill();
      assert.equal(region.recover(), 1);
    },
  );
}

test(
  "a segment of a user whom the caller does not trust is not opened",
  { skip: noSecondUser },
  async (t) => {
    const name = freshPosixName(t);
    const stranger = startStranger(t);
    await stranger.run(({ Region: Found, regions }, wanted) => {
      regions.set("main", Found.create(wanted, { mode: 0o666 }));
    }, name);
    const refuse = (): void => {
      const error = throwsCode(
        () => Region.open(name),
        "ERR_SHOAL_OWNER",
        new RegExp(`user ${STRANGER_UID}`),
      );
      assert.equal(error.details["ownerUid"], STRANGER_UID);
      throwsCode(() => Region.open(name, { readOnly: true }), "ERR_SHOAL_OWNER");
      throwsCode(() => Region.open(name, { allowOwners: [1, 2] }), "ERR_SHOAL_OWNER");
      throwsCode(() => Region.open(name, { allowOwners: [] }), "ERR_SHOAL_OWNER");
      throwsCode(() => Region.openOrCreate(name), "ERR_SHOAL_OWNER");
    };
    refuse();
    leaksNothing("refusing an owner", refuse);
    for (const allowOwners of ["any", [STRANGER_UID]] as const) {
      using region = Region.open(name, { allowOwners });
      assert.equal(region.participants().length, 2);
    }
  },
);

test("by default a process trusts its own user and root", { skip: noSecondUser }, async (t) => {
  const roots = createRegion(t, "posix", { mode: 0o666 });
  const stranger = startStranger(t);
  await stranger.run(tryToOpen, roots.name, "posix" as BackendName, false);
  const theirs = freshName(t, "posix")!;
  await stranger.run(({ Region: Found }, name) => {
    Found.create(name).close();
    Found.open(name).remove();
  }, theirs);
});
