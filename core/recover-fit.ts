/**
 * Recovery of a first-fit heap: what a dead participant had begun or owned there.
 *
 *   1. the lock          if the dead one held it, its record is carried out, the index computed anew, the lock released
 *                        (fit-lock.ts, called by recover.ts, which needs the lock for the block that was being handed over)
 *   2. its own blocks    freed one by one, each under the lock as any other, taken in the dead one's name: the recoverer may
 *                        have none, and if it dies, step 1 is there for whoever follows
 */

import { PAGE_SHIFT } from "../src/layout/header";
import { NEED_CATCH_UP, OK } from "../src/layout/result";
import { S_OWNS } from "../src/layout/slot";
import { endPageOfBlocks, isStart, isUsed, isUsedBlock, tableOf } from "./fit-blocks";
import { release } from "./fit-change";
import { lock, unlock } from "./fit-lock";
import { getSlotWord } from "./mem";
import { getBlockHeader, loadBlockHeader, loadFitEnd, loadStarts } from "./mem-fit";
import { fail, firstDataPage, lastError, reachablePages } from "./state";

/** OK; LOCKED when somebody who lives holds the lock, NEED_CATCH_UP when the blocks reach beyond this memory: repeat. */
export function recoverFit(slot: usize, owner: u32): i32 {
  return getSlotWord(slot, S_OWNS) == 0 ? OK : freeOwned(owner);
}

/**
 * Without the lock: the dead one's blocks stand still, since nobody else may change them, and whatever else looks like one
 * is looked at again under the lock.
 */
function freeOwned(owner: u32): i32 {
  const reach = reachablePages();
  const end = loadFitEnd();
  const limit = end < reach ? end : reach;
  for (let page = firstDataPage(); page < limit; page++) {
    const table = tableOf(page);
    for (let word: u32 = 0; word < STARTS_WORDS; word++) {
      for (let bits = loadStarts(table + (word << 3)); bits != 0; bits &= bits - 1) {
        const start = (page << PAGE_SHIFT) + (word << 9) + ((<u32>ctz(bits)) << 3);
        if (!isOwnedBy(loadBlockHeader(start), owner)) continue;
        const result = freeOne(owner, start);
        if (result != OK) return result;
      }
    }
  }
  return OK;
}

/** Words of start bits of a page. */
const STARTS_WORDS: u32 = 128;

@inline
function isOwnedBy(header: u64, owner: u32): bool {
  return <u32>(header >> 32) == owner && isUsed(<u32>header);
}

/** A block that contradicts itself is passed over: verification finds it. */
function freeOne(owner: u32, start: u32): i32 {
  if (!lock(owner)) return lastError();
  const endPage = endPageOfBlocks();
  if (endPage > <u32>memory.size()) {
    unlock();
    return fail(NEED_CATCH_UP);
  }
  const end = endPage << PAGE_SHIFT;
  const header = getBlockHeader(start);
  if (isStart(start) && isOwnedBy(header, owner) && isUsedBlock(start, <u32>header, end))
    release(start, <u32>header, end);
  unlock();
  return OK;
}
