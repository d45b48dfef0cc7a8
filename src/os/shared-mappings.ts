/**
 * A process's shared mappings, like pmap's list: read from /proc/PID/maps, whose lines are
 *
 *     7f12a4000000-7f12a4010000 rw-s 00000000 00:19 1234       /dev/shm/name (deleted)
 *     start        end          perm offset   device inode     path
 */
import { lstatSync, readFileSync } from "node:fs";
import { checkInteger } from "./checks.ts";
import { systemError } from "./errno.ts";
import { native } from "./native.ts";

/** What kind of object is mapped. */
export type MappingKind = "sysv" | "posix" | "file" | "memfd" | "anonymous" | "device";

/** One shared mapping. */
export interface SharedMapping {
  readonly address: number;
  readonly sizeBytes: number;
  /** Where in the object it starts, in bytes. */
  readonly offset: number;
  /** As the kernel writes them: "rw-s". */
  readonly permissions: string;
  readonly kind: MappingKind;
  /** "/name" (posix), a path (file, device), the memfd's name, the key in hex (sysv), "" (anonymous). */
  readonly name: string;
  /** System V only. */
  readonly sysvId?: number;
  readonly inode: number;
  /** The object's name was removed (System V: it is marked for removal). A memfd and anonymous memory never had one. */
  readonly deleted: boolean;
}

const linePattern = /^([0-9a-f]+)-([0-9a-f]+) (\S{3}s) ([0-9a-f]+) [0-9a-f]+:[0-9a-f]+ (\d+) *(.*)$/;
const deletedSuffix = " (deleted)";

/** A file may really be called "x (deleted)": then it is there, with this inode. */
function isReallyCalled(path: string, inode: number): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.ino === inode;
}

/** The kernel shows every System V segment as deleted; whether it is marked for removal, only shmctl tells. */
function isMarkedForRemoval(id: number): boolean {
  const out = new Float64Array(8);
  return native.shmctlStat(id, out) >= 0 && (out[1]! & native.constants.SHM_DEST) !== 0;
}

type Identity = Pick<SharedMapping, "kind" | "name" | "deleted" | "sysvId">;

function identify(shown: string, inode: number): Identity {
  const isSuffixed = shown.endsWith(deletedSuffix);
  const path = isSuffixed ? shown.slice(0, -deletedSuffix.length) : shown;
  const sysv = /^\/SYSV([0-9a-f]{8})$/.exec(path);
  if (sysv !== null && isSuffixed) {
    return { kind: "sysv", name: `0x${sysv[1]}`, deleted: isMarkedForRemoval(inode), sysvId: inode };
  }
  if (path.startsWith("/memfd:")) return { kind: "memfd", name: path.slice(7), deleted: false };
  if (path === "" || (isSuffixed && (path === "/dev/zero" || path === "/anon_hugepage"))) {
    return { kind: "anonymous", name: "", deleted: false };
  }
  const deleted = isSuffixed && !isReallyCalled(shown, inode);
  const name = deleted ? path : shown;
  const posix = /^\/dev\/shm(\/[^/]+)$/.exec(name);
  if (posix !== null) return { kind: "posix", name: posix[1]!, deleted };
  const isDevice = !name.startsWith("/") || /^\/dev\/(?!shm\/|hugepages\/|mqueue\/)/.test(name);
  return { kind: isDevice ? "device" : "file", name, deleted };
}

/** A line of /proc/PID/maps, or undefined when the mapping is private. */
export function parseMapsLine(line: string): SharedMapping | undefined {
  const match = linePattern.exec(line);
  if (match === null) return undefined;
  const [, start, end, permissions, offset, inodeText, rest] = match as unknown as string[];
  const address = Number.parseInt(start!, 16);
  const inode = Number(inodeText);
  const shown = rest!.replaceAll("\\012", "\n"); // the only character that the kernel escapes
  return {
    address,
    sizeBytes: Number.parseInt(end!, 16) - address,
    offset: Number.parseInt(offset!, 16),
    permissions: permissions!,
    ...identify(shown, inode),
    inode,
  };
}

function readMaps(pid: number | "self"): string {
  const path = `/proc/${pid}/maps`;
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const errno = (error as NodeJS.ErrnoException).errno ?? 0;
    const code = (error as NodeJS.ErrnoException).code;
    const advice =
      code === "ENOENT" || code === "ESRCH"
        ? `there is no process ${pid}`
        : `the mappings of process ${pid} may be read by its own user, if it is dumpable, and by root`;
    throw systemError("open", errno, { path }, advice);
  }
}

/**
 * The shared mappings of a process, in the order of their addresses.
 *
 * @param pid default: this process
 * @throws ERR_SHOAL_NOT_FOUND (no such process), ERR_SHOAL_PERMISSION, ERR_SHOAL_ARGUMENT
 */
export function sharedMappings(pid?: number): SharedMapping[] {
  if (pid !== undefined) checkInteger("pid", pid, 1, 0x7fffffff);
  // Names are bytes: read so that splitting is safe, then decoded.
  const lines = Buffer.from(readMaps(pid ?? "self"), "latin1")
    .toString("utf8")
    .split("\n");
  return lines.flatMap((line) => parseMapsLine(line) ?? []);
}
