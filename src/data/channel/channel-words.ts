/**
 * The words of a channel that say how large its parts are, which TypeScript writes when it makes one (src/sync/object-words.ts says
 * what holds for those). Sites 810 and up.
 */

import { C_CELL_BYTES } from "../../layout/channel.ts";
import { C_HISTORY, C_SUBSCRIBERS } from "../../layout/topic.ts";
import type { SharedWords } from "../../sync/object-words.ts";

/** Of a channel, from its start on: so many bytes are TypeScript's. */
export const CHANNEL_HEAD_BYTES = C_HISTORY + 4;

export function setCellBytes(channel: SharedWords, cellBytes: number): void {
  channel.touch(810);
  channel.words[C_CELL_BYTES >> 2] = cellBytes;
}

export function setSubscribers(channel: SharedWords, subscribers: number): void {
  channel.touch(811);
  channel.words[C_SUBSCRIBERS >> 2] = subscribers;
}

export function setHistory(channel: SharedWords, history: number): void {
  channel.touch(812);
  channel.words[C_HISTORY >> 2] = history;
}

export function getSubscribers(channel: SharedWords): number {
  channel.touch(813);
  return channel.words[C_SUBSCRIBERS >> 2]!;
}
