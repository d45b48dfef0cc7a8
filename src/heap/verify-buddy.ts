/**
 * Verifying a buddy heap: the invariants of its trees and of its side table.
 */

import * as result from "../layout/result.ts";
import type { Region } from "../region/index.ts";
import { buddyPages, countBuddy } from "./stats-buddy.ts";
import type { Note } from "./verify.ts";

/** What can be wrong with a buddy heap, by PROBLEM_. */
export const BUDDY_PROBLEMS: Readonly<Record<number, readonly [code: string, message: string]>> = {
  [result.PROBLEM_TREE_FORM]: [
    "tree-form",
    "a maximal block has a block that does not begin, or whose size or place is no buddy's",
  ],
  [result.PROBLEM_TREE_STRAY]: ["tree-stray", "a maximal block has bits set for leaves that it has not"],
  [result.PROBLEM_TREE_OWNER]: ["tree-owner", "a block is owned by nobody who is there"],
  [result.PROBLEM_OWNER_GONE]: ["owner-gone", "the side table names a participant that is gone"],
  [result.PROBLEM_TREE_FLAGS]: ["tree-flags", "a page's flags have bits that there are not"],
  [result.PROBLEM_HIGH_WATER]: ["high-water", "a block is in a page that never held one"],
};

/** Notes what is wrong with the buddy heap in `region`, once a page; returns how many allocated blocks there are. */
export function verifyBuddyHeap(region: Region, note: Note): number {
  const { survey } = region;
  const { first, end } = buddyPages(region);
  for (let page = first; page < end; page++) note(survey.verifyBuddyPage(page), survey.errorDetail() >>> 0);
  return countBuddy(region).usedBlocks;
}
