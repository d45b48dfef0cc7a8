/**
 * The benchmarks, run as small as they go, so that none rots: the shape of the JSON and the rows' names are public.
 * Nothing here judges a time.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { allocators } from "../../bench/alloc/contenders.ts";
import { shoalContenders, shoalSoloists } from "../../bench/ipc/shoal.ts";

const program = fileURLToPath(new URL("../../bench/main.js", import.meta.url));

const otherUnits = {
  "region.create.us": "us",
  "region.open.us": "us",
  "region.grow.us": "us",
  "region.catchup.us": "us",
  "region.unchanged.ns": "ns",
  "region.close.us": "us",
  "region.coldstart.ms": "ms",
  "fill.8.seconds": "s",
  "fill.8.lost": "bytes",
};

/** Those of each allocator, as far as they go: a buddy heap has no blocks of whole pages. */
const allocUnits = {
  "lifo.32": "ns",
  "lifo.64": "ns",
  "lifo.158": "ns",
  "lifo.1024": "ns",
  "lifo.65536": "ns",
  "churn10k.32": "ns",
  "fragmented16M.32": "ns",
  "fragmented16M.158": "ns",
  "two.158": "ns",
  "two.scaling": "x",
  "overhead32.percent": "%",
  "usable.percent": "%",
};

const ipcUnits = {
  "ipc.rtt.spin.ns": "ns",
  "ipc.rtt.block.us": "us",
  "ipc.rtt.await.us": "us",
  "ipc.ring.64.mps": "M/s",
  "ipc.queue.64.mps": "M/s",
  "ipc.loan.65536.gbps": "GB/s",
  "ipc.copy.65536.gbps": "GB/s",
  "ipc.loan.1048576.gbps": "GB/s",
  "ipc.copy.1048576.gbps": "GB/s",
  "sync.mutex.ns": "ns",
  "sync.mutex.await.ns": "ns",
  "ipc.idle1000.cpu.percent": "%",
  "ipc.idle1000.threads": "threads",
};

/** Rows of what bench/ipc/shoal.ts does not have have no value. */
function isMissing(name: string): boolean {
  const measured = [...Object.keys(shoalContenders), ...Object.keys(shoalSoloists)];
  const [, what = ""] = /^(?:ipc|sync)\.(.+?)(?:\.\d+)?(?:\.cpu)?\.\w+$/.exec(name) ?? [];
  return name in ipcUnits && !measured.includes(what);
}

const untargeted = [
  "region.close.us",
  "alloc.slab.two.158",
  "alloc.buddy.two.158",
  "alloc.buddy.overhead32.percent",
  "alloc.buddy.usable.percent",
  "alloc.first-fit.two.scaling",
];

/** Has a target where there is a Boost to be compared with. */
const comparedRow = "alloc.first-fit.two.158";

function expectedUnits(): Record<string, string> {
  const rows: [string, string][] = Object.entries(otherUnits);
  for (const allocator of allocators) {
    for (const [name, unit] of Object.entries(allocUnits)) {
      if (allocator === "buddy" && name === "lifo.65536") continue;
      rows.push([`alloc.${allocator}.${name}`, unit]);
    }
  }
  rows.push(...Object.entries(ipcUnits));
  return Object.fromEntries(rows);
}

/** A count of what went wrong, which is well when it is zero. */
const countedRow = "fill.8.lost";

/** An allocator may keep nothing for itself, and channels need no threads; nothing else comes to zero. */
const countsToZero = /overhead32\.percent$|\.threads$/;

const leastWanted = /usable\.percent$|\.[mg]bps$|\.mps$/;

interface PrintedRow {
  name: string;
  value: number | null;
  unit: string;
  target: number | null;
  atLeast: boolean;
  holds: boolean | null;
  peers: Record<string, number>;
}

function runBench(...args: string[]) {
  return spawnSync(process.execPath, [program, ...args], { encoding: "utf8" });
}

function checkRow(row: PrintedRow): void {
  assert.deepEqual(Object.keys(row), ["name", "value", "unit", "target", "atLeast", "holds", "peers"]);
  if (isMissing(row.name)) assert.equal(row.value, null, row.name);
  else assert.ok(Number.isFinite(row.value), `${row.name} is ${row.value}`);
  if (row.name === countedRow) assert.equal(row.value, 0);
  else if (!countsToZero.test(row.name)) assert.notEqual(row.value, 0, row.name);
  if (row.name !== comparedRow) assert.equal(row.target === null, untargeted.includes(row.name), row.name);
  assert.equal(row.atLeast, leastWanted.test(row.name), row.name);
  const isWithin = (value: number, target: number) => (row.atLeast ? value >= target : value <= target);
  const holds = row.target === null || row.value === null ? null : isWithin(row.value, row.target);
  assert.equal(row.holds, holds, row.name);
  for (const [peer, value] of Object.entries(row.peers)) {
    assert.ok(Number.isFinite(value) && value > 0, `${row.name}: ${peer} is ${value}`);
  }
}

test("every benchmark runs, and the JSON has the rows and the shape that others rely on", () => {
  const { status, stdout, stderr } = runBench("all", "--quick", "--json");
  assert.equal(status, 0, stderr);
  const result = JSON.parse(stdout) as { rows: PrintedRow[] } & Record<string, unknown>;
  assert.deepEqual(Object.keys(result), ["topic", "node", "cpu", "date", "idle", "rows"]);
  assert.equal(result["topic"], "all");
  assert.equal(typeof result["node"], "string");
  assert.equal(typeof result["cpu"], "string");
  assert.equal(typeof result["idle"], "boolean");
  assert.equal(new Date(String(result["date"])).toISOString(), result["date"]);
  const { rows } = result;
  assert.deepEqual(Object.fromEntries(rows.map(({ name, unit }) => [name, unit])), expectedUnits());
  rows.forEach(checkRow);
});

test("a wrong topic or option of the benchmarks is told with the usage and exit code 2", () => {
  for (const args of [[], ["no-such-topic"], ["alloc", "--no-such-option"], ["fill", "--repeat", "0"]]) {
    const { status, stdout, stderr } = runBench(...args);
    assert.equal(status, 2, args.join(" "));
    assert.equal(stdout, "");
    assert.match(stderr, /Usage: npm run bench -- TOPIC/);
  }
});

test("the benchmarks explain themselves", () => {
  const { status, stdout } = runBench("--help");
  assert.equal(status, 0);
  assert.match(stdout, /Topics: region, fill, alloc, ipc, all/);
});
