/**
 * A mapping: its address, its buffer, and what can be done with it.
 */
import { shoalError } from "../errors.ts";
import { checkBytes, checkChoice, checkPageMultiple, roundUpToPage } from "./checks.ts";
import { checkResult } from "./errno.ts";
import { native } from "./native.ts";
import { ownMemory } from "./owned-buffer.ts";
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

const hex = (address: number): string => `0x${address.toString(16)}`;

/**
 * The mapping of memory that was just mapped, and is its owner from now on.
 *
 * @throws ERR_SHOAL_UNSUPPORTED when the engine has no buffers of this length; the memory was unmapped
 */
export function makeMapping(
  address: number,
  lengthBytes: number,
  spanBytes: number,
  initialProtection: Protection,
): Mapping {
  let protection = initialProtection;
  const own = () => ownMemory(address, lengthBytes, spanBytes, { isAccessible: protection !== "none" });
  let owned = own();
  let isUnmapped = false;

  const rangeOf = (part: MappingPart | undefined): Range => {
    if (isUnmapped)
      throw shoalError("ERR_SHOAL_CLOSED", `the mapping at ${hex(address)} is unmapped already`);
    return part === undefined ? { offset: 0, lengthBytes } : checkPart(lengthBytes, part);
  };

  const unmap = (part?: MappingPart): Mapping[] => {
    if (isUnmapped && part === undefined) return [];
    const { offset, lengthBytes: partBytes } = rangeOf(part);
    isUnmapped = true;
    if (partBytes === lengthBytes) {
      owned.release();
      return [];
    }
    return unmapPart(offset, partBytes);
  };

  const unmapPart = (offset: number, partBytes: number): Mapping[] => {
    const end = offset + partBytes;
    owned.disown();
    const gone = roundUpToPage(partBytes);
    checkResult(native.munmap(address + offset, gone), "munmap", {
      address: hex(address + offset),
      lengthBytes: gone,
    });
    const remain: Mapping[] = [];
    if (offset > 0) remain.push(makeMapping(address, offset, offset, protection));
    if (end < lengthBytes) {
      remain.push(makeMapping(address + end, lengthBytes - end, spanBytes - end, protection));
    }
    return remain;
  };

  const protect = (wanted: Protection, part?: MappingPart): void => {
    const { bits, names } = checkChoice("protection", wanted, protections);
    const range = rangeOf(part);
    const isWhole = range.lengthBytes === lengthBytes;
    const changesBuffer = isWhole && (wanted === "none") !== (protection === "none");
    if (!isWhole && protection === "none") {
      throw shoalError(
        "ERR_SHOAL_ARGUMENT",
        'a part cannot be opened while the whole is "none"; map it by itself',
      );
    }
    const at = address + range.offset;
    const args = { address: hex(at), lengthBytes: range.lengthBytes, protection: names };
    checkResult(native.mprotect(at, range.lengthBytes, bits), "mprotect", args);
    if (isWhole) protection = wanted;
    if (changesBuffer) {
      owned.disown();
      owned = own();
    }
  };

  const advise = (advice: Advice, part?: MappingPart): void => {
    const bits = checkChoice("advice", advice, advices);
    const range = rangeOf(part);
    const at = address + range.offset;
    const args = { address: hex(at), lengthBytes: range.lengthBytes, advice };
    checkResult(native.madvise(at, range.lengthBytes, bits), "madvise", args);
  };

  const sync = (kind: SyncKind = "sync", part?: MappingPart): void => {
    const bits = checkChoice("kind", kind, { sync: constants.MS_SYNC, async: constants.MS_ASYNC });
    const range = rangeOf(part);
    const at = address + range.offset;
    checkResult(native.msync(at, range.lengthBytes, bits), "msync", { address: hex(at), ...range, kind });
  };

  return {
    address,
    lengthBytes,
    get buffer() {
      return owned.buffer;
    },
    get isUnmapped() {
      return isUnmapped;
    },
    unmap,
    protect,
    advise,
    sync,
    [Symbol.dispose]: () => void unmap(),
  };
}
