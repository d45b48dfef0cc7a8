/**
 * Opening, looking at and closing descriptors.
 *
 * Every descriptor that this room opens is close-on-exec and belongs to the thread that opened it: when a worker ends,
 * also by terminate(), its descriptors close. Close them with `close`, not with node:fs.
 */
import { shoalError } from "../errors.ts";
import { checkFd, checkInteger } from "./checks.ts";
import { checkResult, systemError } from "./errno.ts";
import { native } from "./native.ts";

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

/** What an opening call passes to the kernel. */
export interface OpenFlags {
  readonly bits: number;
  readonly mode: number;
}

const { O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC } = native.constants;

/** The flags that the options ask for. */
export function openFlags(options: OpenOptions): OpenFlags {
  const { access = "read-write", create = false, exclusive = false, truncate = false } = options;
  if (access !== "read" && access !== "read-write") {
    throw shoalError("ERR_SHOAL_ARGUMENT", `access must be "read" or "read-write", not ${String(access)}`);
  }
  if (exclusive && !create)
    throw shoalError("ERR_SHOAL_ARGUMENT", "exclusive means something only with create");
  if (truncate && access === "read")
    throw shoalError("ERR_SHOAL_ARGUMENT", 'truncate needs access "read-write"');
  const mode = checkInteger("mode", options.mode ?? 0o600, 0, 0o7777);
  const kind = access === "read" ? O_RDONLY : O_RDWR;
  const bits = kind | (create ? O_CREAT : 0) | (exclusive ? O_EXCL : 0) | (truncate ? O_TRUNC : 0);
  return { bits, mode };
}

/** `fd`, or the error of the opening call that gave it. Names and numbers are put together only for the error. */
export function checkOpened(fd: number, call: string, name: string, { bits, mode }: OpenFlags): number {
  if (fd >= 0) return fd;
  const names = [(bits & O_RDWR) === 0 ? "O_RDONLY" : "O_RDWR"];
  if ((bits & O_CREAT) !== 0) names.push("O_CREAT");
  if ((bits & O_EXCL) !== 0) names.push("O_EXCL");
  if ((bits & O_TRUNC) !== 0) names.push("O_TRUNC");
  const isCreating = (bits & O_CREAT) !== 0;
  const flags = names.join("|");
  throw systemError(call, fd, { name, flags, ...(isCreating ? { mode: `0o${mode.toString(8)}` } : {}) });
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
  return checkOpened(native.open(path, flags.bits, flags.mode), "open", path, flags);
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
