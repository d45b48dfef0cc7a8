/**
 * The core, seen from TypeScript: loads the modules of dist/core once a process and instantiates them on a memory.
 *
 * One instance belongs to one participant. Names and meanings are those of core/*.ts; handles and offsets come
 * back as signed 32-bit integers, so callers write `>>> 0`.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { shoalError } from "../errors.ts";
import { ALLOCATOR_BUDDY, ALLOCATOR_FIRST_FIT, ALLOCATOR_SLAB } from "../layout/header.ts";
import { systemError } from "../os/errno.ts";
import { packageRoot } from "../os/native.ts";

/** What core/segment.ts exports. Result codes are in src/layout/result.ts. */
export interface Core {
  /** 0, or the offset of what contradicts itself in the header. */
  attach(): number;

  describeSegment(
    backend: number,
    allocator: number,
    spanPages: number,
    growStepPages: number,
    slotCount: number,
    slotsOffset: number,
    rootCount: number,
    rootsOffset: number,
    tableOffset: number,
    tableBytesPerPage: number,
    dataOffset: number,
  ): void;
  setSegmentState(state: number): void;
  sizePages(): number;
  publishSize(pages: number): number;

  takeSlot(index: number, pid: number, startTicks: number, threadId: number, openedMs: number): void;
  recoverSlot(index: number, died: number): number;
  findSlot(from: number, free: number): number;
}

/** What each of core/heap-slab.ts, heap-buddy.ts and heap-first-fit.ts exports. */
export interface HeapCore extends Core {
  become(slotIndex: number): void;
  lastError(): number;
  errorDetail(): number;
  alloc(sizeBytes: number): number;
  /** `alignmentBytes`: a power of two up to 64 KiB, 0 = the allocator's own. */
  allocWith(sizeBytes: number, alignmentBytes: number, owned: number, zeroed: number): number;
  /** Allocates up to `count` blocks; their handles are in the scratch area (u32 each). Returns how many. */
  allocBatch(sizeBytes: number, count: number): number;
  realloc(handle: number, sizeBytes: number): number;
  free(handle: number): number;
  /** Frees the blocks whose handles are in the scratch area. Returns how many it freed before one was refused. */
  freeBatch(count: number): number;
  usableSize(handle: number): number;
  /** The block is nobody's own any more. OK, or why not. */
  share(handle: number): number;
  /** The block is this participant's own from now on. OK, or why not. */
  adopt(handle: number): number;
  /** After NEED_STORAGE: the side table's part for that page has storage now. */
  noteStorage(page: number): void;
  /** After a call was cut off in the middle: what it has left half done is finished or undone. OK, or why not. */
  mend(): number;

  lockRoots(): number;
  unlockRoots(): void;
  rootGet(nameLength: number): number;
  /** `handsOver`: the block is the caller's own, and shared by being there. */
  rootSet(nameLength: number, handle: number, handsOver: number): number;
}

/** What a slab heap's module exports beside that: core/storage.ts. */
export interface SlabCore extends HeapCore {
  /** The first of the next free pages at or after `from`, claimed (errorDetail(): how many); 0 = there are none. */
  trimFrom(from: number): number;
  /** The first of `length` pages in a row that are free or hollow, the latter claimed; 0 = there are no such. */
  claimHollow(length: number): number;
  /** Claimed ones of these pages are free again (`isStored`: 1) or hollow (0). */
  settleStorage(first: number, count: number, isStored: number): void;
}

/** What core/survey.ts exports: what only looks. */
export interface Survey {
  attach(): number;
  segmentState(): number;
  slotState(index: number): number;
  slotPid(index: number): number;
  slotThread(index: number): number;
  slotStart(index: number): number;
  slotOpened(index: number): number;
  recoveries(): number;
  growths(): number;
  firstPage(): number;
  endPage(): number;
  pagesAt(index: number): number;
  pageKind(index: number): number;
  pageClass(index: number): number;
  pageOwner(index: number): number;
  pageBlockCount(index: number): number;
  pageFreeBlocks(index: number): number;
  blockSizeOf(sizeClass: number): number;
  /** One past the highest page that ever held a block. */
  highWaterPages(): number;
  /** Handle of the first allocated block at or after `from`; 0 = none. */
  nextSlabBlock(from: number): number;
  /** Usable bytes of the block that nextSlabBlock() has found, 0 = out of reach; and slot index + 1 of its owner, 0 = shared. */
  foundBytes(): number;
  foundOwner(): number;
  nextBuddyBlock(from: number): number;
  nextFitBlock(from: number): number;
  /** Usable bytes of the block at `handle`; 0 when there is none. */
  usableSize(handle: number): number;
  /** Slot index + 1 of the block's owner; 0 = shared. */
  ownerOf(handle: number): number;
  verifyPage(index: number): number;
  verifyRing(slotIndex: number, sizeClass: number): number;
  /** What a problem that verifyBuddyPage has just found is about: its offset. */
  errorDetail(): number;
  /** Buddy heaps. Reads the tree word of maximal block `word`, for the four below; returns its `used` half. */
  treeUsed(word: number): number;
  /** The `starts` half of that word. */
  treeStarts(): number;
  /** Allocated blocks in that word, counted by level: packed as core/verify-buddy.ts says. */
  blocksInTree(): number;
  /** The same of its free blocks. */
  freeInTree(): number;
  buddyFlags(page: number): number;
  /** Word `index` of what the slot's participant remembers of places: src/layout/buddy.ts. */
  hintWord(slotIndex: number, index: number): number;
  /** The first owned block at or after `from`; 0 = none. */
  nextOwnedBlock(from: number): number;
  verifyBuddyPage(index: number): number;
  /** The page at which a first-fit heap's blocks end. */
  fitEndPage(): number;
  /** Where the first block of a first-fit heap at or after `from` begins; 0 = none. */
  nextFitStart(from: number): number;
  /** The size word of the block that begins at `start` (src/layout/fit.ts). */
  fitWordAt(start: number): number;
  verifyFitPage(index: number): number;
  verifyFitIndex(): number;
  verifyFitLock(): number;
  /** The offset of what the last of these has found. */
  fitProblemAt(): number;
  verifyRoot(index: number): number;
  verifyRootsLock(): number;
  verifySlot(index: number): number;
}

/** What core/repair.ts exports: what makes a damaged heap whole. */
export interface Repair {
  attach(): number;
  /** Sets the published size. */
  correctSize(pages: number): void;
  /** Repairs the heap for the participant in slot `slotIndex`, which is alone with it. */
  repair(slotIndex: number): void;
}

/** The modules that the core is compiled to. */
export type CoreModule =
  "segment" | "slab" | "buddy" | "first-fit" | "survey" | "repair" | "sync" | "channel";

const HEAP_MODULES: Readonly<Record<number, CoreModule>> = {
  [ALLOCATOR_SLAB]: "slab",
  [ALLOCATOR_BUDDY]: "buddy",
  [ALLOCATOR_FIRST_FIT]: "first-fit",
};

/** The module that works on segments with this allocator (ALLOCATOR_…). */
export function moduleFor(allocator: number): CoreModule {
  return HEAP_MODULES[allocator] ?? "segment";
}

type CoreFile = CoreModule | `${CoreModule}.checked`;

const read = new Map<CoreFile, Uint8Array>();
const compiled = new Map<CoreFile, WebAssembly.Module>();

function readModule(name: CoreFile): Uint8Array {
  const known = read.get(name);
  if (known !== undefined) return known;
  const path = join(packageRoot, "dist", "core", `${name}.wasm`);
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    const { code, errno = 0 } = cause as NodeJS.ErrnoException;
    if (code !== "ENOENT") throw systemError("open", errno, { path });
    const message = `no core at ${path}: build it with \`npm run build\``;
    throw shoalError("ERR_SHOAL_NATIVE", message, { path }, cause);
  }
  read.set(name, bytes);
  return bytes;
}

/** The module, compiled when it is first asked for. */
function moduleOf(name: CoreFile): WebAssembly.Module {
  const known = compiled.get(name);
  if (known !== undefined) return known;
  const module = new WebAssembly.Module(readModule(name));
  // Who has a segment open will want to look at it when there may be no descriptor left to read this with.
  readModule("survey");
  compiled.set(name, module);
  return module;
}

/**
 * Called by the checked build before each of its accesses to the segment. Set by tests; undefined: the shipped build
 * is used, which has no checkpoints.
 */
export type Checkpoint = (site: number) => void;

let checkpoint: Checkpoint | undefined;

/** From now on new instances are of the checked build and call `hook` (undefined: of the shipped build again). */
export function useCheckpoint(hook: Checkpoint | undefined): void {
  checkpoint = hook;
}

const passOn: Checkpoint = () => undefined;

/** For the few words that TypeScript itself reads and writes (src/sync/object-words.ts): to be called before each access. */
export function currentCheckpoint(): Checkpoint {
  return checkpoint ?? passOn;
}

function instantiate(name: CoreModule, memory: WebAssembly.Memory): WebAssembly.Exports {
  const hook = checkpoint;
  if (hook === undefined) return new WebAssembly.Instance(moduleOf(name), { env: { memory } }).exports;
  return new WebAssembly.Instance(moduleOf(`${name}.checked`), { env: { memory, checkpoint: hook } }).exports;
}

/** A core on `memory`: the segment's functions, or one allocator's as well. Writes nothing to it. */
export function instantiateCore(memory: WebAssembly.Memory, module: CoreModule): Core {
  return instantiate(module, memory) as unknown as Core;
}

function attached<T extends { attach(): number }>(instance: T): T {
  const offset = instance.attach() >>> 0;
  if (offset === 0) return instance;
  const message = `the segment's header contradicts itself at offset ${offset}`;
  throw shoalError("ERR_SHOAL_CORRUPT", message, { offset });
}

/**
 * A survey on `memory`.
 *
 * @throws ERR_SHOAL_CORRUPT when the header is not (any more) one that a segment can have
 */
export function instantiateSurvey(memory: WebAssembly.Memory): Survey {
  return attached(instantiate("survey", memory) as unknown as Survey);
}

/** What repairs the heap in `memory`. Errors as instantiateSurvey. */
export function instantiateRepair(memory: WebAssembly.Memory): Repair {
  return attached(instantiate("repair", memory) as unknown as Repair);
}

/** For the rooms above: one of the modules that work on any heap. Errors as instantiateSurvey. */
export function instantiateModule<T extends { attach(): number }>(
  memory: WebAssembly.Memory,
  module: CoreModule,
): T {
  return attached(instantiate(module, memory) as unknown as T);
}
