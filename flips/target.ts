/** What is damaged, and where. */

import type { Image } from "./images.ts";
import type { Random } from "./random.ts";

type WidthBytes = 1 | 2 | 4 | 8;

/** A word that is hit. */
export interface Place {
  readonly what: string;
  readonly offset: number;
  readonly widthBytes: WidthBytes;
  /** Numbers that bite there; without them, those that bite anywhere. */
  readonly values?: (random: Random) => number | bigint;
}

/** What is damaged: a heap whose words can be read and written. */
export type Target = Pick<
  Image,
  "allocator" | "geometry" | "sizePages" | "handles" | "objects" | "read" | "write" | "lengthBytes"
>;

export type Draw = (image: Target, random: Random) => Place;

export function readWord(
  image: Pick<Target, "read">,
  { offset, widthBytes }: Pick<Place, "offset" | "widthBytes">,
): bigint {
  const bytes = new Uint8Array(8);
  image.read(offset, bytes.subarray(0, widthBytes));
  return new DataView(bytes.buffer).getBigUint64(0, true);
}
