/**
 * Participants whose Heap is the real thing, on a memory without a segment (core-world.ts): for the crash exhaustion of what is
 * above the core. Who is dead is the caller's to say.
 */

import assert from "node:assert/strict";
import { Heap } from "../src/heap/index.ts";
import { PAGE_SIZE_BYTES } from "../src/layout/header.ts";
import { OK } from "../src/layout/result.ts";
import { native } from "../src/os/native.ts";
import type { Backing } from "../src/region/backing.ts";
import { Region } from "../src/region/index.ts";
import { FLAG_CLOSED, makeFlags } from "../src/region/overlay.ts";
import type { Overlay } from "../src/region/overlay.ts";
import type { Session } from "../src/region/session.ts";
import { enter } from "../test/helpers/core-world.ts";
import type { Trigger, World } from "../test/helpers/core-world.ts";

const nothing = (): void => undefined;

/** Of nothing: all storage is there. */
const backing: Backing = {
  backend: "anonymous",
  name: "proof",
  lockFd: -1,
  sharedFd: -1,
  status: () => ({ sizeBytes: 0, ownerUid: 0, mode: 0 }),
  read: () => 0,
  map: nothing,
  pin: () => -1,
  sign: nothing,
  reserve: nothing,
  cut: nothing,
  isNamed: () => true,
  isRemoved: () => false,
  unlink: nothing,
  close: nothing,
};

// Heap's constructor is for those who inherit.
class StagedHeap extends Heap {
  static on(session: Session): StagedHeap {
    return new StagedHeap(Region.over(session));
  }
}

/** It is dead, or not wanted any more: should the event loop call it, it does nothing. */
export function closeHeap({ region }: Heap): void {
  Atomics.or(region.session.overlay.flags, 0, FLAG_CLOSED);
}

/**
 * The participant in slot `slot`, as enter() of core-world.ts.
 *
 * @param dead slots of those who have died and were not recovered; this one does so when it looks
 */
export function enterHeap(world: World, slot: number, dead: readonly number[] = [], trigger?: Trigger): Heap {
  const { memory, geometry } = world;
  const core = enter(world, slot, trigger);
  const words = new Int32Array(memory.buffer);
  const address = native.addressOf(words);
  const flags = makeFlags();
  const overlay: Overlay = {
    memory,
    words,
    core,
    address,
    spanBytes: geometry.spanPages * PAGE_SIZE_BYTES,
    flags,
    guardId: -1,
  };
  const { slotCount, slotsOffset } = geometry;
  const heap = StagedHeap.on({
    backing,
    overlay,
    geometry,
    seat: { core, lockFd: -1, slotCount, slotsOffset, address, catchUp: nothing },
    slotIndex: slot,
    uuid: new Uint8Array(16),
    fixedAddress: 0,
    isPinned: false,
    hasPrivateDirectory: false,
    isCreator: false,
    onEnd: new Set(),
  });
  const left = [...dead];
  heap.region.recover = () => {
    const count = left.length;
    for (const one of left.splice(0)) assert.equal(core.recoverSlot(one, 1), OK);
    return count;
  };
  return heap;
}
