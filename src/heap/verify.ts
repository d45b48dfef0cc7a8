/**
 * Verification: every invariant of a heap recomputed from scratch (core/verify.ts), each violation in words.
 */

import * as result from "../layout/result.ts";
import { ROOT_SIZE_BYTES } from "../layout/root.ts";
import { SLOT_SIZE_BYTES } from "../layout/slot.ts";
import { ALLOCATOR_BUDDY, ALLOCATOR_SLAB, H_ROOTS_LOCK } from "../layout/header.ts";
import type { Region } from "../region/index.ts";
import { BUDDY_PROBLEMS, verifyBuddyHeap } from "./verify-buddy.ts";
import { FIT_PROBLEMS, verifyFitHeap } from "./verify-fit.ts";
import { verifySlabHeap } from "./verify-slab.ts";

/** A violation. */
export interface Problem {
  /** Stable, for programs. */
  readonly code: string;
  readonly message: string;
  /** Of the descriptor, slot or entry that is wrong, in bytes from the segment's start. */
  readonly offset: number;
}

/** Takes a PROBLEM_ (OK: none) and where it is, in bytes from the segment's start. */
export type Note = (problem: number, offset: number) => void;

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
  [result.PROBLEM_OWNERS_PAGE]: [
    "owners-page",
    "the page that says who owns blocks and the directory of such pages do not agree",
  ],
  [result.PROBLEM_BLOCK_OWNER]: ["block-owner", "a block belongs to a participant that is gone"],
  [result.PROBLEM_FREE_BLOCK_OWNED]: ["free-block-owned", "a free block belongs to a participant"],
  [result.PROBLEM_SLOT_STATE]: ["slot-state", "a participant's slot is in a state that there is not"],
  ...BUDDY_PROBLEMS,
  ...FIT_PROBLEMS,
};

function describe(problem: number, offset: number): Problem {
  const [code, message] = PROBLEMS[problem] ?? ["unknown", `problem ${problem}`];
  return { code, message: `${message} (at offset ${offset})`, offset };
}

/** Verifies the heap in `region`. Changes nothing. */
export function verifyHeap(region: Region): VerifyReport {
  const { survey } = region;
  const { geometry } = region.session;
  const problems: Problem[] = [];
  const note: Note = (problem, offset) => {
    if (problem !== result.OK) problems.push(describe(problem, offset));
  };
  const blocks = verifyBlocks(region, note);
  for (let index = 0; index < geometry.slotCount; index++) {
    note(survey.verifySlot(index), geometry.slotsOffset + index * SLOT_SIZE_BYTES);
  }
  note(survey.verifyRootsLock(), H_ROOTS_LOCK);
  for (let index = 0; index < geometry.rootCount; index++) {
    note(survey.verifyRoot(index), geometry.rootsOffset + index * ROOT_SIZE_BYTES);
  }
  const pages = (survey.endPage() >>> 0) - (survey.firstPage() >>> 0);
  return { ok: problems.length === 0, problems, pages, blocks };
}

function verifyBlocks(region: Region, note: Note): number {
  const { allocator } = region.session.geometry;
  if (allocator === ALLOCATOR_SLAB) return verifySlabHeap(region, note);
  return allocator === ALLOCATOR_BUDDY ? verifyBuddyHeap(region, note) : verifyFitHeap(region, note);
}
