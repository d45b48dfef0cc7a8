/** What channels say of themselves: counts that each participant keeps in its own record. */

import {
  C_DROPPED,
  C_RECEIVED,
  C_RECEIVE_WAITS,
  C_REDELIVERED,
  C_RING_DROPPED,
  C_SEND_WAITS,
  C_SENT,
  C_SKIPPED,
} from "../src/layout/channel";
import { C_DISCONNECTED } from "../src/layout/topic";
import { countMore, headSide, isAt, reach, record, recordAt, RING_WORD, TOPIC_WORD } from "./channel-map";
import { addCount, getCount, getCount8, loadEnded, loadTagged, storeEnded } from "./mem-channel";
import { slotCount } from "./state";

/** The count that is at `at` in the records (C_SENT and its like), of all participants that ever were. */
export function countOf(object: u32, at: u32): f64 {
  if (!reach(object)) return 0;
  const isWide = at == C_SENT || at == C_RECEIVED || (at == C_DROPPED && isAt(object, TOPIC_WORD));
  const isTagged = !isWide && (at == C_DROPPED || at == C_SKIPPED);
  let sum: u64 =
    isTagged && at == C_DROPPED && isAt(object, RING_WORD) ? <u32>loadTagged(headSide + C_RING_DROPPED) : 0;
  for (let index: u32 = 0; index < slotCount; index++) {
    const place = recordAt(index) + at;
    if (isTagged) sum += <u32>loadTagged(place);
    else if (isWide) sum += getCount8(place);
    else if (at == C_SEND_WAITS || at == C_RECEIVE_WAITS || at == C_REDELIVERED || at == C_DISCONNECTED)
      sum += getCount(place);
  }
  return <f64>sum;
}

/** One more message was not even sent, for want of room. */
export function noteDropped(object: u32): void {
  if (reach(object)) countMore(record + C_DROPPED);
}

/** This participant had to wait, to send or to receive. */
export function noteChannelWait(object: u32, isSender: bool): void {
  if (reach(object)) addCount(record + (isSender ? C_SEND_WAITS : C_RECEIVE_WAITS));
}

/** Nothing is to be sent from now on. Afterwards all who wait are to be rung. */
export function endChannel(object: u32): void {
  if (reach(object)) storeEnded(object, 1);
}

export function isEnded(object: u32): bool {
  return reach(object) && loadEnded(object) != 0;
}
