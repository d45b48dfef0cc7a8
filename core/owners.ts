/**
 * Owners arrays: where it is written who owns a slab heap's blocks. (What they mean is told in slab-owned.ts.)
 *
 * A page's array is found through the directory (src/layout/page.ts). Arrays of a group of eight pages come into being
 * together and never go again: their page is the price of having owned blocks there once.
 *
 * An array says something of a page that is marked, and only of that: what it has from an earlier life of the page is
 * cleared when the page is claimed for its next (by its new owner, before anybody can see blocks there).
 */

import { PAGE_SHIFT } from "../src/layout/header";
import { BLOCKS_PER_WORD, OWNERS_ARRAY_BYTES, PAGES_PER_OWNERS_PAGE, PAGE_OWNERS } from "../src/layout/page";
import { NEED_CATCH_UP } from "../src/layout/result";
import { fillBytes, loadSizePages } from "./mem";
import { loadOwnersPage, storeBlockOwner } from "./mem-owners";
import { loadPageState } from "./mem-page";
import { kindOf, lengthIn } from "./pages";
import { corruptAt, fail, firstDataPage, pageAt, sideOffset, spanPages } from "./state";

/** Number of the eight pages that page `index` belongs to. */
@inline
export function groupOf(index: u32): u32 {
  return index / PAGES_PER_OWNERS_PAGE;
}

/** Whether the directory says that page `holder` holds the arrays of a group. */
export function isEstablished(holder: u32, group: u32): bool {
  return group <= groupOf(spanPages - 1) && loadOwnersPage(group) == holder;
}

/**
 * Address of the owners array of page `index`, which there must be: the page is marked. 0 when this participant cannot
 * reach it (lastError() says NEED_CATCH_UP), or when the directory is damaged (CORRUPT).
 */
export function ownersOf(index: u32): usize {
  const group = groupOf(index);
  const holder = loadOwnersPage(group);
  const isBeyond = holder >= <u32>memory.size();
  if (holder < firstDataPage() || holder >= spanPages || (isBeyond && holder >= loadSizePages())) {
    corruptAt(sideOffset + (group << 2));
    return 0;
  }
  if (isBeyond) {
    fail(NEED_CATCH_UP);
    return 0;
  }
  const state = loadPageState(pageAt(holder));
  if (kindOf(state) != PAGE_OWNERS || lengthIn(state) != group) {
    corruptAt(pageAt(holder));
    return 0;
  }
  return ((<usize>holder) << PAGE_SHIFT) + (index & (PAGES_PER_OWNERS_PAGE - 1)) * OWNERS_ARRAY_BYTES;
}

/**
 * Clears what the array of a page may have from its earlier lives. The page is this participant's, and not published.
 * False when the array cannot be reached (see lastError()).
 */
export function clearOwners(index: u32, count: u32): bool {
  if (loadOwnersPage(groupOf(index)) == 0) return true;
  const array = ownersOf(index);
  if (array == 0) return false;
  fillBytes(array, 0, count << 1);
  return true;
}

/** Nobody owns the blocks of a marked page that `bits` of its bitmap word `word` names. False as in clearOwners. */
export function disown(index: u32, word: u32, bits: u64): bool {
  const array = ownersOf(index);
  if (array == 0) return false;
  for (let left = bits; left != 0; left &= left - 1) {
    storeBlockOwner(array, word * BLOCKS_PER_WORD + <u32>ctz(left), 0);
  }
  return true;
}
