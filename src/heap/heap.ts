/**
 * Heap: blocks of memory in a region, shared by every process and worker that opens it.
 *
 * A block is named by its handle, its offset from the segment's start. What is allocated outlives everyone until it is
 * freed, by whomever; unless it is owned. The allocator is the core's (core/slab.ts, buddy.ts, fit.ts); here are the
 * arguments' checks, and what is done when the core cannot go on (obstacles.ts).
 *
 * The order when there is no room: catch up with what others have grown, recover the dead, grow, and only then
 * ERR_SHOAL_OUT_OF_MEMORY.
 */

import { shoalError } from "../errors.ts";
import { NOT_FOUND, OK, TOO_LARGE } from "../layout/result.ts";
import type { HeapCore } from "../region/core.ts";
import { createSession } from "../region/create.ts";
import { planGeometry } from "../region/geometry.ts";
import { Region } from "../region/index.ts";
import type { OpenOptions, ParticipantInfo } from "../region/index.ts";
import { openOrCreateSession, openSession } from "../region/open.ts";
import { guarded, trapError } from "../region/traps.ts";
import { allocatorName, contentsOf, HEAP_ALLOCATORS } from "./allocators.ts";
import type { AllocatorName, HeapCreateOptions } from "./allocators.ts";
import { allocMany, freeMany } from "./batch.ts";
import { blockOf } from "./block.ts";
import type { AllocOptions, Block } from "./block.ts";
import { checkAlignment, checkHandle, checkSize, productOf } from "./checks.ts";
import { handleError } from "./errors.ts";
import type { Handle, Pointer } from "./handle.ts";
import { clear, tooLarge } from "./obstacles.ts";
import type { Refused } from "./obstacles.ts";
import { pointersOf } from "./pointers.ts";
import type { Pointers } from "./pointers.ts";
import { repairHeap } from "./repair.ts";
import type { RepairReport } from "./repair.ts";
import { makeRoots } from "./roots.ts";
import type { Roots } from "./roots.ts";
import { planOf } from "./plan.ts";
import type { HeapPlan } from "./plan.ts";
import { countHeap } from "./stats.ts";
import type { HeapStats } from "./stats.ts";
import { trimHeap } from "./trim.ts";
import { verifyHeap } from "./verify.ts";
import type { VerifyReport } from "./verify.ts";
import { walkBlocks } from "./walk.ts";
import type { BlockInfo } from "./walk.ts";

/** Growth may be undone by other participants' allocations before the retry; each round is one of those. */
const MAX_ROUNDS = 10_000;

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
  /** A call was cut off in the core, and what it left is not mended yet. */
  #isCutOff = false;
  /** Within tryAlloc: nobody will read what an error says. */
  #isTrying = false;
  readonly #isReadOnly: boolean;

  protected constructor(region: Region) {
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
    return new this(Region.over(createSession(name, options, contentsOf(options))));
  }

  /** Opens a heap, and recovers participants that have died. Options and errors as Region.open. */
  static open(name: string, options: OpenOptions = {}): Heap {
    return new this(Region.over(openSession(name, options, HEAP_ALLOCATORS)));
  }

  /**
   * Opens the heap, or creates it; of several that do so at once, exactly one creates (`region.created`). If the options
   * name an allocator, a heap with another one is refused (ERR_SHOAL_FORMAT).
   */
  static openOrCreate(name: string, options: HeapCreateOptions & OpenOptions = {}): Heap {
    const contents = contentsOf(options);
    const expected = options.allocator === undefined ? HEAP_ALLOCATORS : [contents.allocator];
    return new this(Region.over(openOrCreateSession(name, options, expected, contents)));
  }

  /** What a heap with these options would be: sizes and limits, before anything is created. Errors as create. */
  static plan(options: HeapCreateOptions = {}): HeapPlan {
    return planOf(planGeometry(options, contentsOf(options)));
  }

  /** Sizes and limits of this heap; `segmentBytes` and `dataBytes` as they were at its creation or opening. */
  get plan(): HeapPlan {
    return planOf(this.region.session.geometry);
  }

  get allocator(): AllocatorName {
    return allocatorName(this.region.session.geometry.allocator);
  }

  /**
   * Allocates a block of at least `sizeBytes`, aligned to 16 bytes (first-fit: 8). Its bytes are what they were.
   *
   * @throws ERR_SHOAL_OUT_OF_MEMORY, ERR_SHOAL_NO_SPACE, ERR_SHOAL_SIZE, ERR_SHOAL_ARGUMENT, ERR_SHOAL_READ_ONLY,
   *   ERR_SHOAL_CLOSED, ERR_SHOAL_DAMAGED, ERR_SHOAL_CORRUPT, ERR_SHOAL_TIMEOUT (first-fit: the participant that holds
   *   the heap's lock is stopped)
   */
  alloc(sizeBytes: number, options?: AllocOptions): Handle {
    if (this.#flags[0] !== 0 || this.#isReadOnly) this.#refuse("alloc");
    if (sizeBytes >>> 0 !== sizeBytes || sizeBytes === 0) checkSize("alloc", sizeBytes);
    if (options !== undefined) return this.#place("alloc", sizeBytes, options);
    try {
      const handle = this.#alloc(sizeBytes);
      return (handle === 0 ? this.#allocSlowly(sizeBytes) : handle >>> 0) as Handle;
    } catch (error) {
      throw this.#cutOff(error, "alloc");
    }
  }

  /** As alloc; 0 instead of ERR_SHOAL_OUT_OF_MEMORY and ERR_SHOAL_NO_SPACE. */
  tryAlloc(sizeBytes: number, options?: AllocOptions): Handle | 0 {
    this.#isTrying = true;
    try {
      return this.alloc(sizeBytes, options);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "ERR_SHOAL_OUT_OF_MEMORY" || code === "ERR_SHOAL_NO_SPACE") return 0;
      throw error;
    } finally {
      this.#isTrying = false;
    }
  }

  /**
   * Allocates a zeroed block for `count` elements of `sizeBytes`. Errors as alloc; a product beyond 4 GiB is
   * ERR_SHOAL_SIZE.
   */
  calloc(count: number, sizeBytes: number, options: AllocOptions = {}): Handle {
    this.#checkWritable("calloc");
    return this.#place("calloc", productOf("calloc", count, sizeBytes), { ...options, zeroed: true });
  }

  /**
   * Allocates a block that begins at a multiple of `alignmentBytes`, a power of two up to 64 KiB. Errors as alloc;
   * ERR_SHOAL_ARGUMENT for another alignment.
   */
  alignedAlloc(alignmentBytes: number, sizeBytes: number, options: AllocOptions = {}): Handle {
    this.#checkWritable("alignedAlloc");
    checkSize("alignedAlloc", sizeBytes);
    return this.#place("alignedAlloc", sizeBytes, { ...options, alignmentBytes });
  }

  /**
   * Allocates `count` blocks of at least `sizeBytes` each: all of them or, when it throws, none. Errors as alloc.
   */
  allocMany(count: number, sizeBytes: number): Handle[] {
    this.#checkWritable("allocMany");
    return guarded("allocMany", this.#core, () => allocMany(this, this.#core, count, sizeBytes));
  }

  /**
   * Frees blocks in their order. When one is refused, those before it are free, it and the rest are untouched, and the
   * error's details say how many were `freed`. Errors as free.
   */
  freeMany(handles: readonly Handle[]): void {
    this.#checkWritable("freeMany");
    guarded("freeMany", this.#core, () => freeMany(this, this.#core, handles));
  }

  /** Allocates a block that is freed at the end of its scope: `using block = heap.block(100)`. Errors as alloc. */
  block(sizeBytes: number, options: AllocOptions = {}): Block {
    return blockOf(this, this.alloc(sizeBytes, options), options.owned === true);
  }

  /** The pointer twins of these calls, for heaps with a fixed address. */
  get pointers(): Pointers {
    return pointersOf(this);
  }

  /**
   * Resizes a block: in place where it can, else by moving its contents. Who owned it still does. When it throws, the old
   * block is untouched.
   *
   * @returns the block's handle from now on
   * @throws as alloc, and ERR_SHOAL_BAD_HANDLE, ERR_SHOAL_DOUBLE_FREE, ERR_SHOAL_NOT_OWNER
   */
  realloc(handle: Handle, sizeBytes: number): Handle {
    this.#checkWritable("realloc");
    checkSize("realloc", sizeBytes);
    checkHandle("realloc", handle);
    return this.#retry("realloc", sizeBytes, handle, () => this.#core.realloc(handle, sizeBytes)) as Handle;
  }

  /**
   * Frees a block, whoever allocated it.
   *
   * @throws ERR_SHOAL_DOUBLE_FREE, ERR_SHOAL_BAD_HANDLE (no allocated block starts there), ERR_SHOAL_NOT_OWNER (it is
   *   another participant's own): nothing has changed then
   */
  free(handle: Handle): void {
    if (this.#flags[0] !== 0 || this.#isReadOnly) this.#refuse("free");
    if (handle >>> 0 !== handle) checkHandle("free", handle);
    try {
      const code = this.#free(handle);
      if (code !== OK) this.#freeSlowly(handle, code);
    } catch (error) {
      throw this.#cutOff(error, "free");
    }
  }

  /**
   * Ends a block's ownership: it is shared, and outlives its owner. Harmless when it is shared already.
   *
   * @throws ERR_SHOAL_NOT_OWNER, ERR_SHOAL_BAD_HANDLE, ERR_SHOAL_DOUBLE_FREE
   */
  share(handle: Handle): void {
    this.#change("share", handle, () => this.#core.share(handle));
  }

  /**
   * Makes a shared block this participant's own: it is freed when the participant dies or leaves. Harmless when it is
   * already. Errors as share, and ERR_SHOAL_NO_SPACE (what is noted about it needs storage), ERR_SHOAL_TIMEOUT (buddy: a
   * participant is stopped that was about to allocate a block of its own there).
   */
  adopt(handle: Handle): void {
    this.#change("adopt", handle, () => this.#core.adopt(handle));
  }

  /** The participant whose own the block is; undefined when it is shared. Errors as usableSize. */
  ownerOf(handle: Handle): ParticipantInfo | undefined {
    this.usableSize(handle);
    const owner = guarded("ownerOf", this.#core, () => this.region.survey.ownerOf(handle)) >>> 0;
    if (owner === 0) return undefined;
    return this.region.participants().find((participant) => participant.index === owner - 1);
  }

  /** Bytes that the block at `handle` really has: what was asked for, rounded up to its class. */
  usableSize(handle: Handle): number {
    if (this.#flags[0] !== 0) this.region.check();
    checkHandle("usableSize", handle);
    return this.#retry("usableSize", 0, handle, () => this.#core.usableSize(handle));
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

  /** What the heap holds, counted by walking it: costs the allocator nothing. */
  stats(): HeapStats {
    this.region.catchUp();
    return guarded("stats", this.#core, () => countHeap(this.region));
  }

  /** Every allocated block, in the order of their handles. What changes meanwhile is among them or not. */
  blocks(): Iterable<BlockInfo> {
    this.region.catchUp();
    this.region.check();
    return walkBlocks(this.region);
  }

  /**
   * Recomputes every invariant of the heap. Changes nothing; may run beside other participants. With `repair` it makes a
   * damaged heap whole, as far as what is left tells what was, and says what was lost.
   *
   * @throws with `repair` ERR_SHOAL_IN_USE (others who live have it open), ERR_SHOAL_READ_ONLY
   */
  verify(options?: { readonly repair?: false }): VerifyReport;
  verify(options: { readonly repair: true }): RepairReport;
  verify({ repair = false }: { readonly repair?: boolean } = {}): VerifyReport | RepairReport {
    if (repair) this.#checkWritable("verify");
    else this.region.catchUp();
    this.region.check();
    return guarded("verify", this.#core, () => (repair ? repairHeap : verifyHeap)(this.region));
  }

  /** Makes room for at least `sizeBytes` bytes of pages (default: see Region.grow). Allocation does so by itself. */
  grow(sizeBytes?: number): number {
    return this.region.grow(sizeBytes);
  }

  /**
   * Gives the storage of free pages back to the system; they get it again when they are wanted. Slab heaps only: other
   * allocators keep theirs.
   *
   * @returns how many bytes
   */
  trim(): number {
    this.#checkWritable("trim");
    return guarded("trim", this.#core, () => trimHeap(this.region));
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

  #checkWritable(call: string): void {
    if (this.#flags[0] !== 0 || this.#isReadOnly) this.#refuse(call);
  }

  #place(call: string, sizeBytes: number, { owned, zeroed, alignmentBytes }: AllocOptions): Handle {
    const alignment = alignmentBytes === undefined ? 0 : checkAlignment(call, alignmentBytes);
    const place = (): number =>
      this.#core.allocWith(sizeBytes, alignment, owned === true ? 1 : 0, zeroed === true ? 1 : 0);
    return this.#retry(call, sizeBytes, 0, place) as Handle;
  }

  #allocSlowly(sizeBytes: number): number {
    return this.#goOn("alloc", sizeBytes, 0, () => this.#core.alloc(sizeBytes));
  }

  #freeSlowly(handle: Handle, code: number): void {
    const refused: Refused = { call: "free", sizeBytes: 0, isTried: false, waitingSinceMs: 0 };
    let result = code;
    while (result !== OK && clear(this.region, this.#core, result, refused)) result = this.#core.free(handle);
    if (result !== OK) throw handleError(this.#core, result, "free", handle);
  }

  /** A call that returns a result code. */
  #change(call: string, handle: Handle, step: () => number): void {
    this.#checkWritable(call);
    checkHandle(call, handle);
    // What returns 0 for "look at lastError()" and what returns a code have this in common: a number other than 0 is good.
    this.#retry(call, 0, handle, () => (step() === OK ? 1 : 0));
  }

  /**
   * What to throw for what the engine has thrown in the midst of a call. What a trap has left half done is mended at once
   * (trapError). If the caller's stack was full, there is none to do that on: it is done as soon as this turn of the event loop
   * is over, or by the next call that is not of the fast kind. Those few, alloc and free without options, may come before: to
   * them half-done pages are pages that somebody else is changing.
   */
  #cutOff(error: unknown, call: string): unknown {
    if (error instanceof RangeError) {
      this.#isCutOff = true;
      setImmediate(() => {
        try {
          this.#mend();
        } catch (again) {
          // The next call tries it, and throws what is wrong.
          this.#isCutOff ||= again !== undefined;
        }
      });
    }
    return trapError(error, call, this.#core);
  }

  #mend(): void {
    if (!this.#isCutOff || this.#isReadOnly || this.#flags[0] !== 0) return;
    if (this.#core.mend() === OK) this.#isCutOff = false;
  }

  /** Makes a call that returns 0 when it cannot go on, until it can. */
  #retry(call: string, sizeBytes: number, handle: number, step: () => number): number {
    try {
      if (this.#isCutOff) this.#mend();
      const result = step();
      return result === 0 ? this.#goOn(call, sizeBytes, handle, step) : result >>> 0;
    } catch (error) {
      throw this.#cutOff(error, call);
    }
  }

  #goOn(call: string, sizeBytes: number, handle: number, step: () => number): number {
    const refused: Refused = { call, sizeBytes, isTried: this.#isTrying, waitingSinceMs: 0 };
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const code = this.#core.lastError();
      if (code === TOO_LARGE) throw tooLarge(this.region, refused);
      if (!clear(this.region, this.#core, code, refused)) throw handleError(this.#core, code, call, handle);
      const result = step();
      if (result !== 0) return result >>> 0;
    }
    throw handleError(this.#core, NOT_FOUND, call, handle);
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
