/**
 * POSIX shared memory objects: named memory, visible as files in /dev/shm, gone at reboot.
 */
import { shoalError } from "../errors.ts";
import { checkOpened, openFlags } from "./descriptors.ts";
import type { OpenOptions } from "./descriptors.ts";
import { checkResult } from "./errno.ts";
import { native } from "./native.ts";

/** The longest name, its slash included, in bytes of UTF-8. */
const maxNameBytes = 255;

const rules = `a name is one slash, then 1 to ${maxNameBytes - 1} bytes without slash or NUL, and not "/." or "/.."`;

/** What is wrong with a name, or undefined. */
function findFault(name: string): string | undefined {
  if (typeof name !== "string") return "it is no string";
  if (name === "" || name === "/") return "it is empty";
  if (!name.startsWith("/")) return `it does not start with a slash (did you mean "/${name}"?)`;
  if (name.startsWith("/dev/shm/")) return `the folder is not part of it (did you mean "${name.slice(8)}"?)`;
  if (name.includes("/", 1)) return "it has a second slash";
  if (name.includes("\0")) return "it has a NUL";
  if (name === "/." || name === "/..") return "it means a folder";
  const lengthBytes = Buffer.byteLength(name);
  return lengthBytes > maxNameBytes ? `it is ${lengthBytes} bytes long` : undefined;
}

/** Throws ERR_SHOAL_NAME, with the rules, unless `name` can name a POSIX shared memory object; returns it. */
export function checkShmName(name: string): string {
  const fault = findFault(name);
  if (fault === undefined) return name;
  const message = `${JSON.stringify(name)} cannot name a POSIX shared memory object: ${fault}. The rules: ${rules}`;
  throw shoalError("ERR_SHOAL_NAME", message, { name: String(name), fault });
}

/**
 * Opens, or creates, a shared memory object. A new one has size 0: give it a size with `fallocate` or `ftruncate`
 * before mapping it.
 *
 * @param name one leading slash, no other, at most 255 bytes: "/queue"
 * @returns the descriptor
 * @throws ERR_SHOAL_NAME, ERR_SHOAL_NOT_FOUND, ERR_SHOAL_EXISTS, ERR_SHOAL_PERMISSION, ERR_SHOAL_SYSTEM
 */
export function shmOpen(name: string, options: OpenOptions = {}): number {
  checkShmName(name);
  const flags = openFlags(options);
  return checkOpened(native.shmOpen(name, flags.bits, flags.mode), "shm_open", name, flags);
}

/**
 * Removes the name. Descriptors and mappings of the object stay valid; its memory is freed with the last of them.
 *
 * @throws ERR_SHOAL_NAME, ERR_SHOAL_NOT_FOUND, ERR_SHOAL_PERMISSION (in /dev/shm only its owner may)
 */
export function shmUnlink(name: string): void {
  checkResult(native.shmUnlink(checkShmName(name)), "shm_unlink", { name });
}
