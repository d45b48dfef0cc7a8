/**
 * What stands in a call's way, and what is done about it.
 *
 * The core never waits, maps or asks the system for anything: when it cannot go on it says why, and changes nothing. Here
 * the obstacle is cleared where that is possible, and the caller repeats the call.
 */

import { shoalError } from "../errors.ts";
import { ALLOCATOR_SLAB, PAGE_SIZE_BYTES } from "../layout/header.ts";
import { PAGE_FREE, PAGE_HOLLOW } from "../layout/page.ts";
import { BUSY, LOCKED, NEED_CATCH_UP, NEED_PAGES, NEED_STORAGE } from "../layout/result.ts";
import type { HeapCore } from "../region/core.ts";
import type { Region } from "../region/index.ts";
import { countHeap } from "./stats.ts";
import { restorePages, storeOwners } from "./trim.ts";

/** How long a call waits for a lock whose holder is alive and does not go on. */
const LOCK_TIMEOUT_MS = 5000;

/** A heap that is not told how to grow doubles, by no less and no more than this at a time. */
const LEAST_STEP_PAGES = 16;
const MOST_STEP_PAGES = 1024;

const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** A call that was refused, for messages. */
export interface Refused {
  readonly call: string;
  /** What it asked for; 0 when it asked for no memory. */
  readonly sizeBytes: number;
  /** Out of memory is no error to the caller: that costs no count of what there is. */
  readonly isTried: boolean;
  /** When it began to wait for a lock, in milliseconds (performance.now); 0 = it does not. */
  waitingSinceMs: number;
}

/**
 * Does what can be done about the refusal `code`; true when something was, so that the call is worth repeating.
 *
 * @throws ERR_SHOAL_OUT_OF_MEMORY, ERR_SHOAL_NO_SPACE, ERR_SHOAL_TIMEOUT
 */
export function clear(region: Region, core: HeapCore, code: number, refused: Refused): boolean {
  switch (code) {
    case NEED_CATCH_UP:
      return region.catchUp();
    case NEED_PAGES:
      return restorePages(region, core) || growFor(region, refused, core.errorDetail() >>> 0);
    case NEED_STORAGE:
      return storeOwners(region, core);
    case LOCKED:
      awaitLock(region, core.errorDetail() >>> 0, refused);
      return true;
    case BUSY:
      awaitChange(region, refused);
      return true;
    default:
      return false;
  }
}

/**
 * Waits a little for the participant in slot `holder` to release a lock; recovers it if it has died. The core has spun for
 * a while already.
 */
export function awaitLock(region: Region, holder: number, refused: Refused): void {
  if (region.recover() > 0) return;
  const nowMs = performance.now();
  if (refused.waitingSinceMs === 0) refused.waitingSinceMs = nowMs;
  if (nowMs - refused.waitingSinceMs > LOCK_TIMEOUT_MS) {
    const pid = region.survey.slotPid(holder) >>> 0;
    throw shoalError(
      "ERR_SHOAL_TIMEOUT",
      `${refused.call}: a lock is held by process ${pid} (slot ${holder}), which is alive and has not gone on for ${LOCK_TIMEOUT_MS} ms: is it stopped?`,
      { call: refused.call, pid, slot: holder, timeoutMs: LOCK_TIMEOUT_MS },
    );
  }
  Atomics.wait(sleeper, 0, 0, 1);
}

/**
 * Waits a little while somebody is in the middle of changing the very block. If it has died there, recovery says what has
 * become of the block; and somebody else may be just about that recovery, so that there is none to be done here.
 *
 * Two who use one block without agreeing get here, and then learn what the other one has made of it. So does, in a buddy heap
 * and through nobody's fault, an adoption of a block where a third one was about to allocate one of its own.
 */
function awaitChange(region: Region, refused: Refused): void {
  if (region.recover() > 0) return;
  const nowMs = performance.now();
  if (refused.waitingSinceMs === 0) refused.waitingSinceMs = nowMs;
  if (nowMs - refused.waitingSinceMs > LOCK_TIMEOUT_MS) {
    throw shoalError(
      "ERR_SHOAL_TIMEOUT",
      `${refused.call}: another participant, which is alive, is in the middle of changing that block and has not gone on for ${LOCK_TIMEOUT_MS} ms: is it stopped?`,
      { call: refused.call, timeoutMs: LOCK_TIMEOUT_MS },
    );
  }
  Atomics.wait(sleeper, 0, 0, 1);
}

/**
 * Adds pages, after looking whether others have or whether the dead have left any. `pages`: for a slab heap how many
 * consecutive ones are wanted, else how many more.
 */
function growFor(region: Region, refused: Refused, pages: number): true {
  if (region.catchUp() || region.recover() > 0) return true;
  const { allocator, spanPages, growStepPages, dataOffset } = region.session.geometry;
  const current = region.segmentSizeBytes / PAGE_SIZE_BYTES;
  // What is free at the end counts. What cannot be had even with the whole span is not grown for.
  const atEnd = allocator === ALLOCATOR_SLAB ? freePagesAtEnd(region, current, pages) : 0;
  const missing = Math.max(pages - atEnd, 1);
  const least = current + missing;
  if (least > spanPages) throw outOfMemory(region, refused);
  const doubled = Math.min(
    Math.max(current - dataOffset / PAGE_SIZE_BYTES, LEAST_STEP_PAGES),
    MOST_STEP_PAGES,
  );
  const wished = Math.min(
    current + Math.max(growStepPages > 0 ? growStepPages : doubled, missing),
    spanPages,
  );
  try {
    region.growToPages(wished);
  } catch (error) {
    // Perhaps there is storage for what is needed, if not for the whole step.
    if (wished === least) throw error;
    region.growToPages(least);
  }
  return true;
}

function isFree(kind: number): boolean {
  return kind === PAGE_FREE || kind === PAGE_HOLLOW;
}

/** How many pages before page `end` are free, `most` at most. */
function freePagesAtEnd({ survey, dataOffset }: Region, end: number, most: number): number {
  // The pages before the data are nobody's to allocate, and look free.
  const limit = Math.min(most, end - dataOffset / PAGE_SIZE_BYTES);
  let count = 0;
  while (count < limit && isFree(survey.pageKind(end - 1 - count))) count++;
  return count;
}

/** There is no room for what was asked, and there cannot be. */
export function outOfMemory(region: Region, { call, sizeBytes, isTried }: Refused): Error {
  const { spanBytes, segmentSizeBytes } = region;
  if (isTried) return shoalError("ERR_SHOAL_OUT_OF_MEMORY", `${call}: no room`, { call, sizeBytes });
  const { largestFreeBytes } = countHeap(region);
  return shoalError(
    "ERR_SHOAL_OUT_OF_MEMORY",
    `${call}: no room for ${sizeBytes} bytes: the heap has ${segmentSizeBytes} of at most ${spanBytes} bytes, the largest free piece is ${largestFreeBytes} bytes; free something, or create the heap with a larger spanBytes`,
    { call, sizeBytes, segmentSizeBytes, spanBytes, largestFreeBytes },
  );
}

/** The request is larger than any block of this heap can be. */
export function tooLarge(region: Region, refused: Refused): Error {
  const { maxShift } = region.session.geometry;
  if (maxShift === 0) return outOfMemory(region, refused);
  const { call, sizeBytes } = refused;
  const maxBlockBytes = 2 ** maxShift;
  return shoalError(
    "ERR_SHOAL_OUT_OF_MEMORY",
    `${call}: no room for ${sizeBytes} bytes: this buddy heap's blocks have at most ${maxBlockBytes}; create it with a larger maxBlockBytes, or with another allocator`,
    { call, sizeBytes, maxBlockBytes },
  );
}
