/**
 * Another participant gets a turn in the middle of an operation.
 *
 * Every operation is stopped before each of its accesses to shared memory, reads included, and another participant
 * carries out one whole operation there; then the first goes on, or dies. Afterwards the heap must hold exactly what the
 * two were told, and everything must be recoverable. This is every schedule of two operations with one preemption.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PAGE_BODY } from "../../src/layout/page.ts";
import { OK } from "../../src/layout/result.ts";
import type { HeapCore } from "../../src/region/core.ts";
import { checkDrain, checkRoom, checkSettled, stampAt, verifyWorld } from "../helpers/core-check.ts";
import { ACTOR, OTHER, scenarios, SURVIVOR, THIRD } from "../helpers/core-scenarios.ts";
import type { Scenario } from "../helpers/core-scenarios.ts";
import { attend, prepare } from "../helpers/core-stage.ts";
import type { Stage } from "../helpers/core-stage.ts";
import { enter, makeTrigger, passName, snapshot, survives } from "../helpers/core-world.ts";
import type { World } from "../helpers/core-world.ts";
import { assertApart, readHeap } from "../helpers/oracle.ts";

/** What a turn has done, as far as its participant was told. */
interface Done {
  readonly added?: number;
  readonly removed?: number;
}

/** Another participant's operation. `setUp` leaves a handle, or undefined when the scenario's heap has no room for it. */
interface Turn {
  readonly name: string;
  setUp(world: World, actor: HeapCore): number | undefined;
  /** Before each schedule: a participant with a past. */
  begin?(world: World): HeapCore;
  run(world: World, handle: number, core: HeapCore | undefined): Done;
}

const K = 1024;

function tryAlloc(core: HeapCore, sizeBytes: number): number | undefined {
  const handle = core.alloc(sizeBytes) >>> 0;
  return handle === 0 ? undefined : handle;
}

function done(handle: number): Done {
  return handle === 0 ? {} : { added: handle >>> 0 };
}

function freed(code: number, handle: number): Done {
  assert.equal(code, OK, "a free by the block's only user is accepted");
  return { removed: handle };
}

/** Somebody comes, allocates, dies, and is recovered; its blocks stay. */
function liveAndDie(world: World, slot: number, sizeBytes: number): Done {
  const handle = attend(world, slot).alloc(sizeBytes);
  assert.equal(attend(world, SURVIVOR).recoverSlot(slot, 1), OK);
  return done(handle);
}

const turns: readonly Turn[] = [
  {
    name: "allocates in the same class",
    setUp: () => 0,
    run: (world) => done(attend(world, OTHER).alloc(K)),
  },
  {
    name: "frees a block in the first's page",
    setUp: (_world, actor) => tryAlloc(actor, K),
    run: (world, handle) => freed(attend(world, OTHER).free(handle), handle),
  },
  {
    name: "frees the last block of a page of its own",
    setUp(world) {
      const other = attend(world, OTHER);
      const handle = tryAlloc(other, 2048);
      if (handle === undefined || tryAlloc(other, 65536) === undefined) return undefined;
      return handle;
    },
    run: (world, handle) => freed(attend(world, OTHER).free(handle), handle),
  },
  {
    name: "allocates two pages",
    setUp: () => 0,
    run: (world) => done(attend(world, OTHER).alloc(2 * 65536)),
  },
  {
    name: "frees two pages",
    setUp: (world) => tryAlloc(attend(world, OTHER), 2 * 65536),
    run: (world, handle) => freed(attend(world, OTHER).free(handle), handle),
  },
  {
    name: "extends a block by a page and takes the next",
    setUp: (world) => tryAlloc(attend(world, OTHER), 65536),
    run(world, handle) {
      const other = attend(world, OTHER);
      const moved = other.realloc(handle, 2 * 65536) >>> 0;
      return moved === 0 || moved === handle ? {} : { added: moved, removed: handle };
    },
  },
  {
    name: "takes a fresh page, dies and is recovered",
    setUp: () => 0,
    run: (world) => liveAndDie(world, THIRD, 2048),
  },
  {
    name: "takes a page of the same class, dies and is recovered",
    setUp: () => 0,
    run: (world) => liveAndDie(world, THIRD, K),
  },
  {
    // Its search begins behind the page that it had, which is free by now: in the middle of a run being claimed.
    name: "takes the second of the free pages, dies and is recovered",
    setUp: () => 0,
    begin(world) {
      const third = attend(world, THIRD);
      const page = third.alloc(65536) >>> 0;
      if (page !== 0) assert.equal(attend(world, OTHER).free(page), OK);
      return third;
    },
    run(world, _handle, core) {
      const handle = core!.alloc(2048);
      assert.equal(attend(world, SURVIVOR).recoverSlot(THIRD, 1), OK);
      return done(handle);
    },
  },
  {
    name: "recovers one that died with a half-claimed run",
    setUp: (world) => (dieClaiming(world) ? 0 : undefined),
    run(world) {
      assert.equal(attend(world, OTHER).recoverSlot(THIRD, 1), OK);
      return {};
    },
  },
  {
    name: "sets a root",
    setUp: (world) => tryAlloc(attend(world, OTHER), 48),
    run(world, handle) {
      const other = attend(world, OTHER);
      if (other.lockRoots() === OK) {
        assert.equal(other.rootSet(passName(world, OTHER, "theirs"), handle), OK);
        other.unlockRoots();
        assert.equal(other.rootGet(passName(world, OTHER, "theirs")) >>> 0, handle);
      }
      return {};
    },
  },
  {
    name: "leaves",
    setUp: (world) => tryAlloc(attend(world, OTHER), K),
    run(world) {
      attend(world, OTHER).recoverSlot(OTHER, 0);
      return {};
    },
  },
  {
    name: "leaves, and a third finds no room in what it left,",
    setUp: () => 0,
    run(world) {
      attend(world, OTHER).recoverSlot(OTHER, 0);
      return done(attend(world, SURVIVOR).alloc(K));
    },
  },
];

/** Kills a participant when it has two of three pages of a run. False when there are no three pages. */
function dieClaiming(world: World): boolean {
  enter(world, THIRD);
  const restore = snapshot(world);
  const countBodies = (): number =>
    readHeap(world.memory.buffer).pages.filter(({ kind }) => kind === PAGE_BODY).length;
  const bodies = countBodies();
  for (let at = 1; ; at++) {
    const trigger = makeTrigger();
    const third = enter(world, THIRD, trigger);
    trigger.arm(at, "kill");
    const isDone = survives(() => void third.alloc(3 * 65536));
    if (!isDone && countBodies() > bodies) return true;
    restore();
    if (isDone) return false;
  }
}

type Prepared = Stage<number | undefined>;

/** What the first operation has done, as far as its participant was told. */
function toldOf(stage: Prepared, result: number): Done {
  const { mayAdd = 0, mayLose = [] } = stage.scenario.outcome(stage.cast);
  const it = mayLose[0];
  if (mayAdd === 0) return it !== undefined && result === OK ? { removed: it } : {};
  if (it === undefined || result === 0) return done(result);
  return result === it ? {} : { added: result, removed: it };
}

/** The heap holds what it held, and what each was told of its operation. */
function checkTold(stage: Prepared, told: readonly Done[]): void {
  const expected = new Set(stage.before.blocks.keys());
  for (const { removed } of told) if (removed !== undefined) assert.ok(expected.delete(removed));
  for (const { added } of told) {
    if (added === undefined) continue;
    assert.ok(!expected.has(added), `block ${added} was given out twice`);
    expected.add(added);
  }
  const after = readHeap(stage.world.memory.buffer);
  assertApart(after.blocks, stage.world.memory.buffer.byteLength);
  assert.deepEqual(new Set(after.blocks.keys()), expected, "the heap holds what its participants were told");
  for (const handle of expected) {
    const isOld = stage.before.blocks.has(handle) && told.every(({ added }) => added !== handle);
    if (isOld) assert.equal(stampAt(stage.world, handle), handle, `block ${handle} is intact`);
  }
}

/** The first one died: it may or may not have done what it was about to. The other may recover it as well. */
function checkUntold(stage: Prepared, turn: Done): void {
  assert.equal(attend(stage.world, OTHER).recoverSlot(ACTOR, 1), OK);
  const { mayAdd = 0, mayLose = [] } = stage.scenario.outcome(stage.cast);
  const after = readHeap(stage.world.memory.buffer);
  assertApart(after.blocks, stage.world.memory.buffer.byteLength);
  if (turn.added !== undefined) assert.ok(after.blocks.has(turn.added), "the other's new block is there");
  for (const handle of stage.before.blocks.keys()) {
    const isGone = !after.blocks.has(handle);
    // What the other freed is free, or the first's new block.
    if (handle !== turn.removed) assert.ok(!isGone || mayLose.includes(handle), `block ${handle} is lost`);
  }
  const isNew = (one: number): boolean => !stage.before.blocks.has(one) || one === turn.removed;
  const added = [...after.blocks.keys()].filter((one) => isNew(one) && one !== turn.added);
  assert.ok(added.length <= mayAdd, `${added.length} blocks came from nowhere`);
  const isKept = mayLose.length > 0 && after.blocks.has(mayLose[0]!);
  assert.ok(!isKept || added.length === 0, "a moved block exists twice");
}

/** Everybody is gone and recovered, and nothing is left of them but their blocks. */
function checkAftermath(stage: Prepared): void {
  const { world } = stage;
  const survivor = attend(world, SURVIVOR);
  const gone = [ACTOR, OTHER, THIRD];
  for (const slot of gone) assert.equal(survivor.recoverSlot(slot, 1), OK);
  checkSettled(world, readHeap(world.memory.buffer), gone);
  checkRoom(world, survivor, SURVIVOR, stage.scenario);
  checkDrain(world, survivor, SURVIVOR);
}

const spare = new Uint8Array(13 * 65536);

/** One schedule. Returns how many accesses the operation makes. */
function preempt(stage: Prepared, turn: Turn, at: number, diesAfter: number): number {
  stage.restore();
  const { world, scenario, cast, props } = stage;
  const trigger = makeTrigger();
  const core = enter(world, ACTOR, trigger);
  const third = turn.begin?.(world);
  let other: Done = {};
  let result = 0;
  trigger.arm(at, () => {
    other = turn.run(world, props!, third);
    if (diesAfter > 0) trigger.killAfter(diesAfter);
  });
  const isDone = survives(() => (result = scenario.run(core, cast, world) >>> 0));
  if (isDone) {
    checkTold(stage, [toldOf(stage, result), other]);
    assert.deepEqual(verifyWorld(world, [ACTOR]), []);
  } else checkUntold(stage, other);
  if (isDone) {
    // Whoever lives can use all the room that is its own or nobody's; then whoever comes after all have gone.
    const settled = snapshot(world, spare);
    checkRoom(world, attend(world, OTHER), OTHER, scenario);
    settled();
  }
  checkAftermath(stage);
  return trigger.sites.length;
}

function preemptEverywhere(scenario: Scenario, turn: Turn): void {
  const stage = prepare(scenario, turn.setUp.bind(turn));
  if (stage.props === undefined) return;
  let accesses = 1;
  for (let at = 1; at <= accesses; at++) {
    for (const diesAfter of [0, 2]) {
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

/** Not those that end or begin the participant whose blocks the turn uses, or that need the other to stand still. */
const isApart = ({ name }: Scenario): boolean => !/^(leaving|taking|the roots lock)/.test(name);

describe("an operation in the middle of which another participant", () => {
  for (const turn of turns) {
    test(`${turn.name} does what it says, and so does the other`, () => {
      for (const scenario of scenarios.filter(isApart)) preemptEverywhere(scenario, turn);
    });
  }
});

test("a block that is freed by another while it is moved is freed once, wherever the mover dies", () => {
  for (const scenario of scenarios.filter(({ name }) => name.startsWith("realloc from"))) {
    const stage = prepare(scenario, () => 0);
    const thief: Turn = {
      name: "frees the block",
      setUp: () => 0,
      run: (world) =>
        attend(world, OTHER).free(stage.cast["it"]!) === OK ? { removed: stage.cast["it"]! } : {},
    };
    for (let at = 1; at < 80; at++) {
      for (let diesAfter = 1; diesAfter < 40; diesAfter++) stealAndDie(stage, thief, at, diesAfter);
    }
  }
});

/** The mover dies, and at once another allocates what is free: it must keep that when the dead one is recovered. */
function stealAndDie(stage: Prepared, thief: Turn, at: number, diesAfter: number): void {
  stage.restore();
  const { world, scenario, cast } = stage;
  const trigger = makeTrigger();
  const core = enter(world, ACTOR, trigger);
  trigger.arm(at, () => {
    thief.run(world, 0, undefined);
    trigger.killAfter(diesAfter);
  });
  survives(() => void scenario.run(core, cast, world));
  const other = attend(world, OTHER);
  const taken = [65536, 2 * 65536, K, 2000]
    .map((sizeBytes) => other.alloc(sizeBytes) >>> 0)
    .filter((handle) => handle !== 0);
  assert.equal(attend(world, SURVIVOR).recoverSlot(ACTOR, 1), OK);
  const after = readHeap(world.memory.buffer);
  const place = `${scenario.name}: freed before access ${at}, the mover died ${diesAfter} later`;
  for (const handle of taken) assert.ok(after.blocks.has(handle), `${place}: another's block is gone`);
  assertApart(after.blocks, world.memory.buffer.byteLength);
  checkAftermath(stage);
}
