/**
 * The first-fit allocator: blocks one behind the other in address order, each with an 8-byte header; and the index by
 * which a free block that is large enough is found without walking over them.
 *
 *     block    0  size u32     bytes, header included, a multiple of 8; bit 0 FIT_USED, bit 1 FIT_PREVIOUS_FREE
 *              4  owner u32    of a used block: slot index + 1, 0 = shared; of a free one 0
 *              8  the caller's bytes
 *     of a free block the last 4 bytes are its size again (the boundary tag by which the next one finds its start)
 *
 * The first block begins where the data does, the last ends at page H_FIT_END_PAGES (0 = there is none yet). No two free
 * blocks are neighbours, so a free block's size word has no flags.
 *
 * A *chunk* is 1 KiB. The table has for each 64 KiB page of the span
 *
 *       0  starts, 1024 B       one bit for each 8 bytes of the page: a block begins there. What a header says is
 *                               believed only where these bits agree
 *    1024  chunk classes, 64 B  one u8 for each chunk: the size class of the largest free block that begins in it
 *
 * and the side table, for the whole span, pages counted from the first of the data: page classes (one u8 a page: the
 * largest of its 64 chunks), group classes (one for each 64 pages) and top classes (one for each 64 groups).
 *
 * Classes: 0 = no free block; of sizes below 1 KiB the size in eights, exactly; then eight steps to each doubling up to
 * 64 KiB, then four.
 */

export const FIT_HEADER_BYTES = 8;
export const FIT_ALIGNMENT_BYTES = 8;
export const FIT_LEAST_BLOCK_BYTES = 16;
export const FIT_TAG_BYTES = 4;

export const FIT_SIZE = 0;
export const FIT_OWNER = 4;

export const FIT_USED = 1;
export const FIT_PREVIOUS_FREE = 2;
export const FIT_FLAGS_MASK = 7;

/** In H_FIT_RECORD: how many blocks the record has. */
export const FIT_RECORD_PARTS = 3;

export const CHUNK_SIZE_BYTES = 1024;
export const CHUNK_SHIFT = 10;
export const CHUNKS_PER_PAGE = 64;

export const T_STARTS = 0;
export const STARTS_SIZE_BYTES = 1024;
export const T_CHUNK_CLASSES = 1024;
export const FIT_TABLE_BYTES_PER_PAGE = 1088;

/** How many entries of one level of the index one entry of the next stands for. */
export const INDEX_FAN_OUT = 64;
export const INDEX_SHIFT = 6;

export const FIT_EXACT_LIMIT_BYTES = 1024;
export const FIT_EXACT_SHIFT = 10;
export const FIT_EIGHTHS_CLASS = 128;
export const FIT_EIGHTHS_SHIFT = 16;
export const FIT_QUARTERS_CLASS = 176;
