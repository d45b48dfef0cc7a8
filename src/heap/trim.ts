/**
 * Storage that a heap gave back, or never had.
 *
 * A buddy heap's table of owners is as long as its span wants, and sparse: the piece for a page of blocks gets its storage
 * when the first block there is to be owned. Reserving it twice does no harm, and whoever dies before telling the core has
 * reserved it for the next one to ask.
 */

import { BUDDY_OWNER_BYTES } from "../layout/buddy.ts";
import { PAGE_SIZE_BYTES } from "../layout/header.ts";
import type { HeapCore } from "../region/core.ts";
import type { Region } from "../region/index.ts";

/** Bytes given back to the system. */
export function trimHeap(_region: Region): number {
  return 0;
}

/**
 * After NEED_STORAGE: gets storage for what the core asked for, and tells it.
 *
 * @throws ERR_SHOAL_NO_SPACE; nothing has changed then
 */
export function reserveStorage(region: Region, core: HeapCore): void {
  const page = core.errorDetail() >>> 0;
  const { backing, geometry } = region.session;
  const lengthBytes = (PAGE_SIZE_BYTES >>> geometry.minShift) * BUDDY_OWNER_BYTES;
  backing.reserve([{ offset: geometry.sideOffset + page * lengthBytes, lengthBytes }]);
  core.noteStorage(page);
}
