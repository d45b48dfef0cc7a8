/**
 * Topics against a model: random operations by several participants, one after the other, each of which must tell what the model
 * says; and topics with damaged words, which must not make anybody hang, or touch what is not theirs.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CHANNEL_EMPTY, CHANNEL_FULL } from "../../src/layout/channel.ts";
import { OK } from "../../src/layout/result.ts";
import { E_RECEIVED, E_SKIPPED, TOPIC_CROWDED, TOPIC_DISCONNECTED } from "../../src/layout/topic.ts";
import { makeHeap } from "../../proof/heaps.ts";
import { allocOwned, cellIn, enterChannels, isCode, repeat, withStorage } from "../helpers/channel-world.ts";
import type { Channel, Member } from "../helpers/channel-world.ts";
import { snapshot } from "../helpers/core-world.ts";
import { makeTopic, policies, publish, receiveNext, subscribe } from "../helpers/topic-world.ts";
import type { Policy } from "../helpers/topic-world.ts";

const NAMES = Object.keys(policies) as Policy[];
const SUBSCRIBERS = 3;
const CAPACITY = 4;
const HISTORY = 2;

/** Pseudorandom numbers below `limit`. */
function randomOf(seed: number): (limit: number) => number {
  let state = seed * 2654435761 + 1;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

interface ModelSubscriber {
  readonly policy: Policy;
  readonly owner: Member;
  position: number;
  received: number;
  skipped: number;
  dropped: number;
  isCut: boolean;
}

/** What was published, in order; undefined: given up. */
type Log = (number | undefined)[];

/** Whether the next message may be published; disconnects who is in the way. */
function mayPublish(log: Log, subscribers: readonly (ModelSubscriber | undefined)[]): boolean {
  for (const one of subscribers) {
    if (one === undefined || one.isCut || one.position > log.length - CAPACITY) continue;
    if (one.policy === "block") return false;
    if (one.policy === "disconnect") one.isCut = true;
  }
  return true;
}

/** What the subscriber is told: a message, or a code below 0. */
function expected(log: Log, one: ModelSubscriber): number {
  if (one.isCut) return -TOPIC_DISCONNECTED;
  const oldest = log.length - CAPACITY;
  if (one.position < oldest) {
    one.dropped += oldest - one.position;
    one.position = oldest;
  }
  while (one.position < log.length && log[one.position] === undefined) {
    one.skipped++;
    one.position++;
  }
  const value = log[one.position];
  if (value === undefined) return -CHANNEL_EMPTY;
  one.position++;
  one.received++;
  return value;
}

function play(seed: number): void {
  const random = randomOf(seed);
  const world = makeHeap("slab", 6, 0);
  const members = [0, 1, 2].map((slot) => enterChannels(world, slot));
  const topic = makeTopic(world, members[0]!.heap, {
    capacity: CAPACITY,
    history: HISTORY,
    subscribers: SUBSCRIBERS,
  });
  const { object } = topic;
  const log: Log = [];
  const subscribers: (ModelSubscriber | undefined)[] = Array.from({ length: SUBSCRIBERS }, () => undefined);
  for (let step = 0; step < 150; step++) {
    const member = members[random(3)]!;
    const index = random(SUBSCRIBERS);
    const one = subscribers[index];
    const what = random(10);
    const where = `seed ${seed}, step ${step}`;
    if (what < 4) {
      const block = random(3) === 0 ? allocOwned(member, 1024) : 0;
      const code = publish(member, topic, 1000 + step, block);
      const isDue = mayPublish(log, subscribers);
      assert.equal(code, isDue ? OK : CHANNEL_FULL, where);
      if (isDue) log.push(1000 + step);
      else if (block !== 0) assert.equal(member.heap.free(block), OK);
    } else if (what === 4) {
      const cell = repeat(member, object, () => member.core.claimPublish(object));
      assert.equal(!isCode(cell), mayPublish(log, subscribers), where);
      if (isCode(cell)) continue;
      assert.ok(member.core.cancelPublish(object, cellIn(cell)) >= 0);
      log.push(undefined);
    } else if (what === 5 && one !== undefined) {
      assert.ok(one.owner.core.unsubscribe(object, index) >= 0, where);
      subscribers[index] = undefined;
    } else if (what === 6) {
      const policy = NAMES[random(3)]!;
      const isFromHistory = random(2) === 1;
      const free = subscribers.indexOf(undefined);
      assert.equal(subscribe(member, topic, policy, isFromHistory), free < 0 ? -TOPIC_CROWDED : free, where);
      if (free < 0) continue;
      const position = isFromHistory ? Math.max(0, log.length - HISTORY) : log.length;
      subscribers[free] = {
        policy,
        owner: member,
        position,
        received: 0,
        skipped: 0,
        dropped: 0,
        isCut: false,
      };
    } else if (one !== undefined) {
      const { code, value } = receiveNext(one.owner, topic, index);
      assert.equal(code === OK ? value : -code, expected(log, one), where);
      const { core } = member;
      assert.equal(core.subscriberCount(object, index, E_RECEIVED), one.received, where);
      assert.equal(core.subscriberCount(object, index, E_SKIPPED), one.skipped, where);
      assert.equal(core.subscriberDropped(object, index), one.dropped, where);
      if (!one.isCut) assert.equal(core.subscriberLag(object, index), log.length - one.position, where);
    }
  }
}

test("a topic does what its model does, whatever is done with it", () => {
  for (let seed = 1; seed <= 300; seed++) play(seed);
});

/** Tries everything; what a damaged topic answers does not matter, but that it does. Whether something was published. */
function tryAll(member: Member, topic: Channel, index: number): boolean {
  const { core } = member;
  const { object } = topic;
  let isPublished = false;
  const attempt = (step: () => unknown): void => {
    try {
      step();
    } catch (error) {
      const isHang = error instanceof Error && /has no end/.test(error.message);
      // The helpers' own assertions speak of what is told; a trap is the core's.
      if (isHang || error instanceof WebAssembly.RuntimeError || error instanceof RangeError) throw error;
    }
  };
  for (let round = 0; round < 8; round++) {
    attempt(() => {
      const cell = repeat(member, object, () => core.claimPublish(object));
      if (isCode(cell)) return;
      withStorage(member, () => core.takeOldBlock(object, cellIn(cell)));
      isPublished ||= core.commitPublish(object, cellIn(cell), 4) >= 0;
    });
    attempt(() => {
      const cell = repeat(member, object, () => core.nextMessage(object, index));
      if (isCode(cell)) return;
      core.messageLength(object, cell);
      core.isThere(object, index);
      core.passMessage(object, index);
    });
    attempt(() => core.unsubscribe(object, subscribe(member, topic, NAMES[round % 3]!, true)));
    core.subscriberLag(object, index);
    core.subscriberDropped(object, index);
    core.subscriberSlot(object, index);
  }
  attempt(() => repeat(member, object, () => core.sweepTopic(object)));
  return isPublished;
}

test("damaged words of a topic make nobody hang, or trap", (t) => {
  const world = makeHeap("slab", 6, 0);
  const first = enterChannels(world, 0);
  const topic = makeTopic(world, first.heap, { capacity: CAPACITY, history: HISTORY });
  const index = subscribe(first, topic, "block");
  const hasty = subscribe(enterChannels(world, 1), topic, "drop-oldest");
  for (let value = 1; value <= 6; value++) {
    assert.equal(publish(first, topic, value, value % 2 === 0 ? allocOwned(first, 1024) : 0), OK);
    assert.equal(receiveNext(first, topic, index).code, OK);
  }
  const restore = snapshot(world);
  const random = randomOf(7);
  let recovered = 0;
  const rounds = 3000;
  for (let round = 0; round < rounds; round++) {
    restore();
    const bytes = new Uint8Array(world.memory.buffer, topic.object, topic.sizeBytes);
    const at = random(topic.sizeBytes);
    bytes[at]! ^= 1 << random(8);
    let isPublished = false;
    for (const [slot, entry] of [
      [0, index],
      [1, hasty],
      [2, index],
    ] as const)
      isPublished = tryAll(enterChannels(world, slot), topic, entry) || isPublished;
    if (isPublished) recovered++;
  }
  t.diagnostic(`${recovered} of ${rounds} went on`);
  assert.ok(recovered > rounds / 2);
});
