/**
 * Mending a slab heap (mend.ts): the pages of a participant whose call was cut off.
 *
 *     its intent          the block that an unfinished move had allocated goes back
 *     its claims          undone; its frees and shrinks finished, its extensions undone: an owned run stays owned
 *     its slab pages      hints and rings are made anew, from the page table: no step of making them needs to be told apart
 *     its numbers         in owners arrays, where the block turns out to be free: cleared
 *     flags and hints     raised wherever it may have failed to raise them
 */

import {
  BLOCKS_PER_WORD,
  CLASS_LAST,
  CLASS_SLOTS,
  PAGE_RUN,
  PAGE_RUN_EXTENDING,
  PAGE_RUN_SHRINKING,
  RUN_OWNED,
} from "../src/layout/page";
import { INTENT_REALLOC, S_OWNS } from "../src/layout/slot";
import { collectAll, pairAt, pointHint, refreshHint } from "./bitmap";
import { getSlotWord, loadIntent, setCurrent } from "./mem";
import { casBlockOwner, loadBlockOwner } from "./mem-owners";
import { getLocal, getPageCount, loadPageState, loadRemote, storePageState } from "./mem-page";
import { ownersOf } from "./owners";
import {
  classIn,
  finishShrink,
  freeBodies,
  isMarked,
  isSlab,
  kindOf,
  lengthIn,
  otherIn,
  ownerIn,
  pagesToPass,
  runState,
} from "./pages";
import { boundedEnd, makeUpFor, recoverPage, undoIntent } from "./recover-slab";
import { enterRing } from "./ring";
import { firstDataPage, me, mySlot, pageAt, reachablePages } from "./state";

export function mendSlab(): void {
  if (loadIntent(mySlot) == INTENT_REALLOC) undoIntent(mySlot, me);
  for (let sizeClass: u32 = 0; sizeClass < <u32>CLASS_SLOTS; sizeClass++) setCurrent(mySlot, sizeClass, 0);
  const owns = getSlotWord(mySlot, S_OWNS) != 0;
  const limit = reachablePages();
  for (let index = firstDataPage(); index < limit;) {
    const page = pageAt(index);
    const state = loadPageState(page);
    // As in recovery: what is behind a page that is being changed is looked at, too.
    const step = pagesToPass(state);
    if (isSlab(state)) mendSlabPage(index, page, state, owns);
    else if (ownerIn(state) == me) mendPage(index, page, state);
    index += step;
  }
}

function mendPage(index: u32, page: usize, state: u64): void {
  const kind = kindOf(state);
  const owner: u32 = classIn(state) == RUN_OWNED ? me : 0;
  if (kind == PAGE_RUN) return;
  if (kind == PAGE_RUN_EXTENDING) {
    const other = otherIn(state);
    freeBodies(index, index + other, boundedEnd(index, lengthIn(state)));
    storePageState(page, runState(PAGE_RUN, owner, other, 0));
  } else if (kind == PAGE_RUN_SHRINKING) {
    finishShrink(index, otherIn(state), boundedEnd(index, lengthIn(state)) - index, owner);
  } else {
    recoverPage(index, page, state);
  }
}

function mendSlabPage(index: u32, page: usize, state: u64, owns: bool): void {
  const isMine = ownerIn(state) == me;
  if (isMine) collectAll(index, page);
  if (owns && isMarked(state)) clearStrays(index, page);
  if (!isMine) {
    // An orphan that is empty becomes this participant's own.
    makeUpFor(index, page, state, me);
    if (ownerIn(loadPageState(page)) != me) return;
  }
  if (classIn(state) == 0 || classIn(state) > <u32>CLASS_LAST) return;
  pointHint(index, page, pairAt(index, page, getPageCount(page), 0), 0);
  refreshHint(index);
  enterRing(index, page, classIn(state));
}

/** Clears this participant's number where the block is free. */
function clearStrays(index: u32, page: usize): void {
  const array = ownersOf(index);
  if (array == 0) return;
  const count = min<u32>(getPageCount(page), BLOCKS_PER_WORD * BLOCKS_PER_WORD);
  for (let block: u32 = 0; block < count; block++) {
    if (loadBlockOwner(array, block) != me) continue;
    const pair = pairAt(index, page, getPageCount(page), block / BLOCKS_PER_WORD);
    // SYNC with collect: remote before local.
    const remote = loadRemote(pair);
    const isFree = (((remote | getLocal(pair)) >> (block & (BLOCKS_PER_WORD - 1))) & 1) != 0;
    if (isFree) casBlockOwner(array, block, me, 0);
  }
}
