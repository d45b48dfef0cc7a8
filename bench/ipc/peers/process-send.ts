/**
 * `process.send`, with each of its two serializations: a message is a string for "json", which has no bytes, and a
 * Uint8Array for "advanced".
 */

import type { ChildProcess } from "node:child_process";
import type { Contender, Driver, DriverLink, Server, Task } from "../contender.ts";
import { Tally, check, firstByteOf, lastByteOf, makeMessage, stamp } from "../messages.ts";
import type { Receipt } from "../messages.ts";
import { EventTrips } from "../time.ts";

/** How a message looks to process.send. */
interface Form {
  readonly isMessage: (message: unknown) => boolean;
  readonly make: (index: number, sizeBytes: number) => unknown;
  readonly check: (message: unknown, index: number, sizeBytes: number) => void;
  readonly addTo: (tally: Tally, message: unknown) => void;
}

const asString: Form = {
  isMessage: (message) => typeof message === "string",
  make: (index, sizeBytes) =>
    String.fromCharCode(firstByteOf(index)) +
    "0".repeat(sizeBytes - 2) +
    String.fromCharCode(lastByteOf(index)),
  check(message, index, sizeBytes) {
    if (message !== this.make(index, sizeBytes)) throw new Error(`message ${index} came back changed.`);
  },
  addTo(tally, message) {
    const text = message as string;
    tally.add(text.charCodeAt(0), text.charCodeAt(text.length - 1));
  },
};

const asBytes: Form = {
  isMessage: (message) => message instanceof Uint8Array,
  make(index, sizeBytes) {
    const bytes = makeMessage(sizeBytes);
    stamp(bytes, index);
    return bytes;
  },
  check: (message, index, sizeBytes) => check(message as Uint8Array, index, sizeBytes),
  addTo(tally, message) {
    const bytes = message as Uint8Array;
    tally.add(bytes[0] ?? 0, bytes[bytes.length - 1] ?? 0);
  },
};

/** So many are handed over before it is waited for the kernel to have taken them. */
const burst = 256;

async function sendAll(child: ChildProcess, form: Form, { sizeBytes, count }: Task): Promise<void> {
  for (let index = 0; index < count;) {
    const end = Math.min(count, index + burst);
    for (; index < end - 1; index += 1) child.send(form.make(index, sizeBytes) as string);
    // oxlint-disable-next-line no-await-in-loop
    await new Promise<void>((resolve, reject) => {
      child.send(form.make(index, sizeBytes) as string, (error) => (error ? reject(error) : resolve()));
    });
    index += 1;
  }
}

function makeDriver({ partner }: DriverLink, form: Form): Driver {
  return {
    async roundTrips({ sizeBytes, count }) {
      const child = partner() as ChildProcess;
      const trips = new EventTrips(count, (index) => child.send(form.make(index, sizeBytes) as string));
      const hear = (message: unknown): void => {
        if (form.isMessage(message)) trips.heard((index) => form.check(message, index, sizeBytes));
      };
      child.on("message", hear);
      try {
        return await trips.run();
      } finally {
        child.off("message", hear);
      }
    },
    oneWay: (task) => sendAll(partner() as ChildProcess, form, task),
    close: () => undefined,
  };
}

function receive(form: Form, { count }: Task, answer: (message: unknown) => void): Promise<Receipt> {
  return new Promise((resolve) => {
    const tally = new Tally();
    const hear = (message: unknown): void => {
      if (!form.isMessage(message)) return;
      answer(message);
      form.addTo(tally, message);
      if (tally.count < count) return;
      process.off("message", hear);
      resolve(tally.receipt());
    };
    process.on("message", hear);
  });
}

function makeServer(form: Form): Server {
  return {
    echo: (task) => receive(form, task, (message) => process.send?.(message)),
    drain: (task) => receive(form, task, () => undefined),
    close: () => undefined,
  };
}

function contenderOf(serialization: "json" | "advanced", form: Form): Contender {
  return {
    partner: "process",
    fork: { serialization },
    drive: (link) => makeDriver(link, form),
    serve: () => makeServer(form),
  };
}

export const processSend = contenderOf("json", asString);

export const processSendAdvanced = contenderOf("advanced", asBytes);
