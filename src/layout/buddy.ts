/**
 * The buddy allocator's table: for each 64 KiB page of the span one flags word, then one 64-bit word for each *maximal
 * block* in it. A maximal block is cut into up to 32 *leaves*, the smallest blocks.
 *
 *       0  flags u32            BUDDY_HAS_OWNERS: the page's part of the side table has storage
 *       4  (free)
 *       8  trees u64 ×          bits 0..31 `used`, bits 32..63 `starts`, one of each for every leaf
 *          65536 / max
 *
 *     used start        a leaf is
 *      0     0          free
 *      1     0          inside a block that begins further down
 *      1     1          the first of a block, which is shared
 *      0     1          the first of a block, which is owned: the side table says by whom
 *
 * A block reaches to the next leaf that is free or a start. That is the whole buddy tree: two buddies that are free are
 * one free block without anybody having to join them.
 *
 * The side table has a u16 for each leaf of the span: slot index + 1 of the owner of the block that begins there. It is
 * meaningful for leaves that are owned starts; for others it is 0, or left by an owner that is just letting go. Only who
 * has put its number there (by compare-and-swap on 0) may turn the leaf into an owned start.
 */

export const BUDDY_FLAGS_BYTES = 8;
export const BUDDY_TREE_BYTES = 8;
export const BUDDY_OWNER_BYTES = 2;

export const BUDDY_HAS_OWNERS = 1;

/** Smallest and largest exponents of block sizes: 16 bytes, so that blocks are as aligned as all others, to a page. */
export const BUDDY_LEAST_SHIFT = 4;
export const BUDDY_MOST_SHIFT = 16;
/** A maximal block has at most 2^5 leaves: two bits for each in one word. */
export const BUDDY_MOST_LEVELS = 5;
export const BUDDY_DEFAULT_MIN_SHIFT = 5;
export const BUDDY_DEFAULT_MAX_SHIFT = 10;

export const BUDDY_STARTS_SHIFT = 32;

/**
 * Where a participant looks first: in its slot's `current` words (slot.ts), indexed by the level of the block, log2 of its
 * size in leaves. Numbers of maximal blocks (handle >> max shift); 0 = nowhere yet.
 *
 *      0..5   the maximal block of the last block that it allocated or freed
 *      8..13  how many fresh pages it may claim for this level before it looks through all used ones again
 */
export const BUDDY_HINTS = 0;
export const BUDDY_FRESH_PAGES = 8;
