/**
 * A buddy heap's trees as text, for whoever debugs one: every node of every level, every bit, and the heap's own words.
 */

import { BUDDY_FRESH_PAGES, BUDDY_HAS_OWNERS, BUDDY_HINTS } from "../layout/buddy.ts";
import { PAGE_SHIFT } from "../layout/header.ts";
import type { Region } from "../region/index.ts";
import { buddyPages } from "./stats-buddy.ts";

/** What a node of a tree is. */
const FREE = ".";
const SHARED = "#";
const OWNED = "o";
/** Some of it is allocated, in smaller blocks. */
const SPLIT = "+";
/** Part of a larger block. */
const COVERED = "-";

/** The bits of a tree word. */
export interface TreeBits {
  readonly used: number;
  readonly starts: number;
}

const bit = (bits: number, leaf: number): boolean => ((bits >>> leaf) & 1) === 1;

/** Leaves of the block that starts at `leaf`. */
function lengthAt({ used, starts }: TreeBits, leaf: number, leafCount: number): number {
  let end = leaf + 1;
  while (end < leafCount && bit(used, end) && !bit(starts, end)) end++;
  return end - leaf;
}

/** What the node of `length` leaves at `leaf` is. */
function drawNode(bits: TreeBits, leaf: number, length: number, leafCount: number): string {
  const leaves = Array.from({ length }, (_, index) => leaf + index);
  if (leaves.every((one) => !bit(bits.used, one) && !bit(bits.starts, one))) return FREE;
  if (bit(bits.starts, leaf)) {
    const found = lengthAt(bits, leaf, leafCount);
    if (found === length) return bit(bits.used, leaf) ? SHARED : OWNED;
    return found > length ? COVERED : SPLIT;
  }
  return leaves.every((one) => bit(bits.used, one) && !bit(bits.starts, one)) ? COVERED : SPLIT;
}

/**
 * One maximal block level by level: a line for each level, the largest first, with one character for each node, which
 * stands above those of its halves.
 *
 *     .  free     #  a shared block     o  an owned block     +  split: allocated in parts     -  part of a larger block
 *
 * @param topLevel log2 of the leaves in a maximal block
 * @param minBlockBytes bytes of a leaf
 */
export function drawTree(bits: TreeBits, topLevel: number, minBlockBytes: number): string[] {
  const leafCount = 2 ** topLevel;
  const width = String(minBlockBytes * leafCount).length;
  return Array.from({ length: topLevel + 1 }, (_, row) => {
    const length = 2 ** (topLevel - row);
    const nodes = Array.from({ length: leafCount / length }, (__, index) =>
      drawNode(bits, index * length, length, leafCount).padEnd(length),
    );
    return `${String(minBlockBytes * length).padStart(width)} ${nodes.join("")}`.trimEnd();
  });
}

/** Which maximal blocks to draw. */
export interface DrawOptions {
  /** An offset in the first; default: the first data page. */
  readonly fromOffset?: number;
  /** How many; default 16. */
  readonly count?: number;
}

/** Draws maximal blocks of a buddy heap, and what belongs to them: sizes, offsets, hints, flags, owners, all bits. */
export function drawBuddy(region: Region, { fromOffset, count = 16 }: DrawOptions = {}): string {
  const { minShift, maxShift } = region.session.geometry;
  const { first, end } = buddyPages(region);
  const wordsPerPage = 2 ** (PAGE_SHIFT - maxShift);
  const wished = fromOffset === undefined ? 0 : Math.floor(fromOffset / 2 ** maxShift);
  const from = Math.max(wished, first * wordsPerPage);
  const to = Math.min(from + count, end * wordsPerPage);
  const lines = drawHeader(region);
  for (let word = from; word < to; word++) {
    if (word === from || word % wordsPerPage === 0) lines.push(drawPageLine(region, word / wordsPerPage));
    lines.push(...drawWord(region, word, maxShift - minShift));
  }
  return `${lines.join("\n")}\n`;
}

function drawHeader(region: Region): string[] {
  const { geometry } = region.session;
  const { minShift, maxShift } = geometry;
  const { first, used, end } = buddyPages(region);
  return [
    `buddy heap ${region.name}: blocks of ${2 ** minShift} to ${2 ** maxShift} bytes, ${maxShift - minShift + 1} levels, ${2 ** (maxShift - minShift)} leaves in a maximal block`,
    `table at ${geometry.tableOffset}, ${geometry.tableBytesPerPage} bytes a page; side table at ${geometry.sideOffset}, ${geometry.sideBytes} bytes; data at ${geometry.dataOffset}`,
    `pages ${first} to ${end - 1}; high water ${used}`,
    ...region.participants().map(({ index }) => drawHints(region, index)),
  ];
}

/** Where the participant looks first for blocks of each size. */
function drawHints(region: Region, slot: number): string {
  const { survey } = region;
  const { minShift, maxShift } = region.session.geometry;
  const hints = Array.from({ length: maxShift - minShift + 1 }, (_, level) => {
    const word = survey.hintWord(slot, BUDDY_HINTS + level) >>> 0;
    const fresh = survey.hintWord(slot, BUDDY_FRESH_PAGES + level) >>> 0;
    const place = word === 0 ? "-" : `${word * 2 ** maxShift}`;
    return `${2 ** (minShift + level)}: ${place}${fresh === 0 ? "" : ` (${fresh} fresh pages)`}`;
  });
  return `slot ${slot} looks at ${hints.join(", ")}`;
}

function drawPageLine({ survey }: Region, wordPage: number): string {
  const page = Math.floor(wordPage);
  const flags = survey.buddyFlags(page) >>> 0;
  const owners = (flags & BUDDY_HAS_OWNERS) === 0 ? "no owners" : "owners";
  return `page ${page} at ${page * 2 ** PAGE_SHIFT}: flags ${hex(flags)} (${owners})`;
}

function hex(bits: number): string {
  return `0x${(bits >>> 0).toString(16).padStart(8, "0")}`;
}

function drawWord(region: Region, word: number, topLevel: number): string[] {
  const { survey } = region;
  const { minShift, maxShift } = region.session.geometry;
  const bits = { used: survey.treeUsed(word) >>> 0, starts: survey.treeStarts() >>> 0 };
  const start = word * 2 ** maxShift;
  const lines = [`  ${start}: used ${hex(bits.used)} starts ${hex(bits.starts)}`];
  const owned = Array.from({ length: 2 ** topLevel }, (_, leaf) => leaf).filter(
    (leaf) => bit(bits.starts, leaf) && !bit(bits.used, leaf),
  );
  if (owned.length > 0) {
    const owners = owned.map((leaf) => {
      const handle = start + leaf * 2 ** minShift;
      const owner = survey.ownerOf(handle) >>> 0;
      return `${handle}: ${owner === 0 ? "changing" : `slot ${owner - 1}`}`;
    });
    lines[0] += ` owners ${owners.join(", ")}`;
  }
  return [...lines, ...drawTree(bits, topLevel, 2 ** minShift).map((line) => `    ${line}`)];
}
