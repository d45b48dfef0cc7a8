/**
 * The channel that this instance works on: where its parts are. Kept from call to call, since most calls are about the same one;
 * and of the one before it what that follows from, since who asks and is answered uses two in turn.
 *
 * What a channel says of itself is checked when it is first looked at, so that everything in it is inside the segment; from then
 * on only its kind is looked at again, which is 0 once it is no more.
 */

import {
  CHANNEL_LEAST_SHIFT,
  CHANNEL_LINE_BYTES,
  CHANNEL_MOST_CELL_BYTES,
  CHANNEL_MOST_SHIFT,
  CHANNEL_NONE,
  CHANNEL_QUEUE,
  CHANNEL_RECORD_BYTES,
  CHANNEL_RING,
  CHANNEL_SIDE_BYTES,
  C_CELL_BYTES,
  C_DROPPED,
  C_SETS,
  C_SKIPPED,
} from "../src/layout/channel";
import { NEED_CATCH_UP, OK } from "../src/layout/result";
import { CHANNEL_TOPIC, C_SUBSCRIBERS, TOPIC_ENTRY_BYTES, TOPIC_MOST_SUBSCRIBERS } from "../src/layout/topic";
import { SYNC_MAGIC, Y_FLAGS, Y_LIMIT } from "../src/layout/sync";
import { PAGE_SHIFT } from "../src/layout/header";
import { ident } from "./ident";
import { loadSizePages } from "./mem";
import {
  getChannelWord,
  loadKind,
  loadRecordIdent,
  loadTagged,
  storeKind,
  storeRecordIdent,
  storeTagged,
} from "./mem-channel";
import { loadWaiters } from "./mem-sync";
import { sweep } from "./queue-sweep";
import { corruptAt, dataOffset, fail, me, slotCount } from "./state";
import { sweepCells } from "./topic";
import { setBytes, setWords } from "./waiters";

/** The channel's offset; 0 = none yet. */
export let channel: u32 = 0;
let kindWord: u32 = 0;
export let flags: u32 = 0;
export let capacity: u32 = 0;
export let mask: u32 = 0;
export let shift: u32 = 0;
export let cellBytes: u32 = 0;
export let cells: usize = 0;
/** Sets of waiters. */
let receivers: usize = 0;
let senders: usize = 0;
let records: usize = 0;
/** This participant's record. */
export let record: usize = 0;
/** The senders' line, and the receivers'. */
export let tailSide: usize = 0;
export let headSide: usize = 0;
/** Of a topic: its subscribers' entries, and how many there are. */
export let entries: usize = 0;
export let subscribers: u32 = 0;

/** The channel before this one, 0 = none; and what the rest follows from. */
let earlier: u32 = 0;
let earlierWord: u32 = 0;
let earlierFlags: u32 = 0;
let earlierShift: u32 = 0;
let earlierCellBytes: u32 = 0;
let earlierSubscribers: u32 = 0;

export const QUEUE_WORD: u32 = SYNC_MAGIC | CHANNEL_QUEUE;
export const RING_WORD: u32 = SYNC_MAGIC | CHANNEL_RING;
export const TOPIC_WORD: u32 = SYNC_MAGIC | CHANNEL_TOPIC;

/** The tag of a count that is of nothing in particular: that of position 0xffffffff. */
const NO_TAG: u32 = 0;

/** Whether this instance works on the channel of kind `word` (QUEUE_WORD…) at `object` already, and it is still there. */
@inline
export function isAt(object: u32, word: u32): bool {
  return object == channel && kindWord == word && loadKind(object) == word;
}

/** From now on this instance works on the channel at `object`, of the kind that `word` says. OK, or why not. */
export function use(object: u32, word: u32): i32 {
  const isEarlier = object == earlier && word == earlierWord;
  if (isEarlier && loadKind(object) == word) {
    useEarlier();
    return OK;
  }
  // What is only half known is not remembered.
  if (channel != 0 && !isEarlier) keep();
  channel = 0;
  return useAnew(object, word);
}

/** The channel that this instance works on is the earlier one. */
function keep(): void {
  earlier = channel;
  earlierWord = kindWord;
  earlierFlags = flags;
  earlierShift = shift;
  earlierCellBytes = cellBytes;
  earlierSubscribers = subscribers;
}

/** Exchanges the two. */
function useEarlier(): void {
  const object = earlier;
  const word = earlierWord;
  const itsFlags = earlierFlags;
  const itsShift = earlierShift;
  const itsCellBytes = earlierCellBytes;
  const itsSubscribers = earlierSubscribers;
  if (channel != 0) keep();
  else earlier = 0;
  flags = itsFlags;
  shift = itsShift;
  cellBytes = itsCellBytes;
  subscribers = itsSubscribers;
  locate(object, word);
  channel = object;
}

/** Where the parts are, by `shift`, `cellBytes` and `subscribers`. */
function locate(object: u32, word: u32): void {
  kindWord = word;
  capacity = 1 << shift;
  mask = capacity - 1;
  const bytesOfSet = setBytes();
  receivers = <usize>object + C_SETS;
  senders = receivers + bytesOfSet;
  records =
    <usize>object + ((C_SETS + 2 * bytesOfSet + (CHANNEL_LINE_BYTES - 1)) & ~(CHANNEL_LINE_BYTES - 1));
  tailSide = records + slotCount * CHANNEL_RECORD_BYTES;
  headSide = tailSide + CHANNEL_SIDE_BYTES;
  entries = headSide + CHANNEL_SIDE_BYTES;
  cells = entries + subscribers * TOPIC_ENTRY_BYTES;
  // Who only looks takes part as nobody, and has no record.
  record = me == 0 ? 0 : records + (me - 1) * CHANNEL_RECORD_BYTES;
}

function useAnew(object: u32, word: u32): i32 {
  const bytes = (<u64>memory.size()) << PAGE_SHIFT;
  if ((object & 7) != 0 || object < dataOffset) return fail(CHANNEL_NONE);
  if (<u64>object + C_SETS > bytes) return beyond(<u64>object + C_SETS);
  if (loadKind(object) != word) return fail(CHANNEL_NONE);
  const cellCount = getChannelWord(object + Y_LIMIT);
  flags = getChannelWord(object + Y_FLAGS);
  cellBytes = getChannelWord(object + C_CELL_BYTES);
  if (cellCount == 0 || (cellCount & (cellCount - 1)) != 0) return corruptAt(object + Y_LIMIT);
  shift = <u32>ctz(cellCount);
  if (shift < <u32>CHANNEL_LEAST_SHIFT || shift > <u32>CHANNEL_MOST_SHIFT) return corruptAt(object + Y_LIMIT);
  const isWhole = cellBytes != 0 && (cellBytes & (CHANNEL_LINE_BYTES - 1)) == 0;
  if (!isWhole || cellBytes > <u32>CHANNEL_MOST_CELL_BYTES) return corruptAt(object + C_CELL_BYTES);
  subscribers = word == TOPIC_WORD ? getChannelWord(object + C_SUBSCRIBERS) : 0;
  if (subscribers > <u32>TOPIC_MOST_SUBSCRIBERS) return corruptAt(object + C_SUBSCRIBERS);
  locate(object, word);
  // An object at the end of 4 GiB must not go on at their start.
  if (cells < <usize>object) return corruptAt(object + Y_LIMIT);
  const end = <u64>cells + <u64>capacity * cellBytes;
  if (end > bytes) return beyond(end);
  if (me != 0 && loadRecordIdent(record) != ident) {
    const result = begin(word);
    if (result != OK) return result;
  }
  channel = object;
  return OK;
}

function beyond(end: u64): i32 {
  return fail((<u64>loadSizePages()) << PAGE_SHIFT >= end ? NEED_CATCH_UP : CHANNEL_NONE);
}

/**
 * The slot's record becomes this participant's. What its predecessors were at when they died is put right first: who does that
 * looks at their tags.
 */
function begin(word: u32): i32 {
  if (word != RING_WORD) {
    const result = word == QUEUE_WORD ? sweep() : sweepCells();
    if (result != OK) return fail(result);
  }
  if (word != TOPIC_WORD) forget(record + C_DROPPED);
  forget(record + C_SKIPPED);
  storeRecordIdent(record, ident);
  return OK;
}

function forget(at: usize): void {
  storeTagged(at, ((<u64>NO_TAG) << 32) | (loadTagged(at) & 0xffffffff));
}

@inline
export function recordAt(index: u32): usize {
  return records + index * CHANNEL_RECORD_BYTES;
}

@inline
export function hasReceivers(): bool {
  return hasAny(receivers);
}

@inline
export function hasSenders(): bool {
  return hasAny(senders);
}

/** SYNC with enter in waiters.ts: who changes a cell looks here afterwards, who waits looks at the cells afterwards. */
@inline
function hasAny(set: usize): bool {
  if (loadWaiters(set) != 0) return true;
  return slotCount > 64 && hasMore(set);
}

function hasMore(set: usize): bool {
  for (let word: u32 = 1; word < setWords(); word++) {
    if (loadWaiters(set + (word << 3)) != 0) return true;
  }
  return false;
}

/** Counts one more at `at`, unless that was the last that was counted there: what has `tag` is counted once. */
export function countOnce(at: usize, tag: u32): void {
  const word = loadTagged(at);
  if (<u32>(word >> 32) == tag) return;
  storeTagged(at, ((<u64>tag) << 32) | (<u64>(<u32>word + 1)));
}

/** Counts one more at `at`, of nothing that others could take for counted. */
export function countMore(at: usize): void {
  const word = loadTagged(at);
  storeTagged(at, (word & 0xffffffff00000000) | (<u64>(<u32>word + 1)));
}

/** A channel is opened: what was known of one that was at its place before, with another capacity perhaps, is not true of it. */
export function forgetChannel(): void {
  channel = 0;
  earlier = 0;
}

/** Works on the channel at `object`, of whatever kind. Whether there is one. */
export function reach(object: u32): bool {
  if (isAt(object, QUEUE_WORD) || isAt(object, RING_WORD) || isAt(object, TOPIC_WORD)) return true;
  return use(object, QUEUE_WORD) == OK || use(object, RING_WORD) == OK || use(object, TOPIC_WORD) == OK;
}

/** The channel is no more: whoever still knows of it finds none. Its block is the caller's to free. */
export function closeChannel(object: u32): void {
  if (reach(object)) storeKind(object, 0);
}
