/** The commands that make, show and remove segments: what they print, their JSON, their exit codes. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Heap } from "../../src/heap/index.ts";
import type { AllocatorName } from "../../src/heap/index.ts";
import { formatMode, formatSize } from "../../src/cli/sizes.ts";
import { DEFAULT_SLOT_COUNT, MAX_SLOT_COUNT } from "../../src/layout/slot.ts";
import { DEFAULT_MODE } from "../../src/region/options.ts";
import { Region } from "../../src/region/index.ts";
import { freshPosixName as freshName } from "../helpers/segments.ts";
import { runJson, runShoal, sharedNames } from "./shoal.ts";

interface Failure {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly details: Record<string, unknown>;
  };
}

const commands = "demo create ls stat draw grow rm map write read verify send receive tail locks".split(" ");

for (const command of commands) {
  test(`shoal ${command} --help shows examples and the exit codes, and ends with 0`, async () => {
    const { code, stdout } = await runShoal(command, "--help");
    const text = stdout.toString();
    assert.equal(code, 0);
    assert.match(text, new RegExp(`Usage: shoal ${command}`));
    assert.match(text, new RegExp(`\\$ shoal ${command}`));
    assert.match(text, /Exit codes:[\s\S]*130/);
    assert.match(text, /--json/);
  });
}

test("shoal create --help says the defaults and limits that there are", async () => {
  const { stdout } = await runShoal("create", "--help");
  const help = stdout.toString().replace(/\s+/g, " ");
  const span = (allocator: AllocatorName): string => formatSize(Heap.plan({ allocator }).spanBytes);
  const { minBlockBytes, maxBlockBytes } = Heap.plan({ allocator: "buddy" });
  for (const words of [
    `1 to ${MAX_SLOT_COUNT}, default ${DEFAULT_SLOT_COUNT})`,
    `(default ${span("slab")}; buddy ${span("buddy")}, first-fit ${span("first-fit")})`,
    `(default ${formatSize(Heap.plan().dataBytes)};`,
    `smallest block (default ${formatSize(minBlockBytes)})`,
    `largest block (default ${formatSize(maxBlockBytes)})`,
    `(default ${formatMode(DEFAULT_MODE)})`,
    `choices: "slab", "buddy", "first-fit"`,
  ])
    assert.ok(help.includes(words), `${words} is not in: ${help}`);
});

test("shoal create makes what its help says when it is asked for nothing else", async (t) => {
  const name = freshName(t);
  const facts = (await runJson(0, "create", name)) as Record<string, unknown>;
  const { spanBytes, dataBytes } = Heap.plan();
  assert.deepEqual(
    [facts["spanBytes"], facts["sizeBytes"], facts["mode"]],
    [spanBytes, dataBytes, formatMode(DEFAULT_MODE)],
  );
  using heap = Heap.open(name);
  assert.equal(heap.region.session.geometry.slotCount, DEFAULT_SLOT_COUNT);
});

test("shoal create --participants takes as many as a segment can have, and refuses more as bad usage", async (t) => {
  const most = freshName(t);
  await runJson(0, "create", most, "--participants", String(MAX_SLOT_COUNT));
  using heap = Heap.open(most);
  assert.equal(heap.region.session.geometry.slotCount, MAX_SLOT_COUNT);
  const more = String(MAX_SLOT_COUNT + 1);
  const { error } = (await runJson(2, "create", freshName(t), "--participants", more)) as Failure;
  assert.equal(error.code, "ERR_SHOAL_USAGE");
});

test("shoal help create shows the same as create --help", async () => {
  const [one, other] = [await runShoal("help", "create"), await runShoal("create", "--help")];
  assert.equal(one.stdout.toString(), other.stdout.toString());
});

test("shoal --version prints the package's version", async () => {
  const { code, stdout } = await runShoal("--version");
  assert.equal(code, 0);
  assert.match(stdout.toString(), /^\d+\.\d+\.\d+\n$/);
});

for (const args of [
  [],
  ["bogus"],
  ["ls", "--bogus"],
  ["stat"],
  ["create", "x", "--size", "many"],
  ["create", "x", "--mode", "9"],
  ["create", "x", "--backend", "anonymous"],
  ["create", "x", "--allocator", "best-fit"],
  ["create", "x", "--no-heap", "--allocator", "buddy"],
  ["draw", "x", "--blocks", "3-1"],
  ["draw", "x", "--blocks", "all"],
  ["map", "first"],
  ["demo", "--processes", "0"],
  ["demo", "--processes", "1", "--kill"],
  ["demo", "--processes", "8", "--threads", "20"],
  ["demo", "--size", "4G"],
  ["send", "x"],
  ["send", "x", "y", "--codec", "msgpack"],
  ["receive", "x", "y", "--count", "0"],
  ["receive", "x", "y", "--timeout", "soon"],
]) {
  test(`bad usage ends with 2 and says why: shoal ${args.join(" ")}`, async () => {
    const { code, stdout, stderr } = await runShoal(...args);
    assert.equal(code, 2);
    assert.equal(stdout.toString(), "");
    assert.match(stderr, /ERR_SHOAL_USAGE: .*see --help\n$/);
    const { error } = (await runJson(2, ...args)) as Failure;
    assert.equal(error.code, "ERR_SHOAL_USAGE");
  });
}

for (const args of [
  ["stat"],
  ["draw"],
  ["verify"],
  ["grow", "1M"],
  ["rm"],
  ["send", "jobs", "1"],
  ["receive", "jobs"],
  ["tail", "news"],
  ["locks"],
]) {
  test(`a missing name ends shoal ${args[0]} with 1 and ERR_SHOAL_NOT_FOUND`, async (t) => {
    const [command = "", ...rest] = args;
    const name = freshName(t);
    const { code, stdout, stderr } = await runShoal(command, name, ...rest);
    assert.equal(code, 1);
    assert.equal(stdout.toString(), "");
    assert.match(stderr, /^shoal: ERR_SHOAL_NOT_FOUND: [^\n]+\n$/);
    const { error } = (await runJson(1, command, name, ...rest)) as Failure;
    assert.equal(error.code, "ERR_SHOAL_NOT_FOUND");
    assert.equal(error.details["errno"], "ENOENT");
  });
}

test("shoal create makes a heap that a program can open, and refuses to make it twice", async (t) => {
  const name = freshName(t);
  const facts = (await runJson(
    0,
    "create",
    name,
    "--size",
    "2M",
    "--span",
    "64M",
    "--mode",
    "640",
  )) as Record<string, unknown>;
  assert.equal(facts["allocator"], "slab");
  assert.equal(facts["sizeBytes"], 2 * 1024 * 1024);
  assert.equal(facts["spanBytes"], 64 * 1024 * 1024);
  assert.equal(facts["mode"], "0640");
  using heap = Heap.open(name);
  assert.equal(heap.region.uuid, facts["uuid"]);
  const { error } = (await runJson(1, "create", name)) as Failure;
  assert.equal(error.code, "ERR_SHOAL_EXISTS");
});

test("shoal create --allocator is handed on, and what the allocator refuses is refused", async (t) => {
  const name = freshName(t);
  const facts = (await runJson(0, "create", name, "--allocator", "slab")) as Record<string, unknown>;
  assert.deepEqual([facts["allocator"], facts["minBlockBytes"]], ["slab", 16]);
  const { error } = (await runJson(1, "create", freshName(t), "--min-block", "64")) as Failure;
  assert.equal(error.code, "ERR_SHOAL_ARGUMENT");
  assert.match(error.message, /buddy/);
});

test("shoal create --no-heap makes a plain segment, --fixed-address one with an address", async (t) => {
  const plain = (await runJson(0, "create", freshName(t), "--no-heap")) as Record<string, unknown>;
  assert.equal(plain["allocator"], null);
  const fixed = (await runJson(0, "create", freshName(t), "--fixed-address", "--span", "16M")) as Record<
    string,
    unknown
  >;
  assert.ok(Number(fixed["fixedAddress"]) > 0);
});

test("shoal ls lists a segment with who is in it, as text and as JSON", async (t) => {
  const name = freshName(t);
  using heap = Heap.create(name);
  const entries = (await runJson(0, "ls")) as Record<string, unknown>[];
  const entry = entries.find((one) => one["uuid"] === heap.region.uuid);
  assert.equal(entry?.["participants"], 1);
  assert.equal(entry["allocator"], "slab");
  assert.equal(entry["creatorPid"], process.pid);
  const { stdout } = await runShoal("ls");
  assert.ok(stdout.toString().includes(heap.region.name));
});

test("shoal ls lists the files of a directory", async () => {
  const directory = mkdtempSync(join(tmpdir(), "shoal-test-"));
  try {
    const path = join(directory, "one");
    writeFileSync(join(directory, "other"), "no segment");
    assert.equal((await runShoal("create", path, "--backend", "file", "--no-heap")).code, 0);
    const entries = (await runJson(0, "ls", "--backend", "file", directory)) as Record<string, unknown>[];
    assert.deepEqual(
      entries.map((entry) => entry["name"]),
      [path],
    );
    assert.equal((await runShoal("rm", "--backend", "file", path)).code, 0);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("shoal stat shows header, participants, heap and page map, and takes part in nothing", async (t) => {
  const name = freshName(t);
  using heap = Heap.create(name);
  heap.alloc(64);
  heap.alloc(200_000);
  const report = (await runJson(0, "stat", name)) as {
    participants: { pid: number; threadId: number; alive: boolean }[];
    heap: { blocks: { used: number }; classes: { sizeBytes: number }[] };
    map: string;
    growths: number;
    mode: string;
  };
  assert.equal(report.participants.length, 1);
  assert.deepEqual(
    report.participants.map(({ pid, threadId, alive }) => ({ pid, threadId, alive })),
    [{ pid: process.pid, threadId: 0, alive: true }],
  );
  assert.equal(report.heap.blocks.used, 2);
  assert.deepEqual(
    report.heap.classes.map((one) => one.sizeBytes),
    [64],
  );
  assert.match(report.map, /^H+1Rrrr\.+$|^H+Rrrr1\.+$|^H+[1Rr.]+$/);
  assert.equal(report.mode, "0600");
  const { code, stdout } = await runShoal("stat", name);
  assert.equal(code, 0);
  assert.match(stdout.toString(), /2 blocks in use/);
  assert.match(stdout.toString(), /fragmentation 0\.\d\d\n/);
  assert.match(stdout.toString(), /blocks have reached 320 KiB of 1 MiB/);
  assert.match(stdout.toString(), /OWNS\n.*main +alive .* 1 pages\n/);
  assert.ok(!stdout.toString().includes("\u001b["), "colours only in a terminal");
});

test("shoal draw shows a heap's bookkeeping as text and as JSON; a plain segment has none", async (t) => {
  const name = freshName(t);
  using heap = Heap.create(name);
  heap.alloc(64);
  const drawing = (await runJson(0, "draw", name, "--blocks", "0-2")) as {
    allocator: string;
    count: number;
    rows: { number: number; bits: string }[];
  };
  assert.deepEqual([drawing.allocator, drawing.count], ["slab", 16]);
  assert.deepEqual(
    drawing.rows.map(({ number }) => number),
    [0, 1, 2],
  );
  assert.match(drawing.rows[0]!.bits, /^#\.+$/);
  const { code, stdout } = await runShoal("draw", name, "--blocks", "0");
  assert.equal(code, 0);
  assert.match(stdout.toString(), /slab heap, pages 0 to 0 of 16\n[\s\S]* 64 B, 1 of \d+ used/);
  const plain = freshName(t);
  using region = Region.create(plain);
  const { error } = (await runJson(1, "draw", region.name)) as Failure;
  assert.equal(error.code, "ERR_SHOAL_FORMAT");
});

test("shoal grow grows a segment for those who have it open, and refuses to grow beyond the span", async (t) => {
  const name = freshName(t);
  using region = Region.create(name, { spanBytes: 4 * 1024 * 1024 });
  const facts = (await runJson(0, "grow", name, "1M")) as Record<string, number>;
  assert.ok(facts["sizeBytes"]! >= 1024 * 1024);
  assert.ok(facts["beforeBytes"]! < facts["sizeBytes"]!);
  assert.equal(region.catchUp(), true);
  assert.equal(region.sizeBytes, facts["sizeBytes"]);
  const { error } = (await runJson(1, "grow", name, "1G")) as Failure;
  assert.equal(error.code, "ERR_SHOAL_SPAN");
});

test("shoal rm removes what there is, and says which name was wrong", async (t) => {
  const [one, other, missing] = [freshName(t), freshName(t), freshName(t)];
  for (const name of [one, other]) Region.create(name).close();
  const outcome = (await runJson(1, "rm", one, missing, other)) as Failure & { removed: string[] };
  assert.deepEqual(outcome.removed, [one, other]);
  assert.equal(outcome.error.code, "ERR_SHOAL_NOT_FOUND");
  assert.deepEqual([...sharedNames(one), ...sharedNames(other)], []);
});

test("shoal map shows a process's mappings of a segment by its name", async (t) => {
  const name = freshName(t);
  using region = Region.create(name);
  const rows = (await runJson(0, "map", String(process.pid))) as Record<string, unknown>[];
  const row = rows.find((one) => one["name"] === region.name);
  assert.equal(row?.["kind"], "posix");
  assert.equal(row["pid"], process.pid);
  const all = (await runJson(0, "map")) as Record<string, unknown>[];
  assert.ok(all.some((one) => one["name"] === region.name && one["pid"] === process.pid));
  const { error } = (await runJson(1, "map", "2147483647")) as Failure;
  assert.equal(error.code, "ERR_SHOAL_NOT_FOUND");
});

test("shoal verify ends with 0 for a sound heap and with 3 for a damaged one", async (t) => {
  const name = freshName(t);
  using heap = Heap.create(name);
  const handle = heap.alloc(64);
  const sound = (await runJson(0, "verify", name)) as Record<string, unknown>;
  assert.equal(sound["ok"], true);
  assert.equal(sound["blocks"], 1);
  heap.roots.set("stale", handle);
  heap.free(handle); // the root now leads to a free block
  const damaged = (await runJson(3, "verify", name)) as { ok: boolean; problems: { code: string }[] };
  assert.equal(damaged.ok, false);
  assert.equal(damaged.problems[0]?.code, "root");
  const { code, stdout } = await runShoal("verify", name);
  assert.equal(code, 3);
  assert.match(stdout.toString(), /has 1 problems[\s\S]*root: /);
});

test("a name with slashes is refused with the rule", async () => {
  const { error } = (await runJson(1, "create", "a/b")) as Failure;
  assert.equal(error.code, "ERR_SHOAL_NAME");
  assert.match(error.message, /slash/);
});
