/**
 * The high water mark: one past the highest page that ever held a block.
 *
 * Every page from it on is as the system gave it: nobody has to look there for blocks, and its storage was never touched.
 * It only rises, by a compare-and-swap, and *before* the first block of a page exists; whoever dies in between leaves a mark
 * that is a little too high, which costs a look and nothing else.
 */

import { casHighWater, loadHighWater } from "./mem";

/** What this instance has seen the mark to be at least: most calls have nothing to do. */
let known: u32 = 0;

/** Before a block is allocated that ends in the page before `endPage`: the mark is at least that afterwards. */
export function noteHighWater(endPage: u32): void {
  if (endPage <= known) return;
  // Bounded: each failure means that the mark has risen.
  let current = loadHighWater();
  while (current < endPage && !casHighWater(current, endPage)) current = loadHighWater();
  known = endPage;
}

/** The mark. */
export function highWaterPages(): u32 {
  return loadHighWater();
}
