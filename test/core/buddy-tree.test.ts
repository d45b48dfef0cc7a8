/**
 * Two bits a leaf are a buddy system: the core's tree words against lists of free blocks that are split and joined.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { BUDDY_FLAGS_BYTES, BUDDY_STARTS_SHIFT } from "../../src/layout/buddy.ts";
import { NEED_PAGES, OK } from "../../src/layout/result.ts";
import type { HeapCore } from "../../src/region/core.ts";
import { makeBuddyWorld } from "../helpers/buddy-scenarios.ts";
import { enter } from "../helpers/core-world.ts";
import type { World } from "../helpers/core-world.ts";
import { TextbookBuddy } from "../helpers/textbook-buddy.ts";

/** One maximal block of a page, and a core on it. */
interface Subject {
  readonly world: World;
  readonly core: HeapCore;
  readonly topLevel: number;
  readonly leafBytes: number;
  readonly start: number;
  readonly treeOffset: number;
}

/** A heap of one maximal block with 2^topLevel leaves. */
function makeSubject(topLevel: number): Subject {
  const world = makeBuddyWorld(16 - topLevel, 16, 1, 0);
  const core = enter(world, 0);
  const start = world.geometry.dataOffset;
  const { tableOffset, tableBytesPerPage } = world.geometry;
  const treeOffset = tableOffset + (start / 65536) * tableBytesPerPage + BUDDY_FLAGS_BYTES;
  // The page is in use from now on.
  assert.equal(core.free(core.alloc(1)), OK);
  return { world, core, topLevel, leafBytes: 2 ** (16 - topLevel), start, treeOffset };
}

const levelsOf = ({ topLevel }: Subject): number[] =>
  Array.from({ length: topLevel + 1 }, (_, level) => level);

/** The tree word that says what the model holds. */
function wordOf(model: TextbookBuddy): bigint {
  let word = 0n;
  for (const [leaf, level] of model.allocated) {
    word |= ((1n << BigInt(2 ** level)) - 1n) << BigInt(leaf);
    word |= 1n << BigInt(leaf + BUDDY_STARTS_SHIFT);
  }
  return word;
}

function readWord({ world, treeOffset }: Subject): bigint {
  return new DataView(world.memory.buffer).getBigUint64(treeOffset, true);
}

function writeWord({ world, treeOffset }: Subject, word: bigint): void {
  new DataView(world.memory.buffer).setBigUint64(treeOffset, word, true);
}

const widths = [6, 5, 4, 3, 2, 1];

/** The counts that the survey packs into one number, by level. */
function unpack(packed: number): number[] {
  let shift = 0;
  return widths.map((width) => {
    const count = (packed >>> shift) & (2 ** width - 1);
    shift += width;
    return count;
  });
}

/** The core's word is the model's, and its counts are the lengths of the model's lists. */
function compare(subject: Subject, model: TextbookBuddy): void {
  assert.equal(readWord(subject), wordOf(model));
  const { survey } = subject.world;
  survey.treeUsed(subject.start / 65536);
  const none = widths.slice(subject.topLevel + 1).map(() => 0);
  assert.deepEqual(unpack(survey.freeInTree()), [...model.free.map((leaves) => leaves.size), ...none]);
  const used = [...widths.map(() => 0)];
  for (const level of model.allocated.values()) used[level]!++;
  assert.deepEqual(unpack(survey.blocksInTree()), used);
}

function allocBoth(subject: Subject, model: TextbookBuddy, level: number): number {
  const expected = model.alloc(level);
  const handle = subject.core.alloc(subject.leafBytes * 2 ** level) >>> 0;
  if (expected < 0) {
    assert.equal(handle, 0, `level ${level}: the core found room where there is none`);
    assert.equal(subject.core.lastError(), NEED_PAGES);
  } else
    assert.equal((handle - subject.start) / subject.leafBytes, expected, `level ${level}: another place`);
  return expected;
}

function freeBoth(subject: Subject, model: TextbookBuddy, leaf: number): void {
  model.release(leaf);
  assert.equal(subject.core.free(subject.start + leaf * subject.leafBytes), OK);
}

describe("every state of a maximal block, and everything that can be done in it", () => {
  // 1 + the square of the number for half as many leaves: any two halves, or one block.
  for (const [topLevel, states] of [2, 5, 26, 677].entries()) {
    test(`is what a textbook buddy system has and does: ${2 ** topLevel} leaves, ${states} states`, () => {
      const subject = makeSubject(topLevel);
      const empty = new TextbookBuddy(topLevel);
      const known = new Map([[wordOf(empty), empty]]);
      for (const [word, model] of known) {
        const steps = [
          ...levelsOf(subject).map((level) => (copy: TextbookBuddy) => allocBoth(subject, copy, level)),
          ...[...model.allocated.keys()].map(
            (leaf) => (copy: TextbookBuddy) => freeBoth(subject, copy, leaf),
          ),
        ];
        for (const step of steps) {
          const copy = model.copy();
          writeWord(subject, word);
          step(copy);
          compare(subject, copy);
          const reached = wordOf(copy);
          // A Map's walk comes to what is added during it.
          if (!known.has(reached)) known.set(reached, copy);
        }
      }
      assert.equal(known.size, states);
    });
  }
});

test("long random sequences in a maximal block of 32 leaves do the same as in a textbook buddy system", (t) => {
  const given = process.env["SHOAL_TEST_SEED"];
  const seed = given === undefined ? Date.now() % 2 ** 31 : Number(given);
  const numRuns = Number(process.env["SHOAL_TEST_RUNS"] ?? 100);
  t.diagnostic(`seed ${seed}, ${numRuns} sequences`);
  const subject = makeSubject(5);
  const step = fc.record({
    isAlloc: fc.boolean(),
    level: fc.constantFrom(0, 0, 0, 1, 1, 2, 3, 4, 5),
    pick: fc.nat(31),
  });
  const property = fc.property(fc.array(step, { minLength: 100, maxLength: 400 }), (steps) => {
    const model = new TextbookBuddy(5);
    writeWord(subject, 0n);
    for (const { isAlloc, level, pick } of steps) {
      const blocks = [...model.allocated.keys()];
      if (isAlloc || blocks.length === 0) allocBoth(subject, model, level);
      else freeBoth(subject, model, blocks[pick % blocks.length]!);
      compare(subject, model);
    }
  });
  try {
    fc.assert(property, { seed, numRuns });
  } catch (error) {
    const how = `repeat with SHOAL_TEST_SEED=${seed} SHOAL_TEST_RUNS=${numRuns} npm test -- core/buddy-tree`;
    throw new Error(`${how}\n${(error as Error).message}`, { cause: error });
  }
});

test("a block is resized where it is exactly when its larger or smaller self is a free part of the tree", () => {
  const subject = makeSubject(3);
  const { core, start, leafBytes } = subject;
  const empty = new TextbookBuddy(3);
  const known = new Map([[wordOf(empty), empty]]);
  for (const [word, model] of known) {
    for (const level of levelsOf(subject)) {
      const copy = model.copy();
      if (copy.alloc(level) >= 0 && !known.has(wordOf(copy))) known.set(wordOf(copy), copy);
    }
    for (const leaf of model.allocated.keys()) {
      const copy = model.copy();
      copy.release(leaf);
      if (!known.has(wordOf(copy))) known.set(wordOf(copy), copy);
    }
    for (const [leaf, old] of model.allocated) {
      for (const wanted of levelsOf(subject)) {
        const fits = [...model.allocated].every(
          ([other, level]) => other === leaf || other + 2 ** level <= leaf || other >= leaf + 2 ** wanted,
        );
        const isInPlace = wanted <= old || (leaf % 2 ** wanted === 0 && fits);
        writeWord(subject, word);
        const handle = start + leaf * leafBytes;
        // Where it has to move, it is told that the new block needs the side table's storage, or finds no room.
        const moved = core.realloc(handle, leafBytes * 2 ** wanted) >>> 0;
        assert.equal(moved, isInPlace ? handle : 0, `${word.toString(16)}: ${leaf}, ${old} to ${wanted}`);
        const copy = model.copy();
        if (isInPlace) copy.allocated.set(leaf, wanted);
        assert.equal(readWord(subject), wordOf(copy));
      }
    }
  }
  assert.equal(known.size, 677);
});
