/**
 * Verification: every invariant of a heap recomputed from scratch (core/verify.ts), each violation in words.
 */

import { CLASS_LAST, PAGE_SLAB, TABLE_BYTES_PER_PAGE } from "../layout/page.ts";
import * as result from "../layout/result.ts";
import { ROOT_SIZE_BYTES } from "../layout/root.ts";
import { SLOT_SIZE_BYTES } from "../layout/slot.ts";
import { H_ROOTS_LOCK } from "../layout/header.ts";
import type { Region } from "../region/index.ts";
import { RUN_KINDS } from "./stats.ts";
import { zeros } from "./stats.ts";

/** A violation. */
export interface Problem {
  /** Stable, for programs. */
  readonly code: string;
  readonly message: string;
  /** Of the descriptor, slot or entry that is wrong, in bytes from the segment's start. */
  readonly offset: number;
}

/** What verify() found. */
export interface VerifyReport {
  readonly ok: boolean;
  readonly problems: readonly Problem[];
  /** Pages looked at. */
  readonly pages: number;
  /** Allocated blocks found. */
  readonly blocks: number;
}

const PROBLEMS: Readonly<Record<number, readonly [code: string, message: string]>> = {
  [result.PROBLEM_FREE_PAGE_STATE]: ["free-page-state", "a free page's state word has other bits set"],
  [result.PROBLEM_UNKNOWN_KIND]: ["unknown-kind", "a page is of a kind that there is not"],
  [result.PROBLEM_DEAD_OWNER]: [
    "dead-owner",
    "a page belongs to, or is being changed by, a participant that is gone",
  ],
  [result.PROBLEM_SIZE_CLASS]: ["size-class", "a slab page is of a size class that there is not"],
  [result.PROBLEM_PAGE_GEOMETRY]: [
    "page-geometry",
    "a slab page's block size, count or offset is not its class's",
  ],
  [result.PROBLEM_STRAY_BITS]: ["stray-bits", "a bitmap has bits set beyond the page's blocks"],
  [result.PROBLEM_BOTH_BITMAPS]: ["both-bitmaps", "an orphan page's block is marked free twice"],
  [result.PROBLEM_HINT]: ["hint", "a page's hint does not lead to its free blocks"],
  [result.PROBLEM_RUN_LENGTH]: ["run-length", "a run has no length, or reaches beyond the segment"],
  [result.PROBLEM_RUN_BODY]: ["run-body", "a page inside a run is not marked as a part of it"],
  [result.PROBLEM_STRAY_BODY]: ["stray-body", "a page is marked as a part of a run that there is not"],
  [result.PROBLEM_RING]: ["ring", "this participant's list of its own pages is broken"],
  [result.PROBLEM_ROOT]: ["root", "a root does not lead to an allocated block"],
  [result.PROBLEM_ROOTS_LOCK]: ["roots-lock", "the roots lock is held by a participant that is gone"],
  [result.PROBLEM_SLOT_STATE]: ["slot-state", "a participant's slot is in a state that there is not"],
};

function describe(problem: number, offset: number): Problem {
  const [code, message] = PROBLEMS[problem] ?? ["unknown", `problem ${problem}`];
  return { code, message: `${message} (at offset ${offset})`, offset };
}

/** Verifies the heap in `region`. Changes nothing. */
export function verifyHeap(region: Region): VerifyReport {
  const { survey } = region;
  const { geometry, slotIndex } = region.session;
  const problems: Problem[] = [];
  const note = (problem: number, offset: number): void => {
    if (problem !== result.OK) problems.push(describe(problem, offset));
  };
  const first = survey.firstPage() >>> 0;
  const end = survey.endPage() >>> 0;
  let blocks = 0;
  const ownPages = zeros(CLASS_LAST + 1);
  for (let index = first; index < end;) {
    note(survey.verifyPage(index), geometry.tableOffset + index * TABLE_BYTES_PER_PAGE);
    const kind = survey.pageKind(index) >>> 0;
    if (kind === PAGE_SLAB) {
      blocks += (survey.pageBlockCount(index) >>> 0) - (survey.pageFreeBlocks(index) >>> 0);
      const sizeClass = Math.min(survey.pageClass(index) >>> 0, CLASS_LAST);
      if (slotIndex >= 0 && survey.pageOwner(index) === slotIndex + 1) ownPages[sizeClass]!++;
    } else if (RUN_KINDS.has(kind)) blocks++;
    index += Math.max(survey.pagesAt(index) >>> 0, 1);
  }
  for (let index = 0; index < geometry.slotCount; index++) {
    note(survey.verifySlot(index), geometry.slotsOffset + index * SLOT_SIZE_BYTES);
  }
  note(survey.verifyRootsLock(), H_ROOTS_LOCK);
  for (let index = 0; index < geometry.rootCount; index++) {
    note(survey.verifyRoot(index), geometry.rootsOffset + index * ROOT_SIZE_BYTES);
  }
  if (slotIndex >= 0) {
    const slotOffset = geometry.slotsOffset + slotIndex * SLOT_SIZE_BYTES;
    for (let sizeClass = 1; sizeClass <= CLASS_LAST; sizeClass++) {
      const length = survey.verifyRing(slotIndex, sizeClass);
      if (length < 0) note(-length, slotOffset);
      // A ring that is not through all of the owner's pages would lose room until the owner leaves.
      else if (length !== ownPages[sizeClass]) note(result.PROBLEM_RING, slotOffset);
    }
  }
  return { ok: problems.length === 0, problems, pages: end - first, blocks };
}
