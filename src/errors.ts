/**
 * Shoal's one error class and the table of its codes.
 *
 * A `ShoalError` is thrown for every failure that a caller can cause, meet or repair: bad arguments, refused system
 * calls, segments that are not what they should be. Programs tell them apart by `code`, which is stable; the message
 * is for people and carries the numbers, which are in `details` too. `cause` is the error underneath, if there was one.
 */

/** What each code means and what to do about it. docs/errors.md explains the same codes at length. */
export const ERROR_CODES = {
  ERR_SHOAL_SYSTEM: "The kernel refused a system call; `details.errno` has its reason.",
  ERR_SHOAL_ARGUMENT:
    "An argument has a wrong type, range or alignment; the message says which and what is allowed.",
  ERR_SHOAL_NAME: "A name breaks the rules: one leading slash and no other, 1 to 255 bytes; choose another.",
  ERR_SHOAL_NOT_FOUND: "There is nothing of that name, key or id; create it first, or check the spelling.",
  ERR_SHOAL_EXISTS: "Something of that name or key exists already; open it, or choose another name.",
  ERR_SHOAL_EMPTY: "The object has size 0, and an empty object cannot be mapped; give it a size first.",
  ERR_SHOAL_NOT_SHOAL:
    "The object is no Shoal segment (short header or wrong magic); open it raw, or check the name.",
  ERR_SHOAL_FORMAT:
    "The segment was laid out by another version of Shoal; use the same version on both sides.",
  ERR_SHOAL_SIZE_MISMATCH:
    "The object's real size is not what its header says: it was truncated or is damaged.",
  ERR_SHOAL_SIZE: "The size asked for is not possible; the message gives the bounds.",
  ERR_SHOAL_SPAN: "The size asked for is beyond the span that was reserved when the segment was created.",
  ERR_SHOAL_NOT_READY:
    "The segment is still being initialised; the message says by whom and whether it is alive.",
  ERR_SHOAL_RETIRED: "The segment was retired by its owner; open the one that replaced it.",
  ERR_SHOAL_PERMISSION:
    "The object's mode or owner does not allow this; ask its owner, or open it read-only.",
  ERR_SHOAL_OWNER: "The segment belongs to a user whom the caller did not allow.",
  ERR_SHOAL_NO_SPACE: "The file system or the kernel's limit has no room; the message gives the numbers.",
  ERR_SHOAL_ADDRESS_TAKEN: "Something else of this process is mapped at the address that is needed.",
  ERR_SHOAL_NO_ADDRESS: "No free address was found in the range searched; widen the search.",
  ERR_SHOAL_PARTICIPANTS_FULL: "Every participant slot is in use; create the segment with more of them.",
  ERR_SHOAL_IN_USE:
    "Others who live have the segment open, and this is for one who is alone; close it there first.",
  ERR_SHOAL_KIND:
    "What has that name or handle is another kind of object, or has other options; choose another name.",
  ERR_SHOAL_NOT_HOLDER: "What is to be released is not held, or not any more, by whom is releasing it.",
  ERR_SHOAL_HELD: "The object is still held or waited for; the message says by whom. Release it first.",
  ERR_SHOAL_DEADLOCK: "Waiting could never end: who waits holds it, or holds what its holder waits for.",
  ERR_SHOAL_WOULD_BLOCK:
    "The call would have blocked the event loop of a main thread, and `warn` was set; use await.",
  ERR_SHOAL_ABORTED: "An AbortSignal ended the wait; `cause` is the signal's reason.",
  ERR_SHOAL_BROKEN: "A party of the barrier has died, or the barrier was reset; call reset() and begin anew.",
  ERR_SHOAL_FULL: "The channel has no room, and was made to fail then; receive something, or make it larger.",
  ERR_SHOAL_ENDED: "The channel was ended: nothing more is sent, and what was sent has been received.",
  ERR_SHOAL_TAKEN: "Somebody has that end of the ring, or both sides of the port; wait, or choose another.",
  ERR_SHOAL_DISCONNECTED:
    "The subscriber was too slow for its topic, and asked to be disconnected then; subscribe anew.",
  ERR_SHOAL_CODEC:
    "The message is nothing that the channel's codec can write or read, or the codec is not there.",
  ERR_SHOAL_CLOSED: "The object was closed or unmapped before this call.",
  ERR_SHOAL_DAMAGED: "The segment was truncated underneath this process; its content is lost: close it.",
  ERR_SHOAL_CORRUPT:
    "The segment's own data contradicts itself; the message gives the offset. Stop using it.",
  ERR_SHOAL_OUT_OF_MEMORY:
    "The heap cannot grow any further; the message gives what was asked and the limit.",
  ERR_SHOAL_BAD_HANDLE: "The handle is not that of an allocated block (wild or stale); nothing was changed.",
  ERR_SHOAL_DOUBLE_FREE: "The block was freed before; nothing was changed.",
  ERR_SHOAL_NOT_OWNER:
    "The block is owned by another participant, which has not shared it; nothing was changed.",
  ERR_SHOAL_BAD_POINTER: "The pointer lies outside the segment's fixed mapping; nothing was changed.",
  ERR_SHOAL_READ_ONLY: "The segment was opened read-only; open it for writing to change it.",
  ERR_SHOAL_ROOTS_FULL: "Every named root is in use; delete one, or create the heap with more of them.",
  ERR_SHOAL_TIMEOUT: "The wait ended before what it waited for happened.",
  ERR_SHOAL_NATIVE: "The native addon was not found or does not fit; the message lists every path tried.",
  ERR_SHOAL_UNSUPPORTED: "This kernel, runtime or backend cannot do what was asked.",
} as const satisfies Record<`ERR_SHOAL_${string}`, string>;

/** The code of a `ShoalError`. */
export type ShoalErrorCode = keyof typeof ERROR_CODES;

/** Numbers and strings that belong to an error: sizes asked, limits, offsets, errno's name. */
export type ErrorDetails = Readonly<Record<string, number | string>>;

/** The error that Shoal throws. Made by `shoalError`. */
export class ShoalError extends Error {
  readonly code: ShoalErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ShoalErrorCode, message: string, details: ErrorDetails, options?: { cause: unknown }) {
    super(message, options);
    this.code = code;
    this.details = details;
  }

  override get name(): string {
    return "ShoalError";
  }
}

/**
 * A `ShoalError`, to be thrown.
 *
 * @param message a sentence for people; carries the numbers of `details`
 * @param details the same numbers for programs; nothing by default
 * @param cause the error underneath, if there was one
 */
export function shoalError(
  code: ShoalErrorCode,
  message: string,
  details: ErrorDetails = {},
  cause?: unknown,
): ShoalError {
  const error = new ShoalError(
    code,
    message,
    Object.freeze(details),
    cause === undefined ? undefined : { cause },
  );
  // The stack starts where it is thrown, not here.
  Error.captureStackTrace?.(error, shoalError);
  return error;
}
