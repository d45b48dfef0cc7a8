/** What sorts of heaps are damaged: of each allocator one with blocks alone, and one with locks and channels as well. */

import type { AllocatorName } from "../src/heap/index.ts";

export type Kind = AllocatorName | `${AllocatorName}-objects`;

/** In this order a run takes them in turn. */
export const KINDS: readonly Kind[] = [
  "slab",
  "buddy",
  "first-fit",
  "slab-objects",
  "buddy-objects",
  "first-fit-objects",
];

export function hasObjects(kind: Kind): boolean {
  return kind.endsWith("-objects");
}

export function allocatorOf(kind: Kind): AllocatorName {
  return (hasObjects(kind) ? kind.slice(0, -"-objects".length) : kind) as AllocatorName;
}
