/**
 * The high-water mark: one past the highest page that ever held a block. Raised, never lowered, and only by whoever goes
 * beyond what it last saw: an instance keeps a copy, so that the word is not read each time.
 */

import { casHighWater, loadHighWater } from "./mem";

/** What this instance knows the mark to be at least. */
let known: u32 = 0;

/** Blocks now reach to page `endPage` (exclusive). */
export function noteHighWater(endPage: u32): void {
  if (endPage <= known) return;
  let mark = loadHighWater();
  // Bounded: each failure means that another participant has raised it.
  while (mark < endPage && !casHighWater(mark, endPage)) mark = loadHighWater();
  known = mark < endPage ? endPage : mark;
}

export function highWaterPages(): u32 {
  return loadHighWater();
}
