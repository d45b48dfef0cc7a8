/** `shoal send`, `receive` and `tail`: messages from a shell, and what becomes of them when something is in the way. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Heap } from "../../src/data/heap.ts";
import { freshPosixName } from "../helpers/segments.ts";
import { program, runJson, runShoal, startShoal } from "./shoal.ts";

function makeHeap(t: TestContext): Heap {
  const heap = Heap.create(freshPosixName(t));
  t.after(() => heap.close());
  return heap;
}

const codeOf = (outcome: unknown): string => (outcome as { error: { code: string } }).error.code;

test("what shoal send is given comes out of shoal receive, a line each", async (t) => {
  const { region } = makeHeap(t);
  const sent = await runJson(
    0,
    "send",
    region.name,
    "jobs",
    '{"id":1}',
    '"two"',
    "[3]",
    "--create",
    "--capacity",
    "8",
  );
  assert.deepEqual(sent, { name: region.name, channel: "jobs", sent: 3, interrupted: false });
  const one = await runShoal("receive", region.name, "jobs");
  assert.deepEqual([one.code, one.stdout.toString()], [0, '{"id":1}\n']);
  const rest = await runJson(0, "receive", region.name, "jobs", "--count", "2");
  assert.deepEqual((rest as { messages: unknown }).messages, ["two", [3]]);
});

test("lines of standard input are messages, of a raw queue byte for byte", async (t) => {
  const heap = makeHeap(t);
  const name = heap.region.name;
  const sending = startShoal("send", name, "lines", "--codec", "raw", "--create", "--bytes", "64", "--end");
  const lines = ["one", "", "dr€i", "x".repeat(500)];
  sending.child.stdin.end(lines.join("\n"));
  assert.equal((await sending.outcome).code, 0);
  const { code, stdout } = await runShoal("receive", name, "lines", "--follow");
  assert.deepEqual([code, stdout.toString()], [0, `${lines.join("\n")}\n`]);
  const queue = heap.queue("lines", { codec: "raw" });
  assert.deepEqual([queue.ended, queue.messageBytes >= 64], [true, true]);
});

test("programs and the command share a queue or a ring, which says itself how its messages are written", async (t) => {
  const heap = makeHeap(t);
  const name = heap.region.name;
  for (const channel of [heap.queue<unknown>("q"), heap.ring<unknown>("r")]) {
    const channelName = channel.handle === heap.roots.get("q") ? "q" : "r";
    await runShoal("send", name, channelName, "--text", "12");
    assert.equal(channel.tryReceive(), "12");
  }
  heap.queue<Uint8Array>("raw", { codec: "raw" }).trySend(new Uint8Array([255, 0]));
  heap.queue<Uint8Array>("raw", { codec: "raw" }).trySend(Buffer.from("text"));
  const got = await runJson(0, "receive", name, "raw", "-n", "2");
  assert.deepEqual((got as { messages: unknown }).messages, [{ base64: "/wA=" }, "text"]);
});

test("shoal receive --follow prints messages as they come, and ends with the queue; Ctrl-C ends it with 130", async (t) => {
  const heap = makeHeap(t);
  const queue = heap.queue<number>("q");
  const following = startShoal("receive", heap.region.name, "q", "--follow");
  queue.trySend(1);
  await following.shows("1\n");
  queue.trySend(2);
  await following.shows("2\n");
  const other = startShoal("receive", heap.region.name, "q", "--follow", "--json");
  while (heap.region.participants().length < 3) await sleep(5);
  await sleep(100);
  other.child.kill("SIGINT");
  const outcome = await other.outcome;
  assert.equal(outcome.code, 130, outcome.stderr);
  assert.deepEqual(
    (JSON.parse(outcome.stdout.toString()) as { messages: unknown; interrupted: unknown }).interrupted,
    true,
  );
  queue.end();
  assert.equal((await following.outcome).code, 0);
});

test("a message that nobody reads any more is given back", async (t) => {
  const heap = makeHeap(t);
  const queue = heap.queue<string>("q", { messageBytes: 8, redeliver: true });
  const messages = Array.from({ length: 300 }, (_, index) => `${index} ${"x".repeat(1000)}`);
  for (const message of messages) queue.trySend(message);
  const { status } = spawnSync(
    "sh",
    [
      "-c",
      '"$0" "$1" receive "$2" q --follow | head -n 1 > /dev/null',
      process.execPath,
      program,
      heap.region.name,
    ],
    { timeout: 20_000 },
  );
  assert.equal(status, 0);
  assert.ok(queue.depth > 0, "it went on receiving what nobody read");
});

test("a channel that is not there is ERR_SHOAL_NOT_FOUND, one that is something else ERR_SHOAL_KIND", async (t) => {
  const heap = makeHeap(t);
  heap.mutex("m");
  heap.queue("q");
  const name = heap.region.name;
  assert.equal(codeOf(await runJson(1, "send", name, "none", "1")), "ERR_SHOAL_NOT_FOUND");
  assert.equal(codeOf(await runJson(1, "receive", name, "none")), "ERR_SHOAL_NOT_FOUND");
  assert.equal(codeOf(await runJson(1, "receive", name, "m")), "ERR_SHOAL_KIND");
  assert.equal(codeOf(await runJson(1, "send", name, "q", "x", "--codec", "raw")), "ERR_SHOAL_KIND");
  const notJson = await runJson(1, "send", name, "q", "no json");
  assert.equal(codeOf(notJson), "ERR_SHOAL_CODEC");
  assert.match((notJson as { error: { message: string } }).error.message, /--text/);
});

test("--timeout ends a wait with ERR_SHOAL_TIMEOUT; what was received before is printed", async (t) => {
  const heap = makeHeap(t);
  const queue = heap.queue<number>("q", { capacity: 2 });
  queue.trySend(1);
  const got = await runJson(1, "receive", heap.region.name, "q", "--count", "2", "--timeout", "50");
  assert.deepEqual([codeOf(got), (got as { messages: unknown }).messages], ["ERR_SHOAL_TIMEOUT", [1]]);
  queue.trySend(1);
  queue.trySend(2);
  assert.equal(
    codeOf(await runJson(1, "send", heap.region.name, "q", "3", "--timeout", "0")),
    "ERR_SHOAL_TIMEOUT",
  );
});

test("shoal tail refuses what it would take away from others, and says what to do instead", async (t) => {
  const heap = makeHeap(t);
  heap.queue("q");
  const { code, stderr } = await runShoal("tail", heap.region.name, "q");
  assert.equal(code, 1);
  assert.match(stderr, /ERR_SHOAL_KIND: .*shoal receive/);
});

test("shoal tail prints what is published on a topic from now on, or from its history on, and shoal send publishes", async (t) => {
  const heap = makeHeap(t);
  const name = heap.region.name;
  const topic = heap.topic<unknown>("news", { history: 2, capacity: 8 });
  for (let index = 0; index < 4; index++) topic.tryPublish(index);
  const late = await runJson(0, "tail", name, "news", "--history", "--count", "2");
  assert.deepEqual((late as { messages: unknown }).messages, [2, 3]);
  const tail = startShoal("tail", name, "news");
  while (topic.stats().subscribers.length === 0) await sleep(5);
  const { objects } = (await runJson(0, "locks", name)) as {
    objects: { kind: string; holders: { pid: number }[] }[];
  };
  assert.deepEqual(
    [objects[0]?.kind, objects[0]?.holders.map(({ pid }) => pid)],
    ["topic", [tail.child.pid]],
  );
  assert.equal((await runShoal("send", name, "news", '{"extra":1}', "--end")).code, 0);
  const { code, stdout } = await tail.outcome;
  assert.deepEqual([code, stdout.toString()], [0, '{"extra":1}\n']);
});

test("shoal stat shows channels with what they have counted", async (t) => {
  const heap = makeHeap(t);
  const queue = heap.queue<number>("jobs", { capacity: 16 });
  for (let index = 0; index < 5; index++) queue.trySend(index);
  queue.tryReceive();
  const { stdout } = await runShoal("stat", heap.region.name);
  assert.match(stdout.toString(), /CHANNEL +KIND +DEPTH[^\n]*\njobs +queue +4 +16 +5 +1 +0/);
  const report = (await runJson(0, "stat", heap.region.name)) as {
    channels: { channel: { depth: number } }[];
  };
  assert.deepEqual(
    report.channels.map(({ channel }) => channel.depth),
    [4],
  );
});
