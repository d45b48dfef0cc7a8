/**
 * Reading a header before its segment is mapped: from a private copy of the first 4 KiB, trusting nothing.
 *
 * The core checks the same words again when it attaches; here they get their own error codes.
 */

import { shoalError } from "../errors.ts";
import * as layout from "../layout/header.ts";
import { FORMAT_STAMP } from "../layout/stamp.ts";
import type { Geometry } from "./geometry.ts";

/** A header's words. Sizes in pages, offsets in bytes. */
export interface Header extends Geometry {
  readonly state: number;
  readonly uuid: Uint8Array;
  readonly creatorPid: number;
  readonly creatorStartTicks: number;
  readonly backend: number;
  readonly fixedAddress: number;
  readonly hasPrivateDirectory: boolean;
  readonly lockInode: number;
}

/** Sixteen bytes as 8-4-4-4-12 hexadecimal digits. */
export function formatUuid(bytes: Uint8Array): string {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

let ownSignature: Uint8Array | undefined;

/**
 * The first thing that a creator writes: what this will be, and whom an opener waits for. A whole header, zeros else.
 * It is the same for all that a process creates.
 */
export function signatureOf(creatorPid: number, creatorStartTicks: number): Uint8Array {
  if (ownSignature !== undefined) return ownSignature;
  const bytes = new Uint8Array(layout.HEADER_SIZE_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(layout.H_MAGIC, layout.MAGIC_LOW, true);
  view.setUint32(layout.H_MAGIC + 4, layout.MAGIC_HIGH, true);
  view.setUint32(layout.H_FORMAT, FORMAT_STAMP, true);
  view.setUint32(layout.H_BYTE_ORDER, layout.BYTE_ORDER_MARK, true);
  view.setUint32(layout.H_STATE, layout.STATE_INITIALISING, true);
  view.setUint32(layout.H_CREATOR_PID, creatorPid, true);
  view.setFloat64(layout.H_CREATOR_START, creatorStartTicks, true);
  ownSignature = bytes;
  return bytes;
}

/** How far a segment that is being created has come. */
export type Progress = "empty" | "initialising" | "ready" | "retired" | "foreign";

/**
 * What the first bytes of an object say. `lengthBytes` is how many there were.
 *
 * A file is signed with its first write, so one that is not, and not empty, is a stranger's. A System V segment has its size
 * before its creator can write to it, and the magic comes last: `mayBeBlank`. A state that nobody stores counts as ready,
 * so that parseHeader refuses it: a damaged segment is not one that may be replaced.
 */
export function progressOf(bytes: Uint8Array, lengthBytes: number, mayBeBlank: boolean): Progress {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (lengthBytes === 0) return "empty";
  if (lengthBytes < layout.HEADER_SIZE_BYTES) return "foreign";
  const low = view.getUint32(layout.H_MAGIC, true);
  const high = view.getUint32(layout.H_MAGIC + 4, true);
  const state = view.getUint32(layout.H_STATE, true);
  if (low !== layout.MAGIC_LOW || high !== layout.MAGIC_HIGH) {
    return mayBeBlank && low === 0 && (high === 0 || high === layout.MAGIC_HIGH) && isBlank(bytes)
      ? "initialising"
      : "foreign";
  }
  if (state === layout.STATE_RETIRED) return "retired";
  return state === layout.STATE_INITIALISING ? "initialising" : "ready";
}

/** Whether nothing is set but what the signature sets. */
function isBlank(bytes: Uint8Array): boolean {
  const isZero = (byte: number): boolean => byte === 0;
  return (
    bytes.subarray(layout.H_UUID, layout.H_STATE).every(isZero) &&
    bytes.subarray(layout.H_BACKEND, layout.HEADER_SIZE_BYTES).every(isZero)
  );
}

/** Whether the segment says that it is alone in a directory that was made for it. */
export function ownsDirectory(bytes: Uint8Array, lengthBytes: number): boolean {
  if (!["ready", "retired"].includes(progressOf(bytes, lengthBytes, false))) return false;
  const flags = new DataView(bytes.buffer, bytes.byteOffset).getUint32(layout.H_FLAGS, true);
  return (flags & layout.FLAG_PRIVATE_DIRECTORY) !== 0;
}

/**
 * The header in `bytes`, checked for being one of this build's.
 *
 * @throws ERR_SHOAL_FORMAT (other byte order or format stamp), ERR_SHOAL_CORRUPT (impossible numbers)
 */
export function parseHeader(bytes: Uint8Array, name: string): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (offset: number): number => view.getUint32(offset, true);
  checkFormat(word(layout.H_BYTE_ORDER), word(layout.H_FORMAT), name);
  const header: Header = {
    state: word(layout.H_STATE),
    uuid: bytes.slice(layout.H_UUID, layout.H_UUID + 16),
    creatorPid: word(layout.H_CREATOR_PID),
    creatorStartTicks: view.getFloat64(layout.H_CREATOR_START, true),
    backend: word(layout.H_BACKEND),
    allocator: word(layout.H_ALLOCATOR),
    spanPages: word(layout.H_SPAN_PAGES),
    growStepPages: word(layout.H_GROW_STEP_PAGES),
    sizePages: word(layout.H_SIZE_PAGES),
    slotCount: word(layout.H_SLOT_COUNT),
    slotsOffset: word(layout.H_SLOTS_OFFSET),
    rootCount: word(layout.H_ROOT_COUNT),
    rootsOffset: word(layout.H_ROOTS_OFFSET),
    tableOffset: word(layout.H_TABLE_OFFSET),
    tableBytesPerPage: word(layout.H_TABLE_BYTES_PER_PAGE),
    sideOffset: word(layout.H_SIDE_OFFSET),
    sideBytes: word(layout.H_SIDE_BYTES),
    minShift: word(layout.H_MIN_SHIFT),
    maxShift: word(layout.H_MAX_SHIFT),
    dataOffset: word(layout.H_DATA_OFFSET),
    fixedAddress: view.getFloat64(layout.H_FIXED_ADDRESS, true),
    hasPrivateDirectory: (word(layout.H_FLAGS) & layout.FLAG_PRIVATE_DIRECTORY) !== 0,
    lockInode: view.getFloat64(layout.H_LOCK_INODE, true),
  };
  checkNumbers(header, name);
  return header;
}

function checkFormat(byteOrder: number, stamp: number, name: string): void {
  if (byteOrder === layout.BYTE_ORDER_MARK && stamp === FORMAT_STAMP) return;
  const shown = `0x${stamp.toString(16)}`;
  const own = `0x${FORMAT_STAMP.toString(16)}`;
  throw shoalError(
    "ERR_SHOAL_FORMAT",
    `${name} has format ${shown} and byte order 0x${byteOrder.toString(16)}, this build has ${own}: use the same version of Shoal on both sides`,
    { name, stamp: shown, ownStamp: own },
  );
}

function checkNumbers(header: Header, name: string): void {
  const { state, spanPages, sizePages, dataOffset, fixedAddress } = header;
  const isSane =
    (state === layout.STATE_READY || state === layout.STATE_RETIRED) &&
    spanPages >= 1 &&
    spanPages <= layout.MAX_PAGE_COUNT &&
    sizePages >= 1 &&
    sizePages <= spanPages &&
    dataOffset <= sizePages * layout.PAGE_SIZE_BYTES &&
    Number.isSafeInteger(fixedAddress) &&
    fixedAddress % layout.PAGE_SIZE_BYTES === 0 &&
    fixedAddress >= 0 &&
    fixedAddress < 2 ** 48;
  if (isSane) return;
  throw shoalError(
    "ERR_SHOAL_CORRUPT",
    `the header of ${name} contradicts itself: size ${sizePages} and span ${spanPages} pages, data at ${dataOffset}, fixed address ${fixedAddress}`,
    { name, sizePages, spanPages, dataOffset, fixedAddress, offset: layout.H_SPAN_PAGES },
  );
}

/**
 * Compares the header with the object it was read from.
 *
 * A file longer than the header says is in order: a participant died between reserving storage and publishing it. One
 * longer than the span, or shorter than the header says, is not.
 *
 * @throws ERR_SHOAL_SIZE_MISMATCH
 */
export function checkObjectSize(header: Header, objectBytes: number, name: string): void {
  const sizeBytes = header.sizePages * layout.PAGE_SIZE_BYTES;
  const spanBytes = header.spanPages * layout.PAGE_SIZE_BYTES;
  if (objectBytes >= sizeBytes && objectBytes <= spanBytes) return;
  throw shoalError(
    "ERR_SHOAL_SIZE_MISMATCH",
    `the header of ${name} says ${sizeBytes} bytes of at most ${spanBytes}, the object has ${objectBytes}: it was truncated or is damaged`,
    { name, sizeBytes, spanBytes, objectBytes },
  );
}

/** The constants of the header that are the geometry's, with their offsets. */
export const CONSTANTS: readonly (readonly [offset: number, of: keyof Geometry])[] = [
  [layout.H_ALLOCATOR, "allocator"],
  [layout.H_SPAN_PAGES, "spanPages"],
  [layout.H_GROW_STEP_PAGES, "growStepPages"],
  [layout.H_SLOT_COUNT, "slotCount"],
  [layout.H_SLOTS_OFFSET, "slotsOffset"],
  [layout.H_ROOT_COUNT, "rootCount"],
  [layout.H_ROOTS_OFFSET, "rootsOffset"],
  [layout.H_TABLE_OFFSET, "tableOffset"],
  [layout.H_TABLE_BYTES_PER_PAGE, "tableBytesPerPage"],
  [layout.H_DATA_OFFSET, "dataOffset"],
  [layout.H_SIDE_OFFSET, "sideOffset"],
  [layout.H_SIDE_BYTES, "sideBytes"],
  [layout.H_MIN_SHIFT, "minShift"],
  [layout.H_MAX_SHIFT, "maxShift"],
];

/** Offset of the first of these in the header of this segment that is not what the geometry says; 0 = they are all. */
export function firstStrayConstant(buffer: ArrayBufferLike, geometry: Geometry): number {
  const view = new DataView(buffer, 0, layout.HEADER_SIZE_BYTES);
  return CONSTANTS.find(([offset, of]) => view.getUint32(offset, true) !== geometry[of])?.[0] ?? 0;
}
