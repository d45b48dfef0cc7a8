/**
 * A second opinion on a buddy heap: reads its table and side table out of raw memory with the layout's constants and
 * nothing of the core.
 *
 * For heaps at rest. Goes leaf by leaf, slow and simple on purpose: what it says is what the core is measured by.
 */

import * as buddy from "../../src/layout/buddy.ts";
import * as header from "../../src/layout/header.ts";

/** What a buddy heap holds. Owners are slot indexes. */
export interface BuddyPicture {
  /** Allocated blocks: handle to block size in bytes, in ascending order. */
  readonly blocks: ReadonlyMap<number, number>;
  /** Of the blocks that are owned, by whom; -1 = the side table does not say. */
  readonly owners: ReadonlyMap<number, number>;
  /** Entries of the side table for leaves that are no owned starts: who is, or died, in the middle of something. */
  readonly rights: ReadonlyMap<number, number>;
  readonly leafBytes: number;
  /** In the pages that the segment has. */
  readonly freeLeaves: number;
  readonly highWaterPages: number;
  /** What contradicts itself. */
  readonly faults: readonly string[];
}

interface Leaf {
  readonly isUsed: boolean;
  readonly isStart: boolean;
}

/** Reads the heap in `buffer`. */
export function readBuddy(buffer: ArrayBuffer | SharedArrayBuffer): BuddyPicture {
  const view = new DataView(buffer);
  const word = (offset: number): number => view.getUint32(offset, true);
  const leafBytes = 2 ** word(header.H_MIN_SHIFT);
  const maxBytes = 2 ** word(header.H_MAX_SHIFT);
  const tableBytes = word(header.H_TABLE_BYTES_PER_PAGE);
  const blocks = new Map<number, number>();
  const owners = new Map<number, number>();
  const rights = new Map<number, number>();
  const faults: string[] = [];
  let freeLeaves = 0;

  const leafAt = (handle: number): Leaf => {
    const page = Math.floor(handle / header.PAGE_SIZE_BYTES);
    const inPage = handle % header.PAGE_SIZE_BYTES;
    const table = word(header.H_TABLE_OFFSET) + page * tableBytes + buddy.BUDDY_FLAGS_BYTES;
    const tree = table + Math.floor(inPage / maxBytes) * buddy.BUDDY_TREE_BYTES;
    const bit = (inPage % maxBytes) / leafBytes;
    const isSet = (shift: number): boolean => ((word(tree + shift / 8) >>> bit) & 1) === 1;
    return { isUsed: isSet(0), isStart: isSet(buddy.BUDDY_STARTS_SHIFT) };
  };
  /** Slot index + 1, 0 also where there is no side table. */
  const sideAt = (handle: number): number => {
    const page = Math.floor(handle / header.PAGE_SIZE_BYTES);
    const flags = word(word(header.H_TABLE_OFFSET) + page * tableBytes);
    if ((flags & buddy.BUDDY_HAS_OWNERS) === 0) return 0;
    return view.getUint16(word(header.H_SIDE_OFFSET) + (handle / leafBytes) * buddy.BUDDY_OWNER_BYTES, true);
  };

  const end = word(header.H_SIZE_PAGES) * header.PAGE_SIZE_BYTES;
  let open: number | undefined;
  for (let handle = word(header.H_DATA_OFFSET); handle < end; handle += leafBytes) {
    if (handle % maxBytes === 0) open = undefined;
    const { isUsed, isStart } = leafAt(handle);
    const side = sideAt(handle);
    if (isStart) {
      open = handle;
      blocks.set(handle, leafBytes);
      if (!isUsed) owners.set(handle, side - 1);
    } else if (!isUsed) {
      open = undefined;
      freeLeaves++;
    } else if (open === undefined) faults.push(`leaf ${handle} is inside a block that does not begin`);
    else blocks.set(open, blocks.get(open)! + leafBytes);
    if (side !== 0 && !owners.has(handle)) rights.set(handle, side - 1);
  }
  const highWaterPages = word(header.H_HIGH_WATER_PAGES);
  for (const [handle, sizeBytes] of blocks) {
    if (Math.log2(sizeBytes) % 1 !== 0 || handle % sizeBytes !== 0)
      faults.push(`block ${handle} of ${sizeBytes} bytes is no buddy`);
    if (owners.get(handle) === -1) faults.push(`block ${handle} is owned by nobody`);
    if (handle >= highWaterPages * header.PAGE_SIZE_BYTES)
      faults.push(`block ${handle} is beyond the high water mark, page ${highWaterPages}`);
  }
  return { blocks, owners, rights, leafBytes, freeLeaves, highWaterPages, faults };
}
