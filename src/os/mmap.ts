/**
 * Mapping files and anonymous memory as ArrayBuffers.
 *
 * A mapping lives until `unmap`, the end of a `using` block, the garbage collection of its buffer, or its thread's end. While it
 * lives its buffer is plain memory; afterwards the buffer is detached, so that a stale view has length 0 and does not crash.
 *
 * What cannot be caught: an access that the protection forbids (writing to a "read" mapping) ends the process with
 * SIGSEGV, and so does SIGBUS when somebody makes the file smaller later. To read without that risk from writes, map "private".
 */
import { shoalError } from "../errors.ts";
import type { ErrorDetails } from "../errors.ts";
import { checkAddress, checkBytes, checkChoice, checkFd, checkInteger, checkPageMultiple } from "./checks.ts";
import { roundUpToPage } from "./checks.ts";
import { fstat } from "./descriptors.ts";
import { checkResult, errnoName } from "./errno.ts";
import { makeMapping } from "./mapping.ts";
import type { Mapping } from "./mapping.ts";
import { native } from "./native.ts";
import { protections } from "./protection.ts";
import type { Protection } from "./protection.ts";

/** What to map, where and how. */
export interface MmapOptions {
  /** The file. Absent: anonymous memory, zeros. */
  readonly fd?: number;
  /** Where in the file the mapping starts, in bytes; a multiple of the page size. Default 0. */
  readonly offset?: number;
  /** Default: from `offset` to the file's end. Required for anonymous memory. */
  readonly lengthBytes?: number;
  /** Default "read-write". */
  readonly protection?: Protection;
  /** "shared" (default): writes reach the file and other processes. "private": a copy of its own on the first write. */
  readonly sharing?: "shared" | "private";
  /** Where to map, a multiple of the page size: a wish, unless `fixed`. */
  readonly address?: number;
  /**
   * Exactly at `address`: "no-replace" fails with ERR_SHOAL_ADDRESS_TAKEN when anything is there, "replace" unmaps
   * what is there, be it the engine's own heap. Only for address space that the caller reserved.
   */
  readonly fixed?: "replace" | "no-replace";
  /** Fault all pages in now. Default false. */
  readonly populate?: boolean;
  /** Count the mapping against the system's commit limit. Default true. */
  readonly reserve?: boolean;
  /** Advise the kernel for (true) or against (false) transparent huge pages. Default: say nothing. */
  readonly hugePages?: boolean;
}

const regularFile = 0o100000;
const fileTypeMask = 0o170000;

/** The length to map, having made sure that every byte of it is in the file. */
function checkLength(fd: number | undefined, offset: number, asked: number | undefined): number {
  if (asked !== undefined) checkBytes("lengthBytes", asked, 1);
  if (fd === undefined) {
    if (asked !== undefined) return asked;
    throw shoalError("ERR_SHOAL_ARGUMENT", "anonymous memory needs lengthBytes");
  }
  const { sizeBytes, mode } = fstat(checkFd(fd));
  if ((mode & fileTypeMask) !== regularFile) {
    if (asked !== undefined) return asked; // a device has no size to check against
    throw shoalError("ERR_SHOAL_ARGUMENT", `descriptor ${fd} is no regular file: lengthBytes is needed`, {
      fd,
    });
  }
  if (sizeBytes === 0) {
    const message =
      `the object behind descriptor ${fd} is empty, and an empty object cannot be mapped: ` +
      "touching a page of it would end the process with SIGBUS. Give it a size first: fallocate(fd, 0, lengthBytes) or ftruncate(fd, lengthBytes)";
    throw shoalError("ERR_SHOAL_EMPTY", message, { fd, sizeBytes });
  }
  const lengthBytes = asked ?? sizeBytes - offset;
  if (lengthBytes < 1 || offset + lengthBytes > sizeBytes) {
    const message =
      `descriptor ${fd} has ${sizeBytes} bytes; a mapping of ${lengthBytes} bytes from offset ${offset} would reach beyond its end, ` +
      "where touching a page ends the process with SIGBUS. Map less, or give it that size first";
    throw shoalError("ERR_SHOAL_SIZE", message, { fd, sizeBytes, offset, lengthBytes });
  }
  return lengthBytes;
}

/** The kernel's flags, and their names for messages. */
function mapFlags(options: MmapOptions): { bits: number; names: string } {
  const { fd, sharing = "shared", fixed, populate = false, reserve = true } = options;
  const flags = [checkChoice("sharing", sharing, { shared: "MAP_SHARED", private: "MAP_PRIVATE" } as const)];
  const wanted: (keyof typeof native.constants & `MAP_${string}`)[] = [...flags];
  if (fd === undefined) wanted.push("MAP_ANONYMOUS");
  if (fixed !== undefined) {
    wanted.push(
      checkChoice("fixed", fixed, { replace: "MAP_FIXED", "no-replace": "MAP_FIXED_NOREPLACE" } as const),
    );
  }
  if (populate) wanted.push("MAP_POPULATE");
  if (!reserve) wanted.push("MAP_NORESERVE");
  return { bits: wanted.reduce((sum, name) => sum | native.constants[name], 0), names: wanted.join("|") };
}

function throwAddressTaken(address: number, lengthBytes: number, args: ErrorDetails, errno: number): never {
  const message = `something is mapped in the ${lengthBytes} bytes from address 0x${address.toString(16)} on; choose another address`;
  const cause = errnoName(errno);
  throw shoalError("ERR_SHOAL_ADDRESS_TAKEN", message, { ...args, errno: cause }, new Error(cause));
}

/** Advice that the caller relies on must not get lost silently, nor the mapping when it is refused. */
function adviseHugePages(mapping: Mapping, hugePages: boolean): Mapping {
  try {
    mapping.advise(hugePages ? "huge-pages" : "no-huge-pages");
    return mapping;
  } catch (error) {
    mapping.unmap();
    throw error;
  }
}

/**
 * Maps a file, a shared memory object or anonymous memory. The descriptor may be closed afterwards.
 *
 * @throws ERR_SHOAL_EMPTY, ERR_SHOAL_SIZE (beyond the file's end), ERR_SHOAL_ADDRESS_TAKEN, ERR_SHOAL_PERMISSION (the
 *   descriptor was not opened for this protection), ERR_SHOAL_UNSUPPORTED (longer than the engine's buffers),
 *   ERR_SHOAL_ARGUMENT, ERR_SHOAL_SYSTEM
 */
export function mmap(options: MmapOptions): Mapping {
  const { fd, offset = 0, address = 0, fixed, protection = "read-write", hugePages } = options;
  checkPageMultiple("offset", checkBytes("offset", offset));
  checkAddress("address", address);
  if (fixed !== undefined && address === 0) throw shoalError("ERR_SHOAL_ARGUMENT", "fixed needs an address");
  const access = checkChoice("protection", protection, protections);
  const flags = mapFlags(options);
  const lengthBytes = checkLength(fd, offset, options.lengthBytes);
  checkInteger("lengthBytes", lengthBytes, 1, 2 ** 47);
  const at = native.mmap(address, lengthBytes, access.bits, flags.bits, fd ?? -1, offset);
  const hexAddress = `0x${address.toString(16)}`;
  const args = {
    address: hexAddress,
    lengthBytes,
    protection: access.names,
    flags: flags.names,
    fd: fd ?? -1,
    offset,
  };
  if (at < 0 && fixed === "no-replace" && errnoName(at) === "EEXIST")
    throwAddressTaken(address, lengthBytes, args, at);
  checkResult(at, "mmap", args);
  const mapping = makeMapping(at, lengthBytes, roundUpToPage(lengthBytes), protection);
  return hugePages === undefined ? mapping : adviseHugePages(mapping, hugePages);
}
