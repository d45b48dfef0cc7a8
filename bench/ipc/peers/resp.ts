/** As much of the protocol of Redis as the benchmark needs: commands, and their replies one after the other. */

import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";

export type Reply = number | string | Buffer | null | Error | readonly Reply[];

const lineEnd = "\r\n";

/** A command's bytes. */
export function encodeCommand(...words: readonly (string | Uint8Array)[]): Buffer {
  const parts = words.flatMap((word) => {
    const bytes = Buffer.from(word as string);
    return [Buffer.from(`$${bytes.length}${lineEnd}`), bytes, Buffer.from(lineEnd)];
  });
  return Buffer.concat([Buffer.from(`*${words.length}${lineEnd}`), ...parts]);
}

interface Parsed {
  readonly reply: Reply;
  /** Where the next one begins. */
  readonly end: number;
}

function parseBulk(bytes: Buffer, start: number, sizeBytes: number): Parsed | undefined {
  if (sizeBytes < 0) return { reply: null, end: start };
  const end = start + sizeBytes + lineEnd.length;
  return end > bytes.length ? undefined : { reply: bytes.subarray(start, start + sizeBytes), end };
}

function parseArray(bytes: Buffer, start: number, count: number): Parsed | undefined {
  if (count < 0) return { reply: null, end: start };
  const replies: Reply[] = [];
  let end = start;
  for (let index = 0; index < count; index += 1) {
    const parsed = parseReply(bytes, end);
    if (parsed === undefined) return undefined;
    replies.push(parsed.reply);
    end = parsed.end;
  }
  return { reply: replies, end };
}

/** The reply that begins at `start`; undefined if not all of it is there. */
export function parseReply(bytes: Buffer, start: number): Parsed | undefined {
  const lineStop = bytes.indexOf(lineEnd, start);
  if (lineStop < 0) return undefined;
  const kind = String.fromCharCode(bytes[start] ?? 0);
  const line = bytes.toString("latin1", start + 1, lineStop);
  const end = lineStop + lineEnd.length;
  if (kind === "+") return { reply: line, end };
  if (kind === "-") return { reply: new Error(line), end };
  if (kind === ":") return { reply: Number(line), end };
  if (kind === "$") return parseBulk(bytes, end, Number(line));
  if (kind === "*") return parseArray(bytes, end, Number(line));
  throw new Error(`Redis answered with ${JSON.stringify(kind)}.`);
}

/** A connection, with any number of commands on their way. Replies come in the commands' order. */
export class RedisClient {
  readonly #socket: Socket;
  readonly #waiting: { resolve: (reply: Reply) => void; reject: (error: Error) => void }[] = [];
  #rest: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk) => this.#take(chunk));
    socket.on("close", () => {
      for (const { reject } of this.#waiting.splice(0))
        reject(new Error("the connection to Redis is closed."));
    });
    // What it comes to is told by "close".
    socket.on("error", () => undefined);
  }

  static async connect(path: string): Promise<RedisClient> {
    const socket = connect({ path });
    await once(socket, "connect");
    return new RedisClient(socket);
  }

  /** Rejects if Redis answers with an error. */
  send(command: Uint8Array): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#socket.write(command);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let start = 0;
    for (let parsed = parseReply(bytes, 0); parsed !== undefined; parsed = parseReply(bytes, start)) {
      start = parsed.end;
      const waiting = this.#waiting.shift();
      if (parsed.reply instanceof Error) waiting?.reject(parsed.reply);
      else waiting?.resolve(parsed.reply);
    }
    this.#rest = bytes.subarray(start);
  }
}
