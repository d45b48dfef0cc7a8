/** The layout: places do not overlap, words are aligned, and two builds that disagree have different stamps. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as buddy from "../../src/layout/buddy.ts";
import * as channel from "../../src/layout/channel.ts";
import * as fit from "../../src/layout/fit.ts";
import * as header from "../../src/layout/header.ts";
import * as page from "../../src/layout/page.ts";
import * as port from "../../src/layout/port.ts";
import * as root from "../../src/layout/root.ts";
import * as slot from "../../src/layout/slot.ts";
import * as sync from "../../src/layout/sync.ts";
import * as topic from "../../src/layout/topic.ts";
import { FORMAT_STAMP, stampOf } from "../../src/layout/stamp.ts";
import { MAX_SEGMENT_BYTES, PLAIN, planGeometry, storageRanges } from "../../src/region/geometry.ts";

type Place = readonly [name: string, offset: number, sizeBytes: number];

/** Asserts that every place is aligned to its word, ends before `endOffset`, and shares no byte with another. */
function assertApart(places: readonly Place[], endOffset: number): void {
  const sorted = [...places].sort(([, one], [, other]) => one - other);
  for (const [index, [name, offset, sizeBytes]] of sorted.entries()) {
    assert.equal(offset % Math.min(sizeBytes & -sizeBytes, 8), 0, `${name} is aligned`);
    const [nextName, nextOffset] = sorted[index + 1] ?? ["the end", endOffset];
    assert.ok(offset + sizeBytes <= nextOffset, `${name} ends before ${nextName}`);
  }
}

/** Every constant of a table that is an offset (its prefix says so) must be among the places. */
function assertComplete(
  table: Readonly<Record<string, number>>,
  prefix: string,
  places: readonly Place[],
): void {
  const named = Object.keys(table).filter((name) => name.startsWith(prefix));
  assert.deepEqual(
    places.map(([name]) => name).sort(),
    named.sort(),
    `each ${prefix} constant has its place in this test`,
  );
}

/** The offsets of a table that are not listed in `sizes` are of 32-bit words. */
function placesOf(
  table: Readonly<Record<string, number>>,
  prefix: string,
  sizes: Record<string, number>,
): Place[] {
  return Object.entries(table)
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, offset]) => [name, offset, sizes[name] ?? 4]);
}

const headerSizes = {
  H_MAGIC: 8,
  H_UUID: 16,
  H_CREATOR_START: 8,
  H_FIXED_ADDRESS: 8,
  H_LOCK_INODE: 8,
  H_ORPHAN_HINTS: 4 * page.CLASS_SLOTS,
};

test("the header's words are aligned, apart, and inside its 4 KiB", () => {
  const places = placesOf(header, "H_", headerSizes);
  assertComplete(header, "H_", places);
  assertApart(places, header.HEADER_SIZE_BYTES);
  assert.equal(header.HEADER_SIZE_BYTES, 4096);
  assert.equal(header.PAGE_SIZE_BYTES, 1 << header.PAGE_SHIFT);
  assert.equal(header.MAX_PAGE_COUNT * header.PAGE_SIZE_BYTES, 2 ** 32);
  const magic = Buffer.alloc(8);
  magic.writeUInt32LE(header.MAGIC_LOW);
  magic.writeUInt32LE(header.MAGIC_HIGH, 4);
  assert.equal(magic.toString(), "SHOALSEG");
});

test("words that change often stand alone on their cache lines", () => {
  const offsets = placesOf(header, "H_", headerSizes).map(([, offset]) => offset);
  for (const alone of [header.H_SIZE_PAGES, header.H_ROOTS_LOCK]) {
    const line = Math.floor(alone / 64);
    assert.equal(offsets.filter((offset) => Math.floor(offset / 64) === line).length, 1);
  }
});

test("a participant's slot has room for all its words, and slots do not share cache lines", () => {
  const places = placesOf(slot, "S_", {
    S_START: 8,
    S_OPENED: 8,
    S_SCRATCH: slot.SCRATCH_SIZE_BYTES,
    S_CURRENT: 4 * page.CLASS_SLOTS,
  });
  assertComplete(slot, "S_", places);
  assertApart(places, slot.SLOT_SIZE_BYTES);
  assert.equal(slot.SLOT_SIZE_BYTES, 512);
  assert.ok(slot.MAX_SLOT_COUNT + 1 < 2 ** 16, "an owner fits in 16 bits");
});

test("a page's descriptor is one cache line, and a bitmap pair fills its end", () => {
  const places = placesOf(page, "P_", { P_STATE: 8, P_BITMAP: page.BITMAP_PAIR_BYTES });
  assertComplete(page, "P_", places);
  assertApart(places, page.TABLE_BYTES_PER_PAGE);
  assert.equal(page.TABLE_BYTES_PER_PAGE, 64);
  assert.equal(page.P_BITMAP + page.BITMAP_PAIR_BYTES, page.TABLE_BYTES_PER_PAGE);
});

test("a page state's fields share no bit", () => {
  const shifts = [
    0,
    page.STATE_CLASS_SHIFT,
    page.STATE_OWNER_SHIFT,
    page.STATE_LENGTH_SHIFT,
    page.STATE_OTHER_SHIFT,
  ];
  assert.deepEqual(shifts, [0, 8, 16, 32, 48]);
  const kinds = Object.entries(page)
    .filter(([name]) => /^PAGE_(FREE|CLAIMED|SLAB|RUN|BODY)/.test(name))
    .map(([, kind]) => kind);
  assert.equal(new Set(kinds).size, kinds.length);
  assert.ok(kinds.every((kind) => kind <= page.STATE_KIND_MASK));
  assert.ok(page.CLASS_LAST < page.CLASS_SLOTS && page.CLASS_LAST <= 0xff);
});

test("a root's entry has room for its name", () => {
  const places = placesOf(root, "R_", { R_WORD: 8, R_NAME: root.ROOT_NAME_LIMIT_BYTES });
  assertComplete(root, "R_", places);
  assertApart(places, root.ROOT_SIZE_BYTES);
  assert.ok(slot.SCRATCH_SIZE_BYTES >= root.ROOT_NAME_LIMIT_BYTES, "a name fits in the scratch area");
});

const SLAB = { ...PLAIN, allocator: header.ALLOCATOR_SLAB };

test("header and default slots fill the first half page exactly, and the default region its other half", () => {
  const region = planGeometry({}, PLAIN);
  assert.equal(region.slotsOffset, header.HEADER_SIZE_BYTES);
  assert.equal(region.slotCount, slot.DEFAULT_SLOT_COUNT);
  assert.equal(region.dataOffset, header.PAGE_SIZE_BYTES / 2);
  assert.equal(region.sizePages, 1);
});

test("a heap's parts follow each other without overlap, for the smallest and the largest span", () => {
  for (const spanBytes of [2 ** 18, 2 ** 24, MAX_SEGMENT_BYTES]) {
    for (const maxParticipants of [1, slot.DEFAULT_SLOT_COUNT, slot.MAX_SLOT_COUNT]) {
      const options = { spanBytes, maxParticipants, sizeBytes: 65536 };
      if (spanBytes === 2 ** 18 && maxParticipants === slot.MAX_SLOT_COUNT) continue; // its slots alone are larger
      const plan = planGeometry(options, SLAB);
      assertApart(
        [
          ["slots", plan.slotsOffset, plan.slotCount * slot.SLOT_SIZE_BYTES],
          ["roots", plan.rootsOffset, plan.rootCount * root.ROOT_SIZE_BYTES],
          ["side table", plan.sideOffset, plan.sideBytes],
          ["table", plan.tableOffset, plan.spanPages * page.TABLE_BYTES_PER_PAGE],
        ],
        plan.dataOffset,
      );
      assert.equal(plan.dataOffset % header.PAGE_SIZE_BYTES, 0);
      assert.equal(plan.tableOffset % page.TABLE_BYTES_PER_PAGE, 0);
      assert.equal(plan.sizePages * header.PAGE_SIZE_BYTES, plan.dataOffset + 65536);
    }
  }
});

test("a heap's storage covers its header, the described part of its table and its data, and nothing else", () => {
  const plan = planGeometry({ sizeBytes: 65536 }, SLAB);
  const [tables, data] = storageRanges(plan, 0, plan.sizePages);
  assert.deepEqual(tables, {
    offset: 0,
    lengthBytes: plan.tableOffset + plan.sizePages * page.TABLE_BYTES_PER_PAGE,
  });
  assert.deepEqual(data, { offset: plan.dataOffset, lengthBytes: 65536 });
  const grown = storageRanges(plan, plan.sizePages, plan.sizePages + 3);
  assert.deepEqual(grown, [
    {
      offset: plan.tableOffset + plan.sizePages * page.TABLE_BYTES_PER_PAGE,
      lengthBytes: 3 * page.TABLE_BYTES_PER_PAGE,
    },
    { offset: plan.sizePages * header.PAGE_SIZE_BYTES, lengthBytes: 3 * header.PAGE_SIZE_BYTES },
  ]);
});

test("the format stamp changes when any constant of the layout does", () => {
  const tables = [header, slot, page, root, buddy, fit, sync, channel, topic, port].map(
    (table) => ({ ...table }) as Record<string, number>,
  );
  assert.equal(stampOf(tables, 2), FORMAT_STAMP);
  assert.ok(FORMAT_STAMP > 0 && FORMAT_STAMP < 2 ** 32);
  const seen = new Set([FORMAT_STAMP]);
  let changes = 0;
  for (const table of tables) {
    for (const [name, value] of Object.entries(table)) {
      table[name] = value + 1;
      seen.add(stampOf(tables, 2));
      table[name] = value;
      changes++;
    }
  }
  seen.add(stampOf(tables, 3));
  assert.equal(seen.size, changes + 2);
});
