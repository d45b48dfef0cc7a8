/**
 * From an errno to a `ShoalError`: the call as it was made, the reason's name, what it means, what to do.
 */
import { shoalError } from "../errors.ts";
import type { ErrorDetails, ShoalError, ShoalErrorCode } from "../errors.ts";
import { native } from "./native.ts";

/** Reasons that have a code of their own; every other one is ERR_SHOAL_SYSTEM. */
const codes: Readonly<Record<string, ShoalErrorCode>> = {
  ENOENT: "ERR_SHOAL_NOT_FOUND",
  ESRCH: "ERR_SHOAL_NOT_FOUND",
  EIDRM: "ERR_SHOAL_NOT_FOUND",
  EEXIST: "ERR_SHOAL_EXISTS",
  EACCES: "ERR_SHOAL_PERMISSION",
  EPERM: "ERR_SHOAL_PERMISSION",
  EROFS: "ERR_SHOAL_PERMISSION",
  ENOSPC: "ERR_SHOAL_NO_SPACE",
  EDQUOT: "ERR_SHOAL_NO_SPACE",
  ENOSYS: "ERR_SHOAL_UNSUPPORTED",
  EOPNOTSUPP: "ERR_SHOAL_UNSUPPORTED",
};

/** What the reasons mean that these calls give, and what helps. */
const meanings: Readonly<Record<string, string>> = {
  EACCES: "permission denied; look at the object's mode and owner",
  EAGAIN: "not now; try again",
  EBADF: "no open descriptor of that number, or not opened for this; look at how it was opened",
  EBUSY: "in use; try again when it is not",
  EDQUOT: "the user's quota is used up; free some space",
  EEXIST: "exists already; open it without `exclusive`, or choose another name",
  EFBIG: "larger than the file system or RLIMIT_FSIZE allows; ask for less",
  EIDRM: "was removed meanwhile; create it again",
  EINTR: "interrupted by a signal; try again",
  EINVAL: "an argument that the kernel refuses; look at its alignment and range",
  EISDIR: "is a directory; name a file in it",
  EMFILE: "the process has too many open descriptors; close some, or raise RLIMIT_NOFILE",
  ENAMETOOLONG: "the name is too long; at most 255 bytes between slashes",
  ENFILE: "the system has too many open files; close some",
  ENODEV: "this file cannot be mapped; use one on another file system",
  ENOENT: "does not exist; create it first, or look at the spelling",
  ENOMEM:
    "no memory or no address space, or a limit (RLIMIT_AS, vm.max_map_count) is reached; unmap something",
  ENOSPC: "no space left; free some, or ask for less",
  ENOSYS: "this kernel does not have the call; use another way, or a newer kernel",
  ENOTDIR: "a part of the path is not a directory; look at the spelling",
  ENXIO: "no such device, or no data in this range; look at the offset",
  EOPNOTSUPP: "this file system cannot do that; use tmpfs, ext4, xfs or btrfs",
  EPERM: "not permitted; a seal, a mount option or a missing capability forbids it",
  EROFS: "the file system is mounted read-only; use another",
  ESRCH: "no such process; it may have ended",
  ETXTBSY: "the program in this file is running; write to another file",
};

/** The name of an error number, positive or negative: 2 and -2 give "ENOENT". */
export function errnoName(errno: number): string {
  return native.constants.errno[Math.abs(errno)] ?? `errno ${Math.abs(errno)}`;
}

/** Names of flags, octal modes and addresses stand bare in a message; other strings are quoted. */
const bare = /^(?:[A-Z][A-Z0-9_]*(?:\|[A-Z][A-Z0-9_]*)*|0[ox][0-9a-f]+)$/;

function show(value: number | string): string {
  return typeof value === "number" || bare.test(value) ? String(value) : JSON.stringify(value);
}

/**
 * The error for a system call that the kernel refused, to be thrown.
 *
 * @param call the call's name in C: "shm_open"
 * @param errno the reason, positive or negative
 * @param args the arguments by name, in the call's order; they are in the message and in `details`
 * @param advice what went wrong and what to do, where the call knows more than errno's general meaning
 * @returns with `details.errno` the reason's name, and as `cause` an error in the shape of Node's own system errors
 */
export function systemError(
  call: string,
  errno: number,
  args: ErrorDetails = {},
  advice?: string,
): ShoalError {
  const name = errnoName(errno);
  const meaning = advice ?? meanings[name] ?? "the kernel refused the call";
  const cause = Object.assign(new Error(`${name}, ${call}`), {
    code: name,
    errno: -Math.abs(errno),
    syscall: call,
  });
  const shown = Object.values(args).map(show).join(", ");
  const message = `${call}(${shown}): ${name}, ${meaning}`;
  return shoalError(codes[name] ?? "ERR_SHOAL_SYSTEM", message, { call, errno: name, ...args }, cause);
}

/** `result` when it is not negative; otherwise throws its `systemError`. */
export function checkResult(result: number, call: string, args: ErrorDetails = {}, advice?: string): number {
  if (result < 0) throw systemError(call, result, args, advice);
  return result;
}
