/** The protocol of Redis, as far as its peer speaks it; the server is played by a socket. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import type { Socket } from "node:net";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { findRedis } from "../../bench/ipc/peers/redis.ts";
import { RedisClient, encodeCommand, parseReply } from "../../bench/ipc/peers/resp.ts";
import { freshFolder } from "../helpers/segments.ts";

test("a command is written with the lengths of its words, bytes as they are", () => {
  const bytes = encodeCommand("RPUSH", "ä", Uint8Array.of(0, 13, 10, 255));
  assert.equal(
    bytes.toString("latin1"),
    "*3\r\n$5\r\nRPUSH\r\n$2\r\n\u00c3\u00a4\r\n$4\r\n\u0000\r\n\u00ff\r\n",
  );
});

test("every kind of reply is read, wherever it is cut", () => {
  const whole = Buffer.from(":12\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n+OK\r\n*2\r\n$1\r\nk\r\n*1\r\n:7\r\n");
  const replies = [12, Buffer.from("a\r\n"), null, null, "OK", [Buffer.from("k"), [7]]];
  let start = 0;
  for (const expected of replies) {
    const parsed = parseReply(whole, start) ?? assert.fail("incomplete");
    for (let cut = start; cut < parsed.end; cut += 1) {
      assert.equal(parseReply(whole.subarray(0, cut), start), undefined);
    }
    assert.deepEqual(parsed.reply, expected);
    start = parsed.end;
  }
  assert.equal(start, whole.length);
  assert.throws(() => parseReply(Buffer.from("?\r\n"), 0), /Redis answered with "\?"/);
});

test("a client gives each command its reply, and an end or an error to those that get none", async (t) => {
  const path = join(freshFolder(t), "redis");
  const server = createServer().listen(path);
  t.after(() => server.close());
  const connected = once(server, "connection") as Promise<[Socket]>;
  const client = await RedisClient.connect(path);
  t.after(() => client.close());
  const [socket] = await connected;
  const answers = [1, 2, 3, 4].map((index) => client.send(encodeCommand(`COMMAND${index}`)));
  const settled = Promise.allSettled(answers);
  socket.write(":1\r\n-ERR unknown comm");
  await once(socket, "data");
  socket.write("and\r\n$2\r\nab\r\n");
  await answers[2];
  socket.destroy();
  const [first, second, third, fourth] = await settled;
  assert.deepEqual(first, { status: "fulfilled", value: 1 });
  assert.match(String(second?.status === "rejected" && second.reason), /ERR unknown command/);
  assert.deepEqual(third, { status: "fulfilled", value: Buffer.from("ab") });
  assert.match(String(fourth?.status === "rejected" && fourth.reason), /connection to Redis is closed/);
});

test("a server is looked for along the path, and must be a program", (t) => {
  const [one, other] = [freshFolder(t), freshFolder(t)];
  const file = join(other, "redis-server");
  assert.equal(findRedis(`${one}:${other}`), undefined);
  writeFileSync(file, "");
  chmodSync(file, 0o644);
  assert.equal(findRedis(`${one}::${other}`), undefined);
  chmodSync(file, 0o755);
  assert.equal(findRedis(`${one}::${other}`), file);
});
