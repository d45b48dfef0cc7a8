/**
 * Opening a segment.
 *
 * Reads the header from a private copy, waits a bounded time while somebody alive is creating the segment, refuses what
 * is not one of this build's segments, then maps it, recovers who has died, and takes a slot.
 *
 * `openOrCreate` also cleans up: a segment whose creator died before `ready`, or that was retired and kept its name, is
 * removed and made anew. Only the holder of the creator's lock removes it, and only while the name leads to the object
 * that was looked at.
 */

import { shoalError } from "../errors.ts";
import type { ShoalError } from "../errors.ts";
import { ALLOCATOR_NONE, H_CREATOR_PID, HEADER_SIZE_BYTES, PAGE_SIZE_BYTES } from "../layout/header.ts";
import { probeLock, tryLock } from "../os/index.ts";
import { native } from "../os/native.ts";
import { backendNameOf, backendOf } from "./backends.ts";
import type { Backend, Backing } from "./backing.ts";
import { createSession } from "./create.ts";
import { openPinned, pinAt } from "./fixed-address.ts";
import { moduleFor } from "./core.ts";
import type { CoreModule } from "./core.ts";
import type { Contents } from "./geometry.ts";
import { checkObjectSize, parseHeader, progressOf } from "./header.ts";
import type { Header, Progress } from "./header.ts";
import { DEFAULT_TIMEOUT_MS, EMPTY_GRACE_MS } from "./options.ts";
import type { CreateOptions, OpenOptions } from "./options.ts";
import { layOver, peel } from "./overlay.ts";
import { CREATOR_BYTE, recoverDead, takeSeat } from "./participants.ts";
import { seatOf } from "./session.ts";
import type { Session } from "./session.ts";

/** Between two looks at a segment that is being created, which takes well below a millisecond. */
const LOOK_INTERVAL_MS = 1;

const sleeper = new Int32Array(new SharedArrayBuffer(4));

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

/** Which allocators' heaps the opener takes, by their ALLOCATOR_ numbers; undefined: any segment, as a region. */
export type Expected = readonly number[] | undefined;

/**
 * Opens a segment that exists.
 *
 * @throws ERR_SHOAL_NOT_FOUND, ERR_SHOAL_EMPTY, ERR_SHOAL_NOT_SHOAL, ERR_SHOAL_FORMAT, ERR_SHOAL_SIZE_MISMATCH,
 *   ERR_SHOAL_NOT_READY, ERR_SHOAL_RETIRED, ERR_SHOAL_OWNER, ERR_SHOAL_PERMISSION, ERR_SHOAL_ADDRESS_TAKEN,
 *   ERR_SHOAL_PARTICIPANTS_FULL, ERR_SHOAL_CORRUPT, ERR_SHOAL_ARGUMENT, ERR_SHOAL_SYSTEM
 */
export function openSession(name: string, options: OpenOptions, expected: Expected): Session {
  return openUnlessLeftover(name, options, expected, () => false) as Session;
}

/**
 * Opens a segment. `remove` is called for one that nobody will make ready any more; when it has removed the object, there
 * is nothing to open.
 */
function openUnlessLeftover(
  name: string,
  options: OpenOptions,
  expected: Expected,
  remove: (backing: Backing) => boolean,
): Session | undefined {
  const backend = backendOf(options.backend);
  const backing = backend.open(name, options.readOnly ?? false, options.fd);
  try {
    const status = backing.status();
    checkOwner(backing.name, status.ownerUid, options);
    const header = awaitReady(backing, checkTimeout(options.timeoutMs), status.sizeBytes);
    checkContents(header, expected, backing.name);
    return attach(backend, backing, header, moduleFor(header.allocator), options.readOnly ?? false);
  } catch (error) {
    try {
      if (LEFTOVER_CODES.some((code) => isCode(error, code)) && remove(backing)) return undefined;
    } finally {
      backing.close();
    }
    throw error;
  }
}

/** What is said of an object that may be one that its creator left unfinished. */
const LEFTOVER_CODES = ["ERR_SHOAL_NOT_READY", "ERR_SHOAL_EMPTY", "ERR_SHOAL_RETIRED"] as const;

function checkTimeout(timeoutMs: number | undefined): number {
  const value = timeoutMs ?? DEFAULT_TIMEOUT_MS;
  if (typeof value === "number" && value >= 0) return value;
  throw shoalError("ERR_SHOAL_ARGUMENT", `timeoutMs must be 0 or more, not ${String(value)}`, {
    what: "timeoutMs",
  });
}

function checkOwner(name: string, ownerUid: number, options: OpenOptions): void {
  const { allowOwners } = options;
  if (allowOwners === "any") return;
  const allowed = allowOwners ?? [process.geteuid?.() ?? 0, 0];
  if (allowed.includes(ownerUid)) return;
  throw shoalError(
    "ERR_SHOAL_OWNER",
    `${name} belongs to user ${ownerUid}; allowed are ${allowed.join(", ")}: name it in allowOwners if you trust it`,
    { name, ownerUid },
  );
}

/** Throws unless the segment holds what its opener takes. */
function checkContents(header: Header, expected: Expected, name: string): void {
  if (expected === undefined || expected.includes(header.allocator)) return;
  const what =
    header.allocator === ALLOCATOR_NONE
      ? "a plain region, without a heap"
      : `a heap with allocator ${header.allocator}`;
  throw shoalError("ERR_SHOAL_FORMAT", `${name} is ${what}; open it as what it is`, {
    name,
    allocator: header.allocator,
    expectedAllocators: expected.join(", "),
  });
}

/** Reads the header into `bytes` and tells how far the object has come. */
function look(backing: Backing, bytes: Uint8Array): { progress: Progress; lengthBytes: number } {
  const lengthBytes = backing.read(bytes);
  return { progress: progressOf(bytes, lengthBytes, backing.backend === "sysv"), lengthBytes };
}

/** Where headers are read to: parsing copies what it keeps. */
const headerBytes = new Uint8Array(HEADER_SIZE_BYTES);

/** Waits until the segment is ready; returns its header. */
function awaitReady(backing: Backing, timeoutMs: number, sizeBytes: number): Header {
  const bytes = headerBytes;
  let started = 0;
  for (;;) {
    // Almost always the first look is enough. After that the creator's lock is looked at before the header: seen free,
    // and the header not ready after that, it has died.
    const isAttended = started !== 0 && probeLock(backing.lockFd, CREATOR_BYTE) !== undefined;
    const { progress, lengthBytes } = look(backing, bytes);
    if (progress === "ready") {
      const header = parseHeader(bytes, backing.name);
      // Looked at again only if it was smaller before: it may have grown since.
      const fits = sizeBytes >= header.sizePages * PAGE_SIZE_BYTES;
      checkObjectSize(header, fits ? sizeBytes : backing.status().sizeBytes, backing.name);
      return header;
    }
    const isFirstLook = started === 0;
    if (isFirstLook) started = performance.now();
    const waitedMs = performance.now() - started;
    const patienceMs = isAttended ? timeoutMs : EMPTY_GRACE_MS;
    const isFinal = progress === "foreign" || progress === "retired";
    if (isFirstLook && !isFinal) continue;
    if (isFinal || waitedMs >= patienceMs) {
      throw notReady(progress, bytes, lengthBytes, backing.name, isAttended, waitedMs);
    }
    Atomics.wait(sleeper, 0, 0, LOOK_INTERVAL_MS);
  }
}

function notReady(
  progress: Progress,
  bytes: Uint8Array,
  lengthBytes: number,
  name: string,
  isAttended: boolean,
  waitedMs: number,
): Error {
  if (progress === "foreign") {
    const what =
      lengthBytes < HEADER_SIZE_BYTES ? `it has only ${lengthBytes} bytes` : "its first bytes are others";
    return shoalError(
      "ERR_SHOAL_NOT_SHOAL",
      `${name} is no Shoal segment: ${what}; open it raw, or check the name`,
      {
        name,
        lengthBytes,
      },
    );
  }
  if (progress === "retired") {
    return shoalError(
      "ERR_SHOAL_RETIRED",
      `${name} was removed by a participant and only its name is left; create it anew`,
      { name },
    );
  }
  if (progress === "empty" && !isAttended) {
    return shoalError(
      "ERR_SHOAL_EMPTY",
      `${name} has size 0 and nobody is initialising it; an empty object cannot be mapped: remove it and create it anew`,
      { name, lengthBytes },
    );
  }
  const pid = lengthBytes === 0 ? 0 : new DataView(bytes.buffer).getUint32(H_CREATOR_PID, true);
  const who = pid === 0 ? "a process that has not yet said who it is" : `process ${pid}`;
  const state = isAttended
    ? "which is alive: wait longer (timeoutMs)"
    : "which has died: remove it, or use openOrCreate";
  return shoalError(
    "ERR_SHOAL_NOT_READY",
    `${name} is still being initialised after ${Math.round(waitedMs)} ms by ${who}, ${state}`,
    { name, creatorPid: pid, creatorAlive: isAttended ? 1 : 0, waitedMs: Math.round(waitedMs) },
  );
}

function attach(
  backend: Backend,
  backing: Backing,
  header: Header,
  module: CoreModule,
  readOnly: boolean,
): Session {
  if (backendNameOf(header.backend) === "sysv" || backend.name === "sysv") backend.admit(backing, header);
  const overlay = layOver(backing, header, module, readOnly);
  const isPinned = header.fixedAddress !== 0 && !readOnly;
  let pinned = 0;
  try {
    const offset = overlay.core.attach() >>> 0;
    if (offset !== 0) {
      throw shoalError(
        "ERR_SHOAL_CORRUPT",
        `the header of ${backing.name} contradicts itself at offset ${offset}`,
        { offset },
      );
    }
    if (isPinned) {
      pinAt(backing, header.fixedAddress, overlay.spanBytes);
      pinned = header.fixedAddress;
      openPinned(pinned, header.sizePages * PAGE_SIZE_BYTES);
    }
    const seat = seatOf(overlay, backing, header, readOnly, pinned);
    // It may have grown since the header was read.
    seat.catchUp();
    if (!readOnly) recoverDead(seat, -1);
    return {
      backing,
      overlay,
      geometry: header,
      seat,
      slotIndex: readOnly ? -1 : takeSeat(seat),
      uuid: header.uuid,
      fixedAddress: header.fixedAddress,
      isPinned,
      hasPrivateDirectory: header.hasPrivateDirectory,
      isCreator: false,
      onEnd: new Set(),
    };
  } catch (error) {
    peel(overlay);
    if (pinned !== 0) native.pinRelease(pinned);
    throw error;
  }
}

/** How often `openOrCreate` may find that the segment came or went in between. */
const MAX_ROUNDS = 100;

/**
 * Opens the segment, or creates it when there is none. Of several processes that do this at once exactly one creates.
 *
 * @throws what openSession and createSession throw, except ERR_SHOAL_NOT_FOUND and ERR_SHOAL_EXISTS
 */
export function openOrCreateSession(
  name: string,
  options: CreateOptions & OpenOptions,
  expected: Expected,
  created: Contents,
): Session {
  if (options.readOnly === true) {
    throw shoalError(
      "ERR_SHOAL_ARGUMENT",
      "openOrCreate cannot be readOnly: what it creates it must write; use open",
      { name },
    );
  }
  for (let round = 1; ; round++) {
    try {
      const session = openUnlessLeftover(name, options, expected, removeLeftover);
      if (session !== undefined) return session;
    } catch (error) {
      if (round === MAX_ROUNDS) throw error;
      if (LEFTOVER_CODES.some((code) => isCode(error, code))) {
        // A creator that is alive and slow is the caller's business. Otherwise somebody else is cleaning up, or has
        // done so and is creating: look again.
        if ((error as ShoalError).details["creatorAlive"] === 1) throw error;
        continue;
      }
      if (!isCode(error, "ERR_SHOAL_NOT_FOUND")) throw error;
    }
    try {
      return createSession(name, options, created);
    } catch (error) {
      if (round === MAX_ROUNDS || !isCode(error, "ERR_SHOAL_EXISTS")) throw error;
    }
  }
}

/**
 * Removes an object that nobody will ever make ready. False when somebody else is at it.
 *
 * The object is the very one that was found to be left: opened anew by its name it might be a new creator's, which has not
 * got its lock yet and looks just as empty. So an empty object is removed only by those who saw it empty for the grace
 * period, which its creator relies on (create.ts, lockNew).
 */
function removeLeftover(backing: Backing): boolean {
  // Holding the creator's lock we are alone with the object; it may have become ready before we got it.
  if (!tryLock(backing.lockFd, CREATOR_BYTE)) return false;
  const { progress } = look(backing, new Uint8Array(HEADER_SIZE_BYTES));
  if (progress === "ready" || progress === "foreign") return false;
  if (backing.isNamed()) backing.unlink();
  return true;
}
