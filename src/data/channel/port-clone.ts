/**
 * Structured clones that go to another process: v8's own format, behind the head of a port's message. MessagePorts in it are
 * numbers of channels; whose they are is for port-bridge.ts.
 */

import { Buffer } from "node:buffer";
import v8 from "node:v8";
import { MessagePort } from "node:worker_threads";
import { PORT_HEAD_BYTES } from "../../layout/port.ts";

/** The error for what cannot be sent, as structured cloning has it. */
export function dataCloneError(message: string): Error {
  return new DOMException(message, "DataCloneError");
}

/** Which channel a port in a message is to be; undefined: it may not be sent. */
export type NumberPort = (port: MessagePort) => number | undefined;

/** The port at this end of a channel that came with a message. */
export type PortOf = (channel: number) => MessagePort;

export interface Decoded {
  readonly value: unknown;
  readonly ports: readonly MessagePort[];
}

const HOST_PORT = 1;

const head = new Uint8Array(PORT_HEAD_BYTES);

function describe(value: object): string {
  return value.constructor?.name ?? "object";
}

// Classes of Node's, made when they are first wanted: other runtimes may be without.
let codec: { readonly write: typeof encode; readonly read: typeof decode } | undefined;

function makeCodec(): NonNullable<typeof codec> {
  class Writer extends v8.Serializer {
    readonly #number: NumberPort;

    constructor(number: NumberPort) {
      super();
      this.#number = number;
    }

    _writeHostObject(value: object): void {
      const channel = value instanceof MessagePort ? this.#number(value) : undefined;
      if (value instanceof MessagePort && channel === undefined)
        throw dataCloneError("a MessagePort in the message is not in the list of what is to be transferred");
      if (channel === undefined)
        throw dataCloneError(`an object of class ${describe(value)} cannot be sent to another process`);
      this.writeUint32(HOST_PORT);
      this.writeUint32(channel);
    }

    _getSharedArrayBufferId(): number {
      throw dataCloneError(
        "a SharedArrayBuffer cannot be sent to another process; put what it holds into the heap",
      );
    }

    _getDataCloneError(message: string): Error {
      return dataCloneError(message);
    }
  }

  class Reader extends v8.Deserializer {
    readonly #portOf: PortOf;

    constructor(bytes: Uint8Array, portOf: PortOf) {
      super(bytes);
      this.#portOf = portOf;
    }

    _readHostObject(): unknown {
      const kind = this.readUint32();
      if (kind !== HOST_PORT) throw new Error(`a message has an object of unknown kind ${kind}`);
      return this.#portOf(this.readUint32());
    }
  }

  return {
    write(value, ports, number) {
      const writer = new Writer(number);
      writer.writeRawBytes(head);
      writer.writeHeader();
      writer.writeUint32(ports.length);
      writer.writeValue(value);
      if (ports.length > 0) writer.writeValue(ports);
      return writer.releaseBuffer();
    },
    read(frame, portOf) {
      const reader = new Reader(
        Buffer.from(frame.buffer, frame.byteOffset, frame.length).subarray(PORT_HEAD_BYTES),
        portOf,
      );
      reader.readHeader();
      const count = reader.readUint32();
      const value: unknown = reader.readValue();
      return { value, ports: count === 0 ? [] : (reader.readValue() as MessagePort[]) };
    },
  };
}

/**
 * The message, behind room for its head.
 *
 * @param ports those that go with it, whether they are in the value or not
 * @throws DataCloneError (a DOMException)
 */
export function encode(value: unknown, ports: readonly MessagePort[], number: NumberPort): Uint8Array {
  codec ??= makeCodec();
  return codec.write(value, ports, number);
}

/** What a message says, and the ports that it brings. Throws an Error when it is none. */
export function decode(frame: Uint8Array, portOf: PortOf): Decoded {
  codec ??= makeCodec();
  return codec.read(frame, portOf);
}
