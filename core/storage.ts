/**
 * Free pages without storage behind them.
 *
 *     PAGE_FREE   -> PAGE_TRIMMING, mine -> PAGE_HOLLOW     trimFrom, settleStorage: the storage is given back in between
 *     PAGE_HOLLOW -> PAGE_TRIMMING, mine -> PAGE_FREE       claimHollow, settleStorage: it is got again in between
 *
 * The first step is a compare-and-swap: a page that somebody trims or restores is nobody else's to claim. The second is a
 * store by the one whose page it is. *Invariant*: behind a page that is PAGE_FREE, or in use, there is storage, so no store
 * to it is ever the one for which the system has none left (which would be the end of the process). A hollow page may have
 * storage all the same.
 *
 * A participant that dies between the two steps leaves PAGE_TRIMMING; what the system has done by then nobody knows, and
 * recovery makes the page PAGE_HOLLOW (recover-slab.ts): storage that is got twice is got once.
 *
 * A hollow page looks free to nobody but who finds no free one: see growFor in src/heap/obstacles.ts.
 */

import { PAGE_FREE, PAGE_HOLLOW, PAGE_TRIMMING } from "../src/layout/page";
import { casPageState, loadPageState, storePageState } from "./mem-page";
import { noteFreed, pagesToPass, runState, searchFrom } from "./pages";
import { firstDataPage, me, pageAt, reachablePages, setDetail } from "./state";
import { sweep } from "./ring";

@inline
function trimming(): u64 {
  return runState(PAGE_TRIMMING, me, 0, 0);
}

/**
 * Claims the first free pages in a row at or after `from`, to give their storage back. Returns the first of them and says in
 * errorDetail() how many; 0 = there are none. At the start of the data, what is empty is freed first.
 */
export function trimFrom(from: u32): u32 {
  const first = firstDataPage();
  const limit = reachablePages();
  if (from <= first) sweep();
  let index = from < first ? first : from;
  while (index < limit) {
    if (casPageState(pageAt(index), <u64>PAGE_FREE, trimming())) break;
    index += pagesToPass(loadPageState(pageAt(index)));
  }
  if (index >= limit) return 0;
  let end = index + 1;
  while (end < limit && casPageState(pageAt(end), <u64>PAGE_FREE, trimming())) end++;
  setDetail(end - index);
  return index;
}

/**
 * Looks for `length` pages in a row that are free or hollow, and claims the hollow ones to get storage for them. Returns the
 * first of the row; 0 = there is none.
 */
export function claimHollow(length: u32): u32 {
  const limit = reachablePages();
  let run: u32 = 0;
  for (let index = firstDataPage(); index < limit;) {
    const state = loadPageState(pageAt(index));
    // Whole words: a page that is neither, but of such a kind, cannot be claimed.
    if (state != <u64>PAGE_FREE && state != <u64>PAGE_HOLLOW) {
      run = 0;
      index += pagesToPass(state);
      continue;
    }
    index++;
    if (++run < length) continue;
    // What others have claimed meanwhile they have; the caller finds out when it tries again. It begins here: a search from
    // elsewhere might be led past these pages by a damaged run, and one would be sent back and forth for ever.
    searchFrom(index - length, length);
    for (let hollow = index - length; hollow < index; hollow++) {
      if (loadPageState(pageAt(hollow)) == <u64>PAGE_HOLLOW)
        casPageState(pageAt(hollow), <u64>PAGE_HOLLOW, trimming());
    }
    return index - length;
  }
  return 0;
}

/** Those of the `count` pages from `first` on that this participant has claimed here are free, or hollow, from now on. */
export function settleStorage(first: u32, count: u32, isStored: bool): void {
  const limit = reachablePages();
  if (first < firstDataPage() || first >= limit || count > limit - first) return;
  const state: u64 = isStored ? PAGE_FREE : PAGE_HOLLOW;
  for (let index = first; index < first + count; index++) {
    if (loadPageState(pageAt(index)) == trimming()) storePageState(pageAt(index), state);
  }
  if (isStored) noteFreed(first);
}
