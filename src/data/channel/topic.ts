/** Topic: many publishers, and every subscriber gets every message (core/topic.ts). */

import { asHandle } from "../../heap/index.ts";
import type { Handle, Heap } from "../../heap/index.ts";
import {
  C_DROPPED,
  C_RECEIVED,
  C_RECEIVE_WAITS,
  C_SEND_WAITS,
  C_SENT,
  C_SKIPPED,
  CHANNEL_EMPTY,
  CHANNEL_LAST_CODE,
  RING_RECEIVERS,
  RING_SENDERS,
} from "../../layout/channel.ts";
import { OK } from "../../layout/result.ts";
import { C_DISCONNECTED, C_HISTORY, TOPIC_MOST_SUBSCRIBERS, TOPIC_OLD_BLOCK } from "../../layout/topic.ts";
import type { Place } from "../../sync/objects.ts";
import { timedOut } from "../../sync/wait.ts";
import type { AwaitOptions } from "../../sync/wait.ts";
import { makeWaits } from "./waits.ts";
import type { SyncOptions } from "./waits.ts";
import type { Codec, CodecName } from "./codec.ts";
import { destroyChannel } from "./destroy.ts";
import type { Driver } from "./driver.ts";
import { openLink } from "./link.ts";
import type { Link, TopicTable } from "./link.ts";
import type { Loan } from "./loan.ts";
import { capacityFor, checkNumber, DEFAULT_CAPACITY, differs } from "./options.ts";
import type { ChannelOptions } from "./options.ts";
import { openSubscription, subscriberStats } from "./subscription.ts";
import type { SubscribeOptions, SubscriberStats, Subscription } from "./subscription.ts";
import { transferOf } from "./transfer.ts";
import { withGetters } from "../../sync/getters.ts";

/** How a topic is made. Of one that there is already, only what is named is compared: ERR_SHOAL_KIND if it differs. */
export interface TopicOptions<T = unknown> {
  /** How many messages it has room for, rounded up to a power of two; 2 to 262,144. Default 1024. */
  readonly capacity?: number;
  /** Room for a message in the topic itself; larger ones get a block of their own. Default 256. */
  readonly messageBytes?: number;
  /** With how many of the last messages a late subscriber begins: less than the capacity. Default 0. */
  readonly history?: number;
  /** Room for so many subscribers. Default 64. */
  readonly subscribers?: number;
  /** Default "json". */
  readonly codec?: CodecName | Codec<T>;
}

/** A topic's counts since it was made, by all participants; rates since the last call of stats() here. */
export interface TopicStats {
  /** Messages that the slowest subscriber has yet to receive. */
  readonly depth: number;
  readonly capacity: number;
  readonly published: number;
  /** By all subscribers together. */
  readonly received: number;
  /** Overwritten before their subscribers came to them, counted for each of these. */
  readonly dropped: number;
  /** Messages that somebody had begun to write who died, or gave them up. */
  readonly skipped: number;
  /** Subscribers that were disconnected. */
  readonly disconnected: number;
  readonly publishWaits: number;
  readonly receiveWaits: number;
  readonly publishedPerSecond: number;
  readonly receivedPerSecond: number;
  readonly subscribers: readonly SubscriberStats[];
}

/** Messages for everybody who subscribes. It outlives everyone, until it is destroyed. */
export interface Topic<T = unknown> {
  readonly handle: Handle;
  /** Whether this call has made it. */
  readonly created: boolean;
  readonly capacity: number;
  readonly messageBytes: number;
  readonly history: number;
  /** The codec's name. */
  readonly codec: string;
  /** Nothing more is published. */
  readonly ended: boolean;
  /**
   * Publishes a message; waits as long as a subscriber with policy "block" is a whole topic behind.
   *
   * @throws (rejects) ERR_SHOAL_ENDED, ERR_SHOAL_TIMEOUT, ERR_SHOAL_ABORTED, ERR_SHOAL_CODEC, ERR_SHOAL_NOT_FOUND (the topic was
   *   destroyed), ERR_SHOAL_CLOSED, and as Heap.alloc
   */
  publish(message: T, options?: AwaitOptions): Promise<void>;
  /** Publishes if nobody is to be waited for. False: it was not published. */
  tryPublish(message: T): boolean;
  /** As publish; blocks the thread. */
  publishSync(message: T, options?: SyncOptions): void;
  /** Room for a message of so many bytes, to be written in place. Undefined: somebody is to be waited for. */
  tryReserve(lengthBytes: number): Loan | undefined;
  /** @throws ERR_SHOAL_ARGUMENT, ERR_SHOAL_FULL (the table of subscribers), ERR_SHOAL_NOT_FOUND, ERR_SHOAL_CLOSED */
  subscribe(options?: SubscribeOptions): Subscription<T>;
  /** Nothing more is published: subscribers get what there is, and then their loops end. */
  end(): void;
  stats(): TopicStats;
  /** Removes the topic with all messages in it: for when nobody uses it any more. @throws ERR_SHOAL_HELD */
  destroy(): void;
}

const DEFAULT_SUBSCRIBERS = 64;

function planTable({
  capacity,
  history = 0,
  subscribers = DEFAULT_SUBSCRIBERS,
}: TopicOptions<never>): TopicTable {
  const most = capacity === undefined ? 2 ** 18 - 1 : capacityFor(capacity) - 1;
  checkNumber("history", history, 0, most);
  checkNumber("subscribers", subscribers, 1, TOPIC_MOST_SUBSCRIBERS);
  return { history, subscribers };
}

function checkTable(link: Link, table: TopicTable, options: TopicOptions<never>): TopicTable {
  const { subscribers } = link;
  const present = {
    history: new Uint32Array(link.region.buffer, link.object + C_HISTORY, 1)[0]!,
    subscribers,
  };
  for (const option of ["history", "subscribers"] as const) {
    if (options[option] === undefined || present[option] === table[option]) continue;
    throw differs(link.label, option, String(present[option]), String(table[option]));
  }
  return present;
}

/** The publishers' steps. What subscribers do is subscription.ts. */
function driverOf(link: Link): Driver {
  const { core, heap, object } = link;

  const clearOut = (cell: number): void => {
    try {
      link.insist("publish", () => core.takeOldBlock(object, cell));
    } catch (error) {
      core.cancelPublish(object, cell);
      throw error;
    }
    const block = core.errorDetail() >>> 0;
    if (block !== 0) heap.free(asHandle(block));
  };

  const none = (): number => CHANNEL_EMPTY;
  return {
    room() {
      const result = core.claimPublish(object) >>> 0;
      if (result <= CHANNEL_LAST_CODE || (result & TOPIC_OLD_BLOCK) === 0) return result;
      clearOut((result & ~7) >>> 0);
      return result - TOPIC_OLD_BLOCK;
    },
    put: (cell, block) => core.putMessageBlock(object, cell, block),
    commit: (cell, lengthBytes) => core.commitPublish(object, cell, lengthBytes),
    cancel: (cell) => core.cancelPublish(object, cell),
    next: none,
    spin: none,
    take: none,
    received: none,
    giveBack: none,
    depth: () => 0,
    claimed: () => core.countWriting(object),
    drop: none,
    isSingle: false,
  };
}

/** Finds or makes a topic. Errors as openObject; ERR_SHOAL_KIND when there is one with other options. */
export function openTopic<T = unknown>(heap: Heap, place?: Place, options: TopicOptions<T> = {}): Topic<T> {
  const named = options as TopicOptions<never>;
  const table = planTable(named);
  const { capacity, messageBytes, codec } = named;
  const least = Math.max(DEFAULT_CAPACITY, table.history + 1);
  const wished: ChannelOptions<never> = {
    ...((capacity ?? (table.history < DEFAULT_CAPACITY ? undefined : least)) === undefined
      ? {}
      : { capacity: capacity ?? least }),
    ...(messageBytes === undefined ? {} : { messageBytes }),
    ...(codec === undefined ? {} : { codec }),
  };
  const base = openLink(heap, "topic", place, wished, table);
  const { core, object, region, context, receivers, senders } = base;
  const { history, subscribers } = checkTable(base, table, named);
  const link: Link = {
    ...base,
    ring(bits) {
      if ((bits & RING_RECEIVERS) !== 0) context.ringAll(object, receivers.set);
      if ((bits & RING_SENDERS) !== 0) context.ringOne(object, senders.set);
    },
  };
  const driver = driverOf(link);
  const transfer = transferOf<T>(link, driver);
  const waits = makeWaits(link, senders);
  let seen = { ms: performance.now(), published: -1, received: 0 };

  const statsNow = (): TopicStats => {
    region.check();
    const published = core.countOf(object, C_SENT);
    const received = core.countOf(object, C_RECEIVED);
    const ms = performance.now();
    const seconds = Math.max(ms - seen.ms, 1) / 1000;
    const isFirst = seen.published < 0;
    const publishedPerSecond = isFirst ? 0 : (published - seen.published) / seconds;
    const receivedPerSecond = isFirst ? 0 : (received - seen.received) / seconds;
    seen = { ms, published, received };
    const present = Array.from({ length: subscribers }, (_none, index) =>
      subscriberStats(link, index),
    ).filter((one) => one !== undefined);
    return {
      depth: Math.max(0, ...present.map(({ lag, policy }) => (policy === "disconnected" ? 0 : lag))),
      capacity: link.capacity,
      published,
      received,
      dropped: core.countOf(object, C_DROPPED),
      skipped: core.countOf(object, C_SKIPPED),
      disconnected: core.countOf(object, C_DISCONNECTED),
      publishWaits: core.countOf(object, C_SEND_WAITS),
      receiveWaits: core.countOf(object, C_RECEIVE_WAITS),
      publishedPerSecond,
      receivedPerSecond,
      subscribers: present,
    };
  };

  return withGetters<Topic<T>, "ended">(
    {
      handle: link.handle,
      created: link.created,
      capacity: link.capacity,
      messageBytes: link.inlineBytes,
      history,
      codec: link.codec.name,
      async publish(message, waiting = {}) {
        const encoded = transfer.encode(message);
        if (transfer.trySend(encoded, "publish")) return;
        core.noteChannelWait(object, 1);
        const attempt = (): number => (transfer.trySend(encoded, "publish") ? 1 : 0);
        await waits.turn(attempt, waiting, "publish");
      },
      tryPublish: (message) => transfer.trySend(transfer.encode(message), "tryPublish"),
      publishSync(message, waiting = {}) {
        const encoded = transfer.encode(message);
        const attempt = (): number => (transfer.trySend(encoded, "publishSync") ? 1 : 0);
        if (attempt() !== 0) return;
        core.noteChannelWait(object, 1);
        const result = waits.block(attempt, waiting, "publishSync");
        if (result === 0) throw timedOut(senders, "publishSync", waiting.timeoutMs ?? 0);
      },
      tryReserve(lengthBytes) {
        checkNumber("lengthBytes", lengthBytes, 1, 2 ** 31 - 1);
        return transfer.tryReserve(lengthBytes, "tryReserve");
      },
      subscribe: (how = {}) => openSubscription<T>(link, subscribers, how),
      end() {
        region.check();
        core.endChannel(object);
        link.ringAll();
      },
      stats: statsNow,
      destroy() {
        region.check();
        destroyChannel(link, driver, () => {
          const code = core.drainTopic(object);
          if (code === OK) return false;
          link.settle(code, "destroy");
          return true;
        });
      },
    },
    {
      ended: () => {
        region.check();
        return core.isEnded(object) !== 0;
      },
    },
  );
}
