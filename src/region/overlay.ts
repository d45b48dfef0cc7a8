/**
 * The overlay: a WebAssembly.Memory whose pages are the segment's.
 *
 * The engine reserves the span's addresses; the segment is laid over all of them without access, and the part in use is
 * opened. Growing is then the engine's own business: `memory.grow` opens the next pages, which already are the
 * segment's. (An engine that zeroes them on the way is given other pages to zero: see extend.) Closing lays private zero
 * pages over everything, so a view that somebody kept reads zeros.
 *
 * A guard watches the span: when somebody truncates the file underneath, the lost pages are replaced by zeros and
 * `flags` says so, instead of the process dying of SIGBUS.
 */

import { ShoalError, shoalError } from "../errors.ts";
import { PAGE_SIZE_BYTES } from "../layout/header.ts";
import { checkResult } from "../os/errno.ts";
import { close, memfdCreate } from "../os/index.ts";
import { native } from "../os/native.ts";
import type { Backing } from "./backing.ts";
import { instantiateCore } from "./core.ts";
import type { Core, CoreModule } from "./core.ts";

const { constants } = native;

/** Bits of `Overlay.flags[0]`; 0 = all is well. */
export const FLAG_CLOSED = 1;
/** Set by the SIGBUS guard (native/guard.c). */
export const FLAG_DAMAGED = 2;

/** A segment in this process's memory. */
export interface Overlay {
  readonly memory: WebAssembly.Memory;
  /** The memory as it was when the segment was laid over it. */
  readonly words: Int32Array;
  readonly core: Core;
  readonly address: number;
  readonly spanBytes: number;
  /** One word, FLAG_… bits, outside the segment. */
  readonly flags: Int32Array;
  readonly guardId: number;
}

function reserveSpan(sizePages: number, spanPages: number): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: sizePages, maximum: spanPages, shared: true });
  } catch (cause) {
    throw shoalError(
      "ERR_SHOAL_NO_SPACE",
      `the engine has no address space for a span of ${spanPages * PAGE_SIZE_BYTES} bytes: close regions that are not needed, create with a smaller spanBytes, or raise RLIMIT_AS`,
      { spanBytes: spanPages * PAGE_SIZE_BYTES },
      cause,
    );
  }
}

const FLAGS_SIZE_BYTES = 64;
let flagsPool = new SharedArrayBuffer(0);
let flagsUsedBytes = 0;

/** One word, alone on its cache line. Memory that never moves, of which a piece at a time is cheaper than a buffer. */
export function makeFlags(): Int32Array {
  if (flagsUsedBytes === flagsPool.byteLength) {
    flagsPool = new SharedArrayBuffer(64 * FLAGS_SIZE_BYTES);
    flagsUsedBytes = 0;
  }
  const flags = new Int32Array(flagsPool, flagsUsedBytes, 1);
  flagsUsedBytes += FLAGS_SIZE_BYTES;
  return flags;
}

/** Lays `backing` over a new memory of `sizePages` now and `spanPages` at most. */
export function layOver(
  backing: Backing,
  { sizePages, spanPages }: { readonly sizePages: number; readonly spanPages: number },
  module: CoreModule,
  readOnly: boolean,
): Overlay {
  const memory = reserveSpan(sizePages, spanPages);
  const words = new Int32Array(memory.buffer);
  const address = native.addressOf(words);
  const spanBytes = spanPages * PAGE_SIZE_BYTES;
  const sizeBytes = sizePages * PAGE_SIZE_BYTES;
  // Before the mapping is there nothing can be lost; after it, nothing may be unguarded.
  const flags = makeFlags();
  const guardId = checkResult(native.guardAdd(address, spanBytes, flags), "sigaction", { spanBytes });
  try {
    backing.map(address, 0, spanBytes, readOnly);
    openPages(address, sizeBytes);
    const core = instantiateCore(memory, module);
    return { memory, words, core, address, spanBytes, flags, guardId };
  } catch (error) {
    peel({ memory, address, spanBytes, flags, guardId });
    throw error;
  }
}

let wipes: boolean | undefined;

/**
 * Whether this engine writes zeros into the pages that `memory.grow` adds, as JavaScriptCore does: over a segment that
 * would wipe what others have written there. Tried out once a process, on a memory file of its own. Where there is no
 * descriptor or no memory left for that, yes: what is done then is right on every engine.
 */
function growthWipes(): boolean {
  if (wipes !== undefined) return wipes;
  try {
    wipes = tryGrowth();
  } catch (error) {
    if (error instanceof ShoalError) return true;
    throw error;
  }
  return wipes;
}

function tryGrowth(): boolean {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true });
  const address = native.addressOf(new Uint8Array(memory.buffer));
  const fd = memfdCreate("shoal-probe");
  try {
    checkResult(native.pwrite(fd, Uint8Array.of(1), 2 * PAGE_SIZE_BYTES - 1), "pwrite", { fd });
    const flags = constants.MAP_SHARED | constants.MAP_FIXED;
    const access = constants.PROT_READ | constants.PROT_WRITE;
    checkResult(native.mmap(address, 2 * PAGE_SIZE_BYTES, access, flags, fd, 0), "mmap", { fd });
    memory.grow(1);
    return new Uint8Array(memory.buffer)[2 * PAGE_SIZE_BYTES - 1] !== 1;
  } finally {
    layZeros(address, 2 * PAGE_SIZE_BYTES);
    close(fd);
  }
}

/** Opens the segment's next pages, which have their storage, to this process. */
export function extend(
  overlay: Overlay,
  backing: Backing,
  fromPages: number,
  toPages: number,
  readOnly: boolean,
): void {
  const { memory, address } = overlay;
  const offset = fromPages * PAGE_SIZE_BYTES;
  const lengthBytes = (toPages - fromPages) * PAGE_SIZE_BYTES;
  const isWiped = growthWipes();
  if (isWiped) layZeros(address + offset, lengthBytes);
  try {
    memory.grow(toPages - fromPages);
  } catch (cause) {
    const sizeBytes = toPages * PAGE_SIZE_BYTES;
    throw shoalError(
      "ERR_SHOAL_NO_SPACE",
      `the engine cannot extend its memory to the ${sizeBytes} bytes that the segment has now`,
      { sizeBytes },
      cause,
    );
  } finally {
    // The engine has had zero pages to wipe; now the segment's own take their place.
    if (isWiped) backing.map(address + offset, offset, lengthBytes, readOnly);
  }
  if (isWiped) openPages(address + offset, lengthBytes);
}

function layZeros(address: number, lengthBytes: number): void {
  const share =
    constants.MAP_PRIVATE | constants.MAP_ANONYMOUS | constants.MAP_FIXED | constants.MAP_NORESERVE;
  checkResult(native.mmap(address, lengthBytes, constants.PROT_NONE, share, -1, 0), "mmap", { lengthBytes });
}

function openPages(address: number, lengthBytes: number): void {
  const access = constants.PROT_READ | constants.PROT_WRITE;
  checkResult(native.mprotect(address, lengthBytes, access), "mprotect", { lengthBytes });
}

/** Replaces the segment by private zero pages. The engine frees the span when nothing refers to the memory. */
export function peel(overlay: Omit<Overlay, "core" | "words">): void {
  const { memory, address, spanBytes, flags, guardId } = overlay;
  Atomics.or(flags, 0, FLAG_CLOSED);
  layZeros(address, spanBytes);
  openPages(address, memory.buffer.byteLength);
  native.guardRemove(guardId);
}
