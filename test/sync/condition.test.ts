/** Conditions, wherever their participants are. */
import assert from "node:assert/strict";
import { inEverySetup, isPending, makeWords, rejectsCode } from "../helpers/crew.ts";
import type { PeerTools } from "../helpers/crew.ts";
import { until } from "../helpers/assertions.ts";
import type { Handle } from "../../src/heap/index.ts";
import type { Hold } from "../../src/sync/index.ts";

const CAPACITY = 4;

/** Puts the numbers from `from` on into a bounded queue: words 0 head, 1 tail, then the places. */
async function produce(
  { heap, words }: PeerTools,
  block: Handle,
  from: number,
  count: number,
  capacity: number,
  canBlock: boolean,
): Promise<void> {
  const [mutex, filled, emptied] = [heap.mutex("queue"), heap.condition("filled"), heap.condition("emptied")];
  const view = words(block, 2 + capacity);
  for (let item = from; item < from + count; item++) {
    let hold = await mutex.lock();
    while (capacity === view[1]! - view[0]!)
      hold = canBlock && item % 2 === 0 ? emptied.waitSync(mutex, hold) : await emptied.wait(mutex, hold);
    view[2 + (view[1]! % capacity)] = item;
    view[1]!++;
    filled.notifyOne();
    hold.release();
  }
}

/** Takes so many out. Their sum. */
async function consume(
  { heap, words }: PeerTools,
  block: Handle,
  count: number,
  capacity: number,
  canBlock: boolean,
): Promise<number> {
  const [mutex, filled, emptied] = [heap.mutex("queue"), heap.condition("filled"), heap.condition("emptied")];
  const view = words(block, 2 + capacity);
  let sum = 0;
  for (let left = count; left > 0; left--) {
    let hold = await mutex.lock();
    if (canBlock && left % 2 === 0) {
      while (view[1] === view[0]) hold = filled.waitSync(mutex, hold);
    } else {
      hold = await filled.waitUntil(mutex, hold, () => view[1] !== view[0]);
    }
    sum += view[2 + (view[0]! % capacity)]!;
    view[0]!++;
    emptied.notifyOne();
    hold.release();
  }
  return sum;
}

inEverySetup("condition", async ({ heap, mates, tools }, holds) => {
  const [first, second] = mates;

  await holds("what is put into a bounded queue comes out of it, each thing once", async () => {
    const block = makeWords(heap, 2 + CAPACITY);
    const sums = await Promise.all([
      second.run(consume, block, 250, CAPACITY, second.canBlock),
      consume(tools, block, 150, CAPACITY, false),
      first.run(produce, block, 1, 300, CAPACITY, first.canBlock).then(() => 0),
      produce(tools, block, 301, 100, CAPACITY, false).then(() => 0),
    ]);
    assert.equal(
      sums.reduce((sum, one) => sum + one, 0),
      (400 * 401) / 2,
    );
  });

  const go = async ({ heap: own }: PeerTools, name: string, isSync: boolean): Promise<boolean> => {
    const [mutex, condition] = [own.mutex(`${name} mutex`), own.condition(name)];
    const hold = await mutex.lock();
    const next = isSync ? condition.waitSync(mutex, hold) : await condition.wait(mutex, hold);
    const isGood = next.held && !hold.held && mutex.tryLock() === undefined;
    next.release();
    return isGood;
  };

  await holds("notifyOne lets one go on, notifyAll all; it has the mutex again then", async () => {
    const condition = heap.condition("some");
    const mutex = heap.mutex("some mutex");
    assert.equal(condition.notifyOne(), false);
    let passed = 0;
    const waits = [
      first.run(go, "some", first.canBlock),
      second.run(go, "some", false),
      go(tools, "some", false),
    ];
    const counted = waits.map(async (wait) => {
      assert.equal(await wait, true);
      passed++;
    });
    // Who waits has released the mutex, and has taken its ticket before: with the mutex, nobody is on its way.
    const tickets = tools.words(condition.handle, 16);
    await until("all wait", () => tickets[8] === 3);
    const hold = await mutex.lock();
    assert.equal(condition.notifyOne(), true);
    assert.equal(await isPending(Promise.race(counted)), true);
    hold.release();
    await until("one has passed", () => passed === 1);
    assert.equal(await isPending(Promise.all(counted)), true);
    assert.equal(passed, 1);
    assert.equal(await second.run(({ heap: own }) => own.condition("some").notifyAll()), true);
    await Promise.all(counted);
    assert.equal(condition.notifyAll(), false);
  });

  await holds("a wait that ends with its time holds the mutex again, by error.hold", async () => {
    const holdsAgain = async ({ heap: own }: PeerTools, isSync: boolean): Promise<string> => {
      const [mutex, condition] = [own.mutex("late mutex"), own.condition("late")];
      const hold = await mutex.lock();
      try {
        if (isSync) condition.waitSync(mutex, hold, { timeoutMs: 20 });
        else await condition.wait(mutex, hold, { timeoutMs: 20 });
        return "went on";
      } catch (error) {
        const { code, hold: again } = error as { code: string; hold: Hold };
        if (hold.held || !again.held) return "the mutex is not held";
        again.release();
        return code;
      }
    };
    assert.equal(await first.run(holdsAgain, first.canBlock), "ERR_SHOAL_TIMEOUT");
    assert.equal(await second.run(holdsAgain, false), "ERR_SHOAL_TIMEOUT");
    assert.equal(heap.mutex("late mutex").holder(), undefined);
  });

  await holds("who gave up does not swallow a notification", async () => {
    const condition = heap.condition("given up");
    const mutex = heap.mutex("given up mutex");
    const tickets = tools.words(condition.handle, 16);
    const { hold } = (await rejectsCode(
      condition.wait(mutex, await mutex.lock(), { timeoutMs: 10 }),
      "ERR_SHOAL_TIMEOUT",
    )) as unknown as { hold: Hold };
    hold.release();
    const wait = first.run(go, "given up", first.canBlock);
    await until("the other waits", () => tickets[8] === 2 && mutex.holder() === undefined);
    assert.equal(await isPending(wait), true);
    condition.notifyOne();
    assert.equal(await wait, true);
  });
});
