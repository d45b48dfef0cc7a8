/** Any calls in any order by three participants in one thread do what a model of the objects says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Heap } from "../../src/data/heap.ts";
import { ShoalError } from "../../src/errors.ts";
import { freshPosixName } from "../helpers/segments.ts";
import type { Hold } from "../../src/sync/index.ts";

const RUNS = 150;
const LIMIT_MS = 4000;
const PARTICIPANTS = 3;
const PERMITS = 4;

/** What the objects should be. Participants by their number; -1 = nobody. */
interface Model {
  holder: number;
  readonly reading: number[];
  writer: number;
  /** A writer has died. */
  isDirty: boolean;
  /** The mutex's holder has died. */
  isAbandoned: boolean;
  readonly permits: number[];
  isSet: boolean;
  isAutoSet: boolean;
  value: number;
  isDone: boolean;
}

interface Play {
  readonly name: string;
  readonly heaps: Heap[];
  readonly model: Model;
  readonly locks: (Hold | undefined)[];
  readonly reads: Hold[][];
  readonly writes: (Hold | undefined)[];
  readonly fair: boolean;
}

type Step = readonly [call: keyof typeof CALLS, who: number, count: number];

function codeOf(call: () => unknown): string {
  try {
    call();
    return "none";
  } catch (error) {
    if (error instanceof ShoalError) return error.code;
    throw error;
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}

const CALLS = {
  tryLock({ heaps, model, locks }: Play, who: number) {
    const hold = heaps[who]!.mutex("mutex").tryLock();
    assert.equal(hold !== undefined, model.holder === -1);
    if (hold === undefined) return;
    assert.equal(hold.abandoned, model.isAbandoned);
    model.holder = who;
    model.isAbandoned = false;
    locks[who] = hold;
  },
  lockSync({ heaps, model, locks }: Play, who: number) {
    const code = codeOf(() => (locks[who] = heaps[who]!.mutex("mutex").lockSync({ timeoutMs: 0 })));
    if (model.holder === -1) {
      assert.equal(code, "none");
      assert.equal(locks[who]!.abandoned, model.isAbandoned);
      model.holder = who;
      model.isAbandoned = false;
    } else assert.equal(code, model.holder === who ? "ERR_SHOAL_DEADLOCK" : "ERR_SHOAL_TIMEOUT");
  },
  release({ model, locks }: Play, who: number) {
    const hold = locks[who];
    if (hold === undefined) return;
    assert.equal(
      codeOf(() => hold.release()),
      "none",
    );
    locks[who] = undefined;
    model.holder = -1;
  },
  unlock({ heaps, model, locks }: Play, who: number) {
    const code = codeOf(() => heaps[who]!.mutex("mutex").unlock());
    assert.equal(code, model.holder === who ? "none" : "ERR_SHOAL_NOT_HOLDER");
    if (code !== "none") return;
    assert.equal(
      codeOf(() => locks[who]!.release()),
      "ERR_SHOAL_NOT_HOLDER",
    );
    locks[who] = undefined;
    model.holder = -1;
  },
  tryRead({ heaps, model, reads }: Play, who: number) {
    const hold = heaps[who]!.rwlock("lock").tryRead();
    assert.equal(hold !== undefined, model.writer === -1);
    if (hold === undefined) return;
    assert.equal(hold.abandoned, model.isDirty);
    model.reading[who]!++;
    reads[who]!.push(hold);
  },
  endRead({ model, reads }: Play, who: number) {
    const hold = reads[who]!.shift();
    if (hold === undefined) return;
    hold.release();
    model.reading[who]!--;
  },
  tryWrite({ heaps, model, writes }: Play, who: number) {
    const hold = heaps[who]!.rwlock("lock").tryWrite();
    assert.equal(hold !== undefined, model.writer === -1 && sum(model.reading) === 0);
    if (hold === undefined) return;
    assert.equal(hold.abandoned, model.isDirty);
    model.writer = who;
    writes[who] = hold;
  },
  endWrite({ model, writes }: Play, who: number) {
    const hold = writes[who];
    if (hold === undefined) return;
    hold.release();
    writes[who] = undefined;
    model.writer = -1;
    model.isDirty = false;
  },
  acquire({ heaps, model }: Play, who: number, count: number) {
    const hold = heaps[who]!.semaphore("permits").tryAcquire(count);
    assert.equal(hold !== undefined, sum(model.permits) + count <= PERMITS);
    if (hold !== undefined) model.permits[who]! += count;
  },
  give({ heaps, model }: Play, who: number, count: number) {
    const code = codeOf(() => heaps[who]!.semaphore("permits").release(count));
    assert.equal(code, model.permits[who]! >= count ? "none" : "ERR_SHOAL_NOT_HOLDER");
    if (code === "none") model.permits[who]! -= count;
  },
  set({ heaps, model }: Play, who: number, count: number) {
    heaps[who]!.event(count % 2 === 0 ? "manual" : "auto").set();
    if (count % 2 === 0) model.isSet = true;
    else model.isAutoSet = true;
  },
  reset({ heaps, model }: Play, who: number) {
    heaps[who]!.event("manual").reset();
    model.isSet = false;
  },
  pass({ heaps, model }: Play, who: number, count: number) {
    if (count % 2 === 0) return assert.equal(heaps[who]!.event("manual").tryWait(), model.isSet);
    assert.equal(heaps[who]!.event("auto").tryWait(), model.isAutoSet);
    model.isAutoSet = false;
  },
  add({ heaps, model }: Play, who: number, count: number) {
    assert.equal(heaps[who]!.counter("sum").add(count - 2), (model.value += count - 2));
  },
  once({ heaps, model }: Play, who: number, count: number) {
    const once = heaps[who]!.once("once");
    const code = codeOf(() => {
      const isMine = once.runSync(({ abandoned }) => {
        assert.equal(abandoned, false);
        if (count === 1) throw new ShoalError("ERR_SHOAL_FULL", "work", {});
      });
      assert.equal(isMine, !model.isDone);
    });
    assert.equal(code, count === 1 && !model.isDone ? "ERR_SHOAL_FULL" : "none");
    if (code === "none") model.isDone = true;
  },
  barrier({ heaps }: Play, who: number) {
    const barrier = heaps[who]!.barrier("barrier");
    assert.equal(
      codeOf(() => barrier.waitSync({ timeoutMs: 0 })),
      "ERR_SHOAL_TIMEOUT",
    );
    barrier.leave();
    assert.equal(barrier.waiting, 0);
  },
  /** Closes the heap, whatever it holds, and opens it anew. */
  die({ name, heaps, model, locks, reads, writes }: Play, who: number) {
    const holds =
      model.holder === who || model.writer === who || model.reading[who]! > 0 || model.permits[who]! > 0;
    assert.equal(
      codeOf(() => heaps[who]!.close()),
      holds ? "ERR_SHOAL_HELD" : "none",
    );
    heaps[who] = Heap.open(name);
    if (model.holder === who) {
      model.holder = -1;
      model.isAbandoned = true;
    }
    if (model.writer === who) {
      model.writer = -1;
      model.isDirty = true;
    }
    model.reading[who] = 0;
    model.permits[who] = 0;
    locks[who] = undefined;
    writes[who] = undefined;
    reads[who] = [];
  },
} as const;

function compare({ heaps, model }: Play, who: number): void {
  const heap = heaps[who]!;
  const indexOf = (number: number): number | undefined => heaps[number]?.region.slotIndex;
  assert.equal(heap.mutex("mutex").holder()?.index, indexOf(model.holder));
  assert.equal(heap.rwlock("lock").writer()?.index, indexOf(model.writer));
  assert.equal(heap.rwlock("lock").readers().length, model.reading.filter((count) => count > 0).length);
  assert.equal(heap.semaphore("permits").available, PERMITS - sum(model.permits));
  assert.equal(heap.semaphore("permits").held, model.permits[who]);
  assert.equal(heap.event("manual").isSet, model.isSet);
  assert.equal(heap.counter("sum").value, model.value);
  assert.equal(heap.once("once").isDone, model.isDone);
}

function playThrough(name: string, fair: boolean, steps: readonly Step[]): void {
  const made = Heap.create(name, { maxParticipants: 4 });
  made.mutex("mutex", { fair });
  made.semaphore("permits", { permits: PERMITS });
  made.event("auto", { resets: "auto" });
  made.barrier("barrier", { parties: 3 });
  const play: Play = {
    name,
    fair,
    heaps: Array.from({ length: PARTICIPANTS }, () => Heap.open(name)),
    model: {
      holder: -1,
      reading: [0, 0, 0],
      writer: -1,
      isDirty: false,
      isAbandoned: false,
      permits: [0, 0, 0],
      isSet: false,
      isAutoSet: false,
      value: 0,
      isDone: false,
    },
    locks: [undefined, undefined, undefined],
    reads: [[], [], []],
    writes: [undefined, undefined, undefined],
  };
  try {
    for (const [index, [call, who, count]] of steps.entries()) {
      CALLS[call](play, who, count);
      if (index % 8 === 0) compare(play, who);
    }
    for (let who = 0; who < PARTICIPANTS; who++) compare(play, who);
    assert.deepEqual(made.verify().problems, []);
  } finally {
    for (const heap of play.heaps) codeOf(() => heap.close());
    made.remove();
  }
}

const step: fc.Arbitrary<Step> = fc.tuple(
  fc.constantFrom(...(Object.keys(CALLS) as (keyof typeof CALLS)[])),
  fc.nat({ max: PARTICIPANTS - 1 }),
  fc.integer({ min: 1, max: PERMITS }),
);

for (const fair of [false, true]) {
  test(`three participants that call whatever they like find what the model says, the mutex ${fair ? "fair" : "plain"}`, (t) => {
    const { SHOAL_TEST_SEED: givenSeed, SHOAL_TEST_RUNS: givenRuns } = process.env;
    const seed = givenSeed === undefined ? Date.now() % 2 ** 31 : Number(givenSeed);
    const numRuns = Number(givenRuns ?? RUNS);
    const name = freshPosixName(t);
    let runs = 0;
    const property = fc.property(fc.array(step, { minLength: 1, maxLength: 120, size: "max" }), (steps) => {
      runs++;
      playThrough(name, fair, steps);
    });
    try {
      fc.assert(property, {
        seed,
        numRuns,
        ...(givenRuns === undefined ? { interruptAfterTimeLimit: LIMIT_MS } : {}),
      });
    } catch (error) {
      const how = `repeat with SHOAL_TEST_SEED=${seed} SHOAL_TEST_RUNS=${numRuns} npm test -- sync/property`;
      throw new Error(`${how}\n${(error as Error).message}`, { cause: error });
    } finally {
      t.diagnostic(`seed ${seed}, ${runs} sequences`);
    }
  });
}
