/**
 * The module of synchronisation objects: instantiated by participants that use one, beside the heap's own.
 *
 * Objects are named by their offsets. Whether there is an object of the kind is the caller's to know (src/sync/objects.ts): what
 * a wrong offset names is still inside the segment, and comes back as a no. No call waits; waiting is src/sync/wait.ts.
 */

export { attach } from "./state";
export { ident, identAt, isGone, join } from "./ident";
export { arm, departures, noteWait, ring, takeRung } from "./bells";
export { enter, isWaiting, leave, ringNext } from "./waiters";
export { dropTurn, holderOf, isHolding, takeTurn, tryLock, tryLockFair, unlock, unlockFair } from "./mutex";
export { cancelWrite, endRead, endWrite, isDirty, isWriting, nextReader, tryRead, tryWrite } from "./rwlock";
export { acquire, available, heldBy, initSemaphore, reclaimAll, release } from "./semaphore";
export {
  addCounter,
  arrivals,
  arrive,
  barrierGeneration,
  beginOnce,
  casCounter,
  endOnce,
  eventGeneration,
  goneParty,
  hasPassed,
  isBroken,
  isDone,
  isNotified,
  isSet,
  leaveBarrier,
  notify,
  passEvent,
  readCounter,
  resetBarrier,
  resetEvent,
  runnerOf,
  seenEvent,
  setEvent,
  swapCounter,
  takeTicket,
  withdraw,
} from "./event";
export { noteSince, noteWaiting } from "./notes";
