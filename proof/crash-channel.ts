/**
 * Queues and rings for crash exhaustion. The actor does something and dies at each of its accesses; a survivor recovers it and
 * receives what there is. Then every message that was ever committed must have been received once, or counted as dropped; no
 * block may be left but the channel's own, and the channel must be as good as new.
 */

import assert from "node:assert/strict";
import {
  C_DROPPED,
  C_SKIPPED,
  CHANNEL_EMPTY,
  CHANNEL_FULL,
  CHANNEL_NONE,
  CHANNEL_OVER,
  CHANNEL_REDELIVER,
  CHANNEL_RING,
} from "../src/layout/channel.ts";
import { OK } from "../src/layout/result.ts";
import {
  cellIn,
  receive,
  repeat,
  ringReceive,
  ringSend,
  send,
  withStorage,
} from "../test/helpers/channel-world.ts";
import type { CrashCase } from "./crash-cases.ts";
import { heapKinds } from "./heaps.ts";
import {
  put,
  get,
  ownBlock,
  dieAt,
  sweeps,
  borrow,
  twoMessages,
  blockMessage,
  sceneOf,
} from "./crash-channel-play.ts";
import type { Scenario } from "./crash-channel-play.ts";

const queues: readonly Scenario[] = [
  { name: "sending", run: (play, member) => put(play, member, 5) },
  {
    name: "sending a block",
    heaps: heapKinds,
    setUp: (play, member) => ownBlock(play, member, 5),
    run: (play, member) => put(play, member, 5),
  },
  {
    name: "sending when it is full",
    setUp: twoMessages,
    run(play, member) {
      assert.equal(send(member, play.channel, 5), CHANNEL_FULL);
    },
  },
  {
    name: "sending, all round",
    run(play, member) {
      for (let value = 1; value <= 3; value++) {
        put(play, member, value);
        get(play, member);
      }
    },
  },
  {
    name: "giving a claimed cell up, with a block in it",
    setUp: (play, member) => ownBlock(play, member, 5),
    run({ channel: { object }, blocks }, { core, heap, ...rest }) {
      const member = { core, heap, ...rest };
      const cell = cellIn(repeat(member, object, () => core.claimSend(object)));
      assert.equal(
        withStorage(member, () => core.putBlock(object, cell, blocks.get(5)!)),
        OK,
      );
      assert.equal(
        withStorage(member, () => core.takeBlock(object, cell)),
        OK,
      );
      assert.equal(core.errorDetail() >>> 0, blocks.get(5));
      assert.ok(core.cancelSend(object, cell) >= 0);
      assert.equal(heap.free(blocks.get(5)!), OK);
    },
  },
  { name: "receiving", setUp: twoMessages, run: (play, member) => get(play, member) },
  {
    name: "receiving a block",
    heaps: heapKinds,
    setUp: blockMessage,
    run: (play, member) => get(play, member),
  },
  { name: "borrowing", setUp: twoMessages, run: borrow },
  { name: "borrowing a block", heaps: heapKinds, setUp: blockMessage, run: borrow },
  { name: "borrowing a block, given back", setUp: blockMessage, flags: CHANNEL_REDELIVER, run: borrow },
  {
    name: "receiving where there is nothing",
    run(play, member) {
      assert.equal(receive(member, play.channel).code, CHANNEL_EMPTY);
      const { object } = play.channel;
      assert.equal(member.core.spinReceive(object, 0, 3), CHANNEL_EMPTY);
    },
  },
  {
    name: "giving back the first of two",
    setUp: twoMessages,
    run({ channel: { object } }, { core }) {
      const first = cellIn(core.claimReceive(object, 1));
      const second = cellIn(core.claimReceive(object, 1));
      assert.ok(core.giveBack(object, first) >= 0);
      assert.ok(core.giveBack(object, second) >= 0);
    },
    flags: CHANNEL_REDELIVER,
  },
  {
    name: "dropping a block to make room",
    drops: 1,
    setUp: blockMessage,
    run(play, member) {
      const { object } = play.channel;
      const first = withStorage(member, () => member.core.dropNext(object));
      if (first !== OK) assert.equal(member.heap.free(member.core.errorDetail()), OK);
      assert.equal(
        repeat(member, object, () => member.core.sweepQueue(object)),
        OK,
      );
    },
  },
  {
    name: "ending, counting, refusing",
    setUp: twoMessages,
    run(play, member) {
      const { object } = play.channel;
      const { core } = member;
      core.noteChannelWait(object, 1);
      core.noteChannelWait(object, 0);
      for (const at of [C_DROPPED, C_SKIPPED, 24, 32, 40, 44, 48]) core.countOf(object, at);
      assert.equal(core.queueDepth(object), 2);
      core.endChannel(object);
      assert.equal(core.isEnded(object), 1);
      assert.equal(send(member, play.channel, 5), CHANNEL_OVER);
    },
  },
  {
    name: "closing",
    run({ channel: { object } }, { core }) {
      core.closeChannel(object);
      assert.equal(core.claimSend(object), CHANNEL_NONE);
    },
  },
  ...sweeps("sweeping after one that sent", {}, 5, (play, member) => put(play, member, 9)),
  ...sweeps("sweeping after one that sent a block", {}, 14, (play, member) => put(play, member, 9)),
  ...sweeps("sweeping after one that received a block", {}, 8, get, blockMessage),
  ...sweeps("sweeping after one that borrowed", {}, 4, borrow, twoMessages),
  ...sweeps("sweeping after one that borrowed a block", {}, 12, borrow, blockMessage),
  ...sweeps("sweeping after one that was to give back", { flags: CHANNEL_REDELIVER }, 4, borrow, twoMessages),
  ...sweeps(
    "sweeping after one that swept",
    {},
    16,
    ({ channel: { object } }, member) =>
      assert.equal(
        repeat(member, object, () => member.core.sweepQueue(object)),
        OK,
      ),
    (play, member) => {
      blockMessage(play, member);
      // Somebody dies with it in its hands.
      const { object } = play.channel;
      dieAt(play, 1000, (dead) => {
        dead.core.claimReceive(object, 1);
        dead.core.claimSend(object);
      });
    },
  ),
];

const onRings: readonly Scenario[] = [
  {
    name: "sending and receiving, all round",
    run: (play, member) => {
      for (let value = 1; value <= 3; value++) {
        put(play, member, value);
        get(play, member);
      }
    },
  },
  {
    name: "sending a block",
    setUp: (play, member) => ownBlock(play, member, 5),
    run: (play, member) => put(play, member, 5),
  },
  {
    name: "taking a block back that was to be sent",
    setUp: (play, member) => ownBlock(play, member, 5),
    run({ channel: { object }, blocks }, member) {
      const { core } = member;
      repeat(member, object, () => core.ringRoom(object));
      assert.equal(
        withStorage(member, () => core.ringPutBlock(object, blocks.get(5)!)),
        OK,
      );
      assert.equal(
        withStorage(member, () => core.ringTakeBack(object)),
        OK,
      );
      assert.equal(member.heap.free(blocks.get(5)!), OK);
    },
  },
  {
    name: "refusing when it is full, and resigning",
    setUp: twoMessages,
    run(play, member) {
      const { object } = play.channel;
      assert.equal(ringSend(member, play.channel, 5), CHANNEL_FULL);
      assert.equal(member.core.ringDepth(object), 2);
      member.core.resign(object, 1);
      get(play, member);
      get(play, member);
      assert.equal(ringReceive(member, play.channel).code, CHANNEL_EMPTY);
      assert.equal(member.core.ringSpin(object, 0, 2), CHANNEL_EMPTY);
    },
  },
  {
    name: "coming as the next producer of a full ring that begins with a block",
    setUp(play, member) {
      ownBlock(play, member, 1);
      put(play, member, 1);
      put(play, member, 2);
      member.core.resign(play.channel.object, 1);
    },
    run: (play, member) => assert.equal(ringSend(member, play.channel, 5), CHANNEL_FULL),
  },
  { name: "borrowing a block", setUp: blockMessage, run: borrow },
  {
    name: "borrowing and giving back",
    setUp: twoMessages,
    flags: CHANNEL_REDELIVER,
    run({ channel: { object } }, { core }) {
      core.ringNextMessage(object, 1);
      core.ringGiveBack(object);
    },
  },
  ...sweeps("coming after one that sent a block", { kind: CHANNEL_RING }, 12, (play, member) =>
    put(play, member, 9),
  ),
  ...sweeps("coming after one that borrowed a block", { kind: CHANNEL_RING }, 12, borrow, blockMessage),
];

const ringScenarios = onRings.map((one) => ({ ...one, kind: CHANNEL_RING }));

export const channelCases: readonly CrashCase[] = [
  ...queues.flatMap((scenario) =>
    (scenario.heaps ?? ["slab"]).map((kind) => ({
      name: `queue/${kind}/${scenario.name}`,
      prepare: () => sceneOf(kind, scenario),
    })),
  ),
  ...ringScenarios.map((scenario) => ({
    name: `ring/${scenario.name}`,
    prepare: () => sceneOf("slab", scenario),
  })),
];
