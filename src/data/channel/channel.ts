/**
 * What queues and rings have in common for those who use them: sending and receiving with all kinds of waits. One message
 * without waiting is transfer.ts; who waits, and how it is woken, src/sync/wait.ts.
 */

import type { Readable, Writable } from "node:stream";
import { shoalError } from "../../errors.ts";
import type { Handle } from "../../heap/index.ts";
import {
  C_DROPPED,
  C_RECEIVED,
  C_RECEIVE_WAITS,
  C_REDELIVERED,
  C_SEND_WAITS,
  C_SENT,
  C_SKIPPED,
  CHANNEL_EMPTY,
} from "../../layout/channel.ts";
import { OK } from "../../layout/result.ts";
import { timedOut } from "../../sync/wait.ts";
import type { AwaitOptions } from "../../sync/wait.ts";
import { destroyChannel } from "./destroy.ts";
import type { Driver } from "./driver.ts";
import type { Link } from "./link.ts";
import type { Loan, Message } from "./loan.ts";
import type { Overflow } from "./options.ts";
import { readableOf, webReadableOf, webWritableOf, writableOf } from "./streams.ts";
import type { ReadableOptions, WritableOptions } from "./streams.ts";
import { GOT, NONE, OVER, transferOf } from "./transfer.ts";
import type { Encoded } from "./transfer.ts";
import { LOOKS, makeWaits, MOST_LOOKS } from "./waits.ts";
import type { SyncOptions } from "./waits.ts";
import { withGetters } from "../../sync/getters.ts";

/** A channel's counts since it was made, by all participants; rates since the last call of stats() here. */
export interface ChannelStats {
  /** Messages that wait to be received. */
  readonly depth: number;
  readonly capacity: number;
  readonly sent: number;
  readonly received: number;
  /** For want of room, or because they were borrowed by somebody who died. */
  readonly dropped: number;
  /** Messages that somebody had begun to write who died. */
  readonly skipped: number;
  /** Given back, because they were being received by somebody who died. */
  readonly redelivered: number;
  readonly sendWaits: number;
  readonly receiveWaits: number;
  readonly sentPerSecond: number;
  readonly receivedPerSecond: number;
}

/** A channel of messages in a heap. It outlives everyone, until it is destroyed. */
export interface Channel<T = unknown> {
  readonly handle: Handle;
  /** Whether this call has made it. */
  readonly created: boolean;
  readonly capacity: number;
  /** Room for a message in the channel itself. */
  readonly messageBytes: number;
  readonly overflow: Overflow;
  readonly redeliver: boolean;
  /** The codec's name. */
  readonly codec: string;
  /** Messages that wait to be received. */
  readonly depth: number;
  /** Nothing more is sent. */
  readonly ended: boolean;

  /**
   * Sends a message, waiting for room if need be and the channel is to.
   *
   * @throws (rejects) ERR_SHOAL_FULL, ERR_SHOAL_ENDED, ERR_SHOAL_TIMEOUT, ERR_SHOAL_ABORTED, ERR_SHOAL_CODEC,
   *   ERR_SHOAL_TAKEN, ERR_SHOAL_NOT_FOUND (the channel was destroyed), ERR_SHOAL_CLOSED, and as Heap.alloc
   */
  send(message: T, options?: AwaitOptions): Promise<void>;
  /** Sends if there is room. False: there is none; a channel that drops the newest has counted it. */
  trySend(message: T): boolean;
  /** As send; blocks the thread. */
  sendSync(message: T, options?: SyncOptions): void;
  /** Sends messages in their order; when it rejects, those before were sent. */
  sendMany(messages: Iterable<T>, options?: AwaitOptions): Promise<void>;

  /**
   * Receives a message, waiting for one if need be.
   *
   * @throws (rejects) ERR_SHOAL_ENDED, ERR_SHOAL_TIMEOUT, ERR_SHOAL_ABORTED, ERR_SHOAL_CODEC, ERR_SHOAL_TAKEN,
   *   ERR_SHOAL_NOT_FOUND, ERR_SHOAL_CLOSED
   */
  receive(options?: AwaitOptions): Promise<T>;
  /** A message if there is one. */
  tryReceive(): T | undefined;
  /** As receive; blocks the thread. */
  receiveSync(options?: SyncOptions): T;
  /** Waits for a message; then as many as there are, up to `most`. None: the channel has ended. */
  receiveMany(most: number, options?: AwaitOptions): Promise<T[]>;
  /** Puts the next message's bytes into `target`. Their number; -1: there is no message. @throws ERR_SHOAL_SIZE */
  tryReceiveInto(target: Uint8Array): number;

  /** Room for a message of so many bytes, to be written in place. Waits as sendSync. */
  reserve(lengthBytes: number, options?: SyncOptions): Loan;
  /** Undefined: there is no room. */
  tryReserve(lengthBytes: number): Loan | undefined;
  /** As reserve; awaits. */
  reserveAsync(lengthBytes: number, options?: AwaitOptions): Promise<Loan>;
  /** The next message, to be read in place. Waits as receiveSync. */
  borrow(options?: SyncOptions): Message<T>;
  tryBorrow(): Message<T> | undefined;
  /** As borrow; awaits. */
  borrowAsync(options?: AwaitOptions): Promise<Message<T>>;

  /** Messages as they come, until the channel has ended. */
  [Symbol.asyncIterator](): AsyncGenerator<T, void, void>;
  /** A Node stream of the messages: objects, or of raw channels bytes. It ends when the channel has; others may read too. */
  readable(options?: ReadableOptions): Readable;
  /** A Node stream whose chunks are sent. Its end is the channel's, unless `end` is false. */
  writable(options?: WritableOptions): Writable;
  /** The same as web streams. */
  webReadable(options?: ReadableOptions): ReadableStream<T>;
  webWritable(options?: WritableOptions): WritableStream<T>;
  /** Nothing more is sent: senders are refused, receivers get what there is, and then their loops end. */
  end(): void;
  stats(): ChannelStats;
  /**
   * Removes the channel with all messages in it. Whoever still has it open gets ERR_SHOAL_NOT_FOUND as long as its memory is
   * nobody else's: for when nobody uses it any more.
   *
   * @throws ERR_SHOAL_HELD (somebody who lives is writing or reading a message)
   */
  destroy(): void;
}

/** A message that was waited for; or there will be none. */
type Received<T> = { readonly value: T } | typeof ENDED;
const ENDED = "ended";

export function channelOf<T>(link: Link, driver: Driver): Channel<T> {
  const { core, object, label, overflow, region } = link;
  const transfer = transferOf<T>(link, driver);
  const senders = makeWaits(link, link.senders);
  const receivers = makeWaits(link, link.receivers);
  let seen = { ms: performance.now(), sent: -1, received: 0 };

  /** For those who find no room and do not wait. True: it was sent, after all. */
  const trySendFull = (encoded: Encoded, call: string): boolean => {
    if (overflow === "drop-newest") core.noteDropped(object);
    if (overflow !== "drop-oldest") return false;
    for (let tries = link.capacity; tries > 0; tries--) {
      const code = driver.drop();
      if (code === CHANNEL_EMPTY) return false;
      if (code !== OK) link.settle(code, call);
      if (transfer.trySend(encoded, call)) return true;
    }
    return false;
  };

  /** Whether the message has not to be waited for any more. @throws ERR_SHOAL_FULL */
  const isDone = (encoded: Encoded, call: string): boolean => {
    if (transfer.trySend(encoded, call) || trySendFull(encoded, call) || overflow === "drop-newest")
      return true;
    if (overflow === "fail") throw full(call);
    core.noteChannelWait(object, 1);
    return false;
  };

  const full = (call: string): Error =>
    shoalError("ERR_SHOAL_FULL", `${call}: ${label} has no room: ${link.capacity} messages wait in it`, {
      call,
      object,
    });

  const ended = (call: string): Error =>
    shoalError("ERR_SHOAL_ENDED", `${call}: ${label} was ended, and everything in it was received`, {
      call,
      object,
    });

  /** Waits for room, or a message, with the thread. */
  const block = (isSender: boolean, attempt: () => number, options: SyncOptions, call: string): number => {
    const result = (isSender ? senders : receivers).block(attempt, options, call);
    if (result === 0) throw timedOut(isSender ? link.senders : link.receivers, call, options.timeoutMs ?? 0);
    return result;
  };

  // By themselves: who makes a function has a context allocated when it is called, even if the function is not needed.

  const blockToSend = (encoded: Encoded, options: SyncOptions = {}): void => {
    block(true, () => (transfer.trySend(encoded, "sendSync") ? 1 : 0), options, "sendSync");
  };

  const blockToReceive = (options: SyncOptions = {}): number => {
    core.noteChannelWait(object, 0);
    const looks = options.spin === true ? MOST_LOOKS : LOOKS;
    return block(false, () => transfer.tryReceive(looks, "receiveSync"), options, "receiveSync");
  };

  /**
   * Waits for a message. Its value is kept with the attempt that has got it: until whoever awaits it goes on, others may have got
   * the next ones.
   */
  const awaitMessage = async (options: AwaitOptions, call: string): Promise<Received<T>> => {
    core.noteChannelWait(object, 0);
    let received: Received<T> = ENDED;
    const attempt = (): number => {
      const result = transfer.tryReceive(LOOKS, call);
      if (result === GOT) received = { value: transfer.value() };
      return result;
    };
    await receivers.turn(attempt, options, call);
    return received;
  };

  /** Something that is got from the channel by looking, and may have to be waited for. */
  const fetch = <R>(look: () => R | number, call: string): { attempt: () => number; got: () => R } => {
    let result: R | number = NONE;
    return {
      attempt: () => {
        result = look();
        if (result === OVER) throw ended(call);
        return result === NONE ? 0 : 1;
      },
      got: () => result as R,
    };
  };

  const checkLength = (call: string, lengthBytes: number): void => {
    if (Number.isInteger(lengthBytes) && lengthBytes > 0 && lengthBytes < 2 ** 31) return;
    const message = `${call}: lengthBytes must be 1 to ${2 ** 31 - 1}, not ${String(lengthBytes)}`;
    throw shoalError("ERR_SHOAL_ARGUMENT", message, { lengthBytes: String(lengthBytes) });
  };

  const roomFor = (lengthBytes: number, call: string): { attempt: () => number; got: () => Loan } => {
    checkLength(call, lengthBytes);
    return fetch(() => tryReserve(lengthBytes, call) ?? NONE, call);
  };

  const tryReserve = (lengthBytes: number, call: string): Loan | undefined => {
    const loan = transfer.tryReserve(lengthBytes, call);
    if (loan !== undefined || overflow !== "drop-oldest") return loan;
    const code = driver.drop();
    if (code === CHANNEL_EMPTY) return undefined;
    if (code !== OK) link.settle(code, call);
    return transfer.tryReserve(lengthBytes, call);
  };

  const statsNow = (): ChannelStats => {
    region.check();
    const sent = core.countOf(object, C_SENT);
    const received = core.countOf(object, C_RECEIVED);
    const ms = performance.now();
    const seconds = Math.max(ms - seen.ms, 1) / 1000;
    const isFirst = seen.sent < 0;
    const sentPerSecond = isFirst ? 0 : (sent - seen.sent) / seconds;
    const receivedPerSecond = isFirst ? 0 : (received - seen.received) / seconds;
    seen = { ms, sent, received };
    return {
      depth: driver.depth(),
      capacity: link.capacity,
      sent,
      received,
      dropped: core.countOf(object, C_DROPPED),
      skipped: core.countOf(object, C_SKIPPED),
      redelivered: core.countOf(object, C_REDELIVERED),
      sendWaits: core.countOf(object, C_SEND_WAITS),
      receiveWaits: core.countOf(object, C_RECEIVE_WAITS),
      sentPerSecond,
      receivedPerSecond,
    };
  };

  const sendOne = async (encoded: Encoded, options: AwaitOptions, call: string): Promise<void> => {
    if (isDone(encoded, call)) return;
    await senders.turn(() => (transfer.trySend(encoded, call) ? 1 : 0), options, call);
  };

  const channel: Channel<T> & { readonly isRaw: boolean } = withGetters<
    Channel<T> & { readonly isRaw: boolean },
    "depth" | "ended"
  >(
    {
      handle: link.handle,
      isRaw: !link.codec.isText && link.codec.name === "raw",
      created: link.created,
      capacity: link.capacity,
      messageBytes: link.inlineBytes,
      overflow,
      redeliver: link.redeliver,
      codec: link.codec.name,
      async send(message, options = {}) {
        await sendOne(transfer.encode(message), options, "send");
      },
      trySend(message) {
        const encoded = transfer.encode(message);
        return transfer.trySend(encoded, "trySend") || trySendFull(encoded, "trySend");
      },
      sendSync(message, options) {
        const encoded = transfer.encode(message);
        if (!isDone(encoded, "sendSync")) blockToSend(encoded, options);
      },
      async sendMany(messages, options = {}) {
        for (const message of messages) {
          const encoded = transfer.encode(message);
          if (transfer.trySend(encoded, "sendMany")) continue;
          // In their order.
          // oxlint-disable-next-line no-await-in-loop
          await sendOne(encoded, options, "sendMany");
        }
      },
      async receive(options = {}) {
        const result = transfer.tryReceive(1, "receive");
        if (result === GOT) return transfer.value();
        const received = result === OVER ? ENDED : await awaitMessage(options, "receive");
        if (received === ENDED) throw ended("receive");
        return received.value;
      },
      tryReceive: () => (transfer.tryReceive(1, "tryReceive") === GOT ? transfer.value() : undefined),
      receiveSync(options) {
        const result = transfer.tryReceive(1, "receiveSync");
        if (result === OVER || (result === NONE && blockToReceive(options) === OVER))
          throw ended("receiveSync");
        return transfer.value();
      },
      async receiveMany(most, options = {}) {
        if (!Number.isInteger(most) || most < 1) {
          const message = `receiveMany: most must be 1 or more, not ${String(most)}`;
          throw shoalError("ERR_SHOAL_ARGUMENT", message, { most: String(most) });
        }
        const messages: T[] = [];
        let result = transfer.tryReceive(1, "receiveMany");
        if (result === NONE) {
          const received = await awaitMessage(options, "receiveMany");
          if (received === ENDED) return messages;
          messages.push(received.value);
          result = messages.length < most ? transfer.tryReceive(1, "receiveMany") : NONE;
        }
        while (result === GOT) {
          messages.push(transfer.value());
          result = messages.length < most ? transfer.tryReceive(1, "receiveMany") : NONE;
        }
        return messages;
      },
      tryReceiveInto(target) {
        const length = transfer.tryReceiveInto(target, "tryReceiveInto");
        return length < 0 ? -1 : length;
      },
      reserve(lengthBytes, options = {}) {
        const { attempt, got } = roomFor(lengthBytes, "reserve");
        if (attempt() !== 0) return got();
        if (overflow === "fail" || overflow === "drop-newest") throw full("reserve");
        core.noteChannelWait(object, 1);
        block(true, attempt, options, "reserve");
        return got();
      },
      tryReserve(lengthBytes) {
        checkLength("tryReserve", lengthBytes);
        return tryReserve(lengthBytes, "tryReserve");
      },
      async reserveAsync(lengthBytes, options = {}) {
        const { attempt, got } = roomFor(lengthBytes, "reserveAsync");
        if (attempt() !== 0) return got();
        if (overflow === "fail" || overflow === "drop-newest") throw full("reserveAsync");
        core.noteChannelWait(object, 1);
        await senders.turn(attempt, options, "reserveAsync");
        return got();
      },
      borrow(options = {}) {
        const { attempt, got } = fetch<Message<T>>(() => transfer.tryBorrow("borrow"), "borrow");
        if (attempt() !== 0) return got();
        core.noteChannelWait(object, 0);
        block(false, attempt, options, "borrow");
        return got();
      },
      tryBorrow() {
        const message = transfer.tryBorrow("tryBorrow");
        return typeof message === "number" ? undefined : message;
      },
      async borrowAsync(options = {}) {
        const { attempt, got } = fetch<Message<T>>(() => transfer.tryBorrow("borrowAsync"), "borrowAsync");
        if (attempt() !== 0) return got();
        core.noteChannelWait(object, 0);
        await receivers.turn(attempt, options, "borrowAsync");
        return got();
      },
      async *[Symbol.asyncIterator]() {
        for (;;) {
          const result = transfer.tryReceive(1, "receive");
          if (result === GOT) {
            yield transfer.value();
            continue;
          }
          // oxlint-disable-next-line no-await-in-loop
          const received = result === OVER ? ENDED : await awaitMessage({}, "receive");
          if (received === ENDED) return;
          yield received.value;
        }
      },
      end() {
        region.check();
        core.endChannel(object);
        link.ringAll();
      },
      stats: statsNow,
      destroy() {
        region.check();
        destroyChannel(link, driver, () => transfer.discard("destroy"));
      },
      readable: (options) => readableOf(channel, options),
      writable: (options) => writableOf(channel, options),
      webReadable: (options) => webReadableOf(channel, options),
      webWritable: (options) => webWritableOf(channel, options),
    },
    {
      depth: () => {
        region.check();
        return driver.depth();
      },
      ended: () => {
        region.check();
        return core.isEnded(object) !== 0;
      },
    },
  );
  return channel;
}
