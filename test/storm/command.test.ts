/** `npm run storm` as a program: its output, its exit codes, and that nothing outlives it. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { Heap } from "../../src/index.ts";
import { until } from "../helpers/assertions.ts";
import { shmNames } from "../helpers/segments.ts";

const program = fileURLToPath(new URL("../../storm/main.js", import.meta.url));

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [program, ...args], { encoding: "utf8", timeout: 120_000 });
}

test("--json prints one object with the figures, and the exit code is 0 when nothing was found", () => {
  const { status, stdout, stderr } = run("--kills", "3", "--allocator", "buddy", "--seed", "5", "--json");
  assert.deepEqual([status, stderr], [0, ""]);
  const { kills, seconds, operations, stops, seed, ...found } = JSON.parse(stdout) as Record<string, number>;
  assert.ok(kills! >= 3 && seconds! > 0 && operations! > 0 && stops! >= 0);
  assert.equal(seed, 5);
  const { terminations, deathsInCall, messages, locks, ...wrong } = found;
  assert.ok(terminations! >= 0 && deathsInCall! >= 0 && messages! > 0 && locks! > 0);
  assert.deepEqual(wrong, { hangs: 0, corruptions: 0, leakedBytes: 0, lostBlocks: 0, lostMessages: 0 });
});

test("--help explains, and wrong usage is exit code 2", () => {
  const help = run("--help");
  assert.equal(help.status, 0);
  assert.match(help.stdout, /--kills N[\s\S]*Exit codes/);
  for (const args of [["--kills", "0"], ["--allocator", "none"], ["--frobnicate"], ["--seed", "x"]]) {
    const { status, stdout, stderr } = run(...args);
    assert.deepEqual([status, stdout], [2, ""], args.join(" "));
    assert.match(stderr, /Usage: npm run storm/);
  }
});

/** The processes whose command line names this run's ledger. */
function processesOf(pid: number): string[] {
  return readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return readFileSync(`/proc/${name}/cmdline`, "latin1").includes(`shoal-storm-${pid}-ledger`);
    } catch {
      return false; // it has ended meanwhile
    }
  });
}

test("what the count finds ends the storm: exit code 1, the blocks' places, and how to see it again", async (t) => {
  const args = ["--kills", "100000", "--seed", "9", "--allocator", "first-fit"];
  const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "ignore", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  const said = text(child.stderr);
  await until("the storm is on", () => processesOf(child.pid!).length >= 3);
  // A stranger allocates a block and goes.
  await until("a stranger was there", () => {
    const [name] = shmNames(`shoal-storm-${child.pid}-`).filter((one) => /-\d+$/.test(one));
    if (name === undefined) return false;
    const heap = Heap.open(`/${name}`);
    heap.alloc(5000);
    heap.close();
    return true;
  });
  const [code] = await once(child, "exit");
  assert.equal(code, 1);
  // If the count fell between its opening and its leaving, its slot is what was found.
  assert.match(
    await said,
    /block \d+ \(5000 bytes, slot -1\) is in nobody's ledger|slot \d+ .* is still taken/,
  );
  assert.match(await said, /seed 9, first-fit, round \d+, kill \d+\nagain: npm run storm -- --seed 9/);
  await until("all have ended", () => processesOf(child.pid!).length === 0);
  assert.deepEqual(shmNames(`shoal-storm-${child.pid}`), []);
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`${signal} ends everybody and removes the segments`, async (t) => {
    const child = spawn(process.execPath, [program, "--kills", "100000"], { stdio: "ignore" });
    t.after(() => child.kill("SIGKILL"));
    const pid = child.pid!;
    // The nursery and at least two that it has forked.
    await until("the storm is on", () => processesOf(pid).length >= 3);
    child.kill(signal);
    const [code] = await once(child, "exit");
    assert.equal(code, signal === "SIGINT" ? 130 : 143);
    await until("all have ended", () => processesOf(pid).length === 0);
    assert.deepEqual(shmNames(`shoal-storm-${pid}`), []);
  });
}
