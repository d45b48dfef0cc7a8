/**
 * A buddy heap, one maximal block after the other: the bits of its word, and the tree that they stand for, level by level.
 *
 *      128  ........        a level is drawn over all leaves, here eight of 16 bytes:
 *       64  ::::{===        [=== a shared block of this very size, {=== an owned one
 *       32  [=::----        :    split further, with something in it
 *       16  --.[----        -    inside a larger block    . free
 */
import { BUDDY_FLAGS_BYTES, BUDDY_STARTS_SHIFT, BUDDY_TREE_BYTES } from "../layout/buddy.ts";
import { PAGE_SHIFT, PAGE_SIZE_BYTES } from "../layout/header.ts";
import type { Region } from "../region/index.ts";
import type { Rows } from "./rows.ts";

/** A block in a maximal block. */
export interface BuddyBlock {
  readonly handle: number;
  readonly sizeBytes: number;
  /** Slot index, -1 = it is shared. */
  readonly ownerSlot: number;
}

/** One size of blocks in a maximal block. */
export interface BuddyLevel {
  readonly blockBytes: number;
  /** A character for each leaf: see above. */
  readonly cells: string;
}

/** A maximal block: one word of bits. */
export interface BuddyRow {
  readonly number: number;
  readonly offset: number;
  /** One bit for each leaf, in hexadecimal, the first leaf's lowest. layout/buddy.ts says what they mean together. */
  readonly usedBits: string;
  readonly startBits: string;
  /** From the maximal block's own size down to the leaves'. */
  readonly levels: readonly BuddyLevel[];
  readonly blocks: readonly BuddyBlock[];
}

/** Draws the maximal blocks `from` to `to` of the data. */
export function drawBuddy(region: Region, from: number, to: number): Rows<BuddyRow> {
  const { maxShift } = region.session.geometry;
  const count = (region.segmentSizeBytes - region.dataOffset) / 2 ** maxShift;
  const rows: BuddyRow[] = [];
  for (let number = from; number <= Math.min(to, count - 1); number++) rows.push(drawTree(region, number));
  return { count, rows };
}

/** The word of the maximal block that begins at `offset`, read at one moment. */
function readWord(region: Region, offset: number): bigint {
  const { tableOffset, tableBytesPerPage, maxShift } = region.session.geometry;
  const page = offset >>> PAGE_SHIFT;
  const inPage = (offset % PAGE_SIZE_BYTES) >>> maxShift;
  const at = tableOffset + page * tableBytesPerPage + BUDDY_FLAGS_BYTES + inPage * BUDDY_TREE_BYTES;
  return Atomics.load(new BigUint64Array(region.buffer, at, 1), 0);
}

interface Leaf {
  readonly isUsed: boolean;
  readonly isStart: boolean;
}

function drawTree(region: Region, number: number): BuddyRow {
  const { minShift, maxShift } = region.session.geometry;
  const offset = region.dataOffset + number * 2 ** maxShift;
  const word = readWord(region, offset);
  const usedBits = Number(BigInt.asUintN(BUDDY_STARTS_SHIFT, word));
  const startBits = Number(word >> BigInt(BUDDY_STARTS_SHIFT));
  const leaves = Array.from({ length: 2 ** (maxShift - minShift) }, (_, leaf) => ({
    isUsed: ((usedBits >>> leaf) & 1) === 1,
    isStart: ((startBits >>> leaf) & 1) === 1,
  }));
  const leafBytes = 2 ** minShift;
  const blocks = blocksOf(leaves).map(({ leaf, length, isOwned }) => {
    const handle = offset + leaf * leafBytes;
    const ownerSlot = isOwned ? (region.survey.ownerOf(handle) >>> 0) - 1 : -1;
    return { leaf, length, isOwned, handle, sizeBytes: length * leafBytes, ownerSlot };
  });
  const levels: BuddyLevel[] = [];
  for (let length = leaves.length; length >= 1; length /= 2)
    levels.push({ blockBytes: length * leafBytes, cells: drawLevel(blocks, leaves.length, length) });
  return {
    number,
    offset,
    usedBits: usedBits.toString(16).padStart(8, "0"),
    startBits: startBits.toString(16).padStart(8, "0"),
    levels,
    blocks: blocks.map(({ handle, sizeBytes, ownerSlot }) => ({ handle, sizeBytes, ownerSlot })),
  };
}

interface Run {
  readonly leaf: number;
  readonly length: number;
  readonly isOwned: boolean;
}

/** The blocks: each reaches from a start to the next leaf that is free or a start. */
function blocksOf(leaves: readonly Leaf[]): Run[] {
  const blocks: Run[] = [];
  for (const [leaf, { isUsed, isStart }] of leaves.entries()) {
    if (!isStart) continue;
    let end = leaf + 1;
    while (end < leaves.length && leaves[end]!.isUsed && !leaves[end]!.isStart) end++;
    blocks.push({ leaf, length: end - leaf, isOwned: !isUsed });
  }
  return blocks;
}

/** The level of blocks of `length` leaves. */
function drawLevel(blocks: readonly Run[], leafCount: number, length: number): string {
  const cells = Array.from({ length: leafCount }, () => ".");
  const draw = (from: number, text: string): void => void cells.splice(from, text.length, ...text);
  for (const block of blocks) {
    if (block.length > length) draw(block.leaf, "-".repeat(block.length));
    else if (block.length < length) draw(block.leaf - (block.leaf % length), ":".repeat(length));
    else draw(block.leaf, (block.isOwned ? "{" : "[").padEnd(length, "="));
  }
  return cells.join("");
}
