/**
 * Random calls of two participants against a model: a map from handle to what the block should hold.
 *
 * After every call the heap is verified by both, and after every few all contents are compared. A failure prints its
 * seed; SHOAL_TEST_SEED repeats it, SHOAL_TEST_RUNS sets how many sequences are tried.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Heap } from "../../src/heap/index.ts";
import type { Handle } from "../../src/heap/index.ts";
import { abandon, assertFilled, checkHeap } from "../helpers/heaps.ts";
import { freshPosixName } from "../helpers/segments.ts";

interface Block {
  readonly sizeBytes: number;
  readonly byte: number;
}

type Step =
  | {
      readonly kind: "alloc" | "calloc";
      readonly by: number;
      readonly sizeBytes: number;
      readonly byte: number;
    }
  | { readonly kind: "realloc"; readonly by: number; readonly pick: number; readonly sizeBytes: number }
  | { readonly kind: "free" | "freeTwice"; readonly by: number; readonly pick: number }
  | { readonly kind: "reopen" | "die"; readonly by: number };

const by = fc.nat(1);
const pick = fc.nat(9999);
const byte = fc.integer({ min: 1, max: 255 });
const sizeBytes = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 600 }) },
  { weight: 3, arbitrary: fc.integer({ min: 600, max: 40_000 }) },
  { weight: 2, arbitrary: fc.integer({ min: 32_000, max: 400_000 }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(1, 16, 17, 256, 257, 8192, 8193, 32_768, 32_769, 65_536, 65_537, 131_072),
  },
);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("alloc" as const), by, sizeBytes, byte }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("calloc" as const), by, sizeBytes, byte }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("realloc" as const), by, pick, sizeBytes }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("free" as const), by, pick }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("freeTwice" as const), by, pick }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("reopen" as const, "die" as const), by }) },
);

/** Many blocks of one size, so that pages fill up and empty: single calls seldom do that. */
const burst: fc.Arbitrary<Step[]> = fc
  .record({
    by,
    sizeBytes: fc.constantFrom(512, 1024, 3000, 9000),
    count: fc.integer({ min: 10, max: 140 }),
    byte,
  })
  .map(({ count, ...rest }) => Array.from({ length: count }, () => ({ kind: "alloc" as const, ...rest })));

const sequence = fc
  .array(fc.oneof({ weight: 30, arbitrary: step.map((one) => [one]) }, { weight: 1, arbitrary: burst }), {
    minLength: 20,
    maxLength: 60,
  })
  .map((parts) => parts.flat());

/** Two participants and what they should find. */
interface Play {
  readonly name: string;
  readonly heaps: Heap[];
  readonly model: Map<Handle, Block>;
}

function choose(model: Play["model"], at: number): Handle | undefined {
  return model.size === 0 ? undefined : [...model.keys()][at % model.size];
}

/** Takes a new block into the model: it must be nobody else's. */
function add(play: Play, heap: Heap, handle: Handle, block: Block): void {
  assert.ok(!play.model.has(handle), `block ${handle} was given out twice`);
  heap.bytes(handle, block.sizeBytes).fill(block.byte);
  play.model.set(handle, block);
}

function resize(play: Play, heap: Heap, handle: Handle, size: number): void {
  const { byte: old, sizeBytes: before } = play.model.get(handle)!;
  const moved = heap.realloc(handle, size);
  play.model.delete(handle);
  assertFilled(heap, moved, old, Math.min(before, size));
  add(play, heap, moved, { sizeBytes: size, byte: old });
}

function apply(play: Play, one: Step): void {
  const heap = play.heaps[one.by]!;
  if ("byte" in one) {
    const handle = one.kind === "alloc" ? heap.alloc(one.sizeBytes) : heap.calloc(1, one.sizeBytes);
    if (one.kind === "calloc") assertFilled(heap, handle, 0, one.sizeBytes);
    add(play, heap, handle, one);
    return;
  }
  if (!("pick" in one)) {
    if (one.kind === "die") abandon(heap);
    else heap.close();
    play.heaps[one.by] = Heap.open(play.name);
    return;
  }
  const handle = choose(play.model, one.pick);
  if (handle === undefined) return;
  if (one.kind === "realloc") return resize(play, heap, handle, one.sizeBytes);
  heap.free(handle);
  play.model.delete(handle);
  if (one.kind === "freeTwice") {
    assert.throws(() => heap.free(handle), { name: "ShoalError" });
    assert.throws(() => play.heaps[1 - one.by]!.free(handle), { name: "ShoalError" });
  }
}

function compare(play: Play): void {
  let reached = 0;
  for (const [handle, block] of [...play.model].sort(([one], [other]) => one - other)) {
    assert.ok(handle >= reached, `block ${handle} begins inside another`);
    reached = handle + play.heaps[0]!.usableSize(handle);
    assertFilled(play.heaps[1]!, handle, block.byte, block.sizeBytes);
  }
}

function playThrough(name: string, steps: readonly Step[]): void {
  const made = Heap.create(name, { sizeBytes: 2 ** 19, spanBytes: 64 * 2 ** 20, maxParticipants: 4 });
  const game: Play = { name, heaps: [made, Heap.open(name)], model: new Map() };
  try {
    for (const [index, one] of steps.entries()) {
      apply(game, one);
      checkHeap(game.heaps[index % 2]!, game.model.size);
      if (index % 16 === 0) compare(game);
    }
    compare(game);
    for (const handle of game.model.keys()) game.heaps[handle % 3 === 0 ? 0 : 1]!.free(handle);
    for (const heap of game.heaps) checkHeap(heap, 0);
    game.heaps[1]!.close();
    assert.equal(game.heaps[0]!.stats().orphanPages, 0);
  } finally {
    game.heaps[1]!.close();
    game.heaps[0]!.remove();
  }
}

test("two participants that call whatever they like always find what the model says", (t) => {
  const given = process.env["SHOAL_TEST_SEED"];
  const seed = given === undefined ? Date.now() % 2 ** 31 : Number(given);
  const numRuns = Number(process.env["SHOAL_TEST_RUNS"] ?? 200);
  t.diagnostic(`seed ${seed}, ${numRuns} sequences`);
  try {
    fc.assert(
      fc.property(sequence, (steps) => playThrough(freshPosixName(t), steps)),
      { seed, numRuns },
    );
  } catch (error) {
    const how = `repeat with SHOAL_TEST_SEED=${seed} SHOAL_TEST_RUNS=${numRuns} npm test -- heap/property`;
    throw new Error(`${how}\n${(error as Error).message}`, { cause: error });
  }
});
