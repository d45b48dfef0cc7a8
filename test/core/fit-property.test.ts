/**
 * Random calls of two participants on a first-fit heap, and the same on a list of blocks: every handle must be the very one
 * that a walk over all blocks in address order finds.
 *
 * A failure prints its seed; SHOAL_TEST_SEED repeats it, SHOAL_TEST_RUNS sets how many sequences are tried.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import * as fc from "fast-check";
import { ALLOCATOR_FIRST_FIT } from "../../src/layout/header.ts";
import { BAD_HANDLE, DOUBLE_FREE, NEED_PAGES, NOT_OWNER, OK } from "../../src/layout/result.ts";
import type { HeapCore } from "../../src/region/core.ts";
import { PLAIN } from "../../src/region/geometry.ts";
import { enter, makeWorld } from "../helpers/core-world.ts";
import type { World } from "../helpers/core-world.ts";
import { assertApart } from "../helpers/oracle.ts";
import { verifyFit } from "../helpers/fit-check.ts";
import { FitModel } from "../helpers/fit-model.ts";
import { readFit } from "../helpers/fit-oracle.ts";

type Step =
  | { readonly kind: "alloc"; readonly by: number; readonly sizeBytes: number }
  | {
      readonly kind: "place";
      readonly by: number;
      readonly sizeBytes: number;
      readonly shift: number;
      readonly owned: boolean;
    }
  | { readonly kind: "free" | "freeTwice" | "share" | "adopt"; readonly by: number; readonly pick: number }
  | { readonly kind: "realloc"; readonly by: number; readonly pick: number; readonly sizeBytes: number }
  | { readonly kind: "grow"; readonly by: number };

function stepsOf(sizeBytes: fc.Arbitrary<number>, most: number): fc.Arbitrary<Step[]> {
  const by = fc.nat(1);
  const pick = fc.nat(9999);
  const shift = fc.nat(16);
  const one: fc.Arbitrary<Step> = fc.oneof(
    { weight: 10, arbitrary: fc.record({ kind: fc.constant("alloc" as const), by, sizeBytes }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("place" as const),
        by,
        sizeBytes,
        shift,
        owned: fc.boolean(),
      }),
    },
    {
      weight: 9,
      arbitrary: fc.record({
        kind: fc.constantFrom("free" as const, "free" as const, "free" as const, "freeTwice" as const),
        by,
        pick,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constantFrom("share" as const, "adopt" as const), by, pick }),
    },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("realloc" as const), by, pick, sizeBytes }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("grow" as const), by }) },
  );
  return fc.array(one, { minLength: 20, maxLength: most, size: "max" });
}

/** Two participants, and what they should find. */
interface Play {
  readonly world: World;
  readonly cores: readonly HeapCore[];
  readonly model: FitModel;
  readonly handles: number[];
}

function begin(dataPages: number, sparePages: number): Play {
  const world = makeWorld(dataPages, sparePages, 4, { ...PLAIN, allocator: ALLOCATOR_FIRST_FIT });
  const { dataOffset, sizePages } = world.geometry;
  const cores = [enter(world, 0), enter(world, 1)];
  return { world, cores, model: new FitModel(dataOffset, sizePages), handles: [] };
}

function add(play: Play, core: HeapCore, handle: number, expected: number): void {
  assert.equal(handle >>> 0, expected, "the handle is the lowest that there is room at");
  if (handle === 0) assert.equal(core.lastError(), NEED_PAGES);
  else play.handles.push(handle >>> 0);
}

function grow({ world, cores, model }: Play): void {
  if (model.pages === world.geometry.spanPages) return;
  world.memory.grow(1);
  model.pages = cores[0]!.publishSize(model.pages + 1);
}

/** What a block's owner makes of a change by participant `by`: undefined when that may change it. */
function refusal(play: Play, handle: number, by: number): number | undefined {
  const owner = play.model.ownerOf(handle);
  return owner === 0 || owner === by + 1 ? undefined : NOT_OWNER;
}

function remove(play: Play, core: HeapCore, handle: number, twice: boolean): void {
  assert.equal(core.free(handle), OK);
  play.model.free(handle);
  play.handles.splice(play.handles.indexOf(handle), 1);
  // Where it began there is a free block now, or nothing begins any more.
  if (twice) assert.ok([BAD_HANDLE, DOUBLE_FREE].includes(core.free(handle)));
}

function change(play: Play, step: Extract<Step, { pick: number }>): void {
  const core = play.cores[step.by]!;
  const handle = play.handles[step.pick % Math.max(play.handles.length, 1)];
  if (handle === undefined) return;
  const expected = refusal(play, handle, step.by);
  if (step.kind === "realloc") {
    const moved = core.realloc(handle, step.sizeBytes) >>> 0;
    if (expected !== undefined) {
      assert.deepEqual([moved, core.lastError()], [0, expected]);
      return;
    }
    assert.equal(moved, play.model.realloc(handle, step.sizeBytes));
    if (moved !== 0) play.handles[play.handles.indexOf(handle)] = moved;
    return;
  }
  if (step.kind === "share" || step.kind === "adopt") {
    assert.equal(core[step.kind](handle), expected ?? OK);
    if (expected === undefined) play.model.setOwner(handle, step.kind === "share" ? 0 : step.by + 1);
    return;
  }
  if (expected !== undefined) assert.equal(core.free(handle), expected);
  else remove(play, core, handle, step.kind === "freeTwice");
}

function apply(play: Play, step: Step): void {
  const core = play.cores[step.by]!;
  if (step.kind === "alloc") add(play, core, core.alloc(step.sizeBytes), play.model.alloc(step.sizeBytes));
  else if (step.kind === "place") {
    const alignmentBytes = 2 ** step.shift;
    const handle = core.allocWith(step.sizeBytes, alignmentBytes, step.owned ? 1 : 0, 0);
    add(play, core, handle, play.model.alloc(step.sizeBytes, alignmentBytes, step.owned ? step.by + 1 : 0));
    assert.equal((handle >>> 0) % alignmentBytes, 0);
  } else if (step.kind === "grow") grow(play);
  else change(play, step);
}

/** The blocks are the model's, and everything else follows from them. */
function compare({ world, model, cores }: Play): void {
  const picture = readFit(world.memory.buffer);
  assert.deepEqual(picture.problems, []);
  assert.deepEqual(picture.all, model.blocks);
  assert.deepEqual(verifyFit(world), []);
  assertApart(picture.blocks, world.memory.buffer.byteLength);
  for (const [handle, sizeBytes] of picture.blocks) {
    assert.equal(cores[0]!.usableSize(handle), sizeBytes);
    assert.equal(world.survey.ownerOf(handle), picture.owners.get(handle));
  }
}

function check(t: TestContext, property: fc.IProperty<[Step[]]>, usualRuns: number): void {
  const given = process.env["SHOAL_TEST_SEED"];
  const seed = given === undefined ? Date.now() % 2 ** 31 : Number(given);
  const numRuns = Number(process.env["SHOAL_TEST_RUNS"] ?? usualRuns);
  t.diagnostic(`seed ${seed}, ${numRuns} sequences`);
  try {
    fc.assert(property, { seed, numRuns });
  } catch (error) {
    const how = `repeat with SHOAL_TEST_SEED=${seed} SHOAL_TEST_RUNS=${numRuns} npm test -- core/fit-property`;
    throw new Error(`${how}\n${(error as Error).message}`, { cause: error });
  }
}

const small = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 300 }) },
  { weight: 4, arbitrary: fc.integer({ min: 300, max: 4000 }) },
  { weight: 2, arbitrary: fc.integer({ min: 4000, max: 70_000 }) },
  { weight: 2, arbitrary: fc.constantFrom(1, 8, 9, 16, 1000, 1008, 1016, 1017, 1024, 65_528, 65_536) },
);

test("every block of a first-fit heap is where a walk over all blocks would put it", (t) => {
  check(
    t,
    fc.property(stepsOf(small, 200), (steps) => {
      const play = begin(2, 3);
      for (const [index, step] of steps.entries()) {
        apply(play, step);
        if (index % 8 === 0) compare(play);
      }
      compare(play);
      for (const handle of play.handles) {
        const owner = play.model.ownerOf(handle);
        assert.equal(play.cores[Math.max(owner - 1, 0)]!.free(handle), OK);
        play.model.free(handle);
      }
      compare(play);
      assert.ok(play.model.blocks.length <= 1, "all that was freed is one block again");
    }),
    150,
  );
});

/** In hundreds of megabytes, of which only the headers are ever touched: all levels of the index. */
test("nor does it matter how large the heap is", (t) => {
  const page = 65_536;
  const large = fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 1, max: 16 * page }) },
    { weight: 3, arbitrary: fc.integer({ min: 16 * page, max: 300 * page }) },
    { weight: 1, arbitrary: fc.integer({ min: 300 * page, max: 3000 * page }) },
    { weight: 1, arbitrary: fc.constantFrom(page - 8, page, 64 * page - 8, 64 * page, 4096 * page) },
  );
  check(
    t,
    fc.property(stepsOf(large, 400), (steps) => {
      const play = begin(9000, 3);
      for (const step of steps) apply(play, step);
      compare(play);
    }),
    10,
  );
});
