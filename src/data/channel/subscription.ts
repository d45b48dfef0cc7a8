/**
 * Receiving from a topic. Messages are copied, and count as received if nobody has overwritten them meanwhile
 * (core/topic-receive.ts); only then they are decoded. Subscribers that publishers wait for may read messages where they are.
 */

import { shoalError } from "../../errors.ts";
import {
  CELL_BLOCK,
  CELL_DATA,
  CELL_LENGTH,
  CELL_OUT,
  CHANNEL_BLOCKED,
  CHANNEL_EMPTY,
  CHANNEL_LAST_CODE,
  CHANNEL_OVER,
  CHANNEL_STRANGE,
  RING_SENDERS,
} from "../../layout/channel.ts";
import {
  E_RECEIVED,
  E_SKIPPED,
  ENTRY_BLOCK,
  ENTRY_DISCONNECT,
  ENTRY_DISCONNECTED,
  ENTRY_DROP_OLDEST,
  TOPIC_CROWDED,
  TOPIC_DISCONNECTED,
  TOPIC_OVERTAKEN,
} from "../../layout/topic.ts";
import { timedOut } from "../../sync/wait.ts";
import type { AwaitOptions } from "../../sync/wait.ts";
import type { Link } from "./link.ts";
import { Message } from "./loan.ts";
import { makeWaits } from "./waits.ts";
import type { SyncOptions } from "./waits.ts";
import { GOT, NONE, OVER } from "./transfer.ts";
import { withGetters } from "../../sync/getters.ts";

/**
 * What becomes of a subscriber in whose way the publishers come: they wait for it; it loses the oldest messages that it has not
 * received, which are counted; or it is disconnected.
 */
export type SubscriberPolicy = "block" | "drop-oldest" | "disconnect";

export interface SubscribeOptions {
  /** Default "block". */
  readonly policy?: SubscriberPolicy;
  /** Begins with the topic's last messages (as many as it was made to keep), or with what is published from now on. Default "history". */
  readonly from?: "history" | "now";
}

/** What a subscriber is at, for those who look. */
export interface SubscriberStats {
  readonly pid: number;
  readonly policy: SubscriberPolicy | "disconnected";
  /** Messages that it has yet to receive. */
  readonly lag: number;
  readonly received: number;
  readonly dropped: number;
  /** Messages whose publishers died, or gave them up. */
  readonly skipped: number;
}

/** One of a topic's readers, with its own position. It ends with close(), with its participant, or with a `using` scope. */
export interface Subscription<T = unknown> extends Disposable {
  readonly policy: SubscriberPolicy;
  /** Messages that are there and not received yet. */
  readonly lag: number;
  /** Messages that were overwritten before they were received. */
  readonly dropped: number;
  readonly closed: boolean;
  /**
   * Receives the next message, waiting for it if need be.
   *
   * @throws (rejects) ERR_SHOAL_DISCONNECTED, ERR_SHOAL_ENDED, ERR_SHOAL_TIMEOUT, ERR_SHOAL_ABORTED, ERR_SHOAL_CODEC,
   *   ERR_SHOAL_NOT_FOUND (the topic was destroyed), ERR_SHOAL_NOT_HOLDER (it was closed), ERR_SHOAL_CLOSED
   */
  receive(options?: AwaitOptions): Promise<T>;
  /** A message if there is one. */
  tryReceive(): T | undefined;
  /** As receive; blocks the thread. */
  receiveSync(options?: SyncOptions): T;
  /**
   * The next message, to be read in place: only for policy "block". Undefined: there is none. One at a time; until it is released
   * the same message is the next.
   *
   * @throws ERR_SHOAL_HELD, ERR_SHOAL_ARGUMENT, and as receive
   */
  tryBorrow(): Message<T> | undefined;
  /** As tryBorrow; blocks the thread until there is one. */
  borrow(options?: SyncOptions): Message<T>;
  /** As tryBorrow; awaits. */
  borrowAsync(options?: AwaitOptions): Promise<Message<T>>;
  /** Messages as they come, until the topic has ended or the subscription is closed. */
  [Symbol.asyncIterator](): AsyncGenerator<T, void, void>;
  close(): void;
}

const POLICIES: Readonly<Record<SubscriberPolicy, number>> = {
  block: ENTRY_BLOCK,
  "drop-oldest": ENTRY_DROP_OLDEST,
  disconnect: ENTRY_DISCONNECT,
};

/** @throws ERR_SHOAL_ARGUMENT, ERR_SHOAL_FULL (the table of subscribers), ERR_SHOAL_NOT_FOUND */
export function openSubscription<T>(
  link: Link,
  mostSubscribers: number,
  { policy = "block", from = "history" }: SubscribeOptions,
): Subscription<T> {
  const { core, object, label, region, codec, inlineBytes, receivers, flags } = link;
  const number = Object.hasOwn(POLICIES, policy) ? POLICIES[policy] : undefined;
  if (number === undefined || (from !== "history" && from !== "now")) {
    const message = `subscribe: policy must be ${Object.keys(POLICIES).join(", ")}, from must be history or now; not ${String(policy)}, ${String(from)}`;
    throw shoalError("ERR_SHOAL_ARGUMENT", message, { policy: String(policy), from: String(from) });
  }
  region.check();
  const index = join(link, number, from === "history", mostSubscribers);
  // Its cells are inside whatever the segment grows to: these views stay right.
  const bytes = new Uint8Array(region.buffer);
  const words = new Int32Array(region.buffer);
  const text = Buffer.from(region.buffer);
  const waits = makeWaits(link, receivers);
  let isClosed = false;
  let isLent = false;
  let droppedInAll = 0;
  let value: T;

  const check = (call: string): void => {
    if (flags[0] !== 0) region.check();
    if (isClosed) {
      const message = `${call}: this subscription of ${label} was closed`;
      throw shoalError("ERR_SHOAL_NOT_HOLDER", message, { call, object });
    }
    if (isLent) {
      const message = `${call}: a message of this subscription of ${label} is lent already; release it first`;
      throw shoalError("ERR_SHOAL_HELD", message, { call, object });
    }
  };

  const corrupt = (call: string, what: string): Error =>
    shoalError("ERR_SHOAL_CORRUPT", `${call}: ${label} has ${what}; run verify() and stop using it`, {
      call,
      object,
    });

  const disconnected = (call: string): Error =>
    shoalError(
      "ERR_SHOAL_DISCONNECTED",
      `${call}: this subscription of ${label} was in a publisher's way and is disconnected; subscribe anew`,
      { call, object },
    );

  const ended = (call: string): Error =>
    shoalError("ERR_SHOAL_ENDED", `${call}: ${label} was ended, and everything in it was received`, {
      call,
      object,
    });

  /** The next message's cell; or NONE, or OVER: no cell has such an address. */
  const next = (call: string): number => {
    check(call);
    for (let again = 0; ;) {
      const result = core.nextMessage(object, index) >>> 0;
      if (result > CHANNEL_LAST_CODE) {
        link.checkCell(result, call);
        return result;
      }
      if (result === CHANNEL_EMPTY || result === CHANNEL_BLOCKED) return NONE;
      if (result === CHANNEL_OVER) return OVER;
      if (result === TOPIC_DISCONNECTED) throw disconnected(call);
      if (result === CHANNEL_STRANGE) throw corrupt(call, "a subscriber's entry that is somebody else's");
      again = link.settle(result, call, again);
    }
  };

  /** It has been received. False: it was overwritten before. */
  const pass = (call: string): boolean => {
    const bits = core.passMessage(object, index);
    if (bits === 0) return true;
    if (bits === -TOPIC_OVERTAKEN) return false;
    if (bits < 0) throw corrupt(call, "a subscriber's entry that is somebody else's");
    link.ring(bits);
    return true;
  };

  /** Where the message in the cell is, and its length; undefined: it was overwritten. */
  const find = (cell: number, call: string): { at: number; length: number } | undefined => {
    const word = words[(cell + CELL_LENGTH) >>> 2]!;
    if (word >= 0 && word <= inlineBytes) return { at: cell + CELL_DATA, length: word };
    const at = words[(cell + CELL_BLOCK) >>> 2]! >>> 0;
    const length = word & ~CELL_OUT;
    if (core.isThere(object, index) === 0) return undefined;
    if (word < 0 && at + length > region.buffer.byteLength) region.catchUp();
    if (word < 0 && at >= region.dataOffset && at + length <= region.buffer.byteLength) return { at, length };
    throw corrupt(call, `a message of ${length} bytes at ${at}`);
  };

  const copyText = (at: number, length: number): string => {
    try {
      return at + length <= text.length
        ? text.toString("utf8", at, at + length)
        : Buffer.from(region.buffer, at, length).toString("utf8");
    } catch {
      // Longer than any string, which no sender could have sent.
      throw corrupt("receive", `a message of ${length} bytes at ${at}`);
    }
  };

  const copyBytes = (at: number, length: number): Uint8Array => {
    const copy = new Uint8Array(length);
    if (at + length <= bytes.length) copy.set(bytes.subarray(at, at + length));
    else copy.set(new Uint8Array(region.buffer, at, length));
    return copy;
  };

  const decode = (content: string | Uint8Array): T => {
    try {
      if (codec.isText) return codec.decode(content as string) as T;
      return (codec.name === "raw" ? content : codec.decode(content as Uint8Array)) as T;
    } catch (cause) {
      const message = `a message in ${label} is nothing that ${codec.name} can read; it was received all the same`;
      throw shoalError("ERR_SHOAL_CODEC", message, { object }, cause);
    }
  };

  const tryTake = (call: string): number => {
    for (;;) {
      const cell = next(call);
      if (cell <= OVER) return cell;
      const place = find(cell, call);
      const content =
        place === undefined
          ? ""
          : codec.isText
            ? copyText(place.at, place.length)
            : copyBytes(place.at, place.length);
      if (!pass(call) || place === undefined) continue;
      value = decode(content);
      return GOT;
    }
  };

  const tryBorrow = (call: string): Message<T> | number => {
    if (policy !== "block") {
      const message = `${call}: only a subscriber with policy "block" can read messages in place; this one's may be overwritten meanwhile`;
      throw shoalError("ERR_SHOAL_ARGUMENT", message, { policy });
    }
    const cell = next(call);
    if (cell <= OVER) return cell;
    const place = find(cell, call);
    if (place === undefined) throw corrupt(call, "a message that was overwritten before it was received");
    isLent = true;
    const view = new Uint8Array(region.buffer, place.at, place.length);
    return new Message<T>(view, {
      decode: (found) =>
        decode(
          codec.isText ? copyText(found.byteOffset, found.length) : copyBytes(found.byteOffset, found.length),
        ),
      release() {
        isLent = false;
        if (flags[0] === 0 && !isClosed) pass("release");
      },
      giveBack() {
        isLent = false;
      },
    });
  };

  const blockFor = (attempt: () => number, options: SyncOptions, call: string): void => {
    core.noteChannelWait(object, 0);
    const result = waits.block(attempt, options, call);
    if (result === 0) throw timedOut(receivers, call, options.timeoutMs ?? 0);
  };

  const awaitMessage = async (attempt: () => number, options: AwaitOptions, call: string): Promise<void> => {
    core.noteChannelWait(object, 0);
    await waits.turn(attempt, options, call);
  };

  /** A message; or none, ever. */
  const takeAsync = async (
    options: AwaitOptions,
    call: string,
  ): Promise<{ readonly value: T } | undefined> => {
    // Kept with the attempt that has got it: until whoever awaits it goes on, others may have got the next ones.
    let received: { readonly value: T } | undefined;
    const attempt = (): number => {
      const result = tryTake(call);
      if (result === GOT) received = { value };
      return result;
    };
    if (attempt() === NONE) await awaitMessage(attempt, options, call);
    return received;
  };

  const borrowed = (call: string): { attempt: () => number; got: () => Message<T> } => {
    let found: Message<T> | number = NONE;
    return {
      attempt() {
        found = tryBorrow(call);
        if (found === OVER) throw ended(call);
        return found === NONE ? 0 : 1;
      },
      got: () => found as Message<T>,
    };
  };

  return withGetters<Subscription<T>, "lag" | "dropped" | "closed">(
    {
      policy,
      async receive(options = {}) {
        const received = await takeAsync(options, "receive");
        if (received === undefined) throw ended("receive");
        return received.value;
      },
      tryReceive: () => (tryTake("tryReceive") === GOT ? value : undefined),
      receiveSync(options = {}) {
        let result = tryTake("receiveSync");
        if (result === NONE) blockFor(() => (result = tryTake("receiveSync")), options, "receiveSync");
        if (result === OVER) throw ended("receiveSync");
        return value;
      },
      tryBorrow() {
        const message = tryBorrow("tryBorrow");
        return typeof message === "number" ? undefined : message;
      },
      borrow(options = {}) {
        const { attempt, got } = borrowed("borrow");
        if (attempt() === 0) blockFor(attempt, options, "borrow");
        return got();
      },
      async borrowAsync(options = {}) {
        const { attempt, got } = borrowed("borrowAsync");
        if (attempt() === 0) await awaitMessage(attempt, options, "borrowAsync");
        return got();
      },
      async *[Symbol.asyncIterator]() {
        for (;;) {
          if (isClosed) return;
          let received: { readonly value: T } | undefined;
          try {
            // One after the other.
            // oxlint-disable-next-line no-await-in-loop
            received = await takeAsync({}, "receive");
          } catch (error) {
            if (isClosed) return;
            throw error;
          }
          if (received === undefined) return;
          yield received.value;
        }
      },
      close() {
        if (isClosed) return;
        isClosed = true;
        if (flags[0] !== 0) return;
        droppedInAll = core.subscriberDropped(object, index);
        const bits = core.unsubscribe(object, index);
        // All publishers may go on; and what this participant awaits here is over.
        if (bits > 0 && (bits & RING_SENDERS) !== 0) link.context.ringAll(object, link.senders.set);
        link.context.ringAll(object, receivers.set);
      },
      [Symbol.dispose]() {
        this.close();
      },
    },
    {
      lag: () => {
        check("lag");
        return core.subscriberLag(object, index);
      },
      dropped: () => {
        if (flags[0] !== 0) region.check();
        return isClosed ? droppedInAll : core.subscriberDropped(object, index);
      },
      closed: () => {
        return isClosed;
      },
    },
  );
}

/** Takes an entry in the table. */
function join(link: Link, policy: number, isFromHistory: boolean, mostSubscribers: number): number {
  const { core, object, label } = link;
  for (let again = 0; ;) {
    const index = core.subscribe(object, policy, isFromHistory ? 1 : 0);
    if (index >= 0) return index;
    if (index === -TOPIC_CROWDED) {
      const message = `subscribe: ${label} has ${mostSubscribers} subscribers, for more there is no room; make it with a larger subscribers`;
      throw shoalError("ERR_SHOAL_FULL", message, { object, subscribers: mostSubscribers });
    }
    again = link.settle(-index, "subscribe", again);
  }
}

/** What the subscriber in the entry `index` is at; undefined: there is none. */
export function subscriberStats({ core, object, region }: Link, index: number): SubscriberStats | undefined {
  const phase = core.subscriberPhase(object, index);
  const policy =
    phase === ENTRY_DISCONNECTED
      ? "disconnected"
      : (Object.keys(POLICIES) as SubscriberPolicy[]).find((one) => POLICIES[one] === phase);
  if (policy === undefined) return undefined;
  return {
    pid: region.survey.slotPid(core.subscriberSlot(object, index)) >>> 0,
    policy,
    lag: core.subscriberLag(object, index),
    received: core.subscriberCount(object, index, E_RECEIVED),
    dropped: core.subscriberDropped(object, index),
    skipped: core.subscriberCount(object, index, E_SKIPPED),
  };
}
