/**
 * Topics for crash exhaustion. The actor does something and dies at each of its accesses; a survivor recovers it. Two
 * subscribers see it all, one that publishers wait for and one that they overtake: afterwards the first must have received every
 * message that was ever committed, once and in order; the second each of them, or have counted it as dropped; nobody who is gone
 * may be in anybody's way, and no block may be left but the topic's own and its messages'.
 */

import assert from "node:assert/strict";
import {
  C_DROPPED,
  C_SKIPPED,
  CHANNEL_EMPTY,
  CHANNEL_FULL,
  CHANNEL_NONE,
  CHANNEL_OVER,
} from "../src/layout/channel.ts";
import { OK } from "../src/layout/result.ts";
import {
  C_DISCONNECTED,
  E_RECEIVED,
  E_SKIPPED,
  ENTRY_BLOCK,
  TOPIC_CROWDED,
  TOPIC_DISCONNECTED,
  TOPIC_OLD_BLOCK,
  TOPIC_OVERTAKEN,
} from "../src/layout/topic.ts";
import { cellIn, enterChannels, isCode, repeat, withStorage } from "../test/helpers/channel-world.ts";
import type { Member } from "../test/helpers/channel-world.ts";
import { publish, receiveNext, subscribe } from "../test/helpers/topic-world.ts";
import type { CrashCase } from "./crash-cases.ts";
import { heapKinds } from "./heaps.ts";
import {
  ACTOR,
  WITNESS,
  put,
  ownBlock,
  putBlock,
  witness,
  dieAt,
  remains,
  visit,
  sceneOf,
} from "./crash-topic-play.ts";
import type { Play, Scenario } from "./crash-topic-play.ts";

const scenarios: readonly Scenario[] = [
  { name: "publishing", run: (play, member) => put(play, member, 5) },
  {
    name: "publishing a block",
    heaps: heapKinds,
    setUp: (play, member) => ownBlock(play, member, 5),
    run: (play, member) => put(play, member, 5),
  },
  {
    name: "publishing over a block",
    heaps: heapKinds,
    setUp(play, member) {
      putBlock(play, member, 1);
      putBlock(play, member, 2);
      ownBlock(play, member, 5);
      witness(play);
    },
    run(play, member) {
      put(play, member, 5);
      put(play, member, 6);
    },
  },
  {
    name: "publishing when it is full",
    setUp(play, member) {
      put(play, member, 1);
      put(play, member, 2);
    },
    run(play, member) {
      assert.equal(publish(member, play.topic, 5), CHANNEL_FULL);
    },
  },
  {
    name: "publishing, all round",
    run(play, member) {
      for (let value = 1; value <= 5; value++) {
        put(play, member, value);
        witness(play);
      }
    },
  },
  {
    name: "giving a claimed cell up, with a block in it",
    setUp(play, member) {
      putBlock(play, member, 1);
      witness(play);
      put(play, member, 2);
      ownBlock(play, member, 3);
    },
    run({ topic: { object }, blocks }, member) {
      const { core, heap } = member;
      const claimed = repeat(member, object, () => core.claimPublish(object));
      assert.ok(!isCode(claimed) && (claimed & TOPIC_OLD_BLOCK) !== 0);
      const cell = cellIn(claimed);
      assert.equal(
        withStorage(member, () => core.takeOldBlock(object, cell)),
        OK,
      );
      assert.equal(heap.free(core.errorDetail()), OK);
      assert.equal(
        withStorage(member, () => core.putMessageBlock(object, cell, blocks.get(3)!)),
        OK,
      );
      assert.ok(core.cancelPublish(object, cell) >= 0);
    },
  },
  ...(["block", "drop-oldest", "disconnect"] as const).map((policy) => ({
    name: `subscribing with ${policy}, receiving, leaving`,
    setUp(play: Play, member: Member) {
      put(play, member, 1);
      put(play, member, 2);
    },
    run: (play: Play, member: Member) => visit(play, member, policy),
  })),
  {
    name: "subscribing where there is nothing, in an entry that was another's",
    setUp(play) {
      dieAt(play, 0, (dead) => void subscribe(dead, play.topic, "block"));
    },
    run({ topic }, member) {
      const index = subscribe(member, topic, "block");
      assert.equal(receiveNext(member, topic, index).code, CHANNEL_EMPTY);
      assert.equal(member.core.subscriberPhase(topic.object, index), ENTRY_BLOCK);
      assert.equal(member.core.subscriberSlot(topic.object, index), ACTOR);
      member.core.unsubscribe(topic.object, index);
    },
  },
  {
    name: "subscribing when there is no room in the table",
    subscribers: 2,
    run({ topic }, member) {
      assert.equal(subscribe(member, topic, "block"), -TOPIC_CROWDED);
    },
  },
  {
    name: "being overtaken, before copying and during it",
    run(play, member) {
      const { topic } = play;
      const index = subscribe(member, topic, "drop-oldest");
      const more = (): void => {
        const other = enterChannels(play.world, WITNESS);
        for (let value = 1; value <= 3; value++) {
          put(play, other, play.ledger.sent.length + 10);
          witness(play);
        }
      };
      more();
      assert.equal(receiveNext(member, topic, index, more).code, TOPIC_OVERTAKEN);
      assert.equal(receiveNext(member, topic, index).code, OK);
      const { core } = member;
      assert.equal(core.subscriberCount(topic.object, index, E_RECEIVED), 1);
      assert.equal(core.subscriberDropped(topic.object, index), 5);
      assert.equal(core.subscriberLag(topic.object, index), 0);
      core.unsubscribe(topic.object, index);
    },
  },
  {
    name: "being disconnected",
    run(play, member) {
      const { topic } = play;
      const index = subscribe(member, topic, "disconnect");
      const other = enterChannels(play.world, WITNESS);
      for (let value = 1; value <= 3; value++) {
        put(play, other, value);
        witness(play);
      }
      assert.equal(receiveNext(member, topic, index).code, TOPIC_DISCONNECTED);
      member.core.unsubscribe(topic.object, index);
    },
  },
  {
    name: "disconnecting",
    setUp(play, member) {
      subscribe(enterChannels(play.world, WITNESS), play.topic, "disconnect");
      put(play, member, 1);
      put(play, member, 2);
      witness(play);
    },
    run(play, member) {
      put(play, member, 5);
      assert.ok(member.core.countOf(play.topic.object, C_DISCONNECTED) <= 1);
    },
  },
  {
    name: "waiting for somebody who is gone",
    setUp(play, member) {
      dieAt(play, 0, (dead) => void subscribe(dead, play.topic, "block"));
      put(play, member, 1);
      put(play, member, 2);
      witness(play);
    },
    run: (play, member) => put(play, member, 5),
  },
  {
    name: "passing what was given up",
    setUp(play, member) {
      const { object } = play.topic;
      const cell = cellIn(repeat(member, object, () => member.core.claimPublish(object)));
      assert.ok(member.core.cancelPublish(object, cell) >= 0);
    },
    run(play, member) {
      visit(play, member, "block");
      assert.equal(member.core.countOf(play.topic.object, C_SKIPPED), 1);
    },
  },
  {
    name: "receiving behind one that died publishing",
    setUp(play) {
      dieAt(play, 0, (dead) => void dead.core.claimPublish(play.topic.object));
    },
    run(play, member) {
      const index = subscribe(member, play.topic, "block", true);
      assert.equal(receiveNext(member, play.topic, index).code, CHANNEL_EMPTY);
      member.core.unsubscribe(play.topic.object, index);
      put(play, member, 5);
    },
  },
  {
    name: "ending, counting, refusing",
    isLast: true,
    run(play, member) {
      const { object } = play.topic;
      const { core } = member;
      core.noteChannelWait(object, 1);
      core.noteChannelWait(object, 0);
      for (const at of [C_DROPPED, C_SKIPPED, C_DISCONNECTED, 24, 32, 40, 44]) core.countOf(object, at);
      assert.equal(core.subscriberCount(object, play.patient, E_SKIPPED), 0);
      core.endChannel(object);
      assert.equal(core.isEnded(object), 1);
      assert.equal(publish(member, play.topic, 5), CHANNEL_OVER);
    },
  },
  {
    name: "draining, and closing",
    isLast: true,
    setUp(play, member) {
      putBlock(play, member, 1);
      putBlock(play, member, 2);
      witness(play);
    },
    run({ topic: { object } }, member) {
      const { core } = member;
      assert.equal(
        repeat(member, object, () => core.drainTopic(object)),
        OK,
      );
      core.closeChannel(object);
      assert.equal(core.claimPublish(object), CHANNEL_NONE);
    },
  },
  {
    name: "finding the tail damaged, too far and too near",
    setUp(play, member) {
      for (let value = 1; value <= 3; value++) {
        put(play, member, value);
        witness(play);
      }
    },
    run(play, member) {
      const view = new DataView(play.world.memory.buffer);
      const { tailSide } = play.topic;
      view.setBigUint64(tailSide, 40n, true);
      put(play, member, 5);
      witness(play);
      view.setBigUint64(tailSide, 1n, true);
      put(play, member, 6);
    },
  },
  ...remains("coming after one that published", 6, (play, member) => put(play, member, 9)),
  ...remains(
    "coming after one that published a block over a block",
    14,
    (play, member) => {
      ownBlock(play, member, 9);
      put(play, member, 9);
    },
    (play, member) => {
      putBlock(play, member, 1);
      put(play, member, 2);
      witness(play);
    },
  ),
  ...remains(
    "coming after one that put right what another had left",
    10,
    ({ topic: { object } }, member) =>
      assert.equal(
        repeat(member, object, () => member.core.sweepTopic(object)),
        OK,
      ),
    (play) => void dieAt(play, 0, (dead) => void dead.core.claimPublish(play.topic.object)),
  ),
  ...remains(
    "coming after a subscriber",
    8,
    (play, member) => visit(play, member, "block"),
    (play, member) => put(play, member, 1),
  ),
];

export const topicCases: readonly CrashCase[] = scenarios.flatMap((scenario) =>
  (scenario.heaps ?? (["slab"] as const)).map((kind) => ({
    name: `topic/${kind}/${scenario.name}`,
    prepare: () => sceneOf(kind, scenario),
  })),
);
