/** What there is to see of one queue, ring or topic. */

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
import { C_SUBSCRIBERS, ENTRY_BLOCK, ENTRY_DISCONNECT, TOPIC_MOST_SUBSCRIBERS } from "../layout/topic.ts";
import { instantiateModule } from "../region/core.ts";
import { waitersIn } from "./locks.ts";
import { setBytes } from "./look.ts";
import type { Look, Party, Waiter } from "./look.ts";

/** What a channel has counted, by all participants. */
export interface ChannelCounts {
  /** Messages that wait to be received; of a topic, by its slowest subscriber. */
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
  /** A topic's subscribers. */
  readonly holders: readonly Party[];
  readonly waiters: readonly Waiter[];
  readonly waits: number;
  readonly channel: ChannelCounts;
}

/** A topic's subscribers, and how far the slowest is behind. */
function subscribersOf(look: Look, core: ChannelCore, object: number): { holders: Party[]; depth: number } {
  const holders: Party[] = [];
  let depth = 0;
  const most = Math.min(look.word(object + C_SUBSCRIBERS), TOPIC_MOST_SUBSCRIBERS);
  for (let index = 0; index < most; index++) {
    const phase = core.subscriberPhase(object, index);
    if (phase < ENTRY_BLOCK || phase > ENTRY_DISCONNECT) continue;
    const lag = core.subscriberLag(object, index);
    depth = Math.max(depth, lag);
    const party = look.party(core.subscriberSlot(object, index));
    if (party !== undefined) holders.push({ ...party, what: `is ${lag} behind` });
  }
  return { holders, depth };
}

type ChannelKind = "queue" | "ring" | "topic";

export function channelFacts(look: Look, object: number, kind: ChannelKind): ChannelFacts {
  const core = coreOf(look);
  const ended = look.word(object + C_ENDED) !== 0;
  const topic = kind === "topic" ? subscribersOf(look, core, object) : undefined;
  const depth = topic?.depth ?? (kind === "queue" ? core.queueDepth(object) : core.ringDepth(object));
  const channel = {
    depth,
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
    state: `${depth} of ${channel.capacity} messages${ended ? ", ended" : ""}`,
    holders: topic?.holders ?? [],
    waiters: [
      ...waitersIn(look, object, receivers, "receives"),
      ...waitersIn(look, object, receivers + setBytes(look), "sends"),
    ],
    waits: channel.sendWaits + channel.receiveWaits,
    channel,
  };
}
