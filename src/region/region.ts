/**
 * Region: a named, growable, permissioned segment of shared memory, without an opinion about what is in it.
 *
 * Everything that several participants do to the same words is done by the core; here is the order of system calls
 * around it. Growth: the storage is reserved, the size is published, then every participant's memory catches up when
 * it next looks. No step waits for another participant.
 */

import { shoalError } from "../errors.ts";
import { H_SIZE_PAGES, HEADER_SIZE_BYTES, PAGE_SIZE_BYTES, STATE_RETIRED } from "../layout/header.ts";
import { backendOf } from "./backends.ts";
import type { Survey } from "./core.ts";
import { createSession, removePrivateDirectory } from "./create.ts";
import { tie, unwatch, watch } from "./forgotten.ts";
import type { Token } from "./forgotten.ts";
import { PLAIN, storageRanges } from "./geometry.ts";
import { formatUuid, ownsDirectory } from "./header.ts";
import { listRegions } from "./list.ts";
import type { ListOptions, RegionSummary } from "./list.ts";
import { openOrCreateSession, openSession } from "./open.ts";
import type { BackendName, CreateOptions, OpenOptions } from "./options.ts";
import { FLAG_DAMAGED } from "./overlay.ts";
import { listParticipants, recoverDead } from "./participants.ts";
import type { ParticipantInfo } from "./participants.ts";
import { openRaw } from "./raw.ts";
import type { RawOptions, RawRegion } from "./raw.ts";
import { endSession, surveyOf } from "./session.ts";
import type { Session } from "./session.ts";
import { guarded } from "./traps.ts";

/** A shared WebAssembly.Memory, as far as TypeScript's own libraries without the DOM's can name it. */
export interface SharedMemory {
  readonly buffer: ArrayBufferLike;
  /** For Region: call Region.grow, which reserves storage first. */
  grow(pages: number): number;
}

/** Word index of the published size. */
const SIZE_WORD = H_SIZE_PAGES >> 2;

/** A segment of shared memory that this thread takes part in. Made by create, open or openOrCreate. */
export class Region implements Disposable {
  readonly #session: Session;
  /** Stands for this opening; see forgotten.ts. */
  readonly #token: Token = {};
  /** One word: 0 = open and whole. See overlay.ts. */
  readonly #flags: Int32Array;
  #pages: number;
  #buffer: SharedArrayBuffer;
  #words: Int32Array;

  private constructor(session: Session) {
    this.#session = session;
    this.#flags = session.overlay.flags;
    const { backing, overlay, isPinned, fixedAddress } = session;
    const { flags, guardId, words } = overlay;
    const buffer = overlay.memory.buffer as SharedArrayBuffer;
    this.#buffer = buffer;
    this.#pages = buffer.byteLength / PAGE_SIZE_BYTES;
    // A copy never counts as up to date, so each catchUp() makes it anew.
    if (this.#isCopy) this.#words = new Int32Array(SIZE_WORD + 1);
    else this.#words = words.buffer === buffer ? words : new Int32Array(buffer);
    watch(this.#token, buffer, { backing, flags, guardId, pinnedAddress: isPinned ? fixedAddress : 0 });
  }

  /**
   * Creates a segment. With no name: a file in a fresh private directory (see `name`).
   *
   * @throws ERR_SHOAL_EXISTS, ERR_SHOAL_NAME, ERR_SHOAL_SIZE, ERR_SHOAL_SPAN, ERR_SHOAL_NO_SPACE,
   *   ERR_SHOAL_NO_ADDRESS, ERR_SHOAL_PERMISSION, ERR_SHOAL_ARGUMENT, ERR_SHOAL_SYSTEM
   */
  static create(name?: string, options: CreateOptions = {}): Region {
    return Region.over(createSession(name, options, PLAIN));
  }

  /**
   * Opens a segment, and recovers participants that have died.
   *
   * @throws ERR_SHOAL_NOT_FOUND, ERR_SHOAL_EMPTY, ERR_SHOAL_NOT_SHOAL, ERR_SHOAL_FORMAT, ERR_SHOAL_SIZE_MISMATCH,
   *   ERR_SHOAL_NOT_READY, ERR_SHOAL_RETIRED, ERR_SHOAL_OWNER, ERR_SHOAL_PERMISSION, ERR_SHOAL_ADDRESS_TAKEN,
   *   ERR_SHOAL_PARTICIPANTS_FULL, ERR_SHOAL_NAME, ERR_SHOAL_ARGUMENT, ERR_SHOAL_SYSTEM
   */
  static open(name: string, options: OpenOptions = {}): Region {
    return Region.over(openSession(name, options, undefined));
  }

  /** Opens the segment, or creates it; of several that do so at once, exactly one creates (`created`). */
  static openOrCreate(name: string, options: CreateOptions & OpenOptions = {}): Region {
    return Region.over(openOrCreateSession(name, options, undefined, PLAIN));
  }

  /** Opens, or creates, a segment without a header: a C program's or Python's. */
  static openRaw(name: string, options: RawOptions = {}): RawRegion {
    return openRaw(name, options);
  }

  /** The segments of a backend that this user may read. */
  static list(options: ListOptions = {}): RegionSummary[] {
    return listRegions(options);
  }

  /**
   * Removes a segment's name (and the private directory that was made for it) without taking part in it. Works on
   * damaged and foreign objects too.
   *
   * @throws ERR_SHOAL_NOT_FOUND, ERR_SHOAL_PERMISSION
   */
  static unlink(name: string, options: { readonly backend?: BackendName } = {}): void {
    const backing = backendOf(options.backend).open(name, true);
    try {
      const bytes = new Uint8Array(HEADER_SIZE_BYTES);
      const isPrivate = backing.backend === "file" && ownsDirectory(bytes, backing.read(bytes));
      backing.unlink();
      if (isPrivate) removePrivateDirectory(backing.name);
    } finally {
      backing.close();
    }
  }

  /** For Heap: a region over a session that was made for it. @internal */
  static over(session: Session): Region {
    return new Region(session);
  }

  /** What opens the segment again: its name, path or key. */
  get name(): string {
    return this.#session.backing.name;
  }

  get backend(): BackendName {
    return this.#session.backing.backend;
  }

  get uuid(): string {
    return formatUuid(this.#session.uuid);
  }

  /** Whether this opening created the segment. */
  get created(): boolean {
    return this.#session.isCreator;
  }

  get readOnly(): boolean {
    return this.#session.slotIndex < 0;
  }

  /** Index of this participant's slot; -1 when read-only. */
  get slotIndex(): number {
    return this.#session.slotIndex;
  }

  /** Address of the segment's first byte in every process; 0 when it has none. */
  get fixedAddress(): number {
    return this.#session.fixedAddress;
  }

  /** A reader of a System V segment has a copy: the kernel cannot map one copy-on-write. */
  get #isCopy(): boolean {
    return this.readOnly && this.backend === "sysv";
  }

  /** The descriptor that may be handed on to other processes ("anonymous"); -1 for other backends. */
  get fd(): number {
    return this.#session.backing.sharedFd;
  }

  /** The whole segment as far as this participant has caught up. Growth makes a longer one; old views stay valid. */
  get buffer(): SharedArrayBuffer {
    return this.#buffer;
  }

  /** The memory itself, a WebAssembly.Memory, for other WebAssembly modules to import. */
  get memory(): SharedMemory {
    return this.#session.overlay.memory;
  }

  /** Where the caller's data starts in `buffer`, in bytes. */
  get dataOffset(): number {
    return this.#session.geometry.dataOffset;
  }

  /** Bytes of data that this participant can reach. */
  get sizeBytes(): number {
    return this.segmentSizeBytes - this.dataOffset;
  }

  /** Bytes of the segment, Shoal's own included, that this participant can reach. */
  get segmentSizeBytes(): number {
    return this.#pages * PAGE_SIZE_BYTES;
  }

  /** What the segment can grow to, Shoal's own bytes included. */
  get spanBytes(): number {
    return this.#session.geometry.spanPages * PAGE_SIZE_BYTES;
  }

  /** What `grow()` adds; 0 = as much as there is. */
  get growStepBytes(): number {
    return this.#session.geometry.growStepPages * PAGE_SIZE_BYTES;
  }

  /** How many participants have died and been recovered. */
  get recoveries(): number {
    this.check();
    return this.#guarded("recoveries", () => surveyOf(this.#session).recoveries() >>> 0);
  }

  /** How often the segment has grown. */
  get growths(): number {
    this.check();
    return this.#guarded("growths", () => surveyOf(this.#session).growths() >>> 0);
  }

  /** Whether a participant has removed the segment: it works on, but nobody new will find it. */
  get retired(): boolean {
    this.check();
    return this.#guarded("retired", () => surveyOf(this.#session).segmentState() === STATE_RETIRED);
  }

  get closed(): boolean {
    return (this.#flags[0]! & ~FLAG_DAMAGED) !== 0;
  }

  #guarded<T>(call: string, step: () => T): T {
    return guarded(call, this.#session.overlay.core, step);
  }

  /** Throws ERR_SHOAL_CLOSED or ERR_SHOAL_DAMAGED unless the region can be used. */
  check(): void {
    if (this.#flags[0] !== 0) throw this.#unusable();
  }

  #unusable(): Error {
    const { name } = this.#session.backing;
    if (this.closed) return shoalError("ERR_SHOAL_CLOSED", `${name} was closed by this thread`, { name });
    return shoalError(
      "ERR_SHOAL_DAMAGED",
      `${name} was truncated underneath this process; the lost pages read as zeros here: close it, remove it, and make it anew`,
      { name },
    );
  }

  /**
   * A view of the data.
   *
   * @param offset into the data area, default 0
   * @param lengthBytes default: all from `offset` on
   * @throws ERR_SHOAL_ARGUMENT when the range is not all inside what this participant can reach
   */
  bytes(offset = 0, lengthBytes = this.sizeBytes - offset): Uint8Array {
    this.check();
    this.#checkRange(offset, lengthBytes, 1);
    return new Uint8Array(this.buffer, this.dataOffset + offset, lengthBytes);
  }

  /** A view of `count` 32-bit words from `offset` (a multiple of 4) of the data area on; for Atomics and futexes. */
  words(offset: number, count: number): Int32Array {
    this.check();
    this.#checkRange(offset, count * 4, 4);
    return new Int32Array(this.buffer, this.dataOffset + offset, count);
  }

  #checkRange(offset: number, lengthBytes: number, unit: number): void {
    const { sizeBytes } = this;
    const isInside =
      Number.isInteger(offset) &&
      Number.isInteger(lengthBytes) &&
      offset >= 0 &&
      lengthBytes >= 0 &&
      offset % unit === 0 &&
      lengthBytes % unit === 0 &&
      offset + lengthBytes <= sizeBytes;
    if (isInside) return;
    throw shoalError(
      "ERR_SHOAL_ARGUMENT",
      `${lengthBytes} bytes from offset ${offset} are not in the ${sizeBytes} bytes of data (offsets are multiples of ${unit}); grow() or catchUp() first`,
      { offset, lengthBytes, sizeBytes, unit },
    );
  }

  /**
   * Makes the data area at least this large for everybody. If another participant has made it large enough, that
   * is taken over and nothing grows.
   *
   * @param sizeBytes bytes of data; default: the growth step more, or twice as many, as far as the span allows
   * @returns the size there is now
   * @throws ERR_SHOAL_SPAN, ERR_SHOAL_NO_SPACE, ERR_SHOAL_SIZE, ERR_SHOAL_READ_ONLY
   */
  grow(sizeBytes?: number): number {
    this.check();
    this.#checkWritable("grow");
    const { geometry } = this.#session;
    this.#guarded("grow", () =>
      this.growToPages(sizeBytes === undefined ? this.#nextPages() : this.#pagesFor(sizeBytes)),
    );
    return this.segmentSizeBytes - geometry.dataOffset;
  }

  #nextPages(): number {
    const { spanPages, growStepPages, dataOffset } = this.#session.geometry;
    this.catchUp();
    if (this.#pages === spanPages) throw this.#beyondSpan(this.sizeBytes + 1);
    const step = growStepPages > 0 ? growStepPages : Math.ceil(this.#pages - dataOffset / PAGE_SIZE_BYTES);
    return Math.min(this.#pages + Math.max(step, 1), spanPages);
  }

  #pagesFor(sizeBytes: number): number {
    const { spanPages, dataOffset } = this.#session.geometry;
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 1) {
      throw shoalError(
        "ERR_SHOAL_SIZE",
        `a size is a whole number of bytes, 1 or more, not ${String(sizeBytes)}`,
        {
          value: String(sizeBytes),
        },
      );
    }
    const pages = Math.ceil((dataOffset + sizeBytes) / PAGE_SIZE_BYTES);
    if (pages > spanPages) throw this.#beyondSpan(sizeBytes);
    return pages;
  }

  #beyondSpan(sizeBytes: number): Error {
    const { spanBytes, dataOffset } = this;
    return shoalError(
      "ERR_SHOAL_SPAN",
      `${sizeBytes} bytes of data are beyond the span of ${this.name}: ${spanBytes} bytes, ${spanBytes - dataOffset} of them for data`,
      { sizeBytes, spanBytes, mostBytes: spanBytes - dataOffset },
    );
  }

  /** Grows the segment to at least `pages` pages, or catches up if it has them. For Heap. @internal */
  growToPages(pages: number): void {
    const { overlay, backing, geometry } = this.#session;
    const published = overlay.core.sizePages() >>> 0;
    // Storage first, then the size: nobody ever sees a page that has none. Dying in between harms nobody.
    if (published < pages) {
      backing.reserve(storageRanges(geometry, published, pages));
      overlay.core.publishSize(pages);
    }
    this.catchUp();
  }

  /**
   * Takes over what others have grown. About a nanosecond when nothing has changed.
   *
   * @returns true when the segment had grown: `buffer` and `sizeBytes` are new
   */
  catchUp(): boolean {
    // A plain read of the published size, here and not in the core, to save the call. SYNC with publishSize: a size
    // that is seen has its storage; one that is not seen yet is seen next time.
    if (this.#flags[0] === 0 && this.#words[SIZE_WORD] === this.#pages) return false;
    return this.#catchUpSlowly();
  }

  #catchUpSlowly(): boolean {
    this.check();
    const { overlay, backing, seat } = this.#session;
    if (this.#isCopy) {
      backing.read(new Uint8Array(this.#buffer));
      return false;
    }
    seat.catchUp();
    const buffer = overlay.memory.buffer as SharedArrayBuffer;
    const pages = buffer.byteLength / PAGE_SIZE_BYTES;
    // Recovery may have caught up meanwhile, so what counts is what this object knew.
    if (pages === this.#pages) return false;
    this.#pages = pages;
    tie(buffer, this.#token);
    this.#buffer = buffer;
    this.#words = new Int32Array(buffer);
    return true;
  }

  /** Who has the segment open for writing, the dead that nobody has recovered yet included. */
  participants(): ParticipantInfo[] {
    this.check();
    return this.#guarded("participants", () =>
      listParticipants(this.#session.seat, surveyOf(this.#session), this.#session.slotIndex),
    );
  }

  /** Recovers participants that have died: what they held is given back. Returns how many there were. */
  recover(): number {
    this.check();
    this.#checkWritable("recover");
    this.catchUp();
    return this.#guarded("recover", () => recoverDead(this.#session.seat, this.#session.slotIndex));
  }

  #checkWritable(call: string): void {
    if (this.#session.slotIndex >= 0) return;
    throw shoalError("ERR_SHOAL_READ_ONLY", `${call}: ${this.name} was opened read-only`, {
      name: this.name,
    });
  }

  /** What a heap needs of its region. @internal */
  get session(): Session {
    return this.#session;
  }

  /** For what only looks: stats, verify, inspection. @internal */
  get survey(): Survey {
    return surveyOf(this.#session);
  }

  /** Leaves the segment. Views read zeros from now on, other calls throw ERR_SHOAL_CLOSED. Again: harmless. */
  close(): void {
    unwatch(this.#token);
    endSession(this.#session);
  }

  /**
   * Removes the name: nobody new can open the segment; those who have it keep it.
   *
   * @throws ERR_SHOAL_NOT_FOUND (removed already), ERR_SHOAL_PERMISSION, ERR_SHOAL_READ_ONLY, ERR_SHOAL_CLOSED
   */
  unlink(): void {
    if (this.closed) throw this.#unusable();
    this.#checkWritable("unlink");
    const { overlay, backing } = this.#session;
    // Somebody may have removed the name and made another segment under it: that one is not ours to remove.
    if (!backing.isNamed()) {
      throw shoalError("ERR_SHOAL_NOT_FOUND", `${this.name} does not lead to this segment any more`, {
        name: this.name,
      });
    }
    // In this order: a name that leads to a retired segment would be somebody else's to clear away, and to give anew.
    backing.unlink();
    if ((this.#flags[0]! & FLAG_DAMAGED) === 0) overlay.core.setSegmentState(STATE_RETIRED);
  }

  /** Removes the name, the private directory that was made for it, and closes. */
  remove(): void {
    if (this.closed) return;
    const { backing, hasPrivateDirectory } = this.#session;
    try {
      this.unlink();
      if (hasPrivateDirectory) removePrivateDirectory(backing.name);
    } finally {
      this.close();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
