/** A Unix socket, with node:net. */

import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { Socket } from "node:net";
import { join } from "node:path";
import type { Contender, Driver, Link, Server } from "../contender.ts";
import { receiveFrames, streamOneWay, streamRoundTrips } from "./sockets.ts";
import type { Listen } from "./sockets.ts";

/** More than the kernel keeps for a socket. */
const readBytes = 512 * 1024;

function pathIn({ folder }: Link): string {
  return join(folder, "socket");
}

async function drive(link: Link): Promise<Driver> {
  const server = createServer();
  server.listen(pathIn(link));
  const connected = once(server, "connection") as Promise<[Socket]>;
  await once(server, "listening");
  return {
    async roundTrips(task) {
      const [socket] = await connected;
      return streamRoundTrips(socket, socket, task);
    },
    async oneWay(task) {
      const [socket] = await connected;
      await streamOneWay(socket, task);
    },
    close: () => void server.close(),
  };
}

/** Reads into one buffer, and not into a new one for each chunk: the best that node:net can. */
async function serve(link: Link): Promise<Server> {
  let hear: (chunk: Uint8Array) => void = () => undefined;
  const socket = connect({
    path: pathIn(link),
    onread: {
      buffer: new Uint8Array(readBytes),
      callback: (sizeBytes, buffer) => {
        hear(buffer.subarray(0, sizeBytes));
        return true;
      },
    },
  });
  const listen: Listen = (listener) => {
    hear = listener;
    return () => (hear = () => undefined);
  };
  await once(socket, "connect");
  return {
    // The buffer is read into again before the answer is written, should the kernel not take it at once.
    echo: (task) => receiveFrames(listen, task, (chunk) => socket.write(chunk.slice())),
    drain: (task) => receiveFrames(listen, task),
    close: () => void socket.destroy(),
  };
}

export const unixSocket: Contender = { partner: "process", drive, serve };
