/**
 * Repair: a damaged heap is made one that keeps every invariant (core/repair.ts), by a participant that is alone with it.
 *
 * What was wrong is what verification finds before and not afterwards. What was lost is what a listing finds before and not
 * afterwards; of what nothing told any more that it was a block, nothing can be told.
 */

import { ShoalError } from "../errors.ts";
import { H_SIZE_PAGES, PAGE_SIZE_BYTES } from "../layout/header.ts";
import { instantiateRepair } from "../region/core.ts";
import type { Repair } from "../region/core.ts";
import type { Region } from "../region/index.ts";
import { aloneIn } from "../region/participants.ts";
import { cutToSpan, restoreHeader } from "../region/restore.ts";
import { guarded } from "../region/traps.ts";
import { makeRoots } from "./roots.ts";
import { verifyHeap } from "./verify.ts";
import type { Problem, VerifyReport } from "./verify.ts";
import { walkBlocks } from "./walk.ts";
import type { BlockInfo } from "./walk.ts";

/** What is not there any more after a repair. */
export interface Losses {
  /** Blocks that were listed before: they are gone, or of another size. */
  readonly blocks: readonly BlockInfo[];
  /** Names of roots that led to no block. */
  readonly roots: readonly string[];
}

/** What verify({ repair: true }) found and did; what verification finds afterwards is in `problems`. */
export interface RepairReport extends VerifyReport {
  readonly repaired: readonly Problem[];
  readonly lost: Losses;
}

/** Does what can be done on a heap that may be damaged: the rest is what the repair is for. */
function attempt(step: () => void): void {
  try {
    step();
  } catch (error) {
    if (!(error instanceof ShoalError)) throw error;
  }
}

function listBlocks(region: Region): BlockInfo[] {
  const found: BlockInfo[] = [];
  attempt(() => {
    for (const block of walkBlocks(region)) found.push(block);
  });
  return found;
}

/**
 * The published size lies between what this participant has seen and what has storage; else it is what has storage. Whether it
 * did not.
 */
function correctSize(region: Region, core: Repair): boolean {
  const { backing, geometry, overlay } = region.session;
  const stored = Math.min(Math.floor(backing.status().sizeBytes / PAGE_SIZE_BYTES), geometry.spanPages);
  const told = overlay.core.sizePages() >>> 0;
  const seen = Math.min(overlay.memory.buffer.byteLength / PAGE_SIZE_BYTES, stored);
  if (told >= seen && told <= stored) return false;
  core.correctSize(stored);
  return true;
}

function headerProblem(offset: number): Problem {
  return {
    code: "header",
    message: `a word of the header was not what it must be (at offset ${offset})`,
    offset,
  };
}

function lengthProblem(offset: number): Problem {
  return { code: "length", message: `the segment was longer than its span (at offset ${offset})`, offset };
}

/** By handle: each is there once, and of this size. */
function sizesOf(blocks: readonly BlockInfo[]): ReadonlyMap<number, number> {
  return new Map(blocks.map(({ handle, sizeBytes }) => [handle, sizeBytes]));
}

/**
 * Repairs the heap in `region`.
 *
 * @throws ERR_SHOAL_IN_USE (somebody else who lives has it open), ERR_SHOAL_CORRUPT (its header cannot be one)
 */
export function repairHeap(region: Region): RepairReport {
  const { seat, slotIndex, overlay } = region.session;
  // What the dead were in the middle of is finished from what they noted, if that can still be read.
  attempt(() => region.recover());
  return aloneIn(seat, slotIndex, () => {
    const stray = restoreHeader(region.session);
    const core = instantiateRepair(overlay.memory);
    if (correctSize(region, core)) stray.push(H_SIZE_PAGES);
    const wrong = stray.map(headerProblem);
    if (cutToSpan(region.session)) wrong.push(lengthProblem(region.spanBytes));
    region.catchUp();
    const roots = makeRoots(region);
    const before = verifyHeap(region);
    const blocksBefore = listBlocks(region);
    const rootsBefore = roots.list();
    guarded("repair", overlay.core, () => core.repair(slotIndex));
    const after = verifyHeap(region);
    const left = new Set(after.problems.map(({ code, offset }) => `${code} ${offset}`));
    const sizes = sizesOf(listBlocks(region));
    const names = new Set(roots.list().map(({ name }) => name));
    return {
      ...after,
      repaired: [...wrong, ...before.problems.filter(({ code, offset }) => !left.has(`${code} ${offset}`))],
      lost: {
        blocks: blocksBefore.filter(({ handle, sizeBytes }) => sizes.get(handle) !== sizeBytes),
        roots: rootsBefore.map(({ name }) => name).filter((name) => !names.has(name)),
      },
    };
  });
}
