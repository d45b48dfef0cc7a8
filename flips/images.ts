/**
 * Heaps to be damaged: each is made once, with all that there can be in one, and put back as often as one likes.
 *
 * A heap is a memory file, so nothing of it outlives the process. In it are blocks of every sort, roots, pages that are
 * orphans; a participant that lives and does nothing; and one that has died in the middle of a call, whom nobody has
 * recovered yet. Half of the kinds have locks and channels as well (objects.ts), which both of these were using.
 */

import assert from "node:assert/strict";
import { Heap } from "../src/heap/index.ts";
import type { AllocatorName, Handle, HeapCreateOptions } from "../src/heap/index.ts";
import { ShoalError } from "../src/errors.ts";
import { HEADER_SIZE_BYTES, PAGE_SIZE_BYTES } from "../src/layout/header.ts";
import { SLOT_SIZE_BYTES } from "../src/layout/slot.ts";
import { fstat, ftruncate, open, tryLock, unlock } from "../src/os/index.ts";
import { native } from "../src/os/native.ts";
import { useCheckpoint } from "../src/region/core.ts";
import type { Geometry } from "../src/region/geometry.ts";
import { abandon } from "../test/helpers/heaps.ts";
import { allocatorOf, hasObjects } from "./kinds.ts";
import type { Kind } from "./kinds.ts";
import { makeObjects, userOf } from "./objects.ts";
import type { ObjectPlace, User } from "./objects.ts";
import { makeRandom } from "./random.ts";
import type { Random } from "./random.ts";

export interface Image {
  readonly kind: Kind;
  readonly allocator: AllocatorName;
  readonly number: number;
  /** What a heap is opened with, beside its name. */
  readonly opening: { readonly backend: "anonymous"; readonly fd: number };
  readonly name: string;
  readonly geometry: Geometry;
  readonly sizePages: number;
  /** Blocks that are shared, and some that the dead one owned. */
  readonly handles: readonly Handle[];
  /** Locks and channels. */
  readonly objects: readonly ObjectPlace[];
  /** The participant that lives and does nothing. (Named so that it is not collected.) */
  readonly idle: Heap;
  readonly deadSlot: number;
  /** The heap as it was made; the dead one counts as alive until `bury`. */
  restore(): void;
  /** From now on the dead one is dead. */
  bury(): void;
  /** From now on, until the heap is restored, the one who does nothing has left without a word. */
  dismiss(): void;
  read(offset: number, into: Uint8Array): void;
  write(offset: number, bytes: Uint8Array): void;
  lengthBytes(): number;
}

/** How many different heaps there are of each kind. */
export const IMAGE_COUNT = 24;

export const SLOT_COUNT = 8;

const KiB = 1024;

/** Some that cannot grow, some that can a little, and some whose tables are for much more than there is. */
function optionsOf(kind: Kind, number: number): HeapCreateOptions {
  const allocator = allocatorOf(kind);
  const sizeBytes = 6 * PAGE_SIZE_BYTES;
  const spanPages = [9, 9, 16, 300][number % 4]!;
  const limits =
    allocator === "buddy" && number % 3 === 0
      ? { minBlockBytes: 1024, maxBlockBytes: 16 * KiB }
      : kind === "buddy-objects"
        ? { minBlockBytes: 128, maxBlockBytes: 4 * KiB }
        : {};
  return {
    allocator,
    sizeBytes,
    spanBytes: spanPages * PAGE_SIZE_BYTES,
    maxParticipants: SLOT_COUNT,
    backend: "anonymous",
    growStepBytes: PAGE_SIZE_BYTES,
    ...limits,
  };
}

/** A participant's death: thrown where it would have gone on. */
const death = new Error("died");

/** Somebody who dies before the access number `at` of what it does from `arm` on, with what `prepare` has opened as well. */
interface Mortal {
  readonly heap: Heap;
  arm(at: number): void;
  prepare<T>(step: () => T): T;
}

function openMortal(name: string, opening: Image["opening"]): Mortal {
  let left = Infinity;
  const prepare = <T>(step: () => T): T => {
    useCheckpoint(() => {
      if (--left < 0) throw death;
    });
    try {
      return step();
    } finally {
      useCheckpoint(undefined);
    }
  };
  return { heap: prepare(() => Heap.open(name, opening)), arm: (at) => (left = at), prepare };
}

function isBlock(heap: Heap, handle: Handle): boolean {
  try {
    return heap.usableSize(handle) > 0;
  } catch (error) {
    if (error instanceof ShoalError) return false;
    throw error;
  }
}

/** A few calls of every sort; what there is no room for is passed over. */
function live(heap: Heap, random: Random, calls: number, handles: Set<Handle>): void {
  const attempt = (step: () => void): void => {
    try {
      step();
    } catch (error) {
      if (!(error instanceof ShoalError)) throw error;
    }
  };
  const { maxBlockBytes } = heap.plan;
  for (let call = 0; call < calls; call++) {
    const sizeBytes = Math.min(
      1 + random.below(random.pick([64, 600, 3000, 20_000, 150_000])),
      maxBlockBytes,
    );
    const some = handles.size === 0 ? undefined : random.pick([...handles]);
    attempt(() => {
      switch (some === undefined ? 0 : random.below(12)) {
        case 11:
        case 10:
        case 9:
          heap.free(some!);
          handles.delete(some!);
          break;
        case 8:
          handles.add(heap.realloc(some!, sizeBytes));
          if (!isBlock(heap, some!)) handles.delete(some!);
          break;
        case 7:
          heap.adopt(some!);
          break;
        case 6:
          heap.roots.set(`root-${random.below(6)}`, some!);
          break;
        case 5:
        case 4:
          handles.add(heap.alloc(sizeBytes, { owned: true }));
          break;
        case 3:
          handles.add(heap.alignedAlloc(256, Math.min(sizeBytes, 4000)));
          break;
        default:
          handles.add(heap.alloc(sizeBytes));
      }
    });
  }
}

/** How many accesses a call may make before the one who makes it dies. */
const MOST_ACCESSES = 60;
/** The same of what is done with locks and channels. */
const MOST_OBJECT_ACCESSES = 1500;

function makeImage(kind: Kind, number: number): Image {
  const allocator = allocatorOf(kind);
  const random = makeRandom(number * 7919 + kind.length);
  const creator = Heap.create("flips", optionsOf(kind, number));
  const { name, fd } = creator.region;
  const opening = { backend: "anonymous", fd } as const;
  const handles = new Set<Handle>();
  const idle = Heap.open(name, opening);
  const mortal = openMortal(name, opening);
  // While there is room for them.
  const objects = hasObjects(kind) ? makeObjects(creator, random) : [];
  live(creator, random, 40, handles);
  live(idle, random, 20, handles);
  live(mortal.heap, random, 30, handles);
  let user: User | undefined;
  if (objects.length > 0) {
    userOf(idle, objects).use(random);
    user = mortal.prepare(() => userOf(mortal.heap, objects));
  }
  mortal.arm(random.below(user === undefined ? MOST_ACCESSES : MOST_OBJECT_ACCESSES));
  try {
    if (user === undefined) live(mortal.heap, random, 20, handles);
    else user.use(random);
  } catch (error) {
    assert.equal(error, death);
  }
  abandon(mortal.heap);
  // It leaves, and what it had in use is for anybody.
  const file = open(`/proc/self/fd/${fd}`);
  const kept = open(`/proc/self/fd/${fd}`);
  const geometry = creator.region.session.geometry;
  const deadSlot = mortal.heap.region.slotIndex;
  const graveByte = { offset: HEADER_SIZE_BYTES + deadSlot * SLOT_SIZE_BYTES };
  const idleByte = { offset: HEADER_SIZE_BYTES + idle.region.slotIndex * SLOT_SIZE_BYTES };
  assert.ok(tryLock(file, graveByte));
  creator.close();
  const bytes = new Uint8Array(fstat(kept).sizeBytes);
  assert.equal(native.pread(kept, bytes, 0), bytes.length);
  const sharedOpening = { backend: "anonymous", fd: kept } as const;
  return {
    kind,
    allocator,
    number,
    opening: sharedOpening,
    name: `/proc/${process.pid}/fd/${kept}`,
    geometry,
    sizePages: bytes.length / PAGE_SIZE_BYTES,
    // Blocks like any others to those who have handles.
    handles: [...handles, ...(objects.map(({ offset }) => offset) as Handle[])],
    objects,
    idle,
    deadSlot,
    restore() {
      ftruncate(kept, bytes.length);
      assert.equal(native.pwrite(kept, bytes, 0), bytes.length);
      tryLock(file, graveByte);
      tryLock(idle.region.session.backing.lockFd, idleByte);
    },
    dismiss: () => unlock(idle.region.session.backing.lockFd, idleByte),
    bury: () => unlock(file, graveByte),
    read: (offset, into) => void native.pread(kept, into, offset),
    write: (offset, from) => void native.pwrite(kept, from, offset),
    lengthBytes: () => fstat(kept).sizeBytes,
  };
}

const images = new Map<string, Image>();

/** Image `number` of the kind; made when it is first wanted. */
export function imageOf(kind: Kind, number: number): Image {
  const key = `${kind} ${number}`;
  let image = images.get(key);
  if (image === undefined) images.set(key, (image = makeImage(kind, number)));
  return image;
}
