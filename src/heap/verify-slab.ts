/**
 * Verifying a slab heap: its pages, and the verifying participant's own rings.
 */

import { CLASS_LAST, TABLE_BYTES_PER_PAGE } from "../layout/page.ts";
import { PROBLEM_RING } from "../layout/result.ts";
import { SLOT_SIZE_BYTES } from "../layout/slot.ts";
import type { Region } from "../region/index.ts";
import { zeros } from "./counts.ts";
import { RUN_KINDS, SLAB_KINDS } from "./stats-slab.ts";
import type { Note } from "./verify.ts";

/** Notes what is wrong with the pages of the slab heap in `region`; returns how many allocated blocks there are. */
export function verifySlabHeap(region: Region, note: Note): number {
  const { survey } = region;
  const { geometry, slotIndex } = region.session;
  const end = survey.endPage() >>> 0;
  const ownPages = zeros(CLASS_LAST + 1);
  let blocks = 0;
  for (let index = survey.firstPage() >>> 0; index < end;) {
    note(survey.verifyPage(index), geometry.tableOffset + index * TABLE_BYTES_PER_PAGE);
    const kind = survey.pageKind(index) >>> 0;
    if (SLAB_KINDS.has(kind)) {
      blocks += (survey.pageBlockCount(index) >>> 0) - (survey.pageFreeBlocks(index) >>> 0);
      const sizeClass = Math.min(survey.pageClass(index) >>> 0, CLASS_LAST);
      if (slotIndex >= 0 && survey.pageOwner(index) === slotIndex + 1) ownPages[sizeClass]!++;
    } else if (RUN_KINDS.has(kind)) blocks++;
    index += Math.max(survey.pagesAt(index) >>> 0, 1);
  }
  if (slotIndex >= 0) verifyRings(region, ownPages, note);
  return blocks;
}

function verifyRings(region: Region, ownPages: readonly number[], note: Note): void {
  const { geometry, slotIndex } = region.session;
  const slotOffset = geometry.slotsOffset + slotIndex * SLOT_SIZE_BYTES;
  for (let sizeClass = 1; sizeClass <= CLASS_LAST; sizeClass++) {
    const length = region.survey.verifyRing(slotIndex, sizeClass);
    if (length < 0) note(-length, slotOffset);
    // A ring that is not through all of the owner's pages would lose room until the owner leaves.
    else if (length !== ownPages[sizeClass]) note(PROBLEM_RING, slotOffset);
  }
}
