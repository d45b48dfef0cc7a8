/**
 * Synchronisation objects: mutexes, rwlocks and the rest, as they lie in a block of a heap. Offsets in bytes from the
 * object's start, which is a multiple of 8.
 *
 *     all       0  kind u32: SYNC_MAGIC | SYNC_…        4  flags u32: SYNC_FAIR, SYNC_MANUAL
 *               8  limit u32: permits, parties         12  last u32: whom the last ring went to (slot index + 1)
 *              16  since f64: when the holder says that it took the object (milliseconds since 1970; 0 = it does not say)
 *              24  waits u32: how often somebody had to wait   28  abandoned u32: how often a holder died
 *              32  the kind's own words, 32 B; of those with a holder: 44 trace u32: a block of the holder's own that says where
 *                  it took the object (src/sync/trace.ts)
 *              64  waiters: a set: one bit a participant, so many u64 as the slots need; behind them u32 swept (core/waiters.ts)
 *               …  cells: one word a participant, for the kinds that have them
 *
 *     mutex    32  holder u32 (ident; with MUTEX_OFFERED: who is to take it)   40  next ticket u32
 *               …  cells u64: of those who wait, ident << 32 | ticket; fair ones only
 *     rwlock   32  writer u32 (ident)   36  entered u32 (ident of the last that wrote and has not finished it; 0)
 *               …  cells u32: idents of those who read
 *     semaphore 32 tally u64 (core/semaphore.ts)
 *               …  cells u64: shares; behind them u32 idents of those whose they are
 *     event    32  state u32: 1 = set                   36  generation u32: how often it was set
 *     condition 32 tickets u32: taken so far            36  notified u32: tickets below are to go on
 *              40  covered u32: departures up to which no ticket of the dead is left
 *     barrier  32  generation u32 and arrived u32, one u64: generation << 32 | BARRIER_BROKEN | arrived
 *              40  resets u64: the generation that was reset last, + 1, << 32 | bit i: the one that was 1 + i before it was, too
 *               …  cells u32: idents of the parties that have come
 *     once     32  runner u32 (ident; ONCE_DONE)
 *     counter  32  value i64
 *
 * An *ident* names one participant among all that ever had its slot: the slot's epoch and its index (core/ident.ts).
 */

/** In the high half of `kind`. */
export const SYNC_MAGIC = 0x53590000;
export const SYNC_MAGIC_MASK = 0xffff0000;

export const SYNC_MUTEX = 1;
export const SYNC_RWLOCK = 2;
export const SYNC_SEMAPHORE = 3;
export const SYNC_EVENT = 4;
export const SYNC_CONDITION = 5;
export const SYNC_BARRIER = 6;
export const SYNC_ONCE = 7;
export const SYNC_COUNTER = 8;

export const SYNC_FAIR = 1;
export const SYNC_MANUAL = 2;

export const Y_KIND = 0;
export const Y_FLAGS = 4;
export const Y_LIMIT = 8;
export const Y_LAST = 12;
export const Y_SINCE = 16;
export const Y_WAITS = 24;
export const Y_ABANDONED = 28;
export const Y_HOLDER = 32;
export const Y_ENTERED = 36;
export const Y_TICKETS = 40;
export const Y_WRITER = 32;
export const Y_TALLY = 32;
export const Y_STATE = 32;
export const Y_GENERATION = 36;
export const Y_TAKEN = 32;
export const Y_NOTIFIED = 36;
export const Y_COVERED = 40;
export const Y_ARRIVALS = 32;
export const Y_RESETS = 40;
export const Y_RUNNER = 32;
export const Y_VALUE = 32;
export const Y_TRACE = 44;
export const Y_WAITERS = 64;

/** Bytes of a set of waiters behind its bits. */
export const SET_SWEPT_BYTES = 8;

/** Of a fair mutex: the one named is not the holder yet. No part of an ident. */
export const MUTEX_OFFERED = 0x80000000;
export const BARRIER_BROKEN = 0x80000000;
/** Which of the 32 bits of `rung` stands for an object: the top bits of its handle times this. */
export const RING_FACTOR = 0x9e3779b1;
export const RING_SHIFT = 27;

export const ONCE_DONE = 0xffffffff;

/** Ident: the low 21 bits of the slot's epoch, above slot index + 1. */
export const IDENT_SLOT_BITS = 10;
export const IDENT_SLOT_MASK = 1023;
export const IDENT_EPOCH_MASK = 0x1fffff;

/** Most permits of a semaphore. */
export const MAX_PERMITS = 65535;

/** What ringNext returns when it has rung all who wait, and perhaps more: who sleeps is to be woken, whoever it is. */
export const RANG_ALL = 0x7fffffff;

/** What the calls that try return, beside the codes of result.ts for what is an error. */
export const SYNC_NO = 0;
export const SYNC_YES = 1;
/** Yes, and the one who had it before has died with it. */
export const SYNC_ABANDONED = 2;
/** No, since this participant has it itself. */
export const SYNC_MINE = 3;
/** No, and never: a party of the barrier has died. */
export const SYNC_BROKEN = 4;
/** No, but a writer may have seen this one try. */
export const SYNC_SEEN = 6;
/** No need: it has been done. */
export const SYNC_DONE = 5;
