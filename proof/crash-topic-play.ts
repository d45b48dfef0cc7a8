/** What the crash cases of topics are made of: what is done in them, and the verdict. See crash-topic.ts. */

import assert from "node:assert/strict";
import { CELL_FREE, CELL_READY, CHANNEL_EMPTY, CHANNEL_OVER } from "../src/layout/channel.ts";
import { LOCKED, OK } from "../src/layout/result.ts";
import { E_RECEIVED, E_SKIPPED } from "../src/layout/topic.ts";
import type { HeapCore } from "../src/region/core.ts";
import { allocOwned, enterChannels, readCells, repeat } from "../test/helpers/channel-world.ts";
import type { Channel, ChannelOptions, Member } from "../test/helpers/channel-world.ts";
import { enter, makeTrigger, snapshot, survives } from "../test/helpers/core-world.ts";
import type { World } from "../test/helpers/core-world.ts";
import { makeTopic, publish, receiveNext, subscribe } from "../test/helpers/topic-world.ts";
import type { CrashScene } from "./crash.ts";
import { blocksOf, checkGone, checkHeap, makeHeap } from "./heaps.ts";
import type { HeapKind } from "./heaps.ts";

export const ACTOR = 0;
export const WITNESS = 1;
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

export interface Play {
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

export interface Scenario extends ChannelOptions {
  readonly name: string;
  readonly heaps?: readonly HeapKind[];
  /** It leaves the topic to its witnesses as it is, ended or no more. */
  readonly isLast?: true;
  setUp?(play: Play, member: Member): void;
  run(play: Play, member: Member): void;
}

/** Publishes message `value`, and notes it. */
export function put(play: Play, member: Member, value: number): void {
  const { topic, ledger, blocks } = play;
  ledger.tried.push(value);
  assert.equal(publish(member, topic, value, blocks.get(value)), OK);
  ledger.sent.push(value);
}

export function ownBlock(play: Play, member: Member, value: number): void {
  play.blocks.set(value, allocOwned(member, BLOCK_BYTES[play.kind]));
}

export function putBlock(play: Play, member: Member, value: number): void {
  ownBlock(play, member, value);
  put(play, member, value);
}

/** The witnesses receive what there is. */
export function witness({ world, topic, ledger, patient, hasty }: Play): void {
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
export function dieAt(play: Play, at: number, step: (member: Member) => void): number {
  const trigger = makeTrigger();
  const member = enterChannels(play.world, DEAD, trigger);
  trigger.arm(at, "kill");
  survives(() => step(member));
  assert.equal(enter(play.world, SURVIVOR).recoverSlot(DEAD, 1), OK);
  return trigger.sites.length;
}

const emptyLedger = (): Ledger => ({ sent: [], tried: [], patient: [], hasty: [] });

/** `count` deaths, spread over what somebody does; each is a scenario in which the actor puts right what is left. */
export function remains(
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
export function visit(play: Play, member: Member, policy: "block" | "drop-oldest" | "disconnect"): void {
  const { topic } = play;
  const index = subscribe(member, topic, policy, true);
  assert.ok(index >= 0);
  while (receiveNext(member, topic, index).code === OK);
  assert.ok(member.core.unsubscribe(topic.object, index) >= 0);
}

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

export function sceneOf(kind: HeapKind, scenario: Scenario): CrashScene {
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
