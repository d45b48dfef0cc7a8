/**
 * Sweeping a queue: what those who are gone have left in its cells.
 *
 * Done by a sender that finds it full, a receiver, or who comes anew, when somebody is gone since it swept last (or the very
 * cell that it waits for is a gone one's). Gone means recovered: blocks in cells are shared, those taken out are
 * freed (hand-over.ts). Of a cell whose name is gone
 *
 *     WRITING              -> SKIPPING(me): the message was never sent. Counted as skipped
 *     READING              -> READY: given back
 *     HELD                 -> DROPPING(me). Counted as dropped
 *     either, block taken  -> FREE(t + 1): the message was received
 *     SKIPPING, DROPPING   -> the same with my name; -> FREE(t + 1), if it was counted already
 *
 * each by a compare-and-swap, so one of several sweepers has it. A SKIPPING or DROPPING cell is cleared in steps that can be
 * repeated by the same one or the next:
 *
 *     1. the block, if there is one, is taken out (hand-over.ts), given to the caller to be freed, and the call repeated
 *     2. it is counted in the sweeper's record, together with its position: so who finds the sweeper gone knows whether
 *     3. FREE(t + 1)
 * A record's next user sweeps before it counts anything (channel-map.ts), so a gone sweeper's last position is still there for
 * whoever finds its name in a cell.
 *
 * A sweeper or dropper that lives finishes its cell before its call returns (link.ts); one whose call ended in an error, when it
 * finds the queue full the next time (whyFull). A sweeper that dies leaves what another will sweep. A cell that was given back behind the head needs the head set back
 * (queue.ts): every sweep sees to that for the first READY cell that it finds.
 */

import {
  CELL_BLOCK,
  CELL_DROPPING,
  CELL_FREE,
  CELL_HELD,
  CELL_OUT,
  CELL_READING,
  CELL_READY,
  CELL_SKIPPING,
  CELL_WRITING,
  CHANNEL_AGAIN,
  CHANNEL_EMPTY,
  CHANNEL_RELEASE,
  C_DROPPED,
  C_REDELIVERED,
  C_SKIPPED,
  POSITION_BITS,
} from "../src/layout/channel";
import { OK } from "../src/layout/result";
import {
  capacity,
  cellBytes,
  cells,
  countOnce,
  headSide,
  isAt,
  mask,
  QUEUE_WORD,
  record,
  recordAt,
  shift,
  use,
} from "./channel-map";
import { isPassing, take } from "./hand-over";
import { ident, isGone, slotOf } from "./ident";
import {
  addCount,
  casCellState,
  casPosition,
  getCellLength,
  loadCellState,
  loadPlace,
  loadPosition,
  loadTagged,
  setSwept,
  storeCellState,
  storePlace,
} from "./mem-channel";
import { loadDepartures } from "./mem-sync";
import {
  cellAt,
  nameIn,
  nextTurn,
  phaseIn,
  POSITION_MASK,
  stateOf,
  turnIn,
  turnOf,
  turnsBetween,
} from "./queue";
import { fail, setDetail, slotCount } from "./state";

/** Each failed attempt means that another one moved the head. */
const TRIES: u32 = 1 << 20;

/**
 * Puts right what the gone have left. OK: there was nothing; CHANNEL_AGAIN: there was; CHANNEL_RELEASE, and errorDetail() is a
 * block to be freed; or why it cannot go on. Only after OK there is nothing left.
 */
export function sweep(): i32 {
  // SYNC with ringEverybody: who is gone after this is found by the next sweep.
  const departures = loadDepartures();
  let isChanged = false;
  let first: u32 = capacity;
  let firstTurn: u32 = 0;
  for (let index: u32 = 0; index < capacity; index++) {
    const cell = cells + index * cellBytes;
    let state = loadCellState(cell);
    if (isLeft(state)) {
      const result = settle(cell, index, state);
      if (result != OK) return result;
      isChanged = true;
      state = loadCellState(cell);
    }
    if (phaseIn(state) != CELL_READY) continue;
    // Of two turns the earlier one is in front.
    if (first == capacity || turnsBetween(turnIn(state), firstTurn) < 0) {
      first = index;
      firstTurn = turnIn(state);
    }
  }
  if (first != capacity) moveHeadBack(first, firstTurn);
  if (isChanged) return fail(CHANNEL_AGAIN);
  setSwept(record, departures);
  return OK;
}

/** As sweep, for a channel that this instance may not work on yet. */
export function sweepQueue(object: u32): i32 {
  if (!isAt(object, QUEUE_WORD)) {
    const result = use(object, QUEUE_WORD);
    if (result != OK) return result;
  }
  return sweep();
}

/** Whether a cell is a gone one's, or one that this participant itself has not come to the end of clearing. */
function isLeft(state: u64): bool {
  const phase = phaseIn(state);
  if (phase == CELL_FREE || phase == CELL_READY) return false;
  const name = nameIn(state);
  return name == ident ? phase >= <u32>CELL_SKIPPING : isGone(name);
}

function settle(cell: usize, index: u32, state: u64): i32 {
  const turn = turnIn(state);
  const name = nameIn(state);
  let phase = phaseIn(state);
  if (name == ident) return clear(cell, index, phase, turn);
  const isRead = phase == CELL_READING || phase == CELL_HELD;
  // What is read before the compare-and-swap is right if that succeeds: the gone touch nothing.
  if (
    (isRead && (getCellLength(cell) & CELL_OUT) != 0 && loadPlace(cell + CELL_BLOCK) == 0) ||
    (phase >= <u32>CELL_SKIPPING && wasCounted(name, phase, index, turn))
  ) {
    casCellState(cell, state, stateOf(CELL_FREE, 0, nextTurn(turn)));
    return OK;
  }
  if (phase == CELL_READING) {
    if (casCellState(cell, state, stateOf(CELL_READY, 0, turn))) addCount(record + C_REDELIVERED);
    return OK;
  }
  if (phase == CELL_WRITING) phase = CELL_SKIPPING;
  if (phase == CELL_HELD) phase = CELL_DROPPING;
  return casCellState(cell, state, stateOf(phase, ident, turn)) ? clear(cell, index, phase, turn) : OK;
}

/** Clears a cell that is SKIPPING or DROPPING in this participant's name. */
function clear(cell: usize, index: u32, phase: u32, turn: u32): i32 {
  const place = cell + CELL_BLOCK;
  const block = loadPlace(place);
  if (block != 0) {
    const result = take(place);
    if (result == OK) {
      setDetail(block);
      return fail(CHANNEL_RELEASE);
    }
    if (isPassing(result)) return result;
    // No block of the heap's: damage, and no reason to stop.
    storePlace(place, 0);
  }
  countOnce(record + countOf(phase), tagOf(index, turn));
  storeCellState(cell, stateOf(CELL_FREE, 0, nextTurn(turn)));
  return OK;
}

@inline
function countOf(phase: u32): usize {
  return phase == CELL_SKIPPING ? C_SKIPPED : C_DROPPED;
}

/** Position, in a form that a record which has counted nothing does not hold. */
@inline
export function tagOf(index: u32, turn: u32): u32 {
  return ~((turn << shift) | index);
}

export function wasCounted(name: u32, phase: u32, index: u32, turn: u32): bool {
  const slot = slotOf(name);
  if (slot >= slotCount) return false;
  return <u32>(loadTagged(recordAt(slot) + countOf(phase)) >> 32) == tagOf(index, turn);
}

/** There is a READY cell `index` in turn `turn`: the head is not behind it from now on. */
export function moveHeadBack(index: u32, turn: u32): void {
  for (let tries = TRIES; tries > 0; tries--) {
    const head = loadPosition(headSide);
    const position = head & POSITION_MASK;
    const turns = turnsBetween(turn, turnOf(position));
    const distance = ((<i64>turns) << shift) + <i64>index - <i64>((<u32>position) & mask);
    // The version changes even if the place does not: a search may be on its way over the cell.
    const target = distance < 0 ? (<u64>(<i64>position + distance)) & POSITION_MASK : position;
    const version = (head >> POSITION_BITS) + 1;
    if (casPosition(headSide, head, (version << POSITION_BITS) | target)) return;
  }
}

/**
 * Drops the message that is next, to make room. OK; CHANNEL_EMPTY: there is none that nobody has claimed; CHANNEL_RELEASE (then
 * sweepQueue is to be called until that says OK); or why not.
 */
export function dropNext(object: u32): i32 {
  if (!isAt(object, QUEUE_WORD)) {
    const result = use(object, QUEUE_WORD);
    if (result != OK) return result;
  }
  const hint = loadPosition(headSide);
  let position = hint & POSITION_MASK;
  for (let left = (capacity << 1) + 2; left > 0; left--) {
    const cell = cellAt(position);
    const state = loadCellState(cell);
    const turn = turnOf(position);
    const index = (<u32>position) & mask;
    const ahead = turnsBetween(turnIn(state), turn);
    if (ahead < 0 || (ahead == 0 && phaseIn(state) == CELL_FREE)) break;
    const isNext = ahead == 0 && phaseIn(state) == CELL_READY;
    // As in claimReceive.
    if (ahead > 2) position += (<u64>(ahead - 2)) << shift;
    position = (position + 1) & POSITION_MASK;
    if (!isNext || !casCellState(cell, state, stateOf(CELL_DROPPING, ident, turn))) continue;
    casPosition(headSide, hint, (hint & ~POSITION_MASK) | position);
    return clear(cell, index, CELL_DROPPING, turn);
  }
  return fail(CHANNEL_EMPTY);
}
