/** The parts of the benchmark harness that decide what a figure is: medians, targets, and whether a machine is idle. */
import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { isDisturbing } from "../../bench/harness/idle.ts";
import { measure, medianOf } from "../../bench/harness/measure.ts";
import type { Row } from "../../bench/harness/measure.ts";
import { medianRow } from "../../bench/harness/plan.ts";
import type { TopicPlan } from "../../bench/harness/plan.ts";
import { makeProgress } from "../../bench/harness/progress.ts";
import { formatMarkdown, formatTable } from "../../bench/harness/report.ts";
import type { Result } from "../../bench/harness/report.ts";

function planOf(overrides: Partial<TopicPlan>): TopicPlan {
  return { rounds: 3, probes: [], rows: [], dispose: () => undefined, ...overrides };
}

function rowOf(overrides: Partial<Row>): Row {
  return {
    name: "a.ns",
    value: 1,
    unit: "ns",
    target: null,
    atLeast: false,
    holds: null,
    peers: {},
    ...overrides,
  };
}

function resultWith(node: string, row: Partial<Row>): Result {
  const rows = [rowOf(row)];
  return { topic: "a", node, cpu: "2 x cpu", date: "2026-01-01T00:00:00.000Z", idle: true, rows };
}

function resultOf(node: string, value: number, target: number): Result {
  return resultWith(node, { value, target, holds: value <= target, peers: { other: 7.25 } });
}

test("a median is the middle value, or the mean of the two in the middle", () => {
  assert.equal(medianOf([3, 1, 2]), 2);
  assert.equal(medianOf([4, 1, 2, 3]), 2.5);
  assert.ok(Number.isNaN(medianOf([])));
});

test("probes take turns, and a row is made of its series' medians and compared with its target", async () => {
  const order: string[] = [];
  const samples = [30, 10, 20];
  const plan = planOf({
    probes: [
      () => {
        order.push("first");
        return { one: samples[order.filter((name) => name === "first").length - 1] ?? 0 };
      },
      async () => {
        order.push("second");
        return { two: 15, lost: 1 };
      },
    ],
    rows: [
      medianRow("one", "ns", 20),
      medianRow("two", "ns", 14),
      {
        name: "rest",
        unit: "ns",
        target: null,
        valueOf: (series) => series.median("one") - series.median("two"),
      },
      { name: "lost", unit: "bytes", target: 0, valueOf: (series) => series.sum("lost") },
    ],
  });
  const rows = await measure(plan);
  assert.deepEqual(order, ["first", "second", "first", "second", "first", "second"]);
  assert.deepEqual(
    rows.map(({ value, holds }) => [value, holds]),
    [
      [20, true],
      [15, false],
      [5, null],
      [3, false],
    ],
  );
});

test("a target may be the least that the value may be, or what another series came to", async () => {
  const plan = planOf({
    probes: [() => ({ own: 85, other: 80.004 })],
    rows: [
      { ...medianRow("enough", "%", 85, "own"), atLeast: true },
      { ...medianRow("too little", "%", 85.1, "own"), atLeast: true },
      { ...medianRow("nothing promised", "%", null, "own"), atLeast: true },
      medianRow("above the other", "ns", (series) => series.median("other"), "own"),
      medianRow("below the other", "ns", (series) => series.median("own"), "other"),
    ],
  });
  assert.deepEqual(
    (await measure(plan)).map(({ target, atLeast, holds }) => [target, atLeast, holds]),
    [
      [85, true, true],
      [85.1, true, false],
      [null, true, null],
      [80, false, false],
      [85, false, true],
    ],
  );
});

test("each round is announced before its probes run", async () => {
  const heard: string[] = [];
  const plan = planOf({
    rounds: 2,
    probes: [
      () => {
        heard.push("probe");
        return {};
      },
    ],
  });
  await measure(plan, (round, rounds) => heard.push(`${round} of ${rounds}`));
  assert.deepEqual(heard, ["1 of 2", "probe", "2 of 2", "probe"]);
});

test("a terminal sees one line that is written over, and nothing else sees any", () => {
  for (const [isTTY, expected] of [
    [true, "one\r\u001b[Ktwo\r\u001b[K"],
    [false, ""],
  ] as const) {
    let written = "";
    const progress = makeProgress({ isTTY, write: (text) => (written += text) });
    progress.show("one");
    progress.show("two");
    progress.clear();
    progress.clear();
    assert.equal(written, expected);
  }
});

test("what the probes made is removed even if one of them fails", async () => {
  let disposals = 0;
  const plan = planOf({
    probes: [
      () => {
        throw new Error("probe");
      },
    ],
    dispose: () => {
      disposals += 1;
    },
  });
  await assert.rejects(measure(plan), /probe/);
  assert.equal(disposals, 1);
});

test("a row of a series that nobody feeds is an error, not a missing number", async () => {
  await assert.rejects(measure(planOf({ rows: [medianRow("none", "ns", null)] })), /no probe feeds .*none/);
});

test("a neighbour that keeps a processor busy disturbs, and the kernel's housekeeping does not", () => {
  const oneProcessor = 1 / availableParallelism();
  assert.ok(isDisturbing(oneProcessor, 300));
  assert.ok(!isDisturbing(0.01, 300));
  assert.ok(!isDisturbing(0.03, 10_000));
  assert.ok(isDisturbing(oneProcessor / 2, 10_000));
});

test("the table for a document has a column for each runtime and marks what misses its target", () => {
  const text = formatMarkdown([
    resultOf("20.20.2", 34.56, 35),
    resultOf("24.1.0", 26, 25),
    resultOf("bun 1.4.0", 9, 25),
  ]);
  assert.deepEqual(text.trimEnd().split("\n"), [
    "| row | unit | target | Node 20 | Node 24 | Bun 1.4 |",
    "| --- | --- | --: | --: | --: | --: |",
    "| `a.ns` | ns | 35 / 25 | 34.6 (other 7.25) | **26** (other 7.25) | 9 (other 7.25) |",
  ]);
});

test("both tables say where a target is the least that is wanted", () => {
  const result = resultWith("24.1.0", { value: 86, unit: "%", target: 85, atLeast: true, holds: true });
  assert.equal(formatTable(result, false), "a: Node 24.1.0, 2 x cpu\n✓ a.ns  86 %  at least 85\n");
  assert.match(formatMarkdown([result, result]), /\| at least 85 \|/);
});

test("what cannot be measured yet has no value and keeps no target, and its peers are shown", async () => {
  const [row] = await measure(
    planOf({
      probes: [() => ({ other: 7.25 })],
      rows: [
        {
          ...medianRow("a.ns", "ns", 25),
          valueOf: () => Number.NaN,
          peersOf: (series) => ({ other: series.median("other") }),
        },
      ],
    }),
  );
  assert.deepEqual(row, rowOf({ value: null, target: 25, peers: { other: 7.25 } }));
  const result = resultWith("24.1.0", row ?? {});
  assert.equal(formatTable(result, false), "a: Node 24.1.0, 2 x cpu\n  a.ns  – ns  at most 25  other 7.25\n");
  assert.match(formatMarkdown([result]), /\| – \(other 7\.25\) \|$/m);
});

test("the table for people has no colours unless they are wanted", () => {
  const result = resultOf("24.1.0", 26, 25);
  assert.equal(
    formatTable(result, false),
    "a: Node 24.1.0, 2 x cpu\n✗ a.ns  26 ns  at most 25  other 7.25\n",
  );
  assert.ok(formatTable(result, true).includes("\u001b[31m"));
});
