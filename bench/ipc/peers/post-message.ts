/**
 * `postMessage` between a thread and a worker thread: copying the bytes, or handing their buffer over. Neither has an end
 * to what it keeps for a receiver that is behind, so that only so many are on their way: B says how far it has come, or
 * hands the buffers back.
 */

import type { Worker } from "node:worker_threads";
import { parentPort } from "node:worker_threads";
import type { Contender, Task } from "../contender.ts";
import { Tally, check, makeMessage, stamp } from "../messages.ts";
import type { Receipt } from "../messages.ts";
import { EventTrips } from "../time.ts";

const windowBytes = 4 * 1024 * 1024;
const maxWindow = 1024;
const nothingTransferred: readonly [] = [];

/** How many may be on their way. */
function windowOf(sizeBytes: number): number {
  return Math.max(4, Math.min(maxWindow, Math.floor(windowBytes / sizeBytes)));
}

function portOfB() {
  if (parentPort === null) throw new Error("B of postMessage is a thread.");
  return parentPort;
}

interface Post {
  on(event: "message", hear: (message: unknown) => void): unknown;
  off(event: "message", hear: (message: unknown) => void): unknown;
}

/** Listens until `hear` says that it is done. */
function listenUntil(port: Post, hear: (message: unknown) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const listener = (message: unknown): void => {
      try {
        if (!hear(message)) return;
        port.off("message", listener);
        resolve();
      } catch (error) {
        port.off("message", listener);
        reject(error);
      }
    };
    port.on("message", listener);
  });
}

async function roundTrips(worker: Worker, { sizeBytes, count }: Task): Promise<number[]> {
  const message = makeMessage(sizeBytes);
  const trips = new EventTrips(count, (index) => {
    stamp(message, index);
    worker.postMessage(message, nothingTransferred);
  });
  const hear = (echo: unknown): void => {
    if (echo instanceof Uint8Array) trips.heard((index) => check(echo, index, sizeBytes));
  };
  worker.on("message", hear);
  try {
    return await trips.run();
  } finally {
    worker.off("message", hear);
  }
}

/** B says how many it has had, every half a window. */
async function copyAll(worker: Worker, { sizeBytes, count }: Task): Promise<void> {
  const message = makeMessage(sizeBytes);
  const window = windowOf(sizeBytes);
  let index = 0;
  const fill = (received: number): void => {
    for (const end = Math.min(count, received + window); index < end; index += 1) {
      stamp(message, index);
      worker.postMessage(message, nothingTransferred);
    }
  };
  fill(0);
  if (index === count) return;
  await listenUntil(worker, (received) => {
    if (typeof received === "number") fill(received);
    return index === count;
  });
}

/** Buffers go to and fro. */
async function transferAll(worker: Worker, { sizeBytes, count }: Task): Promise<void> {
  let index = 0;
  const send = (bytes: Uint8Array): void => {
    stamp(bytes, index);
    index += 1;
    worker.postMessage(bytes, [bytes.buffer as ArrayBuffer]);
  };
  let returned = 0;
  const done = listenUntil(worker, (bytes) => {
    if (!(bytes instanceof Uint8Array)) return false;
    returned += 1;
    if (index < count) send(bytes);
    return returned === count;
  });
  for (let out = Math.min(count, windowOf(sizeBytes)); out > 0; out -= 1) send(makeMessage(sizeBytes));
  await done;
}

/** `answer` is called after the message has been counted, with how many there are now. */
async function receive(
  { count }: Task,
  answer: (bytes: Uint8Array, received: number) => void,
): Promise<Receipt> {
  const tally = new Tally();
  await listenUntil(portOfB(), (bytes) => {
    if (!(bytes instanceof Uint8Array)) return false;
    tally.add(bytes[0] ?? 0, bytes[bytes.length - 1] ?? 0);
    answer(bytes, tally.count);
    return tally.count === count;
  });
  return tally.receipt();
}

export const postMessage: Contender = {
  partner: "thread",
  drive: ({ partner }) => ({
    roundTrips: (task) => roundTrips(partner() as Worker, task),
    oneWay: (task) => copyAll(partner() as Worker, task),
    close: () => undefined,
  }),
  serve: () => ({
    echo: (task) => receive(task, (bytes) => portOfB().postMessage(bytes, nothingTransferred)),
    drain(task) {
      const step = Math.max(1, windowOf(task.sizeBytes) >> 1);
      return receive(task, (_, received) => {
        if (received % step === 0) portOfB().postMessage(received, nothingTransferred);
      });
    },
    close: () => undefined,
  }),
};

export const postMessageTransfer: Contender = {
  partner: "thread",
  drive: ({ partner }) => ({
    oneWay: (task) => transferAll(partner() as Worker, task),
    close: () => undefined,
  }),
  serve: () => ({
    drain: (task) => receive(task, (bytes) => portOfB().postMessage(bytes, [bytes.buffer as ArrayBuffer])),
    close: () => undefined,
  }),
};
