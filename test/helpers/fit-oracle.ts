/**
 * A second opinion on a first-fit heap: reads it out of raw memory with the layout's constants and nothing of the core, and
 * recomputes everything that can be.
 *
 * For heaps at rest. Slow and simple on purpose: what it says is what the core is measured by.
 */

import * as fit from "../../src/layout/fit.ts";
import * as header from "../../src/layout/header.ts";

/** One block. */
export interface FitBlock {
  /** Of its header. */
  readonly start: number;
  /** Header included. */
  readonly sizeBytes: number;
  readonly isUsed: boolean;
  /** Slot index + 1, 0 = nobody's own. */
  readonly owner: number;
}

/** What a heap holds, and what is wrong with it. */
export interface FitPicture {
  readonly all: readonly FitBlock[];
  /** Allocated blocks by handle: usable bytes, in ascending order. */
  readonly blocks: ReadonlyMap<number, number>;
  readonly owners: ReadonlyMap<number, number>;
  readonly problems: readonly string[];
}

/** The class of a free block, as src/layout/fit.ts describes it. */
export function classOfSize(sizeBytes: number): number {
  if (sizeBytes < 1024) return sizeBytes / 8;
  const more = sizeBytes + Math.floor(sizeBytes / 16);
  const doubling = Math.floor(Math.log2(more));
  const part = more / 2 ** doubling - 1;
  return doubling < 16
    ? 128 + (doubling - 10) * 8 + Math.floor(part * 8)
    : 176 + (doubling - 16) * 4 + Math.floor(part * 4);
}

const u32 = (view: DataView, offset: number): number => view.getUint32(offset, true);

/** The blocks from the start of the data to their end, by their sizes alone. */
function walk(view: DataView, start: number, end: number, problems: string[]): FitBlock[] {
  const all: FitBlock[] = [];
  for (let at = start; at < end;) {
    const word = u32(view, at + fit.FIT_SIZE);
    const sizeBytes = word - (word % 8);
    if (sizeBytes < fit.FIT_LEAST_BLOCK_BYTES || at + sizeBytes > end || (word & 4) !== 0) {
      problems.push(`block ${at} has size word ${word}`);
      break;
    }
    const isUsed = (word & fit.FIT_USED) !== 0;
    const owner = u32(view, at + fit.FIT_OWNER);
    const isAfterFree = (word & fit.FIT_PREVIOUS_FREE) !== 0;
    const before = all.at(-1);
    if (isAfterFree !== (before !== undefined && !before.isUsed))
      problems.push(`block ${at}: flags ${word % 8}`);
    if (!isUsed) {
      if (before?.isUsed === false) problems.push(`block ${at} is free behind a free one`);
      if (owner !== 0) problems.push(`free block ${at} has an owner`);
      if (u32(view, at + sizeBytes - 4) !== sizeBytes) problems.push(`free block ${at}: tag`);
    }
    all.push({ start: at, sizeBytes, isUsed, owner });
    at += sizeBytes;
  }
  return all;
}

/** Compares the start bits of the pages [first, last) with the blocks. */
function compareStarts(view: DataView, first: number, last: number, all: readonly FitBlock[]): string[] {
  const expected = new Set(all.map(({ start }) => start));
  const table = u32(view, header.H_TABLE_OFFSET);
  const problems: string[] = [];
  let found = 0;
  for (let page = first; page < last; page++) {
    for (let byte = 0; byte < fit.STARTS_SIZE_BYTES; byte++) {
      const bits = view.getUint8(table + page * fit.FIT_TABLE_BYTES_PER_PAGE + fit.T_STARTS + byte);
      for (let bit = 0; bits >>> bit !== 0; bit++) {
        if (((bits >>> bit) & 1) === 0) continue;
        const at = page * header.PAGE_SIZE_BYTES + (byte * 8 + bit) * 8;
        found++;
        if (!expected.has(at)) problems.push(`start bit without a block at ${at}`);
      }
    }
  }
  if (found !== expected.size) problems.push(`${found} start bits, ${expected.size} blocks`);
  return problems;
}

const up = (count: number): number => Math.ceil(count / fit.INDEX_FAN_OUT) * fit.INDEX_FAN_OUT;

/** Compares all levels of the index with the blocks. */
function compareIndex(view: DataView, first: number, last: number, all: readonly FitBlock[]): string[] {
  const table = u32(view, header.H_TABLE_OFFSET);
  const side = u32(view, header.H_SIDE_OFFSET);
  const span = u32(view, header.H_SPAN_PAGES);
  const problems: string[] = [];
  const levels = [new Map<number, number>(), new Map<number, number>(), new Map<number, number>()];
  const chunks = new Map<number, number>();
  const raise = (map: Map<number, number>, key: number, value: number): void => {
    map.set(key, Math.max(map.get(key) ?? 0, value));
  };
  for (const { start, sizeBytes, isUsed } of all) {
    if (isUsed) continue;
    const sizeClass = classOfSize(sizeBytes);
    raise(chunks, Math.floor(start / 1024), sizeClass);
    const page = Math.floor(start / header.PAGE_SIZE_BYTES) - first;
    levels.forEach((map, level) => raise(map, Math.floor(page / 64 ** level), sizeClass));
  }
  const check = (what: string, offset: number, expected: number): void => {
    const found = view.getUint8(offset);
    if (found !== expected) problems.push(`${what} has class ${found}, not ${expected}`);
  };
  for (let page = first; page < last; page++) {
    const node = table + page * fit.FIT_TABLE_BYTES_PER_PAGE + fit.T_CHUNK_CLASSES;
    for (let chunk = 0; chunk < 64; chunk++)
      check(`chunk ${page}.${chunk}`, node + chunk, chunks.get(page * 64 + chunk) ?? 0);
  }
  const lengths = [up(span), up(up(span) / 64), 64];
  let offset = side;
  levels.forEach((map, level) => {
    for (let index = 0; index < lengths[level]!; index++)
      check(`entry ${index} of level ${level}`, offset + index, map.get(index) ?? 0);
    offset += lengths[level]!;
  });
  return problems;
}

/** Reads the heap in `buffer`. */
export function readFit(buffer: ArrayBuffer | SharedArrayBuffer): FitPicture {
  const view = new DataView(buffer);
  const dataOffset = u32(view, header.H_DATA_OFFSET);
  const first = dataOffset / header.PAGE_SIZE_BYTES;
  const last = u32(view, header.H_SIZE_PAGES);
  const end = u32(view, header.H_FIT_END_PAGES);
  const problems: string[] = [];
  if (end > last || (end !== 0 && end < first)) problems.push(`the blocks end at page ${end}`);
  const all = walk(view, dataOffset, Math.min(end, last) * header.PAGE_SIZE_BYTES, problems);
  problems.push(...compareStarts(view, first, last, all), ...compareIndex(view, first, last, all));
  if (u32(view, header.H_HEAP_LOCK) !== 0) problems.push("the lock is held");
  if (u32(view, header.H_FIT_RECORD) !== 0) problems.push("the record counts");
  const used = all.filter(({ isUsed }) => isUsed);
  return {
    all,
    blocks: new Map(used.map(({ start, sizeBytes }) => [start + 8, sizeBytes - 8])),
    owners: new Map(used.map(({ start, owner }) => [start + 8, owner])),
    problems,
  };
}
