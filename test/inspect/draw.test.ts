/** A heap's bookkeeping, drawn: it says what the heap itself says, and changes nothing. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Heap } from "../../src/heap/index.ts";
import { LAST_KIND, TABLE_BYTES_PER_PAGE } from "../../src/layout/page.ts";
import { drawHeap, drawSegment, formatDrawing, writeDebugFile } from "../../src/inspect/index.ts";
import type { DrawOptions, HeapDrawing } from "../../src/inspect/index.ts";
import { leaksNothing, throwsCode } from "../helpers/assertions.ts";
import { assertSound, createHeap, openHeap } from "../helpers/heaps.ts";
import { freshFolder, freshPosixName } from "../helpers/segments.ts";

type Drawn<Name extends HeapDrawing["allocator"]> = Extract<HeapDrawing, { allocator: Name }>;

/** The drawing of a heap with this allocator. */
function drawn<Name extends HeapDrawing["allocator"]>(
  heap: Heap,
  name: Name,
  options?: DrawOptions,
): Drawn<Name> {
  const drawing = drawHeap(heap, options);
  assert.equal(drawing.allocator, name);
  return drawing as Drawn<Name>;
}

test("a slab heap is drawn page by page, a bit for each block", (t) => {
  const heap = createHeap(t);
  const small = Array.from({ length: 70 }, () => heap.alloc(512));
  const large = heap.alloc(150_000);
  openHeap(t, heap).alloc(5000);
  // Freed by its owner and by another: two bitmaps, one bit drawn.
  heap.free(small[3]!);
  openHeap(t, heap).free(small[68]!);
  const { rows, count, unit } = drawn(heap, "slab");
  assert.equal(unit, "page");
  assert.equal(count, (heap.region.segmentSizeBytes - heap.region.dataOffset) / 65536);
  assert.deepEqual(
    rows.map(({ number }) => number),
    Array.from({ length: count }, (_, index) => index),
  );
  const page = rows.find(({ blockSizeBytes }) => blockSizeBytes === 512)!;
  const bits = Array.from({ length: page.bits.length }, () => ".");
  for (const [index, handle] of small.entries())
    bits[(handle - page.firstBlockOffset) / 512] = index === 3 || index === 68 ? "." : "#";
  assert.equal(page.bits, bits.join(""));
  assert.deepEqual([page.used, page.free], [68, page.bits.length - 68]);
  assert.deepEqual([page.kind, page.ownerSlot], ["blocks", heap.region.slotIndex]);
  const run = rows.filter(({ offset }) => offset >= large && offset < large + 150_000);
  assert.deepEqual(
    run.map(({ kind }) => kind),
    ["run", "rest", "rest"],
  );
  assert.equal(run[0]!.blockSizeBytes, 3 * 65536);
  const other = rows.find(({ blockSizeBytes }) => blockSizeBytes === 5120)!;
  assert.deepEqual([other.used, other.bits, other.ownerSlot], [1, "#...........", 1]);
});

test("the page's rows sum up to the heap's statistics", (t) => {
  const heap = createHeap(t);
  for (let size = 1; size < 60_000; size += 371) heap.alloc(size);
  const { rows } = drawn(heap, "slab", { to: 10_000 });
  const { blocks, pages } = heap.stats();
  const sum = (pick: (row: (typeof rows)[number]) => number): number =>
    rows.reduce((total, row) => total + pick(row), 0);
  assert.equal(
    sum(({ used }) => used),
    blocks.used,
  );
  assert.equal(
    sum(({ free }) => free),
    blocks.free,
  );
  assert.equal(rows.filter(({ kind }) => kind === "blocks").length, pages.slab);
  assert.equal(rows.filter(({ kind }) => kind === "free").length, pages.free);
});

test("a page in which blocks are owned says which, and whose", (t) => {
  const heap = createHeap(t);
  const other = openHeap(t, heap);
  const handles = Array.from({ length: 6 }, () => heap.alloc(1024, { owned: true }));
  heap.share(handles[1]!);
  heap.share(handles[4]!);
  other.adopt(handles[4]!);
  heap.free(handles[5]!);
  const large = other.alloc(100_000, { owned: true });
  const drawing = drawn(heap, "slab");
  const { rows } = drawing;
  const page = rows.find(({ blockSizeBytes }) => blockSizeBytes === 1024)!;
  const [mine, theirs] = [heap.region.slotIndex, other.region.slotIndex];
  assert.deepEqual([page.kind, page.ownerSlot, page.used], ["blocks, marked", mine, 5]);
  assert.equal(page.bits, "#####".padEnd(64, ".").slice(0, page.bits.length));
  assert.equal(page.free, page.bits.length - 5);
  assert.equal(page.firstBlockOffset, handles[0]);
  assert.deepEqual(page.owned, [
    { handle: handles[0], ownerSlot: mine },
    { handle: handles[2], ownerSlot: mine },
    { handle: handles[3], ownerSlot: mine },
    { handle: handles[4], ownerSlot: theirs },
  ]);
  const run = rows.find(({ offset }) => offset === large)!;
  assert.deepEqual([run.kind, run.ownerSlot, run.used, run.blockSizeBytes], ["run", theirs, 1, 131_072]);
  assert.equal(rows.filter(({ kind }) => kind === "owners").length, 1);
  const used = rows.reduce((total, row) => total + row.used, 0);
  assert.equal(used, heap.stats().blocks.used);
  const text = formatDrawing(drawing);
  assert.match(text, / 1024 B, 5 of \d+ used, slot 0's +#####\./);
  assert.match(text, /^ +slot 0 owns 3: 0, 2-3$/m);
  assert.match(text, /^ +slot 1 owns 1: 4$/m);
  assert.match(text, /run of 131072 B, slot 1's$/m);
  assert.match(text, / {2}owners$/m);
  for (const handle of [handles[0]!, handles[2]!, handles[3]!]) heap.share(handle);
  other.share(handles[4]!);
  const shared = drawn(heap, "slab").rows.find(({ blockSizeBytes }) => blockSizeBytes === 1024)!;
  assert.deepEqual([shared.kind, shared.used, shared.owned], ["blocks, marked", 5, []]);
});

test("a page with hundreds of owned blocks is drawn in lines that can be read", (t) => {
  const heap = createHeap(t);
  const handles = Array.from({ length: 800 }, () => heap.alloc(16, { owned: true }));
  for (const [index, handle] of handles.entries()) if (index % 2 === 1) heap.share(handle);
  const drawing = drawn(heap, "slab");
  assert.equal(
    drawing.rows.reduce((total, { owned }) => total + owned.length, 0),
    400,
  );
  const lines = formatDrawing(drawing).split("\n");
  assert.ok(lines.some((line) => /slot 0 owns 400: 0, 2, 4, .*, …$/.test(line)));
  assert.ok(lines.every((line) => line.length <= 120));
});

test("pages whose storage was given back are drawn as such", (t) => {
  const heap = createHeap(t);
  heap.free(heap.alloc(300_000));
  assert.ok(heap.trim() > 0);
  const { pages } = heap.stats();
  const drawing = drawn(heap, "slab");
  const hollow = drawing.rows.filter(({ kind }) => kind === "free, without storage");
  assert.ok(pages.hollow > 0);
  assert.equal(hollow.length, pages.hollow);
  assert.match(formatDrawing(drawing), / {2}free, without storage$/m);
});

test("every kind of page that there is has words of its own", (t) => {
  const heap = createHeap(t);
  const { tableOffset, dataOffset } = heap.region.session.geometry;
  const number = drawHeap(heap).count - 1;
  const at = tableOffset + (dataOffset / 65536 + number) * TABLE_BYTES_PER_PAGE;
  const state = new BigUint64Array(heap.region.buffer, at, 1);
  const words = Array.from({ length: LAST_KIND + 1 }, (_, kind) => {
    state[0] = BigInt(kind);
    return drawn(heap, "slab", { from: number }).rows[0]!.kind;
  });
  state[0] = 0n;
  assert.equal(new Set(words).size, words.length, words.join("; "));
  for (const word of words) assert.doesNotMatch(word, /^kind /);
  assertSound(heap);
});

test("a range of rows is drawn, and what is none is refused", (t) => {
  const heap = createHeap(t);
  const numbers = (options: DrawOptions): number[] =>
    drawHeap(heap, options).rows.map(({ number }) => number);
  assert.deepEqual(numbers({ from: 2, to: 4 }), [2, 3, 4]);
  assert.deepEqual(numbers({ from: 15, to: 900 }), [15]);
  assert.deepEqual(numbers({ from: 16 }), []);
  heap.grow(100 * 65536);
  assert.equal(drawHeap(heap).rows.length, 64, "without a range, the first 64");
  for (const options of [{ from: -1 }, { from: 1.5 }, { from: 3, to: 2 }, { to: Number.NaN }])
    throwsCode(() => drawHeap(heap, options), "ERR_SHOAL_ARGUMENT");
});

test("a heap is drawn by its name without taking part in it, and the text says the same", (t) => {
  const name = freshPosixName(t);
  using heap = Heap.create(name, { maxParticipants: 1 });
  heap.alloc(64);
  heap.alloc(200_000);
  const before = Buffer.from(heap.region.buffer).toString("latin1");
  leaksNothing("drawing", () => {
    assert.deepEqual(drawSegment(name), drawHeap(heap));
  });
  assert.ok(before === Buffer.from(heap.region.buffer).toString("latin1"));
  const lines = formatDrawing(drawSegment(name)).split("\n");
  assert.match(lines[0]!, /^\/shoal-test-.*: slab heap, pages 0 to 15 of 16$/);
  assert.ok(lines.some((line) => /^dataOffset +\d+$/.test(line)));
  assert.ok(lines.some((line) => / 64 B, 1 of \d+ used, slot 0's +[1-9]\.+$/.test(line)));
  assert.ok(lines.some((line) => line.endsWith("  run of 262144 B")));
  assert.ok(
    lines.some((line) => line.endsWith("-15  free")),
    "what is alike is one line",
  );
  assert.ok(lines.every((line) => line.length <= 120));
});

test("a closed heap is not drawn", (t) => {
  const heap = createHeap(t);
  heap.close();
  throwsCode(() => drawHeap(heap), "ERR_SHOAL_CLOSED");
});

test("a debug file says who is in the heap, what is counted, what is wrong, and the drawing", (t) => {
  const heap = createHeap(t);
  const handle = heap.alloc(64);
  const path = join(freshFolder(t), "debug");
  writeDebugFile(heap, path);
  const text = readFileSync(path, "utf8");
  assert.ok(text.includes(heap.region.uuid));
  assert.match(text, new RegExp(`"pid":${process.pid}`));
  assert.match(text, /^problems:\n {2}none$/m);
  assert.match(text, /usedBytes +64$/m);
  assert.ok(text.includes(formatDrawing(drawHeap(heap))));
  heap.roots.set("stale", handle);
  heap.free(handle);
  writeDebugFile(heap, path);
  assert.match(readFileSync(path, "utf8"), /^problems:\n {2}a root does not lead/m);
  const nowhere = join(path, "file");
  throwsCode(() => writeDebugFile(heap, nowhere), "ERR_SHOAL_SYSTEM", /ENOTDIR/);
  assert.equal(existsSync(nowhere), false);
});
