/**
 * A mapping: its address, its buffer, and what can be done with it.
 */
import { shoalError } from "../errors.ts";
import { checkBytes, checkChoice, checkPageMultiple, roundUpToPage } from "./checks.ts";
import { checkResult } from "./errno.ts";
import { native } from "./native.ts";
import { ownMemory } from "./owned-buffer.ts";
import type { OwnedBuffer } from "./owned-buffer.ts";
import { protections } from "./protection.ts";
import type { Protection } from "./protection.ts";

/** A part of a mapping, in bytes from its start. Both multiples of the page size, but that it may reach the end. */
export interface MappingPart {
  readonly offset: number;
  /** Default: to the mapping's end. */
  readonly lengthBytes?: number;
}

const { constants } = native;

const advices = {
  normal: constants.MADV_NORMAL,
  random: constants.MADV_RANDOM,
  sequential: constants.MADV_SEQUENTIAL,
  "will-need": constants.MADV_WILLNEED,
  "dont-need": constants.MADV_DONTNEED,
  free: constants.MADV_FREE,
  remove: constants.MADV_REMOVE,
  cold: constants.MADV_COLD,
  "page-out": constants.MADV_PAGEOUT,
  "populate-read": constants.MADV_POPULATE_READ,
  "populate-write": constants.MADV_POPULATE_WRITE,
  "huge-pages": constants.MADV_HUGEPAGE,
  "no-huge-pages": constants.MADV_NOHUGEPAGE,
  "dont-dump": constants.MADV_DONTDUMP,
  "do-dump": constants.MADV_DODUMP,
  "dont-fork": constants.MADV_DONTFORK,
  "do-fork": constants.MADV_DOFORK,
  mergeable: constants.MADV_MERGEABLE,
  unmergeable: constants.MADV_UNMERGEABLE,
  collapse: constants.MADV_COLLAPSE,
} as const;

/** What the kernel is told about the use of pages: madvise(2) by its own names. */
export type Advice = keyof typeof advices;

/** How `sync` writes back: "sync" waits for it, "async" only starts it. */
export type SyncKind = "sync" | "async";

/** Memory that `mmap` mapped. */
export interface Mapping {
  readonly address: number;
  readonly lengthBytes: number;
  /** The memory. Empty while the protection of the whole is "none", and once unmapped (views then have length 0). */
  readonly buffer: ArrayBuffer;
  readonly isUnmapped: boolean;
  /**
   * Unmaps all of it, or a part. Unmapping again is harmless.
   *
   * @returns the mappings that remain, with fresh buffers: none, one or two. This one is over in any case.
   * @throws ERR_SHOAL_ARGUMENT, and ERR_SHOAL_CLOSED for a part of what is unmapped already
   */
  unmap(part?: MappingPart): Mapping[];
  /**
   * Changes what the pages may be used for. Access that a protection forbids ends the process with SIGSEGV; with "none" for the
   * whole mapping the buffer is detached, so that there is none.
   *
   * @throws ERR_SHOAL_PERMISSION when the descriptor was not opened for it; ERR_SHOAL_CLOSED
   */
  protect(protection: Protection, part?: MappingPart): void;
  /** @throws ERR_SHOAL_SYSTEM when the kernel or this kind of mapping has no such advice; ERR_SHOAL_CLOSED */
  advise(advice: Advice, part?: MappingPart): void;
  /** Writes a file mapping back to its file. Default "sync". @throws ERR_SHOAL_SYSTEM; ERR_SHOAL_CLOSED */
  sync(kind?: SyncKind, part?: MappingPart): void;
  /** Unmaps. */
  [Symbol.dispose](): void;
}

interface Range {
  readonly offset: number;
  readonly lengthBytes: number;
}

function checkPart(lengthBytes: number, part: MappingPart): Range {
  const offset = checkPageMultiple("part.offset", checkBytes("part.offset", part.offset));
  const partBytes = checkBytes("part.lengthBytes", part.lengthBytes ?? lengthBytes - offset, 1);
  const end = offset + partBytes;
  if (end > roundUpToPage(lengthBytes)) {
    const message = `the part ends at ${end}, the mapping at ${lengthBytes}`;
    throw shoalError("ERR_SHOAL_ARGUMENT", message, { offset, partBytes, lengthBytes });
  }
  if (end < lengthBytes) checkPageMultiple("part.lengthBytes", partBytes);
  return { offset, lengthBytes: Math.min(partBytes, lengthBytes - offset) };
}

/** A mapping's own state; the functions below are its methods. */
interface State {
  readonly address: number;
  readonly lengthBytes: number;
  /** Whole pages. */
  readonly spanBytes: number;
  protection: Protection;
  owned: OwnedBuffer;
  isUnmapped: boolean;
}

const hex = (address: number): string => `0x${address.toString(16)}`;

function own(address: number, lengthBytes: number, spanBytes: number, protection: Protection): OwnedBuffer {
  return ownMemory(address, lengthBytes, spanBytes, { isAccessible: protection !== "none" });
}

function rangeOf(state: State, part: MappingPart | undefined): Range {
  if (state.isUnmapped) {
    const message = `the mapping at ${hex(state.address)} is unmapped already`;
    throw shoalError("ERR_SHOAL_CLOSED", message, { address: state.address });
  }
  return part === undefined
    ? { offset: 0, lengthBytes: state.lengthBytes }
    : checkPart(state.lengthBytes, part);
}

function unmapPart(state: State, { offset, lengthBytes: partBytes }: Range): Mapping[] {
  const { address, lengthBytes, spanBytes, protection } = state;
  const goneBytes = roundUpToPage(partBytes);
  const end = offset + goneBytes;
  state.owned.disown();
  const args = { address: hex(address + offset), lengthBytes: goneBytes };
  checkResult(native.munmap(address + offset, goneBytes), "munmap", args);
  const remain: Mapping[] = [];
  if (offset > 0) remain.push(makeMapping(address, offset, offset, protection));
  if (end < lengthBytes)
    remain.push(makeMapping(address + end, lengthBytes - end, spanBytes - end, protection));
  return remain;
}

function unmap(state: State, part: MappingPart | undefined): Mapping[] {
  if (state.isUnmapped && part === undefined) return [];
  const range = rangeOf(state, part);
  state.isUnmapped = true;
  if (range.lengthBytes !== state.lengthBytes) return unmapPart(state, range);
  state.owned.release();
  return [];
}

function protect(state: State, wanted: Protection, part: MappingPart | undefined): void {
  const { bits, names } = checkChoice("protection", wanted, protections);
  const { offset, lengthBytes } = rangeOf(state, part);
  const isWhole = lengthBytes === state.lengthBytes;
  if (!isWhole && state.protection === "none") {
    throw shoalError(
      "ERR_SHOAL_ARGUMENT",
      'a part cannot be opened while the whole is "none"; map it by itself',
    );
  }
  const args = { address: hex(state.address + offset), lengthBytes, protection: names };
  checkResult(native.mprotect(state.address + offset, lengthBytes, bits), "mprotect", args);
  if (!isWhole) return;
  const isBufferStale = (wanted === "none") !== (state.protection === "none");
  state.protection = wanted;
  if (!isBufferStale) return;
  state.owned.disown();
  state.owned = own(state.address, state.lengthBytes, state.spanBytes, wanted);
}

function advise(state: State, advice: Advice, part: MappingPart | undefined): void {
  const bits = checkChoice("advice", advice, advices);
  const { offset, lengthBytes } = rangeOf(state, part);
  const args = { address: hex(state.address + offset), lengthBytes, advice };
  checkResult(native.madvise(state.address + offset, lengthBytes, bits), "madvise", args);
}

function sync(state: State, kind: SyncKind, part: MappingPart | undefined): void {
  const bits = checkChoice("kind", kind, { sync: constants.MS_SYNC, async: constants.MS_ASYNC });
  const { offset, lengthBytes } = rangeOf(state, part);
  const args = { address: hex(state.address + offset), lengthBytes, kind };
  checkResult(native.msync(state.address + offset, lengthBytes, bits), "msync", args);
}

/**
 * The mapping of memory that was just mapped, and is its owner from now on.
 *
 * @throws ERR_SHOAL_UNSUPPORTED when the engine has no buffers of this length; the memory was unmapped
 */
export function makeMapping(
  address: number,
  lengthBytes: number,
  spanBytes: number,
  protection: Protection,
): Mapping {
  const owned = own(address, lengthBytes, spanBytes, protection);
  const state: State = { address, lengthBytes, spanBytes, protection, owned, isUnmapped: false };
  return {
    address,
    lengthBytes,
    get buffer() {
      return state.owned.buffer;
    },
    get isUnmapped() {
      return state.isUnmapped;
    },
    unmap: (part) => unmap(state, part),
    protect: (wanted, part) => protect(state, wanted, part),
    advise: (advice, part) => advise(state, advice, part),
    sync: (kind = "sync", part) => sync(state, kind, part),
    [Symbol.dispose]: () => void unmap(state, undefined),
  };
}
