/** The races of locks and semaphores that are gone through whole. */

import assert from "node:assert/strict";
import { SYNC_ABANDONED, SYNC_NO, SYNC_SEEN, SYNC_YES, Y_LAST } from "../src/layout/sync.ts";
import type { SyncCore } from "../src/sync/core.ts";
import { goIn, goOut, isIn, leave, ringAll, setOf, waitFor } from "./sync-race.ts";
import type { Caller, SyncProgram, SyncRace, SyncScene } from "./sync-race.ts";

/** A slot that somebody has left waiting. */
const LEFT = 4;

/** What a result is for somebody who waits: 0 = not yet. */
const got = (result: number): number => (isIn(result) ? result : 0);

// Mutex

type MakeProgram = (scene: SyncScene, slot: number) => SyncProgram;

const locks: MakeProgram = (scene, slot) => (core) => {
  const { object } = scene;
  const first = core.tryLock(object);
  const attempt = (): number => got(core.tryLock(object));
  goIn(scene, core, 0, isIn(first) ? first : waitFor(scene, core, slot, object, attempt));
  goOut(scene, core, 0);
  assert.equal(core.unlock(object), 1);
  core.ringNext(object, setOf(object));
};

/** Its time is over when it has looked once. */
const triesToLock: MakeProgram = (scene) => (core) => {
  const { object } = scene;
  core.enter(setOf(object));
  const result = core.tryLock(object);
  leave(core, object);
  if (!isIn(result)) return;
  goIn(scene, core, 0, result);
  goOut(scene, core, 0);
  assert.equal(core.unlock(object), 1);
  core.ringNext(object, setOf(object));
};

const locksFair: MakeProgram = (scene, slot) => (core) => {
  const { object } = scene;
  let result = core.tryLockFair(object, 0);
  if (!isIn(result)) {
    core.takeTurn(object);
    result = waitFor(scene, core, slot, object, () => got(core.tryLockFair(object, 1)));
  }
  goIn(scene, core, 0, result);
  goOut(scene, core, 0);
  assert.notEqual(core.unlockFair(object), NOT_HELD);
};

const NOT_HELD = -0x80000000;

const triesToLockFair: MakeProgram = (scene) => (core) => {
  const { object } = scene;
  core.takeTurn(object);
  core.enter(setOf(object));
  const result = core.tryLockFair(object, 1);
  leave(core, object);
  if (isIn(result)) {
    goIn(scene, core, 0, result);
    goOut(scene, core, 0);
  } else if (core.dropTurn(object) !== 0) return;
  // Handed to it as it gave up.
  assert.notEqual(core.unlockFair(object), NOT_HELD);
};

const triesFairNow: MakeProgram = (scene) => (core) => {
  const { object } = scene;
  const result = core.tryLockFair(object, 0);
  if (!isIn(result)) return;
  goIn(scene, core, 0, result);
  goOut(scene, core, 0);
  assert.notEqual(core.unlockFair(object), NOT_HELD);
};

function isFree(scene: SyncScene, core: SyncCore): void {
  assert.ok(isIn(core.tryLock(scene.object)), "nobody holds it, and it cannot be had");
}

function isFreeFair(scene: SyncScene, core: SyncCore): void {
  assert.ok(isIn(core.tryLockFair(scene.object, 0)), "nobody holds it, and it cannot be had");
}

/** Somebody who is gone has waited; `isTaken`: somebody else has that slot, and knows nothing of it. */
function leaveWaiting(scene: SyncScene, isTaken: boolean): void {
  const core = scene.core(LEFT);
  core.takeTurn(scene.object);
  core.enter(setOf(scene.object));
  scene.goAway(LEFT, isTaken);
  // It would be its turn.
  scene.view.setUint32(scene.object + Y_LAST, LEFT, true);
}

/** One died with the mutex. */
function leaveLocked(scene: SyncScene): void {
  assert.equal(scene.core(LEFT).tryLock(scene.object), SYNC_YES);
}

const mutexes: readonly SyncRace[] = [
  {
    name: "mutex/two lock it",
    mortal: [0],
    setUp: (scene) => [locks(scene, 0), locks(scene, 1)],
    check: isFree,
  },
  {
    name: "mutex/one locks it, another gives up",
    mortal: [0, 1],
    setUp: (scene) => [locks(scene, 0), triesToLock(scene, 1)],
    check: isFree,
  },
  {
    name: "mutex/one dies with it, and another has its slot",
    mortal: [0],
    heir: 1,
    setUp: (scene) => [locks(scene, 0), locks(scene, 0), locks(scene, 2)],
    check: isFree,
  },
  {
    name: "mutex/two lock it, in whose set is one who is gone",
    setUp(scene) {
      leaveWaiting(scene, true);
      return [locks(scene, 0), locks(scene, 1)];
    },
    check: isFree,
  },
  {
    name: "mutex/three lock it",
    isLarge: true,
    mortal: [0],
    setUp: (scene) => [locks(scene, 0), locks(scene, 1), locks(scene, 2)],
    check: isFree,
  },
  {
    name: "mutex/two lock it, another gives up",
    isLarge: true,
    setUp: (scene) => [locks(scene, 0), locks(scene, 1), triesToLock(scene, 2)],
    check: isFree,
  },
  {
    name: "mutex/two lock what somebody has died with, while it is recovered",
    setUp(scene) {
      leaveLocked(scene);
      scene.view.setUint32(scene.object + 4096, 1, true);
      scene.goAway(LEFT, false);
      return [locks(scene, 0), locks(scene, 1)];
    },
    check: isFree,
  },
];

const fairMutexes: readonly SyncRace[] = [
  {
    name: "fair/two lock it",
    mortal: [0],
    setUp: (scene) => [locksFair(scene, 0), locksFair(scene, 1)],
    check: isFreeFair,
  },
  {
    name: "fair/one locks it, another gives up",
    mortal: [0, 1],
    setUp: (scene) => [locksFair(scene, 0), triesToLockFair(scene, 1)],
    check: isFreeFair,
  },
  {
    name: "fair/one locks it, another tries without a turn",
    mortal: [0, 1],
    setUp: (scene) => [locksFair(scene, 0), triesFairNow(scene, 1)],
    check: isFreeFair,
  },
  {
    name: "fair/two lock it, for which one who is gone has waited",
    setUp(scene) {
      leaveWaiting(scene, true);
      return [locksFair(scene, 0), locksFair(scene, 1)];
    },
    check: isFreeFair,
  },
  {
    name: "fair/one locks it, another gives up and comes again",
    mortal: [0],
    setUp: (scene) => [
      locksFair(scene, 0),
      (core) => {
        triesToLockFair(scene, 1)(core);
        locksFair(scene, 1)(core);
      },
    ],
    check: isFreeFair,
  },
  {
    name: "fair/one dies with it, and another has its slot",
    mortal: [0],
    heir: 1,
    setUp: (scene) => [locksFair(scene, 0), locksFair(scene, 0), locksFair(scene, 2)],
    check: isFreeFair,
  },
  {
    name: "fair/two lock it, another gives up",
    isLarge: true,
    mortal: [0],
    setUp: (scene) => [locksFair(scene, 0), locksFair(scene, 1), triesToLockFair(scene, 2)],
    check: isFreeFair,
  },
  {
    name: "fair/three lock it",
    isLarge: true,
    mortal: [0],
    setUp: (scene) => [locksFair(scene, 0), locksFair(scene, 1), locksFair(scene, 2)],
    check: isFreeFair,
  },
];

// Rwlock: readers are counted at place 0, writers at 1

/** A writer that died writing is known by its count: until one that writes has had the lock, all are to be told. */
function checkTold(scene: SyncScene, result: number, wereWriting: number): void {
  if (result === SYNC_ABANDONED) assert.ok(scene.isAnybodyDead(), "it was told that somebody had died");
  else assert.equal(wereWriting, 0, "somebody died writing, and it was not told");
}

function read(scene: SyncScene, core: Caller, result: number): void {
  core.addCounter(scene.count(0), 1);
  const writing = core.readCounter(scene.count(1));
  checkTold(scene, result, writing);
  assert.equal(core.readCounter(scene.count(1)), writing, "somebody wrote while it read");
  core.addCounter(scene.count(0), -1);
  assert.equal(core.endRead(scene.object), 1);
  ringAll(core, scene.object);
}

const reads: MakeProgram = (scene, slot) => (core) => {
  const { object } = scene;
  const attempt = (): number => {
    const result = core.tryRead(object);
    if (result === SYNC_SEEN) ringAll(core, object);
    return got(result);
  };
  read(scene, core, waitFor(scene, core, slot, object, attempt));
};

const triesToRead: MakeProgram = (scene) => (core) => {
  const result = core.tryRead(scene.object);
  if (result === SYNC_SEEN) ringAll(core, scene.object);
  if (isIn(result)) read(scene, core, result);
};

/** `mortals`: who reads may have died, and then counts for ever. */
function write(scene: SyncScene, core: Caller, result: number): void {
  const { object } = scene;
  const writing = core.swapCounter(scene.count(1), 1);
  checkTold(scene, result, writing);
  const reading = core.readCounter(scene.count(0));
  if (!scene.isAnybodyDead()) assert.equal(reading, 0, "somebody reads");
  assert.equal(core.swapCounter(scene.count(1), 0), 1, "two wrote");
  assert.equal(core.endWrite(object), 1);
  ringAll(core, object);
}

const writes: MakeProgram = (scene, slot) => (core) => {
  const { object } = scene;
  write(
    scene,
    core,
    waitFor(scene, core, slot, object, () => got(core.tryWrite(object))),
  );
};

const triesToWrite: MakeProgram = (scene) => (core) => {
  const { object } = scene;
  const result = core.tryWrite(object);
  if (isIn(result)) write(scene, core, result);
  else if (core.cancelWrite(object) !== 0) ringAll(core, object);
};

/** One who reads already looks for its next reader, and goes on reading. */
const readsAgain: MakeProgram = (scene) => (core) => {
  const { object } = scene;
  const result = core.tryRead(object);
  if (result === SYNC_SEEN) ringAll(core, object);
  if (!isIn(result)) return;
  core.addCounter(scene.count(0), 1);
  if (core.tryRead(object) === SYNC_SEEN) ringAll(core, object);
  assert.equal(core.readCounter(scene.count(1)), 0, "somebody wrote while it read");
  core.addCounter(scene.count(0), -1);
  assert.equal(core.endRead(object), 1);
  ringAll(core, object);
};

function isFreeToWrite(scene: SyncScene, core: SyncCore): void {
  const writing = core.readCounter(scene.count(1));
  const result = core.tryWrite(scene.object);
  assert.ok(isIn(result), "nobody holds it, and it cannot be written");
  if (writing !== 0) assert.equal(result, SYNC_ABANDONED, "somebody died writing, and nobody is told");
  core.endWrite(scene.object);
  assert.equal(core.tryRead(scene.object), SYNC_YES);
}

const rwlock = (name: string, mortal: readonly number[], ...makers: readonly MakeProgram[]): SyncRace => ({
  name: `rwlock/${name}`,
  ...(mortal.length === 0 ? {} : { mortal }),
  setUp: (scene) => makers.map((make, slot) => make(scene, slot)),
  check: isFreeToWrite,
});

/** One died writing, and is gone. */
const afterWriter = (name: string, ...makers: readonly MakeProgram[]): SyncRace => ({
  name: `rwlock/${name}`,
  setUp(scene) {
    assert.equal(scene.core(LEFT).tryWrite(scene.object), SYNC_YES);
    scene.goAway(LEFT, false);
    const known = { ...scene, isAnybodyDead: () => true };
    scene.view.setUint32(scene.count(1) + 32, 1, true);
    return makers.map((make, slot) => make(known, slot));
  },
  check: (scene, core) => {
    core.tryWrite(scene.object);
    core.endWrite(scene.object);
    assert.equal(core.tryRead(scene.object), SYNC_YES, "it is told of a death after somebody has written");
  },
});

const rwlocks: readonly SyncRace[] = [
  rwlock("one reads, another writes", [0, 1], reads, writes),
  rwlock("two write", [0], writes, writes),
  rwlock("one reads, another tries to write", [0, 1], reads, triesToWrite),
  rwlock("one writes, another tries to read", [0, 1], writes, triesToRead),
  rwlock("one reads twice, another tries to write, and another", [], readsAgain, triesToWrite, triesToWrite),
  { ...rwlock("two read, another writes", [2], triesToRead, reads, writes), isLarge: true },
  { ...rwlock("two read, another writes, and anybody dies", [0, 2], reads, reads, writes), isLarge: true },
  { ...rwlock("two write, another reads", [0], writes, writes, reads), isLarge: true },
  afterWriter("somebody has died writing: one reads, another writes", reads, writes),
  afterWriter("somebody has died writing: two write", writes, writes),
  afterWriter("somebody has died writing: one reads, another tries to write", triesToRead, triesToWrite),
];

// Semaphore

/** Takes so many permits, waiting for them, and gives them back. */
const uses =
  (count: number): MakeProgram =>
  (scene, slot) =>
  (core) => {
    const { object } = scene;
    if (core.acquire(object, count) === SYNC_NO)
      waitFor(scene, core, slot, object, () => core.acquire(object, count));
    const held = core.addCounter(scene.count(0), count);
    if (!scene.isAnybodyDead())
      assert.ok(held <= scene.view.getUint32(scene.object + 8, true), "more than there are");
    core.addCounter(scene.count(0), -count);
    assert.equal(core.release(object, count), SYNC_YES);
    ringAll(core, object);
  };

const takes =
  (count: number): MakeProgram =>
  (scene, slot) =>
  (core) => {
    if (core.acquire(scene.object, count) === SYNC_NO)
      waitFor(scene, core, slot, scene.object, () => core.acquire(scene.object, count));
  };

const reclaims: MakeProgram = (scene) => (core) => void core.reclaimAll(scene.object);

/** All permits are somewhere, and those of the dead come back. */
function permitsAddUp(scene: SyncScene, core: SyncCore): void {
  const { object, view } = scene;
  core.reclaimAll(object);
  let sum = core.available(object);
  for (let slot = 0; slot < 6; slot++) sum += core.heldBy(object, slot);
  assert.equal(sum, view.getUint32(object + 8, true), "available and held permits");
}

interface SemaphorePlan {
  readonly limit: number;
  readonly mortal?: readonly number[];
  readonly heir?: number;
  readonly isLarge?: true;
  /** Permits that somebody holds who is gone; and whether its slot has somebody else. */
  readonly left?: number;
}

const semaphore = (name: string, plan: SemaphorePlan, ...makers: readonly MakeProgram[]): SyncRace => ({
  name: `semaphore/${name}`,
  ...(plan.mortal === undefined ? {} : { mortal: plan.mortal }),
  ...(plan.heir === undefined ? {} : { heir: plan.heir }),
  ...(plan.isLarge === undefined ? {} : { isLarge: true }),
  setUp(scene) {
    scene.setLimit(plan.limit);
    scene.core(LEFT).initSemaphore(scene.object);
    if (plan.left !== undefined) {
      assert.equal(scene.core(LEFT).acquire(scene.object, plan.left), SYNC_YES);
      scene.goAway(LEFT, false);
    }
    return makers.map((make, index) => make(scene, index === plan.heir ? plan.mortal![0]! : index));
  },
  check: permitsAddUp,
});

const semaphores: readonly SyncRace[] = [
  semaphore("two use one permit", { limit: 1, mortal: [0] }, uses(1), uses(1)),
  semaphore("one uses two permits, another one of them", { limit: 2, mortal: [0, 1] }, uses(2), uses(1)),
  semaphore("two take what somebody who is gone has", { limit: 2, left: 2 }, takes(1), takes(1)),
  semaphore(
    "two take what somebody who is gone has, and one dies",
    { limit: 2, left: 2, mortal: [0] },
    uses(1),
    takes(1),
  ),
  semaphore(
    "two reclaim what somebody who is gone has",
    { limit: 2, left: 1, mortal: [0] },
    reclaims,
    uses(1),
  ),
  semaphore(
    "one dies with a permit, and another has its slot",
    { limit: 1, mortal: [0], heir: 1 },
    takes(1),
    takes(1),
    reclaims,
  ),
  semaphore(
    "one dies using it, and another has its slot",
    { limit: 1, mortal: [0], heir: 1, isLarge: true },
    uses(1),
    uses(1),
    uses(1),
  ),
  semaphore(
    "one dies with a permit, another has its slot, two reclaim",
    { limit: 1, mortal: [0], heir: 1, isLarge: true },
    takes(1),
    takes(1),
    reclaims,
    reclaims,
  ),
  semaphore("three use two permits", { limit: 2, isLarge: true, mortal: [0] }, uses(1), uses(1), uses(2)),
  semaphore(
    "three take what somebody who is gone has",
    { limit: 3, left: 3, isLarge: true },
    takes(1),
    takes(1),
    takes(1),
  ),
];

export const lockRaces: readonly SyncRace[] = [...mutexes, ...fairMutexes, ...rwlocks, ...semaphores];
