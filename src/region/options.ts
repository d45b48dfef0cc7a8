/**
 * What a caller may ask of a region, with the defaults, in one place.
 */

import { shoalError } from "../errors.ts";
import { DEFAULT_SLOT_COUNT, MAX_SLOT_COUNT } from "../layout/slot.ts";

/** What a segment is kept in. */
export type BackendName = "posix" | "file" | "sysv" | "anonymous";

export const BACKEND_NAMES: readonly BackendName[] = ["posix", "file", "sysv", "anonymous"];

/** Where a fixed address is looked for: start, start - hop, start + hop, start - 2 hop, … */
export interface AddressSearch {
  /** First candidate, in bytes, a multiple of 64 KiB. Default 64 TiB, the middle of Linux's 47-bit address range. */
  readonly startAddress?: number;
  /** Distance between candidates in bytes, a multiple of 64 KiB. Default 1 TiB. */
  readonly hopBytes?: number;
  /** How many candidates are tried. Default 10. */
  readonly tries?: number;
  /** What the hop is multiplied by after each pair of candidates. Default 1. */
  readonly factor?: number;
}

/** How a segment is created. All sizes are in bytes and are rounded up to what pages of 64 KiB allow. */
export interface CreateOptions {
  /**
   * Default "posix". With no name: "file", in a fresh private directory under /dev/shm, or made from `template`.
   * For "sysv" the name is the key ("0x5348"), or nothing for a private segment. For "anonymous" it is a label.
   */
  readonly backend?: BackendName;
  /** Bytes for the caller's data to begin with. Default 32 KiB (regions: one page in all), 1 MiB (heaps). */
  readonly sizeBytes?: number;
  /**
   * What the whole segment may grow to. Default 4 GiB, the most there can be (buddy heaps 512 MiB, first-fit heaps 1 GiB);
   * System V segments cannot grow.
   */
  readonly spanBytes?: number;
  /** How much a growth adds when it is not told. Default: what there is, again (heaps: 1 to 64 MiB at a time). */
  readonly growStepBytes?: number;
  /** Permission bits, not less the umask. Default 0o600. */
  readonly mode?: number;
  /** How many processes and workers may have it open for writing at once. Default 56. */
  readonly maxParticipants?: number;
  /** Map the segment a second time at an address that is the same in every process. Default false. */
  readonly fixedAddress?: boolean | AddressSearch;
  /** The private directory's path, ending in XXXXXX (a random part). Only without a name. */
  readonly template?: string;
}

/** How a segment is opened. */
export interface OpenOptions {
  /** Default "posix". */
  readonly backend?: BackendName;
  /**
   * Take part in nothing: needs no write permission, takes no slot, and whatever this process writes stays in this
   * process (copy-on-write; for System V a copy of the segment as it is at the opening). Default false.
   */
  readonly readOnly?: boolean;
  /** How long to wait, in milliseconds, while another process that is alive is creating the segment. Default 2000. */
  readonly timeoutMs?: number;
  /** Users whose segments may be opened. Default: this process's user and root. */
  readonly allowOwners?: readonly number[] | "any";
  /** "anonymous": a descriptor of the segment that was handed on to this process. */
  readonly fd?: number;
}

export const DEFAULT_TIMEOUT_MS = 2000;
/** How long an object may be empty with no creator at work before it counts as abandoned. */
export const EMPTY_GRACE_MS = 50;
export const DEFAULT_REGION_SIZE_BYTES = 32 * 1024;
export const DEFAULT_MODE = 0o600;
export const DEFAULT_PARTICIPANT_COUNT = DEFAULT_SLOT_COUNT;
export const MOST_PARTICIPANT_COUNT = MAX_SLOT_COUNT;

/** The backend's name, checked. */
export function checkBackend(name: BackendName): BackendName {
  if (BACKEND_NAMES.includes(name)) return name;
  throw shoalError(
    "ERR_SHOAL_ARGUMENT",
    `backend must be one of ${BACKEND_NAMES.join(", ")}, not ${String(name)}`,
  );
}
