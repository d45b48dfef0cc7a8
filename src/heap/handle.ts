/**
 * Handles and pointers: numbers that must not be mixed up, so TypeScript keeps them apart.
 */

declare const handleBrand: unique symbol;
declare const pointerBrand: unique symbol;

/** A block: its byte offset from the segment's start, the same in every participant. 0 is no block. */
export type Handle = number & { readonly [handleBrand]: true };

/** A block's address, the same in every process that maps the heap at its fixed address. 0 is no block. */
export type Pointer = number & { readonly [pointerBrand]: true };

/** A number that was stored in shared memory, taken for a handle. It is checked where it is used. */
export function asHandle(value: number): Handle {
  return (value >>> 0) as Handle;
}
