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
 * Deaths. A reader's cell names it, and counts for nothing once it is gone. A writer's word likewise; if it was past the
 * readers (`entered`), `dirty` says to all who come, until one that writes has had it, that something may be half done.
 */

import { SYNC_ABANDONED, SYNC_MINE, SYNC_NO, SYNC_SEEN, SYNC_YES } from "../src/layout/sync";
import { ident, isGone } from "./ident";
import {
  addAbandoned,
  casHolder,
  loadCell,
  loadDirty,
  loadEntered,
  loadHolder,
  setSince,
  storeCell,
  storeDirty,
  storeEntered,
  storeHolder,
} from "./mem-sync";
import { me, slotCount } from "./state";
import { cellsOf } from "./waiters";

@inline
function cellAt(object: u32, index: u32): usize {
  return cellsOf(object) + (index << 2);
}

/** Whether the writer `writer` is in nobody's way any more; if it was in the middle of writing, that is noted. */
function clearWriter(object: u32, writer: u32): bool {
  if (writer == 0) return true;
  if (!isGone(writer)) return false;
  if (loadEntered(object) == writer) {
    // Before the word is free, so that nobody gets in between who would not be told.
    storeDirty(object, 1);
    addAbandoned(object);
  }
  casHolder(object, writer, 0);
  return true;
}

@inline
function yes(object: u32): u32 {
  return loadDirty(object) != 0 ? SYNC_ABANDONED : SYNC_YES;
}

/** Gets this participant in as a reader. After SYNC_SEEN, which is a no, who waits is to be rung. */
export function tryRead(object: u32): u32 {
  const writer = loadHolder(object);
  if (writer == ident) return SYNC_MINE;
  if (!clearWriter(object, writer)) return SYNC_NO;
  const cell = cellAt(object, me - 1);
  // Who reads already has others to read for: its cell stays.
  if (loadCell(cell) == ident) return loadHolder(object) == 0 ? yes(object) : SYNC_NO;
  storeCell(cell, ident);
  if (loadHolder(object) == 0) return yes(object);
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
  storeEntered(object, ident);
  return yes(object);
}

/** The writer leaves. Whether it was one. Afterwards who waits is to be rung. */
export function endWrite(object: u32): bool {
  if (!isWriting(object)) return false;
  storeDirty(object, 0);
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
  return loadDirty(object) != 0;
}

/** The slot index + 1 of the first reader in slot `from` or behind it; 0 = there is none. */
export function nextReader(object: u32, from: u32): u32 {
  for (let index = from; index < slotCount; index++) {
    const reader = loadCell(cellAt(object, index));
    if (reader != 0 && !isGone(reader)) return index + 1;
  }
  return 0;
}
