/**
 * Another participant gets a turn in the middle of an operation.
 *
 * Every operation is stopped before each of its accesses to shared memory, reads included, and another participant
 * carries out one whole operation there; then the first goes on, or dies. Afterwards the heap must hold exactly what the
 * two were told, and everything must be recoverable. This is every schedule of two operations with one preemption.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { NOT_OWNER, OK } from "../../src/layout/result.ts";
import { checkDrain, checkRoom, checkSettled, stampAt, verifyWorld } from "../helpers/core-check.ts";
import { ACTOR, DEAD, K, OTHER, SURVIVOR, THIRD } from "../helpers/core-scenario.ts";
import type { Scenario } from "../helpers/core-scenario.ts";
import { scenarios } from "../helpers/core-scenarios.ts";
import { attend, prepare } from "../helpers/core-stage.ts";
import type { Stage } from "../helpers/core-stage.ts";
import { done, turns } from "../helpers/core-turns.ts";
import type { Done, Turn } from "../helpers/core-turns.ts";
import { enter, makeTrigger, snapshot, survives } from "../helpers/core-world.ts";
import { assertApart, readHeap } from "../helpers/oracle.ts";

type Prepared = Stage<number | undefined>;

/** What the first operation has done, as far as its participant was told. */
function toldOf(stage: Prepared, result: number): Done {
  const outcome = stage.scenario.outcome(stage.cast);
  const { mayAdd = 0, mayLose = [], mayAdopt, mayShare, isOwned = false, leaves } = outcome;
  if (leaves !== undefined) return result === OK ? { left: leaves } : {};
  const it = mayLose[0];
  const changed = mayAdopt ?? mayShare;
  if (changed !== undefined)
    return result === OK
      ? { owner: { handle: changed, slot: mayAdopt === undefined ? undefined : ACTOR } }
      : {};
  if (mayAdd === 0) return it !== undefined && result === OK ? { removed: it } : {};
  const moved = it === undefined || result === 0 ? {} : { removed: it };
  if (result === it) return {};
  return isOwned && result !== 0
    ? { ...done(result), ...moved, owner: { handle: result, slot: ACTOR } }
    : { ...done(result), ...moved };
}

/** The blocks that belonged to those that have left. */
function goneWith(stage: Prepared, told: readonly Done[]): number[] {
  const left = told.map((one) => one.left);
  return [...stage.before.owners].filter(([, slot]) => left.includes(slot)).map(([handle]) => handle);
}

/** Who owns what by what the two were told. */
function ownersTold(stage: Prepared, told: readonly Done[]): Map<number, number> {
  const owners = new Map(stage.before.owners);
  for (const handle of goneWith(stage, told)) owners.delete(handle);
  for (const { removed } of told) if (removed !== undefined) owners.delete(removed);
  for (const { owner } of told) {
    if (owner?.slot !== undefined) owners.set(owner.handle, owner.slot);
    else if (owner !== undefined) owners.delete(owner.handle);
  }
  return owners;
}

/** The heap holds what it held, and what each was told of its operation. */
function checkTold(stage: Prepared, told: readonly Done[]): void {
  const expected = new Set(stage.before.blocks.keys());
  for (const { removed } of told) if (removed !== undefined) assert.ok(expected.delete(removed));
  for (const handle of goneWith(stage, told)) assert.ok(expected.delete(handle));
  for (const { added } of told) {
    if (added === undefined) continue;
    assert.ok(!expected.has(added), `block ${added} was given out twice`);
    expected.add(added);
  }
  const after = readHeap(stage.world.memory.buffer);
  assertApart(after.blocks, stage.world.memory.buffer.byteLength);
  assert.deepEqual(new Set(after.blocks.keys()), expected, "the heap holds what its participants were told");
  assert.deepEqual(new Map([...after.owners].sort()), new Map([...ownersTold(stage, told)].sort()));
  for (const handle of expected) {
    const isOld = stage.before.blocks.has(handle) && told.every(({ added }) => added !== handle);
    if (isOld) assert.equal(stampAt(stage.world, handle), handle, `block ${handle} is intact`);
  }
}

/** The first one died: it may or may not have done what it was about to. The other may recover it as well. */
function checkUntold(stage: Prepared, turn: Done): void {
  assert.equal(attend(stage.world, OTHER).recoverSlot(ACTOR, 1), OK);
  const outcome = stage.scenario.outcome(stage.cast);
  const { mayLose = [], mayAdopt, mayShare, isOwned = false } = outcome;
  const mayAdd = isOwned ? 0 : (outcome.mayAdd ?? 0);
  const after = readHeap(stage.world.memory.buffer);
  assertApart(after.blocks, stage.world.memory.buffer.byteLength);
  if (turn.added !== undefined) assert.ok(after.blocks.has(turn.added), "the other's new block is there");
  if (turn.owner !== undefined) assert.equal(after.owners.get(turn.owner.handle), turn.owner.slot);
  assert.ok(![...after.owners.values()].includes(ACTOR), "the dead one owns nothing");
  const freed = [turn.removed, ...goneWith(stage, [turn])];
  for (const handle of stage.before.blocks.keys()) {
    const isGone = !after.blocks.has(handle);
    // What the other freed is free, or the first's new block.
    if (freed.includes(handle)) continue;
    const isFreed = stage.before.owners.get(handle) === ACTOR;
    assert.ok(
      isFreed || !isGone || mayLose.includes(handle) || mayAdopt === handle,
      `block ${handle} is lost`,
    );
    assert.ok(!isFreed || isGone || mayShare === handle, `block ${handle} was the dead one's`);
  }
  const isNew = (one: number): boolean => !stage.before.blocks.has(one) || freed.includes(one);
  const added = [...after.blocks.keys()].filter((one) => isNew(one) && one !== turn.added);
  assert.ok(added.length <= mayAdd, `${added.length} blocks came from nowhere`);
  const isKept = mayLose.length > 0 && after.blocks.has(mayLose[0]!);
  assert.ok(!isKept || added.length === 0, "a moved block exists twice");
}

/** Everybody is gone and recovered, and nothing is left of them but their blocks. */
function checkAftermath(stage: Prepared): void {
  const { world } = stage;
  const survivor = attend(world, SURVIVOR);
  const gone = [ACTOR, OTHER, THIRD, DEAD];
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
const isApart = ({ name }: Scenario): boolean => !/^(leaving|taking|the roots lock|refusals)/.test(name);

describe("an operation in the middle of which another participant", () => {
  for (const turn of turns) {
    test(`${turn.name} does what it says, and so does the other`, () => {
      for (const scenario of scenarios.filter(isApart)) preemptEverywhere(scenario, turn);
    });
  }
});

/** Runs the scenario's operation, with `turn` before its access number `at`. False when there are not so many. */
function meet(stage: Prepared, at: number, turn: () => void): { isMet: boolean; result: number } {
  stage.restore();
  const { world, scenario, cast } = stage;
  const trigger = makeTrigger();
  const core = enter(world, ACTOR, trigger);
  let isMet = false;
  trigger.arm(at, () => {
    isMet = true;
    turn();
  });
  const result = scenario.run(core, cast, world);
  return { isMet, result };
}

test("of two that adopt a block at the same time, one has it and the other is told who", () => {
  for (const scenario of scenarios.filter(({ name }) => name.startsWith("adopting"))) {
    const stage = prepare(scenario, () => 0);
    const it = stage.cast["it"]!;
    for (let at = 1, isMet = true; isMet; at++) {
      let other = -1;
      const met = meet(stage, at, () => (other = attend(stage.world, OTHER).adopt(it)));
      isMet = met.isMet;
      const place = `${scenario.name}, met at access ${at}`;
      const winner = readHeap(stage.world.memory.buffer).owners.get(it);
      assert.deepEqual(
        [met.result, other],
        winner === ACTOR ? [OK, isMet ? NOT_OWNER : -1] : [NOT_OWNER, OK],
        place,
      );
      assert.deepEqual(verifyWorld(stage.world, [ACTOR, OTHER]), []);
      checkAftermath(stage);
    }
  }
});

test("a block that one frees while another adopts it costs the heap nothing", () => {
  for (const scenario of scenarios.filter(({ name }) => name.startsWith("free "))) {
    const stage = prepare(scenario, () => 0);
    const it = stage.cast["it"]!;
    for (let at = 1, isMet = true; isMet; at++) {
      let other = -1;
      const met = meet(stage, at, () => (other = attend(stage.world, OTHER).adopt(it)));
      isMet = met.isMet;
      assert.ok(met.result === OK || other === OK || !isMet, "one of the two is served");
      assert.deepEqual(verifyWorld(stage.world, [ACTOR, OTHER]), []);
      checkAftermath(stage);
    }
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
