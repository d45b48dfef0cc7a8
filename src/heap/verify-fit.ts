/**
 * Verifying a first-fit heap: its blocks, the index over them, its lock and the record beside that.
 */

import * as result from "../layout/result.ts";
import type { Region } from "../region/index.ts";
import { countFit } from "./stats-fit.ts";
import type { Note } from "./verify.ts";

/** What can be wrong with a first-fit heap, by PROBLEM_. */
export const FIT_PROBLEMS: Readonly<Record<number, readonly [code: string, message: string]>> = {
  [result.PROBLEM_FIT_BLOCK]: ["fit-block", "a block's header contradicts where the blocks begin"],
  [result.PROBLEM_FIT_FREE]: ["fit-free", "a free block has flags or an owner, or ends in another size"],
  [result.PROBLEM_FIT_NEIGHBOURS]: [
    "fit-neighbours",
    "two free blocks are neighbours, or a block's header says the wrong thing of the one before it",
  ],
  [result.PROBLEM_FIT_OWNER]: ["fit-owner", "a block is owned by a participant that is gone"],
  [result.PROBLEM_FIT_STRAY]: ["fit-stray", "a block begins behind the end of the blocks"],
  [result.PROBLEM_FIT_INDEX]: ["fit-index", "an entry of the index is not the largest free block below it"],
  [result.PROBLEM_FIT_END]: ["fit-end", "the blocks end where there are no pages for blocks"],
  [result.PROBLEM_FIT_LOCK]: ["fit-lock", "the heap's lock is held by a participant that is gone"],
  [result.PROBLEM_FIT_RECORD]: ["fit-record", "an unfinished change is recorded, and nobody holds the lock"],
};

/** Notes what is wrong with the first-fit heap in `region`; returns how many allocated blocks there are. */
export function verifyFitHeap(region: Region, note: Note): number {
  const { survey } = region;
  const noteFit = (problem: number): void => note(problem, survey.fitProblemAt() >>> 0);
  const end = survey.endPage() >>> 0;
  for (let page = survey.firstPage() >>> 0; page < end; page++) noteFit(survey.verifyFitPage(page));
  noteFit(survey.verifyFitIndex());
  noteFit(survey.verifyFitLock());
  return countFit(region).usedBlocks;
}
