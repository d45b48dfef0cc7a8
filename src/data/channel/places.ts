/** Where a channel's parts are, as core/channel-map.ts computes it too, and how large it is. */

import {
  C_SETS,
  CELL_DATA,
  CHANNEL_LINE_BYTES,
  CHANNEL_RECORD_BYTES,
  CHANNEL_SIDE_BYTES,
} from "../../layout/channel.ts";
import { SET_SWEPT_BYTES } from "../../layout/sync.ts";
import { TOPIC_ENTRY_BYTES } from "../../layout/topic.ts";

/** Offsets from the channel's start. */
export interface ChannelPlaces {
  readonly receivers: number;
  readonly senders: number;
  readonly records: number;
  /** The senders' line, and the receivers'. */
  readonly tailSide: number;
  readonly headSide: number;
  /** Of a topic: its subscribers' entries. */
  readonly entries: number;
  readonly cells: number;
  readonly sizeBytes: number;
}

function toLine(bytes: number): number {
  return Math.ceil(bytes / CHANNEL_LINE_BYTES) * CHANNEL_LINE_BYTES;
}

/** The size of a cell that has room for a message of `messageBytes`. */
export function cellBytesFor(messageBytes: number): number {
  return toLine(CELL_DATA + messageBytes);
}

/** `subscribers`: how many entries for them a topic has. */
export function placesOf(
  slotCount: number,
  capacity: number,
  cellBytes: number,
  subscribers = 0,
): ChannelPlaces {
  const setBytes = Math.ceil(slotCount / 64) * 8 + SET_SWEPT_BYTES;
  const receivers = C_SETS;
  const senders = receivers + setBytes;
  const records = toLine(senders + setBytes);
  const tailSide = records + slotCount * CHANNEL_RECORD_BYTES;
  const headSide = tailSide + CHANNEL_SIDE_BYTES;
  const entries = headSide + CHANNEL_SIDE_BYTES;
  const cells = entries + subscribers * TOPIC_ENTRY_BYTES;
  const sizeBytes = cells + capacity * cellBytes;
  return { receivers, senders, records, tailSide, headSide, entries, cells, sizeBytes };
}
