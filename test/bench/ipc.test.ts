/**
 * The ipc benchmark with its peers: those that need nothing are always there, the others where they are installed, and
 * nothing of any of them stays behind. Nothing here judges a time.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startPair, startSoloist } from "../../bench/ipc/pair.ts";
import { installPackages } from "../../bench/ipc/peers/install.ts";
import { ipcPeers } from "../../bench/ipc/peers/index.ts";
import { hasPackage, packageVersions } from "../../bench/ipc/peers/packages.ts";
import { plainNode } from "../../bench/ipc/registry.ts";
import { freshFolder } from "../helpers/segments.ts";

const program = fileURLToPath(new URL("../../bench/main.js", import.meta.url));
const patienceMs = 20_000;
const quick = { ms: 0, isQuick: true };

const smallPeers = ["process.send", "process.send advanced", "unix socket", "pipe", "postMessage"];
const optionalPeers = ["ringbuf.js", "zeromq", "redis"];
const largePeers = {
  loan: ["unix socket", "pipe", "postMessage transfer"],
  copy: ["unix socket", "pipe", "postMessage"],
};

/** The processes that have this text in their environment. */
function processesWith(text: string): string[] {
  return readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return readFileSync(`/proc/${name}/environ`, "utf8").includes(text);
    } catch {
      return false; // it has ended meanwhile, or is somebody else's
    }
  });
}

async function waitUntil(what: string, isSo: () => boolean): Promise<void> {
  for (const endMs = performance.now() + patienceMs; !isSo();) {
    assert.ok(performance.now() < endMs, `waited in vain for ${what}`);
    // oxlint-disable-next-line no-await-in-loop
    await sleep(10);
  }
}

test("every row has the peers that need nothing installed, says what else is missing, and leaves nothing", async (t) => {
  const folder = freshFolder(t);
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, "ipc", "--quick", "--json"], {
    encoding: "utf8",
    env: { ...process.env, TMPDIR: folder, PATH: folder },
  });
  assert.equal(status, 0, stderr);
  const { rows } = JSON.parse(stdout) as { rows: { name: string; peers: Record<string, number> }[] };
  for (const { name, peers } of rows) {
    const [, size] = /^ipc\.(loan|copy)\./.exec(name) ?? [];
    const isSmall = /^ipc\.(rtt|ring|queue)\./.test(name);
    const expected = isSmall ? smallPeers : size === undefined ? [] : largePeers[size as "loan" | "copy"];
    const found = Object.keys(peers).filter((peer) => !optionalPeers.includes(peer));
    assert.deepEqual(found, name === "ipc.idle1000.cpu.percent" ? [plainNode] : expected, name);
    assert.ok(
      Object.values(peers).every((value) => value > 0),
      name,
    );
  }
  assert.match(stderr, /^no figures for redis \(no redis-server: apt-get install redis-server\)$/m);
  for (const peer of Object.keys(packageVersions) as (keyof typeof packageVersions)[]) {
    const complaint = `no figures for ${peer} (no npm package ${peer}: run with --with-peers)\n`;
    assert.equal(stderr.includes(complaint), !hasPackage(peer), stderr);
  }
  assert.deepEqual(readdirSync(folder), []);
  assert.deepEqual(processesWith(folder), []);
});

for (const { name, isSmall, large, findObstacle } of ipcPeers) {
  test(`all messages come through ${name}`, { skip: findObstacle?.() ?? false }, async () => {
    const pair = await startPair(name);
    try {
      if (isSmall) assert.ok((await pair.sample("roundTrips", 64, quick)) > 0);
      // More than one sample: each begins where the one before has left everything.
      for (const sizeBytes of [
        ...(isSmall ? [64, 100] : []),
        ...(large.length > 0 ? [65536, 1048576] : []),
      ]) {
        // oxlint-disable-next-line no-await-in-loop
        assert.ok((await pair.sample("oneWay", sizeBytes, { ms: 1, isQuick: false })) > 0);
        // oxlint-disable-next-line no-await-in-loop
        assert.ok((await pair.sample("oneWay", sizeBytes, quick)) > 0);
      }
      if (isSmall) assert.ok((await pair.sample("roundTrips", 64, { ms: 1, isQuick: false })) > 0);
    } finally {
      await pair.end();
    }
  });
}

test("what a contender does not have is told, and so is one that there is not", async () => {
  const pair = await startPair("postMessage transfer");
  try {
    await assert.rejects(
      pair.sample("roundTrips", 64, quick),
      /measuring postMessage transfer: .*no roundTrips/,
    );
  } finally {
    await pair.end();
  }
  await assert.rejects(startPair("carrier pigeon"), /carrier pigeon/);
});

test("a process at rest is looked at for its processor time and its threads", async () => {
  const plain = await startSoloist(plainNode);
  try {
    const { cpuPercent, threads } = await plain.ask({ ask: "rest", ms: 50 });
    assert.ok(cpuPercent !== undefined && cpuPercent >= 0);
    assert.ok(threads !== undefined && threads >= 1);
    await assert.rejects(plain.ask({ ask: "repeat", ...quick }), /measured at rest/);
  } finally {
    await plain.end();
  }
});

for (const [signal, expectedCode] of [
  ["SIGINT", 130],
  ["SIGKILL", null],
] as const) {
  test(`the processes and folders of an ipc benchmark are gone after ${signal}`, async (t) => {
    const folder = freshFolder(t);
    const child = spawn(process.execPath, [program, "ipc", "--quick"], {
      env: { ...process.env, TMPDIR: folder },
      stdio: "ignore",
    });
    const ended = once(child, "exit");
    // All folders have been made and most processes have been started: somewhere in the midst of it.
    await waitUntil("processes", () => processesWith(folder).length > 6);
    child.kill(signal);
    const [code] = (await ended) as [number | null];
    assert.equal(code, expectedCode);
    await waitUntil("the processes to be gone", () => processesWith(folder).length === 0);
    assert.deepEqual(readdirSync(folder), []);
  });
}

test("--with-peers installs the packages of the ipc peers together, and nothing where they are there", async (t) => {
  const [folder, path, told] = [freshFolder(t), freshFolder(t), [] as string[]];
  const asked = join(path, "asked");
  writeFileSync(join(path, "npm"), `#!/bin/sh\necho "$*" > ${asked}\npwd >> ${asked}\n`, { mode: 0o755 });
  withPath(t, path);
  const surroundings = { folder, tell: (sentence: string) => told.push(sentence) };
  makePackage(folder, "zeromq");
  await installPackages(surroundings);
  assert.deepEqual(told, ["--with-peers: installing ringbuf.js with npm"]);
  const [line = "", where] = readFileSync(asked, "utf8").split("\n");
  assert.ok(line.startsWith(`install --prefix ${folder} --no-save --ignore-scripts`), line);
  assert.ok(line.endsWith(" zeromq@6 ringbuf.js@0.4"), line);
  assert.equal(where, folder);
  makePackage(folder, "ringbuf.js");
  writeFileSync(asked, "nothing");
  await installPackages(surroundings);
  assert.equal(told.length, 1);
  assert.equal(readFileSync(asked, "utf8"), "nothing");
});

test("--with-peers goes on without what npm could not fetch, or without npm, and says why", async (t) => {
  const [folder, path, told] = [freshFolder(t), freshFolder(t), [] as string[]];
  withPath(t, path);
  const surroundings = { folder: join(folder, "peers"), tell: (sentence: string) => told.push(sentence) };
  await installPackages(surroundings);
  writeFileSync(join(path, "npm"), `#!/bin/sh\necho "npm error network" >&2\nexit 1\n`, { mode: 0o755 });
  await installPackages(surroundings);
  const [, without, , failed] = told;
  assert.match(without ?? "", /^--with-peers: npm could not install them: .*ENOENT/);
  assert.equal(failed, "--with-peers: npm could not install them: npm error network");
  assert.ok(!existsSync(join(folder, "peers", "node_modules")));
});

function makePackage(folder: string, name: string): void {
  mkdirSync(join(folder, "node_modules", name), { recursive: true });
  writeFileSync(join(folder, "node_modules", name, "package.json"), "{}");
}

function withPath(t: { after: (work: () => void) => void }, path: string): void {
  const before = process.env["PATH"];
  process.env["PATH"] = path;
  t.after(() => {
    process.env["PATH"] = before;
  });
}
