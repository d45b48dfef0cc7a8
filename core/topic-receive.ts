/**
 * Receiving from a topic: a subscriber walks from position to position by itself.
 *
 *     nextMessage   the cell of its position: READY in its turn?    else EMPTY, BLOCKED, …
 *                   (its user copies the message)
 *     passMessage   the cell as it was? then position + 1 *
 * The starred store is the linearisation point. A publisher changes a cell's state before it changes what is in the cell or frees
 * the block, so what was copied before a look that finds the state unchanged is the message. For subscribers with policy
 * "block" it always is, and they may keep reading in place: nobody takes the cell before their position is past it.
 *
 * A subscriber that was overtaken goes on at the oldest message that is there; when it was overtaken while it copied, in the middle
 * between that and the newest, since the oldest would be gone before it is copied again. All positions that it leaves out count
 * as dropped, also those where there never was a message but whose publisher has died: that cannot be told any more.
 *
 * A position is moved by its subscriber alone. When it dies, before or after that store, nothing is to be done (topic-subscribers.ts).
 */

import {
  CELL_FREE,
  CELL_READY,
  CHANNEL_AGAIN,
  CHANNEL_BLOCKED,
  CHANNEL_EMPTY,
  CHANNEL_OVER,
  CHANNEL_STRANGE,
  C_DROPPED,
  RING_SENDERS,
} from "../src/layout/channel";
import { ENTRY_BLOCK, ENTRY_DISCONNECTED, TOPIC_DISCONNECTED, TOPIC_OVERTAKEN } from "../src/layout/topic";
import { capacity, hasSenders, record } from "./channel-map";
import { addReceived, loadCellState, loadEnded } from "./mem-channel";
import {
  addCount8,
  addEntryReceived,
  addEntrySkipped,
  addNothing,
  getEntryPosition,
  storeEntryPosition,
} from "./mem-topic";
import { cellAt, phaseIn, POSITION_MASK, stateOf, turnIn, turnOf, turnsBetween } from "./queue";
import { fail } from "./state";
import { findTail, lowerTail, mendTail, settleLeft } from "./topic";
import { entryAt, entryWord, isBefore, phaseOfEntry } from "./topic-subscribers";

/**
 * The cell of the next message for this participant's entry `index`; or a code: CHANNEL_EMPTY, CHANNEL_BLOCKED, CHANNEL_OVER,
 * TOPIC_DISCONNECTED, CHANNEL_AGAIN, CHANNEL_STRANGE.
 */
export function nextMessage(object: u32, index: u32): u32 {
  const word = entryWord(object, index);
  if (word == 0) return fail(CHANNEL_STRANGE);
  if (phaseOfEntry(word) == ENTRY_DISCONNECTED) return TOPIC_DISCONNECTED;
  const entry = entryAt(index);
  const ended = loadEnded(object);
  for (let left = capacity + 2; left > 0; left--) {
    const position = getEntryPosition(entry) & POSITION_MASK;
    const cell = cellAt(position);
    const state = loadCellState(cell);
    const ahead = turnsBetween(turnIn(state), turnOf(position));
    const phase = phaseIn(state);
    if (ahead == 0 && phase == CELL_READY) return <u32>cell;
    if (ahead < 0 || (ahead == 0 && phase == CELL_FREE)) {
      if (isBeyond(position)) {
        const tail = findTail();
        // Then the tail is damaged as well.
        if (tail == position) return mendTail(cell);
        goTo(entry, position, tail);
        continue;
      }
      return ended != 0 ? CHANNEL_OVER : CHANNEL_EMPTY;
    }
    if (ahead == 0) return settleLeft(cell, state) ? CHANNEL_AGAIN : CHANNEL_BLOCKED;
    if (ahead == 1 && phase == CELL_FREE) {
      addEntrySkipped(entry);
      storeEntryPosition(entry, (position + 1) & POSITION_MASK);
      continue;
    }
    // It was overwritten. Since the word was read its subscription may have ended for that reason.
    if (phaseOfEntry(entryWord(object, index)) == ENTRY_DISCONNECTED) return TOPIC_DISCONNECTED;
    fallBehind(entry, position, capacity);
  }
  return CHANNEL_AGAIN;
}

/**
 * Whether a subscriber's unclaimed position is one that it cannot have come to, the one before not being claimed either: then it is
 * damaged. A tail that is beyond an unclaimed position is, too, and set back.
 */
function isBeyond(position: u64): bool {
  const before = (position - 1) & POSITION_MASK;
  const state = loadCellState(cellAt(before));
  const ahead = turnsBetween(turnIn(state), turnOf(before));
  if (ahead < 0 || (ahead == 0 && phaseIn(state) == CELL_FREE)) return true;
  lowerTail(position);
  return false;
}

/** It goes on `back` positions before the tail, at least one further than it was. */
function fallBehind(entry: usize, position: u64, back: u32): void {
  const tail = findTail();
  const target = (tail - (tail < back ? tail : <u64>back)) & POSITION_MASK;
  const next = (position + 1) & POSITION_MASK;
  goTo(entry, position, isBefore(next, target) ? target : next);
}

/** What is between counts as dropped. (Backwards, after damage, nothing does.) */
function goTo(entry: usize, position: u64, target: u64): void {
  if (isBefore(position, target)) addCount8(record + C_DROPPED, (target - position) & POSITION_MASK);
  storeEntryPosition(entry, target);
}

/** Whether the message that nextMessage has found is still there: then what was read of its cell until now belongs together. */
export function isThere(object: u32, index: u32): bool {
  const word = entryWord(object, index);
  if (word == 0) return false;
  const entry = entryAt(index);
  const position = getEntryPosition(entry) & POSITION_MASK;
  addNothing(entry);
  return loadCellState(cellAt(position)) == stateOf(CELL_READY, 0, turnOf(position));
}

/**
 * The message that nextMessage has found was copied: it is received, if it is there still. Who may go on (RING_…), or minus a code:
 * TOPIC_OVERTAKEN, when it was not.
 */
export function passMessage(object: u32, index: u32): i32 {
  const word = entryWord(object, index);
  if (word == 0) return -fail(CHANNEL_STRANGE);
  const entry = entryAt(index);
  const position = getEntryPosition(entry) & POSITION_MASK;
  addNothing(entry);
  if (loadCellState(cellAt(position)) != stateOf(CELL_READY, 0, turnOf(position))) {
    if (phaseOfEntry(entryWord(object, index)) != ENTRY_DISCONNECTED)
      fallBehind(entry, position, capacity >> 1);
    return -fail(TOPIC_OVERTAKEN);
  }
  addEntryReceived(entry);
  addReceived(record);
  storeEntryPosition(entry, (position + 1) & POSITION_MASK);
  // SYNC with enter in waiters.ts: a publisher that waits has looked at the position after it has put itself there.
  return phaseOfEntry(word) == ENTRY_BLOCK && hasSenders() ? RING_SENDERS : 0;
}
