/**
 * The core, seen from TypeScript: loads dist/core/core.wasm once a process and instantiates it on a memory.
 *
 * One instance belongs to one participant. Names and meanings are those of core/index.ts; handles and offsets come
 * back as signed 32-bit integers, so callers write `>>> 0`.
 */

import { readFileSync } from "node:fs";
import { shoalError } from "../errors.ts";

/** What core/index.ts exports. Result codes are in src/layout/result.ts. */
export interface Core {
  attach(): number;
  become(slotIndex: number): void;
  lastError(): number;
  neededPages(): number;
  blocker(): number;
  corruptOffset(): number;

  beginSegment(format: number, creatorPid: number, creatorStartTicks: number): void;
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
  publishSegment(): void;
  retireSegment(): void;
  segmentState(): number;
  sizePages(): number;
  publishSize(pages: number): number;

  takeSlot(index: number, pid: number, startTicks: number, threadId: number, openedMs: number): void;
  recoverSlot(index: number, died: number): number;
  slotState(index: number): number;
  slotPid(index: number): number;
  slotThread(index: number): number;
  slotStart(index: number): number;
  slotOpened(index: number): number;
  recoveries(): number;
  growths(): number;

  alloc(sizeBytes: number): number;
  calloc(sizeBytes: number): number;
  realloc(handle: number, sizeBytes: number): number;
  free(handle: number): number;
  usableSize(handle: number): number;
  sweep(): number;

  lockRoots(): number;
  unlockRoots(): void;
  rootGet(nameLength: number): number;
  rootSet(nameLength: number, handle: number): number;
  rootDelete(nameLength: number): number;
  rootList(index: number): number;
  rootListedHandle(): number;

  firstPage(): number;
  endPage(): number;
  pagesAt(index: number): number;
  pageKind(index: number): number;
  pageClass(index: number): number;
  pageOwner(index: number): number;
  pageBlockCount(index: number): number;
  pageFreeBlocks(index: number): number;
  blockSizeOf(sizeClass: number): number;
  verifyPage(index: number): number;
  verifyRing(slotIndex: number, sizeClass: number): number;
  verifyRoot(index: number): number;
  verifyRootsLock(): number;
  verifySlot(index: number): number;
}

const shippedPath = new URL("../../core/core.wasm", import.meta.url);
const checkedPath = new URL("../../core/core.checked.wasm", import.meta.url);

let shipped: WebAssembly.Module | undefined;
let checked: WebAssembly.Module | undefined;

function compile(url: URL): WebAssembly.Module {
  try {
    return new WebAssembly.Module(readFileSync(url));
  } catch (cause) {
    throw shoalError(
      "ERR_SHOAL_NATIVE",
      `no core at ${url.pathname}: build it with \`npm run build\``,
      { path: url.pathname },
      cause,
    );
  }
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

/** A core on `memory`. Writes nothing to it. */
export function instantiateCore(memory: WebAssembly.Memory): Core {
  const hook = checkpoint;
  if (hook === undefined) {
    shipped ??= compile(shippedPath);
    return new WebAssembly.Instance(shipped, { env: { memory } }).exports as unknown as Core;
  }
  checked ??= compile(checkedPath);
  return new WebAssembly.Instance(checked, { env: { memory, checkpoint: hook } }).exports as unknown as Core;
}
