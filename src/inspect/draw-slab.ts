/** A slab heap, page by page: of which class each is, whose, and which of its blocks are in use. */
import { PAGE_SIZE_BYTES } from "../layout/header.ts";
import {
  BITMAP_PAIR_BYTES,
  BLOCKS_PER_WORD,
  P_BITMAP,
  P_FIRST,
  PAGE_BODY,
  PAGE_CLAIMED,
  PAGE_FREE,
  PAGE_RUN,
  PAGE_RUN_CLAIMED,
  PAGE_RUN_EXTENDING,
  PAGE_RUN_FREEING,
  PAGE_RUN_SHRINKING,
  PAGE_SLAB,
  REMOTE_IN_PAIR,
  TABLE_BYTES_PER_PAGE,
} from "../layout/page.ts";
import type { Region } from "../region/index.ts";
import type { Rows } from "./rows.ts";

/** A page of 64 KiB. */
export interface SlabRow {
  readonly number: number;
  readonly offset: number;
  /** "blocks": cut into blocks of one size. "run": the first page of a large block; "rest": one of its others. */
  readonly kind: string;
  /** Of a page with blocks; of a run its pages' size; else 0. */
  readonly blockSizeBytes: number;
  /** Whose page it is: a slot's index, -1 = nobody's. */
  readonly ownerSlot: number;
  readonly used: number;
  readonly free: number;
  /** Where the first block is. Else 0. */
  readonly firstBlockOffset: number;
  /** One character for each block: "#" in use, "." free. */
  readonly bits: string;
}

const KINDS: Readonly<Record<number, string>> = {
  [PAGE_FREE]: "free",
  [PAGE_CLAIMED]: "being claimed",
  [PAGE_SLAB]: "blocks",
  [PAGE_RUN_CLAIMED]: "run being claimed",
  [PAGE_RUN]: "run",
  [PAGE_BODY]: "rest",
  [PAGE_RUN_FREEING]: "run being freed",
  [PAGE_RUN_EXTENDING]: "run being extended",
  [PAGE_RUN_SHRINKING]: "run being shrunk",
};

/** Draws the pages `from` to `to` of the data. */
export function drawSlab(region: Region, from: number, to: number): Rows<SlabRow> {
  const first = region.survey.firstPage() >>> 0;
  const count = (region.survey.endPage() >>> 0) - first;
  const rows: SlabRow[] = [];
  for (let number = from; number <= Math.min(to, count - 1); number++)
    rows.push(drawPage(region, number, first + number));
  return { count, rows };
}

function drawPage(region: Region, number: number, index: number): SlabRow {
  const { survey } = region;
  const kind = survey.pageKind(index) >>> 0;
  const offset = index * PAGE_SIZE_BYTES;
  const row = { number, offset, kind: KINDS[kind] ?? `kind ${kind}`, firstBlockOffset: 0 };
  if (kind !== PAGE_SLAB) {
    const isRun = kind === PAGE_RUN;
    const blockSizeBytes = isRun ? (survey.pagesAt(index) >>> 0) * PAGE_SIZE_BYTES : 0;
    return { ...row, blockSizeBytes, ownerSlot: -1, used: isRun ? 1 : 0, free: 0, bits: "" };
  }
  const blockCount = Math.min(survey.pageBlockCount(index) >>> 0, PAGE_SIZE_BYTES);
  const bits = readBits(region, index, blockCount);
  const free = bits.split(".").length - 1;
  const words = new DataView(region.buffer, descriptorOffset(region, index), TABLE_BYTES_PER_PAGE);
  return {
    ...row,
    blockSizeBytes: survey.blockSizeOf(survey.pageClass(index) >>> 0) >>> 0,
    ownerSlot: (survey.pageOwner(index) >>> 0) - 1,
    used: blockCount - free,
    free,
    firstBlockOffset: offset + words.getUint32(P_FIRST, true),
    bits,
  };
}

function descriptorOffset({ session }: Region, index: number): number {
  return session.geometry.tableOffset + index * TABLE_BYTES_PER_PAGE;
}

/** A block is free when the owner's bit or the others' says so (layout/page.ts). */
function readBits(region: Region, index: number, blockCount: number): string {
  const isInline = blockCount <= BLOCKS_PER_WORD;
  const start = isInline ? descriptorOffset(region, index) + P_BITMAP : index * PAGE_SIZE_BYTES;
  const pairs = Math.ceil(blockCount / BLOCKS_PER_WORD);
  const words = new BigUint64Array(region.buffer, start, (pairs * BITMAP_PAIR_BYTES) / 8);
  let bits = "";
  for (let pair = 0; pair < pairs; pair++) {
    const at = (pair * BITMAP_PAIR_BYTES) / 8;
    const free = Atomics.load(words, at) | Atomics.load(words, at + REMOTE_IN_PAIR / 8);
    // Highest bit first as it is written; blocks are counted from the lowest.
    bits += Array.from(free.toString(2).padStart(BLOCKS_PER_WORD, "0"), (bit) => (bit === "1" ? "." : "#"))
      .reverse()
      .join("");
  }
  return bits.slice(0, blockCount);
}
