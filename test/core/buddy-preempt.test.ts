/**
 * Another participant gets a turn in the middle of an operation of a buddy heap.
 *
 * Every operation is stopped before each of its accesses to shared memory, reads included, and another participant
 * carries out one whole operation there, mostly in the same tree word; then the first goes on, or dies. Afterwards the
 * heap must hold exactly what the two were told, and everything must be recoverable.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BUSY, NOT_OWNER, OK } from "../../src/layout/result.ts";
import {
  attend,
  checkDrain,
  checkRoom,
  checkSettled,
  holdingsOf,
  prepareBuddy,
  problemsOf,
} from "../helpers/buddy-check.ts";
import type { BuddyStage } from "../helpers/buddy-check.ts";
import { readBuddy } from "../helpers/buddy-oracle.ts";
import {
  ACTOR,
  adopt,
  allocOwned,
  LEAF,
  MOST,
  OTHER,
  scenarios,
  STOPPED,
  SURVIVOR,
  THIRD,
} from "../helpers/buddy-scenarios.ts";
import type { Cast, Scenario, Told } from "../helpers/buddy-scenarios.ts";
import { stampAt } from "../helpers/core-check.ts";
import { enter, makeTrigger, survives } from "../helpers/core-world.ts";
import type { World } from "../helpers/core-world.ts";
import { assertApart } from "../helpers/oracle.ts";

/** Another participant's operation. `setUp` leaves a handle, or undefined when the scenario's heap has no room for it. */
interface Turn {
  readonly name: string;
  setUp(world: World, cast: Cast): number | undefined;
  run(world: World, handle: number): Told;
}

const orNone = (handle: number): number | undefined => (handle === 0 ? undefined : handle >>> 0);

function added(handle: number, slot?: number): Told {
  if (handle === 0) return {};
  return slot === undefined ? { added: handle >>> 0 } : { added: handle >>> 0, owner: [handle >>> 0, slot] };
}

function removed(code: number, handle: number): Told {
  assert.equal(code, OK, "a free by the block's only user is accepted");
  return { removed: handle };
}

const turns: readonly Turn[] = [
  {
    name: "allocates a leaf",
    setUp: () => 0,
    run: (world) => added(attend(world, OTHER).alloc(LEAF)),
  },
  {
    name: "allocates a maximal block",
    setUp: () => 0,
    run: (world) => added(attend(world, OTHER).alloc(MOST)),
  },
  {
    name: "frees a leaf",
    setUp: (world) => orNone(attend(world, OTHER).alloc(LEAF)),
    run: (world, handle) => removed(attend(world, OTHER).free(handle), handle),
  },
  {
    name: "frees four leaves of the first's",
    setUp: (world) => orNone(attend(world, ACTOR).alloc(4 * LEAF)),
    run: (world, handle) => removed(attend(world, OTHER).free(handle), handle),
  },
  {
    name: "allocates an owned leaf",
    setUp: () => 0,
    run: (world) => added(allocOwned(attend(world, OTHER), LEAF), OTHER),
  },
  {
    name: "frees an owned leaf",
    setUp: (world) => orNone(allocOwned(attend(world, OTHER), LEAF)),
    run: (world, handle) => removed(attend(world, OTHER).free(handle), handle),
  },
  {
    name: "shares an owned block",
    setUp: (world) => orNone(allocOwned(attend(world, OTHER), 2 * LEAF)),
    run(world, handle) {
      assert.equal(attend(world, OTHER).share(handle), OK);
      return { owner: [handle, undefined] };
    },
  },
  {
    name: "adopts a block",
    setUp: (world) => orNone(attend(world, OTHER).alloc(LEAF)),
    run(world, handle) {
      const code = adopt(attend(world, OTHER), handle);
      if (code === OK) return { owner: [handle, OTHER] };
      // Whoever is stopped while it has the right to the leaf cannot be taken for gone.
      assert.equal(code, BUSY);
      assert.ok([ACTOR, STOPPED].includes(readBuddy(world.memory.buffer).rights.get(handle)!));
      return {};
    },
  },
  {
    name: "allocates and frees the same leaf again, owned and shared",
    setUp: () => 0,
    run(world) {
      const other = attend(world, OTHER);
      for (const handle of [allocOwned(other, LEAF), other.alloc(LEAF) >>> 0])
        if (handle !== 0) assert.equal(other.free(handle), OK);
      return {};
    },
  },
  {
    name: "shrinks a block in place",
    setUp: (world) => orNone(attend(world, OTHER).alloc(4 * LEAF)),
    run(world, handle) {
      assert.equal(attend(world, OTHER).realloc(handle, LEAF) >>> 0, handle);
      return { resized: handle };
    },
  },
  {
    name: "grows a block in place",
    setUp(world) {
      const other = attend(world, OTHER);
      const handle = other.alloc(2 * LEAF);
      return handle === 0 ? undefined : other.realloc(handle, LEAF) >>> 0;
    },
    run(world, handle) {
      const other = attend(world, OTHER);
      const moved = other.realloc(handle, 2 * LEAF) >>> 0;
      if (moved === 0) return {};
      return moved === handle ? { resized: handle } : { added: moved, removed: handle };
    },
  },
  {
    name: "recovers one that died with owned blocks and a right",
    setUp(world) {
      const third = attend(world, THIRD);
      if (allocOwned(third, LEAF) === 0 || allocOwned(third, 2 * LEAF) === 0) return undefined;
      const trigger = makeTrigger();
      const dying = enter(world, THIRD, trigger);
      // Somewhere in the middle of an allocation; the crash test is exact about where.
      trigger.arm(8, "kill");
      survives(() => void dying.allocWith(LEAF, 0, 1, 0));
      return 0;
    },
    run(world) {
      assert.equal(attend(world, OTHER).recoverSlot(THIRD, 1), OK);
      return {};
    },
  },
  {
    name: "leaves, and with it its owned block",
    setUp: (world) => orNone(allocOwned(attend(world, OTHER), LEAF)),
    run(world, handle) {
      assert.equal(attend(world, OTHER).recoverSlot(OTHER, 0), OK);
      return { removed: handle };
    },
  },
];

type Stage = BuddyStage<number | undefined>;

/** What the heap held that somebody else may free at any time. */
function perishable(stage: Stage): Set<number> {
  const found = [...stage.before.owners].filter(([, slot]) => slot === THIRD || slot === STOPPED);
  return new Set(found.map(([handle]) => handle));
}

/** The heap holds what it held, and what each was told of its operation. */
function checkTold(stage: Stage, told: readonly Told[]): void {
  const after = readBuddy(stage.world.memory.buffer);
  assertApart(after.blocks, stage.world.memory.buffer.byteLength);
  const gone = perishable(stage);
  const expected = new Map<number, number | undefined>();
  for (const handle of stage.before.blocks.keys()) expected.set(handle, stage.before.owners.get(handle));
  for (const { removed: one } of told) if (one !== undefined) assert.ok(expected.delete(one));
  for (const { added: one } of told) {
    if (one === undefined) continue;
    assert.ok(!expected.has(one) || gone.has(one), `block ${one} was given out twice`);
    gone.delete(one);
    expected.set(one, undefined);
  }
  for (const { owner } of told) if (owner !== undefined) expected.set(owner[0], owner[1]);
  // Of one that is recovered in the turn: its own blocks are there or not.
  for (const handle of gone) if (!after.blocks.has(handle)) expected.delete(handle);
  // Its owner leaves in the turn.
  const left = told.some(({ removed: one }) => one !== undefined && stage.before.owners.get(one) === OTHER);
  for (const [handle, slot] of expected)
    if (left && slot === OTHER && !after.blocks.has(handle)) expected.delete(handle);
  const found = [...after.blocks.keys()].map((handle) => [handle, after.owners.get(handle)]);
  const order = [...expected].sort(([one], [other]) => one - other);
  assert.deepEqual(found, order, "the heap holds what its participants were told");
  const changed = new Set(told.flatMap((one) => [one.added, one.resized]));
  for (const [handle, sizeBytes] of stage.before.blocks) {
    if (!expected.has(handle) || changed.has(handle)) continue;
    assert.equal(after.blocks.get(handle), sizeBytes, `block ${handle} is as long as it was`);
    assert.equal(stampAt(stage.world, handle), handle, `block ${handle} is intact`);
  }
}

/** The first one died: it may or may not have done what it was about to. The other recovers it. */
function checkUntold(stage: Stage, turn: Told): void {
  assert.equal(attend(stage.world, SURVIVOR).recoverSlot(ACTOR, 1), OK);
  const after = readBuddy(stage.world.memory.buffer);
  assertApart(after.blocks, stage.world.memory.buffer.byteLength);
  if (turn.added !== undefined) assert.ok(after.blocks.has(turn.added), "the other's new block is there");
  const mayLose = new Set([stage.cast["it"], stage.cast["last"], turn.removed, ...perishable(stage)]);
  for (const handle of stage.before.blocks.keys()) {
    const slot = stage.before.owners.get(handle);
    if (after.blocks.has(handle) || mayLose.has(handle) || slot === ACTOR || slot === OTHER) continue;
    assert.fail(`block ${handle} is lost`);
  }
  const isNew = (one: number): boolean => !stage.before.blocks.has(one) || mayLose.has(one);
  const news = [...after.blocks.keys()].filter((one) => isNew(one) && one !== turn.added);
  const old = [...stage.before.blocks.keys()].filter((one) => mayLose.has(one));
  assert.ok(news.length <= old.length + 1, `${holdingsOf(after)}: too many blocks`);
}

function checkAftermath(stage: Stage): void {
  const { world } = stage;
  const gone = [ACTOR, OTHER, THIRD, STOPPED];
  const survivor = attend(world, SURVIVOR);
  for (const slot of gone) assert.equal(survivor.recoverSlot(slot, 1), OK);
  checkSettled(world, gone);
  checkRoom(world, survivor);
  checkDrain(world, survivor, SURVIVOR);
}

/** One schedule. Returns how many accesses the operation makes. */
function preempt(stage: Stage, turn: Turn, at: number, diesAfter: number): number {
  stage.restore();
  const { world, scenario, cast, props } = stage;
  const trigger = makeTrigger();
  const core = enter(world, ACTOR, trigger);
  let other: Told = {};
  let result = 0;
  trigger.arm(at, () => {
    other = turn.run(world, props!);
    if (diesAfter > 0) trigger.killAfter(diesAfter);
  });
  const isDone = survives(() => (result = scenario.run(core, cast, world) >>> 0));
  if (isDone) {
    checkTold(stage, [scenario.told(cast, result), other]);
    assert.deepEqual(problemsOf(world), []);
  } else checkUntold(stage, other);
  checkAftermath(stage);
  return trigger.sites.length;
}

function preemptEverywhere(scenario: Scenario, turn: Turn): void {
  const stage = prepareBuddy(scenario, turn.setUp.bind(turn));
  if (stage.props === undefined) return;
  let accesses = 1;
  for (let at = 1; at <= accesses; at++) {
    for (const diesAfter of [0, 1, 2]) {
      try {
        const made = preempt(stage, turn, at, diesAfter);
        if (diesAfter === 0) accesses = Math.max(made, at);
      } catch (error) {
        const fate = diesAfter === 0 ? "goes on" : `dies ${diesAfter} accesses later`;
        const place = `before access ${at} another ${turn.name}, the first ${fate}`;
        throw new Error(`${scenario.name}: ${place}: ${(error as Error).message}`, { cause: error });
      }
    }
  }
}

describe("an operation on a buddy heap in the middle of which another participant", () => {
  for (const turn of turns) {
    test(`${turn.name} does what it says, and so does the other`, () => {
      for (const scenario of scenarios.filter(({ isBatch }) => isBatch !== true))
        preemptEverywhere(scenario, turn);
    });
  }
});

/** What two do to the same block; at most one of them may succeed in what cannot be done twice. */
const rivals: readonly Turn[] = [
  {
    name: "frees the same block",
    setUp: (_world, cast) => cast["it"],
    run: (world, it) => (attend(world, OTHER).free(it) === OK ? { removed: it } : {}),
  },
  {
    name: "adopts the same block",
    setUp: (_world, cast) => cast["it"],
    run: (world, it) => (adopt(attend(world, OTHER), it) === OK ? { owner: [it, OTHER] } : {}),
  },
  {
    name: "shares the same block",
    setUp: (_world, cast) => cast["it"],
    run(world, it) {
      const code = attend(world, OTHER).share(it);
      assert.notEqual(code, undefined);
      return {};
    },
  },
  {
    name: "frees the same block and allocates again",
    setUp: (_world, cast) => cast["it"],
    run(world, it) {
      const other = attend(world, OTHER);
      if (other.free(it) !== OK) return {};
      const handle = other.alloc(LEAF) >>> 0;
      return { removed: it, ...added(handle) };
    },
  },
];

function rival(stage: Stage, turn: Turn, at: number): number {
  stage.restore();
  const { world, scenario, cast, props } = stage;
  const trigger = makeTrigger();
  const core = enter(world, ACTOR, trigger);
  let other: Told = {};
  let result = 0;
  trigger.arm(at, () => (other = turn.run(world, props!)));
  result = scenario.run(core, cast, world) >>> 0;
  const told = scenario.told(cast, result);
  const { blocks, owners } = readBuddy(world.memory.buffer);
  assertApart(blocks, world.memory.buffer.byteLength);
  assert.deepEqual(problemsOf(world), []);
  const it = props!;
  const isFreedTwice = told.removed === it && other.removed === it;
  // Freed by the other, allocated by it anew at the same place, and freed by the first: callers who use freed blocks.
  assert.ok(!isFreedTwice || other.added === it, "a block is freed once");
  if (other.owner !== undefined && told.removed === undefined)
    assert.equal(owners.get(it), other.owner[1], "who was told that it owns the block does");
  if (told.owner?.[1] === ACTOR && other.removed === undefined)
    assert.equal(owners.get(told.owner[0]), ACTOR);
  assert.ok(result !== NOT_OWNER || owners.has(it) || other.removed === it);
  checkAftermath(stage);
  return trigger.sites.length;
}

test("two who do something to the same block: one of them is first, and the heap is sound", () => {
  const usesIt = scenarios.filter(({ name }) =>
    /^(free of a|free of an own|adoption|sharing|realloc)/.test(name),
  );
  let count = 0;
  for (const turn of rivals) {
    for (const scenario of usesIt) {
      const stage = prepareBuddy(scenario, turn.setUp.bind(turn));
      if (stage.props === undefined || scenario.isBatch === true) continue;
      count++;
      let accesses = 1;
      for (let at = 1; at <= accesses; at++) {
        try {
          accesses = Math.max(accesses, rival(stage, turn, at));
        } catch (error) {
          const place = `${scenario.name}: before access ${at} another ${turn.name}`;
          throw new Error(`${place}: ${(error as Error).message}`, { cause: error });
        }
      }
    }
  }
  assert.ok(count > 20);
});
