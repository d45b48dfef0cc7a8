/** Queue: many senders, many receivers. */

import type { Heap } from "../../heap/index.ts";
import type { Place } from "../../sync/objects.ts";
import { channelOf } from "./channel.ts";
import type { Channel } from "./channel.ts";
import type { Driver } from "./driver.ts";
import { openLink } from "./link.ts";
import type { ChannelOptions } from "./options.ts";

/** A bounded queue: any number of participants send, any number receive; each message is received by one. */
export type Queue<T = unknown> = Channel<T>;

/** Finds or makes a queue. Errors as openObject; ERR_SHOAL_KIND when there is one with other options. */
export function openQueue<T = unknown>(heap: Heap, place?: Place, options: ChannelOptions<T> = {}): Queue<T> {
  const link = openLink(heap, "queue", place, options as ChannelOptions<never>);
  const { core, object } = link;
  const driver: Driver = {
    room: () => core.claimSend(object),
    put: (cell, block) => core.putBlock(object, cell, block),
    commit: (cell, lengthBytes) => core.commitSend(object, cell, lengthBytes),
    cancel: (cell) => core.cancelSend(object, cell),
    next: (isLent) => core.claimReceive(object, isLent),
    spin: (isLent, looks) => core.spinReceive(object, isLent, looks),
    take: (cell) => core.takeBlock(object, cell),
    received: (cell) => core.endReceive(object, cell),
    giveBack: (cell) => core.giveBack(object, cell),
    depth: () => core.queueDepth(object),
    claimed: () => core.queueClaimed(object),
    drop: () => core.dropNext(object),
    isSingle: false,
  };
  return channelOf<T>(link, driver);
}
