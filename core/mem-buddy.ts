/**
 * Every touch of a buddy heap's table and side table, by name. What holds for core/mem.ts holds here; the sites are
 * numbered from 200.
 */

@external("env", "checkpoint")
declare function checkpoint(site: i32): void;

// The table: `tree` is a tree word's address, `flags` a flags word's

/** SYNC with casTree: what a participant wrote into a block before it freed it happens before the next one has it. */
@inline
export function loadTree(tree: usize): u64 {
  if (CHECKED) checkpoint(200);
  return atomic.load<u64>(tree);
}

/** SYNC with loadTree. The linearisation point of every allocation, free, resize, share and adoption. */
@inline
export function casTree(tree: usize, expected: u64, state: u64): bool {
  if (CHECKED) checkpoint(201);
  return atomic.cmpxchg<u64>(tree, expected, state) == expected;
}

/** SYNC with orBuddyFlags: where BUDDY_HAS_OWNERS is set, the side table's part can be touched. */
@inline
export function loadBuddyFlags(flags: usize): u32 {
  if (CHECKED) checkpoint(202);
  return atomic.load<u32>(flags);
}

/** SYNC with loadBuddyFlags: after the storage was reserved. */
@inline
export function orBuddyFlags(flags: usize, bits: u32): void {
  if (CHECKED) checkpoint(203);
  atomic.or<u32>(flags, bits);
}

// The side table: `entry` is an entry's address

@inline
export function storeBuddyFlags(flags: usize, value: u32): void {
  if (CHECKED) checkpoint(208);
  atomic.store<u32>(flags, value);
}

@inline
export function loadOwner(entry: usize): u32 {
  if (CHECKED) checkpoint(204);
  return atomic.load<u16>(entry);
}

/** Only who has its number in the entry, or recovers that one, stores 0 there. */
@inline
export function storeOwner(entry: usize, owner: u32): void {
  if (CHECKED) checkpoint(205);
  atomic.store<u16>(entry, <u16>owner);
}

/** The right to make the leaf an owned start goes to who succeeds here. */
@inline
export function casOwner(entry: usize, expected: u32, owner: u32): bool {
  if (CHECKED) checkpoint(206);
  return <u32>atomic.cmpxchg<u16>(entry, <u16>expected, <u16>owner) == expected;
}

/** Four entries at once, aligned to eight bytes: is any of them not 0? For looking over a page's part. */
@inline
export function loadOwners4(entries: usize): u64 {
  if (CHECKED) checkpoint(207);
  return atomic.load<u64>(entries);
}
