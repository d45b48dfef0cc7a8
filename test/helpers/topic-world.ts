/** Topics in a heap without files or processes, as channel-world.ts has queues and rings. */

import assert from "node:assert/strict";
import { CELL_DATA, CELL_OUT } from "../../src/layout/channel.ts";
import { OK } from "../../src/layout/result.ts";
import {
  CHANNEL_TOPIC,
  ENTRY_BLOCK,
  ENTRY_DISCONNECT,
  ENTRY_DROP_OLDEST,
  TOPIC_OLD_BLOCK,
} from "../../src/layout/topic.ts";
import {
  cellIn,
  isCode,
  makeChannel,
  readMessage,
  repeat,
  withStorage,
  writeMessage,
} from "./channel-world.ts";
import type { Channel, ChannelOptions, Member, Received } from "./channel-world.ts";
import type { World } from "./core-world.ts";
import type { HeapCore } from "../../src/region/core.ts";

export const policies = {
  block: ENTRY_BLOCK,
  "drop-oldest": ENTRY_DROP_OLDEST,
  disconnect: ENTRY_DISCONNECT,
} as const;

export type Policy = keyof typeof policies;

/** A topic in a block of the heap; by default with two cells and room for four subscribers. */
export function makeTopic(world: World, heap: HeapCore, options: ChannelOptions = {}): Channel {
  return makeChannel(world, heap, { subscribers: 4, history: 1, ...options, kind: CHANNEL_TOPIC });
}

/** Becomes a subscriber; the index of its entry, or minus a code. */
export function subscribe(member: Member, topic: Channel, policy: Policy, isFromHistory = false): number {
  const { core } = member;
  const { object } = topic;
  let index = -1;
  const code = repeat(member, object, () => {
    index = core.subscribe(object, policies[policy], isFromHistory ? 1 : 0);
    return index < 0 ? -index : OK;
  });
  return code === OK ? index : -code;
}

/** Publishes a number; from a block, which is then the topic's. The code, 0 = published. */
export function publish(member: Member, topic: Channel, value: number, block = 0): number {
  const { core, heap } = member;
  const { object, world } = topic;
  const claimed = repeat(member, object, () => core.claimPublish(object));
  if (isCode(claimed)) return claimed;
  const cell = cellIn(claimed);
  if ((claimed & TOPIC_OLD_BLOCK) !== 0) {
    const code = withStorage(member, () => core.takeOldBlock(object, cell));
    if (code !== OK) return code;
    const old = core.errorDetail() >>> 0;
    if (old !== 0) assert.equal(heap.free(old), OK);
  }
  writeMessage(world, block === 0 ? cell + CELL_DATA : block, value);
  if (block !== 0) {
    const code = withStorage(member, () => core.putMessageBlock(object, cell, block));
    if (code !== OK) return code;
  }
  const result = core.commitPublish(object, cell, 4);
  return result < 0 ? -result : OK;
}

/** Receives a number; `use` is called between copying it and finding out whether it is the message. */
export function receiveNext(
  member: Member,
  topic: Channel,
  index: number,
  use: () => void = () => undefined,
): Received {
  const { core } = member;
  const { object } = topic;
  const cell = repeat(member, object, () => core.nextMessage(object, index));
  if (isCode(cell)) return { code: cell >>> 0, value: 0 };
  const length = core.messageLength(object, cell) >>> 0;
  assert.ok(core.isThere(object, index) !== 0, "the message is there");
  assert.equal(length & ~CELL_OUT, 4);
  const value = readMessage(topic, cell);
  use();
  const result = core.passMessage(object, index);
  return { code: result < 0 ? -result : OK, value };
}
