/**
 * Ring: one producer, one consumer, a row of cells used over and over between a tail and a head.
 *
 * Invariants
 *     the word "producer" is the ident of who may write the tail, its line, and the cells from the tail on; "consumer" likewise
 *     of the head, its line, and the cells from the head to the tail. A role is taken by a compare-and-swap from 0, or from
 *     the ident of somebody who is gone
 *     head <= tail <= head + capacity (indexes wrap at 2^32)
 *     no cell from the tail on, up to the one at the head, holds a block, but the one at the tail while the producer is sending it
 *
 *     send       the message, in the cell at the tail    tail + 1 *
 *     receive    the message, in the cell at the head    head + 1 *
 * The starred stores are the linearisation points; that of receiving a message in a block is taking the block out of the cell
 * (hand-over.ts). Each side keeps what it last saw of the other's index, and looks again when that says that it can do nothing.
 *
 * Deaths. The next producer finds a block at the tail, perhaps, unless the ring is full (then the cell there is the one at the
 * head): it takes and frees it. The next consumer finds at the head a message whose block has been taken: it was received; or
 * one that is said to be lent: it is given back or, without CHANNEL_REDELIVER, dropped, in steps that can be repeated: the word
 * "held" says so; the block is taken out and freed; it is counted, together with the head, so it is counted once; head + 1.
 * "Entered" is the ident of who has done that, and may begin.
 */

import {
  CELL_BLOCK,
  CELL_DATA,
  CELL_OUT,
  CHANNEL_AGAIN,
  CHANNEL_EMPTY,
  CHANNEL_FULL,
  CHANNEL_OVER,
  CHANNEL_REDELIVER,
  CHANNEL_RELEASE,
  CHANNEL_STRANGE,
  CHANNEL_TAKEN,
  C_RING_DROPPED,
  RING_RECEIVERS,
  RING_SENDERS,
  ROOM_BEHIND,
} from "../src/layout/channel";
import { OK, TOO_LARGE } from "../src/layout/result";
import {
  capacity,
  cellBytes,
  cells,
  countOnce,
  flags,
  hasReceivers,
  hasSenders,
  headSide,
  isAt,
  mask,
  record,
  RING_WORD,
  tailSide,
  use,
} from "./channel-map";
import { isPassing, publish, take } from "./hand-over";
import { ident, isGone, slotOf } from "./ident";
import {
  addReceived,
  addSent,
  casRole,
  getCellLength,
  getHeld,
  getIndex,
  getKnown,
  getRoleEntered,
  loadEnded,
  loadIndex,
  loadPlace,
  loadRole,
  setCellLength,
  setHeld,
  setKnown,
  setRoleEntered,
  storeIndex,
  storePlace,
} from "./mem-channel";
import { corruptAt, fail, setDetail } from "./state";

@inline
function cellOf(index: u32): usize {
  return cells + (index & mask) * cellBytes;
}

/** Gets this participant the role of `side`. OK, or CHANNEL_TAKEN. */
function takeRole(side: usize): i32 {
  const holder = loadRole(side);
  if (holder == ident) return OK;
  if ((holder == 0 || isGone(holder)) && casRole(side, holder, ident)) return OK;
  setDetail(slotOf(loadRole(side)));
  return fail(CHANNEL_TAKEN);
}

/** Gives the role of the producer, or of the consumer, up; only between messages. */
export function resign(object: u32, isProducer: bool): void {
  if (!isAt(object, RING_WORD) && use(object, RING_WORD) != OK) return;
  const side = isProducer ? tailSide : headSide;
  if (loadRole(side) != ident) return;
  setRoleEntered(side, 0);
  casRole(side, ident, 0);
}

/** Takes a block out of `place` that nobody wants. OK: there was none; CHANNEL_RELEASE; or why not. */
function discard(place: usize): i32 {
  const block = loadPlace(place);
  if (block == 0) return OK;
  const result = take(place);
  if (result == OK) {
    setDetail(block);
    return fail(CHANNEL_RELEASE);
  }
  if (isPassing(result)) return result;
  // No block of the heap's: damage, and no reason to stop.
  storePlace(place, 0);
  return OK;
}

// The producer

function enterProducer(): i32 {
  let result = takeRole(tailSide);
  if (result != OK) return result;
  const tail = getIndex(tailSide);
  const head = loadIndex(headSide);
  // Of a full ring that cell is the one at the head, and what is in it is a message; no producer can have put anything there.
  if (tail - head < capacity) result = discard(cellOf(tail) + CELL_BLOCK);
  if (result != OK) return result;
  setKnown(tailSide, head);
  setRoleEntered(tailSide, ident);
  return OK;
}

/** The cell for the next message: its address, or a code: CHANNEL_FULL, CHANNEL_OVER, CHANNEL_TAKEN, … The same until it is sent. */
export function ringRoom(object: u32): u32 {
  if (!isAt(object, RING_WORD)) {
    const result = use(object, RING_WORD);
    if (result != OK) return result;
  }
  if (getRoleEntered(tailSide) != ident) {
    const result = enterProducer();
    if (result != OK) return result;
  }
  if (loadEnded(object) != 0) return CHANNEL_OVER;
  const tail = getIndex(tailSide);
  if (tail - getKnown(tailSide) >= capacity) {
    const head = loadIndex(headSide);
    if (tail - head >= capacity) return tail - head == capacity ? CHANNEL_FULL : corruptAt(headSide);
    setKnown(tailSide, head);
  }
  return <u32>cellOf(tail);
}

/** Puts this participant's own block into the cell for the next message. OK, or why not. */
export function ringPutBlock(object: u32, block: u32): i32 {
  if (!isProducing(object)) return fail(CHANNEL_STRANGE);
  return publish(block, cellOf(getIndex(tailSide)) + CELL_BLOCK);
}

/** Takes it out again: it is this participant's own. OK, with the block in errorDetail(), 0 = there is none; or why not. */
export function ringTakeBack(object: u32): i32 {
  if (!isProducing(object)) return fail(CHANNEL_STRANGE);
  return takeFrom(cellOf(getIndex(tailSide)));
}

function takeFrom(cell: usize): i32 {
  const block = loadPlace(cell + CELL_BLOCK);
  if (block != 0) {
    const result = take(cell + CELL_BLOCK);
    if (result != OK) return result;
  }
  setDetail(block);
  return OK;
}

@inline
function isProducing(object: u32): bool {
  return (isAt(object, RING_WORD) || use(object, RING_WORD) == OK) && getRoleEntered(tailSide) == ident;
}

@inline
function isConsuming(object: u32): bool {
  return (isAt(object, RING_WORD) || use(object, RING_WORD) == OK) && getRoleEntered(headSide) == ident;
}

/**
 * Sends the message of `length` bytes that is in `cell`, which ringRoom has named, or (`isOut`) in the block that was put there. Who
 * waits for it (RING_…), with ROOM_BEHIND if the cell behind is what ringRoom would name next; or minus a code.
 */
export function ringSend(object: u32, cell: u32, length: u32, isOut: bool): i32 {
  if (!isProducing(object)) return -fail(CHANNEL_STRANGE);
  if (isOut ? (length & CELL_OUT) != 0 : length > cellBytes - CELL_DATA) return -fail(TOO_LARGE);
  const tail = getIndex(tailSide);
  if (tail - getKnown(tailSide) >= capacity || <u32>cellOf(tail) != cell) return -fail(CHANNEL_STRANGE);
  setCellLength(cell, isOut ? length | CELL_OUT : length);
  addSent(record);
  storeIndex(tailSide, tail + 1);
  const behind = tail + 1 - getKnown(tailSide) < capacity ? ROOM_BEHIND : 0;
  return hasReceivers() ? RING_RECEIVERS | behind : behind;
}

// The consumer

function enterConsumer(): i32 {
  let result = takeRole(headSide);
  if (result != OK) return result;
  const head = getIndex(headSide);
  result = finishHead(head);
  if (result != OK) return result;
  setHeld(headSide, 0);
  setKnown(headSide, getIndex(headSide));
  setRoleEntered(headSide, ident);
  // Who waits for room is to know of it.
  return getIndex(headSide) == head ? OK : fail(CHANNEL_AGAIN);
}

/** What "held" says of the message at the head. */
const LENT: u64 = (<u64>1) << 32;
const DROPPING: u64 = (<u64>2) << 32;

/** What the consumer before was at: OK when that is done with. */
function finishHead(head: u32): i32 {
  if (loadIndex(tailSide) == head) return OK;
  const cell = cellOf(head);
  const held = getHeld(headSide);
  if (held != (DROPPING | head)) {
    const isReceived = (getCellLength(cell) & CELL_OUT) != 0 && loadPlace(cell + CELL_BLOCK) == 0;
    if (isReceived) {
      storeIndex(headSide, head + 1);
      return OK;
    }
    if (held != (LENT | head) || (flags & CHANNEL_REDELIVER) != 0) return OK;
    setHeld(headSide, DROPPING | head);
  }
  const result = discard(cell + CELL_BLOCK);
  if (result != OK) return result;
  countOnce(headSide + C_RING_DROPPED, ~head);
  storeIndex(headSide, head + 1);
  return OK;
}

/**
 * The cell of the next message, to be read now, or (`lent`) for as long as its user likes: its address, or a code: CHANNEL_EMPTY,
 * CHANNEL_OVER, CHANNEL_TAKEN, … The same until it is received.
 */
export function ringNextMessage(object: u32, lent: bool): u32 {
  if (!isAt(object, RING_WORD)) {
    const result = use(object, RING_WORD);
    if (result != OK) return result;
  }
  if (getRoleEntered(headSide) != ident) {
    const result = enterConsumer();
    if (result != OK) return result;
  }
  const head = getIndex(headSide);
  // None that is known of; or what is known is damaged.
  if (getKnown(headSide) - head - 1 >= capacity) {
    const ended = loadEnded(object);
    const tail = loadIndex(tailSide);
    if (tail == head) return ended != 0 ? CHANNEL_OVER : CHANNEL_EMPTY;
    if (tail - head > capacity) return corruptAt(tailSide);
    setKnown(headSide, tail);
  }
  if (lent) setHeld(headSide, LENT | head);
  return <u32>cellOf(head);
}

/** As ringNextMessage; if there is none it looks again, `looks` times in all. */
export function ringSpin(object: u32, lent: bool, looks: u32): u32 {
  let result = ringNextMessage(object, lent);
  for (let left = looks; left > 1 && result == CHANNEL_EMPTY; left--) {
    if (loadIndex(tailSide) == getIndex(headSide)) continue;
    result = ringNextMessage(object, lent);
  }
  return result;
}

/** Takes the block of the message at the head out of its cell. As ringTakeBack. */
export function ringTakeBlock(object: u32): i32 {
  if (!isConsuming(object)) return fail(CHANNEL_STRANGE);
  return takeFrom(cellOf(getIndex(headSide)));
}

/** Has received the message at the head, whose block is taken. Who may go on (RING_…), or minus a code. */
export function ringReceived(object: u32): i32 {
  if (!isConsuming(object)) return -fail(CHANNEL_STRANGE);
  const head = getIndex(headSide);
  if (head == getKnown(headSide)) return -fail(CHANNEL_STRANGE);
  addReceived(record);
  storeIndex(headSide, head + 1);
  return hasSenders() ? RING_SENDERS : 0;
}

/** The message at the head is not lent any more, and still the next. */
export function ringGiveBack(object: u32): void {
  if (isConsuming(object)) setHeld(headSide, 0);
}

/** How many messages are ready. */
export function ringDepth(object: u32): u32 {
  if (!isAt(object, RING_WORD) && use(object, RING_WORD) != OK) return 0;
  const count = loadIndex(tailSide) - loadIndex(headSide);
  return count <= capacity ? count : capacity;
}
