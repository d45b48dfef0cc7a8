/** A slab heap, page by page: of which class each is, whose, which of its blocks are in use, and whose those are. */
import { RUN_KINDS, SLAB_KINDS } from "../heap/stats-slab.ts";
import { PAGE_SIZE_BYTES } from "../layout/header.ts";
import {
  BITMAP_PAIR_BYTES,
  BLOCKS_PER_WORD,
  P_BITMAP,
  P_FIRST,
  PAGE_BODY,
  PAGE_CLAIMED,
  PAGE_FREE,
  PAGE_HOLLOW,
  PAGE_OWNERS,
  PAGE_RUN,
  PAGE_RUN_CLAIMED,
  PAGE_RUN_EXTENDING,
  PAGE_RUN_FREEING,
  PAGE_RUN_SHRINKING,
  PAGE_SLAB,
  PAGE_SLAB_MARKED,
  PAGE_TRIMMING,
  REMOTE_IN_PAIR,
  TABLE_BYTES_PER_PAGE,
} from "../layout/page.ts";
import type { Region } from "../region/index.ts";
import type { Rows } from "./rows.ts";

/** A block that is somebody's own. */
export interface SlabOwned {
  readonly handle: number;
  /** Slot index. */
  readonly ownerSlot: number;
}

/** A page of 64 KiB. */
export interface SlabRow {
  readonly number: number;
  readonly offset: number;
  /**
   * "blocks": cut into blocks of one size; "blocks, marked": and some may be owned. "run": the first page of a large block;
   * "rest": one of its others. "owners": it holds who owns the blocks of marked pages.
   */
  readonly kind: string;
  /** Of a page with blocks; of a run its pages' size; else 0. */
  readonly blockSizeBytes: number;
  /** Whose page, or whose own run, it is, or who is changing it: a slot's index, -1 = nobody's (a run: it is shared). */
  readonly ownerSlot: number;
  readonly used: number;
  readonly free: number;
  /** Where the first block is. Else 0. */
  readonly firstBlockOffset: number;
  /** One character for each block: "#" in use, "." free. */
  readonly bits: string;
  /** Which of the page's blocks are owned, in the order of their handles. The others in use are shared. */
  readonly owned: readonly SlabOwned[];
}

const KINDS: Readonly<Record<number, string>> = {
  [PAGE_FREE]: "free",
  [PAGE_CLAIMED]: "being claimed",
  [PAGE_SLAB]: "blocks",
  [PAGE_SLAB_MARKED]: "blocks, marked",
  [PAGE_OWNERS]: "owners",
  [PAGE_HOLLOW]: "free, without storage",
  [PAGE_TRIMMING]: "storage being given back or got",
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
  const ownerSlot = (survey.pageOwner(index) >>> 0) - 1;
  const row = { number, offset, kind: KINDS[kind] ?? `kind ${kind}`, ownerSlot };
  if (!SLAB_KINDS.has(kind)) {
    const isRun = RUN_KINDS.has(kind);
    const blockSizeBytes = isRun ? (survey.pagesAt(index) >>> 0) * PAGE_SIZE_BYTES : 0;
    return { ...row, blockSizeBytes, used: isRun ? 1 : 0, free: 0, firstBlockOffset: 0, bits: "", owned: [] };
  }
  const blockCount = Math.min(survey.pageBlockCount(index) >>> 0, PAGE_SIZE_BYTES);
  const bits = readBits(region, index, blockCount);
  const free = bits.split(".").length - 1;
  const words = new DataView(region.buffer, descriptorOffset(region, index), TABLE_BYTES_PER_PAGE);
  const blockSizeBytes = survey.blockSizeOf(survey.pageClass(index) >>> 0) >>> 0;
  const firstBlockOffset = offset + words.getUint32(P_FIRST, true);
  return {
    ...row,
    blockSizeBytes,
    used: blockCount - free,
    free,
    firstBlockOffset,
    bits,
    owned: kind === PAGE_SLAB_MARKED ? ownedOf(region, bits, firstBlockOffset, blockSizeBytes) : [],
  };
}

/** Which blocks of a marked page are owned; `bits` says which there are. */
function ownedOf({ survey }: Region, bits: string, first: number, sizeBytes: number): SlabOwned[] {
  return Array.from(bits, (bit, block) => {
    const handle = first + block * sizeBytes;
    return { handle, ownerSlot: bit === "#" ? (survey.ownerOf(handle) >>> 0) - 1 : -1 };
  }).filter(({ ownerSlot }) => ownerSlot >= 0);
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
