/** Mutexes, read-write locks and semaphores for crash exhaustion: see crash-sync.ts. */

import assert from "node:assert/strict";
import { SYNC_ABANDONED, SYNC_MINE, SYNC_NO, SYNC_YES, Y_HOLDER, Y_LIMIT } from "../src/layout/sync.ts";
import { instantiateSync } from "../src/sync/core.ts";
import type { SyncCore } from "../src/sync/core.ts";
import type { CrashCase } from "./crash-cases.ts";
import { ACTOR, OTHER, LEFT, JUDGE, SLOT_COUNT, isIn, ringAll, told, syncCaseOf } from "./crash-sync.ts";
import type { Play, Progress, SyncScenario } from "./crash-sync.ts";

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

const nextLocks: SyncScenario["check"] = (core, { object }, at, hasDied) => {
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

const nextLocksFair: SyncScenario["check"] = (core, { object, set }, at, hasDied) => {
  core.takeTurn(object);
  core.enter(set);
  const result = core.tryLockFair(object, 1);
  told(result, at);
  if (!hasDied || at === "out") assert.equal(result, SYNC_YES, "nobody has died with it");
};

const mutexes: readonly SyncScenario[] = [
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

const nextWrites: SyncScenario["check"] = (core, { object }, at, hasDied) => {
  const result = core.tryWrite(object);
  told(result, at);
  if (!hasDied || at === "out") assert.equal(result, SYNC_YES, "nobody has died writing");
  assert.equal(core.endWrite(object), 1);
  assert.equal(core.tryRead(object), SYNC_YES);
};

const rwlocks: readonly SyncScenario[] = [
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

const semaphores: readonly SyncScenario[] = [
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

export const lockCases: readonly CrashCase[] = [...mutexes, ...rwlocks, ...semaphores].map(syncCaseOf);
