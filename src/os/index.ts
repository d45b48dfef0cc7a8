/**
 * `shoal/os`: Linux's shared memory, typed. Every function throws a `ShoalError` whose message shows the call, its
 * arguments and errno's name. Nothing else of Shoal is needed to use it.
 */
export { ERROR_CODES, ShoalError } from "../errors.ts";
export type { ErrorDetails, ShoalErrorCode } from "../errors.ts";
export { pageSizeBytes } from "./checks.ts";
export { close, fstat, open } from "./descriptors.ts";
export type { FileStatus, OpenOptions } from "./descriptors.ts";
export { futexWait, futexWaitAsync, futexWake } from "./futex.ts";
export type { FutexResult, FutexWaitOptions } from "./futex.ts";
export { probeLock, tryLock, unlock } from "./locks.ts";
export type { LockKind, LockRange } from "./locks.ts";
export type { Advice, Mapping, MappingPart, SyncKind } from "./mapping.ts";
export { memfdCreate } from "./memfd.ts";
export type { MemfdOptions } from "./memfd.ts";
export { mmap } from "./mmap.ts";
export type { MmapOptions } from "./mmap.ts";
export { shmOpen, shmUnlink } from "./posix-shm.ts";
export type { Protection } from "./protection.ts";
export { sharedMappings } from "./shared-mappings.ts";
export type { MappingKind, SharedMapping } from "./shared-mappings.ts";
export { fallocate, ftruncate } from "./sizes.ts";
export type { FallocateMode } from "./sizes.ts";
export { IPC_PRIVATE, shmat, shmdt, shmget, shmLimits, shmRemove, shmStat } from "./sysv.ts";
export type { Attachment, ShmatOptions, ShmgetOptions, ShmLimits, ShmStatus } from "./sysv.ts";
/** For the rooms above; @internal. */
export { openWaiter, WAITER_DIED, WAITER_RANG, WAITER_TICKED } from "./waiter.ts";
export type { Waiter, WaiterOptions } from "./waiter.ts";
