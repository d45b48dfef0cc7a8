/**
 * Read-write lock: a word for the writer, and a cell for each participant that reads.
 *
 * Reading: own cell = ident, then the writer's word must be 0, else the cell is taken back. Writing: the word from 0 to ident,
 * which keeps new readers out; then every cell must be 0 or of somebody who is gone. Both store before they look, so of a
 * reader and a writer that meet one at least sees the other. Linearisation points: reading, the look at the writer's word
 * that finds 0; writing, the look at the last cell; the stores of 0.
 *
 * A participant reads once for all its own readers (src/sync/rwlock.ts counts them).
 *
 * Deaths. A reader's cell names it, and counts for nothing once it is gone. A writer's word likewise. `entered` is 0 unless
 * somebody writes, past the readers, or has died writing: a writer stores it when it is in, and 0 before it leaves. So who
 * gets in and finds something else there is told that something may be half done: readers until one that writes has had the lock,
 * and that one, which puts its own ident there. Nobody changes it while somebody reads or is about to get in as the writer.
 */

import { SYNC_ABANDONED, SYNC_MINE, SYNC_NO, SYNC_SEEN, SYNC_YES } from "../src/layout/sync";
import { ident, isGone } from "./ident";
import {
  addAbandoned,
  casHolder,
  loadCell,
  loadEntered,
  loadHolder,
  setSince,
  storeCell,
  storeEntered,
  storeHolder,
} from "./mem-sync";
import { me, slotCount } from "./state";
import { cellsOf } from "./waiters";

@inline
function cellAt(object: u32, index: u32): usize {
  return cellsOf(object) + (index << 2);
}

/** Whether the writer `writer` is in nobody's way any more. What it was in the middle of is said by `entered`. */
function clearWriter(object: u32, writer: u32): bool {
  if (writer == 0) return true;
  if (!isGone(writer)) return false;
  const wasWriting = loadEntered(object) == writer;
  if (casHolder(object, writer, 0) && wasWriting) addAbandoned(object);
  return true;
}

/**
 * Gets this participant in as a reader. After SYNC_SEEN, which is a no, who waits is to be rung. If it reads already a no changes
 * nothing of that.
 */
export function tryRead(object: u32): u32 {
  const writer = loadHolder(object);
  if (writer == ident) return SYNC_MINE;
  if (!clearWriter(object, writer)) return SYNC_NO;
  const cell = cellAt(object, me - 1);
  const isReading = loadCell(cell) == ident;
  if (!isReading) storeCell(cell, ident);
  // SYNC with tryWrite, which stores the word and then looks at the cells.
  if (loadHolder(object) == 0) return loadEntered(object) == 0 ? SYNC_YES : SYNC_ABANDONED;
  if (isReading) return SYNC_NO;
  storeCell(cell, 0);
  return SYNC_SEEN;
}

/** Whether this participant was reading. Afterwards who waits is to be rung. */
export function endRead(object: u32): bool {
  const cell = cellAt(object, me - 1);
  if (loadCell(cell) != ident) return false;
  storeCell(cell, 0);
  return true;
}

/**
 * Gets this participant in as the writer. SYNC_NO: not yet, and it keeps new readers out if it could (until it gets in, or calls
 * endWrite). SYNC_MINE: it reads itself, or writes.
 */
export function tryWrite(object: u32): u32 {
  const writer = loadHolder(object);
  if (writer != ident) {
    if (!clearWriter(object, writer) || !casHolder(object, 0, ident)) return SYNC_NO;
  } else if (loadEntered(object) == ident) {
    return SYNC_MINE;
  }
  for (let index: u32 = 0; index < slotCount; index++) {
    const cell = cellAt(object, index);
    const reader = loadCell(cell);
    if (reader == 0) continue;
    if (reader == ident) return SYNC_MINE;
    if (!isGone(reader)) return SYNC_NO;
  }
  const result = loadEntered(object) == 0 ? SYNC_YES : SYNC_ABANDONED;
  storeEntered(object, ident);
  return result;
}

/** The writer leaves. Whether it was one. Afterwards who waits is to be rung. */
export function endWrite(object: u32): bool {
  if (!isWriting(object)) return false;
  setSince(object, 0);
  storeEntered(object, 0);
  storeHolder(object, 0);
  return true;
}

/** Whether this participant writes. */
export function isWriting(object: u32): bool {
  return loadHolder(object) == ident && loadEntered(object) == ident;
}

/** Gives up waiting to write, if this participant does. Whether it did: then who waits is to be rung. */
export function cancelWrite(object: u32): bool {
  if (loadHolder(object) != ident || loadEntered(object) == ident) return false;
  storeHolder(object, 0);
  return true;
}

/** Whether a writer has died, and none has come since. */
export function isDirty(object: u32): bool {
  const writer = loadEntered(object);
  return writer != 0 && isGone(writer);
}

/** The slot index + 1 of the first reader in slot `from` or behind it; 0 = there is none. */
export function nextReader(object: u32, from: u32): u32 {
  for (let index = from; index < slotCount; index++) {
    const reader = loadCell(cellAt(object, index));
    if (reader != 0 && !isGone(reader)) return index + 1;
  }
  return 0;
}
