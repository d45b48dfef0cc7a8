/**
 * Lists of a Redis server that the benchmark starts, over its Unix socket: what one side pushes the other waits for with
 * BLPOP. One way, a hundred messages are pushed with one command and as many taken as there are (BLMPOP, Redis 7).
 */

import { spawn } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { patienceMs } from "../contender.ts";
import type { Contender, Driver, Link, Server, Task } from "../contender.ts";
import { Tally, check, makeMessage, stamp } from "../messages.ts";
import type { Receipt } from "../messages.ts";
import { timeAwaitedTrips } from "../time.ts";
import { RedisClient, encodeCommand } from "./resp.ts";
import type { Reply } from "./resp.ts";

const program = "redis-server";
/** Of messages that are pushed or taken at once. */
const burst = 100;
/** So many bursts are pushed before the first one's reply has come. */
const burstsOnTheWay = 4;
/** The list does not grow longer than about this. */
const maxLength = 10_000;

/** Where redis-server is installed; undefined where it is not. */
export function findRedis(path = process.env["PATH"] ?? ""): string | undefined {
  return path
    .split(delimiter)
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, program))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false; // the next folder may have it
      }
    });
}

function socketIn({ folder }: Link): string {
  return join(folder, "redis");
}

/** A server that keeps nothing and listens to no port. */
async function startServer(link: Link) {
  const binary = findRedis();
  if (binary === undefined) throw new Error(`there is no ${program} here.`);
  const path = socketIn(link);
  const flags = ["--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no"];
  const server = spawn(binary, [...flags, "--dir", link.folder], { stdio: "ignore" });
  process.on("exit", () => server.kill("SIGKILL"));
  let fault: Error | undefined;
  server.on("error", (error) => (fault = error));
  server.on("exit", (code, signal) => (fault ??= new Error(`${program} ended: ${code ?? signal}.`)));
  for (const endMs = performance.now() + patienceMs; !existsSync(path);) {
    if (fault !== undefined) throw fault;
    if (performance.now() > endMs) throw new Error(`${program} does not start.`);
    // oxlint-disable-next-line no-await-in-loop
    await sleep(10);
  }
  return server;
}

function makeStamped(index: number, sizeBytes: number): Uint8Array {
  const message = makeMessage(sizeBytes);
  stamp(message, index);
  return message;
}

/** BLPOP answers with the list's name and the value. */
function valueOf(reply: Reply): Buffer {
  const value = Array.isArray(reply) ? (reply as Reply[])[1] : undefined;
  if (value instanceof Buffer) return value;
  throw new Error("Redis answered BLPOP with no value.");
}

const popThere = encodeCommand("BLPOP", "there", "0");
const popBack = encodeCommand("BLPOP", "back", "0");
const popMany = encodeCommand("BLMPOP", "0", "1", "there", "LEFT", "COUNT", String(burst));

async function pushAll(client: RedisClient, { sizeBytes, count }: Task): Promise<void> {
  const onTheWay: Promise<Reply>[] = [];
  for (let index = 0; index < count;) {
    const end = Math.min(count, index + burst);
    const values = Array.from({ length: end - index }, (_, place) => makeStamped(index + place, sizeBytes));
    onTheWay.push(client.send(encodeCommand("RPUSH", "there", ...values)));
    index = end;
    if (onTheWay.length < burstsOnTheWay) continue;
    // oxlint-disable-next-line no-await-in-loop
    const length = await onTheWay.shift();
    // oxlint-disable-next-line no-await-in-loop
    if (Number(length) > maxLength) await sleep(1);
  }
  await Promise.all(onTheWay);
}

async function drive(link: Link): Promise<Driver> {
  const server = await startServer(link);
  const client = await RedisClient.connect(socketIn(link));
  await client.send(encodeCommand("LMPOP", "1", "there", "LEFT")); // fails before Redis 7
  return {
    roundTrips: ({ sizeBytes, count }) =>
      timeAwaitedTrips(count, async (index) => {
        const pushed = client.send(encodeCommand("RPUSH", "there", makeStamped(index, sizeBytes)));
        const [, reply] = await Promise.all([pushed, client.send(popBack)]);
        check(valueOf(reply), index, sizeBytes);
      }),
    oneWay: (task) => pushAll(client, task),
    close() {
      client.close();
      server.kill("SIGKILL");
    },
  };
}

async function echoAll(client: RedisClient, { count }: Task): Promise<Receipt> {
  const tally = new Tally();
  let next = client.send(popThere);
  while (tally.count < count) {
    // oxlint-disable-next-line no-await-in-loop
    const value = valueOf(await next);
    tally.add(value[0] ?? 0, value[value.length - 1] ?? 0);
    const pushed = client.send(encodeCommand("RPUSH", "back", value));
    if (tally.count < count) next = client.send(popThere);
    // oxlint-disable-next-line no-await-in-loop
    else await pushed;
  }
  return tally.receipt();
}

async function takeAll(client: RedisClient, { count }: Task): Promise<Receipt> {
  const tally = new Tally();
  while (tally.count < count) {
    // oxlint-disable-next-line no-await-in-loop
    const [, values] = (await client.send(popMany)) as [Buffer, Buffer[]];
    for (const value of values) tally.add(value[0] ?? 0, value[value.length - 1] ?? 0);
  }
  return tally.receipt();
}

async function serve(link: Link): Promise<Server> {
  const client = await RedisClient.connect(socketIn(link));
  return {
    echo: (task) => echoAll(client, task),
    drain: (task) => takeAll(client, task),
    close: () => client.close(),
  };
}

export const redis: Contender = { partner: "process", drive, serve };
