/** A heap's drawing as text for people: lines of at most some 100 characters. */
import type { BuddyRow } from "./draw-buddy.ts";
import type { FirstFitRow } from "./draw-first-fit.ts";
import type { SlabRow } from "./draw-slab.ts";
import type { Bookkeeping, HeapDrawing } from "./draw.ts";

const MOST_BITS = 64;
const MOST_COLUMNS = 100;

function ownerText(ownerSlot: number): string {
  return ownerSlot < 0 ? "" : `, slot ${ownerSlot}'s`;
}

/** Bits as they are; of more than fit in a line each character stands for several: tenths in use, "#" all of them. */
function shorten(bits: string): string {
  if (bits.length <= MOST_BITS) return bits;
  const each = Math.ceil(bits.length / MOST_BITS);
  const parts = Array.from({ length: Math.ceil(bits.length / each) }, (_, part) =>
    bits.slice(part * each, (part + 1) * each),
  );
  return parts
    .map((part) => {
      const used = part.split("#").length - 1;
      if (used === 0 || used === part.length) return used === 0 ? "." : "#";
      return String(Math.max(1, Math.floor((used * 10) / part.length)));
    })
    .join("");
}

/** What there is to say about a row in one word, if that is all. */
function plainSlab({ bits, blockSizeBytes, kind, ownerSlot }: SlabRow): string | undefined {
  return bits === "" && blockSizeBytes === 0 ? `${kind}${ownerText(ownerSlot)}` : undefined;
}

function slabText(row: SlabRow): string {
  const { number, kind, blockSizeBytes, ownerSlot, used, free, bits } = row;
  if (bits === "") return `${numbers(number)}  ${kind} of ${blockSizeBytes} B${ownerText(ownerSlot)}`;
  const facts = `${blockSizeBytes} B, ${used} of ${used + free} used${ownerText(ownerSlot)}`;
  return [`${numbers(number)}  ${facts.padEnd(38)} ${shorten(bits)}`, ...ownedLines(row)].join("\n");
}

/** Of each participant that owns blocks of a page a line: which, by their places in it. */
function ownedLines({ owned, firstBlockOffset, blockSizeBytes }: SlabRow): string[] {
  const blocksOf = new Map<number, number[]>();
  for (const { handle, ownerSlot } of owned) {
    const block = (handle - firstBlockOffset) / blockSizeBytes;
    const blocks = blocksOf.get(ownerSlot);
    if (blocks === undefined) blocksOf.set(ownerSlot, [block]);
    else blocks.push(block);
  }
  return Array.from(blocksOf, ([slot, blocks]) => {
    const line = `${" ".repeat(13)}slot ${slot} owns ${blocks.length}: `;
    return line + rangesText(blocks, MOST_COLUMNS - line.length);
  });
}

/** Ascending numbers as "0, 2-5, 9": as many as have room, then "…". */
function rangesText(values: readonly number[], roomColumns: number): string {
  let text = "";
  for (let at = 0; at < values.length;) {
    let last = at;
    while (values[last + 1] === values[last]! + 1) last++;
    const range = last === at ? String(values[at]!) : `${values[at]!}-${values[last]!}`;
    const separator = text === "" ? "" : ", ";
    if (text.length + separator.length + range.length + ", …".length > roomColumns)
      return `${text}${separator}…`;
    text += separator + range;
    at = last + 1;
  }
  return text;
}

function plainBuddy({ blocks, usedBits }: BuddyRow): string | undefined {
  return blocks.length === 0 && Number(`0x${usedBits}`) === 0 ? "free" : undefined;
}

function buddyText({ number, offset, usedBits, startBits, levels, blocks }: BuddyRow): string {
  const owned = blocks.filter(({ ownerSlot }) => ownerSlot >= 0);
  return [
    `${numbers(number)}  at ${offset}, used ${usedBits}, starts ${startBits}`,
    ...levels.map(({ blockBytes, cells }) => `${String(blockBytes).padStart(19)}  ${cells}`),
    ...owned.map(({ handle, ownerSlot }) => `${" ".repeat(21)}${handle} is slot ${ownerSlot}'s`),
  ].join("\n");
}

/** The number of a row, or of several that say the same. */
function numbers(first: number, last = first): string {
  return (first === last ? String(first) : `${first}-${last}`).padStart(11);
}

/** Rows in lines; those one behind the other that are all plain and alike in one. */
function linesOf<Row extends { readonly number: number }>(
  rows: readonly Row[],
  plain: (row: Row) => string | undefined,
  text: (row: Row) => string,
): string[] {
  const lines: string[] = [];
  for (let at = 0; at < rows.length;) {
    const row = rows[at]!;
    const word = plain(row);
    const alike = word === undefined ? 1 : rows.slice(at).findIndex((one) => plain(one) !== word);
    const end = alike < 0 ? rows.length : at + alike;
    lines.push(word === undefined ? text(row) : `${numbers(row.number, rows[end - 1]!.number)}  ${word}`);
    at = end;
  }
  return lines;
}

function firstFitLine({ number, offset, sizeBytes, used, ownerSlot }: FirstFitRow): string {
  const state = used ? `used${ownerText(ownerSlot)}` : "free";
  return `${numbers(number)}  at ${String(offset).padEnd(10)} ${String(sizeBytes).padStart(10)} B  ${state}`;
}

const LEGENDS = {
  slab: "blocks: # in use, . free; where a character stands for several, tenths of them in use; owned ones by number",
  buddy: "[== a block of the level's size, {== an owned one; : split further, - inside a larger one, . free",
  "first-fit": "sizes with their headers of 8 bytes",
} as const;

function rowLines(drawing: HeapDrawing): readonly string[] {
  switch (drawing.allocator) {
    case "slab":
      return linesOf(drawing.rows, plainSlab, slabText);
    case "buddy":
      return linesOf(drawing.rows, plainBuddy, buddyText);
    case "first-fit":
      return drawing.rows.map(firstFitLine);
  }
}

function bookkeepingLines(bookkeeping: Bookkeeping): string[] {
  return Object.entries(bookkeeping).map(([name, value]) => `${name.padEnd(18)} ${value}`);
}

/** The drawing in lines, the last without an end. */
export function formatDrawing(drawing: HeapDrawing): string {
  const { name, allocator, unit, count, rows, bookkeeping } = drawing;
  const first = rows[0]?.number ?? 0;
  const shown = rows.length === 0 ? "none" : `${first} to ${first + rows.length - 1}`;
  return [
    `${name}: ${allocator} heap, ${unit}s ${shown} of ${count}`,
    ...bookkeepingLines(bookkeeping),
    ...rowLines(drawing),
    LEGENDS[allocator],
  ].join("\n");
}
