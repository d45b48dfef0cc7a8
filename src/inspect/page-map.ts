/**
 * A segment's pages as characters, for a look at the whole: what is Shoal's own, what is free, what is how full.
 *
 *     H  Shoal's own (header, slots, tables)         d  data of a plain segment     .  free
 *     1..9, #  a page with blocks, by tenths in use; # is full                     0  a slab page without any
 *     R  the first page of a run, r the others                                      ?  changing at this moment
 *
 * Where a character stands for several pages it shows the fullest of them.
 */
import {
  PAGE_BODY,
  PAGE_FREE,
  PAGE_HOLLOW,
  PAGE_OWNERS,
  PAGE_RUN,
  PAGE_RUN_EXTENDING,
  PAGE_RUN_SHRINKING,
  PAGE_SLAB,
  PAGE_SLAB_MARKED,
} from "../layout/page.ts";
import { PAGE_SIZE_BYTES } from "../layout/header.ts";
import type { BlockInfo } from "../heap/index.ts";
import type { Region } from "../region/index.ts";

/** At most so many characters are drawn. */
const MOST_CHARACTERS = 1024;

/** From the emptiest to the fullest: which of several pages a character shows. */
const ORDER = ".?H0d123456789rR#";

export interface PageMap {
  readonly map: string;
  readonly mapPagesPerCharacter: number;
}

function drawSlab(used: number, count: number): string {
  if (used === count) return "#";
  return used === 0 ? "0" : String(Math.min(9, Math.max(1, Math.floor((used * 10) / count))));
}

/** A heap's page, and how many pages its drawing says all about. */
function drawPage({ survey }: Region, index: number): string {
  const kind = survey.pageKind(index) >>> 0;
  if (kind === PAGE_FREE || kind === PAGE_HOLLOW) return ".";
  if (kind === PAGE_OWNERS) return "H";
  if (kind === PAGE_BODY) return "r";
  if (kind === PAGE_SLAB || kind === PAGE_SLAB_MARKED) {
    const count = survey.pageBlockCount(index) >>> 0;
    return drawSlab(count - (survey.pageFreeBlocks(index) >>> 0), count);
  }
  return kind === PAGE_RUN || kind === PAGE_RUN_EXTENDING || kind === PAGE_RUN_SHRINKING ? "R" : "?";
}

function fullest(characters: readonly string[]): string {
  return characters.reduce((one, other) => (ORDER.indexOf(other) > ORDER.indexOf(one) ? other : one));
}

/** How many bytes of each page are in blocks: what is drawn of heaps whose pages are not cut by sizes. */
function usedBytesOf(blocks: Iterable<BlockInfo>, pageCount: number): number[] {
  const used = Array.from({ length: pageCount }, () => 0);
  for (const { handle, sizeBytes } of blocks) {
    const end = handle + sizeBytes;
    for (let from: number = handle; from < end;) {
      const index = Math.floor(from / PAGE_SIZE_BYTES);
      const to = Math.min(end, (index + 1) * PAGE_SIZE_BYTES);
      used[index]! += to - from;
      from = to;
    }
  }
  return used;
}

/** Draws an open segment: a plain one, a slab heap, or, with its blocks, another heap. */
export function drawPages(region: Region, isSlab: boolean, blocks?: Iterable<BlockInfo>): PageMap {
  const count = region.segmentSizeBytes / PAGE_SIZE_BYTES;
  const first = region.dataOffset / PAGE_SIZE_BYTES;
  const used = blocks === undefined ? undefined : usedBytesOf(blocks, count);
  const pages = Array.from({ length: count }, (_, index) => {
    if (index < first) return "H";
    if (used !== undefined) return used[index] === 0 ? "." : drawSlab(used[index]!, PAGE_SIZE_BYTES);
    return isSlab ? drawPage(region, index) : "d";
  });
  const scale = Math.ceil(count / MOST_CHARACTERS);
  const length = Math.ceil(count / scale);
  const map = Array.from({ length }, (_, index) => fullest(pages.slice(index * scale, (index + 1) * scale)));
  return { map: map.join(""), mapPagesPerCharacter: scale };
}
