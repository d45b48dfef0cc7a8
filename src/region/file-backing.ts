/**
 * Backings that are files: POSIX shared memory objects, files at any path, memory files handed on by descriptor.
 *
 * Each participant has an open file description of its own, made by opening the object again, never by duplicating a
 * descriptor: the locks that tell who is alive belong to the description and end with it. The descriptor of a memory
 * file that is handed on is a separate one and holds no lock, so a child that inherits it keeps nobody alive.
 */

import { statSync, unlinkSync } from "node:fs";
import { resolve } from "node:path";
import { shoalError } from "../errors.ts";
import { BACKEND_ANONYMOUS, BACKEND_FILE, BACKEND_POSIX } from "../layout/header.ts";
import { checkResult } from "../os/errno.ts";
import { close, fallocate, fstat, ftruncate, memfdCreate, open, shmOpen, shmUnlink } from "../os/index.ts";
import type { FileStatus } from "../os/index.ts";
import { native } from "../os/native.ts";
import type { Backend, Backing } from "./backing.ts";
import type { BackendName } from "./options.ts";

const { constants } = native;

interface FileBackingParts {
  readonly backend: BackendName;
  readonly name: string;
  readonly fd: number;
  readonly sharedFd: number;
  /** Opens the name anew, to see where it leads. */
  reopen(): number;
  unlink(): void;
}

function makeFileBacking(parts: FileBackingParts): Backing {
  const { backend, name, fd, sharedFd } = parts;
  let isOpen = true;
  return {
    backend,
    name,
    lockFd: fd,
    sharedFd,
    status() {
      const { sizeBytes, uid, mode } = fstat(fd);
      return { sizeBytes, ownerUid: uid, mode: mode & 0o7777 };
    },
    read: (into) => checkResult(native.pread(fd, into, 0), "pread", { fd, lengthBytes: into.length }),
    map(address, offset, lengthBytes, readOnly) {
      const share = readOnly ? constants.MAP_PRIVATE : constants.MAP_SHARED;
      const flags = share | constants.MAP_FIXED | constants.MAP_NORESERVE;
      const result = native.mmap(address, lengthBytes, constants.PROT_NONE, flags, fd, offset);
      checkResult(result, "mmap", { name, offset, lengthBytes });
    },
    pin(address, spanBytes) {
      const { device, inode } = fstat(fd);
      return native.pinAcquire(address, spanBytes, fd, device, inode);
    },
    sign(signature) {
      const written = checkResult(native.pwrite(fd, signature, 0), "pwrite", { name });
      if (written === signature.length) return;
      throw shoalError("ERR_SHOAL_NO_SPACE", `only ${written} bytes of the header of ${name} found room`, {
        written,
      });
    },
    reserve(ranges) {
      for (const { offset, lengthBytes } of ranges) {
        if (lengthBytes > 0) fallocate(fd, offset, lengthBytes);
      }
    },
    cut: (lengthBytes) => ftruncate(fd, lengthBytes),
    isNamed: () => isSameFile(fd, parts.reopen),
    // A memory file never had a link.
    isRemoved: () => sharedFd < 0 && fstat(fd).linkCount === 0,
    unlink: parts.unlink,
    close() {
      if (!isOpen) return;
      isOpen = false;
      close(fd);
      if (sharedFd >= 0) close(sharedFd);
    },
  };
}

function isSameFile(fd: number, reopen: () => number): boolean {
  let other: number;
  try {
    other = reopen();
  } catch {
    return false; // no such name any more, or not for us: it does not lead here
  }
  const [a, b]: FileStatus[] = [fstat(fd), fstat(other)];
  close(other);
  return a?.device === b?.device && a?.inode === b?.inode;
}

/** A new object's permission bits are the ones asked for, whatever the umask. */
export function setMode(fd: number, mode: number): void {
  checkResult(native.fchmod(fd, mode), "fchmod", { fd, mode: `0o${mode.toString(8)}` });
}

/** Closes `fd` again when what follows its opening fails. */
function guarded<T>(fd: number, next: () => T): T {
  try {
    return next();
  } catch (error) {
    close(fd);
    throw error;
  }
}

function requireName(name: string | undefined, what: string): string {
  if (typeof name === "string" && name !== "") return name;
  throw shoalError("ERR_SHOAL_NAME", `${what} needs a name that is not empty, not ${JSON.stringify(name)}`);
}

/** Names may be given with or without the leading slash; any other slash is refused by shm_open's rules. */
function posixName(name: string | undefined): string {
  const given = requireName(name, "a POSIX segment");
  return given.startsWith("/") ? given : `/${given}`;
}

function posixBacking(name: string, fd: number): Backing {
  return makeFileBacking({
    backend: "posix",
    name,
    fd,
    sharedFd: -1,
    reopen: () => shmOpen(name, { access: "read" }),
    unlink: () => shmUnlink(name),
  });
}

export const posixBackend: Backend = {
  name: "posix",
  code: BACKEND_POSIX,
  create(name, _sizeBytes, mode) {
    const checked = posixName(name);
    const fd = shmOpen(checked, { create: true, exclusive: true, mode });
    return guarded(fd, () => {
      setMode(fd, mode);
      return posixBacking(checked, fd);
    });
  },
  open(name, readOnly) {
    const checked = posixName(name);
    return posixBacking(checked, shmOpen(checked, { access: readOnly ? "read" : "read-write" }));
  },
  admit() {},
};

/** Looked at before it is opened: opening a pipe waits for its writer. */
function requireRegular(path: string): void {
  let isOther = false;
  try {
    isOther = !statSync(path).isFile();
  } catch {
    return; // nothing there, or not to be looked at: opening it says why
  }
  if (isOther) throw shoalError("ERR_SHOAL_NOT_SHOAL", `${path} is no regular file`, { name: path });
}

function fileBacking(path: string, fd: number): Backing {
  return makeFileBacking({
    backend: "file",
    name: path,
    fd,
    sharedFd: -1,
    reopen: () => open(path, { access: "read" }),
    unlink() {
      try {
        unlinkSync(path);
      } catch (cause) {
        const code = (cause as NodeJS.ErrnoException).code;
        const known = code === "ENOENT" ? "ERR_SHOAL_NOT_FOUND" : "ERR_SHOAL_PERMISSION";
        throw shoalError(
          known,
          `cannot remove ${path}: ${code ?? "unknown reason"}`,
          { path, errno: code ?? "" },
          cause,
        );
      }
    },
  });
}

export const fileBackend: Backend = {
  name: "file",
  code: BACKEND_FILE,
  create(name, _sizeBytes, mode) {
    const path = resolve(requireName(name, "a file segment"));
    const fd = open(path, { create: true, exclusive: true, mode });
    return guarded(fd, () => {
      setMode(fd, mode);
      return fileBacking(path, fd);
    });
  },
  open(name, readOnly) {
    const path = resolve(requireName(name, "a file segment"));
    requireRegular(path);
    return fileBacking(path, open(path, { access: readOnly ? "read" : "read-write" }));
  },
  admit() {},
};

/** A memory file's name: anyone who may look into this process's descriptors can open it by that path. */
function memoryFilePath(fd: number): string {
  return `/proc/${process.pid}/fd/${fd}`;
}

function anonymousBacking(path: string, fd: number, sharedFd: number): Backing {
  return makeFileBacking({
    backend: "anonymous",
    name: path,
    fd,
    sharedFd,
    reopen: () => open(path, { access: "read" }),
    // It has no name to remove: it goes with its last descriptor and mapping.
    unlink() {},
  });
}

export const anonymousBackend: Backend = {
  name: "anonymous",
  code: BACKEND_ANONYMOUS,
  create(name, _sizeBytes, mode) {
    const shared = memfdCreate(name ?? "shoal");
    return guarded(shared, () => {
      setMode(shared, mode);
      const fd = open(`/proc/self/fd/${shared}`);
      return anonymousBacking(memoryFilePath(shared), fd, shared);
    });
  },
  open(name, readOnly, given) {
    const path = given === undefined ? requireName(name, "an anonymous segment") : `/proc/self/fd/${given}`;
    if (given === undefined && !/^\/proc\/\d+\/fd\/\d+$/.test(path)) {
      throw shoalError(
        "ERR_SHOAL_NAME",
        `an anonymous segment is opened by { fd }, or by the name that its Region has ("/proc/PID/fd/N"), not by ${JSON.stringify(path)}`,
        { name: path },
      );
    }
    const access = readOnly ? "read" : "read-write";
    const shared = open(path, { access });
    return guarded(shared, () => {
      const fd = open(path, { access });
      return anonymousBacking(memoryFilePath(shared), fd, shared);
    });
  },
  admit() {},
};
