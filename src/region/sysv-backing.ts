/**
 * Backings that are System V segments: of fixed size, named by a key (or only an id), with no file.
 *
 * Liveness locks need a file, so each segment has a companion, empty, in /dev/shm, named after the key or the id. It is
 * created and locked before the segment, and its inode is recorded in the header: an opener that finds another file
 * under that name (somebody removed the segment and made a new one meanwhile) is refused.
 */

import { unlinkSync } from "node:fs";
import { ShoalError, shoalError } from "../errors.ts";
import { BACKEND_SYSV, H_FORMAT, H_MAGIC, MAGIC_HIGH, MAGIC_LOW, PAGE_SIZE_BYTES } from "../layout/header.ts";
import { checkResult } from "../os/errno.ts";
import { close, fstat, IPC_PRIVATE, open, shmat, shmget, shmRemove, shmStat } from "../os/index.ts";
import { native } from "../os/native.ts";
import type { Backend, Backing } from "./backing.ts";
import { setMode } from "./file-backing.ts";

const { constants } = native;

/** A key (0x…, decimal) or the id of a private segment ("id:17"). */
type SysvName = { readonly key: number } | { readonly id: number };

function parseName(name: string): SysvName {
  const id = /^id:(\d{1,10})$/.exec(name)?.[1];
  if (id !== undefined) return { id: Number(id) };
  const key = /^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(name) ? Number(name) : Number.NaN;
  if (key >= 1 && key <= 0xffffffff) return { key };
  throw shoalError(
    "ERR_SHOAL_NAME",
    `a System V segment's name is its key, "0x1" to "0xffffffff" or the same in decimal, or "id:N"; not ${JSON.stringify(name)}`,
    { name },
  );
}

function showName(name: SysvName): string {
  return "key" in name ? `0x${name.key.toString(16)}` : `id:${name.id}`;
}

function lockPath(name: SysvName): string {
  return `/dev/shm/shoal-sysv-${"key" in name ? `key-${name.key.toString(16)}` : `id-${name.id}`}.lock`;
}

function removeLockFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (cause) {
    // Gone already is what was wanted; anything else the caller should hear of.
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return;
    throw shoalError("ERR_SHOAL_PERMISSION", `cannot remove the lock file ${path}`, { path }, cause);
  }
}

function makeSysvBacking(name: SysvName, id: number, lockFd: number): Backing {
  const shown = showName(name);
  let isOpen = true;
  return {
    backend: "sysv",
    name: shown,
    lockFd,
    sharedFd: -1,
    status() {
      const { sizeBytes, uid, mode } = shmStat(id);
      return { sizeBytes, ownerUid: uid, mode: mode & 0o777 };
    },
    read: (into) => copyOut(id, into),
    map(address, _offset, spanBytes, readOnly) {
      if (readOnly) return mapCopy(id, address, spanBytes);
      checkResult(native.shmat(id, address, constants.SHM_REMAP), "shmat", { id, spanBytes });
    },
    pin: (address, spanBytes) => native.pinAcquireSysv(address, spanBytes, id),
    sign: (signature) => signSegment(id, signature),
    reserve(ranges) {
      const { sizeBytes } = shmStat(id);
      const needed = Math.max(...ranges.map(({ offset, lengthBytes }) => offset + lengthBytes));
      if (needed <= sizeBytes) return;
      throw shoalError(
        "ERR_SHOAL_SPAN",
        `a System V segment of ${sizeBytes} bytes cannot grow to ${needed}`,
        {
          sizeBytes,
          neededBytes: needed,
        },
      );
    },
    cut() {},
    isNamed: () => isNamed(name, id, lockFd),
    isRemoved: () => !isNamed(name, id, lockFd),
    unlink() {
      shmRemove(id);
      removeLockFile(lockPath(name));
    },
    close() {
      if (!isOpen) return;
      isOpen = false;
      close(lockFd);
    },
  };
}

/** The kernel cannot map a System V segment copy-on-write: a read-only opener gets a copy of it as it is now. */
function mapCopy(id: number, address: number, spanBytes: number): void {
  const flags =
    constants.MAP_PRIVATE | constants.MAP_ANONYMOUS | constants.MAP_FIXED | constants.MAP_NORESERVE;
  const access = constants.PROT_READ | constants.PROT_WRITE;
  checkResult(native.mmap(address, spanBytes, access, flags, -1, 0), "mmap", { id, spanBytes });
  const target = native.externalBuffer(address, spanBytes);
  if (typeof target === "number")
    throw shoalError("ERR_SHOAL_UNSUPPORTED", "this runtime has no external buffers");
  copyOut(id, new Uint8Array(target));
  native.detach(target);
}

/** The magic last: what has none and is otherwise blank is a segment whose creator is at work, or has died. */
function signSegment(id: number, signature: Uint8Array): void {
  using attachment = shmat(id);
  const segment = new Uint8Array(attachment.buffer, 0, signature.length);
  segment.set(signature.subarray(H_FORMAT), H_FORMAT);
  const words = new Int32Array(attachment.buffer, H_MAGIC, 2);
  Atomics.store(words, 1, MAGIC_HIGH);
  Atomics.store(words, 0, MAGIC_LOW);
}

function copyOut(id: number, into: Uint8Array): number {
  using attachment = shmat(id, { readOnly: true });
  const lengthBytes = Math.min(into.length, attachment.lengthBytes);
  into.set(new Uint8Array(attachment.buffer, 0, lengthBytes));
  return lengthBytes;
}

function isKeyTaken(key: number): boolean {
  try {
    shmget(key);
    return true;
  } catch {
    return false; // not there; whatever else is wrong, creating it will say
  }
}

function openLock(path: string, readOnly: boolean): number {
  try {
    return open(path, { access: readOnly ? "read" : "read-write" });
  } catch (cause) {
    if (!(cause instanceof ShoalError) || cause.code !== "ERR_SHOAL_NOT_FOUND") throw cause;
    const message = `there is no lock file ${path}: the System V segment is not Shoal's, or is being removed; open it raw`;
    throw shoalError("ERR_SHOAL_NOT_SHOAL", message, { path }, cause);
  }
}

function isNamed(name: SysvName, id: number, lockFd: number): boolean {
  try {
    // Without its lock file's name nobody can open it either.
    if (fstat(lockFd).linkCount === 0) return false;
    if ("key" in name) return shmget(name.key) === id;
    shmStat(id);
    return true;
  } catch {
    return false; // removed, or not ours to look at: the name does not lead here
  }
}

export const sysvBackend: Backend = {
  name: "sysv",
  code: BACKEND_SYSV,
  create(name, sizeBytes, mode) {
    const rounded = Math.ceil(sizeBytes / PAGE_SIZE_BYTES) * PAGE_SIZE_BYTES;
    if (name === undefined) return createPrivate(rounded, mode);
    const parsed = parseName(name);
    if (!("key" in parsed)) {
      throw shoalError("ERR_SHOAL_NAME", `a new System V segment is named by a key, not by an id (${name})`, {
        name,
      });
    }
    // Looked for first, so that no lock file is made beside a segment that is not Shoal's.
    if (isKeyTaken(parsed.key)) throw shoalError("ERR_SHOAL_EXISTS", `${showName(parsed)} exists`, { name });
    const lockFd = open(lockPath(parsed), { create: true, mode: mode & 0o666 });
    try {
      setMode(lockFd, mode & 0o666);
      const id = shmget(parsed.key, {
        sizeBytes: rounded,
        create: true,
        exclusive: true,
        mode: mode & 0o777,
      });
      return makeSysvBacking(parsed, id, lockFd);
    } catch (error) {
      close(lockFd);
      throw error;
    }
  },
  open(name, readOnly) {
    const parsed = parseName(name);
    const id = "key" in parsed ? shmget(parsed.key) : parsed.id;
    // A removed segment keeps its id while somebody is attached.
    if (shmStat(id).isRemoved) {
      throw shoalError("ERR_SHOAL_NOT_FOUND", `System V segment ${name} was removed`, { name });
    }
    return makeSysvBacking(parsed, id, openLock(lockPath(parsed), readOnly));
  },
  admit(backing, header) {
    const { inode } = fstat(backing.lockFd);
    if (inode === header.lockInode) return;
    throw shoalError(
      "ERR_SHOAL_SIZE_MISMATCH",
      `the lock file of System V segment ${backing.name} is another one (inode ${inode}) than the segment was made with (${header.lockInode}): the segment was replaced; open it again`,
      { name: backing.name, inode, expectedInode: header.lockInode },
    );
  },
};

function createPrivate(sizeBytes: number, mode: number): Backing {
  const id = shmget(IPC_PRIVATE, { sizeBytes, mode: mode & 0o777 });
  const name = { id };
  try {
    // Ids are used again after a removal: a lock file of that name is a dead segment's.
    removeLockFile(lockPath(name));
    const lockFd = open(lockPath(name), { create: true, exclusive: true, mode: mode & 0o666 });
    setMode(lockFd, mode & 0o666);
    return makeSysvBacking(name, id, lockFd);
  } catch (error) {
    shmRemove(id);
    throw error;
  }
}
