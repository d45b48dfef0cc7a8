/**
 * What a thread of the stress does: puts strings into the heap and on the stack, takes others off, compares them, frees one
 * in three and pushes the others back; in the end it empties the stack.
 */
import { Heap } from "../../src/index.ts";
import type { AllocOptions, Handle } from "../../src/index.ts";
import { HEAD_BYTES, openStack } from "./stack.ts";
import type { Item, Stack } from "./stack.ts";
import { makeRandom, makeStrings } from "./strings.ts";

/** What a participant is told. */
export interface Order {
  readonly name: string;
  readonly seed: number;
  readonly mostBytes: number;
  /** How many strings there are for all together. */
  readonly strings: number;
  /** Its number among all threads. */
  readonly number: number;
  /** Threads in its process. */
  readonly threads: number;
  /** Works alone, with blocks of its own, until it is killed. */
  readonly isVictim: boolean;
}

/** Words of the control block, which is under the root "stress". */
export const HEAD_WORDS = HEAD_BYTES / 4;
export const NEXT_INDEX = HEAD_WORDS;
export const COMPARED = NEXT_INDEX + 1;
export const DIFFERENCES = COMPARED + 1;
/** Strings that victims have compared. */
export const VICTIM_STEPS = DIFFERENCES + 1;
export const CONTROL_WORDS = VICTIM_STEPS + 1;

interface Work {
  readonly heap: Heap;
  readonly control: Int32Array;
  readonly textOf: (index: number) => Uint8Array;
  readonly random: (limit: number) => number;
  readonly options: AllocOptions;
}

function put({ heap, textOf, options }: Work, index: number): Item {
  const text = textOf(index);
  const handle = heap.calloc(1, text.length + 1, options);
  heap.bytes(handle, text.length).set(text);
  return { handle, index };
}

/** Whether the block holds its string and the zero behind it. */
function isWhole({ heap, textOf, control }: Work, { handle, index }: Item): boolean {
  const text = textOf(index);
  const bytes = heap.bytes(handle, text.length + 1);
  const isEqual = bytes[text.length] === 0 && text.every((letter, at) => bytes[at] === letter);
  if (!isEqual) Atomics.add(control, DIFFERENCES, 1);
  return isEqual;
}

/** One step with what is on top; false when the stack is empty. */
function takeOne(work: Work, stack: Stack, isLast: boolean): boolean {
  const item = stack.pop();
  if (item === undefined) return false;
  const isEqual = isWhole(work, item);
  // A block that holds something else is somebody else's too: it is left, to be found.
  if (!isEqual) return true;
  if (isLast || work.random(3) === 0) work.heap.free(item.handle);
  else stack.push(item);
  return true;
}

/** Takes part until all strings have been put in and the stack is empty. */
export function takePart(order: Order): void {
  const heap = Heap.open(order.name);
  const head = heap.roots.get("stress") as Handle;
  const work: Work = {
    heap,
    control: new Int32Array(heap.region.buffer, head, CONTROL_WORDS),
    textOf: makeStrings(order.seed, order.mostBytes),
    random: makeRandom(order.seed + 7919 * (order.number + 1)),
    options: {},
  };
  const stack = openStack(heap, head, false);
  for (;;) {
    const index = Atomics.add(work.control, NEXT_INDEX, 1);
    if (index >= order.strings) break;
    stack.push(put(work, index));
    if (takeOne(work, stack, false)) Atomics.add(work.control, COMPARED, 1);
  }
  while (takeOne(work, stack, true)) Atomics.add(work.control, COMPARED, 1);
  heap.close();
}

const MOST_OF_A_VICTIM = 50;

/** The same alone, on a stack of its own: everything is owned, so that its death gives all of it back. Never ends. */
export function workUntilKilled(order: Order): never {
  const heap = Heap.open(order.name);
  const control = new Int32Array(heap.region.buffer, heap.roots.get("stress"), CONTROL_WORDS);
  const options = { owned: true };
  const random = makeRandom(order.seed + 7919 * (order.number + 1));
  const work: Work = { heap, control, textOf: makeStrings(order.seed, order.mostBytes), random, options };
  const stack = openStack(heap, heap.calloc(1, HEAD_BYTES, options), true);
  let held = 0;
  for (let index = 0; ; index++) {
    stack.push(put(work, index));
    held++;
    if (held < MOST_OF_A_VICTIM && random(2) === 0) continue;
    // Down to a few again, so that what it has when it dies is now more, now less.
    const fewest = random(held);
    while (held > fewest && takeOne(work, stack, true)) held--;
    Atomics.add(control, VICTIM_STEPS, 1);
  }
}
