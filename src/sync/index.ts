/** Locks, and what else participants wait for: named objects in a heap that outlive their holders. */

export { openBarrier } from "./barrier.ts";
export type { Barrier, BarrierOptions } from "./barrier.ts";
export { openCondition } from "./condition.ts";
export type { Condition } from "./condition.ts";
export { openCounter } from "./counter.ts";
export type { Counter } from "./counter.ts";
export { openEvent } from "./event.ts";
export type { EventOptions, SharedEvent } from "./event.ts";
export type { Hold } from "./hold.ts";
export type { Holder } from "./holder.ts";
export { openMutex } from "./mutex.ts";
export type { Mutex, MutexOptions } from "./mutex.ts";
export type { Place } from "./objects.ts";
export { openOnce } from "./once.ts";
export type { Once, OnceState } from "./once.ts";
export { openRwLock } from "./rwlock.ts";
export type { RwLock } from "./rwlock.ts";
export { openSemaphore } from "./semaphore.ts";
export type { Semaphore, SemaphoreOptions } from "./semaphore.ts";
export type { AwaitOptions, BlockOptions } from "./wait.ts";
