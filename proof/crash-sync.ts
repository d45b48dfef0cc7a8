/**
 * The synchronisation objects for crash exhaustion. The actor dies at each access of what it does with an object; then it is
 * recovered, and nothing is held by it any more: the next one gets the object, and is told of a death if the actor knew that
 * it was in. Somebody sleeps all the while, armed, in the object's set: it must have been rung in the end, since it may
 * be able to go on.
 */

import assert from "node:assert/strict";
import { OK } from "../src/layout/result.ts";
import { S_BELL, SLOT_SIZE_BYTES } from "../src/layout/slot.ts";
import {
  SYNC_ABANDONED,
  SYNC_BROKEN,
  SYNC_DONE,
  SYNC_MINE,
  SYNC_NO,
  SYNC_YES,
  Y_HOLDER,
  Y_LIMIT,
  Y_WAITERS,
} from "../src/layout/sync.ts";
import { useCheckpoint } from "../src/region/core.ts";
import { PLAIN } from "../src/region/geometry.ts";
import { instantiateSync } from "../src/sync/core.ts";
import type { SyncCore } from "../src/sync/core.ts";
import { enter, makeWorld, snapshot } from "../test/helpers/core-world.ts";
import type { Trigger, World } from "../test/helpers/core-world.ts";
import type { CrashCase } from "./crash-cases.ts";

const ACTOR = 0;
const OTHER = 1;
const SURVIVOR = 2;
const THIRD = 3;
/** Its bit is in the set's second word. */
const SLEEPER = 66;
/** Dead from the start, or about to be. */
const LEFT = 5;
const JUDGE = 6;

/** Slots: so many that a set has two words. */
const SLOT_COUNT = 70;

/** What a case is about. */
interface Play {
  readonly world: World;
  readonly object: number;
  readonly set: number;
  readonly view: DataView;
  /** The participant in that slot, for the set-up and for judging. */
  core(slot: number): SyncCore;
  /** The one in that slot is gone; `isTaken`: somebody else is there. */
  goAway(slot: number, isTaken?: boolean): void;
  setLimit(limit: number): void;
}

/** How far the actor has come, as far as it was told: "" = nowhere. */
interface Progress {
  at: string;
}

interface Scenario {
  readonly name: string;
  setUp?(play: Play): void;
  run(core: SyncCore, play: Play, progress: Progress): void;
  /** Then the actor leaves in good order. */
  readonly leaves?: true;
  /** After the actor's death and its recovery, or after its end: what has become of the object. */
  check(core: SyncCore, play: Play, at: string, hasDied: boolean): void;
}

const nothing = (): void => undefined;

const isIn = (result: number): boolean => result === SYNC_YES || result === SYNC_ABANDONED;

function join(world: World, slot: number, trigger?: Trigger): SyncCore {
  enter(world, slot);
  useCheckpoint(trigger?.hook);
  try {
    const core = instantiateSync(world.memory);
    core.join(slot);
    return core;
  } finally {
    useCheckpoint(undefined);
  }
}

function makePlay(): Play {
  const world = makeWorld(1, 0, SLOT_COUNT, PLAIN);
  const object = world.geometry.dataOffset;
  const view = new DataView(world.memory.buffer);
  return {
    world,
    object,
    view,
    set: object + Y_WAITERS,
    core: (slot) => join(world, slot),
    goAway(slot, isTaken = false) {
      assert.equal(enter(world, JUDGE).recoverSlot(slot, 1), OK);
      if (isTaken) enter(world, slot);
    },
    setLimit: (limit) => view.setUint32(object + Y_LIMIT, limit, true),
  };
}

/** Rings all who wait, as `context.ringAll`. */
function ringAll(core: SyncCore, { object, set }: Play): void {
  for (let count = SLOT_COUNT; count > 0 && core.ringNext(object, set) !== 0;) count--;
}

/** The actor was in, at the time of its death, as far as it knew: the next one is told; else it may be. */
function told(result: number, at: string): void {
  assert.ok(isIn(result), `the next one does not get it: ${result}`);
  if (at === "in") assert.equal(result, SYNC_ABANDONED, "nobody is told of the death");
  if (at === "") assert.ok(isIn(result));
}

const lockAndUnlock = (core: SyncCore, { object, set }: Play, progress: Progress): void => {
  assert.ok(isIn(core.tryLock(object)));
  progress.at = "in";
  assert.equal(core.tryLock(object), SYNC_MINE);
  core.noteSince(object, 1);
  progress.at = "leaving";
  assert.equal(core.unlock(object), 1);
  progress.at = "out";
  core.ringNext(object, set);
};

const nextLocks: Scenario["check"] = (core, { object }, at, hasDied) => {
  const result = core.tryLock(object);
  told(result, at);
  if (!hasDied || at === "out") assert.equal(result, SYNC_YES, "nobody has died with it");
  assert.equal(core.holderOf(object), JUDGE + 1);
};

/** One that waits with a turn, asleep. */
const waitsInTurn = (play: Play, slot: number): void => {
  const core = play.core(slot);
  core.takeTurn(play.object);
  core.enter(play.set);
};

const nextLocksFair: Scenario["check"] = (core, { object, set }, at, hasDied) => {
  core.takeTurn(object);
  core.enter(set);
  const result = core.tryLockFair(object, 1);
  told(result, at);
  if (!hasDied || at === "out") assert.equal(result, SYNC_YES, "nobody has died with it");
};

const mutexes: readonly Scenario[] = [
  { name: "mutex: locked and released", run: lockAndUnlock, check: nextLocks },
  {
    name: "mutex: taken over from one who is gone, with one in its set",
    setUp(play) {
      const left = play.core(LEFT);
      left.enter(play.set);
      left.tryLock(play.object);
      play.goAway(LEFT, true);
    },
    run: lockAndUnlock,
    check(core, play, at) {
      const result = core.tryLock(play.object);
      told(result, at);
      if (at === "") assert.equal(result, SYNC_ABANDONED, "nobody was told of the first death");
    },
  },
  {
    name: "mutex: tried, waited for in vain",
    setUp: (play) => void play.core(OTHER).tryLock(play.object),
    run(core, { object, set }) {
      core.noteWaiting(object);
      core.noteWait(object, 1, 1);
      core.enter(set);
      assert.equal(core.tryLock(object), SYNC_NO);
      core.takeRung();
      core.arm();
      if (core.leave(set) === 0) core.ringNext(object, set);
      core.noteWait(0, 0, 0);
    },
    check(core, { object, world }) {
      assert.equal(core.tryLock(object), SYNC_NO);
      const other = instantiateSync(world.memory);
      other.join(OTHER);
      assert.equal(other.unlock(object), 1);
      assert.equal(core.tryLock(object), SYNC_YES);
    },
  },
  {
    name: "fair mutex: waited for, had and given up to nobody",
    run(core, { object, set }, progress) {
      core.takeTurn(object);
      core.enter(set);
      assert.equal(core.tryLockFair(object, 1), SYNC_YES);
      progress.at = "in";
      core.leave(set);
      assert.equal(core.tryLockFair(object, 0), SYNC_MINE);
      progress.at = "leaving";
      core.unlockFair(object);
      progress.at = "out";
    },
    check: nextLocksFair,
  },
  {
    name: "fair mutex: had and offered",
    setUp(play) {
      play.core(LEFT).takeTurn(play.object);
      play.core(LEFT).enter(play.set);
      play.goAway(LEFT, true);
      waitsInTurn(play, OTHER);
      const actor = play.core(ACTOR);
      actor.takeTurn(play.object);
      assert.equal(actor.tryLockFair(play.object, 1), SYNC_YES);
    },
    run(core, { object }, progress) {
      progress.at = "leaving";
      assert.notEqual(core.unlockFair(object), -0x80000000);
      progress.at = "out";
    },
    check(_core, { object, world, view }, at) {
      const other = instantiateSync(world.memory);
      other.join(OTHER);
      const wasOffered = view.getUint32(object + Y_HOLDER, true) >>> 31 !== 0;
      const result = other.tryLockFair(object, 1);
      told(result, at);
      if (wasOffered || at === "out") assert.equal(result, SYNC_YES, "what was offered was left in order");
      assert.notEqual(other.unlockFair(object), -0x80000000);
    },
  },
  {
    name: "fair mutex: offered, and given up",
    setUp(play) {
      const other = play.core(OTHER);
      assert.equal(other.tryLockFair(play.object, 0), SYNC_YES);
      waitsInTurn(play, ACTOR);
      other.unlockFair(play.object);
    },
    run(core, { object, set }) {
      core.leave(set);
      assert.equal(core.dropTurn(object), 0);
      core.unlockFair(object);
    },
    check: (core, play, _at, hasDied) => nextLocksFair(core, play, "", hasDied),
  },
  {
    name: "fair mutex: taken over",
    setUp(play) {
      assert.equal(play.core(LEFT).tryLockFair(play.object, 0), SYNC_YES);
      play.goAway(LEFT);
    },
    run(core, { object }, progress) {
      assert.equal(core.tryLockFair(object, 0), SYNC_ABANDONED);
      progress.at = "in";
    },
    check(core, { object }, at, hasDied) {
      if (!hasDied) return;
      const result = core.tryLockFair(object, 0);
      told(result, at);
      assert.equal(result, SYNC_ABANDONED, "nobody was told of the first death");
    },
  },
];

const nextWrites: Scenario["check"] = (core, { object }, at, hasDied) => {
  const result = core.tryWrite(object);
  told(result, at);
  if (!hasDied || at === "out") assert.equal(result, SYNC_YES, "nobody has died writing");
  assert.equal(core.endWrite(object), 1);
  assert.equal(core.tryRead(object), SYNC_YES);
};

const rwlocks: readonly Scenario[] = [
  {
    name: "rwlock: read",
    run(core, play) {
      const { object } = play;
      assert.equal(core.tryRead(object), SYNC_YES);
      assert.equal(core.tryRead(object), SYNC_YES);
      assert.equal(core.isDirty(object), 0);
      assert.equal(core.nextReader(object, 0), ACTOR + 1);
      assert.equal(core.tryWrite(object), SYNC_MINE);
      assert.equal(core.tryRead(object), SYNC_MINE);
      assert.equal(core.cancelWrite(object), 1);
      assert.equal(core.endRead(object), 1);
      ringAll(core, play);
    },
    check: (core, play) => nextWrites(core, play, "out", true),
  },
  {
    name: "rwlock: written",
    run(core, play, progress) {
      assert.equal(core.tryWrite(play.object), SYNC_YES);
      progress.at = "in";
      assert.equal(core.isWriting(play.object), 1);
      progress.at = "leaving";
      assert.equal(core.endWrite(play.object), 1);
      progress.at = "out";
      ringAll(core, play);
    },
    check: nextWrites,
  },
  {
    name: "rwlock: read after a writer's death",
    setUp(play) {
      assert.equal(play.core(LEFT).tryWrite(play.object), SYNC_YES);
      play.goAway(LEFT);
    },
    run(core, play) {
      assert.equal(core.tryRead(play.object), SYNC_ABANDONED);
      assert.equal(core.isDirty(play.object), 1);
      assert.equal(core.endRead(play.object), 1);
      ringAll(core, play);
    },
    check: (core, play) => nextWrites(core, play, "in", true),
  },
  {
    name: "rwlock: written after a writer's death",
    setUp(play) {
      assert.equal(play.core(LEFT).tryWrite(play.object), SYNC_YES);
      play.goAway(LEFT);
    },
    run(core, play, progress) {
      assert.equal(core.tryWrite(play.object), SYNC_ABANDONED);
      progress.at = "in";
      assert.equal(core.endWrite(play.object), 1);
      progress.at = "out";
      ringAll(core, play);
    },
    check(core, play, at, hasDied) {
      if (at !== "") nextWrites(core, play, at === "in" ? "" : at, hasDied);
      else assert.equal(core.tryWrite(play.object), SYNC_ABANDONED, "nobody was told of the first death");
    },
  },
  {
    name: "rwlock: waited to write",
    setUp: (play) => void play.core(OTHER).tryRead(play.object),
    run(core, play) {
      assert.equal(core.tryWrite(play.object), SYNC_NO);
      assert.equal(core.cancelWrite(play.object), 1);
      ringAll(core, play);
    },
    check(core, { object, world }) {
      const other = instantiateSync(world.memory);
      other.join(OTHER);
      assert.equal(core.tryRead(object), SYNC_YES, "a reader beside one");
      assert.equal(core.endRead(object), 1);
      assert.equal(other.endRead(object), 1);
      assert.equal(core.tryWrite(object), SYNC_YES);
    },
  },
];

/** Available and held permits are all there are. */
function permitsAddUp(core: SyncCore, { object, view }: Play, held: number): void {
  core.reclaimAll(object);
  const limit = view.getUint32(object + Y_LIMIT, true);
  let sum = core.available(object);
  for (let slot = 0; slot < SLOT_COUNT; slot++) sum += core.heldBy(object, slot);
  assert.equal(sum, limit);
  assert.equal(core.available(object), limit - held);
  assert.equal(core.acquire(object, limit - held), SYNC_YES);
  assert.equal(core.acquire(object, 1), SYNC_NO);
}

function withPermits(limit: number, left: number, isTaken: boolean) {
  return (play: Play): void => {
    play.setLimit(limit);
    const other = play.core(OTHER);
    other.initSemaphore(play.object);
    assert.equal(other.acquire(play.object, 1), SYNC_YES);
    if (left === 0) return;
    const slot = isTaken ? ACTOR : LEFT;
    assert.equal(play.core(slot).acquire(play.object, left), SYNC_YES);
    play.goAway(slot, isTaken);
  };
}

const useTwo = (core: SyncCore, play: Play): void => {
  assert.equal(core.acquire(play.object, 2), SYNC_YES);
  assert.equal(core.release(play.object, 1), SYNC_YES);
  ringAll(core, play);
  assert.equal(core.release(play.object, 2), SYNC_NO);
  assert.equal(core.release(play.object, 1), SYNC_YES);
  ringAll(core, play);
};

const semaphores: readonly Scenario[] = [
  {
    name: "semaphore: acquired and released",
    setUp: withPermits(4, 0, false),
    run: useTwo,
    check: (core, play) => permitsAddUp(core, play, 1),
  },
  {
    name: "semaphore: acquired and kept",
    setUp: withPermits(3, 0, false),
    run: (core, { object }) => assert.equal(core.acquire(object, 1), SYNC_YES),
    check: (core, play, _at, hasDied) => permitsAddUp(core, play, hasDied ? 1 : 2),
  },
  {
    name: "semaphore: what one who is gone has is used",
    setUp: withPermits(4, 3, false),
    run: useTwo,
    check: (core, play) => permitsAddUp(core, play, 1),
  },
  {
    name: "semaphore: what a former user of the slot has is used",
    setUp: withPermits(4, 2, true),
    run: useTwo,
    check: (core, play) => permitsAddUp(core, play, 1),
  },
  {
    name: "semaphore: what one who is gone has is reclaimed",
    setUp: withPermits(4, 3, false),
    run: (core, { object }) => assert.equal(core.reclaimAll(object), 1),
    check: (core, play) => permitsAddUp(core, play, 1),
  },
  {
    name: "semaphore: made",
    setUp: (play) => play.setLimit(3),
    run: (core, { object }) => core.initSemaphore(object),
    // Nobody finds it before it is made: who makes it anew begins with zeros.
    check(core, play, _at, hasDied) {
      if (hasDied) core.initSemaphore(play.object);
      permitsAddUp(core, play, 0);
    },
  },
];

const events: readonly Scenario[] = [
  {
    name: "event: set, passed, unset",
    run(core, play, progress) {
      const { object } = play;
      const generation = core.eventGeneration(object);
      core.setEvent(object);
      progress.at = "set";
      ringAll(core, play);
      assert.equal(core.isSet(object), 1);
      assert.equal(core.seenEvent(object, generation), 1);
      progress.at = "";
      assert.equal(core.passEvent(object), 1);
      core.setEvent(object);
      core.resetEvent(object);
      assert.equal(core.seenEvent(object, generation), 1);
    },
    check(core, { object }, at) {
      // Set or not, and counted, at once.
      if (core.isSet(object) !== 0 || at === "set") assert.equal(core.seenEvent(object, 0), 1);
      if (at === "set") assert.equal(core.isSet(object), 1);
      const isSet = core.isSet(object);
      assert.equal(core.passEvent(object), isSet);
      assert.equal(core.passEvent(object), 0);
    },
  },
  {
    name: "condition: waited for and notified",
    setUp(play) {
      assert.equal(play.core(OTHER).takeTicket(play.object), 0);
      assert.equal(play.core(LEFT).takeTicket(play.object), 1);
      play.goAway(LEFT);
    },
    run(core, play) {
      const ticket = core.takeTicket(play.object);
      assert.equal(core.isNotified(play.object, ticket), 0);
      core.notify(play.object, 1);
      ringAll(core, play);
    },
    check(core, { object }, _at, hasDied) {
      // No ticket of the dead is before that of one who lives.
      const ticket = core.takeTicket(object);
      core.notify(object, 0);
      assert.equal(core.isNotified(object, ticket), 1, "a ticket of the dead has swallowed a notification");
      const next = core.takeTicket(object);
      assert.equal(core.isNotified(object, next), 0);
      if (!hasDied) assert.equal(core.notify(object, 0), 1);
    },
  },
  {
    name: "barrier: come to as the last one",
    setUp(play) {
      play.setLimit(2);
      assert.equal(play.core(OTHER).arrive(play.object, 0), SYNC_NO);
    },
    run(core, play, progress) {
      assert.equal(core.barrierGeneration(play.object), 0);
      assert.equal(core.arrive(play.object, 0), SYNC_YES);
      progress.at = "passed";
      ringAll(core, play);
    },
    check(_core, { object, world }, at, hasDied) {
      const other = instantiateSync(world.memory);
      other.join(OTHER);
      const result = other.hasPassed(object, 0);
      if (at === "passed") assert.equal(result, SYNC_YES);
      if (!hasDied) return;
      if (result === SYNC_NO) assert.equal(other.goneParty(object), 0, "a party has died");
      // Who has passed finds that a party is gone the next time.
      if (result === SYNC_YES) {
        assert.equal(other.arrive(object, 1), SYNC_NO);
        assert.equal(other.hasPassed(object, 1), SYNC_BROKEN);
      }
    },
  },
  {
    name: "barrier: come to, and not waited for",
    setUp: (play) => play.setLimit(2),
    run(core, { object }) {
      assert.equal(core.arrive(object, 1), SYNC_DONE);
      assert.equal(core.arrive(object, 0), SYNC_NO);
      assert.equal(core.hasPassed(object, 0), SYNC_NO);
      assert.equal(core.withdraw(object, 0), 1);
      core.leaveBarrier(object);
    },
    check(core, { object }, _at, hasDied) {
      const gone = core.goneParty(object);
      if (!hasDied) assert.equal(gone, 0);
      if (gone === 0) assert.equal(core.arrivals(object), 0, "who is no party has not come");
      if (core.arrivals(object) !== 0) return;
      assert.equal(core.arrive(object, 0), SYNC_NO);
      assert.equal(core.hasPassed(object, 0), gone === 0 ? SYNC_NO : SYNC_BROKEN);
    },
  },
  {
    name: "barrier: a party is gone",
    setUp(play) {
      play.setLimit(3);
      play.core(LEFT).arrive(play.object, 0);
      play.core(OTHER).arrive(play.object, 0);
      play.goAway(LEFT);
    },
    run(core, play) {
      assert.equal(core.arrive(play.object, 0) === SYNC_YES, true);
      ringAll(core, play);
    },
    check(_core, { object, world }, _at, hasDied) {
      const other = instantiateSync(world.memory);
      other.join(OTHER);
      const result = other.hasPassed(object, 0);
      assert.ok(result === SYNC_YES || (hasDied && result === SYNC_BROKEN), `it waits: ${result}`);
    },
  },
  {
    name: "barrier: a former user of the slot is gone; broken and reset",
    setUp(play) {
      play.setLimit(3);
      play.core(ACTOR).arrive(play.object, 0);
      play.core(OTHER).arrive(play.object, 0);
      play.goAway(ACTOR, true);
    },
    run(core, play, progress) {
      const { object } = play;
      assert.equal(core.arrive(object, 0), SYNC_BROKEN);
      progress.at = "broken";
      assert.equal(core.isBroken(object), 1);
      core.resetBarrier(object);
      progress.at = "reset";
      ringAll(core, play);
      core.resetBarrier(object);
      ringAll(core, play);
    },
    check(core, play, at) {
      const { object, world } = play;
      const other = instantiateSync(world.memory);
      other.join(OTHER);
      assert.equal(other.hasPassed(object, 0), SYNC_BROKEN, "it is broken for who waited");
      if (at === "reset") assert.notEqual(core.barrierGeneration(object), 0);
      core.resetBarrier(object);
      const generation = core.barrierGeneration(object);
      assert.equal(other.arrive(object, generation), SYNC_NO);
      assert.equal(other.hasPassed(object, generation), SYNC_NO, "anew");
      assert.equal(other.hasPassed(object, 0), SYNC_BROKEN);
    },
  },
  {
    name: "barrier: a party is gone, and it is reset",
    setUp(play) {
      play.setLimit(3);
      play.core(LEFT).arrive(play.object, 0);
      play.core(OTHER).arrive(play.object, 0);
      play.goAway(LEFT);
    },
    run(core, play) {
      core.resetBarrier(play.object);
      ringAll(core, play);
    },
    check(core, { object, world }) {
      const other = instantiateSync(world.memory);
      other.join(OTHER);
      assert.equal(other.hasPassed(object, 0), SYNC_BROKEN);
      core.resetBarrier(object);
      const generation = core.barrierGeneration(object);
      assert.equal(other.arrive(object, generation), SYNC_NO);
      assert.equal(other.hasPassed(object, generation), SYNC_NO);
    },
  },
  {
    name: "once: begun, given up, done",
    run(core, play, progress) {
      const { object } = play;
      assert.equal(core.beginOnce(object), SYNC_YES);
      assert.equal(core.beginOnce(object), SYNC_MINE);
      assert.equal(core.runnerOf(object), ACTOR + 1);
      progress.at = "in";
      assert.equal(core.endOnce(object, 0), 1);
      ringAll(core, play);
      assert.equal(core.beginOnce(object), SYNC_YES);
      assert.equal(core.endOnce(object, 1), 1);
      progress.at = "done";
      ringAll(core, play);
    },
    check(core, { object }, at) {
      const result = core.beginOnce(object);
      if (at === "done") assert.equal(result, SYNC_DONE);
      else assert.ok(isIn(result) || result === SYNC_DONE, `it cannot be taken over: ${result}`);
      assert.equal(core.isDone(object), result === SYNC_DONE ? 1 : 0);
    },
  },
  {
    name: "once: taken over",
    setUp(play) {
      assert.equal(play.core(LEFT).beginOnce(play.object), SYNC_YES);
      play.goAway(LEFT);
    },
    run: (core, { object }) => assert.equal(core.beginOnce(object), SYNC_ABANDONED),
    check(core, { object }, _at, hasDied) {
      assert.equal(core.beginOnce(object), hasDied ? SYNC_ABANDONED : SYNC_NO);
    },
  },
  {
    name: "counter: changed",
    run(core, { object }, progress) {
      assert.equal(core.addCounter(object, 2), 2);
      progress.at = "two";
      assert.equal(core.casCounter(object, 2, 5), 1);
      assert.equal(core.swapCounter(object, 7), 5);
      progress.at = "seven";
      assert.equal(core.readCounter(object), 7);
    },
    check(core, { object }, at) {
      const value = core.readCounter(object);
      assert.ok([0, 2, 5, 7].includes(value));
      if (at === "two") assert.ok(value >= 2);
      if (at === "seven") assert.equal(value, 7);
    },
  },
  {
    name: "a participant leaves that holds a mutex",
    setUp: (play) => void play.core(ACTOR).tryLock(play.object),
    run: nothing,
    leaves: true,
    check: (core, { object }) => assert.equal(core.tryLock(object), SYNC_ABANDONED),
  },
];

const bellAt = ({ world }: Play, slot: number): number =>
  world.geometry.slotsOffset + slot * SLOT_SIZE_BYTES + S_BELL;

const caseOf = (scenario: Scenario): CrashCase => ({
  name: `sync/${scenario.name}`,
  prepare() {
    const play = makePlay();
    const { world, view } = play;
    for (const slot of [ACTOR, SURVIVOR, THIRD]) play.core(slot);
    scenario.setUp?.(play);
    enter(world, ACTOR);
    const seen = play.core(SLEEPER).enter(play.set);
    const restore = snapshot(world);
    const dead = (isSecond: boolean): readonly number[] => (isSecond ? [ACTOR, SURVIVOR] : [ACTOR]);
    let progress: Progress = { at: "" };
    return {
      world,
      restore() {
        restore();
        progress = { at: "" };
      },
      run(trigger, arm) {
        const core = join(world, ACTOR, trigger);
        const region = enter(world, ACTOR, trigger);
        arm();
        scenario.run(core, play, progress);
        return scenario.leaves === true ? region.recoverSlot(ACTOR, 0) : 0;
      },
      checkDone: () => scenario.check(play.core(JUDGE), play, progress.at, false),
      recoverers: [SURVIVOR, THIRD],
      recover(core, isSecond) {
        for (const slot of dead(isSecond)) assert.equal(core.recoverSlot(slot, 1), OK);
      },
      check(_isDone, isSecond) {
        assert.notEqual(view.getUint32(bellAt(play, SLEEPER), true), seen, "nobody has rung the sleeper");
        for (const slot of dead(isSecond))
          assert.equal(world.survey.slotState(slot) & 3, 0, `slot ${slot} is free`);
        scenario.check(play.core(JUDGE), play, progress.at, true);
      },
    };
  },
});

export const syncCases: readonly CrashCase[] = [...mutexes, ...rwlocks, ...semaphores, ...events].map(caseOf);
