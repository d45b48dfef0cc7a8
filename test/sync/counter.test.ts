/** Counters: exact, whoever adds. */
import assert from "node:assert/strict";
import { inEverySetup } from "../helpers/crew.ts";
import type { PeerTools } from "../helpers/crew.ts";

const ROUNDS = 20_000;

async function addAll({ heap }: PeerTools, rounds: number): Promise<void> {
  const counter = heap.counter("sum");
  for (let round = 0; round < rounds; round++) {
    counter.add(3);
    counter.add(-1);
    if (round % 4000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}

async function addBySetting({ heap }: PeerTools, rounds: number): Promise<void> {
  const counter = heap.counter("set");
  for (let round = 0; round < rounds;) {
    const { value } = counter;
    if (round % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    if (counter.compareAndSet(value, value + 1)) round++;
  }
}

inEverySetup("counter", async ({ heap, mates, tools }, holds) => {
  await holds("nothing that is added is lost", async () => {
    await Promise.all([...mates.map((mate) => mate.run(addAll, ROUNDS)), addAll(tools, ROUNDS)]);
    assert.equal(heap.counter("sum").value, 3 * ROUNDS * 2);
  });

  await holds("compareAndSet sets where nobody else has", async () => {
    await Promise.all([...mates.map((mate) => mate.run(addBySetting, 1000)), addBySetting(tools, 1000)]);
    assert.equal(heap.counter("set").value, 3000);
  });

  await holds("it counts below zero and up to 2^53, and says what it was and is", async () => {
    const counter = heap.counter("far");
    assert.equal(counter.value, 0);
    assert.equal(counter.add(), 1);
    assert.equal(counter.add(-11), -10);
    assert.equal(await mates[0].run(({ heap: own }) => own.counter("far").set(2 ** 53 - 2)), -10);
    assert.equal(counter.add(1), 2 ** 53 - 1);
    assert.equal(counter.compareAndSet(5, 6), false);
    assert.equal(counter.compareAndSet(2 ** 53 - 1, -(2 ** 53) + 1), true);
    assert.equal(await mates[1].run(({ heap: own }) => own.counter("far").value), -(2 ** 53) + 1);
  });
});
