/** ZeroMQ through the npm package zeromq: a pair of sockets, over a Unix socket of its own. */

import { join } from "node:path";
import type { Contender, Driver, Link, Server, Task } from "../contender.ts";
import { Tally, check, makeMessage, stamp } from "../messages.ts";
import type { Receipt } from "../messages.ts";
import { timeAwaitedTrips } from "../time.ts";
import { loadPackage } from "./packages.ts";

interface Pair {
  bind(address: string): Promise<void>;
  connect(address: string): void;
  send(message: Uint8Array): Promise<void>;
  receive(): Promise<Buffer[]>;
  close(): void;
}

interface Module {
  readonly Pair: new (options: { linger: number }) => Pair;
}

function makeSocket(): Pair {
  return new (loadPackage("zeromq") as Module).Pair({ linger: 0 });
}

function addressIn({ folder }: Link): string {
  return `ipc://${join(folder, "zeromq")}`;
}

async function receiveOne(socket: Pair): Promise<Buffer> {
  const [message] = await socket.receive();
  if (message === undefined) throw new Error("zeromq gave a message without parts.");
  return message;
}

/** A message is kept until it is sent, some time after its promise: so each has its own array. */
function makeStamped(index: number, sizeBytes: number): Uint8Array {
  const message = makeMessage(sizeBytes);
  stamp(message, index);
  return message;
}

async function drive(link: Link): Promise<Driver> {
  const socket = makeSocket();
  await socket.bind(addressIn(link));
  return {
    roundTrips: ({ sizeBytes, count }) =>
      timeAwaitedTrips(count, async (index) => {
        await socket.send(makeStamped(index, sizeBytes));
        check(await receiveOne(socket), index, sizeBytes);
      }),
    async oneWay({ sizeBytes, count }) {
      for (let index = 0; index < count; index += 1) {
        // Its queue has an end, at which it makes us wait.
        // oxlint-disable-next-line no-await-in-loop
        await socket.send(makeStamped(index, sizeBytes));
      }
    },
    close: () => socket.close(),
  };
}

async function takeAll(
  socket: Pair,
  { count }: Task,
  answer: (message: Buffer) => Promise<void> | undefined,
): Promise<Receipt> {
  const tally = new Tally();
  while (tally.count < count) {
    // oxlint-disable-next-line no-await-in-loop
    const message = await receiveOne(socket);
    // oxlint-disable-next-line no-await-in-loop
    await answer(message);
    tally.add(message[0] ?? 0, message[message.length - 1] ?? 0);
  }
  return tally.receipt();
}

function serve(link: Link): Server {
  const socket = makeSocket();
  socket.connect(addressIn(link));
  return {
    echo: (task) => takeAll(socket, task, (message) => socket.send(message)),
    drain: (task) => takeAll(socket, task, () => undefined),
    close: () => socket.close(),
  };
}

export const zeromq: Contender = { partner: "process", drive, serve };
