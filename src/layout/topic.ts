/**
 * Topics: channels (channel.ts) in which every subscriber has its own position. What is not said here is as in a queue.
 *
 *    40  subscribers u32: how many the table has room for
 *    44  history u32: how many messages a late subscriber begins with
 *    48  joins u32: how often somebody has become a subscriber
 *     …  between the receivers' line and the cells: the table of subscribers
 *
 *     record   48  disconnected u32: how many subscribers its participant has disconnected
 *              52  known joins u32   56  known limit u64: when `joins` was that, positions before the limit could be published
 *     entry     0  word u64: ident << 32 | serial << 8 | phase; the serial changes with each subscriber
 *               8  position u64: of the message that it receives next
 *              16  start u64: where it began             24  received u64     32  skipped u64
 *              What is between its start and its position and was neither received nor skipped was dropped.
 *     cell      the state's phase is FREE, WRITING, READY or SKIPPING; a message stays until the next turn's is published. The block
 *               that the cell names may be of an earlier turn while the phase is not READY.
 */

/** A kind of object, beside those of channel.ts. */
export const CHANNEL_TOPIC = 18;

export const C_SUBSCRIBERS = 40;
export const C_HISTORY = 44;
export const C_JOINS = 48;

export const C_DISCONNECTED = 48;
export const C_KNOWN_JOINS = 52;
export const C_KNOWN_LIMIT = 56;

export const TOPIC_ENTRY_BYTES = 64;
export const TOPIC_MOST_SUBSCRIBERS = 4096;

export const E_WORD = 0;
export const E_POSITION = 8;
export const E_START = 16;
export const E_RECEIVED = 24;
export const E_SKIPPED = 32;

export const ENTRY_PHASE_MASK = 255;
export const ENTRY_SERIAL_SHIFT = 8;
export const ENTRY_SERIAL_MASK = 0xffffff;
export const ENTRY_IDENT_SHIFT = 32;

/** Phases of an entry. Nobody's. */
export const ENTRY_FREE = 0;
/** Somebody's who is about to say where it begins. */
export const ENTRY_JOINING = 1;
/** A subscriber that publishers wait for. */
export const ENTRY_BLOCK = 2;
/** One that they overtake. */
export const ENTRY_DROP_OLDEST = 3;
/** One that they disconnect when it is in their way. */
export const ENTRY_DISCONNECT = 4;
/** One that was disconnected. */
export const ENTRY_DISCONNECTED = 5;

/** What calls return, beside the codes of channel.ts. The subscriber was in a publisher's way and is one no more. */
export const TOPIC_DISCONNECTED = 48;
/** The table of subscribers is full. */
export const TOPIC_CROWDED = 49;
/** The message was overwritten before it was copied: the next one is to be looked for. */
export const TOPIC_OVERTAKEN = 50;

/** In the result of claimPublish: the cell's old message had a block, which is to be taken out. */
export const TOPIC_OLD_BLOCK = 4;
