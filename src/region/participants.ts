/**
 * Participants: who has the segment open, who of them lives, and what is done for those who died.
 *
 * A slot belongs to whoever holds the exclusive lock on the byte at the slot's own offset. The kernel drops the lock
 * on any death. Taking a slot, leaving it and recovering a dead one's all happen with that lock held, so there is one
 * of each at a time, and whoever dies in the middle is recovered like any other.
 */

import { readFileSync } from "node:fs";
import { threadId } from "node:worker_threads";
import { shoalError } from "../errors.ts";
import { OK } from "../layout/result.ts";
import { HEADER_SIZE_BYTES } from "../layout/header.ts";
import {
  SLOT_EPOCH_SHIFT,
  SLOT_FREE,
  SLOT_RECOVERING,
  SLOT_SIZE_BYTES,
  SLOT_STATE_MASK,
  S_BELL,
} from "../layout/slot.ts";
import { native } from "../os/native.ts";
import { probeLock, tryLock, unlock } from "../os/index.ts";
import type { Core, Survey } from "./core.ts";
import { guarded } from "./traps.ts";

/** One participant, as its slot and its lock show it. */
export interface ParticipantInfo {
  readonly index: number;
  /** How many participants have had the slot before. */
  readonly epoch: number;
  readonly state: "live" | "recovering";
  readonly pid: number;
  /** 0 for a main thread, else the worker's `threadId`. */
  readonly threadId: number;
  /** When its process started, in clock ticks since boot: tells a process from a later one of the same pid. */
  readonly startTicks: number;
  readonly openedAt: Date;
  /** Whether it holds its lock. False: it has died and nobody has recovered it yet. */
  readonly alive: boolean;
  /** Whether it is the one asking. */
  readonly self: boolean;
}

/** What this file needs to know of an open segment. */
export interface Seat {
  readonly core: Core;
  readonly lockFd: number;
  readonly slotCount: number;
  readonly slotsOffset: number;
  /** Of the segment's first byte in this process. */
  readonly address: number;
  /** Makes the participant's memory as large as the segment is now. */
  catchUp(): void;
}

/** The creator's slot. */
export const CREATOR_SLOT = 0;

/** The byte whose lock says, while a segment is not ready, that its creator is at work: that of the creator's slot. */
export const CREATOR_BYTE = { offset: HEADER_SIZE_BYTES + CREATOR_SLOT * SLOT_SIZE_BYTES } as const;

/** The byte whose lock means "there is somebody in slot `index`". */
function lockByte(seat: Seat, index: number): { offset: number } {
  return { offset: seat.slotsOffset + index * SLOT_SIZE_BYTES };
}

let ownStartTicks: number | undefined;

/** When this process started, in clock ticks since boot; 0 where /proc does not say. */
export function processStartTicks(): number {
  if (ownStartTicks === undefined) {
    try {
      // Field 22; counted from behind the command's name, which may contain anything.
      const text = readFileSync("/proc/self/stat", "latin1");
      ownStartTicks = Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[19]);
    } catch {
      ownStartTicks = 0; // no /proc: pids alone must do, for display only
    }
  }
  return ownStartTicks;
}

function isTaken(seat: Seat, index: number): boolean {
  return seat.core.findSlot(index, 1) !== index;
}

/**
 * Recovers every participant that has died. Returns how many there were.
 *
 * Once is not enough when several have died: one may be in the way of another's recovery with a lock that it held, and is
 * itself recovered only after that has been tried. Each further round means that somebody was recovered in the last one.
 */
export function recoverDead(seat: Seat, ownIndex: number): number {
  let count = 0;
  for (let recovered = -1; recovered !== 0; count += recovered) recovered = recoverOnce(seat, ownIndex);
  return count;
}

function recoverOnce(seat: Seat, ownIndex: number): number {
  let count = 0;
  for (let index = seat.core.findSlot(0, 0); index >= 0; index = seat.core.findSlot(index + 1, 0)) {
    if (index !== ownIndex && recoverIfDead(seat, index)) count++;
  }
  return count;
}

/** Recovers slot `index` if nobody holds its lock. */
export function recoverIfDead(seat: Seat, index: number): boolean {
  const byte = lockByte(seat, index);
  if (probeLock(seat.lockFd, byte) !== undefined || !tryLock(seat.lockFd, byte)) return false;
  try {
    // Somebody else may have recovered it between the look and the lock.
    if (!isTaken(seat, index)) return false;
    return recoverHeld(seat, index);
  } finally {
    unlock(seat.lockFd, byte);
  }
}

/**
 * Recovers slot `index`, whose lock the caller holds. Only now is it certain that its participant grows and claims
 * nothing any more, so only now is it known how large the segment is that has to be looked through.
 *
 * False when a lock that recovery needs is held by somebody alive: then the slot stays taken, for somebody to try again.
 */
function recoverHeld(seat: Seat, index: number): boolean {
  seat.catchUp();
  if (guarded("recover", seat.core, () => seat.core.recoverSlot(index, 1)) !== OK) return false;
  wakeEverybody(seat);
  return true;
}

/** The core has rung everybody; this is the system call that belongs to it. SYNC with ringEverybody in core/bells.ts. */
function wakeEverybody(seat: Seat): void {
  for (let index = seat.core.findSlot(0, 0); index >= 0; index = seat.core.findSlot(index + 1, 0))
    native.futexWake(seat.address + seat.slotsOffset + index * SLOT_SIZE_BYTES + S_BELL, 0x7fffffff);
}

/**
 * Takes a slot for the calling thread; its lock is held from here until the backing closes.
 *
 * @returns the slot's index
 * @throws ERR_SHOAL_PARTICIPANTS_FULL
 */
export function takeSeat(seat: Seat): number {
  // Twice: somebody who looks after the dead may hold a slot's lock for a moment without being in it.
  const index = tryTakeSeat(seat) ?? tryTakeSeat(seat);
  if (index !== undefined) return index;
  throw shoalError(
    "ERR_SHOAL_PARTICIPANTS_FULL",
    `all ${seat.slotCount} participant slots are taken by processes and workers that live: close some, or create the segment with a larger maxParticipants`,
    { maxParticipants: seat.slotCount },
  );
}

function tryTakeSeat(seat: Seat): number | undefined {
  // Taken slots are passed by without a system call.
  for (let index = seat.core.findSlot(0, 1); index >= 0; index = seat.core.findSlot(index + 1, 1)) {
    if (!tryLock(seat.lockFd, lockByte(seat, index))) continue;
    // With the lock held nobody else takes or recovers it. Whoever had it in between died or left.
    if (isTaken(seat, index) && !recoverHeld(seat, index)) {
      unlock(seat.lockFd, lockByte(seat, index));
      continue;
    }
    sitDown(seat, index);
    return index;
  }
  return undefined;
}

/** Makes slot `index`, whose lock the caller holds and which is free, the calling thread's. */
export function sitDown(seat: Seat, index: number): void {
  seat.core.takeSlot(index, process.pid, processStartTicks(), threadId, Date.now());
}

/**
 * Leaves slot `index` in good order: what its participant owned is given back, then its lock. (What cannot be given back
 * now, because a lock is held, is left to whoever recovers the slot.)
 */
export function leaveSeat(seat: Seat, index: number): void {
  guarded("close", seat.core, () => seat.core.recoverSlot(index, 0));
  wakeEverybody(seat);
  unlock(seat.lockFd, lockByte(seat, index));
}

/**
 * Makes sure that nobody else who lives has the segment open, nor opens it before `step` has ended (who tries finds all slots
 * taken).
 *
 * @throws ERR_SHOAL_IN_USE
 */
export function aloneIn<T>(seat: Seat, ownIndex: number, step: () => T): T {
  const held: number[] = [];
  try {
    for (let index = 0; index < seat.slotCount; index++) {
      if (index === ownIndex) continue;
      if (tryLock(seat.lockFd, lockByte(seat, index))) held.push(index);
      else throw inUse(index);
    }
    return step();
  } finally {
    for (const index of held) unlock(seat.lockFd, lockByte(seat, index));
  }
}

function inUse(slot: number): Error {
  return shoalError(
    "ERR_SHOAL_IN_USE",
    `the participant in slot ${slot} is alive and has the segment open; this needs to be done alone: close it there first`,
    { slot },
  );
}

/** The slots that are in use. */
export function listParticipants(seat: Seat, survey: Survey, ownIndex: number): ParticipantInfo[] {
  const found: ParticipantInfo[] = [];
  for (let index = 0; index < seat.slotCount; index++) {
    const word = survey.slotState(index) >>> 0;
    const state = word & SLOT_STATE_MASK;
    if (state === SLOT_FREE) continue;
    const self = index === ownIndex;
    found.push({
      index,
      epoch: word >>> SLOT_EPOCH_SHIFT,
      state: state === SLOT_RECOVERING ? "recovering" : "live",
      pid: survey.slotPid(index) >>> 0,
      threadId: survey.slotThread(index) >>> 0,
      startTicks: survey.slotStart(index),
      openedAt: new Date(survey.slotOpened(index)),
      alive: self || probeLock(seat.lockFd, lockByte(seat, index)) !== undefined,
      self,
    });
  }
  return found;
}
