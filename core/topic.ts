/**
 * Topic: many publishers, a row of cells used over and over, and subscribers that each have a position of their own.
 *
 * Position p is cell p % capacity in turn p / capacity, as in a queue (queue.ts). A message stays in its cell until the position a
 * turn later is claimed:
 *
 *     FREE(0) or READY(t - 1) or FREE(t) -> WRITING(publisher, t) -> READY(t)
 *     given up, or its publisher is gone:   WRITING(t) -> FREE(t + 1): there is no message in turn t
 *                                           WRITING(gone, t) -> SKIPPING(me, t) -> FREE(t + 1), counted on the way
 *
 *     publish    claim: cas -> WRITING    old block out, freed    the message    store READY *
 *     receive    cell READY in its turn?  the message copied      cell as it was?  position + 1 *       topic-receive.ts
 * The starred stores are the linearisation points.
 *
 * Invariants
 *     positions are claimed in their order: the one that is claimed is the first that is not
 *     the name in a cell's state is of who may touch the rest of the cell
 *     a state does not come back: turns only grow, and within a turn phases do
 *     no position is claimed while a subscriber with policy "block" has not passed the one a turn earlier, nor while
 *     somebody who lives is writing that (topic-subscribers.ts)
 * The tail is a hint, from where the search for the first unclaimed position begins; it is never behind that position. (Too high,
 * by damage, it is set back by whoever notices.)
 *
 * Blocks. The block of a message is freed by who claims its cell for the next turn, before it writes there; or by who destroys the
 * topic. It is in the cell and shared until the claimer has taken it out, then the claimer's own (hand-over.ts). A cell of which a
 * claimer has died, or which it has given up, may still hold an older block, or one of a message that was never sent: the
 * next claimer finds it there. A subscriber reads a block only while the cell is READY in its turn, and what it has read counts
 * only if it is so afterwards.
 *
 * Deaths of a publisher
 *     before the claim                 nothing
 *     after it, before READY           the cell is passed by all, once the dead one is recovered: who finds it in its way makes
 *                                      it SKIPPING(me), counts it with its position (as in queue-sweep.ts), makes it FREE(t + 1)
 *     after it                         the message is there
 */

import {
  CELL_BLOCK,
  CELL_DATA,
  CELL_FREE,
  CELL_OUT,
  CELL_READY,
  CELL_SKIPPING,
  CELL_WRITING,
  CHANNEL_AGAIN,
  CHANNEL_FULL,
  CHANNEL_LINE_BYTES,
  CHANNEL_OVER,
  CHANNEL_RELEASE,
  CHANNEL_STRANGE,
  C_SKIPPED,
  RING_RECEIVERS,
  RING_SENDERS,
} from "../src/layout/channel";
import { OK, TOO_LARGE } from "../src/layout/result";
import { TOPIC_OLD_BLOCK } from "../src/layout/topic";
import {
  capacity,
  cellBytes,
  cells,
  countOnce,
  hasReceivers,
  hasSenders,
  isAt,
  mask,
  record,
  shift,
  tailSide,
  TOPIC_WORD,
  use,
} from "./channel-map";
import { isPassing, publish, take } from "./hand-over";
import { ident, isGone } from "./ident";
import {
  addSent,
  casCellState,
  casPosition,
  getCellLength,
  loadCellState,
  loadEnded,
  loadPlace,
  loadPosition,
  setCellLength,
  storeCellState,
  storePlace,
} from "./mem-channel";
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
import { tagOf, wasCounted } from "./queue-sweep";
import { corruptAt, fail, setDetail } from "./state";
import { isBefore, isKnownFree, mayPublish } from "./topic-subscribers";

@inline
function isCell(cell: usize): bool {
  return cell - cells < <usize>capacity * cellBytes && ((cell - cells) & (CHANNEL_LINE_BYTES - 1)) == 0;
}

/** More steps than a search can need unless others get something done meanwhile. */
@inline
function mostSteps(): u32 {
  return (capacity << 1) + 2;
}

// Publishing

/**
 * Claims the next cell for a message. Its address; with TOPIC_OLD_BLOCK added if there is a block in it to be taken out, and
 * RING_SENDERS if the position behind it may be published as well and somebody waits for room. Or a code: CHANNEL_FULL, …
 */
export function claimPublish(object: u32): u32 {
  if (!isAt(object, TOPIC_WORD)) {
    const result = use(object, TOPIC_WORD);
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
    const phase = phaseIn(state);
    if ((ahead == 0 && phase == CELL_FREE) || (ahead == -1 && phase == CELL_READY)) {
      const result = mayPublish(object, position);
      if (result != OK) return result;
      if (casCellState(cell, state, stateOf(CELL_WRITING, ident, turn)))
        return claimed(object, cell, hint, position);
      continue;
    }
    // Only the one before it can be in the way; else the tail is ahead of what was claimed.
    if (ahead < -1 || (ahead == -1 && phase == CELL_FREE)) return mendTail(cell);
    if (ahead == -1) return settleLeft(cell, state) ? CHANNEL_AGAIN : CHANNEL_FULL;
    if (ahead > 1) position += (<u64>(ahead - 1)) << shift;
    position = (position + 1) & POSITION_MASK;
  }
  return CHANNEL_AGAIN;
}

function claimed(object: u32, cell: usize, hint: u64, position: u64): u32 {
  const next = (position + 1) & POSITION_MASK;
  casPosition(tailSide, hint, next);
  // SYNC with endChannel: a subscriber that finds no message after the end finds this claim, or this finds the end.
  if (loadEnded(object) != 0) {
    storeCellState(cell, stateOf(CELL_FREE, 0, nextTurn(turnOf(position))));
    return CHANNEL_OVER;
  }
  const old = loadPlace(cell + CELL_BLOCK) != 0 ? <u32>TOPIC_OLD_BLOCK : 0;
  return (<u32>cell) | old | (hasSenders() && isKnownFree(next) ? RING_SENDERS : 0);
}

/** The first position that is not claimed. */
export function findTail(): u64 {
  let position = loadPosition(tailSide) & POSITION_MASK;
  for (let left = mostSteps(); left > 0; left--) {
    const state = loadCellState(cellAt(position));
    const ahead = turnsBetween(turnIn(state), turnOf(position));
    if (ahead < 0 || (ahead == 0 && phaseIn(state) == CELL_FREE)) return position;
    if (ahead > 1) position += (<u64>(ahead - 1)) << shift;
    position = (position + 1) & POSITION_MASK;
  }
  return position;
}

/** The tail is damaged: it is set to where the cells say that it is. CHANNEL_AGAIN, or CORRUPT when they agree with it. */
export function mendTail(cell: usize): i32 {
  const hint = loadPosition(tailSide);
  const from = hint & POSITION_MASK;
  let distance = i64.MIN_VALUE;
  for (let index: u32 = 0; index < capacity; index++) {
    const state = loadCellState(cells + index * cellBytes);
    let turns = <i64>turnsBetween(turnIn(state), turnOf(from));
    if (phaseIn(state) == CELL_FREE) turns--;
    const next = (turns << shift) + <i64>index - <i64>((<u32>from) & mask) + 1;
    if (next > distance) distance = next;
  }
  const tail = (<u64>(<i64>from + distance)) & POSITION_MASK;
  if (tail == hint) return corruptAt(cell);
  casPosition(tailSide, hint, tail);
  return fail(CHANNEL_AGAIN);
}

/** Sets a tail back that is beyond `position`, which is not claimed: damage. */
export function lowerTail(position: u64): void {
  const hint = loadPosition(tailSide);
  if (!isBefore(position, hint & POSITION_MASK)) return;
  // It may have been claimed since it was looked at.
  const state = loadCellState(cellAt(position));
  const ahead = turnsBetween(turnIn(state), turnOf(position));
  if (ahead < 0 || (ahead == 0 && phaseIn(state) == CELL_FREE)) casPosition(tailSide, hint, position);
}

/** Whether the claimed cell is this participant's to write; its state, else 0. */
@inline
function mine(object: u32, cell: usize): u64 {
  if (!isAt(object, TOPIC_WORD) && use(object, TOPIC_WORD) != OK) return 0;
  if (!isCell(cell)) return 0;
  const state = loadCellState(cell);
  return nameIn(state) == ident && phaseIn(state) == CELL_WRITING ? state : 0;
}

/**
 * Takes the block out of a claimed cell: it is this participant's own. OK, with the block in errorDetail(), 0 = there is none;
 * or why not.
 */
export function takeOldBlock(object: u32, cell: usize): i32 {
  if (mine(object, cell) == 0) return fail(CHANNEL_STRANGE);
  return takeOut(cell);
}

function takeOut(cell: usize): i32 {
  const place = cell + CELL_BLOCK;
  let block = loadPlace(place);
  if (block != 0) {
    const result = take(place);
    if (result != OK) {
      if (isPassing(result)) return result;
      // No block of the heap's: damage, and no reason to stop.
      storePlace(place, 0);
      block = 0;
    }
  }
  setDetail(block);
  return OK;
}

/** Puts this participant's own block into a cell that it is writing: the message is there. OK, or why not. */
export function putMessageBlock(object: u32, cell: usize, block: u32): i32 {
  if (mine(object, cell) == 0 || loadPlace(cell + CELL_BLOCK) != 0) return fail(CHANNEL_STRANGE);
  return publish(block, cell + CELL_BLOCK);
}

/**
 * Publishes the message of `length` bytes that is in the cell, or in the block that was put there. Who waits for it (RING_…), or
 * minus a code.
 */
export function commitPublish(object: u32, cell: usize, length: u32): i32 {
  const state = mine(object, cell);
  if (state == 0) return -fail(CHANNEL_STRANGE);
  const isOut = loadPlace(cell + CELL_BLOCK) != 0;
  if (isOut ? (length & CELL_OUT) != 0 : length > cellBytes - CELL_DATA) return -fail(TOO_LARGE);
  setCellLength(cell, isOut ? length | CELL_OUT : length);
  addSent(record);
  storeCellState(cell, stateOf(CELL_READY, 0, turnIn(state)));
  return whoWaits();
}

/** Gives up a claimed cell: nothing is published, and all pass it. Who may go on (RING_…), or minus a code. */
export function cancelPublish(object: u32, cell: usize): i32 {
  const state = mine(object, cell);
  if (state == 0) return -fail(CHANNEL_STRANGE);
  // Counted as what a dead publisher leaves is.
  storeCellState(cell, stateOf(CELL_SKIPPING, ident, turnIn(state)));
  clear(cell, turnIn(state));
  return whoWaits();
}

/** All subscribers wait for it; of the publishers, those who came to this cell again while it was being written. */
@inline
function whoWaits(): i32 {
  return (hasReceivers() ? RING_RECEIVERS : 0) | (hasSenders() ? RING_SENDERS : 0);
}

// What the gone have left

/** If who is named in the cell's state is gone, or was cut off clearing it: the cell is passed from now on. Whether it was so. */
export function settleLeft(cell: usize, state: u64): bool {
  const phase = phaseIn(state);
  if (phase != CELL_WRITING && phase != CELL_SKIPPING) return false;
  const name = nameIn(state);
  const turn = turnIn(state);
  if (name == ident) {
    if (phase == CELL_WRITING) return false;
    clear(cell, turn);
    return true;
  }
  if (!isGone(name)) return false;
  // What was counted is right if the compare-and-swap succeeds: the gone touch nothing.
  if (phase == CELL_SKIPPING && wasCounted(name, phase, indexOf(cell), turn))
    casCellState(cell, state, stateOf(CELL_FREE, 0, nextTurn(turn)));
  else if (casCellState(cell, state, stateOf(CELL_SKIPPING, ident, turn))) clear(cell, turn);
  return true;
}

/** Ends the skipping of a cell that is this participant's. */
function clear(cell: usize, turn: u32): void {
  countOnce(record + C_SKIPPED, tagOf(indexOf(cell), turn));
  storeCellState(cell, stateOf(CELL_FREE, 0, nextTurn(turn)));
}

@inline
function indexOf(cell: usize): u32 {
  return (<u32>((cell - cells) / cellBytes)) & mask;
}

/** Puts right all that the gone have left. OK, or CHANNEL_AGAIN when there was something: those who wait are to be rung. */
export function sweepCells(): i32 {
  let isChanged = false;
  for (let index: u32 = 0; index < capacity; index++) {
    const cell = cells + index * cellBytes;
    if (settleLeft(cell, loadCellState(cell))) isChanged = true;
  }
  return isChanged ? fail(CHANNEL_AGAIN) : OK;
}

export function sweepTopic(object: u32): i32 {
  if (!isAt(object, TOPIC_WORD)) {
    const result = use(object, TOPIC_WORD);
    if (result != OK) return result;
  }
  return sweepCells();
}

/**
 * For who destroys the topic, which nobody uses any more: CHANNEL_RELEASE, with the block of a message in errorDetail(), again
 * and again; then OK; or why not.
 */
export function drainTopic(object: u32): i32 {
  if (!isAt(object, TOPIC_WORD)) {
    const result = use(object, TOPIC_WORD);
    if (result != OK) return result;
  }
  for (let index: u32 = 0; index < capacity; index++) {
    const cell = cells + index * cellBytes;
    if (loadPlace(cell + CELL_BLOCK) == 0) continue;
    const result = takeOut(cell);
    if (result != OK) return result;
    return fail(CHANNEL_RELEASE);
  }
  return OK;
}

/** How many cells somebody is writing. */
export function countWriting(object: u32): u32 {
  if (!isAt(object, TOPIC_WORD) && use(object, TOPIC_WORD) != OK) return 0;
  let count: u32 = 0;
  for (let index: u32 = 0; index < capacity; index++) {
    if (phaseIn(loadCellState(cells + index * cellBytes)) == CELL_WRITING) count++;
  }
  return count;
}

// Messages

/** Length of the message in a cell, with CELL_OUT when it lies in a block. */
export function messageLength(object: u32, cell: usize): u32 {
  if (!isAt(object, TOPIC_WORD) && use(object, TOPIC_WORD) != OK) return 0;
  return isCell(cell) ? getCellLength(cell) : 0;
}
