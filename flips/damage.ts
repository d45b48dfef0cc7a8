/**
 * Damage: which words of a heap are hit, and with what.
 *
 * Half of it is chosen to bite: a word that somebody reads, and a number that means something where it stands, an offset
 * into the header, another participant's number, a page's own index, a state of somebody who is not there. The rest is
 * flipped bits.
 */

import { SLOT_COUNT } from "./images.ts";
import { objectDraws } from "./object-damage.ts";
import type { Random } from "./random.ts";
import { readWord } from "./target.ts";
import type { Draw, Place, Target } from "./target.ts";
import {
  H_BACKEND,
  H_FIT_SECOND,
  H_HEAP_LOCK,
  H_HIGH_WATER_PAGES,
  H_ORPHAN_HINTS,
  H_ROOTS_LOCK,
  H_SIZE_PAGES,
  H_STATE,
  HEADER_SIZE_BYTES,
  PAGE_SIZE_BYTES,
} from "../src/layout/header.ts";
import { CHUNKS_PER_PAGE, FIT_HEADER_BYTES, T_CHUNK_CLASSES } from "../src/layout/fit.ts";
import {
  CLASS_LAST,
  LAST_KIND,
  OWNERS_ARRAY_BYTES,
  P_BITMAP,
  STATE_CLASS_SHIFT,
  STATE_LENGTH_SHIFT,
  STATE_OTHER_SHIFT,
  STATE_OWNER_SHIFT,
  TABLE_BYTES_PER_PAGE,
} from "../src/layout/page.ts";
import { R_NAME_LENGTH, ROOT_SIZE_BYTES } from "../src/layout/root.ts";
import { S_CURRENT, S_INTENT, SLOT_SIZE_BYTES } from "../src/layout/slot.ts";

export interface Damage extends Place {
  readonly before: bigint;
  readonly value: bigint;
}

const place = (what: string, offset: number, widthBytes: Place["widthBytes"] = 4): Place => ({
  what,
  offset,
  widthBytes,
});

/** A page of the data, one before or one behind it now and then. */
function somePage({ geometry, sizePages }: Target, random: Random): number {
  const first = geometry.dataOffset / PAGE_SIZE_BYTES;
  const page = first + random.below(sizePages - first + 1) - (random.once(30) ? 1 : 0);
  return Math.min(page, geometry.spanPages - 1);
}

const constants: Draw = (_image, random) => {
  if (random.once(3)) return place("the header", random.pick([0, 8, 12, 16, 32, 40, 96, 112]), 4);
  return place("the header's constants", H_BACKEND + 4 * random.below((H_SIZE_PAGES - H_BACKEND) / 4));
};

const variables: Draw = (_image, random) => {
  const one = [H_STATE, H_SIZE_PAGES, H_SIZE_PAGES, H_ROOTS_LOCK, H_ROOTS_LOCK, 256, 264, H_HIGH_WATER_PAGES];
  return place("the header's variables", random.pick([...one, H_ORPHAN_HINTS + 4 * random.below(64)]));
};

const slots: Draw = ({ geometry }, random) => {
  const slot = geometry.slotsOffset + SLOT_SIZE_BYTES * random.below(SLOT_COUNT);
  if (random.once(3)) return place("a slot", slot + 4 * random.below(10));
  if (random.once(6)) return place("an intent", slot + S_INTENT + 4 * random.below(2));
  return place("what a slot remembers of pages", slot + S_CURRENT + 4 * random.below(64));
};

const roots: Draw = ({ geometry }, random) => {
  const root = geometry.rootsOffset + ROOT_SIZE_BYTES * random.below(random.once(3) ? geometry.rootCount : 8);
  if (random.once(3)) return place("a root's name", root + R_NAME_LENGTH + 4 * random.below(14));
  return place("a root", root, random.once(2) ? 8 : 4);
};

const slabTable: Draw = (image, random) => {
  const page = image.geometry.tableOffset + TABLE_BYTES_PER_PAGE * somePage(image, random);
  if (random.once(2)) return place("a page's state", page, 8);
  if (random.once(4)) return place("a page's bitmap", page + P_BITMAP + 8 * random.below(2), 8);
  return place("a page's descriptor", page + 4 * random.below(12));
};

const slabSide: Draw = (image, random) => {
  const { sideOffset } = image.geometry;
  if (random.once(2)) return place("the owners' directory", sideOffset + 4 * random.below(3));
  const page = somePage(image, random) * PAGE_SIZE_BYTES;
  if (random.once(2)) return place("a bitmap in a page", page + 8 * random.below(128), 8);
  return place("an owners array", page + OWNERS_ARRAY_BYTES * random.below(8) + 2 * random.below(300), 2);
};

const buddyTable: Draw = (image, random) => {
  const { tableOffset, tableBytesPerPage } = image.geometry;
  const page = tableOffset + tableBytesPerPage * somePage(image, random);
  if (random.once(4)) return place("a page's flags", page);
  return place("a tree", page + 8 + 8 * random.below(tableBytesPerPage / 8 - 1), 8);
};

const buddySide: Draw = (image, random) => {
  const { sideOffset, minShift, maxShift } = image.geometry;
  const leaves = (somePage(image, random) * PAGE_SIZE_BYTES) >>> minShift;
  const inPage = 1 << (random.once(2) ? maxShift - minShift : 16 - minShift);
  return place("a block's owner", sideOffset + 2 * (leaves + random.below(inPage)), 2);
};

const fitTable: Draw = (image, random) => {
  const { tableOffset, tableBytesPerPage } = image.geometry;
  const page = tableOffset + tableBytesPerPage * somePage(image, random);
  if (random.once(2)) return place("start bits", page + 8 * random.below(random.once(2) ? 8 : 128), 8);
  return place("a chunk's class", page + T_CHUNK_CLASSES + random.below(CHUNKS_PER_PAGE), 1);
};

const fitSide: Draw = ({ geometry }, random) =>
  place(
    "the upper index",
    geometry.sideOffset + random.pick([random.below(8), random.below(geometry.sideBytes)]),
    1,
  );

const fitHeader: Draw = (_image, random) =>
  place("the lock and its record", H_HEAP_LOCK + 4 * random.below((H_FIT_SECOND - H_HEAP_LOCK) / 4 + 1));

const fitBlocks: Draw = ({ handles, geometry }, random) => {
  const handle = handles.length === 0 ? geometry.dataOffset + FIT_HEADER_BYTES : random.pick(handles);
  return place(
    "a block's header",
    handle - FIT_HEADER_BYTES + 4 * random.below(2) - (random.once(4) ? 8 : 0),
  );
};

const anywhere: Draw = ({ sizePages }, random) =>
  place("anywhere", 8 * random.below((sizePages * PAGE_SIZE_BYTES) / 8), random.pick([4, 8]));

const metadata: Draw = ({ geometry }, random) => {
  const end = random.once(2) ? HEADER_SIZE_BYTES * 2 : geometry.dataOffset;
  return place("the segment's own words", 4 * random.below(end / 4));
};

const general = [constants, variables, slots, roots, anywhere, metadata];

const draws: Readonly<Record<Target["allocator"], readonly Draw[]>> = {
  slab: [...general, slabTable, slabTable, slabTable, slabSide, slabSide],
  buddy: [...general, buddyTable, buddyTable, buddySide],
  "first-fit": [...general, fitTable, fitTable, fitSide, fitHeader, fitHeader, fitBlocks, fitBlocks],
};

/** Numbers that mean something to somebody. */
function bitingNumber({ geometry, sizePages, handles }: Target, { offset }: Place, random: Random): number {
  const { spanPages, dataOffset, tableOffset, tableBytesPerPage } = geometry;
  const sizeBytes = sizePages * PAGE_SIZE_BYTES;
  const ownPage = Math.floor((offset - tableOffset) / tableBytesPerPage);
  const choice = random.below(6);
  if (choice === 0)
    return random.pick([0, 1, 2, 3, 4, 7, 8, 15, 16, 63, 64, 65, 255, 4095, 4096, 4097, 65535, 65536]);
  if (choice === 1)
    return random.pick([
      2 ** 32 - 1,
      2 ** 32 - 2,
      2 ** 32 - 8,
      2 ** 32 - 16,
      2 ** 31 - 1,
      2 ** 31,
      2 ** 31 + 1,
      2 ** 30,
    ]);
  if (choice === 2) {
    const pages = [
      ownPage,
      ownPage - 1,
      ownPage + 1,
      sizePages,
      sizePages - 1,
      sizePages + 1,
      spanPages,
      spanPages - 1,
    ];
    return random.pick([...pages, spanPages + 1, dataOffset / PAGE_SIZE_BYTES]) >>> 0;
  }
  if (choice === 3) {
    const ends = [sizeBytes, sizeBytes - 8, sizeBytes - 4, sizeBytes + 8, spanPages * PAGE_SIZE_BYTES];
    return (
      random.pick([
        ...ends,
        dataOffset,
        dataOffset - 8,
        dataOffset + 1,
        tableOffset,
        offset,
        H_HEAP_LOCK,
        4,
      ]) >>> 0
    );
  }
  // Participants' numbers: those that are there, one that is dead, one that nobody has, ones that there are not.
  if (choice === 4) return 1 + random.below(SLOT_COUNT + 2);
  const handle = handles.length === 0 ? dataOffset : random.pick(handles);
  return handle + random.pick([0, 0, 1, 8, -8, 16]);
}

/** A state of a slab heap's page: any kind, any owner, lengths that fit and such as do not. */
function pageState(image: Target, at: Place, random: Random): bigint {
  const length = bitingNumber(image, at, random) & 0xffff;
  const other = random.once(2) ? 0 : bitingNumber(image, at, random) & 0xffff;
  const sizeClass = random.pick([0, 1, 2, random.below(CLASS_LAST + 1), CLASS_LAST, CLASS_LAST + 1, 255]);
  return (
    BigInt(random.below(LAST_KIND + 2)) |
    (BigInt(random.once(2) ? 0 : sizeClass) << BigInt(STATE_CLASS_SHIFT)) |
    (BigInt(random.below(SLOT_COUNT + 3)) << BigInt(STATE_OWNER_SHIFT)) |
    (BigInt(length) << BigInt(STATE_LENGTH_SHIFT)) |
    (BigInt(other) << BigInt(STATE_OTHER_SHIFT))
  );
}

function flip(before: bigint, widthBytes: number, random: Random): bigint {
  let value = before;
  for (let count = 1 + random.below(3); count > 0; count--)
    value ^= 1n << BigInt(random.below(widthBytes * 8));
  return value;
}

function hostileValue(image: Target, at: Place, draw: Draw, random: Random): bigint {
  if (at.values !== undefined && !random.once(6)) return BigInt(at.values(random));
  if (at.widthBytes === 8) {
    if (at.what === "a page's state" && !random.once(4)) return pageState(image, at, random);
    if (random.once(4)) return random.pick([0n, 2n ** 64n - 1n, 2n ** 32n - 1n, (2n ** 32n - 1n) << 32n]);
    const high = bitingNumber(image, at, random);
    return BigInt.asUintN(64, (BigInt(high) << 32n) | BigInt(bitingNumber(image, at, random)));
  }
  // What stands in another place of the same sort.
  if (random.once(5)) return readWord(image, { ...draw(image, random), widthBytes: at.widthBytes });
  return BigInt(bitingNumber(image, at, random));
}

/** Damages the image's heap in one place. */
export function damage(image: Target, random: Random): Damage {
  const isOfObjects = image.objects.length > 0 && !random.once(4);
  const draw = random.pick(isOfObjects ? objectDraws : draws[image.allocator]);
  const at = draw(image, random);
  const before = readWord(image, at);
  const isFlip = random.once(3);
  const wanted = isFlip ? flip(before, at.widthBytes, random) : hostileValue(image, at, draw, random);
  const value = BigInt.asUintN(at.widthBytes * 8, wanted);
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  // What was never written need not be lengthened: a heap's file ends with its pages.
  if (at.offset + at.widthBytes <= image.lengthBytes())
    image.write(at.offset, bytes.subarray(0, at.widthBytes));
  return { ...at, before, value };
}

export function describeDamage({ what, offset, before, value, widthBytes }: Damage): string {
  const shown = (word: bigint): string => `0x${word.toString(16).padStart(widthBytes * 2, "0")}`;
  return `${what}: offset ${offset}, ${shown(before)} -> ${shown(value)}`;
}
