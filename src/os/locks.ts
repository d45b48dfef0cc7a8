/**
 * Open-file-description locks: a range of a file's bytes, held shared or exclusively by whoever opened the file.
 *
 * The kernel drops them when the last descriptor of that opening closes, however its process ended; they exclude
 * threads of one process too, when each opened the file itself; and they work across containers. The bytes need not
 * exist. Nothing here waits.
 */
import { checkBytes, checkFd } from "./checks.ts";
import { checkResult, errnoName } from "./errno.ts";
import { native } from "./native.ts";

/** Which bytes. */
export interface LockRange {
  readonly offset: number;
  /** Default 1; 0 means to the end of the file, however long it becomes. */
  readonly lengthBytes?: number;
}

/** Held by any number at once, or by one alone. */
export type LockKind = "shared" | "exclusive";

const kinds = { unlock: 0, shared: 1, exclusive: 2 } as const;

function setLock(fd: number, { offset, lengthBytes = 1 }: LockRange, kind: keyof typeof kinds): number {
  checkBytes("offset", offset);
  checkBytes("lengthBytes", lengthBytes);
  const result = native.lockSet(checkFd(fd), offset, lengthBytes, kinds[kind]);
  const name = result < 0 ? errnoName(result) : "";
  if (name === "EAGAIN" || name === "EACCES") return 0;
  const needed = kind === "shared" ? "reading" : "writing";
  const advice = name === "EBADF" ? `the descriptor is not open, or not for ${needed}` : undefined;
  checkResult(result, "fcntl", { fd, command: "F_OFD_SETLK", offset, lengthBytes, kind }, advice);
  return 1;
}

/**
 * Takes a lock, or changes the kind of one that this opening holds, if nobody else is in the way.
 *
 * @param fd open for reading ("shared") or writing ("exclusive")
 * @returns whether the lock is held now
 * @throws ERR_SHOAL_SYSTEM (EBADF), ERR_SHOAL_ARGUMENT
 */
export function tryLock(fd: number, range: LockRange, kind: LockKind = "exclusive"): boolean {
  return setLock(fd, range, kind === "shared" ? "shared" : "exclusive") === 1;
}

/** Gives the range up. Harmless when it is not held. */
export function unlock(fd: number, range: LockRange): void {
  setLock(fd, range, "unlock");
}

/**
 * Who else has a lock in the range: how it is held by another opening, or undefined. Old news by the time it is
 * read; `tryLock` decides.
 */
export function probeLock(fd: number, { offset, lengthBytes = 1 }: LockRange): LockKind | undefined {
  checkBytes("offset", offset);
  checkBytes("lengthBytes", lengthBytes);
  const result = native.lockGet(checkFd(fd), offset, lengthBytes);
  checkResult(result, "fcntl", { fd, command: "F_OFD_GETLK", offset, lengthBytes });
  return result === 0 ? undefined : result === 1 ? "shared" : "exclusive";
}
