/**
 * Channels as streams: Node's and the web's. A stream holds what it has read ahead or not yet written in this process; nothing
 * is read ahead unless asked for, since what is read is nobody else's any more, and gone if this process dies.
 */

import { Readable, Writable } from "node:stream";
import { shoalError } from "../../errors.ts";
import type { Channel } from "./channel.ts";

/** How a stream reads from a channel. */
export interface ReadableOptions {
  /** Messages (of raw channels: bytes) that are read ahead. Default 0: only what is asked for. */
  readonly highWaterMark?: number;
  /** Ends the stream's waits, and the stream with an error. */
  readonly signal?: AbortSignal;
}

/** How a stream writes to a channel. */
export interface WritableOptions {
  /** Messages (of raw channels: bytes) that wait in the stream before write() says that it is enough. Default: Node's and the web's. */
  readonly highWaterMark?: number;
  /** Whether the channel is ended with the stream. Default true; false when others go on sending. */
  readonly end?: boolean;
  readonly signal?: AbortSignal;
}

/** What a stream needs to know of its channel. */
export type Streamed<T> = Pick<Channel<T>, "receiveMany" | "tryReceive" | "send" | "end"> & {
  /** Messages are bytes. */
  readonly isRaw: boolean;
};

function noNull(): Error {
  const message =
    "the message is null, which a stream of objects takes for its end; iterate over the channel instead";
  return shoalError("ERR_SHOAL_CODEC", message, { codec: "json" });
}

/** Of a raw channel's message. */
function isEmpty(message: unknown): boolean {
  return (message as Uint8Array).length === 0;
}

/** A message; undefined: the channel has ended. */
async function next<T>(channel: Streamed<T>, signal: AbortSignal): Promise<T | undefined> {
  const [message] = await channel.receiveMany(1, { signal });
  return message;
}

/** A Node stream of the channel's messages: objects, or of raw channels bytes. It ends when the channel has. */
export function readableOf<T>(channel: Streamed<T>, options: ReadableOptions = {}): Readable {
  const { highWaterMark = 0, signal } = options;
  const stopping = new AbortController();

  const read = async (stream: Readable): Promise<void> => {
    for (let count = 0; ;) {
      // oxlint-disable-next-line no-await-in-loop -- waits for one message; more are taken if they are there
      const message = count > 0 ? channel.tryReceive() : await next(channel, stopping.signal);
      if (message === undefined && count === 0) stream.push(null);
      if (message === undefined) return;
      if (message === null) throw noNull();
      // No bytes are no news for a stream of bytes.
      if (channel.isRaw && isEmpty(message)) continue;
      count++;
      if (!stream.push(message) || highWaterMark === 0) return;
    }
  };

  return new Readable({
    objectMode: !channel.isRaw,
    highWaterMark,
    ...(signal !== undefined && { signal }),
    read() {
      read(this).catch((error: unknown) => {
        // A stream that is destroyed has said why.
        if (!stopping.signal.aborted) this.destroy(error as Error);
      });
    },
    destroy(error, done) {
      stopping.abort(error ?? undefined);
      done(error);
    },
  });
}

/** A Node stream whose chunks are sent: objects, or to raw channels bytes. Its end is the channel's. */
export function writableOf<T>(channel: Streamed<T>, options: WritableOptions = {}): Writable {
  const { highWaterMark, end = true, signal } = options;
  const stopping = new AbortController();
  return new Writable({
    objectMode: !channel.isRaw,
    ...(highWaterMark !== undefined && { highWaterMark }),
    ...(signal !== undefined && { signal }),
    write(chunk: T, _encoding, done) {
      const sent = (error?: unknown): void => done(error as Error | undefined);
      channel.send(chunk, { signal: stopping.signal }).then(() => sent(), sent);
    },
    final(done) {
      if (end) channel.end();
      done();
    },
    destroy(error, done) {
      stopping.abort(error ?? undefined);
      done(error);
    },
  });
}

/** A web stream of the channel's messages; of raw channels a byte stream. Cancelling it leaves the channel as it is. */
export function webReadableOf<T>(channel: Streamed<T>, options: ReadableOptions = {}): ReadableStream<T> {
  const { highWaterMark = 0, signal } = options;
  const stopping = new AbortController();

  const pull = async (
    controller: Pick<ReadableStreamDefaultController<T>, "enqueue" | "close">,
  ): Promise<void> => {
    let message = await next(channel, stopping.signal);
    while (channel.isRaw && message !== undefined && isEmpty(message))
      // oxlint-disable-next-line no-await-in-loop -- no bytes are no news
      message = await next(channel, stopping.signal);
    if (message === undefined) controller.close();
    else controller.enqueue(message);
  };

  /** Ends the stream with an error when the caller's signal says so. */
  const watch = (controller: { error(reason: unknown): void }): void => {
    const abort = (): void => {
      controller.error(signal?.reason);
      stopping.abort(signal?.reason);
    };
    if (signal?.aborted === true) abort();
    else signal?.addEventListener("abort", abort, { once: true, signal: stopping.signal });
  };

  const cancel = (reason: unknown): void => stopping.abort(reason);
  if (!channel.isRaw) return new ReadableStream<T>({ start: watch, pull, cancel }, { highWaterMark });
  return new ReadableStream(
    {
      type: "bytes",
      start: watch,
      async pull(controller) {
        await pull({
          enqueue: (chunk) => controller.enqueue(chunk as never),
          close() {
            controller.close();
            // Who has brought its own buffer gets it back.
            controller.byobRequest?.respond(0);
          },
        });
      },
      cancel,
    },
    { highWaterMark },
  ) as unknown as ReadableStream<T>;
}

/** A web stream whose chunks are sent. Closing it ends the channel; aborting it does not. */
export function webWritableOf<T>(channel: Streamed<T>, options: WritableOptions = {}): WritableStream<T> {
  const { highWaterMark = 1, end = true, signal } = options;
  const stopping = new AbortController();
  return new WritableStream<T>(
    {
      start(controller) {
        const { signal: aborting } = controller as typeof controller & { readonly signal: AbortSignal };
        const abort = (): void => {
          controller.error(signal?.reason);
          stopping.abort(signal?.reason);
        };
        if (signal?.aborted === true) abort();
        else signal?.addEventListener("abort", abort, { once: true, signal: stopping.signal });
        // Aborting waits for the write that is under way: that one must not wait for room.
        aborting.addEventListener("abort", () => stopping.abort(aborting.reason), { once: true });
      },
      write: (chunk: T) => channel.send(chunk, { signal: stopping.signal }),
      close() {
        if (end) channel.end();
      },
    },
    { highWaterMark },
  );
}
