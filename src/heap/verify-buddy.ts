/**
 * Verification of a buddy heap: the invariants of its trees and of its side table, each violation in words. What is wrong
 * with roots, slots and locks is verify.ts's to find, as in every heap.
 */

import * as result from "../layout/result.ts";
import type { Region } from "../region/index.ts";
import { buddyPages, countBuddy } from "./stats-buddy.ts";
import type { Problem } from "./verify.ts";

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

/** Verifies the trees and the side table. One problem a page at most. */
export function verifyBuddy(region: Region): { problems: Problem[]; pages: number; blocks: number } {
  const { survey } = region;
  const { first, end } = buddyPages(region);
  const problems: Problem[] = [];
  for (let page = first; page < end; page++) {
    const problem = survey.verifyBuddyPage(page);
    if (problem === result.OK) continue;
    const offset = survey.errorDetail() >>> 0;
    const [code, message] = BUDDY_PROBLEMS[problem] ?? ["unknown", `problem ${problem}`];
    problems.push({ code, message: `${message} (at offset ${offset})`, offset });
  }
  return { problems, pages: end - first, blocks: countBuddy(region).blocks.used };
}
