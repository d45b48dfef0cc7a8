/**
 * Fixed addresses: the segment mapped a second time, where every process has it.
 *
 * The creator looks for an address where nothing is mapped, from the middle of the address range outwards, and records it
 * in the header; every other process must have exactly that one. Nothing is ever unmapped to make room: the kernel is
 * asked for the range and refuses when it is taken. One process maps it once, however many of its threads and openings
 * share it (native/pins.c counts them).
 */

import { shoalError } from "../errors.ts";
import { PAGE_SIZE_BYTES } from "../layout/header.ts";
import { checkResult, errnoName } from "../os/errno.ts";
import { native } from "../os/native.ts";
import type { Backing } from "./backing.ts";
import type { AddressSearch } from "./options.ts";

export const DEFAULT_START_ADDRESS = 2 ** 46;
export const DEFAULT_HOP_BYTES = 2 ** 40;
export const DEFAULT_TRIES = 10;
export const DEFAULT_FACTOR = 1;

/** The addresses that a search tries, in order: start, start - hop, start + hop, start - 2 hop, … */
export function candidates(search: AddressSearch): number[] {
  const {
    startAddress = DEFAULT_START_ADDRESS,
    hopBytes = DEFAULT_HOP_BYTES,
    tries = DEFAULT_TRIES,
    factor = DEFAULT_FACTOR,
  } = search;
  checkMultiple("startAddress", startAddress);
  checkMultiple("hopBytes", hopBytes);
  if (!Number.isInteger(tries) || tries < 1 || tries > 10_000)
    throw argument("tries", tries, "an integer from 1 to 10000");
  if (!Number.isInteger(factor) || factor < 1 || factor > 1024)
    throw argument("factor", factor, "an integer from 1 to 1024");
  const found = [startAddress];
  for (let distance = hopBytes, hop = hopBytes; found.length < tries; hop *= factor, distance += hop) {
    found.push(startAddress - distance, startAddress + distance);
    if (distance > 2 ** 48) break;
  }
  return found.slice(0, tries).filter((address) => address >= PAGE_SIZE_BYTES && address < 2 ** 48);
}

function checkMultiple(what: string, value: number): void {
  if (
    Number.isSafeInteger(value) &&
    value >= PAGE_SIZE_BYTES &&
    value < 2 ** 48 &&
    value % PAGE_SIZE_BYTES === 0
  )
    return;
  throw argument(what, value, `a multiple of ${PAGE_SIZE_BYTES} below 2^48`);
}

function argument(what: string, value: number, allowed: string): Error {
  return shoalError("ERR_SHOAL_ARGUMENT", `${what} must be ${allowed}, not ${value}`, { what, value });
}

/** Maps the span at the first candidate that is free; returns the address. */
export function pinAnywhere(backing: Backing, spanBytes: number, search: AddressSearch): number {
  const tried = candidates(search);
  for (const address of tried) {
    const result = backing.pin(address, spanBytes);
    if (result >= 0) return address;
    if (!isTaken(result)) checkResult(result, "mmap", { address: hex(address), spanBytes });
  }
  throw shoalError(
    "ERR_SHOAL_NO_ADDRESS",
    `none of ${tried.length} addresses (${tried.slice(0, 3).map(hex).join(", ")}, …) has ${spanBytes} bytes free; search with another startAddress or hopBytes, or more tries`,
    { tries: tried.length, spanBytes },
  );
}

/** Maps the span at exactly `address`. */
export function pinAt(backing: Backing, address: number, spanBytes: number): void {
  const result = backing.pin(address, spanBytes);
  if (result >= 0) return;
  if (!isTaken(result)) checkResult(result, "mmap", { address: hex(address), spanBytes });
  throw shoalError(
    "ERR_SHOAL_ADDRESS_TAKEN",
    `${backing.name} must be mapped at ${hex(address)}, ${spanBytes} bytes, and this process has something else there; start it with other libraries or limits, or create the segment at another startAddress`,
    { address: hex(address), spanBytes, errno: errnoName(result) },
  );
}

/** The kernel says EEXIST; for System V segments, and for addresses beyond what it gives out, EINVAL or ENOMEM. */
function isTaken(result: number): boolean {
  return ["EEXIST", "EINVAL", "ENOMEM", "EPERM"].includes(errnoName(result));
}

/** Opens the first `sizeBytes` of a pinned span for reading and writing. Repeating it is harmless. */
export function openPinned(address: number, sizeBytes: number): void {
  const { PROT_READ, PROT_WRITE } = native.constants;
  checkResult(native.mprotect(address, sizeBytes, PROT_READ | PROT_WRITE), "mprotect", {
    address: hex(address),
    sizeBytes,
  });
}

export function hex(address: number): string {
  return `0x${address.toString(16)}`;
}
