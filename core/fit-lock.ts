/**
 * The lock of a first-fit heap, and what is put right when its holder died, or trapped, under it.
 *
 * The word holds the holder's slot index + 1. A call tries for a bounded time and then returns LOCKED; who waits, and for how
 * long, is decided in TypeScript.
 *
 * Under the lock a change of the blocks writes a *record* beside the lock: which blocks are to be where it works if it
 * does not come to its end. One or two blocks, the last of them free: for an allocation or a growing block those that there
 * were (the change is undone), for a free, a shrinking block or new pages those that there will be (it is finished). The
 * record's first word makes it count; writing that is the linearisation point of what is finished, clearing it of what is
 * undone. The index is brought up to date after that, still under the lock.
 *
 * A death leaves the lock with the dead one's number. Its recoverer puts the record's blocks where they belong, clears the
 * record, computes the index anew and only then releases the lock: each step can be repeated, and nobody else looks in
 * between. The same is done by a participant that finds its own number in the lock: a call of its own ended in a trap.
 */

import {
  FIT_FLAGS_MASK,
  FIT_LEAST_BLOCK_BYTES,
  FIT_PREVIOUS_FREE,
  FIT_RECORD_PARTS,
} from "../src/layout/fit";
import {
  H_FIT_FIRST,
  H_FIT_RECORD,
  H_FIT_SECOND,
  H_HEAP_LOCK,
  PAGE_SHIFT,
  PAGE_SIZE_BYTES,
} from "../src/layout/header";
import { LOCKED } from "../src/layout/result";
import { endPageOfBlocks, isStart, isUsed, sizeIn, startBit, startsAt } from "./fit-blocks";
import { noteOwnChange, rebuildIndex } from "./fit-index";
import {
  addFitChange,
  casHeapLock,
  getBlockWord,
  getFitRecord,
  getStarts,
  loadHeapLock,
  setBlockHeader,
  setBlockWord,
  setFitRecord,
  setFitRecordStart,
  setStarts,
  setTagBefore,
  storeFitEnd,
  storeHeapLock,
} from "./mem-fit";
import {
  corruptAt,
  dataOffset,
  fail,
  firstDataPage,
  me,
  reachablePages,
  setDetail,
  slotCount,
} from "./state";

/**
 * How often a call looks at a lock that is held; some hundred nanoseconds, longer than it is held for. In the checked build
 * a few times: each look is one more place where others may come in between, and all looks are alike.
 */
const SPINS: u32 = CHECKED ? 3 : 400;

/** Takes the lock for the participant `number` - 1. False: LOCKED or CORRUPT, see lastError(). */
@inline
export function lock(number: u32): bool {
  return casHeapLock(0, number) == 0 || lockSlowly(number);
}

@inline
export function unlock(): void {
  storeHeapLock(0);
}

function lockSlowly(number: u32): bool {
  let holder: u32 = 0;
  for (let spin: u32 = 0; spin < SPINS; spin++) {
    holder = loadHeapLock();
    if (holder == 0) {
      holder = casHeapLock(0, number);
      if (holder == 0) return true;
    }
    if (holder != number && holder != me) continue;
    // What this participant, or the one that it is recovering, did not come to the end of.
    finish();
    if (holder == number) return true;
    unlock();
  }
  if (holder > slotCount) {
    corruptAt(H_HEAP_LOCK);
    return false;
  }
  setDetail(holder - 1);
  fail(LOCKED);
  return false;
}

/** If the dead participant `owner` - 1 held the lock: puts right what it was at, and releases it. */
export function releaseLockOf(owner: u32): void {
  if (loadHeapLock() != owner) return;
  finish();
  unlock();
}

// The record

/** If this participant dies, there is to be one free block of `size` bytes at `start`. */
@inline
export function recordFree(start: u32, size: u32): void {
  noteOwnChange();
  addFitChange();
  setFitRecord(H_FIT_FIRST, size);
  setFitRecordStart(start | 1);
}

/** If this participant dies, the block at `start` is to have the size word `word`, with `freeBytes` free behind it. */
@inline
export function recordTwo(start: u32, word: u32, freeBytes: u32): void {
  noteOwnChange();
  addFitChange();
  setFitRecord(H_FIT_FIRST, word);
  setFitRecord(H_FIT_SECOND, freeBytes);
  setFitRecordStart(start | 2);
}

@inline
export function clearRecord(): void {
  setFitRecordStart(0);
}

/** Puts right what the holder of the lock was at. The lock stays as it is. */
function finish(): void {
  const record = getFitRecord(H_FIT_RECORD);
  const parts = record & FIT_RECORD_PARTS;
  if (parts != 0) {
    const second = parts == 2 ? getFitRecord(H_FIT_SECOND) : 0;
    establish(record & ~FIT_FLAGS_MASK, getFitRecord(H_FIT_FIRST), second);
    clearRecord();
  }
  const end = endPageOfBlocks();
  const reach = reachablePages();
  const first = firstDataPage();
  rebuildIndex((end < reach ? end : reach) - first);
}

/**
 * Makes the blocks from `start` on those that a record names: one with the size word `word` and, unless `freeBytes` is 0, a
 * free one behind it. A record that names what cannot be is passed over: verification tells what is wrong then.
 */
function establish(start: u32, word: u32, freeBytes: u32): void {
  const size = sizeIn(word);
  const total = <u64>size + freeBytes;
  const to = <u64>start + total;
  const least = <u32>FIT_LEAST_BLOCK_BYTES;
  if (start < <u32>dataOffset || size < least || (freeBytes != 0 && freeBytes < least)) return;
  if ((freeBytes & FIT_FLAGS_MASK) != 0 || to > (<u64>reachablePages()) << PAGE_SHIFT) return;
  const reached = (<u64>endPageOfBlocks()) << PAGE_SHIFT;
  if (to > reached && (to & (PAGE_SIZE_BYTES - 1)) != 0) return;

  establishStarts(start, to, freeBytes != 0 ? start + size : start);
  if (isUsed(word)) setBlockWord(start, word);
  else establishFree(start, size);
  if (freeBytes != 0) establishFree(start + size, freeBytes);
  if (to > reached) storeFitEnd(<u32>(to >> PAGE_SHIFT));
  else if (to < reached && isStart(<u32>to)) setBlockWord(<u32>to, getBlockWord(<u32>to) | FIT_PREVIOUS_FREE);
}

@inline
function establishFree(start: u32, size: u32): void {
  setBlockHeader(start, size);
  setTagBefore(start + size, size);
}

/** Of the places in [`from`, `to`) blocks begin at `from` and `other` alone. (One word at a time: see usableSize.) */
function establishStarts(from: u32, to: u64, other: u32): void {
  for (let at: u64 = from & ~511; at < to; at += 512) {
    const word = startsAt(<u32>at);
    let outside: u64 = 0;
    if (at < from) outside = startBit(from) - 1;
    // To the last bit of the word when all of it is inside.
    if (to < at + 512) outside |= ~(startBit(<u32>to) - 1);
    let wanted: u64 = 0;
    if (at == (from & ~511)) wanted |= startBit(from);
    if (at == (other & ~511)) wanted |= startBit(other);
    const before = getStarts(word);
    const now = (before & outside) | wanted;
    if (now != before) setStarts(word, now);
  }
}
