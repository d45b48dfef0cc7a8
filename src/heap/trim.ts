/**
 * Storage that a heap gave back, or never had.
 *
 * A slab heap gives the storage of its free pages back on request (core/storage.ts has the states of such a page), and gets
 * it again, page by page, before it would have to grow.
 *
 * A buddy heap's table of owners is as long as its span wants, and sparse: the piece for a page of blocks gets its storage
 * when the first block there is to be owned. Reserving it twice does no harm, and whoever dies before telling the core has
 * reserved it for the next one to ask.
 */

import { BUDDY_OWNER_BYTES } from "../layout/buddy.ts";
import { ALLOCATOR_SLAB, PAGE_SIZE_BYTES } from "../layout/header.ts";
import { native } from "../os/native.ts";
import { checkResult } from "../os/errno.ts";
import type { HeapCore, SlabCore } from "../region/core.ts";
import type { Region } from "../region/index.ts";

function isSlabCore(region: Region, core: HeapCore): core is SlabCore {
  return region.session.geometry.allocator === ALLOCATOR_SLAB && "trimFrom" in core;
}

/**
 * Gives the storage of the slab heap's free pages back to the system. Bytes.
 *
 * @throws ERR_SHOAL_UNSUPPORTED (a file system that cannot); the pages are to be had as before
 */
export function trimHeap(region: Region): number {
  region.catchUp();
  const core = region.session.overlay.core as HeapCore;
  if (!isSlabCore(region, core)) return 0;
  let bytes = 0;
  let page = core.trimFrom(0) >>> 0;
  while (page !== 0) {
    const count = core.errorDetail() >>> 0;
    try {
      giveBack(region, page, count);
    } finally {
      core.settleStorage(page, count, 0);
    }
    bytes += count * PAGE_SIZE_BYTES;
    page = core.trimFrom(page + count) >>> 0;
  }
  return bytes;
}

function giveBack({ buffer }: Region, page: number, count: number): void {
  const address = native.addressOf(new Uint8Array(buffer));
  const args = { page, pages: count };
  const result = native.madvise(
    address + page * PAGE_SIZE_BYTES,
    count * PAGE_SIZE_BYTES,
    native.constants.MADV_REMOVE,
  );
  checkResult(result, "madvise", args);
}

/**
 * After NEED_PAGES: gets storage for hollow pages, if with them there are as many free pages in a row as the core asked
 * for. False when there are not.
 *
 * @throws ERR_SHOAL_NO_SPACE; the pages are hollow as before
 */
export function restorePages(region: Region, core: HeapCore): boolean {
  if (!isSlabCore(region, core)) return false;
  const count = core.errorDetail() >>> 0;
  const page = core.claimHollow(count) >>> 0;
  if (page === 0) return false;
  let isStored = false;
  try {
    region.session.backing.reserve([
      { offset: page * PAGE_SIZE_BYTES, lengthBytes: count * PAGE_SIZE_BYTES },
    ]);
    isStored = true;
  } finally {
    core.settleStorage(page, count, isStored ? 1 : 0);
  }
  return true;
}

/**
 * After NEED_STORAGE: gets storage for the owners of blocks in a page of a buddy heap, and tells the core.
 *
 * @throws ERR_SHOAL_NO_SPACE; nothing has changed then
 */
export function storeOwners(region: Region, core: HeapCore): true {
  const page = core.errorDetail() >>> 0;
  const { backing, geometry } = region.session;
  const lengthBytes = (PAGE_SIZE_BYTES >>> geometry.minShift) * BUDDY_OWNER_BYTES;
  backing.reserve([{ offset: geometry.sideOffset + page * lengthBytes, lengthBytes }]);
  core.noteStorage(page);
  return true;
}
