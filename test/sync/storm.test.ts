/**
 * A death storm for locks: four processes change pairs of words under locks of every kind, asleep and with await; one of them
 * after the other is killed and replaced. The two words of a pair differ only for whoever is told that it was abandoned.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createFullHeap, makeWords, mateOf, toolsOf } from "../helpers/crew.ts";
import type { Mate, PeerTools } from "../helpers/crew.ts";
import { makeQueue } from "../helpers/peer.ts";
import type { Handle } from "../../src/heap/index.ts";

const LENGTH_MS = 4000;
const BETWEEN_KILLS_MS = 30;
const CREW = 4;
const MOST_MEMBERS = 400;

/** Words: 0 stop, 1 pairs found different by somebody who was not told, 2 waits that were too long; from 4 on the pairs. */
const FIRST_PAIR = 4;
const PAIRS = 4;
/** From here on, for each member and pair, how often it has changed it. */
const FIRST_DONE = 16;

/** Changes pairs until it is killed or told to stop. */
async function weather(
  { heap, words }: PeerTools,
  block: Handle,
  member: number,
  [firstPair, pairs, firstDone, size]: readonly [number, number, number, number],
): Promise<void> {
  const view = words(block, size);
  const isSync = member % 2 === 0;
  const mutexes = [heap.mutex("plain"), heap.mutex("fair"), heap.mutex("other")];
  const lock = heap.rwlock("lock");
  const semaphore = heap.semaphore("permits");
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const options = { timeoutMs: 10_000 };
  let state = (member + 1) * 2654435761;
  const random = (limit: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % limit;
  };

  const differs = (pair: number): boolean => view[firstPair + 2 * pair] !== view[firstPair + 2 * pair + 1];
  const changeWith = async (pair: number, abandoned: boolean): Promise<void> => {
    const [one, other] = [firstPair + 2 * pair, firstPair + 2 * pair + 1];
    if (differs(pair)) {
      if (!abandoned) Atomics.add(view, 1, 1);
      view[other] = view[one]!;
    }
    view[one]!++;
    if (isSync) for (let spin = random(2000); spin > 0; spin--) Atomics.load(view, 0);
    else if (random(2) === 0) await turn();
    view[other]!++;
    view[firstDone + member * pairs + pair]!++;
  };

  const step = async (): Promise<void> => {
    const pair = random(pairs + 1);
    if (pair < 3) {
      const mutex = mutexes[pair]!;
      const hold = isSync ? mutex.lockSync(options) : await mutex.lock(options);
      await changeWith(pair, hold.abandoned);
      hold.release();
    } else if (pair === 3 && random(3) === 0) {
      const hold = isSync ? lock.writeSync(options) : await lock.write(options);
      await changeWith(pair, hold.abandoned);
      hold.release();
    } else if (pair === 3) {
      const hold = isSync ? lock.readSync(options) : await lock.read(options);
      if (differs(pair) && !hold.abandoned) Atomics.add(view, 1, 1);
      if (!isSync) await turn();
      hold.release();
    } else {
      const count = 1 + random(2);
      const hold = isSync ? semaphore.acquireSync(count, options) : await semaphore.acquire(count, options);
      if (!isSync) await turn();
      hold.release();
    }
  };

  const live = async (): Promise<void> => {
    while (Atomics.load(view, 0) === 0) {
      try {
        await step();
      } catch (error) {
        if ((error as { code?: string }).code !== "ERR_SHOAL_TIMEOUT") throw error;
        Atomics.add(view, 2, 1);
      }
      if (isSync && random(20) === 0) await turn();
    }
  };
  await Promise.all(isSync ? [live()] : [live(), live(), live()]);
}

test("locks weather a storm of deaths: nobody hangs, nothing is lost, and who is to be told is", async (t) => {
  const heap = createFullHeap(t);
  const { words } = toolsOf(heap);
  const size = FIRST_DONE + MOST_MEMBERS * PAIRS;
  const block = makeWords(heap, size);
  const view = words(block, size);
  heap.mutex("fair", { fair: true });
  heap.semaphore("permits", { permits: 3 });
  const next = makeQueue(t);
  const crew: { readonly mate: Mate; readonly running: Promise<void> }[] = [];
  let members = 0;
  const failures: unknown[] = [];
  const join = async (): Promise<void> => {
    const mate = await mateOf(next(), heap);
    const member = members++;
    const running = mate
      .run(weather, block, member, [FIRST_PAIR, PAIRS, FIRST_DONE, size])
      .catch((error: unknown) => {
        if (!/the peer ended/.test(String(error))) failures.push(error);
      });
    crew.push({ mate, running });
  };
  for (let count = 0; count < CREW; count++) await join();

  let kills = 0;
  const endMs = performance.now() + LENGTH_MS;
  for (; performance.now() < endMs && kills < MOST_MEMBERS - CREW; kills++) {
    await new Promise((resolve) => setTimeout(resolve, BETWEEN_KILLS_MS));
    const [victim] = crew.splice((kills * 7) % crew.length, 1);
    await victim!.mate.kill();
    await join();
  }
  Atomics.store(view, 0, 1);
  await Promise.all(crew.map(({ running }) => running));

  assert.deepEqual(failures, []);
  assert.equal(view[1], 0, "a pair was found different by somebody who was not told");
  assert.equal(view[2], 0, "somebody waited for ten seconds");
  const holds = [heap.mutex("plain"), heap.mutex("fair"), heap.mutex("other")].map((mutex) =>
    mutex.lockSync({ timeoutMs: 5000 }),
  );
  holds.push(heap.rwlock("lock").writeSync({ timeoutMs: 5000 }));
  let unfinished = 0;
  for (const [pair, hold] of holds.entries()) {
    const [one, other] = view.subarray(FIRST_PAIR + 2 * pair, FIRST_PAIR + 2 * pair + 2);
    assert.ok(one === other || hold.abandoned, `pair ${pair}: ${one} and ${other}`);
    let done = 0;
    for (let member = 0; member < members; member++) done += view[FIRST_DONE + member * PAIRS + pair]!;
    assert.ok(one! >= done, `pair ${pair}: ${one} changes, ${done} of them done`);
    unfinished += one! - done;
    assert.ok(done > 50, `pair ${pair}: ${done}`);
    hold.release();
  }
  // A process does one thing at a time, or three.
  assert.ok(unfinished <= 3 * kills, `${unfinished} changes unfinished after ${kills} deaths`);
  assert.ok(kills >= 5, `${kills} deaths`);
  heap.region.recover();
  assert.equal(heap.semaphore("permits").available, 3);
  assert.deepEqual(heap.verify().problems, []);
  t.diagnostic(`${kills} deaths, ${unfinished} of them in the middle of a change`);
});
