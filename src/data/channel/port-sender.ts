/** What a port sends: at once where it can be, else from a list, in the order in which it was posted. */

import { PORT_HEAD_BYTES, PORT_HEAD_CHANNEL, PORT_HEAD_SERIAL, PORT_HEAD_WHAT } from "../../layout/port.ts";
import type { Seat } from "./port-place.ts";

export interface Sender {
  /** The serial of the one it sends to; 0: there is nobody yet. */
  readonly partner: number;
  /** Messages that are still here. */
  readonly backlog: number;
  /** Sends `frame`, whose first bytes are room for the head; without any it is a head. Errors as Channel.trySend. */
  post(channel: number, what: number, frame: Uint8Array): void;
  /** Somebody has come. */
  connect(partner: number): void;
  /** Nothing more is sent. */
  stop(): void;
}

/** What the sender tells. */
export interface SenderEnds {
  /** The list is empty again. */
  drained(): void;
  /** A message of the list could not be sent, and is lost. */
  fail(error: unknown): void;
}

export function makeSender({ outbound, partner: partnerOf }: Seat, ends: SenderEnds): Sender {
  const stopping = new AbortController();
  const { signal } = stopping;
  let backlog: Uint8Array[] = [];
  /** Of the part of the list that is being sent. */
  let left = 0;
  let partner = partnerOf();
  let isDraining = false;

  const address = (frame: Uint8Array): Uint8Array => {
    new DataView(frame.buffer, frame.byteOffset).setUint32(PORT_HEAD_SERIAL, partner, true);
    return frame;
  };

  /** Whatever is in the list keeps the process alive, as long as there is somebody to send it to. */
  const drain = async (): Promise<void> => {
    isDraining = true;
    while (backlog.length > 0 && !signal.aborted) {
      const frames = backlog;
      backlog = [];
      left = frames.length;
      for (let index = 0; index < frames.length && !signal.aborted; index++) {
        try {
          // oxlint-disable-next-line no-await-in-loop -- one after the other
          await outbound.send(address(frames[index]!), { signal });
        } catch (error) {
          if (!signal.aborted) ends.fail(error);
        }
        left--;
      }
    }
    isDraining = false;
    left = 0;
    if (!signal.aborted) ends.drained();
  };

  return {
    get partner() {
      return partner;
    },
    get backlog() {
      return backlog.length + left;
    },
    post(channel, what, frame) {
      if (signal.aborted) return;
      const message = frame.length > 0 ? frame : new Uint8Array(PORT_HEAD_BYTES);
      const view = new DataView(message.buffer, message.byteOffset);
      view.setUint32(PORT_HEAD_CHANNEL, channel, true);
      view.setUint32(PORT_HEAD_WHAT, what, true);
      if (partner !== 0 && !isDraining && outbound.trySend(address(message))) return;
      backlog.push(message);
      if (partner !== 0 && !isDraining) void drain();
    },
    connect(serial) {
      partner = serial;
      if (backlog.length > 0) void drain();
    },
    stop() {
      stopping.abort();
      backlog = [];
    },
  };
}
