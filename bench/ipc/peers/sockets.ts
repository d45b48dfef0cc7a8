/**
 * Messages of one size over a stream of bytes, as the Unix socket and the pipe have it. What is sent one way is corked:
 * the stream gathers a burst of messages and hands it to the kernel in one call.
 */

import type { Readable, Writable } from "node:stream";
import type { Task } from "../contender.ts";
import { FrameTally, check, makeMessage, stamp } from "../messages.ts";
import type { Receipt } from "../messages.ts";
import { EventTrips } from "../time.ts";

/** A burst: about as much as the kernel keeps for a socket. */
const burstBytes = 128 * 1024;
const maxBurst = 1024;

export async function streamRoundTrips(
  from: Readable,
  to: Writable,
  { sizeBytes, count }: Task,
): Promise<number[]> {
  const message = makeMessage(sizeBytes);
  const echo = makeMessage(sizeBytes);
  let offset = 0;
  const trips = new EventTrips(count, (index) => {
    stamp(message, index);
    to.write(message);
  });
  const hear = (chunk: Buffer): void => {
    echo.set(chunk, offset);
    offset += chunk.length;
    if (offset < sizeBytes) return;
    offset = 0;
    trips.heard((index) => check(echo, index, sizeBytes));
  };
  from.on("data", hear);
  try {
    return await trips.run();
  } finally {
    from.off("data", hear);
  }
}

/** Two bursts take turns: one is on its way while the other is written. */
export async function streamOneWay(to: Writable, { sizeBytes, count }: Task): Promise<void> {
  const burst = Math.max(1, Math.min(maxBurst, Math.floor(burstBytes / sizeBytes)));
  const makeBurst = () => ({
    messages: Array.from({ length: burst }, () => makeMessage(sizeBytes)),
    isOut: Promise.resolve(),
  });
  const [one, other] = [makeBurst(), makeBurst()];
  for (let index = 0, turn = one; index < count; turn = turn === one ? other : one) {
    // The kernel must have taken these bytes before they are written over.
    // oxlint-disable-next-line no-await-in-loop
    await turn.isOut;
    const end = Math.min(count, index + burst);
    turn.isOut = writeBurst(to, turn.messages, index, end);
    index = end;
  }
  await Promise.all([one.isOut, other.isOut]);
}

function writeBurst(
  to: Writable,
  messages: readonly Uint8Array[],
  start: number,
  end: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error: Error | null | undefined): void => {
      if (error) reject(error);
      else resolve();
    };
    to.cork();
    for (let index = start; index < end; index += 1) {
      const message = messages[index - start];
      if (message === undefined) throw new Error("a burst has too many messages.");
      stamp(message, index);
      if (index === end - 1) to.write(message, settle);
      else to.write(message);
    }
    to.uncork();
  });
}

/** What comes, chunk by chunk; returns how to stop. */
export type Listen = (hear: (chunk: Uint8Array) => void) => () => void;

export function listenTo(from: Readable): Listen {
  return (hear) => {
    from.on("data", hear);
    return () => from.off("data", hear);
  };
}

/** Resolves when all messages have come; each chunk is given to `answer` too. */
export function receiveFrames(
  listen: Listen,
  { sizeBytes, count }: Task,
  answer: (chunk: Uint8Array) => void = () => undefined,
): Promise<Receipt> {
  return new Promise((resolve) => {
    const frames = new FrameTally(sizeBytes);
    const stop = listen((chunk) => {
      answer(chunk);
      frames.add(chunk);
      if (frames.count < count) return;
      stop();
      resolve(frames.receipt());
    });
  });
}
