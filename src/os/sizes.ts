/**
 * Giving a file its size: `ftruncate` sets it, `fallocate` also makes sure of the storage.
 */
import { statfsSync } from "node:fs";
import { shoalError } from "../errors.ts";
import type { ErrorDetails, ShoalError } from "../errors.ts";
import { checkBytes, checkChoice, checkFd } from "./checks.ts";
import { checkResult, errnoName, systemError } from "./errno.ts";
import { native } from "./native.ts";

/** A signal storm must not keep a thread here for ever; each attempt starts over. */
const maxAttempts = 100;

/**
 * Sets a file's size: cuts it, or lengthens it with zeros that take no storage yet. A full file system then shows as
 * SIGBUS when the pages are touched; `fallocate` shows it at once.
 *
 * @throws ERR_SHOAL_ARGUMENT, ERR_SHOAL_PERMISSION (sealed), ERR_SHOAL_SYSTEM (EINVAL: not open for writing)
 */
export function ftruncate(fd: number, lengthBytes: number): void {
  checkBytes("lengthBytes", lengthBytes);
  const result = retryInterrupted(() => native.ftruncate(checkFd(fd), lengthBytes));
  const isRefused = result < 0 && errnoName(result) === "EINVAL";
  const advice = isRefused
    ? "the descriptor is not open for writing, or is no file; open it read-write"
    : undefined;
  checkResult(result, "ftruncate", { fd, lengthBytes }, advice);
}

/** What `fallocate` does to the range. */
export type FallocateMode = "grow" | "keep-size" | "punch-hole" | "zero";

/**
 * Reserves storage for a range of a file, so that touching it cannot fail for want of space.
 *
 * @param mode "grow" (default): the file becomes at least as long as the range's end; "keep-size": it does not;
 *   "punch-hole": the range's storage is given back and it reads as zeros; "zero": it reads as zeros
 * @throws ERR_SHOAL_NO_SPACE with `details.neededBytes` and `details.availableBytes`; ERR_SHOAL_ARGUMENT,
 *   ERR_SHOAL_UNSUPPORTED (by the file system), ERR_SHOAL_SYSTEM
 */
export function fallocate(
  fd: number,
  offset: number,
  lengthBytes: number,
  mode: FallocateMode = "grow",
): void {
  checkFd(fd);
  checkBytes("offset", offset);
  checkBytes("lengthBytes", lengthBytes, 1);
  checkBytes("offset + lengthBytes", offset + lengthBytes);
  const { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE } = native.constants;
  const bits = checkChoice("mode", mode, {
    grow: 0,
    "keep-size": FALLOC_FL_KEEP_SIZE,
    "punch-hole": FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
    zero: FALLOC_FL_ZERO_RANGE,
  });
  const result = retryInterrupted(() => native.fallocate(fd, bits, offset, lengthBytes));
  const args = { fd, mode, offset, lengthBytes };
  if (result < 0 && errnoName(result) === "ENOSPC") throw noSpaceError(args, result);
  checkResult(result, "fallocate", args);
}

function retryInterrupted(call: () => number): number {
  for (let attempt = 1; ; attempt++) {
    const result = call();
    if (result >= 0 || errnoName(result) !== "EINTR" || attempt === maxAttempts) return result;
  }
}

/** The error with the file system's numbers, which are the first thing that somebody with a full /dev/shm asks for. */
function noSpaceError(args: ErrorDetails & { fd: number; lengthBytes: number }, errno: number): ShoalError {
  const general = systemError("fallocate", errno, args);
  try {
    const { bavail, blocks, bsize } = statfsSync(`/proc/self/fd/${args.fd}`);
    const numbers = {
      neededBytes: args.lengthBytes,
      availableBytes: bavail * bsize,
      totalBytes: blocks * bsize,
    };
    const advice =
      `${numbers.neededBytes} bytes asked, ${numbers.availableBytes} of ${numbers.totalBytes} available in its file ` +
      "system; free some, ask for less, or make it larger (docker run --shm-size)";
    const { message, cause } = systemError("fallocate", errno, args, advice);
    return shoalError("ERR_SHOAL_NO_SPACE", message, { ...general.details, ...numbers }, cause);
  } catch {
    return general; // no numbers without /proc
  }
}
