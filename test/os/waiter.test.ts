import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Worker } from "node:worker_threads";
import { SLOT_FREE, SLOT_LIVE, SLOT_RECOVERING, SLOT_SIZE_BYTES } from "../../src/layout/slot.ts";
import {
  WAITER_DIED,
  WAITER_RANG,
  WAITER_TICKED,
  close,
  ftruncate,
  futexWake,
  mmap,
  openWaiter,
  shmOpen,
  tryLock,
  unlock,
} from "../../src/os/index.ts";
import type { Waiter, WaiterOptions } from "../../src/os/index.ts";
import { native } from "../../src/os/native.ts";
import {
  closeIfOpen,
  countAllDescriptors,
  countMaps,
  ended,
  firstLine,
  freshObject,
  nativeUrl,
  osUrl,
  runModule,
  startModule,
  throwsCode,
  until,
} from "./support.ts";

// What looks like a segment to a waiter: words of ours (bells, and what is rung for) in the first page, slots in the second.
const usedOffset = 2048;
const slotsOffset = 4096;
const slotCount = 8;
const sizeBytes = 8192;
const usedWord = usedOffset / 4;
const stateWord = (slot: number): number => (slotsOffset + slot * SLOT_SIZE_BYTES) / 4;
const lockByte = (slot: number): { offset: number } => ({ offset: slotsOffset + slot * SLOT_SIZE_BYTES });

const optionsIn = (memory: ArrayBuffer, lockFd: number, bell: number): WaiterOptions => ({
  memory,
  bellOffset: bell * 4,
  slotsOffset,
  usedOffset,
  slotCount,
  ownIndex: 0,
  lockFd,
  lockOffset: slotsOffset,
});

/** For programs elsewhere: `fd`, `words`, `ring(bell)`, and `open(bell, notify)` for a waiter. */
const programHead = (name: string, polls: boolean): string => `
  const fd = os.shmOpen(${JSON.stringify(name)});
  const words = new Int32Array(os.mmap({ fd }).buffer);
  native.waiterPoll(${polls ? 1 : 0});
  setTimeout(() => process.exit(9), 30_000).unref();
  const ring = (bell) => { Atomics.add(words, bell, 1); os.futexWake(words, bell); };
  const open = (bell, notify) => {
    const waiter = os.openWaiter({ memory: words.buffer, bellOffset: bell * 4, slotsOffset: ${slotsOffset}, usedOffset: ${usedOffset},
      slotCount: ${slotCount}, ownIndex: 0, lockFd: fd, lockOffset: ${slotsOffset} }, notify);
    waiter.setActive(true);
    return waiter;
  };
`;

interface Segment {
  readonly name: string;
  readonly fd: number;
  readonly words: Int32Array;
  /** A waiter in slot 0, and what it was told. */
  open(bell: number, notify?: () => void): { waiter: Waiter; told: number[] };
  ring(bell: number): void;
}

function freshSegment(t: TestContext): Segment {
  const { name, fd } = freshObject(t, sizeBytes);
  const mapping = mmap({ fd });
  const words = new Int32Array(mapping.buffer);
  const waiters: Waiter[] = [];
  t.after(() => {
    for (const waiter of waiters) waiter.close();
    mapping.unmap();
  });
  const open = (bell: number, notify?: () => void): { waiter: Waiter; told: number[] } => {
    const told: number[] = [];
    const waiter = openWaiter(optionsIn(mapping.buffer, fd, bell), (reasons) => {
      told.push(reasons);
      notify?.();
    });
    waiters.push(waiter);
    return { waiter, told };
  };
  const ring = (bell: number): void => {
    Atomics.add(words, bell, 1);
    futexWake(words, bell);
  };
  return { name, fd, words, open, ring };
}

/** A worker of this process that has run `code`, and stays. */
async function startWorker(name: string, polls: boolean, code: string): Promise<Worker> {
  const whole = `Promise.all([import(${JSON.stringify(osUrl)}), import(${JSON.stringify(nativeUrl)})]).then(([os, { native }]) => {
    ${programHead(name, polls)} ${code}; require("node:worker_threads").parentPort.postMessage("here"); setTimeout(() => {}, 1e6); })`;
  const worker = new Worker(whole, { eval: true });
  await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
  return worker;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The tests hold on a kernel with futex_waitv, and as well on one without it. */
function onBoth(name: string, body: (t: TestContext, polls: boolean) => Promise<void> | void): void {
  for (const polls of [false, true]) {
    test(polls ? `${name} (polling)` : name, async (t) => {
      native.waiterPoll(polls ? 1 : 0);
      await body(t, polls);
    });
  }
}

/** How often the thread has gone to sleep. */
function countSleeps(): number {
  const folder = "/proc/self/task";
  const tid = readdirSync(folder).find(
    (one) => readFileSync(`${folder}/${one}/comm`, "utf8") === "shoal-waiter\n",
  );
  const status = readFileSync(`${folder}/${tid!}/status`, "utf8");
  return Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(status)![1]);
}

onBoth("a ring calls back: from this thread, from a worker, and from another process", async (t, polls) => {
  const { name, open, ring } = freshSegment(t);
  const { waiter, told } = open(1);
  const other = open(2);
  waiter.setActive(true);
  other.waiter.setActive(true);
  ring(1);
  await until("this thread's ring is told", () => told.length === 1);
  const worker = await startWorker(name, polls, "ring(1)");
  await until("the worker's ring is told", () => told.length === 2);
  await worker.terminate();
  assert.equal((await runModule(t, `${programHead(name, polls)} ring(1);`)).code, 0);
  await until("the other process's ring is told", () => told.length === 3);
  assert.deepEqual(told, [WAITER_RANG, WAITER_RANG, WAITER_RANG]);
  assert.deepEqual(other.told, []);
});

onBoth("however often it is rung while the thread is busy, it is called back once", async (t) => {
  const { open, ring } = freshSegment(t);
  const { waiter, told } = open(1);
  waiter.setActive(true);
  for (let i = 0; i < 1000; i++) {
    ring(1);
    for (const end = performance.now() + 0.03; performance.now() < end;);
  }
  await until("it is told", () => told.length > 0);
  await pause(100);
  // Twice when the last ring was seen only after the first call was made.
  assert.ok(told.length <= 2, `${told.length} calls`);
});

onBoth(
  "a participant's death is told, from the moment on when it holds its lock no more",
  async (t, polls) => {
    const { name, words, open } = freshSegment(t);
    words[usedWord] = 4;
    const { waiter, told } = open(1);
    waiter.setActive(true);
    waiter.setTicking(true);
    const code = `${programHead(name, polls)} os.tryLock(fd, { offset: ${lockByte(3).offset} });
    words[${stateWord(3)}] = ${(5 << 2) | SLOT_LIVE}; process.stdout.write("here\\n"); setTimeout(() => {}, 1e6);`;
    const child = startModule(t, code);
    await firstLine(child);
    await until("three beats have passed", () => told.length >= 3);
    assert.deepEqual(new Set(told), new Set([WAITER_TICKED]));
    child.kill("SIGKILL");
    await ended(child);
    const isTold = (): boolean => told.some((reasons) => (reasons & WAITER_DIED) !== 0);
    await until("it is told", isTold);
    told.length = 0;
    await until("it is told again, for as long as nobody recovers it", isTold);
    words[stateWord(3)] = (6 << 2) | SLOT_FREE;
    await pause(20);
    told.length = 0;
    await until("three more beats have passed", () => told.length >= 3);
    assert.equal(isTold(), false);
  },
);

onBoth("nobody is said to be dead who lives, is oneself, or was never there", async (t) => {
  const { name, fd, words, open } = freshSegment(t);
  const peer = shmOpen(name);
  t.after(() => closeIfOpen(peer));
  words[usedWord] = 1_000_000; // damaged: no reason to look beyond the slots
  words[stateWord(0)] = (1 << 2) | SLOT_LIVE; // its own, whose lock it holds by the same descriptor
  words[stateWord(1)] = (7 << 2) | SLOT_FREE;
  words[stateWord(2)] = (1 << 2) | SLOT_LIVE;
  words[stateWord(3)] = (1 << 2) | SLOT_RECOVERING;
  tryLock(fd, lockByte(0));
  tryLock(peer, lockByte(2));
  tryLock(peer, lockByte(3));
  const { waiter, told } = open(1);
  waiter.setTicking(true);
  waiter.setActive(true);
  await until("three beats have passed", () => told.length >= 3);
  assert.deepEqual(new Set(told), new Set([WAITER_TICKED]));
  words[usedWord] = 3;
  unlock(peer, lockByte(3));
  told.length = 0;
  await until("three more beats have passed", () => told.length >= 3);
  assert.deepEqual(new Set(told), new Set([WAITER_TICKED]), "slot 3 is none of those that were ever taken");
  words[usedWord] = 4;
  await until("who died while being recovered is told", () => told.includes(WAITER_TICKED | WAITER_DIED));
});

onBoth("it ticks while it wants to and is active", async (t) => {
  const { open } = freshSegment(t);
  const [one, other] = [open(1), open(2)];
  for (const { waiter } of [one, other]) waiter.setActive(true);
  one.waiter.setTicking(true);
  await until("it has ticked thrice", () => one.told.length >= 3);
  assert.deepEqual(new Set(one.told), new Set([WAITER_TICKED]));
  assert.deepEqual(other.told, []);
  one.waiter.setTicking(false);
  await pause(20);
  one.told.length = 0;
  await pause(150);
  assert.deepEqual(one.told, []);
});

onBoth("inactive, it is silent, and the thread sleeps without limit", async (t) => {
  const { open, ring } = freshSegment(t);
  const { waiter, told } = open(1);
  waiter.setTicking(true);
  waiter.setActive(true);
  await until("it ticks", () => told.length > 0);
  waiter.setActive(false);
  await pause(150);
  told.length = 0;
  const sleeps = countSleeps();
  ring(1);
  await pause(200);
  assert.deepEqual(told, []);
  assert.equal(countSleeps(), sleeps);
  const isRingTold = (): boolean => told.some((reasons) => (reasons & WAITER_RANG) !== 0);
  waiter.setActive(true);
  await until("the ring meanwhile is told", isRingTold);
  waiter.setActive(false);
  told.length = 0;
  ring(1); // while the thread still has the bell in view
  await pause(150);
  assert.deepEqual(told, []);
  waiter.setActive(true);
  await until("that ring is told", isRingTold);
});

// The ringer rings twice a round: idly, which wakes the thread while the waiter is inactive, or just not any more; and then for
// something. If the thread lets the bell go although the waiter has been activated, nobody ever wakes it again.
onBoth(
  "activated again at the moment when the thread lets its bell go, it loses no ring",
  async (t, polls) => {
    const { name, words, open } = freshSegment(t);
    const rounds = 3000;
    const [bell, rung, done] = [1, 2, 3];
    let onCall = (): void => {};
    const { waiter } = open(bell, () => onCall());
    const ringer = await startWorker(
      name,
      polls,
      `const spin = () => { for (const end = performance.now() + Math.random() * 0.05; performance.now() < end; ); };
     setImmediate(() => { for (let round = 1; round <= ${rounds}; round++) {
       for (let seen; (seen = Atomics.load(words, ${done})) < round - 1; ) os.futexWait(words, ${done}, seen, { timeoutMs: 100 });
       ring(${bell}); spin();
       Atomics.store(words, ${rung}, round); ring(${bell});
     } })`,
    );
    t.after(() => ringer.terminate());
    const nextCall = (round: number): Promise<void> =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`round ${round}: the ring was lost`)), 5000);
        onCall = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    for (let round = 1; round <= rounds; round++) {
      for (const end = performance.now() + Math.random() * 0.05; performance.now() < end;);
      waiter.setActive(true);
      // Calls come in turns of their own: none can slip in between the look and the wait.
      while (Atomics.load(words, rung) < round) await nextCall(round);
      waiter.setActive(false);
      Atomics.store(words, done, round);
      futexWake(words, done);
    }
    await ringer.terminate();
  },
);

onBoth("once it is closed, its memory and its descriptor may go", async (t) => {
  const { name, fd, open, ring } = freshSegment(t);
  const steady = open(20);
  steady.waiter.setActive(true);
  for (let i = 0; i < 300; i++) {
    const mapping = mmap({ fd });
    const lockFd = shmOpen(name);
    const words = new Int32Array(mapping.buffer);
    words[usedWord] = slotCount;
    const waiters = [1, 2, 3].map((bell) =>
      openWaiter(optionsIn(mapping.buffer, lockFd, bell), () =>
        assert.equal(mapping.isUnmapped, false, "called after it was closed"),
      ),
    );
    for (const waiter of waiters) waiter.setActive(true);
    for (const bell of [1, 2, 3]) ring(bell);
    ring(20);
    if (i % 3 === 1) await new Promise(setImmediate);
    if (i % 50 === 2) await pause(5);
    for (const waiter of waiters) waiter.close();
    mapping.unmap();
    close(lockFd);
    ring(20);
  }
  assert.equal(countMaps(name), 1);
  steady.told.length = 0;
  ring(20);
  await until("the thread still works", () => steady.told.length > 0);
});

onBoth("a closed waiter's functions do nothing", (t) => {
  const { waiter } = freshSegment(t).open(1);
  waiter.close();
  waiter.setActive(true);
  waiter.setTicking(true);
  waiter.setRef(true);
  waiter.close();
});

onBoth("a worker can be terminated while it waits, and leaves nothing behind", async (t, polls) => {
  const { name, words, open, ring } = freshSegment(t);
  words[usedWord] = slotCount;
  words[stateWord(4)] = (1 << 2) | SLOT_LIVE; // and so there is something to tell on each beat
  const { waiter, told } = open(1);
  waiter.setActive(true);
  const before = countAllDescriptors();
  for (let i = 0; i < 8; i++) {
    const code = "for (let bell = 2; bell < 12; bell++) open(bell, () => {}).setTicking(true)";
    const worker = await startWorker(name, polls, code);
    for (let bell = 2; bell < 12; bell++) ring(bell);
    await pause(i * 2);
    const gone = worker.terminate();
    for (let bell = 2; bell < 12; bell++) ring(bell);
    await gone;
    assert.equal(countMaps(name), 1);
  }
  assert.ok(countAllDescriptors() <= before);
  told.length = 0;
  await until("the thread still works", () => told.length > 0);
});

onBoth("it keeps the event loop alive only when it is told to", async (t, polls) => {
  const { name } = freshSegment(t);
  const head = programHead(name, polls);
  const alone = await runModule(t, `${head} open(1, () => {}).setTicking(true);`);
  assert.deepEqual([alone.code, alone.stderr], [0, ""]);
  const unref = await runModule(
    t,
    `${head} const waiter = open(1, () => {}); waiter.setRef(true); waiter.setRef(false);`,
  );
  assert.equal(unref.code, 0);
  const code = `${head} let count = 0;
    const waiter = open(1, () => { if (++count === 3) { process.stdout.write("thrice"); waiter.setRef(false); } });
    waiter.setRef(true); waiter.setTicking(true);`;
  const run = await runModule(t, code);
  assert.deepEqual([run.code, run.stdout], [0, "thrice"]);
  const closing = await runModule(
    t,
    `${head} const waiter = open(1, () => waiter.close()); waiter.setRef(true); ring(1);`,
  );
  assert.equal(closing.code, 0);
});

onBoth("process.exit() does not wait for it", async (t, polls) => {
  const { name } = freshSegment(t);
  const code = `${programHead(name, polls)} open(1, () => {}).setRef(true); ring(1); setTimeout(() => process.exit(3), 20);`;
  assert.equal((await runModule(t, code)).code, 3);
});

onBoth("more bells than the kernel waits for at once are all heard", async (t) => {
  const { open, ring } = freshSegment(t);
  const all = Array.from({ length: 200 }, (_, bell) => open(bell));
  for (const { waiter } of all) waiter.setActive(true);
  for (const bell of [0, 50, 126, 127, 128, 199]) {
    ring(bell);
    await until(`ring ${bell} is told`, () => all[bell]!.told.length === 1);
  }
  assert.equal(all.filter(({ told }) => told.length > 0).length, 6);
});

onBoth("an error in the call back is the event loop's, and later calls come", async (t, polls) => {
  const { name } = freshSegment(t);
  const code = `${programHead(name, polls)} let count = 0;
    process.on("uncaughtException", (error) => process.stdout.write(error.message));
    const waiter = open(1, () => { if (++count === 3) waiter.close(); else throw new Error("thrown" + count); });
    waiter.setRef(true); waiter.setTicking(true);`;
  const run = await runModule(t, code);
  assert.deepEqual([run.code, run.stdout, run.stderr], [0, "thrown1thrown2", ""]);
});

onBoth("a segment that is truncated ends neither the process nor the thread's sleep", async (t, polls) => {
  const { name } = freshSegment(t);
  const truncated = freshObject(t, sizeBytes);
  const code = `${programHead(name, polls)}
    const lost = os.mmap({ fd: os.shmOpen(${JSON.stringify(truncated.name)}) });
    const flags = new Int32Array(1);
    native.guardAdd(lost.address, lost.lengthBytes, flags);
    const options = { memory: lost.buffer, bellOffset: 4, slotsOffset: 4096, usedOffset: 2048, slotCount: 8, ownIndex: 0, lockFd: fd, lockOffset: 4096 };
    const waiter = os.openWaiter(options, () => {});
    waiter.setActive(true);
    process.stdout.write("here\\n");
    let count = 0;
    open(1, () => { if (++count === 5) { waiter.close(); process.stdout.write("flags " + flags[0]); process.exit(0); } }).setTicking(true);
    setTimeout(() => {}, 20000);`;
  const child = startModule(t, code);
  const done = ended(child);
  await firstLine(child);
  ftruncate(truncated.fd, 0);
  const { code: exitCode, signal, stdout } = await done;
  assert.deepEqual([exitCode, signal], [0, null]);
  assert.match(stdout, /flags 2$/);
});

test("what is none of its options is refused", (t) => {
  const { fd, words } = freshSegment(t);
  const sound = optionsIn(words.buffer as ArrayBuffer, fd, 1);
  const bad: Partial<WaiterOptions>[] = [
    { bellOffset: 2 },
    { bellOffset: sizeBytes },
    { usedOffset: -4 },
    { slotsOffset: slotsOffset + 4 },
    { slotCount: 0 },
    { ownIndex: -1 },
    { ownIndex: slotCount },
    { lockFd: -1 },
    { lockOffset: -1 },
  ];
  for (const one of bad) throwsCode(() => openWaiter({ ...sound, ...one }, () => {}), "ERR_SHOAL_ARGUMENT");
  assert.equal(native.waiterActive(1e9, 1), -22);
  assert.equal(native.waiterClose(0), -22);
});
