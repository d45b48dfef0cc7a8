/**
 * Two or three participants on one topic, in every order of their accesses, and with one of them dying at the states on the way.
 *
 * A message is told by its length: 1 for the first, 2 for the second. What a subscriber was told is held against what a
 * subscriber finds that was there before and that publishers wait for: that one must find all that was committed, in order; the
 * racing ones a part of it, in the same order, and know how much is missing.
 */

import assert from "node:assert/strict";
import type { ChannelCore } from "../src/data/channel/core.ts";
import { CELL_OUT, CHANNEL_AGAIN, CHANNEL_EMPTY, CHANNEL_FULL } from "../src/layout/channel.ts";
import { OK } from "../src/layout/result.ts";
import { E_RECEIVED, E_SKIPPED, TOPIC_DISCONNECTED, TOPIC_OVERTAKEN } from "../src/layout/topic.ts";
import { cellIn, enterChannels, isCode, repeat } from "../test/helpers/channel-world.ts";
import type { Channel, Member } from "../test/helpers/channel-world.ts";
import { enter } from "../test/helpers/core-world.ts";
import { makeTopic, policies, subscribe } from "../test/helpers/topic-world.ts";
import type { Policy } from "../test/helpers/topic-world.ts";
import { JUDGE, recoverAll, stageChannel } from "./channel-stage.ts";
import type { Position } from "./coroutine.ts";
import { makeHeap } from "./heaps.ts";
import type { Contest, Stage } from "./stage.ts";

/** Who publishes before the race and is there after it; and who is gone when it begins. */
const WITNESS = 3;
const GONE = 4;

type Part =
  | { readonly kind: "publish" | "cancel"; readonly value: number }
  | { readonly kind: "receive" }
  | { readonly kind: "join"; readonly policy: Policy }
  | { readonly kind: "leave" };

interface TopicRace {
  readonly name: string;
  readonly capacity?: number;
  /** Messages that are there. */
  readonly present?: number;
  /** Whether somebody waits for the end to receive all; then the topic may be full. */
  readonly hasWitness?: true;
  /** Subscribers from before: participants by policy. */
  readonly members?: Readonly<Record<number, Policy>>;
  /** Somebody is gone who had claimed the next cell, or was a subscriber in the way. */
  readonly gone?: "publisher" | "subscriber";
  readonly parts: readonly (readonly Part[])[];
}

const publishes = (value: number): Part => ({ kind: "publish", value });
const receives: Part = { kind: "receive" };
const joins = (policy: Policy): Part => ({ kind: "join", policy });

const eachPolicy = (make: (policy: Policy) => TopicRace): TopicRace[] =>
  (Object.keys(policies) as Policy[]).map(make);

const races: readonly TopicRace[] = [
  { name: "two publish", hasWitness: true, capacity: 4, parts: [[publishes(11)], [publishes(12)]] },
  {
    name: "two publish where there is room for one",
    hasWitness: true,
    present: 1,
    parts: [[publishes(11)], [publishes(12)]],
  },
  { name: "two publish over what is there", present: 2, parts: [[publishes(11)], [publishes(12)]] },
  {
    name: "one gives up, one publishes",
    hasWitness: true,
    parts: [[{ kind: "cancel", value: 11 }], [publishes(12)]],
  },
  ...eachPolicy((policy) => ({
    name: `one publishes, one receives (${policy})`,
    members: { 1: policy },
    present: 1,
    parts: [
      [publishes(11), publishes(12)],
      [receives, receives],
    ],
  })),
  ...eachPolicy((policy) => ({
    name: `one publishes over what another receives (${policy})`,
    members: { 1: policy },
    present: 2,
    parts: [[publishes(11)], [receives, receives]],
  })),
  ...eachPolicy((policy) => ({
    name: `one publishes, one subscribes and receives (${policy})`,
    present: 2,
    parts: [
      [publishes(11), publishes(12)],
      [joins(policy), receives],
    ],
  })),
  {
    name: "two publish, one subscribes",
    present: 2,
    parts: [[publishes(11)], [publishes(12)], [joins("block"), receives]],
  },
  {
    name: "one publishes, one leaves",
    members: { 1: "block" },
    present: 2,
    parts: [[publishes(11)], [{ kind: "leave" }]],
  },
  {
    name: "two subscribe in one's place who is gone",
    gone: "subscriber",
    parts: [[joins("block")], [joins("block")]],
  },
  {
    name: "one publishes, one subscribes, after a subscriber is gone",
    gone: "subscriber",
    present: 2,
    parts: [[publishes(11)], [joins("disconnect"), receives]],
  },
  {
    name: "one publishes, one receives, after a publisher is gone",
    gone: "publisher",
    hasWitness: true,
    members: { 1: "block" },
    parts: [[publishes(11)], [receives]],
  },
];

/** The calls of a part, in terms of the core: nothing else may be done in a program. `index`: of its entry. */
function run(core: ChannelCore, object: number, part: Part, index: number): number {
  if (part.kind === "publish" || part.kind === "cancel") {
    const cell = core.claimPublish(object);
    if (isCode(cell)) return index;
    if (part.kind === "cancel") core.cancelPublish(object, cellIn(cell));
    else core.commitPublish(object, cellIn(cell), part.value);
    return index;
  }
  if (part.kind === "join") return core.subscribe(object, policies[part.policy], 1);
  if (part.kind === "leave") {
    core.unsubscribe(object, index);
    return -1;
  }
  const cell = core.nextMessage(object, index);
  if (isCode(cell)) return index;
  core.messageLength(object, cell);
  core.passMessage(object, index);
  return index;
}

interface Told {
  readonly published: number[];
  readonly tried: number[];
  readonly received: number[];
  /** Of its entry; -1: it has none. */
  index: number;
}

/** What the results of the parts' calls say. */
function toldOf(parts: readonly Part[], { results }: Position, index: number): Told {
  const told: Told = { published: [], tried: [], received: [], index };
  let at = 0;
  for (const part of parts) {
    if (part.kind === "publish") told.tried.push(part.value);
    const first = results[at++];
    if (first === undefined) break;
    if (part.kind === "join" || part.kind === "leave") {
      told.index = part.kind === "join" ? Math.max(first, -1) : -1;
      // Its caller would call again.
      const isAgain = first === -CHANNEL_AGAIN;
      assert.ok(first >= 0 || isAgain, `${part.kind}: code ${-first}`);
      continue;
    }
    if (isCode(first)) continue;
    const second = results[at++];
    if (second === undefined) break;
    if (part.kind !== "receive") {
      assert.ok(second >= 0, `${part.kind}: code ${-second}`);
      if (part.kind === "publish") told.published.push(part.value);
      continue;
    }
    const third = results[at++];
    if (third === undefined) break;
    assert.ok(third >= 0 || third === -TOPIC_OVERTAKEN, `receive: code ${-third}`);
    if (third >= 0) told.received.push(second & ~CELL_OUT);
  }
  return told;
}

/** Receives all there is. */
function drain({ core, ...rest }: Member, topic: Channel, index: number): number[] {
  const { object } = topic;
  const member = { core, ...rest };
  const values: number[] = [];
  for (;;) {
    const cell = repeat(member, object, () => core.nextMessage(object, index));
    if (cell === CHANNEL_EMPTY || cell === TOPIC_DISCONNECTED) return values;
    assert.ok(!isCode(cell), `code ${cell}`);
    values.push(core.messageLength(object, cell));
    assert.ok(core.passMessage(object, index) >= 0);
  }
}

interface Judged {
  readonly race: TopicRace;
  readonly topic: Channel;
  readonly witness: number;
  readonly indexes: Readonly<Record<number, number>>;
}

/** Whether `part` comes in `whole` in this order, perhaps with others in between. */
function isWithin(part: readonly number[], whole: readonly number[]): boolean {
  let at = 0;
  for (const value of whole) if (value === part[at]) at++;
  return at === part.length;
}

/** Everybody has ended, or died. Destroys the topic. */
function judge({ race, topic, witness, indexes }: Judged, positions: readonly Position[]): void {
  for (const { failure } of positions) if (failure !== undefined) throw failure;
  const { world, object } = topic;
  const dead = positions.flatMap(({ isDone }, index) => (isDone ? [] : [index]));
  const told = positions.map((one, slot) => toldOf(race.parts[slot]!, one, indexes[slot] ?? -1));
  recoverAll(world, dead);
  const judging = enterChannels(world, JUDGE);
  assert.equal(
    repeat(judging, object, () => judging.core.sweepTopic(object)),
    OK,
  );
  const published = told.flatMap((one) => one.published);
  const tried = told.flatMap((one) => one.tried);
  const present = Array.from({ length: race.present ?? 0 }, (_none, at) => at + 1);
  // Of those who died some may have published what they were not told of.
  let all: number[] | undefined;
  if (race.hasWitness === true) {
    all = drain(enterChannels(world, WITNESS), topic, witness);
    assert.ok(isWithin(present, all), `of ${present.join()} there is ${all.join()}`);
    for (const value of published)
      assert.equal(all.filter((one) => one === value).length, 1, `${value} once`);
    for (const value of all) assert.ok(present.includes(value) || tried.includes(value), `${value}`);
    assert.ok(all.length <= present.length + published.length + dead.length);
    for (const { published: own } of told) assert.ok(isWithin(own, all), "each publisher's in its order");
  }
  for (const [slot, { index, received }] of told.entries()) {
    if (dead.includes(slot) || index < 0) continue;
    const member = enterChannels(world, slot);
    const policy = race.members?.[slot] ?? race.parts[slot]!.find((part) => part.kind === "join")?.policy;
    const values = [...received, ...drain(member, topic, index)];
    assert.equal(new Set(values).size, values.length, `${values.join()}: none twice`);
    for (const value of values)
      assert.ok(present.includes(value) || tried.includes(value), `${value} was published`);
    if (all !== undefined) assert.ok(isWithin(values, all), `${values.join()} within ${all.join()}`);
    const { core } = member;
    const dropped = core.subscriberDropped(object, index);
    const counted =
      core.subscriberCount(object, index, E_RECEIVED) + core.subscriberCount(object, index, E_SKIPPED);
    assert.equal(core.subscriberCount(object, index, E_RECEIVED), values.length);
    if (policy === "block") assert.equal(dropped, 0, "nobody overtakes one that they wait for");
    const mine = race.members?.[slot];
    if (mine === "block" || mine === "drop-oldest") {
      const expected = present.length + published.length;
      const most = expected + dead.length + (race.gone === "publisher" ? 1 : 0);
      assert.ok(
        counted + dropped >= expected && counted + dropped <= most,
        `${counted} + ${dropped} of ${expected}`,
      );
      if (mine === "block")
        for (const value of published) assert.ok(values.includes(value), `${value} is missing`);
    }
    core.unsubscribe(object, index);
  }
  if (race.hasWitness === true) enterChannels(world, WITNESS).core.unsubscribe(object, witness);
  checkUse(judging, topic);
}

/** With nobody in the way it takes and gives as it should. */
function checkUse(member: Member, topic: Channel): void {
  const { core } = member;
  const { object, capacity } = topic;
  const index = subscribe(member, topic, "block");
  for (let round = 0; round < 2; round++) {
    for (let value = 21; value < 21 + capacity; value++) {
      const cell = repeat(member, object, () => core.claimPublish(object));
      assert.ok(!isCode(cell), `code ${cell}`);
      assert.ok(core.commitPublish(object, cellIn(cell), value) >= 0);
    }
    assert.equal(core.claimPublish(object), CHANNEL_FULL);
    assert.deepEqual(
      drain(member, topic, index),
      Array.from({ length: capacity }, (_none, at) => 21 + at),
    );
  }
}

function prepare(race: TopicRace): Stage {
  const world = makeHeap("slab", 2, 0);
  const witnessing = enterChannels(world, WITNESS);
  const topic = makeTopic(world, witnessing.heap, { capacity: race.capacity ?? 2 });
  const { object } = topic;
  const { core } = witnessing;
  const witness = race.hasWitness === true ? subscribe(witnessing, topic, "block") : -1;
  const indexes: Record<number, number> = {};
  for (const [slot, policy] of Object.entries(race.members ?? {}))
    indexes[Number(slot)] = subscribe(enterChannels(world, Number(slot)), topic, policy);
  if (race.gone === "subscriber") subscribe(enterChannels(world, GONE), topic, "block");
  for (let value = 1; value <= (race.present ?? 0); value++)
    assert.ok(core.commitPublish(object, cellIn(core.claimPublish(object)), value) >= 0);
  if (race.gone === "publisher") assert.ok(!isCode(enterChannels(world, GONE).core.claimPublish(object)));
  if (race.gone !== undefined) assert.equal(enter(world, JUDGE).recoverSlot(GONE, 1), OK);
  const judged: Judged = { race, topic, witness, indexes };
  return stageChannel(
    world,
    race.parts.map((parts, slot) => (own) => {
      let index = indexes[slot] ?? -1;
      for (const part of parts) index = run(own, object, part, index);
    }),
    (positions) => judge(judged, positions),
  );
}

export const topicContests: readonly Contest[] = races.map((race) => ({
  name: `topic/${race.name}`,
  prepare: () => prepare(race),
}));
