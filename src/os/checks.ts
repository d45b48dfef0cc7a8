/**
 * Checks of arguments, shared by this room: what reaches the native addon is a number in range.
 */
import { shoalError } from "../errors.ts";
import { native } from "./native.ts";

/** The largest address this room takes: Linux gives programs 47 bits on x64, 48 on arm64. */
const maxAddress = 2 ** 48;

/** Bytes of a page of memory, the unit of mappings: 4096, or up to 65536 on arm64. */
export const pageSizeBytes = native.constants.PAGE_SIZE;

/** Throws ERR_SHOAL_ARGUMENT unless `value` is an integer from `least` to `most`; returns it. */
export function checkInteger(what: string, value: unknown, least: number, most: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
  const shown = typeof value === "number" ? value : `${typeof value} ${String(value)}`;
  const message = `${what} must be an integer from ${least} to ${most}, not ${shown}`;
  throw shoalError("ERR_SHOAL_ARGUMENT", message, { what, value: shown, least, most });
}

/** A descriptor. */
export function checkFd(fd: number): number {
  return checkInteger("fd", fd, 0, 0x7fffffff);
}

/** A size or an offset in bytes that a file can have. */
export function checkBytes(what: string, value: number, least = 0): number {
  return checkInteger(what, value, least, Number.MAX_SAFE_INTEGER);
}

/** Throws ERR_SHOAL_ARGUMENT unless `value` is a multiple of the page size. */
export function checkPageMultiple(what: string, value: number): number {
  if (value % pageSizeBytes === 0) return value;
  const message = `${what} must be a multiple of the page size, ${pageSizeBytes}; ${value} is not`;
  throw shoalError("ERR_SHOAL_ARGUMENT", message, { what, value, pageSizeBytes });
}

/** An address of a page. */
export function checkAddress(what: string, value: number): number {
  return checkPageMultiple(what, checkInteger(what, value, 0, maxAddress));
}

/** Throws ERR_SHOAL_ARGUMENT unless `value` is one of the keys of `table`; returns what the table has for it. */
export function checkChoice<Key extends string, Value>(
  what: string,
  value: Key,
  table: Readonly<Record<Key, Value>>,
): Value {
  if (Object.hasOwn(table, value)) return table[value];
  const choices = Object.keys(table).join(", ");
  throw shoalError("ERR_SHOAL_ARGUMENT", `${what} must be one of ${choices}, not ${String(value)}`, { what });
}

/** The bytes rounded up to whole pages. */
export function roundUpToPage(bytes: number): number {
  return Math.ceil(bytes / pageSizeBytes) * pageSizeBytes;
}
