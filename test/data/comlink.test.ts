/** Comlink over ports, as its documents use it: objects, classes, callbacks, in another process. */
// oxlint-disable unicorn/require-post-message-target-origin, unicorn/prefer-add-event-listener -- these ports are no windows, and have both
import assert from "node:assert/strict";
import { once } from "node:events";
import type { EventEmitter } from "node:events";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { MessagePort } from "node:worker_threads";
import * as Comlink from "comlink";
import * as adapter from "comlink/dist/umd/node-adapter.js";
import { openPort } from "../../src/data/channel/port.ts";
import type { Port } from "../../src/data/channel/port.ts";
import { createHeap } from "../helpers/heaps.ts";
import { startProcess } from "../helpers/peer.ts";
import type { Peer } from "../helpers/peer.ts";

/** Its declarations are for another kind of module. */
type Adapter = { readonly default: (port: Port) => Comlink.Endpoint };

const nodeEndpoint = (adapter as unknown as Adapter).default;

interface Service {
  counter: number;
  add(one: number, other: number): Promise<number>;
  fail(): never;
  each(count: number, call: (index: number) => unknown): Promise<number>;
  later(call: () => unknown): void;
  Account: new (start: number) => { balance: number; deposit(amount: number): number };
}

/** Starts a process that exposes a service on the port "rpc". */
async function startService(t: TestContext, name: string, isAdapted: boolean): Promise<Peer> {
  const peer = startProcess(t);
  await peer.run(
    async ({ Heap, load, keep }, heapName, adapted) => {
      const { openPort: open } = (await load("src/data/channel/port.js")) as { openPort: typeof openPort };
      const { expose } = (await load("comlink")) as typeof Comlink;
      const { default: adapt } = (await load("comlink/dist/umd/node-adapter.js")) as Adapter;
      const heap = Heap.open(heapName);
      const port = open(heap, "rpc");
      keep("heap", heap);
      const service = {
        counter: 1,
        add: (one: number, other: number) => Promise.resolve(one + other),
        fail() {
          throw new RangeError("as asked");
        },
        async each(count: number, call: (index: number) => unknown) {
          let sum = 0;
          for (let index = 0; index < count; index++) sum += (await call(index)) as number;
          return sum;
        },
        later(call: () => unknown) {
          setTimeout(call, 5);
        },
        Account: class {
          balance: number;
          constructor(start: number) {
            this.balance = start;
          }
          deposit(amount: number): number {
            return (this.balance += amount);
          }
        },
      };
      expose(service, (adapted ? adapt(port) : port) as never);
    },
    name,
    isAdapted,
  );
  return peer;
}

for (const isAdapted of [false, true]) {
  test(`an object exposed in another process is used from here, ${isAdapted ? "with comlink's adapter" : "directly"}`, async (t) => {
    const heap = createHeap(t);
    await startService(t, heap.region.name, isAdapted);
    const port = openPort(heap, "rpc");
    t.after(() => port.close());
    const service = Comlink.wrap<Service>((isAdapted ? nodeEndpoint(port) : port) as never);
    assert.equal(await service.add(2, 3), 5);
    assert.equal(await service.counter, 1);
    await ((service.counter as unknown) = 7);
    assert.equal(await service.counter, 7);
    await assert.rejects(service.fail(), { name: "RangeError", message: "as asked" });
    assert.deepEqual(
      await Promise.all(Array.from({ length: 100 }, (_, index) => service.add(index, 1))),
      Array.from({ length: 100 }, (_, index) => index + 1),
    );
  });

  test(`callbacks and instances of classes are proxies over ports of their own, ${isAdapted ? "with comlink's adapter" : "directly"}`, async (t) => {
    const heap = createHeap(t);
    await startService(t, heap.region.name, isAdapted);
    const port = openPort(heap, "rpc");
    t.after(() => port.close());
    const service = Comlink.wrap<Service>((isAdapted ? nodeEndpoint(port) : port) as never);
    const seen: number[] = [];
    const sum = await service.each(
      5,
      Comlink.proxy((index: number) => {
        seen.push(index);
        return index * 2;
      }),
    );
    assert.deepEqual([sum, seen], [20, [0, 1, 2, 3, 4]]);
    await new Promise<void>((resolve) => void service.later(Comlink.proxy(() => resolve())));
    const account = await new service.Account(10);
    assert.equal(await account.deposit(5), 15);
    assert.equal(await account.balance, 15);
    account[Comlink.releaseProxy]();
    const other = await new service.Account(1);
    assert.equal(await other.deposit(1), 2);
  });
}

test("a function that is no proxy is a DataCloneError", async (t) => {
  const heap = createHeap(t);
  await startService(t, heap.region.name, false);
  const port = openPort(heap, "rpc");
  t.after(() => port.close());
  const service = Comlink.wrap<Service>(port as never);
  await assert.rejects(service.each(1, () => 1) as Promise<unknown>, { name: "DataCloneError" });
});

test("when the other process dies, the ports that came from it are closed as well", async (t) => {
  const heap = createHeap(t);
  const port = openPort(heap, "rpc");
  const peer = startProcess(t);
  const got = once(port as never as EventEmitter, "message");
  port.ref();
  await peer.run(async ({ Heap, load, keep }, name) => {
    const { openPort: open } = (await load("src/data/channel/port.js")) as { openPort: typeof openPort };
    const own: Port = open(Heap.open(name), "rpc");
    const { port1, port2 } = new MessageChannel();
    keep("port1", port1);
    port1.on("message", (value) =>
      port1.postMessage(["echo", value], value instanceof Object ? [value as MessagePort] : []),
    );
    own.postMessage({ port: port2 }, [port2]);
    own.on("message", () => undefined);
  }, heap.region.name);
  const [{ port: sent }] = (await got) as [{ port: MessagePort }];
  const echo = once(sent, "message");
  sent.postMessage("hello");
  assert.deepEqual(await echo, [["echo", "hello"]]);

  // A port through a port through the port.
  const inner = new MessageChannel();
  const through = once(inner.port1, "message");
  sent.postMessage(inner.port2, [inner.port2]);
  const [[, back]] = (await once(sent, "message")) as [[string, MessagePort]];
  back.postMessage("around");
  assert.deepEqual(await through, ["around"]);

  port.ref();
  sent.ref();
  const closed = Promise.all([once(sent, "close"), once(port as never as EventEmitter, "close")]);
  await peer.kill();
  await closed;
  inner.port1.close();
});
