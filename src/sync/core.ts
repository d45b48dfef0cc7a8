/**
 * The core's synchronisation module, seen from TypeScript. Names and meanings are those of core/sync.ts: `object` is an
 * object's handle, `set` the offset of a set of waiters.
 */

import { instantiateModule } from "../region/core.ts";

/** What core/sync.ts exports. Codes are SYNC_… of src/layout/sync.ts. */
export interface SyncCore {
  attach(): number;
  /** This instance speaks for the participant in that slot. */
  join(slotIndex: number): void;
  identAt(slotIndex: number): number;
  isGone(ident: number): number;

  noteWait(object: number, sinceMs: number, asleep: number): void;
  noteSince(object: number, ms: number): void;
  noteWaiting(object: number): void;
  ring(slotIndex: number, object: number): number;
  /** Changes whenever somebody is gone. */
  departures(): number;
  /** From now on who rings wakes this participant. */
  arm(): number;
  takeRung(): number;
  enter(set: number): number;
  leave(set: number): number;
  isWaiting(set: number, slotIndex: number): number;
  /** Whom it has rung: slot index + 1 if it sleeps, minus that if it is awake; 0 = nobody waits. */
  ringNext(object: number, set: number): number;

  tryLock(object: number): number;
  unlock(object: number): number;
  takeTurn(object: number): void;
  tryLockFair(object: number, hasTurn: number): number;
  /** As ringNext; i32's least value when it is not held. */
  unlockFair(object: number): number;
  dropTurn(object: number): number;
  isHolding(object: number): number;
  /** Slot index + 1. */
  holderOf(object: number): number;

  tryRead(object: number): number;
  endRead(object: number): number;
  tryWrite(object: number): number;
  endWrite(object: number): number;
  cancelWrite(object: number): number;
  isWriting(object: number): number;
  isDirty(object: number): number;
  nextReader(object: number, from: number): number;

  initSemaphore(object: number): void;
  acquire(object: number, count: number): number;
  release(object: number, count: number): number;
  reclaimAll(object: number): number;
  available(object: number): number;
  heldBy(object: number, slotIndex: number): number;

  setEvent(object: number): void;
  resetEvent(object: number): void;
  isSet(object: number): number;
  eventGeneration(object: number): number;
  passEvent(object: number): number;
  seenEvent(object: number, generation: number): number;

  takeTicket(object: number): number;
  isNotified(object: number, ticket: number): number;
  notify(object: number, all: number): number;

  barrierGeneration(object: number): number;
  arrivals(object: number): number;
  isBroken(object: number): number;
  arrive(object: number, generation: number): number;
  hasPassed(object: number, generation: number): number;
  goneParty(object: number): number;
  withdraw(object: number, generation: number): number;
  leaveBarrier(object: number): void;
  resetBarrier(object: number): void;

  beginOnce(object: number): number;
  endOnce(object: number, done: number): number;
  isDone(object: number): number;
  runnerOf(object: number): number;

  readCounter(object: number): number;
  addCounter(object: number, delta: number): number;
  swapCounter(object: number, value: number): number;
  casCounter(object: number, expected: number, value: number): number;
}

/** A synchronisation core on `memory`. @throws ERR_SHOAL_CORRUPT when the header is not one that a segment can have */
export function instantiateSync(memory: WebAssembly.Memory): SyncCore {
  return instantiateModule<SyncCore>(memory, "sync");
}
