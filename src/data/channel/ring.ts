/** Ring: one producer, one consumer; who sends or receives first is it, until it leaves or resigns. */

import type { Heap } from "../../heap/index.ts";
import { CHANNEL_EMPTY } from "../../layout/channel.ts";
import type { Place } from "../../sync/objects.ts";
import { channelOf } from "./channel.ts";
import type { Channel } from "./channel.ts";
import type { Driver } from "./driver.ts";
import { openLink } from "./link.ts";
import type { ChannelOptions } from "./options.ts";
import { forgetRoom } from "./transfer.ts";

/**
 * A bounded ring: one participant sends, one receives (it may be the same). Who sends or receives first has that end, until it
 * is gone or resigns; others get ERR_SHOAL_TAKEN.
 */
export interface Ring<T = unknown> extends Channel<T> {
  /** This participant is not the producer, and not the consumer, any more. Not while a message is lent. */
  resign(): void;
}

/** Finds or makes a ring. Errors as openObject; ERR_SHOAL_KIND when there is one with other options. */
export function openRing<T = unknown>(heap: Heap, place?: Place, options: ChannelOptions<T> = {}): Ring<T> {
  const link = openLink(heap, "ring", place, options as ChannelOptions<never>);
  const { core, object } = link;
  const driver: Driver = {
    room: () => core.ringRoom(object),
    put: (_cell, block) => core.ringPutBlock(object, block),
    commit: (cell, lengthBytes, isOut) => core.ringSend(object, cell, lengthBytes, isOut),
    cancel: () => 0,
    next: (isLent) => core.ringNextMessage(object, isLent),
    spin: (isLent, looks) => core.ringSpin(object, isLent, looks),
    take: () => core.ringTakeBlock(object),
    received: () => core.ringReceived(object),
    giveBack(_cell) {
      core.ringGiveBack(object);
      return 0;
    },
    depth: () => core.ringDepth(object),
    claimed: () => 0,
    drop: () => CHANNEL_EMPTY,
    isSingle: true,
  };
  return Object.assign(channelOf<T>(link, driver), {
    resign(): void {
      link.region.check();
      forgetRoom(link);
      core.resign(object, 1);
      core.resign(object, 0);
    },
  });
}
