/**
 * Walking over a slab heap's blocks in the order of their handles. Only looks; as exact as that can be beside running
 * participants.
 */

import { PAGE_SHIFT, PAGE_SIZE_BYTES } from "../src/layout/header";
import {
  BLOCKS_PER_WORD,
  CLASS_LAST,
  PAGE_RUN,
  PAGE_RUN_EXTENDING,
  PAGE_RUN_SHRINKING,
} from "../src/layout/page";
import { fullWord, pairAt, wordCount } from "./bitmap";
import { classSize } from "./classes";
import { loadBlockOwner } from "./mem-owners";
import {
  getLocal,
  getPageBlockSize,
  getPageCount,
  getPageFirst,
  loadPageState,
  loadRemote,
} from "./mem-page";
import { ownersOf } from "./owners";
import { classIn, isMarked, isSlab, kindOf, lengthIn, pagesToPass, runOwnerIn } from "./pages";
import { firstDataPage, pageAt, reachablePages } from "./state";

let bytes: u32 = 0;
let owner: u32 = 0;

/** Usable bytes of the block that nextSlabBlock() has found; 0 = its pages are beyond what this participant can reach. */
export function foundBytes(): u32 {
  return bytes;
}

/** Slot index + 1 of that block's owner; 0 = it is shared. */
export function foundOwner(): u32 {
  return owner;
}

/**
 * Handle of the first allocated block that begins at or behind `from`; 0 = there is none. What the page says of it is kept for
 * foundBytes() and foundOwner(): asked anew, each would look at the page again.
 */
export function nextSlabBlock(from: u32): u32 {
  const limit = reachablePages();
  let index = from >> PAGE_SHIFT;
  let least = from & (PAGE_SIZE_BYTES - 1);
  if (index < firstDataPage()) {
    index = firstDataPage();
    least = 0;
  }
  while (index < limit) {
    const state = loadPageState(pageAt(index));
    if (isSlab(state)) {
      const handle = nextInPage(index, state, least);
      if (handle != 0) return handle;
    } else if (least == 0 && isAllocatedRun(kindOf(state))) {
      bytes = index + lengthIn(state) <= limit ? lengthIn(state) << PAGE_SHIFT : 0;
      owner = runOwnerIn(state);
      return index << PAGE_SHIFT;
    }
    index += pagesToPass(state);
    least = 0;
  }
  return 0;
}

function isAllocatedRun(kind: u32): bool {
  return kind == PAGE_RUN || kind == PAGE_RUN_EXTENDING || kind == PAGE_RUN_SHRINKING;
}

/** The first allocated block of a slab page that begins `least` bytes into the page or later; 0 = there is none. */
function nextInPage(index: u32, state: u64, least: u32): u32 {
  const page = pageAt(index);
  const sizeClass = classIn(state);
  const count = getPageCount(page);
  const size = getPageBlockSize(page);
  const first = getPageFirst(page);
  // A damaged descriptor tells of no blocks: with another size each byte might look like one's start.
  if (sizeClass == 0 || sizeClass > <u32>CLASS_LAST || size != classSize(sizeClass)) return 0;
  const from: u32 = least <= first ? 0 : (least - first + size - 1) / size;
  for (let word = from / BLOCKS_PER_WORD; word < wordCount(count); word++) {
    const pair = pairAt(index, page, count, word);
    let used = ~(getLocal(pair) | loadRemote(pair)) & fullWord(count, word);
    if (word == from / BLOCKS_PER_WORD) used &= ~(<u64>0) << (from & (BLOCKS_PER_WORD - 1));
    if (used == 0) continue;
    const block = word * BLOCKS_PER_WORD + <u32>ctz(used);
    const offset = <u64>first + <u64>block * size;
    // What a damaged descriptor says is no block.
    if (offset + size > <u64>PAGE_SIZE_BYTES) return 0;
    const array = isMarked(state) ? ownersOf(index) : 0;
    bytes = size;
    owner = array == 0 ? 0 : loadBlockOwner(array, block);
    return (index << PAGE_SHIFT) + <u32>offset;
  }
  return 0;
}
