/** The demo: the cooperative fill as a person runs it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { runJson, runShoal, sharedNames, startShoal } from "./shoal.ts";

interface Facts {
  readonly processes: number;
  readonly threads: number;
  readonly sizeBytes: number;
  readonly attachSeconds: number;
  readonly fillSeconds: number;
  readonly bytesPerSecond: number;
  readonly lostBytes: number;
  readonly clashes: number;
  readonly letters: Record<string, number>;
  readonly growths: number;
  readonly segmentSizeBytes: number;
  readonly killed: { pid: number; process: number; letters: string; deadSlots: number } | null;
  readonly finishedForDead: number;
  readonly recoveredSlots: number;
}

function sum(letters: Record<string, number>): number {
  return Object.values(letters).reduce((total, bytes) => total + bytes, 0);
}

test("the demo's letters sum up to its size, and nothing is lost", async () => {
  const facts = (await runJson(0, "demo", "--processes", "3", "--size", "1M")) as Facts;
  assert.deepEqual(
    { processes: facts.processes, threads: facts.threads, sizeBytes: facts.sizeBytes },
    { processes: 3, threads: 0, sizeBytes: 1024 * 1024 },
  );
  assert.deepEqual(Object.keys(facts.letters), ["A", "B", "C"]);
  assert.equal(sum(facts.letters), facts.sizeBytes);
  assert.deepEqual(
    [facts.lostBytes, facts.clashes, facts.finishedForDead, facts.recoveredSlots],
    [0, 0, 0, 0],
  );
  assert.equal(facts.killed, null);
  assert.ok(facts.growths >= 4);
  assert.ok(facts.segmentSizeBytes > facts.sizeBytes);
  assert.ok(facts.fillSeconds > 0 && facts.attachSeconds > 0 && facts.bytesPerSecond > 0);
});

test("the demo's workers are participants of their own", async () => {
  const facts = (await runJson(0, "demo", "-p", "2", "-t", "2", "-s", "300k")) as Facts;
  assert.deepEqual(Object.keys(facts.letters), ["A", "B", "C", "D", "E", "F"]);
  assert.equal(sum(facts.letters), 300 * 1024);
  assert.equal(facts.lostBytes, 0);
});

test("the demo survives sizes smaller than its crew, and busy work", async () => {
  const small = (await runJson(0, "demo", "-p", "3", "-s", "2")) as Facts;
  assert.equal(sum(small.letters), 2);
  const busy = (await runJson(0, "demo", "-p", "2", "-s", "64k", "--busy")) as Facts;
  assert.equal(sum(busy.letters), 65536);
});

test("a process killed midway loses no byte, and its slots are recovered", async () => {
  const facts = (await runJson(
    0,
    "demo",
    "--processes",
    "3",
    "--threads",
    "1",
    "--size",
    "1M",
    "--kill",
  )) as Facts;
  assert.equal(facts.lostBytes, 0);
  assert.equal(facts.clashes, 0);
  assert.equal(sum(facts.letters), facts.sizeBytes);
  assert.equal(facts.killed?.process, 2);
  assert.equal(facts.killed.letters, "EF");
  assert.equal(facts.killed.deadSlots, 2);
  assert.equal(facts.recoveredSlots, 2);
  assert.ok(facts.finishedForDead <= 2);
});

test("repetitions are added up", async () => {
  const facts = (await runJson(0, "demo", "-p", "2", "-s", "64k", "--repeat", "3")) as Record<
    string,
    unknown
  >;
  assert.equal(facts["repetitions"], 3);
  assert.equal(facts["lostBytes"], 0);
});

test("outside a terminal the demo prints plain lines: start, growth, ends, histogram", async () => {
  const { code, stdout } = await runShoal("demo", "-p", "2", "-s", "1M");
  const text = stdout.toString();
  assert.equal(code, 0);
  assert.match(text, /2 participants have attached to \/shoal-demo-\d+/);
  assert.match(text, /segment grew to 1 MiB/);
  assert.match(text, /process 1 \(B\) is done/);
  assert.match(text, /1,048,576 filled: 0 lost, 0 clashes/);
  assert.ok(!text.includes("\u001b"));
});

test("an interrupted demo ends with 130 and leaves no segment and no process", async () => {
  const running = startShoal("demo", "--size", "1G");
  await running.shows("have attached");
  running.child.kill("SIGINT");
  const { code, stderr } = await running.outcome;
  assert.equal(code, 130);
  assert.match(stderr, /interrupted/);
  assert.deepEqual(sharedNames(`shoal-demo-${running.child.pid}`), []);
});

test("when the demo itself is killed, its crew finishes and removes the segment", async () => {
  const running = startShoal("demo", "-p", "2", "--size", "8M");
  await running.shows("have attached");
  const exit = once(running.child, "exit");
  running.child.kill("SIGKILL");
  await exit;
  // Its crew is not ours to wait for.
  for (let look = 0; sharedNames(`shoal-demo-${running.child.pid}`).length > 0; look++) {
    assert.ok(look < 200, "the segment is still there");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
});

test("a demo whose output nobody reads to the end still cleans up", async () => {
  const running = startShoal("demo", "-p", "2", "--size", "4M");
  await running.shows("have attached");
  running.child.stdout.destroy();
  const { code } = await running.outcome;
  assert.equal(code, 0);
  assert.deepEqual(sharedNames(`shoal-demo-${running.child.pid}`), []);
});
