/**
 * One damaged heap: it is opened, damaged, and then every call is made on it, by who had it open and by who opens it then.
 */

import { ShoalError } from "../src/errors.ts";
import { Heap } from "../src/heap/index.ts";
import { H_HEAP_LOCK, H_ROOTS_LOCK, PAGE_SIZE_BYTES } from "../src/layout/header.ts";
import { useCheckpoint } from "../src/region/core.ts";
import type { Region } from "../src/region/index.ts";
import { changingCalls, isCoded, lookingCalls } from "./calls.ts";
import type { Hand } from "./calls.ts";
import { letLooksTake } from "./clock.ts";
import { damage, describeDamage } from "./damage.ts";
import { IMAGE_COUNT, imageOf } from "./images.ts";
import type { Image } from "./images.ts";
import { hasObjects } from "./kinds.ts";
import type { Kind } from "./kinds.ts";
import { makeMeter } from "./meter.ts";
import type { Meter } from "./meter.ts";
import { hasPorts, objectCalls, objectLooks } from "./object-calls.ts";
import { makeRandom, shuffled } from "./random.ts";
import type { Random } from "./random.ts";

export type Fault = "crash" | "hang" | "outside" | "lock" | "repair";

export interface Violation {
  readonly allocator: Kind;
  readonly seed: number;
  readonly fault: Fault;
  readonly call: string;
  readonly damages: readonly string[];
  readonly message: string;
}

export interface Trial {
  calls: number;
  codedErrors: number;
  /** The most accesses that one call made, and which call. */
  mostAccesses: number;
  mostBy: string;
  readonly violations: Violation[];
}

/**
 * The most accesses that a call may make. (The largest heaps here have 300 pages of span and some 7 of data; a look over all
 * of them takes some ten thousands.)
 */
export const ACCESS_LIMIT = 500_000;

const meter = makeMeter(ACCESS_LIMIT);

interface Scene {
  readonly image: Image;
  readonly random: Random;
  readonly seed: number;
  readonly damages: string[];
  readonly trial: Trial;
  readonly meter: Meter;
  /** What the segment may grow to: the longest span that anybody who opened it was told of. */
  spanBytes: number;
}

function note(scene: Scene, fault: Fault, call: string, message: string): void {
  const { image, seed, damages, trial } = scene;
  trial.violations.push({ allocator: image.kind, seed, fault, call, damages: [...damages], message });
}

/** Makes a call and judges how it ends. */
function attempt<T>(scene: Scene, name: string, call: () => T): T | undefined {
  const { trial } = scene;
  trial.calls++;
  scene.meter.begin();
  try {
    return call();
  } catch (error) {
    if (isCoded(error)) trial.codedErrors++;
    else if (!scene.meter.isEndless)
      note(scene, "crash", name, error instanceof Error ? (error.stack ?? error.message) : String(error));
    return undefined;
  } finally {
    const { accesses, isEndless, where } = scene.meter;
    if (isEndless) note(scene, "hang", name, `no end after ${accesses} accesses\n${where}`);
    else if (accesses > trial.mostAccesses) [trial.mostAccesses, trial.mostBy] = [accesses, name];
  }
}

/** How many of the calls the later openers make, in one of so many trials all. */
const SOME_CALLS = 8;
const SOME_OBJECT_CALLS = 24;

function callAll(scene: Scene, heap: Heap, hand: Hand, calls: typeof changingCalls, most: number): void {
  for (const [name, call] of shuffled(scene.random, Object.entries(calls)).slice(0, most)) {
    if (scene.trial.violations.length > 0) return;
    attempt(scene, name, () => call(heap, hand));
  }
}

type Calls = typeof changingCalls;

const heapCalls: Calls = { ...lookingCalls, ...changingCalls };

/** What there is to call; the first one who has the heap open makes all of these calls. */
function allCalls({ image }: Scene): Calls {
  return image.objects.length === 0 ? heapCalls : { ...objectCalls, ...objectLooks };
}

function openAgain(scene: Scene, hand: Hand): void {
  const { image, random } = scene;
  const readOnly = random.once(6);
  const heap = attempt(scene, "open", () => Heap.open(image.name, { ...image.opening, readOnly }));
  if (heap === undefined) return;
  scene.spanBytes = Math.max(scene.spanBytes, heap.region.spanBytes);
  callAll(scene, heap, hand, heapCalls, SOME_CALLS);
  if (image.objects.length > 0) {
    const calls = readOnly && !random.once(4) ? objectLooks : allCalls(scene);
    callAll(scene, heap, hand, calls, SOME_OBJECT_CALLS);
  }
  attempt(scene, "close", () => heap.close());
}

function hurt(scene: Scene): void {
  scene.damages.push(describeDamage(damage(scene.image, scene.random)));
}

/**
 * Whether this participant can put anything right. One whose pages were cut off underneath it cannot: all its calls are refused,
 * and when it closes it counts as dead, so whoever recovers it puts right what is in its name.
 */
function canAct(region: Region): boolean {
  try {
    region.check();
    return true;
  } catch (error) {
    if (
      error instanceof ShoalError &&
      (error.code === "ERR_SHOAL_DAMAGED" || error.code === "ERR_SHOAL_CLOSED")
    )
      return false;
    throw error;
  }
}

/** A participant whose call has ended holds no lock: what it held it has put right. */
function checkLocks(scene: Scene, heap: Heap): void {
  const number = heap.region.slotIndex + 1;
  const word = new Uint32Array(1);
  for (const [name, offset] of [
    ["the heap's lock", H_HEAP_LOCK],
    ["the roots lock", H_ROOTS_LOCK],
  ] as const) {
    if (offset === H_HEAP_LOCK && scene.image.allocator !== "first-fit") continue;
    scene.image.read(offset, new Uint8Array(word.buffer));
    if (word[0] === number)
      note(scene, "lock", "close", `${name} is held by a participant that is in no call`);
  }
}

/** Alone with the heap: it is repaired, or that is refused; what was repaired is sound, and stays so. */
function checkRepair(scene: Scene, heap: Heap, hand: Hand): void {
  scene.image.dismiss();
  const report = attempt(scene, "repair", () => heap.verify({ repair: true }));
  if (report === undefined) return;
  // From now on it is what the repairer knew.
  scene.spanBytes = heap.region.spanBytes;
  const codes = report.problems.map(({ message }) => message);
  if (codes.length > 0) note(scene, "repair", "repair", `what is left: ${codes.slice(0, 5).join("; ")}`);
  callAll(scene, heap, hand, changingCalls, SOME_CALLS);
  // A root may lead to a block that has just been freed; the owners in pages that are yet to come nobody has looked at.
  const found = attempt(scene, "verify", () => heap.verify())?.problems ?? [];
  const again = found
    .filter(({ code }) => code !== "root" && code !== "owner-gone")
    .map(({ message }) => message);
  if (again.length > 0) note(scene, "repair", "verify", `wrong again: ${again.join("; ")}`);
  checkAdmission(scene);
}

/** Others can open what was repaired, unless it says that it was removed: that is not undone. */
function checkAdmission(scene: Scene): void {
  const { image } = scene;
  try {
    Heap.open(image.name, image.opening).close();
  } catch (error) {
    if (isCoded(error) && error.code === "ERR_SHOAL_RETIRED") return;
    note(scene, "repair", "open", `nobody can open it: ${String(error)}`);
  }
}

/** Ports go on while the event loop does. What they throw there nobody catches: it ends the process, which is told. */
async function letPortsGoOn(scene: Scene, heap: Heap): Promise<void> {
  for (let turn = 0; turn < 3; turn++) {
    scene.meter.begin();
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await new Promise(setImmediate);
  }
  attempt(scene, "verify", () => heap.verify());
}

/** How many calls were made before the damage. */
const CALLS_BEFORE = 16;

async function play(scene: Scene): Promise<void> {
  const { image, random } = scene;
  const heap = Heap.open(image.name, image.opening);
  const hand: Hand = { random, handles: [...image.handles] };
  // It has something of its own before the damage comes.
  for (let count = random.below(4); count > 0; count--) {
    const sizeBytes = 1 + random.below(3000);
    attempt(scene, "alloc first", () => hand.handles.push(heap.alloc(sizeBytes, { owned: random.once(2) })));
  }
  const isWithObjects = image.objects.length > 0;
  if (isWithObjects && !random.once(3)) callAll(scene, heap, hand, objectCalls, CALLS_BEFORE);
  for (let count = 1 + random.below(3); count > 0; count--) hurt(scene);
  image.bury();
  if (random.once(3)) openAgain(scene, hand);
  callAll(scene, heap, hand, allCalls(scene), Infinity);
  if (isWithObjects) callAll(scene, heap, hand, heapCalls, SOME_CALLS);
  if (random.once(4)) {
    hurt(scene);
    callAll(scene, heap, hand, heapCalls, SOME_CALLS);
    if (isWithObjects) callAll(scene, heap, hand, objectCalls, SOME_OBJECT_CALLS);
  }
  if (isWithObjects && hasPorts(heap)) await letPortsGoOn(scene, heap);
  if (random.once(3)) openAgain(scene, hand);
  if (scene.trial.violations.length === 0) {
    // Both locks are taken once more, so that whatever the damage has put there is put right, if it can be.
    attempt(scene, "alloc", () => heap.alloc(16));
    attempt(scene, "roots.delete", () => heap.roots.delete("none"));
    if (canAct(heap.region)) checkLocks(scene, heap);
  }
  if (scene.trial.violations.length === 0 && random.once(2)) checkRepair(scene, heap, hand);
  attempt(scene, "close", () => heap.close());
  const length = image.lengthBytes();
  if (length > scene.spanBytes)
    note(scene, "outside", "close", `the segment has ${length} bytes, its span is ${scene.spanBytes}`);
}

/** What a look at the clock takes where somebody may spin until it is late. */
const LOOK_MS = 0.001;

/** Damages the heap that `seed` names, and makes all calls on it. */
export async function runTrial(kind: Kind, seed: number): Promise<Trial> {
  const random = makeRandom(seed);
  letLooksTake(0);
  const image = imageOf(kind, random.below(IMAGE_COUNT));
  const trial: Trial = { calls: 0, codedErrors: 0, mostAccesses: 0, mostBy: "", violations: [] };
  const spanBytes = image.geometry.spanPages * PAGE_SIZE_BYTES;
  const scene: Scene = { image, random, seed, damages: [], trial, meter, spanBytes };
  image.restore();
  if (hasObjects(kind)) letLooksTake(LOOK_MS);
  useCheckpoint(meter.hook);
  try {
    meter.begin();
    await play(scene);
  } finally {
    useCheckpoint(undefined);
  }
  return trial;
}
