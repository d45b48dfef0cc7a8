/** A first-fit heap: its blocks, used and free, one behind the other as they lie. */
import type { Heap } from "../heap/index.ts";
import { FIT_HEADER_BYTES } from "../layout/fit.ts";
import type { Rows } from "./rows.ts";

/** A block, or what is free between two of them. */
export interface FirstFitRow {
  readonly number: number;
  /** Of its header; the handle is behind that. */
  readonly offset: number;
  /** Header included. */
  readonly sizeBytes: number;
  readonly used: boolean;
  /** Slot index, -1 = it is free or shared. */
  readonly ownerSlot: number;
}

/** Draws the blocks `from` to `to`, in the order of their addresses. */
export function drawFirstFit(heap: Heap, from: number, to: number): Rows<FirstFitRow> {
  const rows: FirstFitRow[] = [];
  let [count, reached] = [0, heap.region.dataOffset];
  const add = (row: Omit<FirstFitRow, "number">): void => {
    if (count >= from && count <= to) rows.push({ number: count, ...row });
    count++;
  };
  const addFree = (end: number): void => {
    if (end > reached) add({ offset: reached, sizeBytes: end - reached, used: false, ownerSlot: -1 });
  };
  // Free neighbours are one: what lies between two used blocks is one free block.
  for (const { handle, sizeBytes, ownerSlot } of heap.blocks()) {
    const offset = handle - FIT_HEADER_BYTES;
    addFree(offset);
    add({ offset, sizeBytes: FIT_HEADER_BYTES + sizeBytes, used: true, ownerSlot });
    reached = handle + sizeBytes;
  }
  addFree(heap.region.segmentSizeBytes);
  return { count, rows };
}
