/**
 * First fit as one would write it down: a list of blocks in address order, walked over from the start each time.
 *
 * Knows the rules of core/fit.ts (rounding, splitting, where a placed block goes) and nothing of how it finds anything.
 */

import { PAGE_SIZE_BYTES } from "../../src/layout/header.ts";

/** One block, its header included. */
export interface ModelBlock {
  start: number;
  sizeBytes: number;
  isUsed: boolean;
  /** Slot index + 1, 0 = nobody's own. */
  owner: number;
}

const HEADER = 8;
const LEAST = 16;

function blockBytes(sizeBytes: number): number {
  return Math.max(LEAST, Math.ceil((sizeBytes + HEADER) / 8) * 8);
}

function frontOf(start: number, alignmentBytes: number): number {
  if (alignmentBytes <= 8) return 0;
  const handle = start + HEADER;
  const front = Math.ceil(handle / alignmentBytes) * alignmentBytes - handle;
  return front > 0 && front < LEAST ? front + alignmentBytes : front;
}

/** A first-fit heap. Its methods return what the core's do: handles, or 0; true, or false for a block that has to move. */
export class FitModel {
  readonly blocks: ModelBlock[] = [];
  #end: number;
  /** How many pages of the segment there are: what is not in blocks yet is taken in when it is wanted. */
  pages: number;

  constructor(dataOffset: number, pages: number) {
    this.#end = dataOffset;
    this.pages = pages;
  }

  /** Index of the block whose handle this is, which must be allocated. */
  #indexOf(handle: number): number {
    const index = this.blocks.findIndex(({ start, isUsed }) => isUsed && start + HEADER === handle);
    if (index < 0) throw new Error(`no block ${handle}`);
    return index;
  }

  #join(index: number): void {
    for (const left of [index, index - 1]) {
      const [one, other] = [this.blocks[left], this.blocks[left + 1]];
      if (one === undefined || other === undefined || one.isUsed || other.isUsed) continue;
      one.sizeBytes += other.sizeBytes;
      this.blocks.splice(left + 1, 1);
    }
  }

  #takeIn(): boolean {
    const end = this.pages * PAGE_SIZE_BYTES;
    if (end === this.#end) return false;
    this.blocks.push({ start: this.#end, sizeBytes: end - this.#end, isUsed: false, owner: 0 });
    this.#end = end;
    this.#join(this.blocks.length - 1);
    return true;
  }

  #find(need: number, alignmentBytes: number): number {
    const free = (least: number, front: (start: number) => number): number =>
      this.blocks.findIndex(
        ({ start, sizeBytes, isUsed }) => !isUsed && sizeBytes >= least && sizeBytes - need >= front(start),
      );
    if (alignmentBytes <= 8) return free(need, () => 0);
    const anywhere = free(need + alignmentBytes + 8, () => 0);
    return anywhere >= 0 ? anywhere : free(need, (start) => frontOf(start, alignmentBytes));
  }

  /** Cuts the free block `index` so that `need` bytes from `front` on are used. */
  #take(index: number, front: number, need: number, owner: number): number {
    const { start, sizeBytes } = this.blocks[index]!;
    const rest = sizeBytes - front - need;
    const used = rest < LEAST ? need + rest : need;
    const parts: ModelBlock[] = [];
    if (front > 0) parts.push({ start, sizeBytes: front, isUsed: false, owner: 0 });
    parts.push({ start: start + front, sizeBytes: used, isUsed: true, owner });
    if (used === need && rest > 0)
      parts.push({ start: start + front + need, sizeBytes: rest, isUsed: false, owner: 0 });
    this.blocks.splice(index, 1, ...parts);
    return start + front + HEADER;
  }

  alloc(sizeBytes: number, alignmentBytes = 0, owner = 0): number {
    const need = blockBytes(sizeBytes);
    let index = this.#find(need, alignmentBytes);
    if (index < 0 && this.#takeIn()) index = this.#find(need, alignmentBytes);
    if (index < 0) return 0;
    return this.#take(index, frontOf(this.blocks[index]!.start, alignmentBytes), need, owner);
  }

  free(handle: number): void {
    const index = this.#indexOf(handle);
    Object.assign(this.blocks[index]!, { isUsed: false, owner: 0 });
    this.#join(index);
  }

  resize(handle: number, sizeBytes: number): boolean {
    const index = this.#indexOf(handle);
    const block = this.blocks[index]!;
    const behind = this.blocks[index + 1];
    const free = behind?.isUsed === false ? behind.sizeBytes : 0;
    const need = blockBytes(sizeBytes);
    const left = block.sizeBytes + free - need;
    if (left < 0) return false;
    if (need === block.sizeBytes || (need < block.sizeBytes && left < LEAST)) return true;
    if (free > 0) this.blocks.splice(index + 1, 1);
    block.sizeBytes = left < LEAST ? need + left : need;
    if (left >= LEAST) {
      const rest = { start: block.start + need, sizeBytes: left, isUsed: false, owner: 0 };
      this.blocks.splice(index + 1, 0, rest);
    }
    return true;
  }

  realloc(handle: number, sizeBytes: number): number {
    if (this.resize(handle, sizeBytes)) return handle;
    const moved = this.alloc(sizeBytes, 0, this.ownerOf(handle));
    if (moved !== 0) this.free(handle);
    return moved;
  }

  ownerOf(handle: number): number {
    return this.blocks[this.#indexOf(handle)]!.owner;
  }

  setOwner(handle: number, owner: number): void {
    this.blocks[this.#indexOf(handle)]!.owner = owner;
  }
}
