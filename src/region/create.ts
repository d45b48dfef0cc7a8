/**
 * Creating a segment.
 *
 *   1. the object, exclusively: of several creators one goes on, the others get ERR_SHOAL_EXISTS
 *   2. the lock of slot 0, which will be the creator's own: while it is held and the segment is not ready, it is being
 *      initialised by somebody alive
 *   3. the signature: what this will be, and who is at work
 *   4. storage for all of it, so that a full file system is an error here and not a SIGBUS later; the constants
 *   5. the creator in its slot
 *   6. `ready`, the linearisation point: an opener sees all of it or waits
 *
 * A creator that dies before 6 leaves an object that says so; `openOrCreate` replaces it (open.ts). One that fails
 * removes what it made and throws the first error.
 */

import { mkdtempSync, rmdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { shoalError } from "../errors.ts";
import {
  ALLOCATOR_NONE,
  FLAG_PRIVATE_DIRECTORY,
  H_FIXED_ADDRESS,
  H_FLAGS,
  H_LOCK_INODE,
  H_MAX_SHIFT,
  H_MIN_SHIFT,
  H_SIDE_BYTES,
  H_SIDE_OFFSET,
  H_UUID,
  PAGE_SIZE_BYTES,
  STATE_READY,
} from "../layout/header.ts";
import { checkResult } from "../os/errno.ts";
import { fstat, tryLock } from "../os/index.ts";
import { native } from "../os/native.ts";
import { backendOf } from "./backends.ts";
import type { Backend, Backing } from "./backing.ts";
import { openPinned, pinAnywhere } from "./fixed-address.ts";
import { moduleFor } from "./core.ts";
import { planGeometry, storageRanges } from "./geometry.ts";
import type { Contents, Geometry } from "./geometry.ts";
import { signatureOf } from "./header.ts";
import { DEFAULT_MODE, EMPTY_GRACE_MS } from "./options.ts";
import type { CreateOptions } from "./options.ts";
import { layOver, peel } from "./overlay.ts";
import type { Overlay } from "./overlay.ts";
import { CREATOR_BYTE, CREATOR_SLOT, processStartTicks, sitDown } from "./participants.ts";
import { seatOf } from "./session.ts";
import type { Session } from "./session.ts";

const DEFAULT_TEMPLATE = "/dev/shm/shoal-XXXXXX";

function checkMode(mode: number): number {
  if (Number.isInteger(mode) && mode >= 0 && mode <= 0o777) return mode;
  throw shoalError("ERR_SHOAL_ARGUMENT", `mode must be permission bits, 0 to 0o777, not ${String(mode)}`, {
    what: "mode",
    value: String(mode),
  });
}

/** A fresh directory that only this user may enter, with the segment's path in it. */
function makePrivatePath(template: string): string {
  if (!template.endsWith("XXXXXX")) {
    throw shoalError("ERR_SHOAL_NAME", `template must end in XXXXXX, not ${JSON.stringify(template)}`, {
      template,
    });
  }
  try {
    return join(mkdtempSync(template.slice(0, -6)), "segment");
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? "unknown reason";
    const known = code === "ENOENT" ? "ERR_SHOAL_NOT_FOUND" : "ERR_SHOAL_PERMISSION";
    throw shoalError(
      known,
      `cannot make a directory from ${template}: ${code}`,
      { template, errno: code },
      cause,
    );
  }
}

/** Removes the directory that was made for a segment's file, unless somebody keeps something else in it. */
export function removePrivateDirectory(path: string): void {
  try {
    rmdirSync(dirname(path));
  } catch (cause) {
    const errno = (cause as NodeJS.ErrnoException).code ?? "unknown reason";
    if (errno === "ENOTEMPTY" || errno === "ENOENT") return;
    throw shoalError(
      "ERR_SHOAL_PERMISSION",
      `cannot remove ${dirname(path)}: ${errno}`,
      { path, errno },
      cause,
    );
  }
}

/**
 * Creates a segment and becomes its first participant.
 *
 * @throws ERR_SHOAL_EXISTS, ERR_SHOAL_NAME, ERR_SHOAL_SIZE, ERR_SHOAL_SPAN, ERR_SHOAL_NO_SPACE, ERR_SHOAL_NO_ADDRESS,
 *   ERR_SHOAL_PERMISSION, ERR_SHOAL_ARGUMENT, ERR_SHOAL_SYSTEM
 */
export function createSession(name: string | undefined, options: CreateOptions, contents: Contents): Session {
  const isPrivate = name === undefined && (options.backend === undefined || options.backend === "file");
  if (options.template !== undefined && !isPrivate) {
    throw shoalError("ERR_SHOAL_ARGUMENT", "template is for file segments without a name", {
      name: name ?? "",
    });
  }
  const backend = backendOf(isPrivate ? "file" : options.backend);
  const mode = checkMode(options.mode ?? DEFAULT_MODE);
  const geometry = planGeometry(options, contents);
  const path = isPrivate ? makePrivatePath(options.template ?? DEFAULT_TEMPLATE) : name;
  let backing: Backing | undefined;
  try {
    const startedMs = performance.now();
    backing = lockNew(backend.create(path, geometry.sizePages * PAGE_SIZE_BYTES, mode), startedMs);
    return initialise(backend, backing, geometry, options, isPrivate);
  } catch (error) {
    undo(backing, isPrivate ? path : undefined);
    throw error;
  }
}

/**
 * Locks a new object for its creator; from then on an opener waits. One that came before may have taken the empty object
 * for abandoned: then it has the lock, or has removed the object, and it alone removes it. (Only the lock's holder removes
 * what is not ready, so that nobody removes what somebody else has made under the name since.)
 */
function lockNew(backing: Backing, startedMs: number): Backing {
  if (tryLock(backing.lockFd, CREATOR_BYTE)) {
    // Who might remove it has to see it empty for the grace period first: before that there is no need to look.
    if (performance.now() - startedMs < EMPTY_GRACE_MS || !backing.isRemoved()) return backing;
  }
  backing.close();
  const { name } = backing;
  throw shoalError("ERR_SHOAL_EXISTS", `${name} was removed by another creator before it was locked`, {
    name,
  });
}

/** Removes what a failed creation has made. Its own failures do not hide the first error. */
function undo(backing: Backing | undefined, privatePath: string | undefined): void {
  const steps = [
    // The name may lead to somebody else's segment by now.
    () => backing?.isNamed() === true && backing.unlink(),
    () => backing?.close(),
    () => privatePath !== undefined && removePrivateDirectory(privatePath),
  ];
  for (const step of steps) {
    try {
      step();
    } catch {
      // The first error is on its way to the caller; there is nobody to tell of a second one.
    }
  }
}

function initialise(
  backend: Backend,
  backing: Backing,
  geometry: Geometry,
  options: CreateOptions,
  isPrivate: boolean,
): Session {
  backing.sign(signatureOf(process.pid, processStartTicks()));
  backing.reserve(storageRanges(geometry, 0, geometry.sizePages));
  const overlay = layOver(backing, geometry, moduleFor(geometry.allocator), false);
  let pinnedAddress = 0;
  try {
    if (options.fixedAddress !== undefined && options.fixedAddress !== false) {
      const search = options.fixedAddress === true ? {} : options.fixedAddress;
      pinnedAddress = pinAnywhere(backing, overlay.spanBytes, search);
      openPinned(pinnedAddress, geometry.sizePages * PAGE_SIZE_BYTES);
    }
    const uuid = describe(backend, backing, overlay, geometry, pinnedAddress, isPrivate);
    const seat = seatOf(overlay, backing, geometry, false, pinnedAddress);
    sitDown(seat, CREATOR_SLOT);
    overlay.core.setSegmentState(STATE_READY);
    return {
      backing,
      overlay,
      geometry,
      seat,
      slotIndex: CREATOR_SLOT,
      uuid,
      fixedAddress: pinnedAddress,
      isPinned: pinnedAddress !== 0,
      hasPrivateDirectory: isPrivate,
      isCreator: true,
      onEnd: new Set(),
    };
  } catch (error) {
    peel(overlay);
    if (pinnedAddress !== 0) native.pinRelease(pinnedAddress);
    throw error;
  }
}

/** Writes the header's constants; returns the uuid's bytes. Nobody else reads them before `ready`. */
function describe(
  backend: Backend,
  backing: Backing,
  overlay: Overlay,
  geometry: Geometry,
  fixedAddress: number,
  isPrivate: boolean,
): Uint8Array {
  const { core, memory } = overlay;
  core.describeSegment(
    backend.code,
    geometry.allocator,
    geometry.spanPages,
    geometry.growStepPages,
    geometry.slotCount,
    geometry.slotsOffset,
    geometry.rootCount,
    geometry.rootsOffset,
    geometry.tableOffset,
    geometry.tableBytesPerPage,
    geometry.dataOffset,
  );
  const view = new DataView(memory.buffer);
  const uuid = new Uint8Array(memory.buffer, H_UUID, 16);
  const random = randomUuid();
  uuid.set(random);
  view.setUint32(H_FLAGS, isPrivate ? FLAG_PRIVATE_DIRECTORY : 0, true);
  view.setFloat64(H_FIXED_ADDRESS, fixedAddress, true);
  if (geometry.allocator !== ALLOCATOR_NONE) {
    view.setUint32(H_SIDE_OFFSET, geometry.sideOffset, true);
    view.setUint32(H_SIDE_BYTES, geometry.sideBytes, true);
    view.setUint32(H_MIN_SHIFT, geometry.minShift, true);
    view.setUint32(H_MAX_SHIFT, geometry.maxShift, true);
  }
  if (backend.name === "sysv") view.setFloat64(H_LOCK_INODE, fstat(backing.lockFd).inode, true);
  core.publishSize(geometry.sizePages);
  if (core.attach() !== 0)
    throw shoalError("ERR_SHOAL_CORRUPT", "the new segment's header contradicts itself");
  return random;
}

const UUID_BYTES = 16;
const randomPool = new Uint8Array(16 * UUID_BYTES);
let randomUsedBytes = randomPool.length;

/**
 * A random UUID (RFC 9562 version 4), from the kernel's randomness, sixteen at a time: loading node:crypto for sixteen bytes
 * would cost more than all the rest of a creation.
 */
function randomUuid(): Uint8Array {
  if (randomUsedBytes === randomPool.length) {
    checkResult(native.getrandom(randomPool), "getrandom");
    randomUsedBytes = 0;
  }
  const bytes = randomPool.slice(randomUsedBytes, randomUsedBytes + UUID_BYTES);
  randomUsedBytes += UUID_BYTES;
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes;
}
