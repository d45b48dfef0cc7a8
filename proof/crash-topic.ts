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
  CELL_FREE,
  CELL_READY,
  CHANNEL_EMPTY,
  CHANNEL_FULL,
  CHANNEL_NONE,
  CHANNEL_OVER,
} from "../src/layout/channel.ts";
import { LOCKED, OK } from "../src/layout/result.ts";
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
import type { HeapCore } from "../src/region/core.ts";
import {
  allocOwned,
  cellIn,
  enterChannels,
  isCode,
  readCells,
  repeat,
  withStorage,
} from "../test/helpers/channel-world.ts";
import type { Channel, ChannelOptions, Member } from "../test/helpers/channel-world.ts";
import { enter, makeTrigger, snapshot, survives } from "../test/helpers/core-world.ts";
import type { World } from "../test/helpers/core-world.ts";
import { makeTopic, publish, receiveNext, subscribe } from "../test/helpers/topic-world.ts";
import type { CrashCase } from "./crash-cases.ts";
import type { CrashScene } from "./crash.ts";
import { blocksOf, checkGone, checkHeap, heapKinds, makeHeap } from "./heaps.ts";
import type { HeapKind } from "./heaps.ts";

const ACTOR = 0;
const WITNESS = 1;
const SURVIVOR = 2;
const THIRD = 3;
const DEAD = 4;

/** A message's block. */
const BLOCK_BYTES: Readonly<Record<HeapKind, number>> = { slab: 1024, buddy: 2048, "first-fit": 200 };

/** What has happened to messages, as those who did it were told. */
interface Ledger {
  /** Committed, in order. */
  readonly sent: number[];
  /** Begun. */
  readonly tried: number[];
  /** What the witnesses have received. */
  readonly patient: number[];
  readonly hasty: number[];
}

interface Play {
  readonly kind: HeapKind;
  readonly world: World;
  readonly topic: Channel;
  readonly ledger: Ledger;
  /** Blocks by message. */
  readonly blocks: Map<number, number>;
  /** Entries of the witnesses. */
  readonly patient: number;
  readonly hasty: number;
}

interface Scenario extends ChannelOptions {
  readonly name: string;
  readonly heaps?: readonly HeapKind[];
  /** It leaves the topic to its witnesses as it is, ended or no more. */
  readonly isLast?: true;
  setUp?(play: Play, member: Member): void;
  run(play: Play, member: Member): void;
}

/** Publishes message `value`, and notes it. */
function put(play: Play, member: Member, value: number): void {
  const { topic, ledger, blocks } = play;
  ledger.tried.push(value);
  assert.equal(publish(member, topic, value, blocks.get(value)), OK);
  ledger.sent.push(value);
}

function ownBlock(play: Play, member: Member, value: number): void {
  play.blocks.set(value, allocOwned(member, BLOCK_BYTES[play.kind]));
}

function putBlock(play: Play, member: Member, value: number): void {
  ownBlock(play, member, value);
  put(play, member, value);
}

/** The witnesses receive what there is. */
function witness({ world, topic, ledger, patient, hasty }: Play): void {
  const member = enterChannels(world, WITNESS);
  for (const [index, values] of [
    [patient, ledger.patient],
    [hasty, ledger.hasty],
  ] as const) {
    for (;;) {
      const { code, value } = receiveNext(member, topic, index);
      if (code !== OK) {
        assert.ok(code === CHANNEL_EMPTY || code === CHANNEL_OVER, `code ${code}`);
        break;
      }
      values.push(value);
    }
  }
}

/** Somebody does something in slot DEAD, dies before its access `at`, and is recovered. How many accesses it made. */
function dieAt(play: Play, at: number, step: (member: Member) => void): number {
  const trigger = makeTrigger();
  const member = enterChannels(play.world, DEAD, trigger);
  trigger.arm(at, "kill");
  survives(() => step(member));
  assert.equal(enter(play.world, SURVIVOR).recoverSlot(DEAD, 1), OK);
  return trigger.sites.length;
}

const emptyLedger = (): Ledger => ({ sent: [], tried: [], patient: [], hasty: [] });

/** `count` deaths, spread over what somebody does; each is a scenario in which the actor puts right what is left. */
function remains(
  name: string,
  count: number,
  step: (play: Play, member: Member) => void,
  prepare: (play: Play, member: Member) => void = () => undefined,
): Scenario[] {
  return Array.from({ length: count }, (_none, index) => ({
    name: `${name}, ${index + 1} of ${count}`,
    setUp(play, member) {
      prepare(play, member);
      const quiet = { ...play, ledger: emptyLedger() };
      const restore = snapshot(play.world);
      const accesses = dieAt(play, 0, (dead) => step(quiet, dead));
      restore();
      const at = Math.max(1, Math.round(((index + 1) * accesses) / count));
      play.ledger.tried.push(...quiet.ledger.tried);
      dieAt(play, at, (dead) => step({ ...play, ledger: emptyLedger() }, dead));
    },
    run(play, member) {
      const { object } = play.topic;
      assert.equal(
        repeat(member, object, () => member.core.sweepTopic(object)),
        OK,
      );
      witness(play);
      put(play, member, 5);
    },
  }));
}

/** Subscribes, receives what there is, and unsubscribes. */
function visit(play: Play, member: Member, policy: "block" | "drop-oldest" | "disconnect"): void {
  const { topic } = play;
  const index = subscribe(member, topic, policy, true);
  assert.ok(index >= 0);
  while (receiveNext(member, topic, index).code === OK);
  assert.ok(member.core.unsubscribe(topic.object, index) >= 0);
}

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

/** The witnesses receive what is left; then all is as the ledger says, and the topic takes and gives as it should. */
function checkTopic(scenario: Scenario, play: Play, slot: number, isDone: boolean): void {
  const { world, topic, kind } = play;
  const { object } = topic;
  const member = enterChannels(world, slot);
  const view = new DataView(world.memory.buffer);
  if (view.getUint32(object, true) === 0) return;
  assert.equal(
    repeat(member, object, () => member.core.sweepTopic(object)),
    OK,
  );
  witness(play);
  checkLedger(play, isDone);
  if (scenario.isLast !== true) {
    for (let value = 50; value < 56; value++) {
      const values = [...play.ledger.patient, value];
      ownBlock(play, member, value);
      put(play, member, value);
      witness(play);
      assert.deepEqual(play.ledger.patient, values);
    }
  }
  for (const { phase } of readCells(topic)) assert.ok(phase === CELL_FREE || phase === CELL_READY);
  assert.equal(
    repeat(member, object, () => member.core.drainTopic(object)),
    OK,
  );
  const blocks = [...blocksOf(kind, world).entries()].filter(([, { owner }]) => owner !== ACTOR || !isDone);
  assert.deepEqual(
    blocks.map(([handle]) => handle).filter((handle) => !isKept(play, handle)),
    [object],
  );
  checkHeap(kind, world, []);
}

/** Blocks that nobody has published, and whose owner lives. */
function isKept({ blocks, kind, world }: Play, handle: number): boolean {
  const owner = blocksOf(kind, world).get(handle)?.owner;
  return owner !== undefined && owner !== DEAD && [...blocks.values()].includes(handle);
}

function checkLedger({ world, topic, ledger, hasty, patient }: Play, isDone: boolean): void {
  const { sent, tried } = ledger;
  const { core } = enterChannels(world, WITNESS);
  for (const value of ledger.patient) assert.ok(tried.includes(value), `${value} was never published`);
  const committed = ledger.patient.filter((value) => sent.includes(value));
  assert.deepEqual(committed, sent, "every message once, in order");
  assert.equal(new Set(ledger.patient).size, ledger.patient.length);
  const extra = ledger.patient.length - sent.length;
  assert.ok(
    extra <= 1 + (isDone ? 0 : 1),
    `${extra} messages were received that nobody has said to have published`,
  );
  assert.equal(core.subscriberDropped(topic.object, patient), 0);
  const { length } = ledger.hasty.filter((value, at) => at === 0 || value !== ledger.hasty[at - 1]);
  assert.equal(length, ledger.hasty.length);
  const passed = (index: number): number =>
    core.subscriberCount(topic.object, index, E_RECEIVED) +
    core.subscriberCount(topic.object, index, E_SKIPPED) +
    core.subscriberDropped(topic.object, index);
  assert.equal(passed(hasty), passed(patient), "what one has received the other has received, or counted");
  assert.equal(core.subscriberCount(topic.object, hasty, E_RECEIVED), ledger.hasty.length);
}

/** There are many scenarios here, and recovery is much the same after each. */
const RECOVERER_STRIDE = 4;

function sceneOf(kind: HeapKind, scenario: Scenario): CrashScene {
  const world = makeHeap(kind, kind === "slab" ? 6 : 3, 0);
  const actor = enterChannels(world, ACTOR);
  const topic = makeTopic(world, actor.heap, scenario);
  const witnessing = enterChannels(world, WITNESS);
  const patient = subscribe(witnessing, topic, "block");
  const hasty = subscribe(witnessing, topic, "drop-oldest");
  const first: Play = { kind, world, topic, ledger: emptyLedger(), blocks: new Map(), patient, hasty };
  scenario.setUp?.(first, actor);
  const restore = snapshot(world);
  let play = first;
  const begin = (): void => {
    const { sent, tried, patient: one, hasty: other } = first.ledger;
    const ledger = { sent: [...sent], tried: [...tried], patient: [...one], hasty: [...other] };
    play = { ...first, ledger, blocks: new Map(first.blocks) };
  };
  const dead = (isSecond: boolean): readonly number[] => (isSecond ? [ACTOR, SURVIVOR] : [ACTOR]);
  const recoverAll = (core: HeapCore, slots: readonly number[]): void => {
    const left = slots.filter((slot) => core.recoverSlot(slot, 1) === LOCKED);
    for (const slot of left) assert.equal(core.recoverSlot(slot, 1), OK);
  };
  /** What the witnesses have received is told by the memory of the one who judges: each judges what was kept. */
  const judge = (slot: number, isDone: boolean): void => {
    const { ledger } = play;
    const { sent, tried, patient: one, hasty: other } = ledger;
    const copy = { sent: [...sent], tried: [...tried], patient: [...one], hasty: [...other] };
    checkTopic(scenario, { ...play, ledger: copy, blocks: new Map(play.blocks) }, slot, isDone);
  };
  return {
    world,
    restore() {
      restore();
      begin();
    },
    run(trigger, arm) {
      const member = enterChannels(world, ACTOR, trigger);
      arm();
      scenario.run(play, member);
      return 0;
    },
    checkDone: () => judge(SURVIVOR, true),
    recoverers: [SURVIVOR, THIRD],
    recovererStride: RECOVERER_STRIDE,
    recover: (core, isSecond) => recoverAll(core, dead(isSecond)),
    check(isDone, isSecond) {
      checkGone(kind, world, dead(isSecond));
      judge(isSecond ? THIRD : SURVIVOR, isDone);
    },
  };
}

export const topicCases: readonly CrashCase[] = scenarios.flatMap((scenario) =>
  (scenario.heaps ?? (["slab"] as const)).map((kind) => ({
    name: `topic/${kind}/${scenario.name}`,
    prepare: () => sceneOf(kind, scenario),
  })),
);
