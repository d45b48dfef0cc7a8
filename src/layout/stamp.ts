/**
 * The format stamp: a hash of every constant that the layout consists of. Two builds that disagree about any
 * offset, size or state cannot attach to each other's segments.
 */

import * as buddy from "./buddy.ts";
import * as channel from "./channel.ts";
import * as fit from "./fit.ts";
import * as header from "./header.ts";
import * as page from "./page.ts";
import * as port from "./port.ts";
import * as root from "./root.ts";
import * as slot from "./slot.ts";
import * as sync from "./sync.ts";
import * as topic from "./topic.ts";

/** Raised by hand when the meaning of a word changes while its place does not. */
const REVISION = 2;

/** FNV-1a over the constants' names and values in a fixed order. */
export function stampOf(tables: ReadonlyArray<Readonly<Record<string, number>>>, revision: number): number {
  let hash = 0x811c9dc5;
  const take = (text: string): void => {
    for (let index = 0; index < text.length; index++) {
      hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193) >>> 0;
    }
  };
  take(`revision=${revision};`);
  for (const table of tables) {
    for (const name of Object.keys(table).sort()) take(`${name}=${table[name]};`);
  }
  return hash >>> 0;
}

export const FORMAT_STAMP = stampOf(
  [header, slot, page, root, buddy, fit, sync, channel, topic, port],
  REVISION,
);
