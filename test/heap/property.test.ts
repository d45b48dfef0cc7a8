/**
 * Random calls of two participants against a model: a map from handle to what the block should hold and whose it is.
 *
 * The same steps for each allocator; a buddy heap's smallest and largest blocks are random too. After every step the heap
 * is verified by one of the two, and after every few all contents, sizes and owners are compared. A failure prints its seed
 * and how to repeat it: SHOAL_TEST_SEED, and SHOAL_TEST_RUNS for how many sequences are tried of each allocator (tried for
 * as long as that takes, then; without it for a limited time).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Heap } from "../../src/heap/index.ts";
import type { AllocatorName, AllocOptions, Handle, HeapCreateOptions } from "../../src/heap/index.ts";
import { abandon, assertFilled, checkHeap } from "../helpers/heaps.ts";
import { ALLOCATORS } from "../helpers/kinds.ts";
import { freshPosixName } from "../helpers/segments.ts";

const RUNS = 800;
const LIMIT_MS = 20_000;

interface Block {
  readonly sizeBytes: number;
  readonly byte: number;
  /** Which of the two owns it; -1 = it is shared. */
  readonly owner: number;
}

interface Allocation extends AllocOptions {
  readonly sizeBytes: number;
  readonly byte: number;
}

type Step = { readonly by: number } & (
  | ({ readonly kind: "alloc" | "calloc" } & Allocation)
  | ({ readonly kind: "allocMany"; readonly count: number } & Allocation)
  | { readonly kind: "realloc"; readonly pick: number; readonly sizeBytes: number }
  | { readonly kind: "free" | "freeTwice" | "share" | "adopt"; readonly pick: number }
  | { readonly kind: "freeMany"; readonly picks: readonly number[] }
  | { readonly kind: "leave" | "die"; readonly early: boolean }
);

const actor = fc.nat(1);
const pick = fc.nat(9999);
const byte = fc.integer({ min: 1, max: 255 });
const owned = fc.oneof({ weight: 2, arbitrary: fc.constant(false) }, fc.constant(true));
const edges = [1, 8, 9, 16, 17, 256, 257, 1024, 1025, 8192, 8193, 32_768, 32_769, 65_536, 65_537, 131_072];
const sizeBytes = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 600 }) },
  { weight: 3, arbitrary: fc.integer({ min: 600, max: 40_000 }) },
  { weight: 2, arbitrary: fc.integer({ min: 32_000, max: 200_000 }) },
  { weight: 2, arbitrary: fc.constantFrom(...edges) },
);
const alignmentBytes = fc.integer({ min: 0, max: 16 }).map((shift) => 2 ** shift);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant("alloc" as const), by: actor, sizeBytes, byte, owned }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("alloc" as const),
      by: actor,
      sizeBytes,
      byte,
      owned,
      alignmentBytes,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("calloc" as const), by: actor, sizeBytes, byte, owned }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("realloc" as const), by: actor, pick, sizeBytes }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("free" as const), by: actor, pick }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("freeTwice" as const), by: actor, pick }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constantFrom("share" as const, "adopt" as const), by: actor, pick }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("freeMany" as const),
      by: actor,
      picks: fc.array(pick, { maxLength: 20 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom("leave" as const, "die" as const),
      by: actor,
      early: fc.boolean(),
    }),
  },
);

/** Many blocks of one size, so that pages fill up and empty: single calls seldom do that. */
const burst: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant("allocMany" as const),
  by: actor,
  sizeBytes: fc.constantFrom(24, 100, 512, 1024, 3000, 9000),
  count: fc.integer({ min: 10, max: 140 }),
  byte,
});

const sequence = fc.array(fc.oneof({ weight: 30, arbitrary: step }, { weight: 1, arbitrary: burst }), {
  minLength: 20,
  maxLength: 60,
});

/** How large the blocks of a buddy heap are: log2 of the smallest one, and how often it is doubled. */
const buddySizes = fc
  .record({ shift: fc.integer({ min: 4, max: 16 }), levels: fc.nat(5) })
  .map(({ shift, levels }): HeapCreateOptions => ({
    minBlockBytes: 2 ** shift,
    maxBlockBytes: 2 ** Math.min(shift + levels, 16),
  }));

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

/** The code that a call is refused with; "" when it is not. */
function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof Error && "code" in error) return String(error.code);
    throw error;
  }
  return "";
}

function allocate(play: Play, one: Step & Allocation): void {
  const heap = play.heaps[one.by]!;
  const block = { sizeBytes: one.sizeBytes, byte: one.byte, owner: one.owned === true ? one.by : -1 };
  const { alignmentBytes: alignment = 1 } = one;
  const options: AllocOptions = {
    owned: one.owned === true,
    ...(alignment > 1 ? { alignmentBytes: alignment } : {}),
  };
  const got: Handle[] = [];
  const code = codeOf(() => {
    if (one.kind === "allocMany") got.push(...heap.allocMany(one.count, one.sizeBytes));
    else if (one.kind === "calloc") got.push(heap.calloc(1, one.sizeBytes, options));
    else got.push(heap.alloc(one.sizeBytes, options));
  });
  const isPossible = Math.max(one.sizeBytes, alignment) <= heap.plan.maxBlockBytes;
  assert.equal(code, isPossible ? "" : "ERR_SHOAL_OUT_OF_MEMORY");
  for (const handle of got) {
    assert.equal(handle % alignment, 0, `block ${handle} is not at a multiple of ${alignment}`);
    if (one.kind === "calloc") assertFilled(heap, handle, 0, one.sizeBytes);
    add(play, heap, handle, block);
  }
}

function resize(play: Play, by: number, handle: Handle, size: number): void {
  const heap = play.heaps[by]!;
  const block = play.model.get(handle)!;
  const { byte: old, sizeBytes: before, owner } = block;
  let moved = handle;
  const code = codeOf(() => (moved = heap.realloc(handle, size)));
  if (owner === 1 - by) return assert.equal(code, "ERR_SHOAL_NOT_OWNER");
  if (size > heap.plan.maxBlockBytes) return assert.equal(code, "ERR_SHOAL_OUT_OF_MEMORY");
  assert.equal(code, "");
  play.model.delete(handle);
  assertFilled(heap, moved, old, Math.min(before, size));
  add(play, heap, moved, { ...block, sizeBytes: size });
}

/** What one may do to a block of one's own or a shared one, and is refused for another's. */
function change(
  play: Play,
  by: number,
  handle: Handle,
  kind: "free" | "freeTwice" | "share" | "adopt",
): void {
  const [heap, other] = [play.heaps[by]!, play.heaps[1 - by]!];
  const block = play.model.get(handle)!;
  const code = codeOf(() => heap[kind === "freeTwice" ? "free" : kind](handle));
  if (block.owner === 1 - by) return assert.equal(code, "ERR_SHOAL_NOT_OWNER");
  assert.equal(code, "");
  if (kind === "share" || kind === "adopt") {
    play.model.set(handle, { ...block, owner: kind === "share" ? -1 : by });
    return;
  }
  play.model.delete(handle);
  if (kind === "freeTwice") {
    for (const one of [heap, other])
      assert.match(
        codeOf(() => one.free(handle)),
        /DOUBLE_FREE|BAD_HANDLE/,
      );
  }
}

function freeMany(play: Play, by: number, picks: readonly number[]): void {
  const handles = [...new Set(picks.map((at) => choose(play.model, at)))].filter((one) => one !== undefined);
  const stop = handles.findIndex((handle) => play.model.get(handle)!.owner === 1 - by);
  const code = codeOf(() => play.heaps[by]!.freeMany(handles));
  assert.equal(code, stop < 0 ? "" : "ERR_SHOAL_NOT_OWNER");
  for (const handle of stop < 0 ? handles : handles.slice(0, stop)) play.model.delete(handle);
}

/** One of the two goes, and takes what it owns with it; another comes. */
function leave(play: Play, by: number, kind: "leave" | "die", isRecoveredEarly: boolean): void {
  const heap = play.heaps[by]!;
  if (kind === "die") abandon(heap);
  else heap.close();
  for (const [handle, { owner }] of play.model) if (owner === by) play.model.delete(handle);
  // The dead are recovered by the one who stays, or else by the one who comes.
  if (isRecoveredEarly) assert.equal(play.heaps[1 - by]!.recover(), kind === "die" ? 1 : 0);
  play.heaps[by] = Heap.open(play.name);
}

function apply(play: Play, one: Step): void {
  if ("byte" in one) return allocate(play, one);
  if (one.kind === "freeMany") return freeMany(play, one.by, one.picks);
  if (!("pick" in one)) return leave(play, one.by, one.kind, one.early);
  const handle = choose(play.model, one.pick);
  if (handle === undefined) return;
  if (one.kind === "realloc") resize(play, one.by, handle, one.sizeBytes);
  else change(play, one.by, handle, one.kind);
}

function compare({ heaps, model }: Play, at: number): void {
  let reached = 0;
  const listed = [...heaps[at % 2]!.blocks()];
  assert.equal(listed.length, model.size);
  for (const { handle, sizeBytes: usable, ownerSlot } of listed) {
    const block = model.get(handle);
    assert.ok(block !== undefined, `block ${handle} is nobody's`);
    assert.ok(handle >= reached, `block ${handle} begins inside another`);
    reached = handle + usable;
    assert.equal(ownerSlot, block.owner < 0 ? -1 : heaps[block.owner]!.region.slotIndex);
    assertFilled(heaps[1 - (at % 2)]!, handle, block.byte, block.sizeBytes);
  }
  const { usedBytes } = heaps[0]!.stats();
  assert.equal(
    usedBytes,
    listed.reduce((sum, { sizeBytes: usable }) => sum + usable, 0),
  );
}

function playThrough(name: string, options: HeapCreateOptions, steps: readonly Step[]): void {
  const made = Heap.create(name, {
    ...options,
    sizeBytes: 2 ** 19,
    spanBytes: 128 * 2 ** 20,
    maxParticipants: 4,
  });
  const game: Play = { name, heaps: [made, Heap.open(name)], model: new Map() };
  try {
    for (const [index, one] of steps.entries()) {
      apply(game, one);
      checkHeap(game.heaps[index % 2]!, game.model.size);
      if (index % 16 === 0) compare(game, index >> 4);
    }
    compare(game, 0);
    for (const [handle, { owner }] of game.model)
      game.heaps[owner < 0 ? (handle >> 4) % 2 : owner]!.free(handle);
    for (const heap of game.heaps) checkHeap(heap, 0);
    game.heaps[1]!.close();
    assert.equal(game.heaps[0]!.stats().orphanPages, 0);
  } finally {
    game.heaps[1]!.close();
    game.heaps[0]!.remove();
  }
}

function defineProperty(allocator: AllocatorName): void {
  test(`${allocator}: two participants that call whatever they like always find what the model says`, (t) => {
    const { SHOAL_TEST_SEED: givenSeed, SHOAL_TEST_RUNS: givenRuns } = process.env;
    const seed = givenSeed === undefined ? Date.now() % 2 ** 31 : Number(givenSeed);
    const numRuns = Number(givenRuns ?? RUNS);
    const name = freshPosixName(t);
    let runs = 0;
    const options = allocator === "buddy" ? buddySizes : fc.constant({});
    const property = fc.property(options, sequence, (sizes, steps) => {
      runs++;
      playThrough(name, { ...sizes, allocator }, steps);
    });
    try {
      fc.assert(property, {
        seed,
        numRuns,
        ...(givenRuns === undefined ? { interruptAfterTimeLimit: LIMIT_MS } : {}),
      });
    } catch (error) {
      const how = `repeat with SHOAL_TEST_SEED=${seed} SHOAL_TEST_RUNS=${numRuns} npm test -- heap/property`;
      throw new Error(`${how}\n${(error as Error).message}`, { cause: error });
    } finally {
      t.diagnostic(`seed ${seed}, ${runs} sequences`);
    }
  });
}

for (const allocator of ALLOCATORS) defineProperty(allocator);
