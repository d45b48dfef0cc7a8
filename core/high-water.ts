/**
 * The high-water mark: the page from which on no page of the data ever held a block. Those are zeros still.
 *
 * It only rises, by a compare-and-swap before the block is handed out; a participant that dies in between leaves it higher
 * than it had to be, which is true as well.
 */

import { casHighWater, loadHighWater } from "./mem";

/** What this participant knows of it: the mark is never lower. */
let known: u32 = 0;

/** A block reaches up to page `endPage`. */
@inline
export function noteHighWater(endPage: u32): void {
  if (endPage > known) raiseHighWater(endPage);
}

function raiseHighWater(endPage: u32): void {
  let current = loadHighWater();
  while (current < endPage && !casHighWater(current, endPage)) current = loadHighWater();
  known = current < endPage ? endPage : current;
}
