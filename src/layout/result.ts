/**
 * What core calls return. Zero is success (for calls that return a handle, zero is "look at lastError()").
 * src/heap/errors.ts turns each into a ShoalError.
 */

export const OK = 0;
/** The handle is outside the data area, in a free page, or not a block's start. */
export const BAD_HANDLE = 1;
/** The block is free already. */
export const DOUBLE_FREE = 2;
/** What was read from the segment contradicts itself. */
export const CORRUPT = 3;
/** No room: `errorDetail()` more pages would do (in a row, for slab heaps). */
export const NEED_PAGES = 4;
/** The segment is larger than this participant's memory: catch up and call again. */
export const NEED_CATCH_UP = 5;
/** A lock is held by the participant in slot `errorDetail()`. */
export const LOCKED = 6;
/** All entries of a table are taken. */
export const TABLE_FULL = 7;
/** No such entry. */
export const NOT_FOUND = 8;
/** The size asked for is larger than any heap's span. */
export const TOO_LARGE = 9;
/** The block is being changed by another call (a run being resized or freed). */
export const BUSY = 10;
/** The block is owned by another participant: the one in slot `errorDetail()`. */
export const NOT_OWNER = 11;
/**
 * Storage is missing for the part of a buddy heap's side table that is about page `errorDetail()`: reserve it, tell the core
 * (noteStorage), call again.
 */
export const NEED_STORAGE = 12;

/** What verify can find wrong (core/verify.ts); src/heap/verify.ts has a sentence for each. */

export const PROBLEM_FREE_PAGE_STATE = 1;
export const PROBLEM_UNKNOWN_KIND = 2;
export const PROBLEM_DEAD_OWNER = 3;
export const PROBLEM_SIZE_CLASS = 4;
export const PROBLEM_PAGE_GEOMETRY = 5;
export const PROBLEM_STRAY_BITS = 6;
export const PROBLEM_BOTH_BITMAPS = 7;
export const PROBLEM_HINT = 8;
export const PROBLEM_RUN_LENGTH = 9;
export const PROBLEM_RUN_BODY = 10;
export const PROBLEM_STRAY_BODY = 11;
export const PROBLEM_RING = 12;
export const PROBLEM_ROOT = 13;
export const PROBLEM_ROOTS_LOCK = 14;
export const PROBLEM_SLOT_STATE = 15;
export const PROBLEM_OWNERS_PAGE = 16;
export const PROBLEM_BLOCK_OWNER = 17;
export const PROBLEM_FREE_BLOCK_OWNED = 18;
/** Buddy heaps (core/verify-buddy.ts; sentences in src/heap/verify-buddy.ts). */
export const PROBLEM_TREE_FORM = 30;
export const PROBLEM_TREE_STRAY = 31;
export const PROBLEM_TREE_OWNER = 32;
export const PROBLEM_OWNER_GONE = 33;
export const PROBLEM_TREE_FLAGS = 34;
export const PROBLEM_HIGH_WATER = 35;

/** Of first-fit heaps (core/verify-fit.ts). */

export const PROBLEM_FIT_BLOCK = 40;
export const PROBLEM_FIT_FREE = 41;
export const PROBLEM_FIT_NEIGHBOURS = 42;
export const PROBLEM_FIT_OWNER = 43;
export const PROBLEM_FIT_STRAY = 44;
export const PROBLEM_FIT_INDEX = 45;
export const PROBLEM_FIT_END = 46;
export const PROBLEM_FIT_LOCK = 47;
export const PROBLEM_FIT_RECORD = 48;
