/**
 * Named roots: a fixed table of 64-byte entries from a name to a handle. How strangers find each other's data.
 *
 *       0  word u64: handle in bits 0..31, ROOT_FREE or ROOT_SET in bits 32..33, a generation above; a
 *          reader that finds the same word before and after reading the name has read one consistent entry
 *       8  name length u32 (bytes)       16  name, at most 48 bytes of UTF-8
 *
 * Entries are written under the header's roots lock, and each change becomes visible by one store of `word`.
 */

export const ROOT_SIZE_BYTES = 64;
export const ROOT_COUNT = 128;

export const R_WORD = 0;
export const R_NAME_LENGTH = 8;
export const R_NAME = 16;
export const ROOT_NAME_LIMIT_BYTES = 48;

export const ROOT_FREE = 0;
export const ROOT_SET = 1;
export const ROOT_STATE_SHIFT = 32;
export const ROOT_STATE_MASK = 3;
export const ROOT_GENERATION_SHIFT = 34;
