/**
 * Shoal's own contenders and soloists, by the row that they feed; the interface stands in contender.ts. The rows of what
 * is not here have no value, and their peers are measured all the same.
 *
 * All use the public API, as a program would: bytes in, bytes out (codec "raw"). What goes both ways has a ring each way.
 */

import { setMaxListeners } from "node:events";
import { Heap } from "../../src/data/heap.ts";
import type { Handle } from "../../src/heap/index.ts";
import { patienceMs } from "./contender.ts";
import type { Contender, Driver, Link, Server, Soloist, Task } from "./contender.ts";
import { check, makeMessage, stamp, Tally } from "./messages.ts";
import type { Receipt } from "./messages.ts";
import { timeAwaitedTrips, timeTrips } from "./time.ts";

/** The rows "ipc.rtt.spin.ns" to "ipc.copy.1048576.gbps", without their units and large sizes. */
export type ShoalRow = "rtt.spin" | "rtt.block" | "rtt.await" | "ring" | "queue" | "loan" | "copy";

/** "sync.mutex.ns", "sync.mutex.await.ns" and, at rest, "ipc.idle1000.cpu.percent". */
export type ShoalSoloRow = "mutex" | "mutex.await" | "idle1000";

const smallBytes = 64;
/** Larger messages go out of line, in blocks of their own. */
const inlineBytes = 65536;

/** Spinning trips are timed several at once: a look at the clock takes a tenth of one. */
const tripsPerLook = 16;

const spinning = { timeoutMs: patienceMs, spin: true } as const;
const blocking = { timeoutMs: patienceMs } as const;

type Bytes = Uint8Array;

interface BothWays {
  readonly heap: Heap;
  readonly there: ReturnType<typeof ringOf>;
  readonly back: ReturnType<typeof ringOf>;
}

function ringOf(heap: Heap, name: string) {
  return heap.ring<Bytes>(name, { capacity: 64, messageBytes: smallBytes, codec: "raw" });
}

function bothWays(heap: Heap): BothWays {
  return { heap, there: ringOf(heap, "there"), back: ringOf(heap, "back") };
}

function createHeap({ segment }: Link, sizeBytes = 1 << 20): Heap {
  return Heap.create(segment, { sizeBytes, spanBytes: 256 << 20 });
}

/** Round trips by calls that return when the message is there. */
function syncTrips(options: typeof spinning | typeof blocking): Contender {
  return {
    partner: "process",
    drive(link): Driver {
      const { heap, there, back } = bothWays(createHeap(link));
      const message = makeMessage(smallBytes);
      return {
        roundTrips: ({ sizeBytes, count }) =>
          timeTrips(count, tripsPerLook, (index) => {
            stamp(message, index);
            there.sendSync(message, options);
            check(back.receiveSync(options), index, sizeBytes);
          }),
        close: () => heap.remove(),
      };
    },
    serve({ segment }): Server {
      const { heap, there, back } = bothWays(Heap.open(segment));
      return {
        echo({ count }) {
          const tally = new Tally();
          while (tally.count < count) {
            const message = there.receiveSync(options);
            back.sendSync(message, options);
            tally.add(message[0]!, message[message.length - 1]!);
          }
          return tally.receipt();
        },
        close: () => heap.close(),
      };
    },
  };
}

/** Round trips with await on both sides. */
const awaitedTrips: Contender = {
  partner: "process",
  drive(link): Driver {
    const { heap, there, back } = bothWays(createHeap(link));
    const message = makeMessage(smallBytes);
    return {
      roundTrips: ({ sizeBytes, count }) =>
        timeAwaitedTrips(count, async (index) => {
          stamp(message, index);
          await there.send(message, blocking);
          check(await back.receive(blocking), index, sizeBytes);
        }),
      close: () => heap.remove(),
    };
  },
  serve({ segment }): Server {
    const { heap, there, back } = bothWays(Heap.open(segment));
    return {
      async echo({ count }) {
        const tally = new Tally();
        while (tally.count < count) {
          // oxlint-disable-next-line no-await-in-loop
          const message = await there.receive(blocking);
          // oxlint-disable-next-line no-await-in-loop
          await back.send(message, blocking);
          tally.add(message[0]!, message[message.length - 1]!);
        }
        return tally.receipt();
      },
      close: () => heap.close(),
    };
  },
};

type Pipe = ReturnType<Heap["queue"]>;

/** Messages one way: what the sender and the receiver do with one, and the channel between them. */
function oneWay(
  open: (heap: Heap) => Pipe,
  send: (pipe: Pipe, message: Bytes) => void,
  receive: (pipe: Pipe, tally: Tally, target: Bytes) => void,
): Contender {
  return {
    partner: "process",
    drive(link): Driver {
      const heap = createHeap(link, 64 << 20);
      const pipe = open(heap);
      return {
        oneWay({ sizeBytes, count }: Task) {
          const message = makeMessage(sizeBytes);
          for (let index = 0; index < count; index++) {
            stamp(message, index);
            send(pipe, message);
          }
        },
        close: () => heap.remove(),
      };
    },
    serve({ segment }): Server {
      const heap = Heap.open(segment);
      const pipe = open(heap);
      return {
        drain({ sizeBytes, count }: Task): Receipt {
          const tally = new Tally();
          const target = makeMessage(sizeBytes);
          while (tally.count < count) receive(pipe, tally, target);
          return tally.receipt();
        },
        close: () => heap.close(),
      };
    },
  };
}

const smallOptions = { capacity: 1024, messageBytes: smallBytes, codec: "raw" } as const;
const largeOptions = { capacity: 8, messageBytes: inlineBytes, codec: "raw" } as const;

function sendCopy(pipe: Pipe, message: Bytes): void {
  if (!pipe.trySend(message)) pipe.sendSync(message, blocking);
}

function receiveCopy(pipe: Pipe, tally: Tally, target: Bytes): void {
  const length = pipe.tryReceiveInto(target);
  if (length > 0) tally.add(target[0]!, target[length - 1]!);
  else waitForMessage(pipe, tally);
}

/** Nothing there: sleeps until there is. */
function waitForMessage(pipe: Pipe, tally: Tally): void {
  using message = pipe.borrow(blocking);
  tally.add(message.bytes[0]!, message.bytes[message.bytes.length - 1]!);
}

function sendLoan(pipe: Pipe, message: Bytes): void {
  const loan = pipe.reserve(message.length, blocking);
  const { bytes } = loan;
  bytes[0] = message[0]!;
  bytes[bytes.length - 1] = message[message.length - 1]!;
  loan.commit();
}

function receiveLoan(pipe: Pipe, tally: Tally): void {
  waitForMessage(pipe, tally);
}

export const shoalContenders: Partial<Record<ShoalRow, Contender>> = {
  "rtt.spin": syncTrips(spinning),
  "rtt.block": syncTrips(blocking),
  "rtt.await": awaitedTrips,
  ring: oneWay((heap) => heap.ring("way", smallOptions), sendCopy, receiveCopy),
  queue: oneWay((heap) => heap.queue("way", smallOptions), sendCopy, receiveCopy),
  loan: oneWay((heap) => heap.ring("way", largeOptions), sendLoan, receiveLoan),
  copy: oneWay((heap) => heap.ring("way", largeOptions), sendCopy, receiveCopy),
};

const syncMutex: Soloist = {
  start(link) {
    const heap = createHeap(link);
    const mutex = heap.mutex("one");
    return {
      repeat(count) {
        for (let left = count; left > 0; left--) mutex.lockSync().release();
      },
      close: () => heap.remove(),
    };
  },
};

const awaitedMutex: Soloist = {
  start(link) {
    const heap = createHeap(link);
    const mutex = heap.mutex("one");
    return {
      async repeat(count) {
        for (let left = count; left > 0; left--) {
          // oxlint-disable-next-line no-await-in-loop
          const hold = await mutex.lock();
          hold.release();
        }
      },
      close: () => heap.remove(),
    };
  },
};

const idleCount = 1000;

/** Every channel is awaited; nobody ever sends. */
const idle: Soloist = {
  start(link) {
    const heap = createHeap(link, 16 << 20);
    const stop = new AbortController();
    setMaxListeners(idleCount, stop.signal);
    const waits: Promise<unknown>[] = [];
    for (let left = idleCount; left > 0; left--) {
      const queue = heap.queue<Bytes>(undefined as Handle | undefined, {
        capacity: 4,
        messageBytes: smallBytes,
        codec: "raw",
      });
      waits.push(queue.receive({ signal: stop.signal }).catch(() => undefined));
    }
    return {
      async close() {
        stop.abort();
        await Promise.all(waits);
        heap.remove();
      },
    };
  },
};

export const shoalSoloists: Partial<Record<ShoalSoloRow, Soloist>> = {
  mutex: syncMutex,
  "mutex.await": awaitedMutex,
  idle1000: idle,
};
