/**
 * Repair for crash exhaustion: damaged heaps, whose repairer dies before each of its accesses.
 *
 * What it leaves is repaired again, by itself when its call was only cut off, and by another one when it died; and by a third
 * when that one died, too. Each time what comes of it must be what comes of a repair that nobody disturbs: the same blocks of the
 * same owners, the same roots, and a heap that is sound.
 */

import assert from "node:assert/strict";
import { damage } from "../flips/damage.ts";
import type { Target } from "../flips/target.ts";
import { makeRandom } from "../flips/random.ts";
import { H_SIZE_PAGES } from "../src/layout/header.ts";
import { instantiateRepair } from "../src/region/core.ts";
import { CONSTANTS } from "../src/region/header.ts";
import type { Handle } from "../src/heap/index.ts";
import { enter, makeTrigger, snapshot, survives } from "../test/helpers/core-world.ts";
import type { Trigger, World } from "../test/helpers/core-world.ts";
import type { CrashScene } from "./crash.ts";
import type { CrashCase } from "./crash-cases.ts";
import { watched } from "./crash-segment.ts";
import { blocksOf, checkEmptiable, checkHeap, checkRoomOf, heapKinds, makeHeap, rootNames } from "./heaps.ts";
import type { HeapKind } from "./heaps.ts";
import { writeName } from "./operations.ts";
import { allocOwned, DEAD, dieAt, must, nameRoot, sizesOf } from "./set-up.ts";

/** Who repairs, who does when that one has died, and who after that. */
const ACTOR = 0;
const SURVIVOR = 14;
const THIRD = 15;

/** More than damage knows of: none of what it writes is those others'. */
const SLOT_COUNT = 18;
const JUDGE = 16;

/** How many heaps of each allocator are damaged; the first is sound but for what the dead have left. */
const HEAP_COUNT = 16;
const DEEP_HEAP_COUNT = 400;

const dataPages: Readonly<Record<HeapKind, number>> = { slab: 12, buddy: 3, "first-fit": 1 };

/** Blocks of every sort: shared, the repairer's own, and of one that has died in the middle of a call. */
function populate(kind: HeapKind, world: World, random: ReturnType<typeof makeRandom>): Handle[] {
  const { small, larger, large, largest } = sizesOf[kind];
  const core = enter(world, ACTOR);
  const dead = enter(world, DEAD);
  const shared = [small, small, larger, large, small, largest].map((size) => must(core.alloc(size)));
  const own = [allocOwned(core, small), allocOwned(core, large)];
  const theirs = [allocOwned(dead, small), allocOwned(dead, large), must(dead.alloc(small))];
  nameRoot(world, ACTOR, core, "one", shared[0]!);
  nameRoot(world, ACTOR, core, "two", shared[2]!);
  core.free(shared[1]!);
  dieAt(world, DEAD, 1 + random.below(12), (mortal) => {
    mortal.free(theirs[2]!);
    mortal.alloc(largest);
  });
  return [shared[0]!, ...shared.slice(2), ...own, ...theirs.slice(0, 2)] as Handle[];
}

function targetOf(allocator: HeapKind, world: World, handles: readonly Handle[]): Target {
  const { geometry, memory } = world;
  const bytes = new Uint8Array(memory.buffer);
  const lengthBytes = geometry.sizePages * 65536;
  return {
    allocator,
    geometry,
    sizePages: geometry.sizePages,
    handles,
    objects: [],
    lengthBytes: () => lengthBytes,
    read: (offset, into) => into.set(bytes.subarray(offset, offset + into.length)),
    write: (offset, from) => bytes.set(from, offset),
  };
}

/** What has trapped has come as far as it has: so may recovery in a damaged heap. */
function attempt(step: () => void): void {
  try {
    step();
  } catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
  }
}

/** What of src/region/restore.ts the core looks at. */
function restoreConstants({ geometry, memory }: World): void {
  const view = new DataView(memory.buffer);
  for (const [offset, of] of CONSTANTS) view.setUint32(offset, geometry[of], true);
}

/** As src/heap/repair.ts: the participant in slot `slot` repairs the heap, alone with it, when it has recovered the others. */
function repair(world: World, slot: number, trigger: Trigger, arm: () => void): void {
  const { geometry, memory } = world;
  restoreConstants(world);
  const core = enter(world, slot);
  for (let other = 0; other < geometry.slotCount; other++)
    if (other !== slot) attempt(() => void core.recoverSlot(other, 1));
  restoreConstants(world);
  const repairer = watched(trigger, () => instantiateRepair(memory));
  arm();
  if (new DataView(memory.buffer).getUint32(H_SIZE_PAGES, true) !== geometry.sizePages)
    repairer.correctSize(geometry.sizePages);
  repairer.repair(slot);
}

/** The same, undisturbed. */
function repairWhole(world: World, slot: number): void {
  repair(world, slot, makeTrigger(), () => undefined);
}

/** What a heap that is sound holds: a line for each block and each root. */
type Picture = ReadonlySet<string>;

function pictureOf(kind: HeapKind, world: World): Picture {
  checkHeap(kind, world, []);
  const core = enter(world, JUDGE);
  const lines = [...blocksOf(kind, world)].map(
    ([handle, { sizeBytes, owner }]) => `${handle}+${sizeBytes}@${owner ?? "shared"}`,
  );
  for (const name of rootNames) {
    const handle = core.rootGet(writeName(world, JUDGE, name)) >>> 0;
    if (handle !== 0) lines.push(`${name}=${handle}`);
  }
  return new Set(lines);
}

/**
 * What is found is in one of these at least, and what is in all of them is found. (They are the same, unless the damage says of
 * the one who died that it was in the middle of something.)
 */
function checkPicture(found: Picture, ...allowed: readonly Picture[]): void {
  const some = new Set(allowed.flatMap((one) => [...one]));
  const extra = [...found].filter((line) => !some.has(line));
  const missing = [...some].filter((line) => !found.has(line) && allowed.every((one) => one.has(line)));
  assert.deepEqual({ extra, missing }, { extra: [], missing: [] });
}

function sceneOf(kind: HeapKind, number: number): CrashScene {
  const world = makeHeap(kind, dataPages[kind], 1, SLOT_COUNT);
  const random = makeRandom(number * 7919 + kind.length);
  const target = targetOf(kind, world, populate(kind, world, random));
  for (let count = number === 0 ? 0 : 1 + random.below(4); count > 0; count--) damage(target, random);
  const restore = snapshot(world);
  const repairedBy = (...slots: readonly number[]): Picture => {
    for (const slot of slots) repairWhole(world, slot);
    return pictureOf(kind, world);
  };
  const mine = repairedBy(ACTOR);
  const theirs = repairedBy(SURVIVOR);
  // As if the first had died before it began, or when it had put the size right: then it is recovered from what is damaged.
  restore();
  const atOnce = repairedBy(SURVIVOR);
  restore();
  new DataView(world.memory.buffer).setUint32(H_SIZE_PAGES, world.geometry.sizePages, true);
  const sized = repairedBy(SURVIVOR);
  // A root whose name was damaged cannot be removed by its name.
  const isNamed = rootNames.every((name) => [...atOnce].some((line) => line.startsWith(`${name}=`)));

  /** Another one repairs what the repairer has left. */
  const succeed = (): void => {
    checkPicture(repairedBy(SURVIVOR), theirs, atOnce, sized);
    const core = enter(world, SURVIVOR);
    const repaired = snapshot(world);
    checkRoomOf(kind, world, core, SURVIVOR);
    repaired();
    if (isNamed) checkEmptiable(kind, world, core, SURVIVOR);
  };
  /** It dies before access `at`, and a third comes. */
  const succeedTwice = (at: number): void => {
    const trigger = makeTrigger();
    survives(() => repair(world, SURVIVOR, trigger, () => trigger.arm(at, "kill")));
    checkPicture(repairedBy(THIRD), theirs, atOnce, sized);
  };

  return {
    world,
    restore,
    run(trigger, arm) {
      repair(world, ACTOR, trigger, arm);
      return 0;
    },
    checkDone: () => checkPicture(pictureOf(kind, world), mine),
    recoverers: undefined,
    recover: () => undefined,
    check() {
      const died = snapshot(world);
      checkPicture(repairedBy(ACTOR), mine);
      died();
      succeed();
      died();
      succeedTwice(1 + random.below(300));
    },
  };
}

export const repairCases = (isDeep: boolean): readonly CrashCase[] =>
  heapKinds.flatMap((kind) =>
    Array.from({ length: isDeep ? DEEP_HEAP_COUNT : HEAP_COUNT }, (_none, number) => ({
      name: `repair/${kind} heap ${number}`,
      prepare: () => sceneOf(kind, number),
    })),
  );
