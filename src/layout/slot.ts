/**
 * A participant's slot: 512 bytes in the segment for each opener (a process's main thread or a worker).
 *
 * A slot's owner is whoever holds the exclusive open-file-description lock on the byte of the segment's file
 * at the slot's own offset. The kernel drops that lock on any death. Everything in a slot is written by its
 * owner, or by the one who recovers it and holds the same lock; so none of it needs more than plain stores,
 * except the state word, which others read to see who is there, and the bell's, which others ring.
 *
 *       0  state u32: epoch << 2 | SLOT_FREE, SLOT_LIVE or SLOT_RECOVERING; the epoch counts the slot's users
 *       4  pid u32            8  start time of that process, f64 (clock ticks since boot)
 *      16  thread id u32     20  owns u32: 1 = may own blocks (core/blocks.ts)
 *      24  opened at, f64 (milliseconds since 1970)
 *      32  intent kind u32   36  intent's block u32: what recovery must undo (core/realloc.ts)
 *      40  intent's place u32: offset of the word that the block is put into or taken from (core/hand-over.ts)
 *      64  scratch, 64 B: arguments and results that do not fit in registers (names; handles of a batch)
 *     128  bell u32: grows with each ring; whoever of this participant waits sleeps on it (core/bells.ts)
 *     132  armed u32: 1 = somebody sleeps or is about to       136  rung u32: for which objects, by a hash
 *     144  blocked u32: handle of the object that the thread waits for, asleep   148  awaited u32: the same, with await
 *     152  waiting since, f64 (milliseconds since 1970)
 *     160  (free)
 *     256  current[64] u32: slab: for each size class, the page allocated from now (a page index; 0 = none); buddy: where
 *                           it looks first (buddy.ts)
 */

export const SLOT_SIZE_BYTES = 512;
export const DEFAULT_SLOT_COUNT = 56;
export const MAX_SLOT_COUNT = 1016;

export const S_STATE = 0;
export const S_PID = 4;
export const S_START = 8;
export const S_THREAD = 16;
export const S_OWNS = 20;
export const S_OPENED = 24;
export const S_INTENT = 32;
export const S_INTENT_BLOCK = 36;
export const S_INTENT_PLACE = 40;
export const S_SCRATCH = 64;
export const SCRATCH_SIZE_BYTES = 64;
export const S_BELL = 128;
export const S_ARMED = 132;
export const S_RUNG = 136;
export const S_BLOCKED = 144;
export const S_AWAITED = 148;
export const S_WAITING = 152;
export const S_CURRENT = 256;

export const SLOT_FREE = 0;
export const SLOT_LIVE = 1;
export const SLOT_RECOVERING = 2;
export const SLOT_STATE_MASK = 3;
export const SLOT_EPOCH_SHIFT = 2;

export const INTENT_NONE = 0;
/** The block named beside it was allocated inside realloc and is not the caller's yet: give it back. */
export const INTENT_REALLOC = 1;
/**
 * The same, where the new block is its own (owned) until the move is done: recovery frees that with all it owned, and only the
 * participant itself, if it lives, looks here (core/mend.ts).
 */
export const INTENT_MOVE = 2;
/** The block is being put into the place beside it: if it is there, it is shared (core/hand-over.ts). */
export const INTENT_PUBLISH = 3;
/** The block is being taken out of the place beside it: if it is still there, it is shared. */
export const INTENT_TAKE = 4;
