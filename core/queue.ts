/**
 * Queue: many senders, many receivers, a row of cells used over and over; each has a word that says whose turn it is.
 *
 * Position p is cell p % capacity in turn p / capacity. A cell goes through its phases for one position, then begins the next
 * turn; every step but the last is a compare-and-swap of the cell's state, or a store by the one who is named there:
 *
 *     FREE(t) -> WRITING(sender, t) -> READY(t) -> READING or HELD(receiver, t) -> FREE(t + 1)
 *
 *     send       claim: cas FREE -> WRITING    the message    store READY *
 *     receive    claim: cas READY -> READING   the message    store FREE(t + 1) *
 *     give up    store FREE(t + 1) from WRITING: receivers pass the cell
 *     give back  store READY from READING or HELD, then the head goes back to it
 * The starred stores are the linearisation points; that of receiving a message in a block is taking the block out of the cell
 * (hand-over.ts), after which nobody else can have it.
 *
 * Invariants
 *     positions are claimed by senders in their order: the one that is claimed is the first that is FREE in its turn
 *     the name in a cell's state is of who may touch the rest of the cell, and nobody else changes the state while that lives
 *     no READY cell stays behind the head: who makes one there (give back, sweep) sets the head back afterwards
 * The tail and the head are hints: from where a search begins. A search steps over cells that are ahead of its turn, or
 * claimed. A head is moved on by a compare-and-swap from what the search began with, and moving it back changes its version:
 * so a search that began before the cell was given back cannot move it over that cell.
 *
 * First come, first served: a receiver does not pass a cell that somebody who lives is WRITING.
 *
 * Deaths are put right by whoever receives afterwards, or finds the channel full: queue-sweep.ts.
 *
 * Who waits. A sender rings a receiver after its store of READY, a receiver a sender after its store of FREE. One ring for one
 * message is not enough: the one that is rung may find the next cell still being written, and wait again, while the message
 * behind it is what it was rung for. So whoever claims a cell looks whether the one behind is ready as well (or free, for
 * senders), and somebody waits: then it rings for that.
 */

import {
  CELL_BLOCK,
  CELL_DATA,
  CELL_FREE,
  CELL_HELD,
  CELL_NAME_SHIFT,
  CELL_OUT,
  CELL_PHASE_MASK,
  CELL_READING,
  CELL_READY,
  CELL_SKIPPING,
  CELL_TURN_MASK,
  CELL_TURN_SHIFT,
  CELL_WRITING,
  CHANNEL_AGAIN,
  CHANNEL_BLOCKED,
  CHANNEL_EMPTY,
  CHANNEL_FULL,
  CHANNEL_LINE_BYTES,
  CHANNEL_OVER,
  CHANNEL_REDELIVER,
  CHANNEL_STRANGE,
  POSITION_BITS,
  RING_RECEIVERS,
  RING_SENDERS,
} from "../src/layout/channel";

import { OK, TOO_LARGE } from "../src/layout/result";
import {
  capacity,
  cellBytes,
  cells,
  flags,
  hasReceivers,
  hasSenders,
  headSide,
  isAt,
  mask,
  QUEUE_WORD,
  record,
  shift,
  tailSide,
  use,
} from "./channel-map";
import { publish, take } from "./hand-over";
import { ident, isGone } from "./ident";
import {
  addReceived,
  addSent,
  casCellState,
  casPosition,
  getSwept,
  loadCellState,
  loadEnded,
  loadPlace,
  loadPosition,
  setCellLength,
  storeCellState,
} from "./mem-channel";
import { loadDepartures } from "./mem-sync";
import { moveHeadBack, sweep } from "./queue-sweep";
import { fail, setDetail } from "./state";

export const POSITION_MASK: u64 = ((<u64>1) << POSITION_BITS) - 1;

// A cell's state

@inline
export function phaseIn(state: u64): u32 {
  return (<u32>state) & CELL_PHASE_MASK;
}

@inline
export function nameIn(state: u64): u32 {
  return <u32>(state >> CELL_NAME_SHIFT);
}

@inline
export function turnIn(state: u64): u32 {
  return <u32>(state >> CELL_TURN_SHIFT);
}

@inline
export function stateOf(phase: u32, name: u32, turn: u32): u64 {
  return ((<u64>turn) << CELL_TURN_SHIFT) | ((<u64>name) << CELL_NAME_SHIFT) | phase;
}

@inline
export function nextTurn(turn: u32): u32 {
  return (turn + 1) & CELL_TURN_MASK;
}

@inline
export function cellAt(position: u64): usize {
  return cells + ((<u32>position) & mask) * cellBytes;
}

@inline
export function turnOf(position: u64): u32 {
  return (<u32>(position >> shift)) & CELL_TURN_MASK;
}

/** How many turns `turn` is ahead of `other`; turns wrap. */
@inline
export function turnsBetween(turn: u32, other: u32): i32 {
  return (<i32>((turn - other) << 3)) >> 3;
}

/** Whether `cell` can be one of the channel's. */
@inline
function isCell(cell: usize): bool {
  return cell - cells < <usize>capacity * cellBytes && ((cell - cells) & (CHANNEL_LINE_BYTES - 1)) == 0;
}

/** More steps than a search can need unless others get something done meanwhile. */
@inline
function mostSteps(): u32 {
  return (capacity << 1) + 2;
}

/** Whether somebody is gone since this participant has last swept the channel. */
@inline
function isStale(): bool {
  return loadDepartures() != getSwept(record);
}

// Sending

/**
 * Claims the next cell for a message. Its address; with RING_SENDERS added if the one behind is free, too, and senders wait for
 * room. Or a code: CHANNEL_FULL, CHANNEL_OVER, …
 */
export function claimSend(object: u32): u32 {
  if (!isAt(object, QUEUE_WORD)) {
    const result = use(object, QUEUE_WORD);
    if (result != OK) return result;
  }
  if (loadEnded(object) != 0) return CHANNEL_OVER;
  const hint = loadPosition(tailSide);
  let position = hint & POSITION_MASK;
  for (let left = mostSteps(); left > 0; left--) {
    const cell = cellAt(position);
    const state = loadCellState(cell);
    const turn = turnOf(position);
    const ahead = turnsBetween(turnIn(state), turn);
    if (ahead < 0) return whyFull(state, hint);
    if (ahead == 0 && phaseIn(state) == CELL_FREE) {
      if (casCellState(cell, state, stateOf(CELL_WRITING, ident, turn)))
        return claimed(object, cell, hint, position);
      continue;
    }
    // A cell that is ahead was claimed in the turn before that.
    if (ahead > 1) position += (<u64>(ahead - 1)) << shift;
    position = (position + 1) & POSITION_MASK;
  }
  return CHANNEL_FULL;
}

function claimed(object: u32, cell: usize, hint: u64, position: u64): u32 {
  const next = (position + 1) & POSITION_MASK;
  casPosition(tailSide, hint, next);
  // SYNC with end: a receiver that finds no message after the end finds this claim, or this finds the end.
  if (loadEnded(object) != 0) {
    storeCellState(cell, stateOf(CELL_FREE, 0, nextTurn(turnOf(position))));
    return CHANNEL_OVER;
  }
  return (<u32>cell) | (hasSenders() && isFreeAt(next) ? RING_SENDERS : 0);
}

function isFreeAt(position: u64): bool {
  return loadCellState(cellAt(position)) == stateOf(CELL_FREE, 0, turnOf(position));
}

/** The cell that would be next is still in use in the turn before. `hint`: the tail where the search began. */
function whyFull(state: u64, hint: u64): u32 {
  // (One that this participant itself has begun to clear was left by a call that ended in an error.)
  const isOwn = nameIn(state) == ident && phaseIn(state) >= <u32>CELL_SKIPPING;
  if (isStale() || isOwn || (nameIn(state) != 0 && isGone(nameIn(state)))) {
    const result = sweep();
    return result == OK ? CHANNEL_FULL : result;
  }
  // Full, and nothing there? Then all was received meanwhile, or the tail is damaged. A tail too low harms nobody.
  const head = loadPosition(headSide) & POSITION_MASK;
  if (head == hint || !isFreeAt(head)) return CHANNEL_FULL;
  casPosition(tailSide, hint, head);
  return CHANNEL_AGAIN;
}

/** Whether the claimed cell is this participant's in phase `phase`; its state, else 0. */
@inline
function mine(object: u32, cell: usize): u64 {
  if (!isAt(object, QUEUE_WORD) && use(object, QUEUE_WORD) != OK) return 0;
  if (!isCell(cell)) return 0;
  const state = loadCellState(cell);
  return nameIn(state) == ident ? state : 0;
}

/** Puts this participant's own block into a cell that it is writing: the message is there. OK, or why not. */
export function putBlock(object: u32, cell: usize, block: u32): i32 {
  if (phaseIn(mine(object, cell)) != CELL_WRITING) return fail(CHANNEL_STRANGE);
  return publish(block, cell + CELL_BLOCK);
}

/**
 * Sends the message of `length` bytes that is in the cell, or in the block that was put there. Who waits for it (RING_…), or
 * minus a code.
 */
export function commitSend(object: u32, cell: usize, length: u32): i32 {
  const state = mine(object, cell);
  if (phaseIn(state) != CELL_WRITING) return -fail(CHANNEL_STRANGE);
  const isOut = loadPlace(cell + CELL_BLOCK) != 0;
  if (isOut ? (length & CELL_OUT) != 0 : length > cellBytes - CELL_DATA) return -fail(TOO_LARGE);
  setCellLength(cell, isOut ? length | CELL_OUT : length);
  addSent(record);
  storeCellState(cell, stateOf(CELL_READY, 0, turnIn(state)));
  return hasReceivers() ? RING_RECEIVERS : 0;
}

/** Gives up a claimed cell, without a block in it: nothing is sent. Who may go on (RING_…), or minus a code. */
export function cancelSend(object: u32, cell: usize): i32 {
  const state = mine(object, cell);
  if (phaseIn(state) != CELL_WRITING) return -fail(CHANNEL_STRANGE);
  storeCellState(cell, stateOf(CELL_FREE, 0, nextTurn(turnIn(state))));
  return (hasReceivers() ? RING_RECEIVERS : 0) | (hasSenders() ? RING_SENDERS : 0);
}

// Receiving

/**
 * Claims the next message: to be read now, or (`lent`) for as long as its user likes. The cell's address; with RING_RECEIVERS
 * added if there is another one, and receivers wait. Or a code: CHANNEL_EMPTY, CHANNEL_BLOCKED, CHANNEL_OVER, …
 */
export function claimReceive(object: u32, lent: bool): u32 {
  if (!isAt(object, QUEUE_WORD)) {
    const result = use(object, QUEUE_WORD);
    if (result != OK) return result;
  }
  // What the gone had claimed comes before what was sent since.
  if (isStale()) {
    const result = sweep();
    if (result != OK) return result;
  }
  const phase: u32 = lent && (flags & CHANNEL_REDELIVER) == 0 ? CELL_HELD : CELL_READING;
  const ended = loadEnded(object);
  const hint = loadPosition(headSide);
  let position = hint & POSITION_MASK;
  for (let left = mostSteps(); left > 0; left--) {
    const cell = cellAt(position);
    const state = loadCellState(cell);
    const turn = turnOf(position);
    const ahead = turnsBetween(turnIn(state), turn);
    if (ahead < 0) return whyBehind(state, ended);
    if (ahead == 0) {
      const now = phaseIn(state);
      if (now == CELL_READY) {
        if (!casCellState(cell, state, stateOf(phase, ident, turn))) continue;
        position = (position + 1) & POSITION_MASK;
        casPosition(headSide, hint, (hint & ~POSITION_MASK) | position);
        return (<u32>cell) | (hasReceivers() && isReadyFrom(position) ? RING_RECEIVERS : 0);
      }
      if (now == CELL_FREE) break;
      if (now == CELL_WRITING) return whyBlocked(state);
    }
    // All that is more than a turn behind a cell has been received.
    if (ahead > 2) position += (<u64>(ahead - 2)) << shift;
    position = (position + 1) & POSITION_MASK;
  }
  return whyEmpty(ended);
}

/** Whether a receiver would find a message from `position` on. */
function isReadyFrom(start: u64): bool {
  let position = start;
  for (let left = capacity; left > 0; left--) {
    const state = loadCellState(cellAt(position));
    const ahead = turnsBetween(turnIn(state), turnOf(position));
    if (ahead < 0) return false;
    if (ahead == 0) {
      const phase = phaseIn(state);
      if (phase <= <u32>CELL_READY) return phase == CELL_READY;
    }
    position = (position + 1) & POSITION_MASK;
  }
  return false;
}

function whyBlocked(state: u64): u32 {
  if (!isStale() && !isGone(nameIn(state))) return CHANNEL_BLOCKED;
  const result = sweep();
  return result == OK ? CHANNEL_BLOCKED : result;
}

/** Only cells that are being read are behind a search that has gone once around; a message there has come back, or the head is damaged. */
function whyBehind(state: u64, ended: u32): u32 {
  if (phaseIn(state) != CELL_READY) return whyEmpty(ended);
  const result = sweep();
  return result == OK ? CHANNEL_AGAIN : result;
}

function whyEmpty(ended: u32): u32 {
  if (isStale()) {
    const result = sweep();
    if (result != OK) return result;
  }
  return ended != 0 ? CHANNEL_OVER : CHANNEL_EMPTY;
}

/** As claimReceive; if there is no message it looks again, `looks` times in all. */
export function spinReceive(object: u32, lent: bool, looks: u32): u32 {
  let result = claimReceive(object, lent);
  for (let left = looks; left > 1 && isNothing(result); left--) {
    const position = loadPosition(headSide) & POSITION_MASK;
    if (loadCellState(cellAt(position)) == stateOf(CELL_FREE, 0, turnOf(position))) continue;
    result = claimReceive(object, lent);
  }
  return result;
}

@inline
function isNothing(result: u32): bool {
  return result == CHANNEL_EMPTY || result == CHANNEL_BLOCKED;
}

/**
 * Takes the block of a claimed cell out of it: it is this participant's own, and the message received (or, of a cell that is being
 * written, not sent). OK, with the block in errorDetail(), 0 = there is none; or why not.
 */
export function takeBlock(object: u32, cell: usize): i32 {
  if (mine(object, cell) == 0) return fail(CHANNEL_STRANGE);
  const block = loadPlace(cell + CELL_BLOCK);
  if (block != 0) {
    const result = take(cell + CELL_BLOCK);
    if (result != OK) return result;
  }
  setDetail(block);
  return OK;
}

/** Has received the message of a claimed cell, whose block is taken. Who may go on (RING_…), or minus a code. */
export function endReceive(object: u32, cell: usize): i32 {
  const state = mine(object, cell);
  const phase = phaseIn(state);
  if (phase != CELL_READING && phase != CELL_HELD) return -fail(CHANNEL_STRANGE);
  addReceived(record);
  storeCellState(cell, stateOf(CELL_FREE, 0, nextTurn(turnIn(state))));
  return hasSenders() ? RING_SENDERS : 0;
}

/** Gives the message of a claimed cell back: it is the next. Who waits for it (RING_…), or minus a code. */
export function giveBack(object: u32, cell: usize): i32 {
  const state = mine(object, cell);
  const phase = phaseIn(state);
  if (phase != CELL_READING && phase != CELL_HELD) return -fail(CHANNEL_STRANGE);
  storeCellState(cell, stateOf(CELL_READY, 0, turnIn(state)));
  moveHeadBack(<u32>((cell - cells) / cellBytes), turnIn(state));
  return hasReceivers() ? RING_RECEIVERS : 0;
}

/** How many messages are ready. */
export function queueDepth(object: u32): u32 {
  return countCells(object, true);
}

/** How many cells somebody is writing, or reading. */
export function queueClaimed(object: u32): u32 {
  return countCells(object, false);
}

function countCells(object: u32, ready: bool): u32 {
  if (!isAt(object, QUEUE_WORD) && use(object, QUEUE_WORD) != OK) return 0;
  let count: u32 = 0;
  for (let index: u32 = 0; index < capacity; index++) {
    const phase = phaseIn(loadCellState(cells + index * cellBytes));
    if (phase != CELL_FREE && (phase == CELL_READY) == ready) count++;
  }
  return count;
}
