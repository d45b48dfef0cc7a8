/**
 * Heap: blocks of memory in a region, shared by every process and worker that opens it.
 *
 * A block is named by its handle, its offset from the segment's start. What is allocated outlives everyone until it is
 * freed, by whomever. The allocator is the core's (core/slab.ts); here are the arguments' checks, growth when the core
 * says that pages are missing, and errors with numbers in them.
 *
 * The order when there is no room: catch up with what others have grown, recover the dead, grow, and only then
 * ERR_SHOAL_OUT_OF_MEMORY.
 */

import { shoalError } from "../errors.ts";
import { PAGE_SIZE_BYTES } from "../layout/header.ts";
import { PAGE_FREE } from "../layout/page.ts";
import { BUSY, NEED_CATCH_UP, NEED_PAGES, OK, TOO_LARGE } from "../layout/result.ts";
import type { HeapCore } from "../region/core.ts";
import { createSession } from "../region/create.ts";
import { Region } from "../region/index.ts";
import type { OpenOptions } from "../region/index.ts";
import { openOrCreateSession, openSession } from "../region/open.ts";
import { allocatorName, contentsOf, HEAP_ALLOCATORS } from "./allocators.ts";
import type { AllocatorName, HeapCreateOptions } from "./allocators.ts";
import { handleError, trapError } from "./errors.ts";
import type { Handle, Pointer } from "./handle.ts";
import { makeRoots } from "./roots.ts";
import type { Roots } from "./roots.ts";
import { countHeap } from "./stats.ts";
import type { HeapStats } from "./stats.ts";
import { verifyHeap } from "./verify.ts";
import type { VerifyReport } from "./verify.ts";

/** A heap that is not told how to grow doubles, by no less and no more than this at a time. */
const LEAST_STEP_PAGES = 16;
const MOST_STEP_PAGES = 1024;

/** Growth may be undone by other participants' allocations before the retry; each round is one of those. */
const MAX_ROUNDS = 10_000;

const LARGEST_REQUEST_BYTES = 2 ** 32 - 1;

/** A shared heap that this thread takes part in. Made by create, open or openOrCreate. */
export class Heap implements Disposable {
  readonly region: Region;
  /** Named roots: how strangers find each other's blocks. */
  readonly roots: Roots;
  readonly #core: HeapCore;
  /** The two functions that are called most, without the way through `#core`. */
  readonly #alloc: HeapCore["alloc"];
  readonly #free: HeapCore["free"];
  /** One word: 0 = open and whole (src/region/overlay.ts). */
  readonly #flags: Int32Array;
  readonly #isReadOnly: boolean;

  private constructor(region: Region) {
    this.region = region;
    this.#core = region.session.overlay.core as HeapCore;
    this.#alloc = this.#core.alloc;
    this.#free = this.#core.free;
    this.#flags = region.session.overlay.flags;
    this.#isReadOnly = region.readOnly;
    this.roots = makeRoots(region);
  }

  /** Creates a heap. Options and errors as Region.create; `sizeBytes` is the room for blocks, default 1 MiB. */
  static create(name?: string, options: HeapCreateOptions = {}): Heap {
    return new Heap(Region.over(createSession(name, options, contentsOf(options))));
  }

  /** Opens a heap, and recovers participants that have died. Options and errors as Region.open. */
  static open(name: string, options: OpenOptions = {}): Heap {
    return new Heap(Region.over(openSession(name, options, HEAP_ALLOCATORS)));
  }

  /** Opens the heap, or creates it; of several that do so at once, exactly one creates (`region.created`). */
  static openOrCreate(name: string, options: HeapCreateOptions & OpenOptions = {}): Heap {
    const contents = contentsOf(options);
    const expected = options.allocator === undefined ? HEAP_ALLOCATORS : [contents.allocator];
    return new Heap(Region.over(openOrCreateSession(name, options, expected, contents)));
  }

  get allocator(): AllocatorName {
    return allocatorName(this.region.session.geometry.allocator);
  }

  /**
   * Allocates a block of at least `sizeBytes`, aligned to 16 bytes. Its bytes are what they were.
   *
   * @throws ERR_SHOAL_OUT_OF_MEMORY, ERR_SHOAL_NO_SPACE, ERR_SHOAL_SIZE, ERR_SHOAL_READ_ONLY, ERR_SHOAL_CLOSED,
   *   ERR_SHOAL_DAMAGED, ERR_SHOAL_CORRUPT
   */
  alloc(sizeBytes: number): Handle {
    if (this.#flags[0] !== 0 || this.#isReadOnly) this.#refuse("alloc");
    if (sizeBytes >>> 0 !== sizeBytes || sizeBytes === 0) throw sizeError("alloc", sizeBytes);
    try {
      const handle = this.#alloc(sizeBytes);
      return (handle === 0 ? this.#makeRoom("alloc", sizeBytes, 0) : handle >>> 0) as Handle;
    } catch (error) {
      throw trapError(error, "alloc");
    }
  }

  /** As alloc; 0 instead of ERR_SHOAL_OUT_OF_MEMORY and ERR_SHOAL_NO_SPACE. */
  tryAlloc(sizeBytes: number): Handle | 0 {
    try {
      return this.alloc(sizeBytes);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "ERR_SHOAL_OUT_OF_MEMORY" || code === "ERR_SHOAL_NO_SPACE") return 0;
      throw error;
    }
  }

  /**
   * Allocates a zeroed block for `count` elements of `sizeBytes`. Errors as alloc; a product beyond 4 GiB is
   * ERR_SHOAL_SIZE.
   */
  calloc(count: number, sizeBytes: number): Handle {
    if (this.#flags[0] !== 0 || this.#isReadOnly) this.#refuse("calloc");
    for (const factor of [count, sizeBytes]) {
      if (factor >>> 0 !== factor || factor === 0) throw sizeError("calloc", factor);
    }
    const total = count * sizeBytes;
    if (total > LARGEST_REQUEST_BYTES) throw sizeError(`calloc of ${count} times ${sizeBytes}`, total);
    try {
      const handle = this.#core.allocWith(total, 0, 0, 1);
      return (handle === 0 ? this.#makeRoom("calloc", total, 0) : handle >>> 0) as Handle;
    } catch (error) {
      throw trapError(error, "calloc");
    }
  }

  /**
   * Resizes a block: in place where it can, else by moving its contents. When it throws, the old block is untouched.
   *
   * @returns the block's handle from now on
   * @throws as alloc, and ERR_SHOAL_BAD_HANDLE, ERR_SHOAL_DOUBLE_FREE
   */
  realloc(handle: Handle, sizeBytes: number): Handle {
    if (this.#flags[0] !== 0 || this.#isReadOnly) this.#refuse("realloc");
    if (sizeBytes >>> 0 !== sizeBytes || sizeBytes === 0) throw sizeError("realloc", sizeBytes);
    checkHandle("realloc", handle);
    try {
      const moved = this.#core.realloc(handle, sizeBytes);
      if (moved !== 0) return (moved >>> 0) as Handle;
      return this.#makeRoom("realloc", sizeBytes, handle) as Handle;
    } catch (error) {
      throw trapError(error, "realloc");
    }
  }

  /**
   * Frees a block, whoever allocated it.
   *
   * @throws ERR_SHOAL_DOUBLE_FREE, ERR_SHOAL_BAD_HANDLE (no allocated block starts there): nothing has changed then
   */
  free(handle: Handle): void {
    if (this.#flags[0] !== 0 || this.#isReadOnly) this.#refuse("free");
    if (handle >>> 0 !== handle) checkHandle("free", handle);
    try {
      const code = this.#free(handle);
      if (code !== OK) this.#freeSlowly(handle, code);
    } catch (error) {
      throw trapError(error, "free");
    }
  }

  #freeSlowly(handle: Handle, code: number): void {
    let result = code;
    while (result !== OK && this.#mayPass(result)) result = this.#core.free(handle);
    if (result !== OK) throw handleError(this.#core, result, "free", handle);
  }

  /** Does what can be done about a refusal; true when something was, so that the call is worth repeating. */
  #mayPass(code: number): boolean {
    if (code === NEED_CATCH_UP) return this.region.catchUp();
    // Somebody is resizing the block. If it died in the middle of that, recovery says how large the block is.
    return code === BUSY && !this.#isReadOnly && this.region.recover() > 0;
  }

  /** Bytes that the block at `handle` really has: what was asked for, rounded up to its class. */
  usableSize(handle: Handle): number {
    if (this.#flags[0] !== 0) this.region.check();
    checkHandle("usableSize", handle);
    try {
      let size = this.#core.usableSize(handle);
      while (size === 0 && this.#mayPass(this.#core.lastError())) size = this.#core.usableSize(handle);
      if (size === 0) throw handleError(this.#core, this.#core.lastError(), "usableSize", handle);
      return size >>> 0;
    } catch (error) {
      throw trapError(error, "usableSize");
    }
  }

  /**
   * A view of the block's bytes.
   *
   * @param lengthBytes default: all of its usable bytes
   * @throws ERR_SHOAL_BAD_HANDLE, ERR_SHOAL_ARGUMENT (longer than the block)
   */
  bytes(handle: Handle, lengthBytes?: number): Uint8Array {
    const usable = this.usableSize(handle);
    const length = lengthBytes ?? usable;
    if (!Number.isInteger(length) || length < 0 || length > usable) {
      throw shoalError("ERR_SHOAL_ARGUMENT", `block ${handle} has ${usable} bytes, not ${length}`, {
        handle,
        lengthBytes: length,
        usableBytes: usable,
      });
    }
    if (handle + length > this.region.segmentSizeBytes) this.region.catchUp();
    return new Uint8Array(this.region.buffer, handle, length);
  }

  /**
   * The address of `handle` in every process that has the heap at its fixed address; 0 for 0.
   *
   * @throws ERR_SHOAL_BAD_HANDLE (outside the data), ERR_SHOAL_UNSUPPORTED (created without fixedAddress)
   */
  pointerOf(handle: Handle): Pointer {
    const { fixedAddress } = this.#pinned("pointerOf");
    if (handle === 0) return 0 as Pointer;
    if (this.#isInData(handle)) return (fixedAddress + handle) as Pointer;
    throw handleError(this.#core, 0, "pointerOf", handle);
  }

  /**
   * The handle of what `pointer` points to; 0 for 0.
   *
   * @throws ERR_SHOAL_BAD_POINTER (outside the data), ERR_SHOAL_UNSUPPORTED (created without fixedAddress)
   */
  handleOf(pointer: Pointer): Handle {
    const { fixedAddress } = this.#pinned("handleOf");
    if (pointer === 0) return 0 as Handle;
    const handle = pointer - fixedAddress;
    if (this.#isInData(handle)) return handle as Handle;
    const { segmentSizeBytes } = this.region;
    throw shoalError(
      "ERR_SHOAL_BAD_POINTER",
      `${pointer} is not between ${fixedAddress + this.region.dataOffset} and ${fixedAddress + segmentSizeBytes}, where this heap's blocks are`,
      { pointer, fixedAddress, sizeBytes: segmentSizeBytes },
    );
  }

  #pinned(call: string): Region {
    this.region.check();
    if (this.region.fixedAddress !== 0) return this.region;
    throw shoalError(
      "ERR_SHOAL_UNSUPPORTED",
      `${call}: this heap has no fixed address; create it with { fixedAddress: true }`,
      { call },
    );
  }

  #isInData(offset: number): boolean {
    if (!Number.isInteger(offset) || offset < this.region.dataOffset) return false;
    if (offset >= this.region.segmentSizeBytes) this.region.catchUp();
    return offset < this.region.segmentSizeBytes;
  }

  /** Counts pages and blocks by walking the page table. */
  stats(): HeapStats {
    this.region.catchUp();
    try {
      return countHeap(this.region);
    } catch (error) {
      throw trapError(error, "stats");
    }
  }

  /** Recomputes every invariant of the heap. Changes nothing; may run beside other participants. */
  verify(): VerifyReport {
    this.region.catchUp();
    this.region.check();
    try {
      return verifyHeap(this.region);
    } catch (error) {
      throw trapError(error, "verify");
    }
  }

  /** Makes room for at least `sizeBytes` bytes of pages (default: see Region.grow). Allocation does so by itself. */
  grow(sizeBytes?: number): number {
    return this.region.grow(sizeBytes);
  }

  /** Recovers participants that have died: what they were in the middle of is finished or undone. How many. */
  recover(): number {
    return this.region.recover();
  }

  /** Why a changing call cannot be made. */
  #refuse(call: string): void {
    this.region.check();
    throw shoalError("ERR_SHOAL_READ_ONLY", `${call}: ${this.region.name} was opened read-only`, {
      name: this.region.name,
    });
  }

  /** Repeats a call that returned 0 until it has room. (No closure is passed: that would slow the fast path.) */
  #makeRoom(call: "alloc" | "calloc" | "realloc", sizeBytes: number, handle: number): number {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const code = this.#core.lastError();
      if (code === NEED_PAGES) this.#growFor(call, sizeBytes, this.#core.errorDetail() >>> 0);
      else if (code === TOO_LARGE) throw this.#outOfMemory(call, sizeBytes);
      else if (!this.#mayPass(code)) throw handleError(this.#core, code, call, handle);
      const result = this.#repeat(call, sizeBytes, handle);
      if (result !== 0) return result >>> 0;
    }
    throw this.#outOfMemory(call, sizeBytes);
  }

  #repeat(call: "alloc" | "calloc" | "realloc", sizeBytes: number, handle: number): number {
    if (call === "alloc") return this.#core.alloc(sizeBytes);
    return call === "calloc"
      ? this.#core.allocWith(sizeBytes, 0, 0, 1)
      : this.#core.realloc(handle, sizeBytes);
  }

  /** Adds pages until `pages` consecutive ones are free, after looking whether the dead have left any. */
  #growFor(call: string, sizeBytes: number, pages: number): void {
    const { region } = this;
    if (region.catchUp() || region.recover() > 0) return;
    const { spanPages, growStepPages, dataOffset } = region.session.geometry;
    const current = region.segmentSizeBytes / PAGE_SIZE_BYTES;
    // What is free at the end counts. What cannot be had even with the whole span is not grown for.
    const missing = Math.max(pages - this.#freePagesAtEnd(current, pages), 1);
    const least = current + missing;
    if (least > spanPages) throw this.#outOfMemory(call, sizeBytes);
    const doubled = Math.min(
      Math.max(current - dataOffset / PAGE_SIZE_BYTES, LEAST_STEP_PAGES),
      MOST_STEP_PAGES,
    );
    const wished = Math.min(
      current + Math.max(growStepPages > 0 ? growStepPages : doubled, missing),
      spanPages,
    );
    try {
      region.growToPages(wished);
    } catch (error) {
      // Perhaps there is storage for what is needed, if not for the whole step.
      if (wished === least) throw error;
      region.growToPages(least);
    }
  }

  /** How many pages before page `end` are free, `most` at most. */
  #freePagesAtEnd(end: number, most: number): number {
    const { survey } = this.region;
    let count = 0;
    while (count < most && count < end && survey.pageKind(end - 1 - count) === PAGE_FREE) count++;
    return count;
  }

  #outOfMemory(call: string, sizeBytes: number): Error {
    const { spanBytes, segmentSizeBytes } = this.region;
    const largestFreeBytes = countHeap(this.region).largestFreePages * PAGE_SIZE_BYTES;
    return shoalError(
      "ERR_SHOAL_OUT_OF_MEMORY",
      `${call}: no room for ${sizeBytes} bytes: the heap has ${segmentSizeBytes} of at most ${spanBytes} bytes, the longest free run of pages is ${largestFreeBytes} bytes; free something, or create the heap with a larger spanBytes`,
      { call, sizeBytes, segmentSizeBytes, spanBytes, largestFreeBytes },
    );
  }

  /** Leaves the heap; its blocks stay. Again: harmless. */
  close(): void {
    this.region.close();
  }

  /** Removes the heap's name; those who have it open keep it. */
  unlink(): void {
    this.region.unlink();
  }

  /** Removes the heap's name, and the private directory made for it, and closes. */
  remove(): void {
    this.region.remove();
  }

  [Symbol.dispose](): void {
    this.region.close();
  }
}

function sizeError(call: string, sizeBytes: number): Error {
  const shown = typeof sizeBytes === "number" ? sizeBytes : String(sizeBytes);
  return shoalError(
    "ERR_SHOAL_SIZE",
    `${call}: a size is a whole number from 1 to ${LARGEST_REQUEST_BYTES}, not ${shown}`,
    { call, value: shown, least: 1, most: LARGEST_REQUEST_BYTES },
  );
}

function checkHandle(call: string, handle: Handle): void {
  if (handle >>> 0 === handle) return;
  throw shoalError(
    "ERR_SHOAL_BAD_HANDLE",
    `${call}: ${String(handle)} is no handle; handles are 32-bit offsets`,
    {
      call,
      handle: String(handle),
    },
  );
}
