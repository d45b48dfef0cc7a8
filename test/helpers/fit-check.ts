/**
 * What must hold of a first-fit heap at rest.
 */

import { H_SIZE_PAGES } from "../../src/layout/header.ts";
import { OK } from "../../src/layout/result.ts";
import type { World } from "./core-world.ts";

/** Every problem that the core's own verification finds. */
export function verifyFit({ survey, geometry, memory }: World): string[] {
  const problems: string[] = [];
  const note = (what: string, problem: number): void => {
    if (problem !== OK) problems.push(`${what}: problem ${problem} at ${survey.fitProblemAt() >>> 0}`);
  };
  const end = new DataView(memory.buffer).getUint32(H_SIZE_PAGES, true);
  for (let page = geometry.dataOffset / 65536; page < end; page++)
    note(`page ${page}`, survey.verifyFitPage(page));
  note("the index", survey.verifyFitIndex());
  note("the lock", survey.verifyFitLock());
  for (let index = 0; index < geometry.slotCount; index++) note(`slot ${index}`, survey.verifySlot(index));
  for (let index = 0; index < geometry.rootCount; index++) note(`root ${index}`, survey.verifyRoot(index));
  note("the roots lock", survey.verifyRootsLock());
  return problems;
}
