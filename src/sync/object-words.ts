/**
 * The words at the head of an object (src/layout/sync.ts), as far as they are TypeScript's to read and write: one function
 * for each access, as the core has them in core/mem*.ts. Sites 800 and up.
 *
 * While an object is made these are plain: it is a block of its maker's own, or lies in a part of a block that its maker says
 * is not in use, and nobody looks at it. SYNC storeKind with loadKind: who finds the kind finds what was written before it.
 * If the maker dies before the block has a name the block is freed with all that it owned.
 */

import { Y_FLAGS, Y_KIND, Y_LIMIT } from "../layout/sync.ts";
import { currentCheckpoint } from "../region/core.ts";
import type { Checkpoint } from "../region/core.ts";

/** Words of a segment, and what is called before one of them is touched. */
export interface SharedWords {
  readonly words: Uint32Array;
  readonly touch: Checkpoint;
}

/** `lengthBytes` bytes from `offset` on. Opened before the accesses that it is for: tests watch those who open it. */
export function wordsAt(buffer: ArrayBufferLike, offset: number, lengthBytes: number): SharedWords {
  return { words: new Uint32Array(buffer, offset, lengthBytes >> 2), touch: currentCheckpoint() };
}

export function fillObject(object: SharedWords): void {
  object.touch(800);
  object.words.fill(0);
}

export function setFlags(object: SharedWords, flags: number): void {
  object.touch(801);
  object.words[Y_FLAGS >> 2] = flags;
}

export function setLimit(object: SharedWords, limit: number): void {
  object.touch(802);
  object.words[Y_LIMIT >> 2] = limit;
}

export function storeKind(object: SharedWords, kind: number): void {
  object.touch(803);
  Atomics.store(object.words, Y_KIND >> 2, kind >>> 0);
}

export function loadKind(object: SharedWords): number {
  object.touch(804);
  return Atomics.load(object.words, Y_KIND >> 2);
}

export function getFlags(object: SharedWords): number {
  object.touch(805);
  return object.words[Y_FLAGS >> 2]!;
}

export function getLimit(object: SharedWords): number {
  object.touch(806);
  return object.words[Y_LIMIT >> 2]!;
}
