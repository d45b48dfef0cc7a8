/**
 * The benchmarks, run as small as they go, so that none rots: the shape of the JSON and the rows' names are public.
 * Nothing here judges a time.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../bench/main.js", import.meta.url));

const rowUnits = {
  "region.create.us": "us",
  "region.open.us": "us",
  "region.grow.us": "us",
  "region.catchup.us": "us",
  "region.unchanged.ns": "ns",
  "region.close.us": "us",
  "region.coldstart.ms": "ms",
  "fill.8.seconds": "s",
  "fill.8.lost": "bytes",
  "alloc.slab.lifo.32": "ns",
  "alloc.slab.lifo.64": "ns",
  "alloc.slab.lifo.158": "ns",
  "alloc.slab.lifo.1024": "ns",
  "alloc.slab.lifo.65536": "ns",
  "alloc.slab.churn10k.32": "ns",
};

const targeted = [
  "region.create.us",
  "region.open.us",
  "region.grow.us",
  "region.catchup.us",
  "region.unchanged.ns",
  "region.coldstart.ms",
  "fill.8.seconds",
  "fill.8.lost",
  "alloc.slab.lifo.64",
];

/** A count of what went wrong, which is well when it is zero. */
const countedRow = "fill.8.lost";

interface PrintedRow {
  name: string;
  value: number;
  unit: string;
  target: number | null;
  holds: boolean | null;
  peers: Record<string, number>;
}

function runBench(...args: string[]) {
  return spawnSync(process.execPath, [program, ...args], { encoding: "utf8" });
}

function checkRow(row: PrintedRow): void {
  assert.deepEqual(Object.keys(row), ["name", "value", "unit", "target", "holds", "peers"]);
  assert.ok(Number.isFinite(row.value), `${row.name} is ${row.value}`);
  if (row.name === countedRow) assert.equal(row.value, 0);
  else assert.notEqual(row.value, 0, row.name);
  assert.equal(row.holds, row.target === null ? null : row.value <= row.target, row.name);
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
  assert.deepEqual(Object.fromEntries(rows.map(({ name, unit }) => [name, unit])), rowUnits);
  assert.deepEqual(
    rows.filter(({ target }) => target !== null).map(({ name }) => name),
    targeted,
  );
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
  assert.match(stdout, /Topics: region, fill, alloc, all/);
});
