/** Events, conditions, barriers, onces, counters, and leaving with a lock, for crash exhaustion: see crash-sync.ts. */

import assert from "node:assert/strict";
import { SYNC_ABANDONED, SYNC_BROKEN, SYNC_DONE, SYNC_MINE, SYNC_NO, SYNC_YES } from "../src/layout/sync.ts";
import { instantiateSync } from "../src/sync/core.ts";
import type { CrashCase } from "./crash-cases.ts";
import { ACTOR, OTHER, LEFT, isIn, ringAll, nothing, syncCaseOf } from "./crash-sync.ts";
import type { SyncScenario } from "./crash-sync.ts";

const events: readonly SyncScenario[] = [
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

export const eventCases: readonly CrashCase[] = events.map(syncCaseOf);
