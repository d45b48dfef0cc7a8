/**
 * Real processes are killed at random while they allocate, resize, free and set roots; whoever is left goes on.
 *
 * Every process keeps its blocks in a list of its own in shared memory, so that after its death the test knows what it
 * had, and signs each with its list's handle, so that it notices when somebody else has it too. A dead process may have
 * had one block more, which it had not entered yet, or one less, when it died in a move: its last entry is stale then, and
 * may even be another's block by now.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { Handle, Heap } from "../../src/heap/index.ts";
import { checkHeap, createHeap } from "../helpers/heaps.ts";
import { makeQueue, startProcess } from "../helpers/peer.ts";
import type { Peer } from "../helpers/peer.ts";

const KILLS = 100;
const CREW = 3;
const ENTRIES = 256;

/**
 * Works until it is killed. `list` is a block of ENTRIES words: the handles that this process has. What goes wrong there
 * is told to `complain`.
 */
function startWork(
  peer: Peer,
  heap: Heap,
  list: Handle,
  seed: number,
  complain: (error: Error) => void,
): void {
  const work = peer.run(
    ({ Heap: Heaps }, name, listHandle, entries, start) => {
      const mine = Heaps.open(name);
      const words = new Int32Array(mine.region.buffer, listHandle, entries);
      let state = start;
      const random = (limit: number): number => {
        state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
        return (state >>> 8) % limit;
      };
      const size = (): number => (random(20) === 0 ? 1 + random(300_000) : 1 + random(3000));
      const signatureOf = (handle: Handle): Int32Array => {
        const bytes = mine.bytes(handle, 4);
        return new Int32Array(bytes.buffer, bytes.byteOffset, 1);
      };
      const enter = (at: number, handle: Handle): void => {
        Atomics.store(words, at, handle);
        signatureOf(handle)[0] = listHandle;
      };
      for (let round = 0; ; round++) {
        const at = random(entries);
        const handle = (Atomics.load(words, at) >>> 0) as Handle;
        if (handle !== 0 && signatureOf(handle)[0] !== listHandle)
          throw new Error(`${handle} is another's too`);
        if (handle === 0) enter(at, mine.alloc(size()));
        else if (random(3) === 0) enter(at, mine.realloc(handle, size()));
        else {
          // Taken off the list first: a block that is freed and still listed would be somebody else's.
          Atomics.store(words, at, 0);
          mine.free(handle);
        }
        if (round % 64 === 0) {
          const named = Atomics.load(words, random(entries)) >>> 0;
          if (named !== 0 && random(2) === 0) mine.roots.setIfAbsent(`root ${random(40)}`, listHandle);
          else mine.roots.delete(`root ${random(40)}`);
        }
      }
    },
    heap.region.name,
    list,
    ENTRIES,
    seed,
  );
  // It ends only by being killed.
  work.catch((error: Error) => {
    if (!error.message.includes("SIGKILL")) complain(error);
  });
}

/** How many blocks the lists name, and how many of their entries lead nowhere or to a block that another list names. */
function countListed(heap: Heap, lists: readonly Handle[]): { listed: number; stale: number } {
  const seen = new Set<number>();
  let stale = 0;
  for (const list of lists) {
    for (const handle of new Uint32Array(heap.region.buffer, list, ENTRIES)) {
      if (handle === 0) continue;
      try {
        heap.usableSize(handle as Handle);
        if (seen.has(handle)) stale++;
        seen.add(handle);
      } catch (error) {
        assert.match((error as { code: string }).code, /BAD_HANDLE|DOUBLE_FREE/);
        stale++;
      }
    }
  }
  return { listed: seen.size, stale };
}

async function storm(t: TestContext, seed: number): Promise<void> {
  const heap = createHeap(t, { spanBytes: 512 * 2 ** 20 });
  const next = makeQueue(t);
  const lists: Handle[] = [];
  let kills = 0;
  const crew: Peer[] = [];
  const complaints: Error[] = [];
  let state = seed;
  const random = (limit: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % limit;
  };
  const hire = (place: number): void => {
    const list = heap.calloc(ENTRIES, 4);
    lists.push(list);
    crew[place] = next();
    startWork(crew[place]!, heap, list, 1 + random(2 ** 30), (error) => complaints.push(error));
  };
  for (let place = 0; place < CREW; place++) hire(place);
  while (kills < KILLS) {
    await new Promise((resolve) => setTimeout(resolve, 20 + random(60)));
    const place = random(CREW);
    await crew[place]!.kill();
    kills++;
    heap.recover();
    // Beside those who work on.
    const { problems } = heap.verify();
    assert.deepEqual(problems, [], `after kill ${kills}, seed ${seed}`);
    assert.deepEqual(complaints, [], `after kill ${kills}, seed ${seed}`);
    if (kills < KILLS) hire(place);
  }
  await Promise.all(crew.map((peer) => peer.kill()));
  heap.recover();
  heap.region.catchUp();
  const { blocks } = heap.verify();
  checkHeap(heap);
  const { listed, stale } = countListed(heap, lists);
  t.diagnostic(
    `${kills + CREW - 1} killed, ${listed} blocks listed, ${blocks} in all, ${stale} lost in a move`,
  );
  const unlisted = blocks - listed - lists.length;
  const deaths = kills + CREW - 1;
  assert.ok(
    unlisted >= 0 && unlisted <= deaths,
    `${unlisted} blocks nobody knows of, after ${deaths} deaths`,
  );
  assert.ok(stale <= deaths, `${stale} blocks were lost in a move, after ${deaths} deaths`);
  assert.ok(heap.stats().participants.length === 1);
  // A participant that comes now finds a heap like any other.
  const last = startProcess(t);
  const found = await last.run(({ Heap: Heaps }, name) => {
    const mine = Heaps.open(name);
    const handles = Array.from({ length: 1000 }, (_, index) => mine.alloc(1 + index));
    for (const handle of handles) mine.free(handle);
    return mine.verify().problems.length;
  }, heap.region.name);
  assert.equal(found, 0);
}

test("a hundred processes are killed at random, and nothing is lost but what they were just taking", async (t) => {
  const given = process.env["SHOAL_TEST_SEED"];
  const seed = given === undefined ? Date.now() % 2 ** 31 : Number(given);
  t.diagnostic(`seed ${seed}; repeat with SHOAL_TEST_SEED=${seed} (the kernel's scheduling is not repeated)`);
  await storm(t, seed);
});
