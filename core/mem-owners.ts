/**
 * Every touch of the words that say who owns a slab heap's blocks, by name. What holds for core/mem.ts holds here; the sites
 * are numbered from 400.
 */

import { OWNERS_ENTRY_BYTES } from "../src/layout/page";
import { sideOffset } from "./state";

@external("env", "checkpoint")
declare function checkpoint(site: i32): void;

// The directory: the page that holds the owners arrays of eight pages

/** SYNC with casOwnersPage: the page that is named was filled with zeros before. */
@inline
export function loadOwnersPage(group: u32): u32 {
  if (CHECKED) checkpoint(400);
  return atomic.load<u32>(sideOffset + group * OWNERS_ENTRY_BYTES);
}

/** SYNC with loadOwnersPage. */
@inline
export function casOwnersPage(group: u32, expected: u32, page: u32): bool {
  if (CHECKED) checkpoint(401);
  return atomic.cmpxchg<u32>(sideOffset + group * OWNERS_ENTRY_BYTES, expected, page) == expected;
}

// Owners arrays: `array` is the array's address

@inline
export function loadBlockOwner(array: usize, block: u32): u32 {
  if (CHECKED) checkpoint(402);
  return atomic.load<u16>(array + (block << 1));
}

@inline
export function storeBlockOwner(array: usize, block: u32, owner: u32): void {
  if (CHECKED) checkpoint(403);
  atomic.store<u16>(array + (block << 1), <u16>owner);
}

@inline
export function casBlockOwner(array: usize, block: u32, expected: u32, owner: u32): bool {
  if (CHECKED) checkpoint(404);
  return atomic.cmpxchg<u16>(array + (block << 1), <u16>expected, <u16>owner) == <u16>expected;
}
