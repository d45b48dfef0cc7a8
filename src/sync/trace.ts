/**
 * With SHOAL_TRACE=1 in its environment a participant leaves word where in its program it took what it holds: a block of its own
 * with the stack as text, which goes with it when it dies. For debugging: it costs some microseconds a lock.
 *
 *     block   0  object u32: the object's handle, so that an old handle leads to nothing wrong     4  length u32 (bytes)
 *             8  UTF-8
 */

import type { HeapCore } from "../region/core.ts";
import type { Region } from "../region/index.ts";
import { Y_TRACE } from "../layout/sync.ts";
import type { SyncContext } from "./context.ts";

export const isTraced = process.env["SHOAL_TRACE"] === "1";

const MOST_TEXT_BYTES = 4000;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** This package's own lines at the head of a stack: bundled, and as they were written. */
const ownFolder = new URL(".", import.meta.url).href;
const ownSource = /\/src\/sync\/[a-z-]+\.ts/;

/** Where a program calls something that takes a lock. Undefined without SHOAL_TRACE=1. */
export function callPlace(): Error | undefined {
  return isTraced ? new Error("taken here") : undefined;
}

function textOf(place: Error): Uint8Array {
  const lines = (place.stack ?? "").split("\n").slice(1);
  while (lines.length > 1 && (lines[0]!.includes(ownFolder) || ownSource.test(lines[0]!))) lines.shift();
  return encoder.encode(lines.map((line) => line.trim()).join("\n")).subarray(0, MOST_TEXT_BYTES);
}

/** Leaves the stack of `place` with `object`, which this participant holds. Without room for that it leaves none. */
export function remember({ region }: SyncContext, object: number, place: Error): void {
  const core = region.session.overlay.core as HeapCore;
  const text = textOf(place);
  const block = core.allocWith(text.length + 8, 0, 1, 0) >>> 0;
  if (block === 0 || block + text.length + 8 > region.buffer.byteLength) return;
  new Uint32Array(region.buffer, block, 2).set([object, text.length]);
  new Uint8Array(region.buffer, block + 8, text.length).set(text);
  traceWord(region, object)[0] = block;
}

/** Takes it away again, before the object is released. What somebody else has left stays. */
export function forget({ region }: SyncContext, object: number): void {
  const word = traceWord(region, object);
  const block = word[0]!;
  if (block === 0 || ownerOf(region, block) !== region.slotIndex) return;
  word[0] = 0;
  (region.session.overlay.core as HeapCore).free(block);
}

/** The stack that the holder in slot `slotIndex` has left; undefined when it has not. */
export function stackOf(region: Region, object: number, slotIndex: number): string | undefined {
  const block = traceWord(region, object)[0]!;
  if (block === 0 || block % 8 !== 0 || ownerOf(region, block) !== slotIndex) return undefined;
  const sizeBytes = region.survey.usableSize(block) >>> 0;
  if (sizeBytes < 8 || block + sizeBytes > region.buffer.byteLength) return undefined;
  const [owner = 0, lengthBytes = 0] = new Uint32Array(region.buffer, block, 2);
  if (owner !== object || lengthBytes > sizeBytes - 8) return undefined;
  // Decoders refuse shared memory on some runtimes: a copy.
  return decoder.decode(new Uint8Array(region.buffer, block + 8, lengthBytes).slice());
}

function traceWord(region: Region, object: number): Uint32Array {
  return new Uint32Array(region.buffer, object + Y_TRACE, 1);
}

/** Slot index of a block's owner; -1 when it has none. */
function ownerOf(region: Region, block: number): number {
  return (region.survey.ownerOf(block) >>> 0) - 1;
}
