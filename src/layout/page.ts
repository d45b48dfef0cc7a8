/**
 * The page table: one 64-byte descriptor, exactly a cache line, for each 64 KiB page of a heap's span.
 *
 *       0  state u64: the one word that says what the page is; changed by compare-and-swap or by its owner
 *            bits  0..7   kind (PAGE_FREE … below)
 *            bits  8..15  size class (slab pages); RUN_OWNED or 0 (a run that is being resized)
 *            bits 16..31  owner: slot index + 1. Of a slab page 0 = nobody (an orphan: anyone may adopt it), of a run 0 = the
 *                         block is shared; of a page that is being changed, who is changing it
 *            bits 32..47  length: pages in the run; for a PAGE_BODY, its distance from the run's head; for PAGE_OWNERS, the
 *                         number of the eight pages whose owners arrays it holds
 *            bits 48..63  other length: the length a run had (extending) or will have (shrinking)
 *       8  next u32, 12 prev u32: the owner's ring of its pages of this class (page indexes)
 *      16  remote flag u32: 1 = another participant has freed a block here since the owner last looked
 *      20  hint u32: offset in the segment of the bitmap pair that most likely has a free block
 *      24  hint handle u32: handle of the first block of that pair
 *      28  block size u32 (bytes)         32  first block's offset in the page u32 (bytes)
 *      36  block count u32                40  reciprocal u32: ceil(2^32 / block size)
 *      44  (free)
 *      48  local u64, 56 remote u64: the bitmap, for pages of at most 64 blocks
 *
 * A slab page's bitmap is a row of pairs (local u64, remote u64), one pair for each 64 blocks: inline in the
 * descriptor for pages of at most 64 blocks, else at the page's own start.
 *
 *     a block is free       <=>  its bit is set in local or in remote
 *     local bits            are changed by the owner alone, with plain stores
 *     remote bits           are set by anyone else with an atomic or, and cleared by the owner only after it
 *                           has copied them into local: a crash in between leaves a bit in both, still free
 *
 * Blocks of a slab page may be owned (core/slab-owned.ts) only once the page is *marked*; a mark stays until the page is
 * free again.
 */

export const TABLE_BYTES_PER_PAGE = 64;

/**
 * The side table of a slab heap is a directory: for each eight pages one u32, the page that holds their owners arrays, or 0
 * while no block in any of them is owned. An owners array is a u16 for each block of a page: slot index + 1 of who owns the
 * block, 0 = it is shared.
 */
export const OWNERS_ENTRY_BYTES = 4;
export const PAGES_PER_OWNERS_PAGE = 8;
export const OWNERS_ARRAY_BYTES = 8192;

export const P_STATE = 0;
export const P_NEXT = 8;
export const P_PREV = 12;
export const P_REMOTE_FLAG = 16;
export const P_HINT = 20;
export const P_HINT_HANDLE = 24;
export const P_BLOCK_SIZE = 28;
export const P_FIRST = 32;
export const P_COUNT = 36;
export const P_RECIPROCAL = 40;
export const P_BITMAP = 48;

export const BITMAP_PAIR_BYTES = 16;
export const REMOTE_IN_PAIR = 8;
export const BLOCKS_PER_WORD = 64;

/** Free to be claimed. Zero, so that pages that growth adds are free without being written. */
export const PAGE_FREE = 0;
/** Being made a slab page by the owner named. */
export const PAGE_CLAIMED = 1;
/** Blocks of one size class, allocated by the owner named (or an orphan). */
export const PAGE_SLAB = 2;
/** First page of a run that is being claimed by the owner named; undone if it dies. */
export const PAGE_RUN_CLAIMED = 3;
/** First page of an allocated run of `length` pages. */
export const PAGE_RUN = 4;
/** Any later page of a run; `length` is the distance from its head. */
export const PAGE_BODY = 5;
/** First page of a run that the owner named is freeing; finished if it dies. */
export const PAGE_RUN_FREEING = 6;
/** A run that the owner named is extending in place from `other` to `length` pages; undone if it dies (freed, if owned). */
export const PAGE_RUN_EXTENDING = 7;
/** A run that the owner named is shrinking in place from `length` to `other` pages; finished if it dies (freed, if owned). */
export const PAGE_RUN_SHRINKING = 8;
/**
 * Holds the owners arrays of the eight pages with the number that is in `length`. The owner named, if any, is just
 * establishing it: it stays if the directory names it, else it is freed.
 */
export const PAGE_OWNERS = 9;
/** A slab page in which blocks may be owned: PAGE_SLAB and PAGE_MARK. */
export const PAGE_SLAB_MARKED = 10;
/** Free, without storage behind it: to be claimed only after it has been reserved and made PAGE_FREE. */
export const PAGE_HOLLOW = 11;
/** A free page whose storage the owner named is giving back; hollow if it dies. */
export const PAGE_TRIMMING = 12;

export const LAST_KIND = PAGE_TRIMMING;
/** The bit in the kind that tells PAGE_SLAB_MARKED from PAGE_SLAB. */
export const PAGE_MARK = 8;
/** In the class bits of a run that is being resized: it is owned by who resizes it. */
export const RUN_OWNED = 1;

export const STATE_KIND_MASK = 0xff;
export const STATE_CLASS_SHIFT = 8;
export const STATE_OWNER_SHIFT = 16;
/** Of the state's low half. */
export const STATE_OWNER_MASK = 0xffff0000;
export const STATE_LENGTH_SHIFT = 32;
export const STATE_OTHER_SHIFT = 48;

/**
 * Size classes (core/classes.ts computes them): 1..16 are the multiples of 16 up to 256 bytes; 17..56 are
 * eight steps to each doubling up to 8 KiB; 57..62 cut a page in 7, 6, 5, 4, 3 and 2. Larger is a run.
 */
export const CLASS_SLOTS = 64;
export const CLASS_LAST = 62;
export const SMALL_LIMIT_BYTES = 32768;
export const LINEAR_LIMIT_BYTES = 256;
export const STEPPED_LIMIT_BYTES = 8192;
