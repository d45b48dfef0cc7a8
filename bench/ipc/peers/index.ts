/** The peers of the ipc rows, and which of them are to be had on this machine. */

import type { Contender } from "../contender.ts";
import { hasPackage } from "./packages.ts";
import type { PackageName } from "./packages.ts";
import { pipe } from "./pipe.ts";
import { postMessage, postMessageTransfer } from "./post-message.ts";
import { processSend, processSendAdvanced } from "./process-send.ts";
import { findRedis, redis } from "./redis.ts";
import { ringbuf } from "./ringbuf.ts";
import { unixSocket } from "./unix-socket.ts";
import { zeromq } from "./zeromq.ts";

export interface IpcPeer {
  /** As it stands in the rows. */
  readonly name: string;
  readonly contender: Contender;
  /** Whether it takes part in the rows of 64 bytes. */
  readonly isSmall: boolean;
  /** The rows of 64 KiB and 1 MiB that it takes part in. */
  readonly large: readonly ("loan" | "copy")[];
  /** Why it cannot be had here, and what to do about it; undefined where it can. */
  readonly findObstacle?: () => string | undefined;
}

function packageObstacle(name: PackageName): () => string | undefined {
  return () => (hasPackage(name) ? undefined : `no npm package ${name}: run with --with-peers`);
}

function redisObstacle(): string | undefined {
  return findRedis() === undefined ? "no redis-server: apt-get install redis-server" : undefined;
}

export const socketPeer = "unix socket";
export const postMessagePeer = "postMessage";

export const ipcPeers: readonly IpcPeer[] = [
  { name: "process.send", contender: processSend, isSmall: true, large: [] },
  { name: "process.send advanced", contender: processSendAdvanced, isSmall: true, large: [] },
  { name: socketPeer, contender: unixSocket, isSmall: true, large: ["loan", "copy"] },
  { name: "pipe", contender: pipe, isSmall: true, large: ["loan", "copy"] },
  { name: postMessagePeer, contender: postMessage, isSmall: true, large: ["copy"] },
  { name: "postMessage transfer", contender: postMessageTransfer, isSmall: false, large: ["loan"] },
  {
    name: "ringbuf.js",
    contender: ringbuf,
    isSmall: true,
    large: [],
    findObstacle: packageObstacle("ringbuf.js"),
  },
  { name: "zeromq", contender: zeromq, isSmall: true, large: [], findObstacle: packageObstacle("zeromq") },
  { name: "redis", contender: redis, isSmall: true, large: [], findObstacle: redisObstacle },
];
