/**
 * Placed and owned blocks of a slab heap.
 */

import { BAD_HANDLE, OK } from "../src/layout/result";
import { alloc, usableSize } from "./slab";
import { fail } from "./state";

export function allocPlaced(sizeBytes: u32, _alignmentBytes: u32, _owned: bool): u32 {
  return alloc(sizeBytes);
}

export function ownerOf(_handle: u32): u32 {
  return 0;
}

export function share(handle: u32): i32 {
  return usableSize(handle) != 0 ? OK : fail(BAD_HANDLE);
}

export function adopt(handle: u32): i32 {
  return usableSize(handle) != 0 ? OK : fail(BAD_HANDLE);
}
