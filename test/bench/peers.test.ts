/**
 * The peers of the alloc rows: what is said where they are missing, how their driver's answers are read, and that nothing
 * of it stays behind. A compiler, a driver and apt-get are played by shell scripts, so that it is the same everywhere.
 */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { installMissing } from "../../bench/peers/install.ts";
import { compilePeers, findMissingPackages, peerSegment, runDriver } from "../../bench/peers/peers.ts";

function makeFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "shoal-peers-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function writeScript(folder: string, name: string, body: string): string {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  return path;
}

/** A compiler whose programs it cannot find a header for are those that name `missing`. */
function writeCompiler(folder: string, missing: string): string {
  const complaint = `echo "<stdin>:1:10: fatal error: ${missing}: No such file" >&2`;
  return writeScript(
    folder,
    "c++",
    `case "$*" in *" - "*|*" -") if grep -q '${missing}'; then ${complaint}; exit 1; fi;; esac`,
  );
}

/** With only `folder` in PATH, and what an ordinary script needs. */
function withPath(context: TestContext, folder: string): void {
  const before = process.env["PATH"];
  process.env["PATH"] = folder;
  context.after(() => {
    process.env["PATH"] = before;
  });
}

const oneRequest = [{ pattern: "lifo", sizeBytes: 32, ms: 0 }];
const twoRequests = [...oneRequest, { pattern: "two", sizeBytes: 158, ms: 1 }];

test("a peer whose package is missing is named, with what to install, and the others are compared with", async (context) => {
  const told: string[] = [];
  const compiler = writeCompiler(makeFolder(context), "boost");
  const { peers, dispose } = await compilePeers({ compiler, tell: (sentence) => told.push(sentence) });
  dispose();
  assert.deepEqual(told, [
    "no libboost-dev, so no figures for boost and boost-simple: apt-get install libboost-dev, or run with --with-peers",
  ]);
  assert.deepEqual(
    peers.map(({ name }) => name),
    ["glibc", "mimalloc"],
  );
});

test("without a C++ compiler there are no peers, which is said once", async (context) => {
  const told: string[] = [];
  const compiler = join(makeFolder(context), "no-compiler");
  const { peers, dispose } = await compilePeers({ compiler, tell: (sentence) => told.push(sentence) });
  dispose();
  assert.deepEqual(peers, []);
  assert.equal(told.length, 1);
  assert.match(
    told[0] ?? "",
    /^no C\+\+ compiler \(.*no-compiler.*\), so no figures for glibc, mimalloc, boost and boost-simple: apt-get install g\+\+, or run with --with-peers$/,
  );
});

test("a driver that does not compile is said and left out", async (context) => {
  const folder = makeFolder(context);
  const told: string[] = [];
  const compiler = writeScript(
    folder,
    "c++",
    `case "$*" in *WITH_MIMALLOC*driver.cpp*) echo "driver.cpp:1: error: too old" >&2; exit 1;; esac`,
  );
  const { peers, dispose } = await compilePeers({ compiler, tell: (sentence) => told.push(sentence) });
  dispose();
  assert.deepEqual(
    peers.map(({ name }) => name),
    ["glibc", "boost", "boost-simple"],
  );
  assert.equal(told.length, 1);
  assert.match(told[0] ?? "", /no figures for mimalloc \(.*driver\.cpp:1: error: too old\)$/);
});

test("a driver is told its segment, patterns, sizes and times, and answers with a figure for each", async (context) => {
  const folder = makeFolder(context);
  const asked = join(folder, "asked");
  const driver = writeScript(folder, "driver", `echo "$*" > ${asked}; echo 12.5; echo 7e2`);
  assert.deepEqual(await runDriver(driver, "glibc", twoRequests), [12.5, 700]);
  assert.equal(
    readFileSync(asked, "utf8"),
    `glibc shoal-bench-${process.pid}-peer-glibc lifo 32 0 two 158 1\n`,
  );
});

test("a driver that answers with anything else, or fails, is an error that names the peer", async (context) => {
  const folder = makeFolder(context);
  const cases: [string, RegExp][] = [
    ["echo 1", /the peer boost answered 2 requests with "1\\n"/],
    ["echo 1; echo nonsense", /the peer boost answered 2 requests/],
    ["echo 1; echo 2; echo out of memory >&2; exit 2", /the peer boost failed: out of memory/],
  ];
  for (const [body, message] of cases) {
    // oxlint-disable-next-line no-await-in-loop
    await assert.rejects(runDriver(writeScript(folder, "driver", body), "boost", twoRequests), message);
  }
});

test("the segment of a driver that was killed is removed", async (context) => {
  const path = join("/dev/shm", peerSegment("boost"));
  const driver = writeScript(makeFolder(context), "driver", `echo left > /dev/shm/$2; kill -KILL $$`);
  await assert.rejects(runDriver(driver, "boost", oneRequest), /the peer boost failed: it was killed/);
  assert.ok(!existsSync(path));
});

test("the real driver measures whatever is installed here, and leaves no segment", async (context) => {
  const { peers, dispose } = await compilePeers({ compiler: "c++", tell: () => undefined });
  context.after(dispose);
  for (const { name, isShared, run } of peers) {
    const names = ["lifo", "churn10k", "fragmented16M", "two", ...(isShared ? ["overhead", "usable"] : [])];
    // oxlint-disable-next-line no-await-in-loop
    const figures = await run(names.map((pattern) => ({ pattern, sizeBytes: 32, ms: 0 })));
    assert.equal(figures.length, names.length, name);
    assert.ok(
      figures.every((figure) => figure > 0),
      `${name}: ${figures.join(" ")}`,
    );
    assert.ok(!existsSync(join("/dev/shm", peerSegment(name))), name);
    // oxlint-disable-next-line no-await-in-loop
    await assert.rejects(run([{ pattern: "nonsense", sizeBytes: 32, ms: 0 }]), /no such pattern/);
    assert.ok(!existsSync(join("/dev/shm", peerSegment(name))), name);
  }
});

test("what a search for peers made in the temporary folder is removed", async (context) => {
  const before = process.env["TMPDIR"];
  const folder = makeFolder(context);
  const compiler = writeCompiler(makeFolder(context), "mimalloc");
  process.env["TMPDIR"] = folder;
  context.after(() => {
    if (before === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = before;
  });
  assert.deepEqual(await findMissingPackages({ compiler, tell: () => undefined }), ["libmimalloc-dev"]);
  assert.deepEqual(readdirSync(folder), []);
});

test("--with-peers says so where there is no apt-get, and names what to install by hand", async (context) => {
  const told: string[] = [];
  const folder = makeFolder(context);
  const compiler = join(folder, "no-compiler");
  withPath(context, folder);
  await installMissing({ compiler, tell: (sentence) => told.push(sentence) });
  assert.deepEqual(told, [
    "--with-peers: there is no apt-get here; install by hand: g++ libmimalloc-dev libboost-dev",
  ]);
});

test("--with-peers goes on without what apt-get could not fetch, and says why", async (context) => {
  const told: string[] = [];
  const folder = makeFolder(context);
  const compiler = join(folder, "no-compiler");
  const failure = `echo "E: Failed to fetch: no network" >&2; exit 100`;
  writeScript(folder, "apt-get", `[ "$1" = --version ] && exit 0; ${failure}`);
  // Whoever runs the tests: root by itself, or by a sudo that drops its option.
  writeScript(folder, "sudo", `shift; [ "$1" = true ] || exec "$@"`);
  writeScript(folder, "env", `shift; exec "$@"`);
  withPath(context, folder);
  await installMissing({ compiler, tell: (sentence) => told.push(sentence) });
  assert.deepEqual(told, [
    "--with-peers: installing g++ libmimalloc-dev libboost-dev",
    "--with-peers: apt-get could not install them: E: Failed to fetch: no network",
  ]);
});

test("--with-peers has nothing to say where nothing is missing", async (context) => {
  const told: string[] = [];
  const compiler = writeScript(makeFolder(context), "c++", "exit 0");
  await installMissing({ compiler, tell: (sentence) => told.push(sentence) });
  assert.deepEqual(told, []);
});
