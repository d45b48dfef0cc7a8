/**
 * The header: the first 4 KiB of every Shoal segment, and what follows it.
 *
 * Read by TypeScript and by the core alike, so this file holds nothing but `export const NAME = integer`.
 * A *page* is 64 KiB, WebAssembly's own unit; a *segment* is a whole number of pages. All offsets are in
 * bytes from the segment's start, all words little-endian.
 *
 *     0        header               4 KiB    this file
 *     4096     participant slots    512 B each (slot.ts); with the default 56 of them data starts at 32 KiB
 *     …        roots                64 B each, heaps only (root.ts)
 *     …        side table           slab and first-fit heaps: of a length that the span gives (page.ts, fit.ts)
 *     …        table                so many bytes for each page of the span, heaps only (page.ts, buddy.ts, fit.ts);
 *                                   sparse: only the part that describes pages in use has storage behind it
 *     …        side table           buddy heaps: sparse, gets its storage page by page when it is wanted (buddy.ts)
 *     …        data                 starts at a page boundary
 *
 *     header   0  magic u64            8  format stamp u32     12  byte order u32
 *             16  uuid 16 B           32  state u32            36  creator's pid u32
 *             40  creator's start f64 48  backend u32          52  allocator u32
 *             56  span u32 (pages)    60  grow step u32 (pages)
 *             64  slot count u32      68  slots offset u32     72  root count u32    76  roots offset u32
 *             80  table offset u32    84  table bytes a page   88  data offset u32   92  flags u32
 *             96  fixed address f64  104  side offset u32     108  side bytes u32
 *            112  lock file's inode f64
 *            120  min shift u32      124  max shift u32        buddy: log2 of the smallest and largest block
 *            128  size u32 (pages), alone on its line: the one word of the header that changes often
 *            192  roots lock u32, alone on its line
 *            256  recoveries u32     260  growths u32         264  slots used u32: no slot from here on was ever taken
 *            268  high water u32 (pages): no page from here on ever held a block
 *            272  departures u32: how many participants are gone, by death or in good order
 *            320  orphan hints, one u32 for each size class (64 × 4 B)       slab
 *            640  heap lock u32: slot index + 1 of the holder                         first-fit
 *                 and alone on its line with it, since only its holder changes them:
 *            644  blocks' end u32 (pages): the blocks reach up to here
 *            648  changes u32: of the blocks so far; for those who look without the lock
 *            652  record, 3 u32: the blocks that recovery must put where an unfinished change was (core/fit-lock.ts)
 *            704  (free)
 */

export const PAGE_SIZE_BYTES = 65536;
export const PAGE_SHIFT = 16;
export const MAX_PAGE_COUNT = 65536;

export const HEADER_SIZE_BYTES = 4096;

/** "SHOALSEG" as two little-endian words. */
export const MAGIC_LOW = 0x414f4853;
export const MAGIC_HIGH = 0x4745534c;
export const BYTE_ORDER_MARK = 0x01020304;

export const H_MAGIC = 0;
export const H_FORMAT = 8;
export const H_BYTE_ORDER = 12;
export const H_UUID = 16;
export const H_STATE = 32;
export const H_CREATOR_PID = 36;
export const H_CREATOR_START = 40;
export const H_BACKEND = 48;
export const H_ALLOCATOR = 52;
export const H_SPAN_PAGES = 56;
export const H_GROW_STEP_PAGES = 60;
export const H_SLOT_COUNT = 64;
export const H_SLOTS_OFFSET = 68;
export const H_ROOT_COUNT = 72;
export const H_ROOTS_OFFSET = 76;
export const H_TABLE_OFFSET = 80;
export const H_TABLE_BYTES_PER_PAGE = 84;
export const H_DATA_OFFSET = 88;
export const H_FLAGS = 92;
export const H_FIXED_ADDRESS = 96;
export const H_SIDE_OFFSET = 104;
export const H_SIDE_BYTES = 108;
export const H_LOCK_INODE = 112;
export const H_MIN_SHIFT = 120;
export const H_MAX_SHIFT = 124;
export const H_SIZE_PAGES = 128;
export const H_ROOTS_LOCK = 192;
export const H_RECOVERIES = 256;
export const H_GROWTHS = 260;
export const H_SLOTS_USED = 264;
export const H_HIGH_WATER_PAGES = 268;
export const H_DEPARTURES = 272;
export const H_ORPHAN_HINTS = 320;
export const H_HEAP_LOCK = 640;
export const H_FIT_END_PAGES = 644;
export const H_FIT_CHANGES = 648;
/** The first block's start | how many blocks there are; 0 = there is nothing to put right. Behind it their size words. */
export const H_FIT_RECORD = 652;
export const H_FIT_FIRST = 656;
export const H_FIT_SECOND = 660;

/** Segment states, in the order in which they are passed through. */
export const STATE_INITIALISING = 1;
export const STATE_READY = 2;
export const STATE_RETIRED = 3;

export const BACKEND_POSIX = 1;
export const BACKEND_FILE = 2;
export const BACKEND_SYSV = 3;
export const BACKEND_ANONYMOUS = 4;

export const ALLOCATOR_NONE = 0;
export const ALLOCATOR_SLAB = 1;
export const ALLOCATOR_BUDDY = 2;
export const ALLOCATOR_FIRST_FIT = 3;

/** In H_FLAGS: the segment's file is alone in a directory that was made for it and goes with it. */
export const FLAG_PRIVATE_DIRECTORY = 1;
