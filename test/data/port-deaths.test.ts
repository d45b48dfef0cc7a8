/**
 * Processes that are killed at an access to shared memory, somewhere in the life of a port: the whole of it, with its waits and its
 * event loop. At every access, and closer looked at: proof/crash-port.ts.
 */
// oxlint-disable unicorn/require-post-message-target-origin -- these ports are no windows
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { openPort } from "../../src/data/channel/port.ts";
import type { Heap } from "../../src/heap/index.ts";
import { until } from "../helpers/assertions.ts";
import { createHeap } from "../helpers/heaps.ts";
import { startProcess } from "../helpers/peer.ts";

const LARGE = "x".repeat(3000);

/** Opens the port, posts, is answered twice, closes; dies before access `at`. How many accesses there were; undefined: it died. */
async function live(t: TestContext, heap: Heap, at: number): Promise<number | undefined> {
  const peer = startProcess(t);
  const life = peer.run(
    async ({ Heap: Heaps, load, useCheckpoint }, name, large, target) => {
      const { openPort: open } = (await load("src/data/channel/port.js")) as { openPort: typeof openPort };
      let count = 0;
      useCheckpoint(() => {
        if (++count === target) process.kill(process.pid, "SIGKILL");
      });
      const own = Heaps.open(name);
      count = 0;
      const port = open(own, "talk");
      port.postMessage(1);
      port.postMessage(large);
      let answers = 0;
      await new Promise<void>((resolve) => {
        port.on("message", () => {
          if (++answers === 2) resolve();
        });
      });
      port.close();
      own.close();
      useCheckpoint(undefined);
      return count;
    },
    heap.region.name,
    LARGE,
    at,
  );
  try {
    return await life;
  } catch (error) {
    assert.match((error as Error).message, /the peer ended \(SIGKILL\)/);
    return undefined;
  } finally {
    await peer.kill();
  }
}

/** One such life with somebody at the other side, and what comes after. */
async function meet(t: TestContext, heap: Heap, at: number): Promise<number | undefined> {
  const port = openPort(heap, "talk");
  const got: unknown[] = [];
  let isClosed = false;
  port.on("message", (value) => {
    got.push(value);
    port.postMessage("answer");
  });
  port.on("close", () => (isClosed = true));
  const accesses = await live(t, heap, at);
  const next = openPort(heap, "talk");
  next.postMessage("next");
  await until("the port is closed, or connected with the next one", () => isClosed || got.includes("next"));
  const own = got.filter((value) => value !== "next");
  assert.deepEqual(own, [1, LARGE].slice(0, own.length), "once, in their order");
  if (accesses !== undefined) assert.equal(own.length, 2);
  if (isClosed) {
    const again = openPort(heap, "talk");
    again.on("message", (value) => got.push(value));
    await until("what was posted for the new one has come", () => got.includes("next"));
    again.close();
  }
  next.close();
  port.close();
  await until("both sides are free", () => next.closed && port.closed);
  return accesses;
}

test("a process that is killed at any access of a port's life leaves a port that works, and nothing else", async (t) => {
  const heap = createHeap(t);
  const accesses = await meet(t, heap, 0);
  assert.ok(accesses !== undefined && accesses > 200, `${accesses} accesses`);
  let deaths = 0;
  const count = 16;
  for (let index = 0; index < count; index++) {
    const at = Math.round(((index + 0.5) * accesses) / count);
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    const left = await meet(t, heap, at);
    if (left === undefined) deaths++;
    assert.deepEqual(heap.verify().problems, [], `died before access ${at}`);
    assert.equal(heap.stats().blocks.used, 1, `died before access ${at}: only the port is there`);
  }
  t.diagnostic(`${deaths} deaths in ${accesses} accesses`);
  assert.ok(deaths > count / 2);
});
