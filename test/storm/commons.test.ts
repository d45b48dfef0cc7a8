/** The storm's count in the commons finds what it is there to find: each test does what must never happen, or a death that may. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { threadId } from "node:worker_threads";
import type { TestContext } from "node:test";
import type { Fate } from "../../storm/accounting.ts";
import { accountCommons, watchCommons } from "../../storm/commons-accounting.ts";
import type { CommonsFindings, Watch } from "../../storm/commons-accounting.ts";
import { IS_READ, IS_SENT } from "../../storm/commons-channels.ts";
import { CHANNELS, IDS_EACH, LOCKS, messageWord } from "../../storm/commons-table.ts";
import type { ChannelName, LockName } from "../../storm/commons-table.ts";
import {
  commonsName,
  createCommons,
  isInline,
  messageOf,
  openCommons,
  setWord,
} from "../../storm/commons.ts";
import type { Commons } from "../../storm/commons.ts";
import { intentOf } from "../../storm/guest.ts";
import { Ledger } from "../../storm/ledger.ts";
import type { Kind } from "../../storm/ledger.ts";
import { takePart } from "../../storm/work.ts";
import { abandon, createHeap } from "../helpers/heaps.ts";
import { ALLOCATORS } from "../helpers/kinds.ts";
import { freshPosixName } from "../helpers/segments.ts";

const SEAT = 1;

interface Stage {
  readonly watch: Watch;
  /** The leader's, and that of a participant in seat 1. */
  readonly commons: Commons;
  readonly other: Commons;
  readonly ledger: Ledger;
  readonly fates: Map<number, Fate>;
  readonly count: () => CommonsFindings;
}

/** Closes it, whoever holds what. */
function closeAnyhow({ heap }: Commons): void {
  try {
    heap.close();
  } catch (error) {
    assert.ok(error instanceof Error && "code" in error && error.code === "ERR_SHOAL_HELD", String(error));
  }
}

function setStage(t: TestContext, allocator: (typeof ALLOCATORS)[number] = "slab"): Stage {
  const name = freshPosixName(t);
  const commons = createCommons(name, allocator);
  t.after(() => closeAnyhow(commons));
  const watch = watchCommons(commons);
  const other = openCommons(name);
  const fates = new Map<number, Fate>([[SEAT, "alive"]]);
  t.after(() => {
    if (fates.get(SEAT) !== "dead") closeAnyhow(other);
  });
  const ledger = Ledger.create(freshPosixName(t));
  t.after(() => ledger.close());
  ledger.hire(SEAT);
  ledger.setCommonsSlot(SEAT, other.heap.region.slotIndex, process.pid, threadId);
  return { watch, commons, other, ledger, fates, count: () => accountCommons({ watch, ledger, fates }) };
}

/** The participant dies in the middle of that. */
function die({ other, ledger, fates }: Stage, kind: Kind, cell: number, sign = 0, progress = 0): void {
  ledger.begin(SEAT, { ...intentOf(kind, cell), sign });
  ledger.setProgress(SEAT, progress);
  abandon(other.heap);
  fates.set(SEAT, "dead");
}

let sent = 0;

/** A message that is on its way, according to the ledger; `isSent`: and is. */
function send({ other, ledger }: Stage, channel: ChannelName, isSent = true): { id: number; word: number } {
  const id = CHANNELS.indexOf(channel) * IDS_EACH + (sent % IDS_EACH);
  const word = messageWord(SEAT, ++sent);
  assert.ok(ledger.table.change(id, 0, word));
  const bytes = messageOf(id, word);
  if (isSent) {
    const pipe = other[channel];
    assert.ok("tryPublish" in pipe ? pipe.tryPublish(bytes) : pipe.trySend(bytes));
  }
  return { id, word };
}

function assertFine({ faults, corruptions, leakedBytes, lostBlocks, lostMessages }: CommonsFindings): void {
  assert.deepEqual(faults, []);
  assert.deepEqual([corruptions, leakedBytes, lostBlocks, lostMessages], [0, 0, 0, 0]);
}

function assertFault(findings: CommonsFindings, pattern: RegExp): void {
  assert.match(findings.faults.join("\n"), pattern);
  assert.ok(findings.corruptions > 0);
}

for (const allocator of ALLOCATORS) {
  test(`${allocator}: what is sent is received by the leader, large messages, too, and a second count finds nothing new`, (t) => {
    const stage = setStage(t, allocator);
    for (const channel of CHANNELS) for (let left = 7; left > 0; left--) send(stage, channel);
    stage.other.ring.resign();
    const findings = stage.count();
    assertFine(findings);
    assert.equal(findings.messages, 7 * CHANNELS.length);
    assertFine(stage.count());
    assert.equal(stage.count().messages, 0);
  });

  test(`${allocator}: what a dead participant held, borrowed and had reserved is put right, and nothing is left`, (t) => {
    const stage = setStage(t, allocator);
    const { other } = stage;
    for (const channel of ["work", "jobs", "latest"] as const) send(stage, channel);
    other.jobs.borrow();
    other.work.reserve(1000);
    other.ring.reserve(1000);
    other.topic.tryReserve(1000);
    other.topic.subscribe({ policy: "block" });
    other.semaphore.acquireSync(2);
    other.rwlock.readSync();
    die(stage, "borrow", CHANNELS.indexOf("jobs"));
    assertFine(stage.count());
    assertFine(stage.count());
  });
}

const takers: Readonly<Record<LockName, (commons: Commons) => unknown>> = {
  plain: ({ plain }) => plain.lockSync(),
  fair: ({ fair }) => fair.lockSync(),
  rwlock: ({ rwlock }) => rwlock.writeSync(),
};

for (const lock of LOCKS) {
  test(`${lock}: its words may be different if its holder has died, and not otherwise`, (t) => {
    const stage = setStage(t);
    const take = takers[lock];
    take(stage.other);
    setWord(stage.other, lock, 0, 5);
    die(stage, lock === "rwlock" ? "write" : "lock", LOCKS.indexOf(lock));
    assertFine(stage.count());
    stage.fates.delete(SEAT);
    assertFine(stage.count());
    setWord(stage.commons, lock, 0, 9);
    assertFault(stage.count(), /nobody says that it was abandoned, and its words are 9 and 5/);
  });

  test(`${lock}: that it was abandoned, and nobody has died with it, is found; so is a holder who lives`, (t) => {
    const stage = setStage(t);
    const take = takers[lock];
    take(stage.other);
    assertFault(stage.count(), new RegExp(`${lock} is not to be had`));
    die(stage, "send", 0);
    assertFault(stage.count(), /said to be abandoned 1 times, 0 may have died/);
  });
}

test("permits that the living hold, and sums that are not right, are found", (t) => {
  const stage = setStage(t);
  const { other, ledger } = stage;
  const hold = other.semaphore.acquireSync(2);
  assertFault(stage.count(), /semaphore: 1 of 3 permits/);
  hold.release();
  other.counter.add(1);
  assertFault(stage.count(), /the counter is 1 too high/);
  ledger.table.add("passes");
  assertFault(stage.count(), /1 passed an event that was set less often/);
  ledger.table.add("first parties");
  assertFault(stage.count(), /the barrier let 1 pass who waited, and 0/);
  ledger.table.add("once", 2);
  assertFault(stage.count(), /once was done 2 times/);
  setWord(stage.commons, "once", 0, 3);
  assertFault(stage.count(), /once: nobody says that it was begun/);
  assertFine(stage.count());
});

for (const channel of CHANNELS) {
  test(`${channel}: a message that does not come is lost, unless it was about to be sent, or had just been received`, (t) => {
    const stage = setStage(t);
    send(stage, channel, false);
    assert.equal(stage.count().lostMessages, 1);
    assertFine(stage.count());
    const { id, word } = send(stage, channel, false);
    die(stage, "send", id, word);
    assertFine(stage.count());
    const again = send(stage, channel, false);
    stage.ledger.begin(SEAT, { ...intentOf("send", again.id), sign: again.word });
    stage.ledger.setProgress(SEAT, IS_SENT);
    assert.equal(stage.count().lostMessages, 1, "it had been sent");
    if (channel === "topic") return;
    for (let left = 2; left > 0; left--) send(stage, channel, false);
    stage.ledger.begin(SEAT, intentOf("receive", CHANNELS.indexOf(channel)));
    assert.equal(stage.count().lostMessages, 1, "it was one");
    send(stage, channel, false);
    stage.ledger.begin(SEAT, intentOf("borrow", CHANNELS.indexOf(channel)));
    assert.equal(stage.count().lostMessages, 1, "it had not read it");
    send(stage, channel, false);
    stage.ledger.setProgress(SEAT, IS_READ);
    assertFine(stage.count());
  });

  test(`${channel}: a message that comes twice, or that nobody has sent, is found`, (t) => {
    const stage = setStage(t);
    const pipe = stage.other[channel];
    const put = (bytes: Buffer): void =>
      void ("tryPublish" in pipe ? pipe.tryPublish(bytes) : pipe.trySend(bytes));
    const { id, word } = send(stage, channel);
    put(messageOf(id, word));
    if (channel === "ring") stage.other.ring.resign();
    assertFault(stage.count(), /was received before or never sent/);
    const torn = messageOf(id, word);
    torn[torn.length - 1]! ^= 1;
    put(torn);
    if (channel === "ring") stage.other.ring.resign();
    assertFault(stage.count(), /bytes that nobody has sent/);
    assertFine(stage.count());
  });
}

test("messages of one sender in another order are found", (t) => {
  const stage = setStage(t);
  const [first, second] = [send(stage, "work", false), send(stage, "work", false)];
  for (const { id, word } of [second, first]) stage.other.work.trySend(messageOf(id, word));
  assertFault(stage.count(), /has come after number/);
});

test("what a channel says that it has dropped is believed only if it can be", (t) => {
  const stage = setStage(t);
  for (let left = 9; left > 0; left--) send(stage, "latest");
  assertFine(stage.count());
  send(stage, "work");
  stage.other.work.borrow();
  die(stage, "borrow", CHANNELS.indexOf("work"));
  assertFine(stage.count());
});

test("a message that was dropped, and nobody had borrowed, is found", (t) => {
  const stage = setStage(t);
  send(stage, "work");
  stage.other.work.borrow();
  die(stage, "receive", CHANNELS.indexOf("work"));
  assertFault(stage.count(), /work: 1 messages were dropped, and 0 died with a borrowed one/);
});

test("blocks that are nobody's, and those that are gone, are found; a slot that nobody has, too", (t) => {
  const stage = setStage(t);
  const { other, commons, ledger } = stage;
  const leaked = other.heap.alloc(100);
  assert.equal(stage.count().leakedBytes, commons.heap.usableSize(leaked));
  other.heap.free(leaked);
  assertFine(stage.count());
  ledger.setCommonsSlot(SEAT, -1, 0, 0);
  assertFault(stage.count(), /is still taken, and nobody who lives has it/);
});

test("with somebody stopped, nothing is received, and who holds what is not asked", (t) => {
  const stage = setStage(t);
  send(stage, "work");
  stage.other.plain.lockSync();
  stage.fates.set(SEAT, "stopped");
  assertFine(stage.count());
  assert.equal(stage.commons.work.depth, 1);
});

test("messages are different from each other, some of them too long for a channel's cells", () => {
  const words = Array.from({ length: 200 }, (_none, number) => messageWord(SEAT, number));
  const texts = new Set(words.map((word) => messageOf(3, word).toString("hex")));
  assert.equal(texts.size, words.length);
  const long = words.filter((word) => !isInline(word)).length;
  assert.ok(long > 20 && long < 100, `${long} of 200`);
});

test("a participant that finds something wrong in the commons says so in its seat", (t) => {
  const heap = createHeap(t, { sizeBytes: 65536 });
  const commons = createCommons(commonsName(heap.region.name), "slab");
  t.after(() => commons.heap.remove());
  const ledger = Ledger.create(freshPosixName(t));
  t.after(() => ledger.close());
  const anchors = [heap.alloc(16)];
  const run = (seat: number, seed: number): string => {
    takePart(ledger, { heap: heap.region.name, seat, seed, anchors, mostRounds: 4000 }, () => false);
    return ledger.messageOf(seat);
  };
  assert.equal(run(2, 5), "");
  assert.ok(ledger.table.count("holds") > 50);
  assert.ok(ledger.table.count("messages") > 20);
  setWord(commons, "fair", 0, -1);
  assert.match(run(3, 6), /fair: nobody says that it was abandoned/);
  setWord(commons, "fair", 1, -1);
  // The one before has gone without resigning the ends of the ring that it may have had.
  for (const channel of ["work", "jobs", "latest"] as const) {
    while (commons[channel].tryReceive() !== undefined);
    commons[channel].trySend(messageOf(CHANNELS.indexOf(channel) * IDS_EACH, messageWord(SEAT, 0)));
  }
  assert.match(run(4, 7), /was received before or never sent/);
});
