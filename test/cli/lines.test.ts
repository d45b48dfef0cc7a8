/** `shoal write` and `shoal read` when things go wrong: kills, interrupts, several writers, long lines. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { Heap } from "../../src/heap/index.ts";
import { freshPosixName } from "../helpers/segments.ts";
import { runJson, runShoal, sharedNames, startShoal } from "./shoal.ts";
import type { Running } from "./shoal.ts";

const LINES = new URL("../../src/cli/lines.js", import.meta.url).href;

function numbered(count: number, prefix = ""): string {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}\n`).join("");
}

function feed({ child }: Running, text: string | Buffer): void {
  child.stdin.end(text);
}

/** Runs a module's text in a process of its own; resolves to how it ended. */
async function runModule(text: string): Promise<string> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", text], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (part: string) => (complaint += part));
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  return signal ?? `${code}: ${complaint}`;
}

/** A writer that is killed with one line sent, and one written to the queue and not sent. */
function halfWriter(name: string): string {
  return `
    import { joinLines, LINE, sendLines } from "${LINES}";
    const end = await joinLines("${name}", "writer");
    await sendLines(end, [{ kind: LINE, bytes: Buffer.from("whole") }]);
    end.lines.reserve(5).bytes.set(Buffer.from("\\0half"));
    process.kill(process.pid, "SIGKILL");`;
}

test("a line of any length comes out as it went in: long, empty, without an end, no UTF-8", async (t) => {
  const name = freshPosixName(t);
  const long = Buffer.from("ü€😀".repeat(300_000)); // 2.7 MB: the ring has to be enlarged
  const odd = Buffer.from([0xff, 0x00, 0xc3, 10, 10, 13, 10]);
  const input = Buffer.concat([
    Buffer.from("first\n"),
    long,
    Buffer.from("\n"),
    odd,
    Buffer.from("last, no newline"),
  ]);
  const reader = startShoal("read", name);
  const writer = startShoal("write", name);
  feed(writer, input);
  const [read, written] = await Promise.all([reader.outcome, writer.outcome]);
  assert.deepEqual([read.code, written.code], [0, 0], read.stderr + written.stderr);
  assert.ok(read.stdout.equals(input));
  assert.deepEqual(sharedNames(name), []);
});

test("an empty input ends the reader, whichever came first", async (t) => {
  for (const order of [0, 1]) {
    const name = freshPosixName(t);
    const first = order === 0 ? startShoal("write", name) : startShoal("read", name);
    while (sharedNames(name).length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const second = order === 0 ? startShoal("read", name) : startShoal("write", name);
    first.child.stdin.end();
    second.child.stdin.end();
    const outcomes = await Promise.all([first.outcome, second.outcome]);
    assert.deepEqual(
      outcomes.map(({ code, stdout }) => [code, stdout.length]),
      [
        [0, 0],
        [0, 0],
      ],
    );
    assert.deepEqual(sharedNames(name), []);
  }
});

test("a line that is typed comes out before the next is typed", async (t) => {
  const name = freshPosixName(t);
  const reader = startShoal("read", name);
  const writer = startShoal("write", name);
  for (const word of ["one", "two", "three"]) {
    writer.child.stdin.write(`${word}\n`);
    await reader.shows(`${word}\n`);
  }
  writer.child.stdin.end();
  assert.equal((await reader.outcome).stdout.toString(), "one\ntwo\nthree\n");
  assert.equal((await writer.outcome).code, 0);
});

test("several writers' lines are all there, whole, and each writer's in order", async (t) => {
  const name = freshPosixName(t);
  const counts = 3000;
  const reader = startShoal("read", name);
  const writers = ["a", "b", "c"].map((prefix) => ({ prefix, running: startShoal("write", name) }));
  // All have come before any ends, so that none finds that the reader has left.
  for (const { prefix, running } of writers) {
    running.child.stdin.write(`${prefix}0\n`);
    await reader.shows(`${prefix}0\n`);
  }
  for (const { prefix, running } of writers) feed(running, numbered(counts, prefix).slice(3));
  const { stdout, code } = await reader.outcome;
  const lines = stdout.toString().trimEnd().split("\n");
  assert.equal(code, 0);
  assert.equal(lines.length, writers.length * counts);
  for (const { prefix, running } of writers) {
    assert.equal((await running.outcome).code, 0);
    assert.equal(`${lines.filter((line) => line.startsWith(prefix)).join("\n")}\n`, numbered(counts, prefix));
  }
  assert.deepEqual(sharedNames(name), []);
});

test("a writer killed in the middle of a message is skipped, and the next one's lines come out", async (t) => {
  const name = freshPosixName(t);
  const reader = startShoal("read", name, "--follow");
  assert.equal(await runModule(halfWriter(name)), "SIGKILL");
  await reader.shows("whole\n");
  const writer = startShoal("write", name);
  feed(writer, "next\n");
  assert.equal((await writer.outcome).code, 0);
  reader.child.kill("SIGINT");
  const { code, stdout } = await reader.outcome;
  assert.equal(code, 130);
  assert.equal(stdout.toString(), "whole\nnext\n");
  assert.deepEqual(sharedNames(name), []);
});

test("a killed writer does not keep the reader waiting", async (t) => {
  const name = freshPosixName(t);
  const reader = startShoal("read", name);
  assert.equal(await runModule(halfWriter(name)), "SIGKILL");
  const { code, stdout, stderr } = await reader.outcome;
  assert.equal(code, 0);
  assert.equal(stdout.toString(), "whole\n");
  assert.match(stderr, /a writer has died/);
  assert.deepEqual(sharedNames(name), []);
});

test("when a reader is killed the next one goes on with the line that was not acknowledged", async (t) => {
  const name = freshPosixName(t);
  const count = 200_000; // more than the ring and the pipes hold
  const victim = startShoal("read", name);
  const writer = startShoal("write", name);
  feed(writer, numbered(count));
  await victim.shows("\n1000\n");
  victim.child.kill("SIGKILL");
  const heir = startShoal("read", name);
  const [first, second, written] = await Promise.all([victim.outcome, heir.outcome, writer.outcome]);
  assert.equal(first.signal, "SIGKILL");
  assert.deepEqual([second.code, written.code], [0, 0], second.stderr + written.stderr);
  // What the victim printed ends with a whole line: batches are what a pipe takes at once.
  const before = first.stdout.toString().trimEnd().split("\n").map(Number);
  const after = second.stdout.toString().trimEnd().split("\n").map(Number);
  const last = before.at(-1)!;
  assert.deepEqual([before[0], after.at(-1)], [0, count - 1]);
  assert.ok(after[0]! <= last + 1, `line ${last + 1} to ${after[0]! - 1} are lost`);
  assert.ok(last - after[0]! < 4096, "at most one batch is repeated");
  assert.ok([before, after].every((lines) => lines.every((line, index) => line === lines[0]! + index)));
  assert.deepEqual(sharedNames(name), []);
});

for (const command of ["write", "read"]) {
  test(`Ctrl-C ends a lonely shoal ${command} with 130 and leaves nothing behind`, async (t) => {
    const name = freshPosixName(t);
    const running = startShoal(command, name);
    while (sharedNames(name).length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    // It listens before it makes the segment.
    running.child.kill("SIGINT");
    assert.equal((await running.outcome).code, 130);
    assert.deepEqual(sharedNames(name), []);
  });
}

test("Ctrl-C ends a writer whose lines nobody reads, and says so", async (t) => {
  const name = freshPosixName(t);
  const writer = startShoal("write", name);
  feed(writer, numbered(100_000)); // fills the ring
  while (sharedNames(name).length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await new Promise((resolve) => setTimeout(resolve, 100));
  writer.child.kill("SIGINT");
  const { code, stderr } = await writer.outcome;
  assert.equal(code, 130);
  assert.match(stderr, /nobody had read/);
  assert.deepEqual(sharedNames(name), []);
});

test("a second reader takes over when the first is interrupted", async (t) => {
  const name = freshPosixName(t);
  const [first, second] = [startShoal("read", name), startShoal("read", name)];
  const writer = startShoal("write", name);
  writer.child.stdin.write("one\n");
  const served = await Promise.race([
    first.shows("one").then(() => first),
    second.shows("one").then(() => second),
  ]);
  const other = served === first ? second : first;
  served.child.kill("SIGINT");
  assert.equal((await served.outcome).code, 130);
  writer.child.stdin.end("two\n");
  const { code, stdout } = await other.outcome;
  assert.equal(code, 0);
  assert.equal(stdout.toString(), "two\n");
  assert.equal((await writer.outcome).code, 0);
  assert.deepEqual(sharedNames(name), []);
});

test("a reader whose output is closed leaves the rest to the next one", async (t) => {
  const name = freshPosixName(t);
  const writer = startShoal("write", name);
  feed(writer, numbered(50_000));
  const first = startShoal("read", name);
  await first.shows("100\n");
  first.child.stdout.destroy();
  assert.equal((await first.outcome).code, 0);
  const { stdout } = await runShoal("read", name);
  assert.ok(stdout.toString().endsWith("49998\n49999\n"));
  assert.equal((await writer.outcome).code, 0);
});

test("write and read tell with --json what they passed on", async (t) => {
  const name = freshPosixName(t);
  const reading = runJson(0, "read", name);
  const writer = startShoal("write", name, "--json");
  feed(writer, "grüße\n\nlast");
  const facts = { name, bytes: 13, interrupted: false };
  assert.deepEqual(await reading, { ...facts, lines: ["grüße", "", "last"], count: 3, deadWriters: 0 });
  assert.deepEqual(JSON.parse((await writer.outcome).stdout.toString()), { ...facts, lines: 3 });
});

test("a segment that is something else is refused and left alone", async (t) => {
  const name = freshPosixName(t);
  using heap = Heap.create(name);
  for (const command of ["read", "write"]) {
    const { error } = (await runJson(1, command, name)) as { error: { code: string } };
    assert.equal(error.code, "ERR_SHOAL_FORMAT");
  }
  assert.equal(heap.verify().ok, true);
  assert.equal(sharedNames(name).length, 1);
});
