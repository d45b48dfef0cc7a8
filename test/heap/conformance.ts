/**
 * What every allocator must do alike on every backend: one suite, run over slab, buddy and first-fit heaps in posix, file,
 * sysv and anonymous segments.
 *
 * It asks for sizes and alignments up to what the heap's plan promises, so a buddy heap, whose blocks have a largest size,
 * is asked for that much and refused beyond. System V heaps do not grow; their tests of growth say what happens instead.
 */
import type { Kind } from "../helpers/kinds.ts";
import { defineBlocks } from "./conformance-blocks.ts";
import { defineCounts } from "./conformance-counts.ts";
import { defineOwners } from "./conformance-owners.ts";
import { defineRoom } from "./conformance-room.ts";
import { BACKEND_NAMES } from "../../src/region/index.ts";
import type { AllocatorName } from "../../src/heap/index.ts";

/** Declares the suite for one allocator, on all backends. */
export function defineConformance(allocator: AllocatorName): void {
  for (const backend of BACKEND_NAMES) {
    const kind: Kind = { allocator, backend };
    defineBlocks(kind);
    defineCounts(kind);
    defineRoom(kind);
    defineOwners(kind);
  }
}
