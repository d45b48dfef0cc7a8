/** Where a buddy heap puts blocks: close together, where room was made last, and participants apart. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BUDDY_HAS_OWNERS } from "../../src/layout/buddy.ts";
import { H_DATA_OFFSET, H_HIGH_WATER_PAGES } from "../../src/layout/header.ts";
import {
  BAD_HANDLE,
  DOUBLE_FREE,
  NEED_CATCH_UP,
  NEED_PAGES,
  OK,
  TOO_LARGE,
} from "../../src/layout/result.ts";
import { problemsOf } from "../helpers/buddy-check.ts";
import { readBuddy } from "../helpers/buddy-oracle.ts";
import { ACTOR, allocOwned, makeBuddyWorld, must, OTHER } from "../helpers/buddy-scenarios.ts";
import { enter } from "../helpers/core-world.ts";
import type { World } from "../helpers/core-world.ts";

/** Pages that ever held a block. */
function touchedPages(world: World): number {
  const view = new DataView(world.memory.buffer);
  return Math.max(view.getUint32(H_HIGH_WATER_PAGES, true) - view.getUint32(H_DATA_OFFSET, true) / 65536, 0);
}

/** 64 pages of 64 maximal blocks of 1 KiB in 32 leaves. */
const makeLargeWorld = (): World => makeBuddyWorld(5, 10, 64, 20);

test("600,000 pairs of alloc and free stay in one page", () => {
  const world = makeLargeWorld();
  const core = enter(world, ACTOR);
  for (let index = 0; index < 600_000; index++) {
    const handle = core.alloc(32 << (index % 6));
    if (handle === 0 || core.free(handle) !== OK) assert.fail(`pair ${index}`);
  }
  assert.equal(touchedPages(world), 1);
});

test("a queue of live blocks goes round in the pages that it needs, however long it runs", () => {
  const world = makeLargeWorld();
  const core = enter(world, ACTOR);
  const live = Array.from({ length: 5000 }, () => must(core.alloc(64)));
  const needed = Math.ceil((5000 * 64) / 65536);
  for (let index = 0; index < 200_000; index++) {
    assert.equal(core.free(live[index % 5000]!), OK);
    live[index % 5000] = must(core.alloc(64));
  }
  assert.equal(touchedPages(world), needed);
});

test("what was freed in a burst is found again before fresh pages are", () => {
  const world = makeLargeWorld();
  const core = enter(world, ACTOR);
  const blocks = Array.from({ length: 30_000 }, () => must(core.alloc(32)));
  const before = touchedPages(world);
  for (let round = 0; round < 20; round++) {
    const picked = blocks.map((_, index) => index).filter((index) => index % 7 === round % 7);
    for (const index of picked) assert.equal(core.free(blocks[index]!), OK);
    for (const index of picked) blocks[index] = must(core.alloc(32));
  }
  // An eighth more than there were, at most (core/buddy-find.ts).
  assert.ok(
    touchedPages(world) <= Math.ceil((before * 9) / 8),
    `${before} pages became ${touchedPages(world)}`,
  );
  assert.deepEqual(problemsOf(world), []);
});

test("a participant fills the whole heap: no leaf is left over", () => {
  const world = makeBuddyWorld(8, 13, 5, 0);
  const core = enter(world, ACTOR);
  const sizes = [256, 4096, 512, 8192, 1024, 2048];
  for (let index = 0; core.alloc(sizes[index % 6]!) !== 0; index++);
  while (core.alloc(256) !== 0);
  assert.equal(core.lastError(), NEED_PAGES);
  assert.equal(core.errorDetail(), 1);
  assert.equal(readBuddy(world.memory.buffer).freeLeaves, 0);
});

test("participants that begin at once begin in different cache lines of the table, and get different fresh pages", () => {
  const world = makeLargeWorld();
  const cores = [0, 1, 2, 3].map((slot) => enter(world, slot));
  const first = cores.map((core) => must(core.alloc(32)));
  const lines = first.map((handle) => Math.floor(handle / 1024 / 8));
  assert.equal(new Set(lines).size, 4, `tree words ${first.map((handle) => handle / 1024).join(", ")}`);
  // Each fills the page it is in, and more.
  const pages = cores.map((core) => {
    const mine = Array.from({ length: 4000 }, () => must(core.alloc(32)));
    return Math.floor(mine.at(-1)! / 65536);
  });
  assert.equal(new Set(pages).size, 4, `pages ${pages.join(", ")}`);
});

test("a page gets storage for the side table when it has its first owned block, and no other page does", () => {
  const world = makeLargeWorld();
  const core = enter(world, ACTOR);
  for (let index = 0; index < 1000; index++) must(core.alloc(256));
  const pages = [0, 1].map(() => Math.floor(must(allocOwned(core, 256)) / 65536));
  const { dataOffset } = world.geometry;
  for (let page = dataOffset / 65536; page < world.survey.endPage(); page++)
    assert.equal(world.survey.buddyFlags(page), pages.includes(page) ? BUDDY_HAS_OWNERS : 0);
  assert.equal(new Set(pages).size, 1);
});

test("handles that are no block's are refused, and why", () => {
  const world = makeLargeWorld();
  const core = enter(world, ACTOR);
  const block = must(core.alloc(100));
  const { dataOffset, spanPages } = world.geometry;
  assert.equal(core.usableSize(block), 128);
  const end = world.geometry.sizePages * 65536;
  const cases: [handle: number, code: number][] = [
    [0, BAD_HANDLE],
    [dataOffset - 1024, BAD_HANDLE],
    [block + 1, BAD_HANDLE],
    [block + 32, BAD_HANDLE],
    [block + 128, DOUBLE_FREE],
    [block + 65536, BAD_HANDLE],
    [end, BAD_HANDLE],
    [spanPages * 65536, BAD_HANDLE],
    [0xffffffe0, BAD_HANDLE],
  ];
  for (const [handle, code] of cases) {
    assert.equal(core.free(handle), code, `free(${handle})`);
    assert.equal(core.share(handle), code, `share(${handle})`);
    assert.equal(core.adopt(handle), code, `adopt(${handle})`);
    assert.equal(core.realloc(handle, 32), 0);
    assert.equal(core.usableSize(handle), 0);
    assert.equal(core.lastError(), code);
    assert.equal(world.survey.ownerOf(handle), 0);
  }
  // Beyond what this participant has mapped, and within what there is.
  core.publishSize(world.geometry.sizePages + 1);
  assert.equal(core.free(end), NEED_CATCH_UP);
  assert.equal(core.alloc(1025), 0);
  assert.equal(core.lastError(), TOO_LARGE);
  assert.equal(core.allocWith(32, 2048, 0, 0), 0);
  assert.equal(core.lastError(), TOO_LARGE);
  assert.equal(core.alloc(0), 0);
  assert.equal(must(core.allocWith(32, 1024, 0, 0)) % 1024, 0);
  assert.equal(core.free(block), OK);
  assert.equal(core.free(block), DOUBLE_FREE);
});

test("every geometry from the smallest to the largest blocks fills and drains", () => {
  for (let min = 4; min <= 16; min++) {
    for (let max = min; max <= Math.min(min + 5, 16); max++) {
      const world = makeBuddyWorld(min, max, 2, 20);
      const core = enter(world, ACTOR);
      const other = enter(world, OTHER);
      const held = [must(allocOwned(other, 2 ** max)), must(core.alloc(2 ** max))];
      assert.ok(held.every((handle) => handle % 2 ** max === 0));
      const small: number[] = [];
      for (let handle = core.alloc(1); handle !== 0; handle = core.alloc(1)) small.push(handle >>> 0);
      assert.equal(small.length, (2 * 65536 - 2 * 2 ** max) / 2 ** min, `2^${min} to 2^${max}`);
      assert.equal(new Set(small).size, small.length);
      assert.deepEqual(problemsOf(world), []);
      for (const handle of [...small, held[1]!]) assert.equal(core.free(handle), OK);
      assert.equal(core.recoverSlot(OTHER, 1), OK);
      const { blocks, rights } = readBuddy(world.memory.buffer);
      assert.deepEqual([blocks.size, rights.size], [0, 0]);
    }
  }
});
