/**
 * A second opinion on a heap: reads the page table out of raw memory with the layout's constants and nothing of the core.
 *
 * For heaps at rest. Slow and simple on purpose: what it says is what the core is measured by.
 */

import * as header from "../../src/layout/header.ts";
import * as page from "../../src/layout/page.ts";

/** One page's state word, taken apart. */
export interface PageState {
  readonly index: number;
  readonly kind: number;
  readonly sizeClass: number;
  /** Slot index, -1 = nobody. */
  readonly owner: number;
  readonly length: number;
}

/** What a heap holds. */
export interface HeapPicture {
  readonly pages: readonly PageState[];
  /** Allocated blocks: handle to block size in bytes, in ascending order. */
  readonly blocks: ReadonlyMap<number, number>;
  readonly freePages: number;
  /** What is free in each slab page, in blocks, by page index. */
  readonly room: ReadonlyMap<number, number>;
  /** Slab pages with no block allocated. */
  readonly emptyPages: ReadonlySet<number>;
  /** Who owns a block (slot index), for allocated blocks that are not shared. */
  readonly owners: ReadonlyMap<number, number>;
  /** Entries of owners arrays of marked pages that are of no allocated block. */
  readonly strayOwners: readonly StrayOwner[];
}

/** A free block that somebody is said to own. */
export interface StrayOwner {
  readonly page: number;
  readonly block: number;
  /** Slot index. */
  readonly owner: number;
  /** The page's owner has taken note of the free: then the block should be nobody's. */
  readonly isCollected: boolean;
}

/** The kinds of a page that is cut into blocks of one class. */
export const SLAB_KINDS: readonly number[] = [page.PAGE_SLAB, page.PAGE_SLAB_MARKED];

const word = (view: DataView, offset: number): number => view.getUint32(offset, true);

function stateOf(view: DataView, tableOffset: number, index: number): PageState {
  const bits = view.getBigUint64(tableOffset + index * page.TABLE_BYTES_PER_PAGE + page.P_STATE, true);
  const part = (shift: number, mask: bigint): number => Number((bits >> BigInt(shift)) & mask);
  return {
    index,
    kind: part(0, 0xffn),
    sizeClass: part(page.STATE_CLASS_SHIFT, 0xffn),
    owner: part(page.STATE_OWNER_SHIFT, 0xffffn) - 1,
    length: part(page.STATE_LENGTH_SHIFT, 0xffffn),
  };
}

/** The blocks of a slab page that are free, by number; with `onlyLocal` those that its owner knows to be. */
function freeBlocks(view: DataView, tableOffset: number, index: number, onlyLocal = false): boolean[] {
  const descriptor = tableOffset + index * page.TABLE_BYTES_PER_PAGE;
  const count = word(view, descriptor + page.P_COUNT);
  const inline = count <= page.BLOCKS_PER_WORD;
  const bitmap = inline ? descriptor + page.P_BITMAP : index * header.PAGE_SIZE_BYTES;
  const free: boolean[] = [];
  for (let block = 0; block < count; block++) {
    const pair = bitmap + Math.floor(block / page.BLOCKS_PER_WORD) * page.BITMAP_PAIR_BYTES;
    // The half of the 64-bit words that the block's bit is in, bits counted from the lowest.
    const half = pair + (block % page.BLOCKS_PER_WORD >= 32 ? 4 : 0);
    const bits = word(view, half) | (onlyLocal ? 0 : word(view, half + page.REMOTE_IN_PAIR));
    free.push(((bits >>> (block % 32)) & 1) === 1);
  }
  return free;
}

/** Where the owners array of page `index` is. Throws when the directory does not lead to one. */
function ownersArray(view: DataView, tableOffset: number, index: number): number {
  const group = Math.floor(index / page.PAGES_PER_OWNERS_PAGE);
  const entry = word(view, header.H_SIDE_OFFSET) + group * page.OWNERS_ENTRY_BYTES;
  const holder = stateOf(view, tableOffset, word(view, entry));
  if (holder.kind !== page.PAGE_OWNERS || holder.length !== group)
    throw new Error(
      `the owners of page ${index} are said to be in page ${holder.index}, which does not say so`,
    );
  const place = (index % page.PAGES_PER_OWNERS_PAGE) * page.OWNERS_ARRAY_BYTES;
  return holder.index * header.PAGE_SIZE_BYTES + place;
}

/** What is being read of a heap. */
interface Reading {
  readonly blocks: Map<number, number>;
  readonly owners: Map<number, number>;
  readonly strayOwners: StrayOwner[];
  readonly room: Map<number, number>;
  readonly emptyPages: Set<number>;
}

function readSlab(view: DataView, tableOffset: number, state: PageState, reading: Reading): void {
  const { index } = state;
  const descriptor = tableOffset + index * page.TABLE_BYTES_PER_PAGE;
  const sizeBytes = word(view, descriptor + page.P_BLOCK_SIZE);
  const start = index * header.PAGE_SIZE_BYTES + word(view, descriptor + page.P_FIRST);
  const free = freeBlocks(view, tableOffset, index);
  reading.room.set(index, free.filter(Boolean).length);
  if (free.every(Boolean)) reading.emptyPages.add(index);
  free.forEach((isFree, block) => {
    if (!isFree) reading.blocks.set(start + block * sizeBytes, sizeBytes);
  });
  if (state.kind !== page.PAGE_SLAB_MARKED) return;
  const array = ownersArray(view, tableOffset, index);
  const local = freeBlocks(view, tableOffset, index, true);
  free.forEach((isFree, block) => {
    const owner = view.getUint16(array + 2 * block, true) - 1;
    if (owner === -1) return;
    if (isFree) reading.strayOwners.push({ page: index, block, owner, isCollected: local[block]! });
    else reading.owners.set(start + block * sizeBytes, owner);
  });
}

/** Reads the heap in `buffer`. */
export function readHeap(buffer: ArrayBuffer | SharedArrayBuffer): HeapPicture {
  const view = new DataView(buffer);
  const tableOffset = word(view, header.H_TABLE_OFFSET);
  const first = word(view, header.H_DATA_OFFSET) / header.PAGE_SIZE_BYTES;
  const end = word(view, header.H_SIZE_PAGES);
  const pages: PageState[] = [];
  const reading: Reading = {
    blocks: new Map(),
    owners: new Map(),
    strayOwners: [],
    room: new Map(),
    emptyPages: new Set(),
  };
  for (let index = first; index < end; index++) {
    const state = stateOf(view, tableOffset, index);
    pages.push(state);
    if (state.kind === page.PAGE_RUN) {
      const handle = index * header.PAGE_SIZE_BYTES;
      reading.blocks.set(handle, state.length * header.PAGE_SIZE_BYTES);
      if (state.owner !== -1) reading.owners.set(handle, state.owner);
    } else if (SLAB_KINDS.includes(state.kind)) readSlab(view, tableOffset, state, reading);
  }
  return { pages, ...reading, freePages: pages.filter(({ kind }) => kind === page.PAGE_FREE).length };
}

/** Throws when two blocks share a byte, or one reaches out of the heap. */
export function assertApart(blocks: ReadonlyMap<number, number>, endBytes: number): void {
  let reached = 0;
  for (const [handle, sizeBytes] of [...blocks].sort(([one], [other]) => one - other)) {
    if (handle < reached)
      throw new Error(`block ${handle} begins before ${reached}, where the one below it ends`);
    reached = handle + sizeBytes;
  }
  if (reached > endBytes) throw new Error(`the last block ends at ${reached}, the segment at ${endBytes}`);
}
