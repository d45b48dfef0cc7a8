/**
 * What a participant of the storm does until it is killed: allocates (shared blocks and blocks of its own), frees its own
 * and others', resizes, shares and adopts, sets and deletes roots, grows, trims, recovers; looks at every block's contents
 * before it changes it; locks, sends and receives in the commons; and rests when the leader counts.
 */

import { Heap } from "../src/heap/index.ts";
import type { Handle } from "../src/heap/index.ts";
import { threadId } from "node:worker_threads";
import { commonsName, openCommons } from "./commons.ts";
import { resign, visitChannels } from "./commons-channels.ts";
import { visitLocks } from "./commons-locks.ts";
import { firstDifference, isZeroed, stamp, wordsOf } from "./contents.ts";
import type { Words } from "./contents.ts";
import { intentOf } from "./guest.ts";
import type { Guest } from "./guest.ts";
import { CELLS, EMPTY_CELL, nap, rootName, ROOTS } from "./ledger.ts";
import type { Cell, Intent, Kind, Ledger } from "./ledger.ts";
import { makeRandom } from "./random.ts";
import type { Random } from "./random.ts";

/** What a participant is told. */
export interface Order {
  /** The heap's name. */
  readonly heap: string;
  readonly seat: number;
  readonly seed: number;
  /** Blocks that are always there, for roots to lead to. */
  readonly anchors: readonly number[];
  /** Goes after so many rounds; default: never. */
  readonly mostRounds?: number;
}

/** Beyond this nobody makes the heap grow for nothing. */
const MOST_BYTES = 8 * 2 ** 20;
/** Cells below this number may hold large blocks. */
const LARGE_CELLS = 6;
const LARGE_BYTES = 150_000;
const MIDDLE_BYTES = 6000;
const SMALL_BYTES = 400;

/** Every so many rounds lead into the commons. */
const COMMONS_ROUNDS = 8;

interface Hand {
  readonly heap: Heap;
  readonly heapName: string;
  /** Of the commons, once it has been there. */
  guest: Guest | undefined;
  readonly words: Words;
  readonly ledger: Ledger;
  readonly seat: number;
  readonly random: Random;
  readonly anchors: readonly number[];
  readonly maxBlockBytes: number;
}

/** Takes part until it is killed, or `isOver` (asked now and then) says so, or something is wrong: then the seat says what. */
export function takePart(ledger: Ledger, order: Order, isOver: () => boolean): void {
  const { seat } = order;
  try {
    if (!enter(ledger, seat, "opening", isOver)) return;
    const heap = Heap.open(order.heap);
    ledger.setSlot(seat, heap.region.slotIndex);
    const hand: Hand = {
      heap,
      heapName: order.heap,
      guest: undefined,
      words: wordsOf(heap),
      ledger,
      seat,
      random: makeRandom(order.seed),
      anchors: order.anchors,
      maxBlockBytes: heap.plan.maxBlockBytes,
    };
    const isOverNow = order.mostRounds === undefined ? isOver : () => false;
    if (enter(ledger, seat, "working", isOver)) work(hand, isOverNow, order.mostRounds ?? Infinity);
    if (hand.guest !== undefined) hand.guest.commons.heap.close();
    heap.close();
  } catch (error) {
    ledger.fail(seat, describe(error));
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const where = error.stack?.split("\n").find((line) => line.includes("/src/")) ?? "";
  return `${"code" in error ? `${String(error.code)}: ` : ""}${error.message} ${where.trim()}`;
}

/**
 * Begins a piece of work in which it must not be disturbed by a count. The state first, then the look at the pause; the leader
 * does it the other way round.
 */
function enter(ledger: Ledger, seat: number, state: "opening" | "working", isOver: () => boolean): boolean {
  for (;;) {
    ledger.setState(seat, state);
    if (!ledger.isPaused) return true;
    ledger.setState(seat, "resting");
    while (ledger.isPaused) {
      if (isOver()) return false;
      nap(0.3);
    }
  }
}

const ROUNDS_BETWEEN_LOOKS = 128;

function work(hand: Hand, isOver: () => boolean, mostRounds: number): void {
  const { ledger, seat, random } = hand;
  for (let round = 1; round <= mostRounds; round++) {
    if (ledger.isPaused) {
      // Nobody holds anything while it rests.
      if (hand.guest !== undefined) resign(hand.guest);
      if (!enter(ledger, seat, "working", isOver)) return;
    }
    if (round % ROUNDS_BETWEEN_LOOKS === 0 && isOver()) return;
    if (random(COMMONS_ROUNDS) === 0) {
      visitCommons(hand);
      continue;
    }
    const dice = random(1000);
    if (dice < 960) visitCell(hand, random(CELLS));
    else if (dice < 990) visitRoot(hand, random(ROOTS));
    else if (dice < 997) doOther(hand, "recover", () => hand.heap.recover());
    else if (dice < 999) doOther(hand, "trim", () => hand.heap.trim());
    else if (random(4) === 0) doOther(hand, "stats", () => void hand.heap.stats());
    else if (hand.heap.region.segmentSizeBytes < MOST_BYTES)
      doOther(hand, "grow", () => hand.heap.grow(hand.heap.region.sizeBytes + 65536));
  }
}

function visitCommons(hand: Hand): void {
  const { random } = hand;
  hand.guest ??= enterCommons(hand);
  if (random(2) === 0) visitLocks(hand.guest);
  else visitChannels(hand.guest);
}

function enterCommons({ heapName, ledger, seat, random }: Hand): Guest {
  ledger.begin(seat, intentOf("enter", 0));
  const commons = ask(ledger, seat, () => openCommons(commonsName(heapName)));
  ledger.setCommonsSlot(seat, commons.heap.region.slotIndex, process.pid, threadId);
  ledger.finish(seat);
  return { commons, ledger, seat, random, sent: 0 };
}

/** An operation that concerns no block. */
function doOther({ ledger, seat }: Hand, kind: Kind, call: () => unknown): void {
  ledger.begin(seat, intentOf(kind, 0));
  ask(ledger, seat, call);
  ledger.finish(seat);
}

/** Calls the heap. */
function ask<Result>(ledger: Ledger, seat: number, call: () => Result): Result {
  ledger.setInCall(seat, true);
  const result = call();
  ledger.setInCall(seat, false);
  return result;
}

function visitRoot(hand: Hand, root: number): void {
  const { heap, ledger, seat, random, anchors } = hand;
  if (!ledger.tryLockRoot(root, seat)) return;
  const name = rootName(root);
  const before = ledger.root(root);
  const found = heap.roots.get(name);
  if (found !== before) throw new Error(`root ${root} leads to ${found}, not to ${before}`);
  const wanted = random(3) === 0 ? 0 : anchors[random(anchors.length)]!;
  const intent: Intent = { kind: "root", cell: root, before, sizeBytes: 0, sign: 0, wanted, isOwned: false };
  ledger.begin(seat, intent);
  const after = ask(ledger, seat, () => changeRoot(hand, name, before, wanted as Handle));
  ledger.setRoot(root, after);
  ledger.finish(seat);
  ledger.unlockRoot(root);
}

/** Which handle the root leads to afterwards. */
function changeRoot({ heap, random }: Hand, name: string, before: number, wanted: Handle): number {
  if (wanted === 0) {
    if (heap.roots.delete(name) !== (before !== 0)) throw new Error(`${name} was not what it was`);
    return 0;
  }
  if (before === 0 && random(2) === 0) return heap.roots.setIfAbsent(name, wanted);
  heap.roots.set(name, wanted);
  return wanted;
}

function sizeFor({ random, maxBlockBytes }: Hand, cell: number): number {
  const most = cell < LARGE_CELLS ? LARGE_BYTES : random(8) === 0 ? MIDDLE_BYTES : SMALL_BYTES;
  return 1 + random(Math.min(most, maxBlockBytes));
}

function visitCell(hand: Hand, cell: number): void {
  const { ledger, seat } = hand;
  if (!ledger.tryLock(cell, seat)) return;
  const now = ledger.cell(cell);
  if (now.handle === 0) fillCell(hand, cell);
  // Another's own is not to be touched; not even to see that it is refused: its owner may be dead, and the block a new one.
  else if (now.owner === -1 || now.owner === seat) changeCell(hand, cell, now);
  ledger.unlock(cell);
}

/** Does it as the ledger wants it: written down, done, entered, finished. */
function change(hand: Hand, intent: Intent, call: () => Cell): void {
  const { ledger, seat, words } = hand;
  ledger.begin(seat, intent);
  const after = ask(ledger, seat, call);
  ledger.setCell(intent.cell, after);
  if (after.handle !== 0) stamp(words, after.handle, after.sizeBytes, after.sign);
  ledger.finish(seat);
}

function newSign({ random }: Hand): number {
  return random(2 ** 31);
}

function fillCell(hand: Hand, cell: number): void {
  const { random, seat } = hand;
  const sizeBytes = sizeFor(hand, cell);
  const isOwned = random(4) === 0;
  const sign = newSign(hand);
  const intent: Intent = { kind: "alloc", cell, before: 0, sizeBytes: 0, sign, wanted: sizeBytes, isOwned };
  change(hand, intent, () => {
    const handle = allocate(hand, sizeBytes, isOwned);
    return { handle, sizeBytes, sign, owner: isOwned ? seat : -1 };
  });
}

function allocate({ heap, random, words, maxBlockBytes }: Hand, sizeBytes: number, owned: boolean): Handle {
  const dice = random(10);
  if (dice === 0) {
    const handle = heap.calloc(1, sizeBytes, { owned });
    if (!isZeroed(words, handle, sizeBytes)) throw new Error(`block ${handle} was to be zeroed`);
    return handle;
  }
  const alignmentBytes = 2 ** random(10);
  if (dice === 1 && Math.max(alignmentBytes, sizeBytes) * 2 <= maxBlockBytes) {
    const handle = heap.alignedAlloc(alignmentBytes, sizeBytes, { owned });
    if (handle % alignmentBytes !== 0) throw new Error(`block ${handle} is not at ${alignmentBytes}`);
    return handle;
  }
  return owned ? heap.alloc(sizeBytes, { owned }) : heap.alloc(sizeBytes);
}

function changeCell(hand: Hand, cell: number, now: Cell): void {
  const { heap, random, seat, words } = hand;
  const { sizeBytes, sign, owner } = now;
  const handle = now.handle as Handle;
  const wrong = firstDifference(words, handle, sizeBytes, sign);
  if (wrong >= 0)
    throw new Error(
      `word ${wrong} of block ${handle} (cell ${cell}, ${sizeBytes} bytes) is not what was written`,
    );
  const isOwned = owner === seat;
  const intent = { cell, before: handle, sizeBytes, sign, wanted: sizeBytes, isOwned };
  const dice = random(10);
  if (dice < 5) {
    change(hand, { ...intent, kind: "free", wanted: 0 }, () => {
      heap.free(handle);
      return EMPTY_CELL;
    });
  } else if (dice < 8) {
    resizeCell(hand, now, { ...intent, kind: "realloc", wanted: sizeFor(hand, cell) });
  } else if (dice < 9) {
    change(hand, { ...intent, kind: isOwned ? "share" : "adopt" }, () => {
      if (isOwned) heap.share(handle);
      else heap.adopt(handle);
      return { ...now, owner: isOwned ? -1 : seat };
    });
  }
}

function resizeCell(hand: Hand, now: Cell, intent: Intent): void {
  const { heap, words } = hand;
  const { wanted } = intent;
  const sign = newSign(hand);
  change(hand, intent, () => {
    const handle = heap.realloc(now.handle as Handle, wanted);
    const wrong = firstDifference(words, handle, now.sizeBytes, now.sign, wanted);
    if (wrong >= 0) throw new Error(`word ${wrong} of block ${handle} was lost when it was resized`);
    return { handle, sizeBytes: wanted, sign, owner: now.owner };
  });
}
