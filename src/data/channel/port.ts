/**
 * Port: what worker_threads' MessagePort is between threads, between processes. Two sides of one name, a queue each way.
 *
 * Posting never waits: what finds no room, or nobody at the other side yet, waits in a list here, and goes out in its order.
 * A port is over when either side closes it, or dies: the other side gets what was sent before, and then "close". Who has which
 * side, and who is connected with whom: port-place.ts. Ports within messages: port-bridge.ts.
 */

import { MessagePort } from "node:worker_threads";
import { shoalError } from "../../errors.ts";
import type { Heap } from "../../heap/index.ts";
import {
  PORT_HEAD_BYTES,
  PORT_HEAD_CHANNEL,
  PORT_HEAD_SERIAL,
  PORT_HEAD_WHAT,
  PORT_VALUE,
} from "../../layout/port.ts";
import type { Decoded } from "./port-clone.ts";
import { makeSender } from "./port-sender.ts";
import { waitAsync } from "../../sync/wait.ts";
import { makeBridges } from "./port-bridge.ts";
import { dataCloneError } from "./port-clone.ts";
import { makeListeners } from "./port-events.ts";
import type { EventListenerLike, ListenerOptions, PortEvent, ValueListener } from "./port-events.ts";
import { takeSide } from "./port-place.ts";
import type { PortOptions } from "./port-place.ts";

/** What goes with a message: MessagePorts, which are handed over, and ArrayBuffers, which are copied all the same. */
export type TransferList = readonly (MessagePort | ArrayBuffer)[];

/** One side of a port. Closed at the end of a `using` scope. */
export interface Port extends Disposable {
  readonly name: string;
  /** Which side this is: 0 for the one that came first. */
  readonly side: number;
  /** Somebody has the other side. */
  readonly connected: boolean;
  readonly closed: boolean;
  /** Messages that wait here: for room, or for somebody at the other side. */
  readonly backlog: number;

  /**
   * Sends a structured clone of `value`. Never waits. On a closed port nothing happens.
   *
   * @throws DataCloneError (a DOMException): functions, SharedArrayBuffers and other things that no other process can have
   */
  postMessage(value: unknown, transfer?: TransferList | { readonly transfer?: TransferList }): void;
  /** Messages come from now on. Called by the first listener for "message". */
  start(): void;
  /** What was posted is still sent, if somebody has the other side. */
  close(): void;
  /** A port keeps the process alive while somebody listens for messages, or after ref(). */
  ref(): void;
  unref(): void;
  hasRef(): boolean;

  onmessage: ((event: PortEvent) => unknown) | null;
  onmessageerror: ((event: PortEvent) => unknown) | null;
  onclose: ((event: PortEvent) => unknown) | null;
  addEventListener(
    type: string,
    listener: EventListenerLike | null,
    options?: ListenerOptions | boolean,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerLike | null,
    options?: ListenerOptions | boolean,
  ): void;
  on(type: string, listener: ValueListener): Port;
  addListener(type: string, listener: ValueListener): Port;
  once(type: string, listener: ValueListener): Port;
  off(type: string, listener: ValueListener): Port;
  removeListener(type: string, listener: ValueListener): Port;
  removeAllListeners(type?: string): Port;
  listenerCount(type: string): number;
}

/** Messages that are delivered in a row before the event loop has its turn. */
const MOST_IN_A_ROW = 100;

function splitTransfers(
  transfer: TransferList | { readonly transfer?: TransferList },
): readonly MessagePort[] {
  const list = Symbol.iterator in transfer ? transfer : (transfer.transfer ?? []);
  const ports: MessagePort[] = [];
  for (const one of list) {
    if (one instanceof MessagePort) ports.push(one);
    else if (!(one instanceof ArrayBuffer))
      throw dataCloneError(
        "only MessagePorts and ArrayBuffers can be in the list of what is to be transferred",
      );
  }
  return ports;
}

/** Takes a side of the port `name`. @throws ERR_SHOAL_TAKEN (both sides have somebody), and as openObject */
export function openPort(heap: Heap, name: string, options: PortOptions = {}): Port {
  if (typeof name !== "string")
    throw shoalError("ERR_SHOAL_ARGUMENT", "a port is opened by its name", { name: String(name) });
  const seat = takeSide(heap, name, options);
  const { inbound, point, context } = seat;
  const { region } = context;
  const { onEnd } = region.session;
  let state: "open" | "closing" | "closed" = "open";
  let isPartnerGone = false;
  let isStarted = false;
  let isRef = false;
  const receiving = new AbortController();
  /** Of the wait for the partner to come or go; it is begun anew when it is to keep the process alive, or is not. */
  let watching = new AbortController();

  const fail = (error: unknown): void => listeners.dispatch("messageerror", error);

  const sender = makeSender(seat, {
    drained: () => {
      if (state === "closing") finish();
    },
    fail,
  });

  const bridges = makeBridges(seat.side, {
    post: (channel, what, frame) => {
      if (state === "open") sender.post(channel, what, frame);
    },
    fail,
  });

  const listeners = makeListeners(
    () => port,
    (count, hasGrown) => {
      if (count > (hasGrown ? 1 : 0)) return;
      setRef(hasGrown);
      if (hasGrown) start();
    },
  );

  const setRef = (wanted: boolean): void => {
    if (state !== "open" || isRef === wanted) return;
    isRef = wanted;
    watching.abort();
  };

  const deliver = (frame: Uint8Array): void => {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    // Some are for who had this side before.
    if (frame.length < PORT_HEAD_BYTES || view.getUint32(PORT_HEAD_SERIAL, true) !== seat.serial) return;
    const channel = view.getUint32(PORT_HEAD_CHANNEL, true);
    if (channel !== 0) return bridges.take(channel, view.getUint32(PORT_HEAD_WHAT, true), frame);
    let message: Decoded;
    try {
      message = bridges.decode(frame);
    } catch (error) {
      return fail(error);
    }
    listeners.dispatch("message", message.value, message.ports);
  };

  /** The next message; undefined: there is none, and will be none, or it could not be had. */
  const nextFrame = async (): Promise<Uint8Array | undefined> => {
    if (!isPartnerGone) {
      try {
        return await inbound.receive({ signal: receiving.signal, ref: false });
      } catch (error) {
        // It is gone now, or this port closed.
        if (!receiving.signal.aborted && !region.closed) fail(error);
      }
    }
    return state === "open" && !region.closed ? inbound.tryReceive() : undefined;
  };

  const receive = async (): Promise<void> => {
    // oxlint-disable-next-line no-unmodified-loop-condition -- others close it
    for (let count = 0; state === "open"; count++) {
      // oxlint-disable no-await-in-loop -- one after the other
      if (count % MOST_IN_A_ROW === 0) await new Promise(setImmediate);
      const frame = await nextFrame();
      if (state !== "open") return;
      if (frame !== undefined) deliver(frame);
      else if (isPartnerGone) return finish();
      // oxlint-enable no-await-in-loop
    }
  };

  /** A queue that is damaged, or destroyed, is the end of the port. */
  const receiveAll = async (): Promise<void> => {
    try {
      await receive();
    } catch (error) {
      if (state !== "open" || region.closed) return;
      fail(error);
      finish();
    }
  };

  const start = (): void => {
    if (isStarted || state !== "open") return;
    isStarted = true;
    void receiveAll();
  };

  const lose = (): void => {
    isPartnerGone = true;
    sender.stop();
    receiving.abort();
    // What it has sent before is still to be had.
    if (state === "closing" || (!isStarted && inbound.depth === 0)) finish();
  };

  /** Sees the partner come and go. */
  const watch = async (): Promise<void> => {
    const attempt = (): number => {
      if (sender.partner === 0) return seat.partner() === 0 ? 0 : 1;
      return seat.isPartnerGone() ? 1 : 0;
    };
    // oxlint-disable-next-line no-unmodified-loop-condition -- others change both
    while (state !== "closed" && !isPartnerGone) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        await waitAsync(point, attempt, { signal: watching.signal, ref: isRef }, "port");
        if (sender.partner === 0) sender.connect(seat.partner());
        else lose();
      } catch {
        if (!watching.signal.aborted) return;
        watching = new AbortController();
      }
    }
  };

  /** What was posted has been sent, or cannot be. */
  const finish = (): void => {
    if (state === "closed") return;
    state = "closed";
    onEnd.delete(finish);
    sender.stop();
    receiving.abort();
    watching.abort();
    bridges.close();
    seat.leave();
    setImmediate(() => listeners.dispatch("close", undefined));
  };

  const port: Port = {
    name,
    side: seat.side,
    get connected() {
      return state === "open" && sender.partner !== 0 && !isPartnerGone;
    },
    get closed() {
      return state !== "open";
    },
    get backlog() {
      return sender.backlog;
    },
    postMessage(value, transfer = []) {
      const frame = bridges.encode(value, splitTransfers(transfer));
      if (state === "open") sender.post(0, PORT_VALUE, frame);
    },
    start,
    close() {
      if (state !== "open") return;
      state = "closing";
      receiving.abort();
      if (sender.backlog === 0 || sender.partner === 0 || isPartnerGone) finish();
    },
    ref: () => setRef(true),
    unref: () => setRef(false),
    hasRef: () => isRef && state === "open",
    get onmessage() {
      return listeners.handler("message");
    },
    set onmessage(listener) {
      listeners.setHandler("message", listener);
    },
    get onmessageerror() {
      return listeners.handler("messageerror");
    },
    set onmessageerror(listener) {
      listeners.setHandler("messageerror", listener);
    },
    get onclose() {
      return listeners.handler("close");
    },
    set onclose(listener) {
      listeners.setHandler("close", listener);
    },
    addEventListener: (type, listener, how) => listeners.add(type, listener, true, how),
    removeEventListener: (type, listener) => listeners.remove(type, listener),
    on(type, listener) {
      listeners.add(type, listener, false);
      return port;
    },
    once(type, listener) {
      listeners.add(type, listener, false, { once: true });
      return port;
    },
    off(type, listener) {
      listeners.remove(type, listener);
      return port;
    },
    addListener: (type, listener) => port.on(type, listener),
    removeListener: (type, listener) => port.off(type, listener),
    removeAllListeners(type) {
      listeners.removeAll(type);
      return port;
    },
    listenerCount: (type) => listeners.count(type),
    [Symbol.dispose]: () => port.close(),
  };

  // The region is about to be closed by this thread: whoever has the other side sees this one go.
  onEnd.add(finish);
  void watch();
  return port;
}
