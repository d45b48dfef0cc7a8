/**
 * A topic's table of subscribers, and how publishers know whom they have to wait for.
 *
 *     word   FREE(serial) -> JOINING(me, serial + 1) -> BLOCK, DROP_OLDEST or DISCONNECT(me) -> FREE      by its subscriber
 *                            DISCONNECT(name) -> DISCONNECTED(name)      by a publisher in whose way it is
 *                            any phase, a name that is gone -> FREE, or -> JOINING(me, serial + 1)        by whoever meets it
 * each by a compare-and-swap: the serial says that the word is still that of the subscriber that was looked at.
 *
 * A publisher must not take the cell of a message that a subscriber with policy "block" has yet to receive. It does not look at
 * the whole table each time: a look gives a *limit*, the first position that somebody is in the way of, which holds as long
 * as nobody joins, since positions only grow. Joining is told by the topic's count of joins.
 *
 *     who joins                                      who publishes
 *     tail seen: where it begins; its position       finds position p not claimed
 *     word = BLOCK                                   joins as it was, and p before the limit? else a look at the table
 *     joins += 1                                     cell of p: compare-and-swap from what it was found
 *     tail seen again: it begins no earlier than
 *     a turn less one position before that
 *
 * Invariant: nobody overwrites a message from its subscriber's position on, once it has joined. The publishers that have not
 * seen it join can claim one position at most, the one that was next when it added to joins: since a cell's state never
 * comes back, that position was unclaimed from before they looked at joins until they claimed it, and there is only one
 * such. So the only message that they may overwrite is the one a whole turn before, and at that it does not begin. For this reason
 * a topic keeps one message less than it has cells.
 *
 * Deaths. Of who is joining: the entry is somebody's who is gone, and free. Of a subscriber: likewise; publishers that find one in
 * their way look whether it is gone. Nothing that a subscriber does has to be finished by others.
 */

import { CHANNEL_FULL, CHANNEL_STRANGE, POSITION_BITS, RING_SENDERS } from "../src/layout/channel";
import { OK } from "../src/layout/result";
import {
  C_DISCONNECTED,
  C_HISTORY,
  ENTRY_BLOCK,
  ENTRY_DISCONNECT,
  ENTRY_DISCONNECTED,
  ENTRY_FREE,
  ENTRY_IDENT_SHIFT,
  ENTRY_JOINING,
  ENTRY_PHASE_MASK,
  ENTRY_SERIAL_MASK,
  ENTRY_SERIAL_SHIFT,
  E_RECEIVED,
  E_SKIPPED,
  TOPIC_CROWDED,
  TOPIC_ENTRY_BYTES,
} from "../src/layout/topic";
import { capacity, entries, hasSenders, isAt, record, subscribers, TOPIC_WORD, use } from "./channel-map";
import { ident, isGone, slotOf } from "./ident";
import { addCount, getChannelWord } from "./mem-channel";
import {
  addJoins,
  casEntry,
  getEntryCount,
  getEntryStart,
  getKnownJoins,
  getKnownLimit,
  loadEntry,
  loadEntryPosition,
  loadJoins,
  setEntryCount,
  setEntryStart,
  setKnownJoins,
  setKnownLimit,
  storeEntryPosition,
} from "./mem-topic";
import { POSITION_MASK } from "./queue";
import { fail } from "./state";
import { findTail } from "./topic";

/** Further than any subscriber can be behind: the limit when there is nobody to wait for. */
const FAR: u64 = (<u64>1) << (POSITION_BITS - 2);

@inline
export function entryAt(index: u32): usize {
  return entries + index * TOPIC_ENTRY_BYTES;
}

@inline
export function phaseOfEntry(word: u64): u32 {
  return (<u32>word) & ENTRY_PHASE_MASK;
}

@inline
export function identOfEntry(word: u64): u32 {
  return <u32>(word >> ENTRY_IDENT_SHIFT);
}

@inline
function withPhase(word: u64, phase: u32): u64 {
  return (word & ~(<u64>ENTRY_PHASE_MASK)) | phase;
}

/** The word of an entry that is nobody's after it was `word`'s. */
@inline
function freed(word: u64): u64 {
  return word & ((<u64>ENTRY_SERIAL_MASK) << ENTRY_SERIAL_SHIFT);
}

/** Whether `position` comes before `other`; positions wrap. */
@inline
export function isBefore(position: u64, other: u64): bool {
  const distance = (other - position) & POSITION_MASK;
  return distance != 0 && distance >> (POSITION_BITS - 1) == 0;
}

// For publishers

/** Whether the cell of `position`, which is not claimed, may be overwritten. OK, or CHANNEL_FULL. */
@inline
export function mayPublish(object: u32, position: u64): i32 {
  const joins = loadJoins(object);
  if (joins == getKnownJoins(record) && isBefore(position, getKnownLimit(record))) return OK;
  return lookForBlockers(position, joins);
}

/** Whether the position behind a claimed one may be published as well, as far as is known. */
@inline
export function isKnownFree(position: u64): bool {
  return isBefore(position, getKnownLimit(record));
}

function lookForBlockers(position: u64, joins: u32): i32 {
  let limit = (position + FAR) & POSITION_MASK;
  for (let index: u32 = 0; index < subscribers; index++) {
    const entry = entryAt(index);
    const word = loadEntry(entry);
    const phase = phaseOfEntry(word);
    if (phase != ENTRY_BLOCK && phase != ENTRY_DISCONNECT) continue;
    // If it is another subscriber's by now, that one has added to joins, or will.
    const end = (loadEntryPosition(entry) + capacity) & POSITION_MASK;
    if (isBefore(position, end)) {
      if (isBefore(end, limit)) limit = end;
      continue;
    }
    if (isGone(identOfEntry(word))) casEntry(entry, word, freed(word));
    else if (phase == ENTRY_BLOCK) return CHANNEL_FULL;
    else if (casEntry(entry, word, withPhase(word, ENTRY_DISCONNECTED))) addCount(record + C_DISCONNECTED);
  }
  setKnownLimit(record, limit);
  setKnownJoins(record, joins);
  return OK;
}

// For subscribers

/**
 * This participant subscribes, with one of the policies ENTRY_BLOCK, ENTRY_DROP_OLDEST and ENTRY_DISCONNECT; from the history on,
 * or from what is published from now on. The entry's index, or minus a code: TOPIC_CROWDED, …
 */
export function subscribe(object: u32, policy: u32, fromHistory: bool): i32 {
  if (!isAt(object, TOPIC_WORD)) {
    const result = use(object, TOPIC_WORD);
    if (result != OK) return -result;
  }
  if (policy < <u32>ENTRY_BLOCK || policy > <u32>ENTRY_DISCONNECT) return -fail(CHANNEL_STRANGE);
  const index = takeEntry();
  if (index >= subscribers) return -fail(TOPIC_CROWDED);
  const entry = entryAt(index);
  const tail = findTail();
  let start = tail;
  if (fromHistory) {
    const wished = <u64>getChannelWord(object + C_HISTORY);
    const most = wished < capacity ? wished : <u64>capacity - 1;
    start = tail - (most < tail ? most : tail);
  }
  setEntryCount(entry + E_RECEIVED, 0);
  setEntryCount(entry + E_SKIPPED, 0);
  setEntryStart(entry, start);
  storeEntryPosition(entry, start);
  const word = loadEntry(entry);
  casEntry(entry, word, withPhase(word, policy));
  addJoins(object);
  const lastKept = (start + capacity - 1) & POSITION_MASK;
  const later = findTail();
  if (isBefore(lastKept, later)) {
    start = (later - (capacity - 1)) & POSITION_MASK;
    setEntryStart(entry, start);
    storeEntryPosition(entry, start);
  }
  return <i32>index;
}

/** Takes an entry that is nobody's: its index, or that of none. */
function takeEntry(): u32 {
  for (let index: u32 = 0; index < subscribers; index++) {
    const entry = entryAt(index);
    const word = loadEntry(entry);
    if (phaseOfEntry(word) != ENTRY_FREE && !isGone(identOfEntry(word))) continue;
    const serial = (<u32>(word >> ENTRY_SERIAL_SHIFT) + 1) & ENTRY_SERIAL_MASK;
    const mine = ((<u64>ident) << ENTRY_IDENT_SHIFT) | ((<u64>serial) << ENTRY_SERIAL_SHIFT) | ENTRY_JOINING;
    if (casEntry(entry, word, mine)) return index;
  }
  return subscribers;
}

/** Ends a subscription. Who may go on (RING_…), or minus a code. */
export function unsubscribe(object: u32, index: u32): i32 {
  const word = entryWord(object, index);
  if (word == 0) return -fail(CHANNEL_STRANGE);
  const entry = entryAt(index);
  // A publisher may disconnect it at this moment: then once more.
  if (!casEntry(entry, word, freed(word))) {
    const now = loadEntry(entry);
    casEntry(entry, now, freed(now));
  }
  return hasSenders() ? RING_SENDERS : 0;
}

/** The word of this participant's entry `index`, which is in use; 0 when it is not. */
export function entryWord(object: u32, index: u32): u64 {
  if (!isAt(object, TOPIC_WORD) && use(object, TOPIC_WORD) != OK) return 0;
  if (index >= subscribers) return 0;
  const word = loadEntry(entryAt(index));
  return identOfEntry(word) == ident && phaseOfEntry(word) != ENTRY_FREE ? word : 0;
}

// For those who look

function reach(object: u32, index: u32): bool {
  return (isAt(object, TOPIC_WORD) || use(object, TOPIC_WORD) == OK) && index < subscribers;
}

/** ENTRY_…; of who is gone: ENTRY_FREE. */
export function subscriberPhase(object: u32, index: u32): u32 {
  if (!reach(object, index)) return ENTRY_FREE;
  const word = loadEntry(entryAt(index));
  return isGone(identOfEntry(word)) ? ENTRY_FREE : phaseOfEntry(word);
}

/** The slot of the subscriber's participant. */
export function subscriberSlot(object: u32, index: u32): u32 {
  return reach(object, index) ? slotOf(identOfEntry(loadEntry(entryAt(index)))) : ~0;
}

/** How many positions there are that it has not come to. */
export function subscriberLag(object: u32, index: u32): f64 {
  if (!reach(object, index)) return 0;
  const position = loadEntryPosition(entryAt(index));
  const tail = findTail();
  return isBefore(position, tail) ? <f64>((tail - position) & POSITION_MASK) : 0;
}

/** E_RECEIVED or E_SKIPPED. */
export function subscriberCount(object: u32, index: u32, at: u32): f64 {
  if (!reach(object, index) || (at != E_RECEIVED && at != E_SKIPPED)) return 0;
  return <f64>getEntryCount(entryAt(index) + at);
}

/** What was overwritten before it came to it. */
export function subscriberDropped(object: u32, index: u32): f64 {
  if (!reach(object, index)) return 0;
  const entry = entryAt(index);
  const passed = (loadEntryPosition(entry) - getEntryStart(entry)) & POSITION_MASK;
  const rest = getEntryCount(entry + E_RECEIVED) + getEntryCount(entry + E_SKIPPED);
  // Others see it between two of its steps.
  return passed > rest && passed < FAR ? <f64>(passed - rest) : 0;
}
