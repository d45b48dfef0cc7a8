/**
 * System V shared memory: segments of fixed size, found by a number (the key) or an id, visible with `ipcs -m`, living
 * until they are removed and nobody is attached.
 */
import { shoalError } from "../errors.ts";
import type { ErrorDetails } from "../errors.ts";
import { checkAddress, checkBytes, checkInteger, roundUpToPage } from "./checks.ts";
import { checkResult, errnoName, systemError } from "./errno.ts";
import { native } from "./native.ts";
import type { ConstantName } from "./native.ts";
import { ownMemory } from "./owned-buffer.ts";

const { constants } = native;

/** As a key: a new segment that only its id leads to. */
export const IPC_PRIVATE = constants.IPC_PRIVATE;

/** The kernel's limits on System V shared memory in this IPC namespace. */
export interface ShmLimits {
  /** kernel.shmmax. */
  readonly largestBytes: number;
  /** Always 1. */
  readonly smallestBytes: number;
  /** kernel.shmmni. */
  readonly segmentCount: number;
  /** kernel.shmall, all segments together, in pages. */
  readonly totalPages: number;
  /** Segments that exist now. */
  readonly usedSegmentCount: number;
}

/** The kernel's limits, and how many segments exist. */
export function shmLimits(): ShmLimits {
  const out = new Float64Array(5);
  checkResult(native.shmLimits(out), "shmctl", { command: "IPC_INFO" });
  const [largestBytes, smallestBytes, segmentCount, totalPages, usedSegmentCount] =
    out as unknown as LimitsRow;
  return { largestBytes, smallestBytes, segmentCount, totalPages, usedSegmentCount };
}

type LimitsRow = [number, number, number, number, number];

/** How a segment is found or made. */
export interface ShmgetOptions {
  /** At least this many bytes. Required with `create`; otherwise 0 means any. Default 0. */
  readonly sizeBytes?: number;
  /** Create the segment when the key has none. Default false. */
  readonly create?: boolean;
  /** With `create`: it is an error (ERR_SHOAL_EXISTS) when the key has one. Default false. */
  readonly exclusive?: boolean;
  /** Permission bits of a new segment. Default 0o600. */
  readonly mode?: number;
  /** On reserved huge pages. Default false. */
  readonly hugePages?: boolean;
  /** False: take no swap space for it. Default true. */
  readonly reserve?: boolean;
}

/** shmget gives EINVAL, ENOSPC and ENOMEM for the kernel's limits too: say which limit, with its number. */
function explainShmget(errno: string, sizeBytes: number): string | undefined {
  const { largestBytes, segmentCount, totalPages, usedSegmentCount } = shmLimits();
  switch (errno) {
    case "EINVAL":
      return (
        `either the segment exists and is smaller than the ${sizeBytes} bytes asked, or the size is outside ` +
        `1 to ${largestBytes} (kernel.shmmax); ask for less`
      );
    case "ENOSPC":
      return (
        `${usedSegmentCount} of ${segmentCount} segments (kernel.shmmni) exist, and together they may have ` +
        `${totalPages} pages (kernel.shmall); remove some (ipcs -m, ipcrm) or raise the limit`
      );
    case "ENOMEM":
      return `no memory for ${sizeBytes} bytes; ask for less`;
    default:
      return undefined;
  }
}

/**
 * Finds, or creates, a segment.
 *
 * @param key a 32-bit integer that the processes agreed on, or IPC_PRIVATE
 * @returns the segment's id
 * @throws ERR_SHOAL_NOT_FOUND, ERR_SHOAL_EXISTS, ERR_SHOAL_PERMISSION, ERR_SHOAL_NO_SPACE (with the kernel's limits in
 *   `details`), ERR_SHOAL_ARGUMENT, ERR_SHOAL_SYSTEM
 */
export function shmget(key: number, options: ShmgetOptions = {}): number {
  const { sizeBytes = 0, create = false, exclusive = false, hugePages = false, reserve = true } = options;
  checkInteger("key", key, -0x80000000, 0xffffffff);
  if (exclusive && !create)
    throw shoalError("ERR_SHOAL_ARGUMENT", "exclusive means something only with create");
  const isNew = create || key === IPC_PRIVATE;
  checkBytes("sizeBytes", sizeBytes, isNew ? 1 : 0);
  const mode = isNew ? checkInteger("mode", options.mode ?? 0o600, 0, 0o777) : 0;
  const wanted: ConstantName[] = [];
  if (create) wanted.push("IPC_CREAT");
  if (exclusive) wanted.push("IPC_EXCL");
  if (hugePages) wanted.push("SHM_HUGETLB");
  if (!reserve) wanted.push("SHM_NORESERVE");
  const flags = wanted.reduce((sum, name) => sum | constants[name], mode);
  const result = native.shmget(key | 0, sizeBytes, flags);
  if (result >= 0) return result;
  const args = {
    key: `0x${(key >>> 0).toString(16)}`,
    sizeBytes,
    flags: wanted.join("|"),
    mode: `0o${mode.toString(8)}`,
  };
  throw shmgetError(result, args, sizeBytes);
}

function shmgetError(result: number, args: ErrorDetails, sizeBytes: number): Error {
  const name = errnoName(result);
  const error = systemError("shmget", result, args, explainShmget(name, sizeBytes));
  if (!["EINVAL", "ENOSPC", "ENOMEM"].includes(name)) return error;
  return shoalError(error.code, error.message, { ...error.details, ...shmLimits() }, error.cause);
}

/** How a segment is attached. */
export interface ShmatOptions {
  /** Where, a multiple of the page size. Default: the kernel chooses. */
  readonly address?: number;
  /** Replace what is mapped at `address`. Only for address space that the caller reserved. Default false. */
  readonly replace?: boolean;
  /** Without write access: writing ends the process with SIGSEGV. Default false. */
  readonly readOnly?: boolean;
}

/** A segment attached to this process. */
export interface Attachment {
  readonly id: number;
  readonly address: number;
  readonly lengthBytes: number;
  /** The memory; once detached it is empty, and views have length 0. */
  readonly buffer: ArrayBuffer;
  readonly isDetached: boolean;
  /** Detaches. */
  [Symbol.dispose](): void;
}

const releases = new WeakMap<Attachment, () => void>();

/**
 * Attaches a segment: all of it is memory of this process from now on, until `shmdt`, the end of a `using` block, the
 * buffer's garbage collection, or the thread's end.
 *
 * @throws ERR_SHOAL_NOT_FOUND (no such id), ERR_SHOAL_PERMISSION, ERR_SHOAL_ADDRESS_TAKEN, ERR_SHOAL_ARGUMENT,
 *   ERR_SHOAL_UNSUPPORTED (longer than the engine's buffers), ERR_SHOAL_SYSTEM
 */
export function shmat(id: number, options: ShmatOptions = {}): Attachment {
  const { address = 0, replace = false, readOnly = false } = options;
  checkAddress("address", address);
  if (replace && address === 0) throw shoalError("ERR_SHOAL_ARGUMENT", "replace needs an address");
  const { sizeBytes } = shmStat(id, "shmat");
  const flags = (readOnly ? constants.SHM_RDONLY : 0) | (replace ? constants.SHM_REMAP : 0);
  const at = native.shmat(id, address, flags);
  const args = { id, address: `0x${address.toString(16)}`, flags };
  if (at < 0 && address !== 0 && errnoName(at) === "EINVAL") {
    const { message, details, cause } = systemError(
      "shmat",
      at,
      args,
      "something is mapped there; choose another address",
    );
    throw shoalError("ERR_SHOAL_ADDRESS_TAKEN", message, details, cause);
  }
  checkResult(at, "shmat", args);
  return makeAttachment(id, at, sizeBytes);
}

function makeAttachment(id: number, address: number, lengthBytes: number): Attachment {
  const owned = ownMemory(address, lengthBytes, roundUpToPage(lengthBytes), { isSysv: true });
  let isDetached = false;
  const release = (): void => {
    if (isDetached) return;
    isDetached = true;
    owned.release();
  };
  const attachment: Attachment = {
    id,
    address,
    lengthBytes,
    buffer: owned.buffer,
    get isDetached() {
      return isDetached;
    },
    [Symbol.dispose]: release,
  };
  releases.set(attachment, release);
  return attachment;
}

/** Detaches; its views have length 0 from now on. Detaching again is harmless. */
export function shmdt(attachment: Attachment): void {
  const release = releases.get(attachment);
  if (release === undefined) throw shoalError("ERR_SHOAL_ARGUMENT", "shmdt takes what shmat returned");
  release();
}

/** What is known about a segment. */
export interface ShmStatus {
  readonly id: number;
  /** 0 for IPC_PRIVATE, and once it is marked for removal. */
  readonly key: number;
  readonly sizeBytes: number;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly creatorPid: number;
  /** Who attached or detached last. */
  readonly lastPid: number;
  readonly attachCount: number;
  /** Removed, and alive only until the last one detaches. */
  readonly isRemoved: boolean;
}

type StatRow = [number, number, number, number, number, number, number, number];

/**
 * Size, owner and attachments of a segment.
 *
 * @throws ERR_SHOAL_NOT_FOUND when there is no such id (any more), ERR_SHOAL_PERMISSION
 */
export function shmStat(id: number, call = "shmctl"): ShmStatus {
  checkInteger("id", id, 0, 0x7fffffff);
  const out = new Float64Array(8);
  const result = native.shmctlStat(id, out);
  if (result < 0) throw shmctlError(call, result, id);
  const [sizeBytes, mode, uid, gid, creatorPid, lastPid, attachCount, key] = out as unknown as StatRow;
  const isRemoved = (mode & constants.SHM_DEST) !== 0;
  return { id, key, sizeBytes, mode: mode & 0o777, uid, gid, creatorPid, lastPid, attachCount, isRemoved };
}

/**
 * Removes a segment: nobody can attach it any more (those who know the id of an attached one still can, on Linux),
 * and it is freed when the last one detaches.
 *
 * @throws ERR_SHOAL_NOT_FOUND, ERR_SHOAL_PERMISSION
 */
export function shmRemove(id: number): void {
  checkInteger("id", id, 0, 0x7fffffff);
  const result = native.shmctlRemove(id);
  if (result < 0) throw shmctlError("shmctl", result, id);
}

/** For an id, EINVAL means that there is none. */
function shmctlError(call: string, result: number, id: number): Error {
  const error = systemError(call, result, { id });
  if (errnoName(result) !== "EINVAL") return error;
  const message = `${call}(${id}): EINVAL, there is no System V segment with this id; it was removed, or never was`;
  return shoalError("ERR_SHOAL_NOT_FOUND", message, error.details, error.cause);
}
