/**
 * The count in the commons, while everybody who lives rests between two operations. If nobody is stopped, nobody holds anything:
 * so every lock can be had, every permit is there, and what a lock guards is in order, or the lock says that it was abandoned.
 * Every message can be received; then those that are still said to be on their way were lost, but for
 *
 *     the one that a dead participant was about to send
 *     one for each that died receiving: it had received it, and not yet said so
 *     those that the channel itself says that it has dropped
 * and all blocks are those that there were in the beginning. Afterwards the counts begin anew.
 */

import type { Channel, Subscription } from "../src/data/index.ts";
import type { Handle } from "../src/heap/index.ts";
import type { Hold } from "../src/sync/index.ts";
import { checkParticipants, doubtsOf } from "./accounting.ts";
import type { Doubt, Fate, Findings } from "./accounting.ts";
import { IS_READ, IS_SENT, checkIn, makeOrderCheck } from "./commons-channels.ts";
import {
  disorderOf,
  isInline,
  messageOf,
  pairOf,
  PERMITS,
  PIPES,
  putInOrder,
  readLetter,
  renewOnce,
  setWord,
  TOPIC_CAPACITY,
} from "./commons.ts";
import type { Commons, PipeName } from "./commons.ts";
import { channelOf, CHANNELS, COUNTS, IDS, LOCKS, messageWord, numberOf, senderOf } from "./commons-table.ts";
import type { ChannelName, LockName } from "./commons-table.ts";
import { SEATS } from "./ledger.ts";
import type { Kind, Ledger } from "./ledger.ts";

/** The leader's side of the commons. */
export interface Watch {
  readonly commons: Commons;
  /** It is in the publishers' way until it has received everything. */
  readonly subscription: Subscription<Uint8Array>;
  /** The blocks that are always there. */
  readonly blocks: ReadonlySet<Handle>;
  /** What each channel had dropped when it was last counted. */
  readonly dropped: Map<PipeName, number>;
  /** Letters that the leader has sent. */
  sent: number;
}

export interface CommonsScene {
  readonly watch: Watch;
  readonly ledger: Ledger;
  readonly fates: ReadonlyMap<number, Fate>;
}

export interface CommonsFindings extends Findings {
  lostMessages: number;
  /** Since the last count that was clear. */
  messages: number;
  locks: number;
}

interface Count extends CommonsScene {
  readonly commons: Commons;
  /** What the dead were at. */
  readonly doubts: readonly Doubt[];
  readonly findings: CommonsFindings;
}

export function watchCommons(commons: Commons): Watch {
  return {
    commons,
    subscription: commons.topic.subscribe({ policy: "block" }),
    blocks: new Set([...commons.heap.blocks()].map(({ handle }) => handle)),
    dropped: new Map(),
    sent: 0,
  };
}

function damaged({ findings }: Count, fault: string): void {
  findings.corruptions++;
  findings.faults.push(`commons: ${fault}`);
}

/** Recovers the dead, and counts; with somebody stopped only what can be told then. */
export function accountCommons(scene: CommonsScene): CommonsFindings {
  const { ledger, fates, watch } = scene;
  const { commons } = watch;
  const { table } = ledger;
  const isStopped = [...fates.values()].includes("stopped");
  const findings: CommonsFindings = {
    faults: [],
    corruptions: 0,
    leakedBytes: 0,
    lostBlocks: 0,
    lostMessages: 0,
    messages: 0,
    locks: 0,
  };
  const count: Count = { ...scene, commons, doubts: doubtsOf(scene), findings };
  commons.heap.recover();
  for (const { message } of commons.heap.verify().problems) damaged(count, `verify: ${message}`);
  const slotOf = (seat: number): number => ledger.commonsSlotOf(seat);
  for (const fault of checkParticipants(commons.heap, fates, slotOf)) damaged(count, fault);
  if (isStopped || findings.faults.length > 0) return findings;
  for (const check of [checkLocks, checkOthers, checkChannels, checkBlocks]) {
    try {
      check(count);
    } catch (error) {
      damaged(count, error instanceof Error ? error.message : String(error));
    }
  }
  for (const { message } of commons.heap.verify().problems) damaged(count, `verify in the end: ${message}`);
  if (findings.faults.length > 0) findings.faults.push(...count.doubts.map(describeDoubt));
  findings.messages = table.count("messages");
  findings.locks = table.count("holds");
  for (const name of COUNTS) table.setCount(name, 0);
  return findings;
}

function describeDoubt({ seat, kind, cell, sign, wanted }: Doubt): string {
  return `in doubt: seat ${seat}, dead in ${kind} of ${cell}, number ${numberOf(sign)}, progress ${wanted}`;
}

function deathsIn({ doubts }: Count, kinds: readonly Kind[], cell?: number): number {
  return doubts.filter((doubt) => kinds.includes(doubt.kind) && (cell === undefined || doubt.cell === cell))
    .length;
}

// Locks

const HOLDING: readonly Kind[] = ["lock", "condition", "write"];

function checkLocks(count: Count): void {
  const { plain, fair, rwlock } = count.commons;
  checkLock(count, "plain", plain.tryLock());
  checkLock(count, "fair", fair.tryLock());
  checkLock(count, "rwlock", rwlock.tryWrite());
  const reading = rwlock.tryRead();
  if (reading === undefined || reading.abandoned)
    damaged(count, "rwlock: cannot be read after it was written");
  reading?.release();
}

/** `hold`: of the leader, who is the only one now. */
function checkLock(count: Count, lock: LockName, hold: Hold | undefined): void {
  const { commons, ledger } = count;
  if (hold === undefined) {
    const { plain, fair, rwlock } = commons;
    const holder = { plain, fair, rwlock: { holder: rwlock.writer } }[lock].holder();
    return damaged(
      count,
      `${lock} is not to be had, everybody rests; it is held by ${JSON.stringify(holder)}`,
    );
  }
  const fault = disorderOf(commons, lock, hold);
  if (fault !== undefined) damaged(count, fault);
  const told = ledger.table.count(`told ${lock}`) + (hold.abandoned ? 1 : 0);
  const deaths = deathsIn(count, HOLDING, LOCKS.indexOf(lock));
  if (told > deaths)
    damaged(count, `${lock}: said to be abandoned ${told} times, ${deaths} may have died with it`);
  if (hold.abandoned) putInOrder(commons, lock);
  hold.release();
}

function checkOthers(count: Count): void {
  const { commons, ledger } = count;
  const { semaphore, manual, auto, condition, barrier, counter } = commons;
  const { table } = ledger;
  const permits = semaphore.available;
  const all = semaphore.tryAcquire(PERMITS);
  all?.release();
  if (permits !== PERMITS || all === undefined)
    damaged(count, `semaphore: ${permits} of ${PERMITS} permits are there`);
  const passes = table.count("passes") + (auto.tryWait() ? 1 : 0);
  if (passes > table.count("sets")) damaged(count, `${passes} passed an event that was set less often`);
  auto.set();
  if (!auto.tryWait() || auto.tryWait()) damaged(count, "an automatic event does not let exactly one pass");
  manual.set();
  if (!manual.tryWait() || !manual.isSet) damaged(count, "a manual event was set, and lets nobody pass");
  manual.reset();
  condition.notifyAll();
  const added = counter.set(0) - table.count("added");
  const deaths = deathsIn(count, ["count"]);
  if (added < 0 || added > deaths)
    damaged(count, `the counter is ${added} too high, and ${deaths} died counting`);
  const first = table.count("first parties");
  const last = table.count("last parties");
  if (Math.abs(first - last) > deathsIn(count, ["barrier"]))
    damaged(count, `the barrier let ${first} pass who waited, and ${last} who came last`);
  barrier.reset();
  if (barrier.waiting !== 0 || barrier.isBroken)
    damaged(count, "the barrier was reset, and is not at its beginning");
  checkOnce(count);
}

function checkOnce(count: Count): void {
  const { commons, ledger } = count;
  const { once } = commons;
  const [first, second] = pairOf(commons, "once");
  const runs = ledger.table.count("once");
  const deaths = deathsIn(count, ["once"]);
  if (runs > 1 + deaths) damaged(count, `once was done ${runs} times, and ${deaths} died at it`);
  if (once.isDone && (first !== second || first === 0))
    damaged(count, `once is done, and its words are ${first} and ${second}`);
  if (once.runner() !== undefined) damaged(count, `once is being done by ${JSON.stringify(once.runner())}`);
  const wasDone = once.isDone;
  const didIt = once.runSync(
    ({ abandoned }) => {
      if (!abandoned && (first !== 0 || second !== 0))
        damaged(count, `once: nobody says that it was begun, and its words are ${first} and ${second}`);
      setWord(commons, "once", 0, 1);
    },
    { timeoutMs: 0 },
  );
  if (didIt === wasDone || !once.isDone)
    damaged(count, "once was not done, and is said to be, or the other way");
  renewOnce(commons);
}

// Channels

function checkChannels(count: Count): void {
  for (const channel of PIPES) drain(count, channel);
  drainTopic(count);
  const lost = new Map<ChannelName, number[]>(CHANNELS.map((channel) => [channel, []]));
  for (let id = 0; id < IDS; id++) if (count.ledger.table.word(id) !== 0) lost.get(channelOf(id))!.push(id);
  for (const channel of CHANNELS) explain(count, channel, lost.get(channel)!);
  for (const channel of PIPES) probe(count, channel);
  probeTopic(count);
}

function drain({ commons, ledger }: Count, channel: PipeName): void {
  const pipe: Channel<Uint8Array> = commons[channel];
  const checkOrder = makeOrderCheck(channel);
  for (let bytes = pipe.tryReceive(); bytes !== undefined; bytes = pipe.tryReceive()) {
    const letter = readLetter(channel, bytes);
    checkIn(ledger, channel, letter);
    checkOrder(letter.word);
  }
  if (pipe.depth !== 0) throw new Error(`${channel}: nothing comes, and ${pipe.depth} messages are there`);
}

function drainTopic({ watch, ledger }: Count): void {
  const { subscription } = watch;
  const checkOrder = makeOrderCheck("topic");
  for (let bytes = subscription.tryReceive(); bytes !== undefined; bytes = subscription.tryReceive()) {
    const letter = readLetter("topic", bytes);
    checkIn(ledger, "topic", letter);
    checkOrder(letter.word);
  }
  if (subscription.lag !== 0 || subscription.dropped !== 0)
    throw new Error(`topic: ${subscription.lag} messages do not come, ${subscription.dropped} were dropped`);
}

/** `lost`: ids of messages that are nowhere any more. */
function explain(count: Count, channel: ChannelName, lost: readonly number[]): void {
  const { ledger, doubts, findings, watch, commons } = count;
  const { table } = ledger;
  const wasUnsent = (id: number): boolean =>
    doubts.some(
      ({ kind, cell, sign, wanted }) =>
        kind === "send" && cell === id && sign === table.word(id) && wanted !== IS_SENT,
    );
  const unexplained = lost.filter((id) => !wasUnsent(id));
  let received = 0;
  let borrowed = 0;
  for (const { kind, cell, wanted } of doubts) {
    if (CHANNELS[cell] !== channel) continue;
    if (kind === "receive" || (kind === "borrow" && wanted === IS_READ)) received++;
    if (kind === "borrow") borrowed++;
  }
  let dropped = 0;
  if (channel !== "topic") {
    const { redeliver, stats } = commons[channel];
    const total = stats().dropped;
    dropped = total - (watch.dropped.get(channel) ?? 0);
    watch.dropped.set(channel, total);
    const most = channel === "latest" ? Infinity : redeliver ? 0 : borrowed;
    if (dropped < 0 || dropped > most)
      damaged(
        count,
        `${channel}: ${dropped} messages were dropped, and ${borrowed} died with a borrowed one`,
      );
    if (dropped > lost.length)
      damaged(
        count,
        `${channel}: ${dropped} messages are said to be dropped, and ${lost.length} did not come`,
      );
  }
  const many = unexplained.length - received - dropped;
  if (many > 0) {
    findings.lostMessages += many;
    const shown = unexplained.map((id) => {
      const word = table.word(id);
      return `number ${numberOf(word)} of seat ${senderOf(word)} (id ${id})`;
    });
    findings.faults.push(
      `commons: ${channel}: ${many} messages are lost, of ${shown.join(", ")}; ${dropped} were dropped, ${received} died receiving`,
    );
  }
  for (const id of lost) table.change(id, table.word(id), 0);
}

/** A letter of the leader's. */
function nextLetter(watch: Watch, channel: ChannelName): { word: number; bytes: Buffer } {
  for (;;) {
    const word = messageWord(SEATS, ++watch.sent);
    // In a topic messages stay when they have been received, and so do their blocks.
    if (channel !== "topic" || isInline(word)) return { word, bytes: messageOf(0, word) };
  }
}

/** One message goes through: with that a ring's next producer puts right what the one before has left. */
function probe({ commons, watch }: Count, channel: PipeName): void {
  const pipe: Channel<Uint8Array> = commons[channel];
  const { word, bytes } = nextLetter(watch, channel);
  if (!pipe.trySend(bytes)) throw new Error(`${channel}: it is empty, and has no room`);
  const received = pipe.tryReceive();
  if (received === undefined || readLetter(channel, received).word !== word)
    throw new Error(`${channel}: what was sent last does not come`);
  if (channel === "ring") commons.ring.resign();
}

/** Once around: no message of anybody else's is left in the topic, and no block. */
function probeTopic({ commons, watch }: Count): void {
  for (let left = TOPIC_CAPACITY; left > 0; left--) {
    const { word, bytes } = nextLetter(watch, "topic");
    if (!commons.topic.tryPublish(bytes))
      throw new Error("topic: everything was received, and it has no room");
    const received = watch.subscription.tryReceive();
    if (received === undefined || readLetter("topic", received).word !== word)
      throw new Error("topic: what was published last does not come");
  }
}

function checkBlocks({ commons, watch, findings }: Count): void {
  const left = new Set(watch.blocks);
  for (const { handle, sizeBytes, ownerSlot } of commons.heap.blocks()) {
    if (left.delete(handle)) continue;
    findings.leakedBytes += sizeBytes;
    findings.faults.push(
      `commons: block ${handle} (${sizeBytes} bytes, slot ${ownerSlot}) is nobody's message`,
    );
  }
  for (const handle of left) {
    findings.lostBlocks++;
    findings.faults.push(`commons: block ${handle} is gone`);
  }
}
