/**
 * The arguments of a heap's calls: what is wrong with them, before the core is asked.
 */

import { shoalError } from "../errors.ts";
import type { Handle } from "./handle.ts";

const LARGEST_REQUEST_BYTES = 2 ** 32 - 1;
const LARGEST_ALIGNMENT_BYTES = 65536;

/** @throws ERR_SHOAL_SIZE unless `sizeBytes` is a whole number from 1 to 4 GiB less 1 */
export function checkSize(call: string, sizeBytes: number): void {
  if (sizeBytes >>> 0 === sizeBytes && sizeBytes !== 0) return;
  throw sizeError(call, sizeBytes);
}

function sizeError(call: string, sizeBytes: number): Error {
  const shown = typeof sizeBytes === "number" ? sizeBytes : String(sizeBytes);
  return shoalError(
    "ERR_SHOAL_SIZE",
    `${call}: a size is a whole number from 1 to ${LARGEST_REQUEST_BYTES}, not ${shown}`,
    { call, value: shown, least: 1, most: LARGEST_REQUEST_BYTES },
  );
}

/** Bytes of `count` elements of `sizeBytes` each. ERR_SHOAL_SIZE when there is no such size. */
export function productOf(call: string, count: number, sizeBytes: number): number {
  for (const factor of [count, sizeBytes]) checkSize(call, factor);
  const total = count * sizeBytes;
  if (total > LARGEST_REQUEST_BYTES) throw sizeError(`${call} of ${count} times ${sizeBytes}`, total);
  return total;
}

/** The alignment, if it is a power of two from 1 to 64 KiB; else ERR_SHOAL_ARGUMENT. */
export function checkAlignment(call: string, alignmentBytes: number): number {
  const isPower = Number.isInteger(alignmentBytes) && (alignmentBytes & (alignmentBytes - 1)) === 0;
  if (isPower && alignmentBytes >= 1 && alignmentBytes <= LARGEST_ALIGNMENT_BYTES) return alignmentBytes;
  throw shoalError(
    "ERR_SHOAL_ARGUMENT",
    `${call}: an alignment is a power of two from 1 to ${LARGEST_ALIGNMENT_BYTES}, not ${String(alignmentBytes)}`,
    { call, value: String(alignmentBytes), least: 1, most: LARGEST_ALIGNMENT_BYTES },
  );
}

/** @throws ERR_SHOAL_BAD_HANDLE for what cannot be a handle of any heap */
export function checkHandle(call: string, handle: Handle): void {
  if (handle >>> 0 === handle) return;
  throw shoalError(
    "ERR_SHOAL_BAD_HANDLE",
    `${call}: ${String(handle)} is no handle; handles are 32-bit offsets`,
    {
      call,
      handle: String(handle),
    },
  );
}
