/** C programs are peers: they map the same segment at the same address and follow the pointers in it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import type { TestContext } from "node:test";
import { Heap } from "../../src/index.ts";
import type { Handle } from "../../src/index.ts";
import * as header from "../../src/layout/header.ts";
import { freshFolder, freshPosixName } from "../helpers/segments.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const program = join(import.meta.dirname, "list");

before(() => {
  const source = join(root, "test", "interop", "list.c");
  const built = spawnSync("cc", ["-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source], {
    encoding: "utf8",
  });
  assert.equal(built.status, 0, `these tests need a C compiler: ${built.error?.message ?? built.stderr}`);
});

const NODE_BYTES = 16;

/** Builds a linked list of `values` with pointers in it; returns the nodes' handles. */
function buildList(heap: Heap, values: readonly number[]): Handle[] {
  const nodes = values.map(() => heap.alloc(NODE_BYTES));
  for (const [index, node] of nodes.entries()) {
    const view = new DataView(heap.region.buffer, node, NODE_BYTES);
    const next = nodes[index + 1];
    view.setBigUint64(0, BigInt(next === undefined ? 0 : heap.pointerOf(next)), true);
    view.setUint32(8, values[index]!, true);
    view.setUint32(12, 0, true);
  }
  return nodes;
}

function runList(path: string, pointer: number) {
  return spawnSync(program, [path, String(pointer)], { encoding: "utf8" });
}

function checkList(t: TestContext, heap: Heap, path: string): void {
  t.after(() => heap.close());
  const values = Array.from({ length: 1000 }, (_, index) => index * 3 + 1);
  const nodes = buildList(heap, values);
  const { status, stdout } = runList(path, heap.pointerOf(nodes[0]!));
  assert.equal(status, 0);
  const [sum, address] = stdout.trim().split(" ");
  assert.equal(
    Number(sum),
    values.reduce((total, value) => total + value, 0),
  );
  assert.equal(Number(address), heap.region.fixedAddress);
  for (const [index, node] of nodes.entries()) {
    const view = new DataView(heap.region.buffer, node, NODE_BYTES);
    assert.equal(view.getUint32(8, true), values[index]! * 2);
    assert.equal(view.getUint32(12, true), 1);
  }
  for (const node of nodes) heap.free(node);
  assert.deepEqual(heap.verify().problems, []);
}

test("a C program follows and changes a linked list in a POSIX segment", (t) => {
  const name = freshPosixName(t);
  checkList(t, Heap.create(name, { fixedAddress: true }), `/dev/shm${name}`);
});

test("a C program follows and changes a linked list in a file on disk, and in blocks that growth has added", (t) => {
  const path = join(freshFolder(t), "segment");
  const heap = Heap.create(path, { backend: "file", fixedAddress: true, sizeBytes: 65536 });
  heap.alloc(3_000_000);
  checkList(t, heap, path);
});

test("the C header refuses a segment without a fixed address, and one that is not Shoal's", (t) => {
  const name = freshPosixName(t);
  using heap = Heap.create(name);
  assert.equal(runList(`/dev/shm${name}`, 0).status, 14);
  assert.ok(heap.region.created);
  assert.equal(runList(process.execPath, 0).status === 0, false);
});

test("include/shoal.h has the layout's numbers", () => {
  const text = readFileSync(join(root, "include", "shoal.h"), "utf8");
  const defined = new Map(
    [...text.matchAll(/^#define SHOAL_(\w+) (\w+?)u?$/gm)].map(([, name, value]) => [name!, Number(value)]),
  );
  const expected: Record<string, number> = {
    PAGE_SIZE: header.PAGE_SIZE_BYTES,
    HEADER_SIZE: header.HEADER_SIZE_BYTES,
    MAGIC_LOW: header.MAGIC_LOW,
    MAGIC_HIGH: header.MAGIC_HIGH,
    STATE_READY: header.STATE_READY,
    H_MAGIC: header.H_MAGIC,
    H_STATE: header.H_STATE,
    H_DATA_OFFSET: header.H_DATA_OFFSET,
    H_FIXED_ADDRESS: header.H_FIXED_ADDRESS,
    H_SIZE_PAGES: header.H_SIZE_PAGES,
  };
  assert.deepEqual(Object.fromEntries(defined), expected);
});
