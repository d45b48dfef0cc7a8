/** ringbuf.js: a ring in a SharedArrayBuffer, one for each direction, that two threads poll. */

import { patienceMs } from "../contender.ts";
import type { Contender, Driver, Server, Task } from "../contender.ts";
import { Tally, check, makeMessage, stamp } from "../messages.ts";
import type { Receipt } from "../messages.ts";
import { timeTrips } from "../time.ts";
import { loadPackage } from "./packages.ts";

interface Ring {
  push(bytes: Uint8Array, length: number): number;
  pop(bytes: Uint8Array, length: number): number;
  available_read(): number;
  available_write(): number;
}

interface Module {
  readonly RingBuffer: {
    new (storage: SharedArrayBuffer, type: typeof Uint8Array): Ring;
    getStorageForCapacity(capacity: number, type: typeof Uint8Array): SharedArrayBuffer;
  };
}

/** For a thousand messages of 64 bytes: both fit into a processor's own cache. */
const capacityBytes = 64 * 1024;
const tripsPerLook = 16;
/** Polling looks at the clock this seldom. */
const pollsPerLook = 1 << 16;

interface Rings {
  readonly there: Ring;
  readonly back: Ring;
}

/** For loops that poll: looks at the clock now and then, and gives up when the partner seems to have died. */
class Patience {
  #polls = 0;
  #endMs = 0;

  poll(): void {
    this.#polls += 1;
    if (this.#polls % pollsPerLook !== 0) return;
    const nowMs = performance.now();
    if (this.#endMs === 0) this.#endMs = nowMs + patienceMs;
    else if (nowMs > this.#endMs) throw new Error("ringbuf.js: the other thread does not answer.");
  }
}

function send(ring: Ring, bytes: Uint8Array): void {
  const sizeBytes = bytes.length;
  if (ring.available_write() < sizeBytes) {
    const patience = new Patience();
    while (ring.available_write() < sizeBytes) patience.poll();
  }
  if (ring.push(bytes, sizeBytes) !== sizeBytes) throw new Error("ringbuf.js took a part of a message.");
}

function receive(ring: Ring, bytes: Uint8Array): void {
  const sizeBytes = bytes.length;
  if (ring.available_read() < sizeBytes) {
    const patience = new Patience();
    while (ring.available_read() < sizeBytes) patience.poll();
  }
  ring.pop(bytes, sizeBytes);
}

function makeDriver({ there, back }: Rings): Driver {
  return {
    roundTrips({ sizeBytes, count }) {
      const message = makeMessage(sizeBytes);
      const echo = new Uint8Array(sizeBytes);
      return timeTrips(count, tripsPerLook, (index) => {
        stamp(message, index);
        send(there, message);
        receive(back, echo);
        check(echo, index, sizeBytes);
      });
    },
    oneWay({ sizeBytes, count }) {
      const message = makeMessage(sizeBytes);
      for (let index = 0; index < count; index += 1) {
        stamp(message, index);
        send(there, message);
      }
    },
    close: () => undefined,
  };
}

function takeAll(ring: Ring, { sizeBytes, count }: Task, answer: (bytes: Uint8Array) => void): Receipt {
  const tally = new Tally();
  const bytes = new Uint8Array(sizeBytes);
  while (tally.count < count) {
    receive(ring, bytes);
    answer(bytes);
    tally.add(bytes[0] ?? 0, bytes[sizeBytes - 1] ?? 0);
  }
  return tally.receipt();
}

function makeServer({ there, back }: Rings): Server {
  return {
    echo: (task) => takeAll(there, task, (bytes) => send(back, bytes)),
    drain: (task) => takeAll(there, task, () => undefined),
    close: () => undefined,
  };
}

function openRings(storages: readonly SharedArrayBuffer[]): Rings {
  const { RingBuffer } = loadPackage("ringbuf.js") as Module;
  const [there, back] = storages.map((storage) => new RingBuffer(storage, Uint8Array));
  if (there === undefined || back === undefined) throw new Error("there are two rings.");
  return { there, back };
}

export const ringbuf: Contender = {
  partner: "thread",
  drive() {
    const { RingBuffer } = loadPackage("ringbuf.js") as Module;
    const storages = [0, 1].map(() => RingBuffer.getStorageForCapacity(capacityBytes, Uint8Array));
    return { ...makeDriver(openRings(storages)), forServer: storages };
  },
  serve: (_, storages) => makeServer(openRings(storages as SharedArrayBuffer[])),
};
