/** Creation: what openers meet while it goes on, what is left when its process dies, and who wins a race. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { native } from "../../src/os/native.ts";
import { useCheckpoint } from "../../src/region/core.ts";
import { Region } from "../../src/region/index.ts";
import type { BackendName } from "../../src/region/index.ts";
import { leaksNothing, throwsCode, until } from "../helpers/assertions.ts";
import { mapsWith } from "../helpers/holdings.ts";
import { makeQueue, startProcess, startProcesses } from "../helpers/peer.ts";
import type { PeerTools } from "../helpers/peer.ts";
import { freshNameOf, freshPosixName, pathOf, hasSysvKey, shmNames } from "../helpers/segments.ts";

const named: readonly BackendName[] = ["posix", "file", "sysv"];

/** How many accesses to a new segment its creation makes. */
function countAccesses(backend: BackendName, name: string): number {
  let count = 0;
  useCheckpoint(() => void count++);
  const region = Region.create(name, { backend });
  useCheckpoint(undefined);
  const accesses = count;
  region.remove();
  return accesses;
}

for (const backend of named) {
  test(`${backend}: a creation that is interrupted at any access leaves nothing and says why`, (t) => {
    const name = freshNameOf(t, backend);
    const accesses = countAccesses(backend, name);
    assert.ok(accesses > 20, `a creation has many accesses, not ${accesses}`);
    const fixedAddress = { startAddress: 81 * 2 ** 40 };
    for (let last = 1; last <= accesses; last++) {
      leaksNothing(`a creation that ends at access ${last}`, () => {
        let count = 0;
        useCheckpoint(() => {
          if (++count === last) throw new Error("interrupted");
        });
        try {
          assert.throws(() => Region.create(name, { backend, fixedAddress }), /^Error: interrupted$/);
        } finally {
          useCheckpoint(undefined);
        }
      });
      if (backend !== "sysv") assert.equal(existsSync(pathOf({ name, backend })), false);
      else assert.equal(hasSysvKey(name), false);
      assert.deepEqual(shmNames(`key-${name.slice(2)}`), []);
    }
    assert.deepEqual(mapsWith("510000000000-"), [], "the fixed address is free again");
  });
}

/** Creates and is killed at an access; or comes through. */
function createAndDie(
  { Region: Found, useCheckpoint: use }: PeerTools,
  name: string,
  backend: BackendName,
  last: number,
): boolean {
  let count = 0;
  use(() => {
    if (++count === last) process.kill(process.pid, "SIGKILL");
  });
  Found.create(name, { backend });
  use(undefined);
  return count < last;
}

for (const backend of named) {
  test(`${backend}: a creator that is killed before it is done is named, and openOrCreate takes over`, async (t) => {
    const name = freshNameOf(t, backend);
    const accesses = countAccesses(backend, name);
    const nextProcess = makeQueue(t);
    // Every access once over all backends: each of the three takes a third.
    for (let last = 1 + named.indexOf(backend); last <= accesses; last += named.length) {
      const creator = nextProcess();
      await assert.rejects(creator.run(createAndDie, name, backend, last), /the peer ended/);
      assert.equal(await creator.ended, "SIGKILL");
      leaksNothing("a refused opening", () => {
        const error = throwsCode(() => Region.open(name, { backend }), "ERR_SHOAL_NOT_READY", /has died/);
        assert.equal(error.details["creatorAlive"], 0);
        assert.equal(error.details["creatorPid"], creator.pid);
      });
      throwsCode(() => Region.open(name, { backend, readOnly: true, timeoutMs: 0 }), "ERR_SHOAL_NOT_READY");
      throwsCode(() => Region.create(name, { backend }), "ERR_SHOAL_EXISTS");
      leaksNothing("taking over", () => {
        const region = Region.openOrCreate(name, { backend, timeoutMs: 0 });
        assert.equal(region.created, true);
        region.bytes(0, 1)[0] = 1;
        region.remove();
      });
    }
  });
}

test("while a creator is alive openers wait for it as long as they were told, and then know whom for", async (t) => {
  const name = freshPosixName(t);
  const creator = startProcess(t);
  // Stopped by itself in the middle of its creation, as seen from outside: alive and not ready.
  const stopped = creator.run(({ Region: Found, useCheckpoint: use, regions }, wanted) => {
    let count = 0;
    use(() => {
      if (++count === 10) process.kill(process.pid, "SIGSTOP");
    });
    regions.set("main", Found.create(wanted));
    use(undefined);
    return regions.get("main")?.uuid;
  }, name);
  await until("the creator has stopped", () =>
    /^State:\tT/m.test(readFileSync(`/proc/${creator.pid}/status`, "latin1")),
  );
  const begun = performance.now();
  const error = throwsCode(() => Region.open(name, { timeoutMs: 120 }), "ERR_SHOAL_NOT_READY", /alive/);
  assert.ok(performance.now() - begun >= 120);
  assert.deepEqual([error.details["creatorPid"], error.details["creatorAlive"]], [creator.pid, 1]);
  throwsCode(() => Region.openOrCreate(name, { timeoutMs: 0 }), "ERR_SHOAL_NOT_READY");
  assert.ok(existsSync(`/dev/shm${name}`), "nobody removes what somebody is making");
  const opener = startProcess(t);
  const opened = opener.run(
    ({ Region: Found }, wanted) => Found.open(wanted, { timeoutMs: 10_000 }).uuid,
    name,
  );
  process.kill(creator.pid, "SIGCONT");
  assert.equal(await opened, await stopped);
});

test("a creator that was overtaken before it had its lock does not go on under another's name", (t) => {
  const name = freshPosixName(t);
  const { lockSet } = native;
  const patched = native as { lockSet: typeof lockSet };
  let overtaker: Region | undefined;
  t.after(() => {
    patched.lockSet = lockSet;
    overtaker?.close();
  });
  patched.lockSet = (...args) => {
    patched.lockSet = lockSet;
    // Between the object's creation and its creator's lock: it looks abandoned.
    overtaker = Region.openOrCreate(name, { timeoutMs: 0 });
    return lockSet(...args);
  };
  throwsCode(() => Region.create(name), "ERR_SHOAL_EXISTS");
  assert.equal(overtaker?.created, true);
  using third = Region.open(name);
  assert.equal(third.uuid, overtaker?.uuid, "what was made meanwhile is there");
  overtaker?.remove();
});

test("who finds a dead creation removes that one, not what a new creator has put in its place", async (t) => {
  const name = freshPosixName(t);
  const path = `/dev/shm${name}`;
  const creator = startProcess(t);
  await creator.run(createAndDie, name, "posix" as BackendName, 5).catch(() => undefined);
  const { close, shmOpen } = native;
  const patched = native as { close: typeof close; shmOpen: typeof shmOpen };
  t.after(() => Object.assign(patched, { close, shmOpen }));
  let found = -1;
  let replacedAt = 0;
  patched.shmOpen = (...args) => {
    patched.shmOpen = shmOpen;
    return (found = shmOpen(...args));
  };
  patched.close = (fd) => {
    if (fd !== found) return close(fd);
    patched.close = close;
    // The dead creation was found and is let go of: a third process begins anew and has not got its lock yet.
    rmSync(path, { force: true });
    writeFileSync(path, "", { mode: 0o600 });
    replacedAt = performance.now();
    return close(fd);
  };
  const region = Region.openOrCreate(name, { timeoutMs: 0 });
  assert.equal(region.created, true);
  assert.ok(performance.now() - replacedAt >= 50, "the new one was given its grace");
  region.remove();
});

for (const backend of named) {
  test(`${backend}: of eight processes that openOrCreate at once exactly one creates`, async (t) => {
    const peers = startProcesses(t, 8);
    const rounds = backend === "posix" ? 20 : 10;
    for (let round = 0; round < rounds; round++) {
      const name = freshNameOf(t, backend);
      const results = await Promise.all(
        peers.map((peer) =>
          peer.run(
            ({ Region: Found, regions }, wanted, at) => {
              const region = Found.openOrCreate(wanted, { backend: at });
              regions.set("main", region);
              return { uuid: region.uuid, created: region.created };
            },
            name,
            backend,
          ),
        ),
      );
      assert.equal(results.filter(({ created }) => created).length, 1);
      assert.equal(new Set(results.map(({ uuid }) => uuid)).size, 1);
      const region = Region.open(name, { backend });
      assert.deepEqual(
        new Set(region.participants().map(({ pid }) => pid)),
        new Set([process.pid, ...peers.map(({ pid }) => pid)]),
      );
      await Promise.all(peers.map((peer) => peer.run(({ region: at }) => at().close())));
      region.remove();
    }
  });
}

test("eight processes take over one dead creation at once, and one of them succeeds it", async (t) => {
  const name = freshPosixName(t);
  const peers = startProcesses(t, 8);
  for (let round = 0; round < 4; round++) {
    const creator = startProcess(t);
    await creator.run(createAndDie, name, "posix" as BackendName, 5 + round).catch(() => undefined);
    const results = await Promise.all(
      peers.map((peer) =>
        peer.run(({ Region: Found, regions }, wanted) => {
          const region = Found.openOrCreate(wanted);
          regions.set("main", region);
          return region.uuid + (region.created ? " created" : "");
        }, name),
      ),
    );
    assert.equal(results.filter((uuid) => uuid.endsWith("created")).length, 1);
    assert.equal(new Set(results.map((uuid) => uuid.slice(0, 36))).size, 1);
    await Promise.all(peers.map((peer) => peer.run(({ region: at }) => at().close())));
    Region.unlink(name);
  }
});

test("processes that create, open and remove one name over and over never meet a broken segment", async (t) => {
  const name = freshPosixName(t);
  const peers = startProcesses(t, 4);
  const churn = ({ Region: Found }: PeerTools, wanted: string): Record<string, number> => {
    const outcomes: Record<string, number> = {};
    for (let round = 0; round < 200; round++) {
      let outcome = "opened";
      try {
        const region = Found.openOrCreate(wanted);
        if (region.created) outcome = "created";
        region.bytes(0, 1)[0]!++;
        if (round % 3 === 0) region.remove();
        else region.close();
      } catch (error) {
        outcome = String((error as { code?: string }).code);
      }
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
    return outcomes;
  };
  const results = await Promise.all(peers.map((peer) => peer.run(churn, name)));
  const codes = new Set(results.flatMap((outcomes) => Object.keys(outcomes)));
  // Removing what another one has removed a moment before is refused; nothing else goes wrong.
  for (const code of codes) assert.ok(["opened", "created", "ERR_SHOAL_NOT_FOUND"].includes(code), code);
  assert.ok(codes.has("created"));
});

test("four processes that grow one segment together all see all of it", async (t) => {
  using region = Region.create(freshPosixName(t), { growStepBytes: 65536, spanBytes: 1024 * 65536 });
  const peers = startProcesses(t, 4);
  const grown = await Promise.all(
    peers.map((peer) =>
      peer.run(({ Region: Found }, name) => {
        const mine = Found.open(name);
        let last = 0;
        for (let round = 0; round < 100; round++) {
          const sizeBytes = mine.grow(mine.sizeBytes + 65536);
          if (sizeBytes <= last) throw new Error("a growth made nothing larger");
          last = sizeBytes;
          mine.bytes(sizeBytes - 1, 1)[0] = 1;
        }
        mine.close();
        return last;
      }, region.name),
    ),
  );
  region.catchUp();
  assert.equal(region.sizeBytes, Math.max(...grown));
  assert.equal(statSync(`/dev/shm${region.name}`).size, region.segmentSizeBytes);
  assert.ok(region.growths >= 100);
});
