/**
 * Channels: queues and rings, as they lie in a block of a heap. Offsets in bytes from the object's start, a multiple of 8.
 *
 *     0   as all objects (sync.ts): kind, flags (CHANNEL_…), limit = capacity in cells, a power of two
 *    32   cell size u32 (bytes)          36  ended u32: 1 = nothing more is to be sent
 *    64   receivers, then senders: sets of those who wait for a message, and for room
 *     …   records, one for each slot, 64 B (from a multiple of 64 on)
 *     …   two lines, 128 B apart: the senders' and the receivers'
 *     …   cells
 *
 *     record    0  ident u32 of whom it is; its counts are those of all who had the slot
 *               4  swept u32: departures when it swept last
 *               8  dropped u64, 16 skipped u64: tag << 32 | count; the tag is of the last that was counted
 *              24  sent u64             32  received u64
 *              40  send waits u32       44  receive waits u32      48  redelivered u32
 *     queue     senders' line:   0  tail u64     no cell before it is free to be claimed (a hint)
 *               receivers' line: 0  head u64     no cell before it is ready (a hint); version << 48 | position
 *     ring      senders' line:   0  producer u32 (ident)   4  tail u32   8  known head u32   12  entered u32 (ident)
 *               receivers' line: 0  consumer u32 (ident)   4  head u32   8  known tail u32   12  entered u32 (ident)
 *                               16  held u64: 1 << 32 | head: the message there is lent; 2 << 32 | head: is being dropped
 *                               24  dropped u64, as above
 *     cell      0  state u64: turn << 35 | ident << 3 | phase       queues only
 *               8  length u32, with CELL_OUT when the message lies in a block
 *              12  block u32: where; 0 = here, or it has been taken already
 *              16  the message
 * Position p of a queue is cell p % capacity in turn p / capacity.
 */

/** Kinds of objects, beside those of sync.ts. */
export const CHANNEL_QUEUE = 16;
export const CHANNEL_RING = 17;

/** Flags: a message that was lent to one who died is given back; else it is dropped. */
export const CHANNEL_REDELIVER = 1;
/** What a sender does that finds no room, and how messages are written: numbers of src/data/channel/options.ts. */
export const CHANNEL_OVERFLOW_SHIFT = 1;
export const CHANNEL_OVERFLOW_MASK = 7;
export const CHANNEL_CODEC_SHIFT = 4;
export const CHANNEL_CODEC_MASK = 15;

export const C_CELL_BYTES = 32;
export const C_ENDED = 36;
export const C_SETS = 64;

export const CHANNEL_LINE_BYTES = 64;
export const CHANNEL_RECORD_BYTES = 64;
/** Between the senders' line and the receivers', and behind that: processors fetch lines in pairs. */
export const CHANNEL_SIDE_BYTES = 128;

export const CHANNEL_LEAST_SHIFT = 1;
export const CHANNEL_MOST_SHIFT = 18;
export const CHANNEL_MOST_CELL_BYTES = 1048576;

export const C_RECORD_IDENT = 0;
export const C_SWEPT = 4;
export const C_DROPPED = 8;
export const C_SKIPPED = 16;
export const C_SENT = 24;
export const C_RECEIVED = 32;
export const C_SEND_WAITS = 40;
export const C_RECEIVE_WAITS = 44;
export const C_REDELIVERED = 48;

export const C_POSITION = 0;
export const C_HOLDER = 0;
export const C_INDEX = 4;
export const C_KNOWN = 8;
export const C_ROLE_ENTERED = 12;
export const C_HELD = 16;
export const C_RING_DROPPED = 24;

export const CELL_STATE = 0;
export const CELL_LENGTH = 8;
export const CELL_BLOCK = 12;
export const CELL_DATA = 16;
/** In the length: the message lies in a block. */
export const CELL_OUT = 0x80000000;

/** Phases of a queue's cell. Free for the sender of its turn. */
export const CELL_FREE = 0;
/** Claimed by the sender named. */
export const CELL_WRITING = 1;
/** A message. */
export const CELL_READY = 2;
/** Claimed by the receiver named, who gives it back if it dies. */
export const CELL_READING = 3;
/** Lent to the receiver named: dropped if it dies. */
export const CELL_HELD = 4;
/** What a dead sender has left is being cleared away by the participant named. */
export const CELL_SKIPPING = 5;
/** A message that is dropped is being cleared away by the participant named. */
export const CELL_DROPPING = 6;

export const CELL_PHASE_MASK = 7;
export const CELL_NAME_SHIFT = 3;
export const CELL_TURN_SHIFT = 35;
/** 29 bits. */
export const CELL_TURN_MASK = 0x1fffffff;
export const POSITION_BITS = 48;

/** What calls return instead of a cell's address, beside the codes of result.ts. All are below the first address there is. */
export const CHANNEL_EMPTY = 32;
/** The next message is being written by somebody who lives. */
export const CHANNEL_BLOCKED = 33;
export const CHANNEL_FULL = 34;
/** Nothing is to be sent any more; for receivers: and all has been received. */
export const CHANNEL_OVER = 35;
/** The participant in slot `errorDetail()` has this end of the ring. */
export const CHANNEL_TAKEN = 36;
/** There is no channel here (any more). */
export const CHANNEL_NONE = 37;
/** Something was put right: ring all who wait, call again. */
export const CHANNEL_AGAIN = 38;
/** `errorDetail()` is a block of this participant's own now that nobody wants: free it, call again. */
export const CHANNEL_RELEASE = 39;
/** The cell is not this participant's. */
export const CHANNEL_STRANGE = 40;
export const CHANNEL_LAST_CODE = 63;

/** What calls return that succeed: bits. Somebody waits for a message that there is; for room that there is. */
export const RING_RECEIVERS = 1;
export const RING_SENDERS = 2;
/** What sending to a ring adds: there is room for the next message, in the cell behind. */
export const ROOM_BEHIND = 4;
