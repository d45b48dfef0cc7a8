/**
 * Codecs: how messages become bytes. JSON is written straight into the shared memory and read from there; the others give and
 * take bytes.
 */

import { createRequire } from "node:module";
import { shoalError } from "../../errors.ts";

/** Makes bytes of messages, and messages of bytes. */
export interface Codec<T = unknown> {
  /** Of the codec, for messages of errors. */
  readonly name?: string;
  /** The bytes may be overwritten by the next call. */
  encode(message: T): Uint8Array;
  /** `bytes` are shared memory that others will write again: what is kept has to be copied. */
  decode(bytes: Uint8Array): T;
}

/** A codec by name: text as JSON; bytes as they are; MessagePack, if the package msgpackr is installed. */
export type CodecName = "json" | "raw" | "msgpack";

/** What channels use: one of the two forms. */
export interface TextCodec {
  readonly isText: true;
  readonly name: string;
  encode(message: unknown): string;
  decode(text: string): unknown;
}

export interface BytesCodec {
  readonly isText: false;
  readonly name: string;
  encode(message: unknown): Uint8Array;
  decode(bytes: Uint8Array): unknown;
}

export type AnyCodec = TextCodec | BytesCodec;

/** Numbers of codecs in a channel's flags; 0 = none was named. */
export const CODEC_NUMBERS: Readonly<Record<CodecName | "own", number>> = {
  json: 1,
  raw: 2,
  msgpack: 3,
  own: 4,
};

const json: TextCodec = {
  isText: true,
  name: "json",
  encode(message) {
    const text = JSON.stringify(message);
    // What JSON leaves out has no text.
    if (typeof text === "string") return text;
    throw shoalError("ERR_SHOAL_CODEC", `a ${typeof message} is nothing that JSON can say`, {
      codec: "json",
    });
  },
  decode: (text) => JSON.parse(text) as unknown,
};

const raw: BytesCodec = {
  isText: false,
  name: "raw",
  encode(message) {
    if (message instanceof Uint8Array) return message;
    if (ArrayBuffer.isView(message))
      return new Uint8Array(message.buffer, message.byteOffset, message.byteLength);
    if (message instanceof ArrayBuffer) return new Uint8Array(message);
    throw shoalError("ERR_SHOAL_CODEC", `a raw channel's messages are bytes, not a ${typeof message}`, {
      codec: "raw",
    });
  },
  // Of shared memory this is a copy that is not shared.
  decode: (bytes) => new Uint8Array(bytes),
};

interface Packr {
  pack(message: unknown): Uint8Array;
  unpack(bytes: Uint8Array): unknown;
}

let packr: Packr | undefined;

/** msgpackr is nobody's dependency: who wants it installs it. */
function loadPackr(): Packr {
  if (packr !== undefined) return packr;
  try {
    const { Packr: Maker } = createRequire(import.meta.url)("msgpackr") as {
      Packr: new (options: object) => Packr;
    };
    packr = new Maker({ useRecords: false, copyBuffers: true });
    return packr;
  } catch (cause) {
    const message = 'the codec "msgpack" needs the package msgpackr: install it, or use another codec';
    throw shoalError("ERR_SHOAL_CODEC", message, { codec: "msgpack" }, cause);
  }
}

function msgpack(): BytesCodec {
  const { pack, unpack } = ((made) => ({
    pack: (message: unknown) => made.pack(message),
    unpack: (bytes: Uint8Array) => made.unpack(bytes),
  }))(loadPackr());
  // It reads what it is given as a Buffer, and must not be given shared memory, which changes while it reads.
  return { isText: false, name: "msgpack", encode: pack, decode: (bytes) => unpack(Buffer.from(bytes)) };
}

/** The codec that an option names. @throws ERR_SHOAL_ARGUMENT, ERR_SHOAL_CODEC (msgpackr is not installed) */
export function codecOf(option: CodecName | Codec): AnyCodec {
  if (option === "json") return json;
  if (option === "raw") return raw;
  if (option === "msgpack") return msgpack();
  if (
    typeof option === "object" &&
    typeof option.encode === "function" &&
    typeof option.decode === "function"
  ) {
    const { name = "the codec", encode, decode } = option;
    return {
      isText: false,
      name,
      encode: (message) => encode.call(option, message),
      decode: (bytes) => decode.call(option, bytes),
    };
  }
  const message = `codec must be "json", "raw", "msgpack" or an object with encode and decode, not ${String(option)}`;
  throw shoalError("ERR_SHOAL_ARGUMENT", message, { codec: String(option) });
}
