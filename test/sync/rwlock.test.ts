/** Read-write locks, wherever their participants are. */
import assert from "node:assert/strict";
import { inEverySetup, isPending, makeWords, rejectsCode } from "../helpers/crew.ts";
import type { PeerTools } from "../helpers/crew.ts";
import { until } from "../helpers/assertions.ts";
import type { Handle } from "../../src/heap/index.ts";
import type { Hold } from "../../src/sync/index.ts";

/** Writes two words that are always the same to those who read them, and reads them. How often it wrote. */
async function readAndWrite(
  { heap, words }: PeerTools,
  block: Handle,
  rounds: number,
  canBlock: boolean,
  seed: number,
): Promise<number> {
  const lock = heap.rwlock("pair");
  const [one, inside, other] = [0, 1, 2];
  const view = words(block, 4);
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  let written = 0;
  for (let round = seed; round < rounds + seed; round++) {
    const isSync = canBlock && round % 2 === 0;
    if (round % 3 !== 0) {
      const hold = isSync ? lock.readSync() : await lock.read();
      const first = view[one]!;
      if (isSync) for (let spin = 0; spin < 200; spin++) Atomics.load(view, 0);
      else await turn();
      if (view[other] !== first) throw new Error(`a reader saw ${first} and ${view[other]}`);
      if (view[inside] !== 0) throw new Error("a reader beside a writer");
      hold.release();
      continue;
    }
    const hold: Hold = isSync ? lock.writeSync({ timeoutMs: 60_000 }) : await lock.write();
    if (view[inside] !== 0) throw new Error("two writers");
    view[inside] = 1;
    const found = view[one]!;
    view[one] = found + 1;
    if (isSync) for (let spin = 0; spin < 200; spin++) Atomics.load(view, 0);
    else await turn();
    view[other] = found + 1;
    view[inside] = 0;
    written++;
    if (hold.abandoned) throw new Error("nobody has died");
    hold.release();
  }
  return written;
}

inEverySetup("rwlock", async ({ heap, mates, tools }, holds) => {
  const [first, second] = mates;

  await holds("readers see what writers leave, and never a writer at work", async () => {
    const block = makeWords(heap, 4);
    const written = await Promise.all([
      ...mates.map((mate, index) => mate.run(readAndWrite, block, 300, mate.canBlock, index)),
      readAndWrite(tools, block, 300, false, 2),
    ]);
    const view = tools.words(block, 4);
    assert.equal(
      view[0],
      written.reduce((sum, count) => sum + count, 0),
    );
    assert.equal(view[2], view[0]);
  });

  await holds("readers read beside each other; a writer is alone", async () => {
    const lock = heap.rwlock("beside");
    const read = lock.readSync();
    await first.run(async ({ heap: own, keep }) => keep("reading", await own.rwlock("beside").read()));
    assert.equal(lock.readers().length, 2);
    assert.equal(lock.writer(), undefined);
    assert.equal(await second.run(({ heap: own }) => own.rwlock("beside").tryWrite() === undefined), true);
    read.release();
    const write = lock.write();
    assert.equal(await isPending(write), true);
    await first.run(({ kept }) => kept<Hold>("reading").release());
    const hold = await write;
    assert.equal(hold.abandoned, false);
    assert.equal((await second.run(({ heap: own }) => own.rwlock("beside").writer()))?.pid, process.pid);
    assert.equal(await first.run(({ heap: own }) => own.rwlock("beside").tryRead() === undefined), true);
    assert.equal(await second.run(({ heap: own }) => own.rwlock("beside").tryWrite() === undefined), true);
    hold.release();
    assert.deepEqual(lock.readers(), []);
    assert.equal(lock.writer(), undefined);
  });

  await holds("nobody reads past a writer that waits; when it gives up they do", async () => {
    const lock = heap.rwlock("past");
    const read = lock.readSync();
    const { waits } = lock.stats();
    const write = first.run(
      async ({ heap: own }) => void (await own.rwlock("past").write({ timeoutMs: 400 })),
    );
    await until("the writer waits", () => lock.stats().waits > waits);
    assert.equal(await second.run(({ heap: own }) => own.rwlock("past").tryRead() === undefined), true);
    // Not even who reads already.
    assert.equal(lock.tryRead(), undefined);
    const late = second.run(async ({ heap: own }) => (await own.rwlock("past").read()).release());
    assert.equal(await isPending(late), true);
    await rejectsCode(write, "ERR_SHOAL_TIMEOUT", /rwlock "past"/);
    await late;
    read.release();
  });

  await holds("a writer that waited comes before readers that came later", async () => {
    const lock = heap.rwlock("order");
    const read = lock.readSync();
    const { waits } = lock.stats();
    const writing = first.run(async ({ heap: own, keep }, canBlock) => {
      const its = own.rwlock("order");
      const hold = canBlock ? its.writeSync() : await its.write();
      keep("writing", hold);
    }, first.canBlock);
    await until("the writer waits", () => lock.stats().waits > waits);
    const late = lock.read();
    read.release();
    await writing;
    assert.equal(await isPending(late), true);
    await first.run(({ kept }) => kept<Hold>("writing").release());
    (await late).release();
  });

  await holds("the readers of one participant are counted: the last one lets the writer in", async () => {
    const lock = heap.rwlock("counted");
    const holdings = [lock.readSync(), await heap.rwlock("counted").read(), lock.tryRead()!];
    const isFree = (): Promise<boolean> =>
      first.run(({ heap: own }) => {
        const hold = own.rwlock("counted").tryWrite();
        hold?.release();
        return hold !== undefined;
      });
    for (const hold of holdings) {
      assert.equal(await isFree(), false);
      hold.release();
    }
    assert.equal(await isFree(), true);
  });

  await holds("runReading and runWriting release it", async () => {
    const lock = heap.rwlock("run");
    assert.equal(await lock.runReading(() => 1), 1);
    await assert.rejects(
      lock.runWriting(() => {
        throw new Error("work");
      }),
      /^Error: work$/,
    );
    assert.equal(await first.run(({ heap: own }) => own.rwlock("run").runWriting(async () => 2)), 2);
  });

  await holds("a wait ends with its time", async () => {
    const write = heap.rwlock("late").writeSync();
    for (const timeoutMs of [0, 30]) {
      const wait = first.run(
        async ({ heap: own }, ms, isSync) =>
          void (isSync
            ? own.rwlock("late").readSync({ timeoutMs: ms })
            : await own.rwlock("late").read({ timeoutMs: ms })),
        timeoutMs,
        first.canBlock,
      );
      await rejectsCode(wait, "ERR_SHOAL_TIMEOUT");
      await rejectsCode(
        second.run(
          async ({ heap: own }, ms) => void (await own.rwlock("late").write({ timeoutMs: ms })),
          timeoutMs,
        ),
        "ERR_SHOAL_TIMEOUT",
      );
    }
    write.release();
    heap.rwlock("late").tryWrite()!.release();
  });

  await holds("a writer may wait long, asleep: that is no deadlock", async () => {
    const read = heap.rwlock("long").readSync();
    const write = first.run(async ({ heap: own }, canBlock) => {
      const its = own.rwlock("long");
      (canBlock ? its.writeSync() : await its.write()).release();
    }, first.canBlock);
    assert.equal(await isPending(write, 350), true);
    read.release();
    await write;
  });
});
