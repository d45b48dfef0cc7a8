/**
 * Opening, looking at and closing descriptors.
 *
 * Every descriptor that this room opens is close-on-exec and belongs to the thread that opened it: when a worker ends,
 * also by terminate(), its descriptors close. Close them with `close`, not with node:fs.
 */
import type { ErrorDetails } from "../errors.ts";
import { shoalError } from "../errors.ts";
import { checkFd, checkInteger } from "./checks.ts";
import { checkResult } from "./errno.ts";
import { native } from "./native.ts";
import type { ConstantName } from "./native.ts";

/** How a file or shared memory object is opened. */
export interface OpenOptions {
  /** What the descriptor may be used for. Default "read-write". */
  readonly access?: "read" | "read-write";
  /** Create the object when it does not exist. Default false. */
  readonly create?: boolean;
  /** With `create`: it is an error (ERR_SHOAL_EXISTS) when the object exists. Default false. */
  readonly exclusive?: boolean;
  /** Set the size of an existing object to 0. Needs "read-write". Default false. */
  readonly truncate?: boolean;
  /** Permission bits of an object that is created, less the process's umask. Default 0o600. */
  readonly mode?: number;
}

/** What is known about an open descriptor's file. */
export interface FileStatus {
  readonly sizeBytes: number;
  /** Type and permission bits, as in `fs.Stats`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly device: number;
  readonly inode: number;
  /** Names that the file has; 0 when it was unlinked. */
  readonly linkCount: number;
  /** Bytes that storage was really taken for; a sparse file has less than its size. */
  readonly occupiedBytes: number;
}

/** The flags that the options ask for: the number for the kernel, and the names for messages. */
export function openFlags(options: OpenOptions): { bits: number; names: string; mode: number } {
  const { access = "read-write", create = false, exclusive = false, truncate = false } = options;
  if (access !== "read" && access !== "read-write") {
    throw shoalError("ERR_SHOAL_ARGUMENT", `access must be "read" or "read-write", not ${String(access)}`);
  }
  if (exclusive && !create)
    throw shoalError("ERR_SHOAL_ARGUMENT", "exclusive means something only with create");
  if (truncate && access === "read")
    throw shoalError("ERR_SHOAL_ARGUMENT", 'truncate needs access "read-write"');
  const mode = checkInteger("mode", options.mode ?? 0o600, 0, 0o7777);
  const wanted: ConstantName[] = [access === "read" ? "O_RDONLY" : "O_RDWR"];
  if (create) wanted.push("O_CREAT");
  if (exclusive) wanted.push("O_EXCL");
  if (truncate) wanted.push("O_TRUNC");
  const bits = wanted.reduce((sum, name) => sum | native.constants[name], 0);
  return { bits, names: wanted.join("|"), mode };
}

/** The arguments of an opening call, as an error shows them. */
export function openArgs(name: string, flags: { names: string; mode: number }): ErrorDetails {
  const isCreating = flags.names.includes("O_CREAT");
  return { name, flags: flags.names, ...(isCreating ? { mode: `0o${flags.mode.toString(8)}` } : {}) };
}

/**
 * Opens a file.
 *
 * @returns the descriptor
 * @throws ERR_SHOAL_NOT_FOUND, ERR_SHOAL_EXISTS, ERR_SHOAL_PERMISSION, ERR_SHOAL_SYSTEM
 */
export function open(path: string, options: OpenOptions = {}): number {
  if (typeof path !== "string" || path === "" || path.includes("\0")) {
    throw shoalError("ERR_SHOAL_ARGUMENT", "path must be a string that is not empty and holds no NUL");
  }
  const flags = openFlags(options);
  return checkResult(native.open(path, flags.bits, flags.mode), "open", openArgs(path, flags));
}

/**
 * Closes a descriptor that this room opened. Mappings made from it stay.
 *
 * @throws ERR_SHOAL_SYSTEM (EBADF) when it is not open
 */
export function close(fd: number): void {
  checkResult(native.close(checkFd(fd)), "close", { fd });
}

/**
 * Size, owner and identity of an open descriptor's file.
 *
 * @throws ERR_SHOAL_SYSTEM (EBADF) when it is not open
 */
export function fstat(fd: number): FileStatus {
  const out = new Float64Array(8);
  checkResult(native.fstat(checkFd(fd), out), "fstat", { fd });
  const [sizeBytes, mode, uid, gid, device, inode, linkCount, occupiedBytes] = out as unknown as FstatRow;
  return { sizeBytes, mode, uid, gid, device, inode, linkCount, occupiedBytes };
}

type FstatRow = [number, number, number, number, number, number, number, number];
