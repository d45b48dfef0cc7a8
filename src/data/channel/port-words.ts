/**
 * A port's own words (src/layout/port.ts), one function for each access, as the core has them in core/mem*.ts: what is done to
 * them by whom, and what becomes of it if that one dies, is in port-place.ts. Sites 820 and up.
 */

import { PORT_CELL_BYTES, PORT_PARTNERS, PORT_SERIALS } from "../../layout/port.ts";
import type { SharedWords } from "../../sync/object-words.ts";

/** Of a port, from its start on: so many bytes are words of its own, or all objects'. */
export const PORT_HEAD_WORDS_BYTES = PORT_PARTNERS + 8;

export function setPortCellBytes(port: SharedWords, cellBytes: number): void {
  port.touch(820);
  port.words[PORT_CELL_BYTES >> 2] = cellBytes;
}

export function getPortCellBytes(port: SharedWords): number {
  port.touch(821);
  return port.words[PORT_CELL_BYTES >> 2]!;
}

/** How often that side was taken. Changed under the door. */
export function loadSerial(port: SharedWords, side: number): number {
  port.touch(822);
  return Atomics.load(port.words, (PORT_SERIALS >> 2) + side);
}

export function storeSerial(port: SharedWords, side: number, serial: number): void {
  port.touch(823);
  Atomics.store(port.words, (PORT_SERIALS >> 2) + side, serial);
}

/** With which serial of the other side the one that has that side is connected. Changed under the door. */
export function loadPartner(port: SharedWords, side: number): number {
  port.touch(824);
  return Atomics.load(port.words, (PORT_PARTNERS >> 2) + side);
}

export function storePartner(port: SharedWords, side: number, serial: number): void {
  port.touch(825);
  Atomics.store(port.words, (PORT_PARTNERS >> 2) + side, serial);
}
