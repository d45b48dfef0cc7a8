/**
 * A system with little room, for the whole process: a heap whose damaged words ask for gigabytes is refused them, as by a full
 * file system, instead of getting them from this machine.
 */

import { native } from "../src/os/native.ts";

const ENOSPC = -28;

/** No segment gets storage from `limitBytes` on. */
export function limitRoom(limitBytes: number): void {
  const { fallocate } = native;
  native.fallocate = (fd, mode, offset, lengthBytes) =>
    offset + lengthBytes > limitBytes ? ENOSPC : fallocate(fd, mode, offset, lengthBytes);
}
