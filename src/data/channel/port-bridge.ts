/**
 * MessagePorts that are sent through a port: each becomes a channel of it. At the sending end the port stays and is listened to;
 * at the other end a new pair is made, one port of which is in the message, and the other one is listened to. What either hears
 * goes to the other end as a message for the channel.
 */

import { MessageChannel } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";
import { PORT_CLOSE, PORT_VALUE } from "../../layout/port.ts";
import { dataCloneError, decode, encode } from "./port-clone.ts";
import type { Decoded } from "./port-clone.ts";

/** What bridges do to their port. */
export interface BridgeEnds {
  /** Sends what a channel has to say. */
  post(channel: number, what: number, frame: Uint8Array): void;
  /** Something that came from a channel cannot be sent on, or read. */
  fail(error: unknown): void;
}

export interface Bridges {
  /** The message; the ports in it that are in the list become channels once it is written. @throws DataCloneError */
  encode(value: unknown, ports: readonly MessagePort[]): Uint8Array;
  /** What a message says, and the ports that it brought. */
  decode(frame: Uint8Array): Decoded;
  /** A message for a channel; one that is not there any more gets none. */
  take(channel: number, what: number, frame: Uint8Array): void;
  /** Closes all. */
  close(): void;
}

const nothing = new Uint8Array(0);

/** @param side 0 or 1: which numbers of channels this end gives */
export function makeBridges(side: number, ends: BridgeEnds): Bridges {
  const channels = new Map<number, MessagePort>();
  let count = 0;

  /** Channel 0 is the port itself. */
  const nextChannel = (): number => 2 * ++count + side;

  const listen = (channel: number, port: MessagePort): void => {
    channels.set(channel, port);
    // Events tell of the ports that came with a message.
    (port as unknown as EventTarget).addEventListener("message", (event) => {
      const { data, ports } = event as unknown as { data: unknown; ports: readonly MessagePort[] };
      try {
        ends.post(channel, PORT_VALUE, write(data, ports));
      } catch (error) {
        ends.fail(error);
      }
    });
    port.on("close", () => {
      if (channels.delete(channel)) ends.post(channel, PORT_CLOSE, nothing);
    });
    // Whoever has the other end of it keeps the process alive, if anybody.
    port.unref();
  };

  /** Ports are taken over once the message is written: whoever had them cannot use them any more. */
  const write = (value: unknown, ports: readonly MessagePort[]): Uint8Array => {
    const numbers = new Map(ports.map((port) => [port, nextChannel()]));
    if (numbers.size < ports.length) throw dataCloneError("a MessagePort is in the list of transfers twice");
    const frame = encode(value, ports, (port) => numbers.get(port));
    for (const [port, channel] of numbers) listen(channel, structuredClone(port, { transfer: [port] }));
    return frame;
  };

  const read = (frame: Uint8Array): Decoded =>
    decode(frame, (channel) => {
      const { port1, port2 } = new MessageChannel();
      listen(channel, port2);
      return port1;
    });

  return {
    encode: write,
    decode: read,
    take(channel, what, frame) {
      const port = channels.get(channel);
      if (port === undefined) return;
      if (what === PORT_CLOSE) {
        channels.delete(channel);
        port.close();
        return;
      }
      try {
        const { value, ports } = read(frame);
        port.postMessage(value, ports);
      } catch (error) {
        ends.fail(error);
      }
    },
    close() {
      for (const [channel, port] of channels) {
        channels.delete(channel);
        port.close();
      }
    },
  };
}
