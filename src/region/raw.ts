/**
 * Foreign segments: any shared memory object or file as plain bytes, without a Shoal header: a C program's, Python's
 * `multiprocessing.shared_memory`, anybody's. No participants, no growth, no allocator.
 */

import { shoalError } from "../errors.ts";
import { close, fallocate, fstat, mmap, open, shmat, shmget, shmOpen } from "../os/index.ts";
import type { Mapping, Attachment } from "../os/index.ts";
import { native } from "../os/native.ts";
import { checkSizeBytes } from "./geometry.ts";
import { checkBackend, DEFAULT_MODE } from "./options.ts";
import type { BackendName } from "./options.ts";
import { FLAG_CLOSED, FLAG_DAMAGED, makeFlags } from "./overlay.ts";

/** How a foreign segment is opened. */
export interface RawOptions {
  /** "posix" (default), "file" or "sysv" (the name is the key). */
  readonly backend?: BackendName;
  /** A private, copy-on-write mapping that needs no write permission. Default false. */
  readonly readOnly?: boolean;
  /** Create it with this many bytes; ERR_SHOAL_EXISTS when it exists. Default: it must exist. */
  readonly createSizeBytes?: number;
  /** Permission bits when it is created. Default 0o600. */
  readonly mode?: number;
}

/** A foreign segment in this process's memory. */
export interface RawRegion extends Disposable {
  readonly name: string;
  readonly sizeBytes: number;
  /** All of it. Empty once closed. Throws ERR_SHOAL_DAMAGED when the object was truncated underneath. */
  readonly bytes: Uint8Array;
  readonly buffer: ArrayBuffer;
  close(): void;
}

/**
 * Maps a segment that Shoal did not lay out.
 *
 * @throws ERR_SHOAL_NOT_FOUND, ERR_SHOAL_EXISTS, ERR_SHOAL_EMPTY, ERR_SHOAL_NAME, ERR_SHOAL_NO_SPACE,
 *   ERR_SHOAL_PERMISSION, ERR_SHOAL_SYSTEM
 */
export function openRaw(name: string, options: RawOptions = {}): RawRegion {
  const backend = checkBackend(options.backend ?? "posix");
  if (options.createSizeBytes !== undefined) checkSizeBytes("createSizeBytes", options.createSizeBytes);
  if (backend === "sysv") return guardedRegion(name, attachRaw(name, options));
  if (backend === "anonymous") {
    throw shoalError(
      "ERR_SHOAL_ARGUMENT",
      'an anonymous object has no name to open raw; map its descriptor with mmap from "shoal/os"',
    );
  }
  return guardedRegion(name, mapRaw(name, backend, options));
}

function mapRaw(name: string, backend: "posix" | "file", options: RawOptions): Mapping {
  const { readOnly = false, createSizeBytes, mode = DEFAULT_MODE } = options;
  const create = createSizeBytes !== undefined;
  const how = { access: readOnly ? "read" : "read-write", create, exclusive: create, mode } as const;
  const path = backend === "posix" && !name.startsWith("/") ? `/${name}` : name;
  const fd = backend === "posix" ? shmOpen(path, how) : open(path, how);
  try {
    if (createSizeBytes !== undefined) fallocate(fd, 0, createSizeBytes);
    return mmap({ fd, lengthBytes: fstat(fd).sizeBytes, sharing: readOnly ? "private" : "shared" });
  } finally {
    close(fd);
  }
}

function attachRaw(name: string, options: RawOptions): Attachment {
  const key = Number(name);
  if (!Number.isInteger(key))
    throw shoalError("ERR_SHOAL_NAME", `a System V key is a number, not ${JSON.stringify(name)}`, { name });
  const { readOnly = false, createSizeBytes, mode = DEFAULT_MODE } = options;
  const create = createSizeBytes !== undefined;
  const id = shmget(key, create ? { sizeBytes: createSizeBytes, create, exclusive: true, mode } : {});
  return shmat(id, { readOnly });
}

function guardedRegion(name: string, mapping: Mapping | Attachment): RawRegion {
  const flags = makeFlags();
  const guardId = native.guardAdd(mapping.address, mapping.lengthBytes, flags);
  const { buffer, lengthBytes } = mapping;
  const leave = (): void => {
    if ((flags[0]! & FLAG_CLOSED) !== 0) return;
    Atomics.or(flags, 0, FLAG_CLOSED);
    mapping[Symbol.dispose]();
    if (guardId >= 0) native.guardRemove(guardId);
  };
  return {
    name,
    sizeBytes: lengthBytes,
    buffer,
    get bytes() {
      if ((flags[0]! & FLAG_CLOSED) !== 0)
        throw shoalError("ERR_SHOAL_CLOSED", `${name} was closed`, { name });
      if ((flags[0]! & FLAG_DAMAGED) === 0) return new Uint8Array(buffer);
      throw shoalError(
        "ERR_SHOAL_DAMAGED",
        `${name} was truncated underneath; its lost pages read as zeros`,
        { name },
      );
    },
    close: leave,
    [Symbol.dispose]: leave,
  };
}
