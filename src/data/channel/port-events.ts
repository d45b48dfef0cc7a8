/**
 * A port's listeners, in both styles that Node's MessagePort has: EventTarget's, which get an event, and EventEmitter's, which
 * get the value. Of one list, in the order in which they came.
 */

import { shoalError } from "../../errors.ts";

export type PortEventType = "message" | "messageerror" | "close";

/** What EventTarget's listeners get. */
export class PortEvent extends Event {
  /** The message; of "messageerror" the error. */
  readonly data: unknown;
  /** Ports that came with it. */
  readonly ports: readonly unknown[];
  readonly origin: string = "";
  readonly lastEventId: string = "";
  readonly source: null = null;
  readonly #target: object;

  /** @internal */
  constructor(type: PortEventType, target: object, data: unknown, ports: readonly unknown[]) {
    super(type);
    this.#target = target;
    this.data = data;
    this.ports = ports;
  }

  // What dispatches it is no EventTarget of Node's, which would set them.
  override get target(): EventTarget {
    return this.#target as EventTarget;
  }

  override get currentTarget(): EventTarget {
    return this.target;
  }
}

export type EventListenerLike = ((event: PortEvent) => unknown) | { handleEvent(event: PortEvent): unknown };

/** For on() and its like: messages' values, errors, and nothing when the port closes. */
export type ValueListener = (value: unknown) => unknown;

export interface ListenerOptions {
  readonly once?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface Entry {
  readonly type: PortEventType;
  readonly listener: EventListenerLike | ValueListener;
  /** Gets the event, or its data. */
  readonly isEvent: boolean;
  readonly isOnce: boolean;
  isOver: boolean;
}

export interface Listeners {
  add(type: string, listener: unknown, isEvent: boolean, options?: ListenerOptions | boolean): void;
  remove(type: string, listener: unknown): void;
  removeAll(type?: string): void;
  count(type: string): number;
  /** The one that was assigned to on… */
  handler(type: PortEventType): ((event: PortEvent) => unknown) | null;
  setHandler(type: PortEventType, listener: ((event: PortEvent) => unknown) | null): void;
  /** Calls those of that type. What they throw is nobody's who called this: it is thrown by the event loop. */
  dispatch(type: PortEventType, data: unknown, ports?: readonly unknown[]): void;
}

function isListener(listener: unknown): listener is EventListenerLike {
  if (typeof listener === "function") return true;
  return typeof listener === "object" && listener !== null && "handleEvent" in listener;
}

function call(entry: Entry, target: object, event: PortEvent): void {
  const { listener, isEvent } = entry;
  try {
    if (!isEvent) (listener as ValueListener).call(target, event.data);
    else if (typeof listener === "function") listener.call(target, event);
    else listener.handleEvent(event);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/**
 * @param targetOf the port, for events
 * @param onCount told how many listen to messages, and whether they have become more, whenever that changes
 */
export function makeListeners(
  targetOf: () => object,
  onCount: (messageListeners: number, hasGrown: boolean) => void,
): Listeners {
  let entries: Entry[] = [];
  const handlers = new Map<PortEventType, Entry>();

  const count = (type: string): number => entries.filter((entry) => entry.type === type).length;

  const changed = (type: string, hasGrown: boolean): void => {
    if (type === "message") onCount(count("message"), hasGrown);
  };

  const drop = (entry: Entry): void => {
    if (entry.isOver) return;
    entry.isOver = true;
    entries = entries.filter((one) => one !== entry);
    changed(entry.type, false);
  };

  const push = (entry: Entry): void => {
    entries = [...entries, entry];
    changed(entry.type, true);
  };

  return {
    count,
    add(type, listener, isEvent, options) {
      const { once = false, signal } = typeof options === "object" ? options : {};
      if (listener === null && isEvent) return;
      if (!isListener(listener))
        throw shoalError("ERR_SHOAL_ARGUMENT", `the listener of "${type}" is no function`, { type });
      if (signal?.aborted === true) return;
      // An EventTarget has a listener once.
      if (isEvent && entries.some((one) => one.type === type && one.listener === listener && one.isEvent))
        return;
      const entry: Entry = { type: type as PortEventType, listener, isEvent, isOnce: once, isOver: false };
      push(entry);
      signal?.addEventListener("abort", () => drop(entry), { once: true });
    },
    remove(type, listener) {
      const entry = entries.findLast((one) => one.type === type && one.listener === listener);
      if (entry !== undefined && ![...handlers.values()].includes(entry)) drop(entry);
    },
    removeAll(type) {
      for (const entry of entries) if (type === undefined || entry.type === type) drop(entry);
      for (const [at, entry] of handlers) if (entry.isOver) handlers.delete(at);
    },
    handler: (type) => (handlers.get(type)?.listener as ((event: PortEvent) => unknown) | undefined) ?? null,
    setHandler(type, listener) {
      const before = handlers.get(type);
      handlers.delete(type);
      if (typeof listener === "function") {
        const entry: Entry = { type, listener, isEvent: true, isOnce: false, isOver: false };
        handlers.set(type, entry);
        push(entry);
      }
      if (before !== undefined) drop(before);
    },
    dispatch(type, data, ports = []) {
      let event: PortEvent | undefined;
      for (const entry of entries) {
        if (entry.type !== type || entry.isOver) continue;
        if (entry.isOnce) drop(entry);
        event ??= new PortEvent(type, targetOf(), data, ports);
        call(entry, targetOf(), event);
      }
    },
  };
}
