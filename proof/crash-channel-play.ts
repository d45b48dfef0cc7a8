/** What the crash cases of queues and rings are made of: what is done in them, and the verdict. See crash-channel.ts. */

import assert from "node:assert/strict";
import {
  C_DROPPED,
  C_RING_DROPPED,
  CELL_FREE,
  CHANNEL_EMPTY,
  CHANNEL_FULL,
  CHANNEL_OVER,
  CHANNEL_REDELIVER,
  CHANNEL_RING,
} from "../src/layout/channel.ts";
import { LOCKED, OK } from "../src/layout/result.ts";
import type { HeapCore } from "../src/region/core.ts";
import {
  allocOwned,
  countTagged,
  enterChannels,
  makeChannel,
  readCells,
  receive,
  repeat,
  ringReceive,
  ringSend,
  send,
} from "../test/helpers/channel-world.ts";
import type { Channel, ChannelOptions, Member } from "../test/helpers/channel-world.ts";
import { enter, makeTrigger, snapshot, survives } from "../test/helpers/core-world.ts";
import type { World } from "../test/helpers/core-world.ts";
import type { CrashScene } from "./crash.ts";
import { blocksOf, checkGone, checkHeap, makeHeap } from "./heaps.ts";
import type { HeapKind } from "./heaps.ts";

const ACTOR = 0;
const SURVIVOR = 2;
const THIRD = 3;
const DEAD = 4;

/** A message's block. */
const BLOCK_BYTES: Readonly<Record<HeapKind, number>> = { slab: 1024, buddy: 2048, "first-fit": 200 };

/** What has happened to messages, as those who did it were told. */
interface Ledger {
  /** Messages that are in the channel before the actor begins. */
  readonly sent: Set<number>;
  /** Those that the actor has begun to send. */
  readonly tried: Set<number>;
  readonly received: number[];
  /** How many messages those who died before may have received. */
  inHand: number;
}

interface Play {
  readonly kind: HeapKind;
  readonly world: World;
  readonly channel: Channel;
  readonly ledger: Ledger;
  /** Blocks by message. */
  readonly blocks: Map<number, number>;
}

export interface Scenario extends ChannelOptions {
  readonly name: string;
  readonly heaps?: readonly HeapKind[];
  /** As many messages as this leave the channel dropped by what the actor does. */
  readonly drops?: number;
  /** The actor only clears up after others. */
  readonly isSweep?: true;
  setUp?(play: Play, member: Member): void;
  run(play: Play, member: Member): void;
}

const isRing = ({ kind }: ChannelOptions): boolean => kind === CHANNEL_RING;

const emptyLedger = (): Ledger => ({ sent: new Set(), tried: new Set(), received: [], inHand: 0 });

/** Sends message `value`, and notes it. */
export function put(play: Play, member: Member, value: number): void {
  const { channel, ledger, blocks } = play;
  ledger.tried.add(value);
  const code = (isRingChannel(play) ? ringSend : send)(member, channel, value, blocks.get(value));
  assert.equal(code, OK);
  ledger.sent.add(value);
}

export function get(play: Play, member: Member, isLent = 0): void {
  const { channel, ledger } = play;
  const take = isRingChannel(play) ? ringReceive : receive;
  const { code, value } = take(member, channel, isLent, () => undefined);
  assert.equal(code, OK);
  ledger.received.push(value);
}

const rings = new WeakSet<Channel>();
const isRingChannel = ({ channel }: Play): boolean => rings.has(channel);

export function ownBlock(play: Play, member: Member, value: number): void {
  play.blocks.set(value, allocOwned(member, BLOCK_BYTES[play.kind]));
}

/** Somebody does something in slot DEAD, dies before its access `at`, and is recovered. */
export function dieAt(play: Play, at: number, step: (member: Member) => void): boolean {
  const trigger = makeTrigger();
  const member = enterChannels(play.world, DEAD, trigger);
  trigger.arm(at, "kill");
  const isDone = survives(() => step(member));
  assert.equal(enter(play.world, SURVIVOR).recoverSlot(DEAD, 1), OK);
  return !isDone;
}

/** How many accesses it takes to do that. */
function lengthOf(play: Play, step: (member: Member) => void): number {
  const restore = snapshot(play.world);
  const trigger = makeTrigger();
  const member = enterChannels(play.world, DEAD, trigger);
  trigger.arm(0, "kill");
  step(member);
  restore();
  return trigger.sites.length;
}

/** `count` deaths, spread over what somebody does; each is a scenario in which the actor sweeps what is left. */
export function sweeps(
  name: string,
  options: ChannelOptions,
  count: number,
  step: (play: Play, member: Member) => void,
  prepare: (play: Play, member: Member) => void = () => undefined,
): Scenario[] {
  return Array.from({ length: count }, (_none, index) => ({
    ...options,
    name: `${name}, ${index + 1} of ${count}`,
    isSweep: true,
    setUp(play, member) {
      prepare(play, member);
      const quiet = { ...play, ledger: emptyLedger() };
      const setUpOwn = (): void => {
        const dead = enterChannels(play.world, DEAD);
        if (name.includes("sent a block")) ownBlock(play, dead, 9);
      };
      setUpOwn();
      const accesses = lengthOf(play, (dead) => step(quiet, dead));
      const at = Math.max(1, Math.round(((index + 1) * accesses) / count));
      for (const value of quiet.ledger.tried) play.ledger.tried.add(value);
      dieAt(play, at, (dead) => step({ ...play, ledger: emptyLedger() }, dead));
    },
    run(play, member) {
      const { object } = play.channel;
      if (options.kind === CHANNEL_RING) {
        repeat(member, object, () => member.core.ringRoom(object));
        repeat(member, object, () => member.core.ringNextMessage(object, 0));
      } else
        assert.equal(
          repeat(member, object, () => member.core.sweepQueue(object)),
          OK,
        );
    },
  }));
}

/** Lends itself the next message, and ends that. */
export function borrow(play: Play, member: Member): void {
  get(play, member, 1);
}

/** The second of two messages is a block. */
export function twoMessages(play: Play, member: Member): void {
  put(play, member, 1);
  ownBlock(play, member, 2);
  put(play, member, 2);
}

export function blockMessage(play: Play, member: Member): void {
  ownBlock(play, member, 1);
  put(play, member, 1);
}

/** Everybody receives until there is nothing; then the channel takes and gives as many as it should. */
function checkChannel(scenario: Scenario, play: Play, slot: number, isDone: boolean): void {
  const { world, channel, kind } = play;
  const member = enterChannels(world, slot);
  const take = isRing(scenario) ? ringReceive : receive;
  const { object } = channel;
  if (new DataView(world.memory.buffer).getUint32(object, true) === 0) return;
  if (isRing(scenario)) repeat(member, object, () => member.core.ringRoom(object));
  else
    assert.equal(
      repeat(member, object, () => member.core.sweepQueue(object)),
      OK,
    );
  const survivors = drain(scenario, play, member);
  checkLedger(scenario, play, survivors, isDone);
  const view = new DataView(world.memory.buffer);
  const isOver = view.getUint32(object + 36, true) !== 0;
  if (!isOver) {
    const again = isRing(scenario) ? ringSend : send;
    for (let value = 50; value < 50 + channel.capacity; value++)
      assert.equal(again(member, channel, value), OK);
    assert.equal(again(member, channel, 99), CHANNEL_FULL);
    for (let value = 50; value < 50 + channel.capacity; value++)
      assert.deepEqual(take(member, channel), { code: OK, value });
    assert.equal(take(member, channel).code, CHANNEL_EMPTY);
  }
  if (!isRing(scenario))
    for (const { phase, block } of readCells(channel)) assert.deepEqual([phase, block], [CELL_FREE, 0]);
  const blocks = [...blocksOf(kind, world).entries()].filter(([, { owner }]) => owner !== ACTOR || !isDone);
  assert.deepEqual(
    blocks.map(([handle]) => handle).filter((handle) => !isKept(play, handle)),
    [object],
  );
  checkHeap(kind, world, []);
}

/** Blocks that nobody has sent, and whose owner lives. */
function isKept({ blocks, kind, world }: Play, handle: number): boolean {
  const owner = blocksOf(kind, world).get(handle)?.owner;
  return owner !== undefined && owner !== DEAD && [...blocks.values()].includes(handle);
}

function droppedOf(scenario: Scenario, channel: Channel): number {
  const view = new DataView(channel.world.memory.buffer);
  if (isRing(scenario)) return view.getUint32(channel.headSide + C_RING_DROPPED, true);
  return countTagged(channel, C_DROPPED);
}

/** Receives all there is. */
function drain(scenario: Scenario, { channel }: Play, member: Member): number[] {
  const take = isRing(scenario) ? ringReceive : receive;
  const values: number[] = [];
  for (;;) {
    const { code, value } = take(member, channel);
    if (code !== OK) {
      assert.ok(code === CHANNEL_EMPTY || code === CHANNEL_OVER, `code ${code}`);
      return values;
    }
    values.push(value);
  }
}

function checkLedger(scenario: Scenario, play: Play, survivors: readonly number[], isDone: boolean): void {
  const { channel, ledger } = play;
  const all = [...ledger.received, ...survivors];
  assert.equal(new Set(all).size, all.length, `received twice: ${all.join(" ")}`);
  for (const value of all) assert.ok(ledger.tried.has(value), `${value} was never sent`);
  const missing = [...ledger.sent].filter((value) => !all.includes(value));
  const dropped = droppedOf(scenario, channel);
  const lost = missing.length - dropped;
  const message = `${missing.length} missing, ${dropped} counted as dropped, ${ledger.inHand} received by the dead`;
  if (scenario.isSweep === true) assert.equal(lost, ledger.inHand, message);
  // What the dead one had in its hands it may have received.
  else assert.ok(lost >= 0 && lost <= (isDone ? 0 : 1), message);
  assert.ok(dropped <= (scenario.drops ?? 1), `${dropped} dropped`);
  if (scenario.flags === CHANNEL_REDELIVER) assert.equal(dropped, 0);
  assert.deepEqual(
    survivors,
    survivors.toSorted((one, other) => one - other),
    "in their order",
  );
}

export function sceneOf(kind: HeapKind, scenario: Scenario): CrashScene {
  const world = makeHeap(kind, kind === "slab" ? 5 : 3, 0);
  const actor = enterChannels(world, ACTOR);
  const channel = makeChannel(world, actor.heap, scenario);
  if (isRing(scenario)) rings.add(channel);
  const first: Play = { kind, world, channel, ledger: emptyLedger(), blocks: new Map() };
  scenario.setUp?.(first, actor);
  const restore = snapshot(world);
  if (scenario.isSweep === true) {
    // How many messages those who died in the set-up had received: what comes after must not change that.
    assert.equal(actor.heap.recoverSlot(ACTOR, 1), OK);
    const found = drain(scenario, first, enterChannels(world, SURVIVOR));
    first.ledger.inHand =
      [...first.ledger.sent].filter((value) => !found.includes(value)).length - droppedOf(scenario, channel);
    restore();
  }
  let play = first;
  const begin = (): void => {
    const { sent, tried, received, inHand } = first.ledger;
    play = {
      ...first,
      ledger: { sent: new Set(sent), tried: new Set(tried), received: [...received], inHand },
    };
  };
  const dead = (isSecond: boolean): readonly number[] => (isSecond ? [ACTOR, SURVIVOR] : [ACTOR]);
  const recoverAll = (core: HeapCore, slots: readonly number[]): void => {
    const left = slots.filter((slot) => core.recoverSlot(slot, 1) === LOCKED);
    for (const slot of left) assert.equal(core.recoverSlot(slot, 1), OK);
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
    checkDone: () => checkChannel(scenario, play, isRing(scenario) ? ACTOR : SURVIVOR, true),
    recoverers: [SURVIVOR, THIRD],
    recover: (core, isSecond) => recoverAll(core, dead(isSecond)),
    check(isDone, isSecond) {
      checkGone(kind, world, dead(isSecond));
      checkChannel(scenario, play, isSecond ? THIRD : SURVIVOR, isDone);
    },
  };
}
