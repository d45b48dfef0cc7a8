/** The first-fit allocator. (Being written.) */

import { BAD_HANDLE, TOO_LARGE } from "../src/layout/result";
import { fail } from "./state";

/** Allocates a shared block of at least `sizeBytes` (1 or more). 0 when there is no room (see lastError()). */
export function alloc(_sizeBytes: u32): u32 {
  fail(TOO_LARGE);
  return 0;
}

export function allocPlaced(_sizeBytes: u32, _alignmentBytes: u32, _owned: bool): u32 {
  fail(TOO_LARGE);
  return 0;
}

export function free(_handle: u32): i32 {
  return fail(BAD_HANDLE);
}

export function usableSize(_handle: u32): u32 {
  fail(BAD_HANDLE);
  return 0;
}

export function ownerOf(_handle: u32): u32 {
  return 0;
}

export function share(_handle: u32): i32 {
  return fail(BAD_HANDLE);
}

export function adopt(_handle: u32): i32 {
  return fail(BAD_HANDLE);
}

/** Resizes in place. OK; BAD_HANDLE when the block has to move; or why nothing can be done. */
export function resize(_handle: u32, _oldBytes: u32, _sizeBytes: u32): i32 {
  return BAD_HANDLE;
}
