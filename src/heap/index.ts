/** `shoal/heap`: allocating, freeing and finding blocks in shared memory. */
export { ERROR_CODES, ShoalError } from "../errors.ts";
export type { ErrorDetails, ShoalErrorCode } from "../errors.ts";
export { asHandle } from "./handle.ts";
export type { Handle, Pointer } from "./handle.ts";
export { Heap } from "./heap.ts";
export { ALLOCATOR_NAMES, allocatorName } from "./allocators.ts";
export type { AllocatorName, HeapCreateOptions } from "./allocators.ts";
export { environmentOptions } from "./environment.ts";
export type { EnvironmentOptions } from "./environment.ts";
export type { Roots } from "./roots.ts";
export type { ClassStats, PageStats } from "./counts.ts";
export type { HeapPlan } from "./plan.ts";
export type { Pointers } from "./pointers.ts";
export type { AllocOptions, Block } from "./block.ts";
export type { BlockInfo } from "./walk.ts";
export type { HeapStats, ParticipantStats } from "./stats.ts";
export type { Losses, RepairReport } from "./repair.ts";
export type { Problem, VerifyReport } from "./verify.ts";
