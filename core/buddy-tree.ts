/**
 * The tree word of a maximal block, as arithmetic: nothing here touches the segment.
 *
 * Why two bits a leaf are the whole buddy tree. In a textbook buddy system a free block is a node of the tree: an aligned
 * group of 2^k leaves, none of them allocated, whose parent is not free as a whole; splitting makes two nodes out of one,
 * and freeing joins a node with its buddy for as long as the buddy is free. Both only keep a list of nodes true to what is
 * allocated, and the nodes follow from that alone: *an aligned group of 2^k leaves can be allocated if and only if none of
 * its leaves is occupied*. With a bit for each leaf, all groups of a level are found at once, by and-ing the word with
 * itself shifted; nothing is split or joined, and no crash can come between a free and a join.
 *
 * What the leaf bits do not say is where one allocated block ends and the next begins: that is what `starts` is for.
 *
 * Of the groups that are free, the lowest is taken. test/core/buddy-tree.test.ts compares with a textbook buddy system.
 */

import { BUDDY_STARTS_SHIFT } from "../src/layout/buddy";
import { maxShift, minShift } from "./state";

/** The bits of the leaves that a maximal block has: all 32, unless it is less than 32 times the smallest. */
export let validLeaves: u32 = 0;

/** Before the first use of what is below. */
export function readLevels(): void {
  validLeaves = <u32>(((<u64>1) << (1 << topLevel())) - 1);
}

/** Level of the smallest block that holds `sizeBytes`: log2 of its leaves. Beyond topLevel(): there is none. */
@inline
export function levelOf(sizeBytes: u32): u32 {
  const bits: u32 = 32 - <u32>clz(sizeBytes - 1);
  return bits > minShift ? bits - minShift : 0;
}

/** Level of a maximal block. */
@inline
export function topLevel(): u32 {
  return maxShift - minShift;
}

/** Bit n is set where a free group of 2^level leaves begins at leaf n. */
@inline
export function freeGroups(state: u64, level: u32): u32 {
  let free = ~occupied(state) & validLeaves;
  if (level == 0) return free;
  free &= free >> 1;
  if (level == 1) return free & 0x55555555;
  free &= free >> 2;
  if (level == 2) return free & 0x11111111;
  free &= free >> 4;
  if (level == 3) return free & 0x01010101;
  free &= free >> 8;
  if (level == 4) return free & 0x00010001;
  return free & (free >> 16) & 1;
}

/** Which leaves are not free. */
@inline
export function occupied(state: u64): u32 {
  return (<u32>state) | (<u32>(state >> BUDDY_STARTS_SHIFT));
}

/** The `used` bits of `length` leaves from `leaf` on. */
@inline
export function usedBits(leaf: u32, length: u32): u64 {
  return (((<u64>1) << length) - 1) << leaf;
}

/** The `starts` bit of `leaf`. */
@inline
export function startBit(leaf: u32): u64 {
  return ((<u64>1) << BUDDY_STARTS_SHIFT) << leaf;
}

/** All the bits of a shared block. */
@inline
export function sharedBits(leaf: u32, length: u32): u64 {
  return ((((<u64>1) << length) - 1) | ((<u64>1) << BUDDY_STARTS_SHIFT)) << leaf;
}

/** All the bits of an owned block: its first leaf is a start that is not used. */
@inline
export function ownedBits(leaf: u32, length: u32): u64 {
  return ((((<u64>1) << length) - 2) | ((<u64>1) << BUDDY_STARTS_SHIFT)) << leaf;
}

@inline
export function isStart(state: u64, leaf: u32): bool {
  return (state & startBit(leaf)) != 0;
}

/** Of a start. */
@inline
export function isOwned(state: u64, leaf: u32): bool {
  return ((state >> leaf) & 1) == 0;
}

/**
 * The leaves, as `used` bits, of the block that starts at `leaf`: on to the next leaf that is free or a start. (Adding a one
 * behind the first leaf carries through the leaves that are inside the block, and turns exactly them to 0.)
 */
@inline
export function leavesAt(state: u64, leaf: u32): u64 {
  const inside = state & ~(state >> BUDDY_STARTS_SHIFT) & 0xffffffff;
  const first = (<u64>1) << leaf;
  return first | (inside & ~(inside + (first << 1)));
}

/** Whether there can be a block of `length` leaves at `leaf`: a power of two, at a multiple of itself. */
@inline
export function isNatural(leaf: u32, length: u32): bool {
  return ((length & (length - 1)) | (leaf & (length - 1))) == 0;
}
