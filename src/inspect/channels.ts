/** What there is to see of one queue or ring. */

import type { ChannelCore } from "../data/channel/core.ts";
import {
  C_DROPPED,
  C_ENDED,
  C_RECEIVED,
  C_RECEIVE_WAITS,
  C_SEND_WAITS,
  C_SENT,
  C_SETS,
} from "../layout/channel.ts";
import { Y_LIMIT } from "../layout/sync.ts";
import { instantiateModule } from "../region/core.ts";
import { waitersIn } from "./locks.ts";
import { setBytes } from "./look.ts";
import type { Look, Waiter } from "./look.ts";

/** What a channel has counted, by all participants. */
export interface ChannelCounts {
  readonly depth: number;
  readonly capacity: number;
  readonly sent: number;
  readonly received: number;
  readonly dropped: number;
  readonly sendWaits: number;
  readonly receiveWaits: number;
  readonly ended: boolean;
}

const cores = new WeakMap<Look, ChannelCore>();

/** The channels' core, which takes part as nobody. */
function coreOf(look: Look): ChannelCore {
  let core = cores.get(look);
  if (core === undefined) {
    core = instantiateModule<ChannelCore>(look.region.session.overlay.memory, "channel");
    cores.set(look, core);
  }
  return core;
}

interface ChannelFacts {
  readonly state: string;
  readonly holders: readonly never[];
  readonly waiters: readonly Waiter[];
  readonly waits: number;
  readonly channel: ChannelCounts;
}

export function channelFacts(look: Look, object: number, kind: "queue" | "ring"): ChannelFacts {
  const core = coreOf(look);
  const ended = look.word(object + C_ENDED) !== 0;
  const channel = {
    depth: kind === "queue" ? core.queueDepth(object) : core.ringDepth(object),
    capacity: look.word(object + Y_LIMIT),
    sent: core.countOf(object, C_SENT),
    received: core.countOf(object, C_RECEIVED),
    dropped: core.countOf(object, C_DROPPED),
    sendWaits: core.countOf(object, C_SEND_WAITS),
    receiveWaits: core.countOf(object, C_RECEIVE_WAITS),
    ended,
  };
  const receivers = object + C_SETS;
  return {
    state: `${channel.depth} of ${channel.capacity} messages${ended ? ", ended" : ""}`,
    holders: [],
    waiters: [
      ...waitersIn(look, object, receivers, "receives"),
      ...waitersIn(look, object, receivers + setBytes(look), "sends"),
    ],
    waits: channel.sendWaits + channel.receiveWaits,
    channel,
  };
}
