/**
 * What one participant needs to wait and to wake, once for each region that it has open: the core's module, the bells'
 * addresses, the process's waiter, and who waits here.
 *
 * Waking is two steps: the core takes somebody out of a set and rings (core/waiters.ts); if that one sleeps, here is the system
 * call. Waiting is wait.ts. What is awaited is kept here by the bit that it is rung with, so that of a thousand waiting
 * calls only those are looked at that were rung for.
 */

import { shoalError } from "../errors.ts";
import type { Heap } from "../heap/index.ts";
import { H_SLOTS_USED } from "../layout/header.ts";
import { S_BELL, SLOT_SIZE_BYTES } from "../layout/slot.ts";
import { RANG_ALL, RING_FACTOR, RING_SHIFT } from "../layout/sync.ts";
import { native } from "../os/native.ts";
import { openWaiter, WAITER_DIED, WAITER_TICKED } from "../os/waiter.ts";
import type { Waiter } from "../os/waiter.ts";
import type { Region } from "../region/index.ts";
import { instantiateSync } from "./core.ts";
import type { SyncCore } from "./core.ts";

/** Somebody's wait, in this thread, with await. */
export interface Awaiting {
  /** Keeps the event loop alive. */
  readonly isRef: boolean;
  /** Looks whether it can go on; true when it is over, one way or the other. */
  poll(): boolean;
  /** The region is about to be closed. */
  end(error: Error): void;
  /** It cannot be waited for any more; the region stays open. */
  fail(error: Error): void;
}

/** A place where several calls of this thread wait: one set of one object. */
export interface AwaitPoint {
  readonly object: number;
  readonly set: number;
  /** Somebody who lives may be in the way without ever ringing, such as a stopped one: look every 50 ms. */
  readonly isHeld: boolean;
  readonly calls: Set<Awaiting>;
}

/** Something that this participant may hold. */
export interface Holdable {
  readonly label: string;
  isHeld(): boolean;
}

export interface SyncContext {
  readonly region: Region;
  readonly core: SyncCore;
  readonly slotIndex: number;
  /** Of this participant's bell. */
  readonly bellAddress: number;
  /** What this participant has opened, by handle: for those who close the heap and forget to release it. */
  readonly objects: Map<number, Holdable>;
  /** Throws unless the region can be used. */
  check(): void;
  /** Wakes the one that a result of ringNext names. False: there was none. */
  wake(rung: number): boolean;
  ringOne(object: number, set: number): boolean;
  ringAll(object: number, set: number): void;
  /** Recovers who has died; whether somebody had. */
  recover(): boolean;
  /** This participant's thread leaves a set that it was in asleep. What it awaits there stays. */
  leave(object: number, set: number): void;
  /** Bits that were taken from `rung` by somebody who does not look after what is awaited. */
  putBack(rung: number): void;
  /** The point of that set, which is there as long as somebody awaits it. */
  pointOf(object: number, set: number, isHeld: boolean): AwaitPoint;
  /** `call` waits at the point, or does not any more. */
  add(point: AwaitPoint, call: Awaiting): void;
  remove(point: AwaitPoint, call: Awaiting): void;
}

/** How often what was rung for while it was looked at is looked at again before the event loop has its turn. */
const MOST_TURNS = 100;

const contexts = new WeakMap<Region, SyncContext>();

/**
 * The context of the heap's region, made when it is first wanted.
 *
 * @throws ERR_SHOAL_READ_ONLY, ERR_SHOAL_CLOSED
 */
export function contextOf(heap: Heap): SyncContext {
  return contextOfRegion(heap.region);
}

export function contextOfRegion(region: Region): SyncContext {
  let context = contexts.get(region);
  if (context === undefined) {
    region.check();
    if (region.slotIndex < 0) {
      const { name } = region;
      throw shoalError("ERR_SHOAL_READ_ONLY", `${name} was opened read-only; that cannot lock or wait`, {
        name,
      });
    }
    context = makeContext(region);
    contexts.set(region, context);
  }
  return context;
}

/** Which bit of `rung` stands for an object. SYNC with bitOf in core/bells.ts. */
function bucketOf(object: number): number {
  return Math.imul(object, RING_FACTOR) >>> RING_SHIFT;
}

function makeContext(region: Region): SyncContext {
  const { session, slotIndex } = region;
  const { overlay, geometry } = session;
  const core = instantiateSync(overlay.memory);
  core.join(slotIndex);
  const slotsAddress = overlay.address + geometry.slotsOffset;
  const bells = slotsAddress + S_BELL;
  const points = new Map<number, AwaitPoint>();
  const buckets: Set<AwaitPoint>[] = Array.from({ length: 32 }, () => new Set());
  let waiter: Waiter | undefined;
  let left = 0;
  let awaiting = 0;
  let refs = 0;
  let held = 0;
  let isDue = false;

  const wake = (rung: number): boolean => {
    if (rung === 0) return false;
    if (rung === RANG_ALL) wakeAll();
    else if (rung === slotIndex + 1) soon();
    else if (rung > 0) native.futexWake(bells + (rung - 1) * SLOT_SIZE_BYTES, 0x7fffffff);
    return true;
  };

  const wakeAll = (): void => {
    soon();
    const used = Math.min(new Uint32Array(overlay.memory.buffer, H_SLOTS_USED, 1)[0]!, geometry.slotCount);
    for (let index = 0; index < used; index++) native.futexWake(bells + index * SLOT_SIZE_BYTES, 0x7fffffff);
  };

  /** This participant has rung itself: no system call is needed for that. */
  const soon = (): void => {
    if (isDue) return;
    isDue = true;
    queueMicrotask(() => {
      isDue = false;
      if (!region.closed) look();
    });
  };

  const pollPoint = (point: AwaitPoint): void => {
    if (point.calls.size === 0) return;
    // First the set, then the object: what happens after the look rings.
    core.enter(point.set);
    for (const call of point.calls) if (call.poll()) context.remove(point, call);
  };

  const look = (): void => {
    // Before it looks: who rings afterwards wakes it again.
    if (awaiting > 0) core.arm();
    let bits = (core.takeRung() | left) >>> 0;
    left = 0;
    for (let turn = 0; bits !== 0 && turn < MOST_TURNS; turn++) {
      for (let bucket = 0; bucket < 32; bucket++) {
        if (((bits >>> bucket) & 1) === 0) continue;
        for (const point of buckets[bucket]!) pollPoint(point);
      }
      bits = core.takeRung() >>> 0;
    }
    left |= bits;
    if (bits !== 0) setImmediate(() => region.closed || look());
  };

  /** Recovery rings everybody, this participant too. Without it nobody here can go on: those who wait are told why. */
  const tryRecover = (): boolean => {
    try {
      region.recover();
      return true;
    } catch (error) {
      for (const point of points.values()) for (const call of point.calls) call.fail(error as Error);
      return false;
    }
  };

  const notify = (reasons: number): void => {
    if (region.closed) return;
    if ((reasons & WAITER_DIED) !== 0 && !tryRecover()) return;
    if ((reasons & WAITER_TICKED) !== 0)
      for (const point of points.values()) if (point.isHeld) pollPoint(point);
    look();
  };

  const startWaiter = (): Waiter =>
    openWaiter(
      {
        memory: overlay.memory.buffer as SharedArrayBuffer,
        bellOffset: geometry.slotsOffset + slotIndex * SLOT_SIZE_BYTES + S_BELL,
        slotsOffset: geometry.slotsOffset,
        usedOffset: H_SLOTS_USED,
        slotCount: geometry.slotCount,
        ownIndex: slotIndex,
        lockFd: session.backing.lockFd,
        lockOffset: geometry.slotsOffset,
      },
      notify,
    );

  const context: SyncContext = {
    region,
    core,
    slotIndex,
    bellAddress: bells + slotIndex * SLOT_SIZE_BYTES,
    objects: new Map(),
    check: () => region.check(),
    wake,
    ringOne: (object, set) => wake(core.ringNext(object, set)),
    ringAll(object, set) {
      // Those who come back meanwhile have looked meanwhile.
      for (let count = geometry.slotCount; count > 0 && wake(core.ringNext(object, set)); count--);
    },
    recover() {
      return region.recover() > 0;
    },
    leave(object, set) {
      // Who was rung since it looked last does not need it any more; somebody else may: another call of this thread, or others.
      if (points.has(set)) context.putBack(1 << bucketOf(object));
      else if (core.leave(set) === 0) context.ringOne(object, set);
    },
    putBack(rung) {
      if (rung === 0 || awaiting === 0) return;
      left |= rung;
      soon();
    },
    pointOf(object, set, isHeld) {
      const known = points.get(set);
      return known ?? { object, set, isHeld, calls: new Set() };
    },
    add(point, call) {
      if (point.calls.size === 0) {
        points.set(point.set, point);
        buckets[bucketOf(point.object)]!.add(point);
      }
      if (point.calls.has(call)) return;
      point.calls.add(call);
      waiter ??= startWaiter();
      if (point.isHeld && held++ === 0) waiter.setTicking(true);
      if (call.isRef && refs++ === 0) waiter.setRef(true);
      if (awaiting++ === 0) waiter.setActive(true);
    },
    remove(point, call) {
      if (!point.calls.delete(call)) return;
      if (point.calls.size === 0) {
        points.delete(point.set);
        buckets[bucketOf(point.object)]!.delete(point);
        if (!region.closed) context.leave(point.object, point.set);
      }
      if (point.isHeld && --held === 0) waiter?.setTicking(false);
      if (call.isRef && --refs === 0) waiter?.setRef(false);
      if (--awaiting === 0) waiter?.setActive(false);
    },
  };

  session.onEnd.add(() => {
    const { name } = region;
    const error = shoalError("ERR_SHOAL_CLOSED", `${name} was closed by this thread`, { name });
    for (const point of points.values()) {
      for (const call of point.calls) {
        context.remove(point, call);
        call.end(error);
      }
    }
    waiter?.close();
    const labels = [...context.objects.values()]
      .filter((object) => object.isHeld())
      .map(({ label }) => label);
    if (labels.length === 0) return;
    throw shoalError(
      "ERR_SHOAL_HELD",
      `${name} was closed while this participant held ${labels.join(", ")}: who waits for it is told that it was abandoned; release before closing`,
      { name, held: labels.join(", ") },
    );
  });
  return context;
}
