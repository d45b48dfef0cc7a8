/**
 * Ports: two sides, and a queue each way, as they lie in one block of a heap. Offsets in bytes from the port's start, a
 * multiple of 64; each part begins at one.
 *
 *     0   as all objects (sync.ts): kind, limit = capacity of the queues
 *    32   serials u32 ×2: how often a side was taken
 *    40   cell size u32 of the queues (bytes)
 *    48   partners u32 ×2: with which serial of the other side the one that has this side is connected; 0 = with none yet
 *    64   waiters: those who wait for the other side to come or go
 *     …   door: a mutex, held by who comes or goes
 *     …   two sides, each a mutex, held by who has that side
 *     …   two queues: what is sent to the first side, and to the second
 *
 * A message is 16 bytes and what is said:
 *
 *     0   serial u32 of whom it is for      4  channel u32: 0 = the port itself; else a port that was sent through it
 *     8   what it is u32: PORT_…           12  (free)
 */

/** Beside the kinds of sync.ts and channel.ts. */
export const PORT_KIND = 24;

export const PORT_SERIALS = 32;
export const PORT_CELL_BYTES = 40;
export const PORT_PARTNERS = 48;

export const PORT_HEAD_BYTES = 16;
export const PORT_HEAD_SERIAL = 0;
export const PORT_HEAD_CHANNEL = 4;
export const PORT_HEAD_WHAT = 8;

/** A value for that channel. */
export const PORT_VALUE = 0;
/** The channel is closed. */
export const PORT_CLOSE = 1;
