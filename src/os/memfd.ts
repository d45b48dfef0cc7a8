/**
 * Memory files: memory with a descriptor and no name in any file system, handed on by descriptor.
 */
import { shoalError } from "../errors.ts";
import { checkResult } from "./errno.ts";
import { native } from "./native.ts";

/** The kernel's own limit: 255 less the "memfd:" that it puts before the name. */
const maxNameBytes = 249;

/** How a memory file is made. */
export interface MemfdOptions {
  /** Other programs may seal it (F_ADD_SEALS) against shrinking, growing and writing. Default false. */
  readonly allowSealing?: boolean;
}

/**
 * Creates an anonymous file in memory, of size 0. It is freed with its last descriptor and mapping.
 *
 * @param name shown in /proc only; need not be unique; at most 249 bytes
 * @returns the descriptor
 * @throws ERR_SHOAL_NAME, ERR_SHOAL_SYSTEM
 */
export function memfdCreate(name: string, options: MemfdOptions = {}): number {
  const lengthBytes = typeof name === "string" ? Buffer.byteLength(name) : Number.NaN;
  if (!(lengthBytes <= maxNameBytes) || name.includes("\0")) {
    const message = `a memory file's name is a string of at most ${maxNameBytes} bytes without NUL`;
    throw shoalError("ERR_SHOAL_NAME", message, { name: String(name), lengthBytes });
  }
  const flags = options.allowSealing ? native.constants.MFD_ALLOW_SEALING : 0;
  return checkResult(native.memfdCreate(name, flags), "memfd_create", { name, flags });
}
