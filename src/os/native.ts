/**
 * Finds and loads the native addon, and says what it exports. Internal: every function of it returns its result, or
 * -errno, and checks nothing; the other modules of this room give them names, checks and errors.
 *
 * Looked for in this order: the path in the environment variable SHOAL_NATIVE (then nothing else), the package's
 * `prebuilds/linux-ARCH/shoal.node`, the package's `build/shoal.node`.
 */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { shoalError } from "../errors.ts";

type OpenFlag =
  "RDONLY" | "WRONLY" | "RDWR" | "CREAT" | "EXCL" | "TRUNC" | "CLOEXEC" | "NOFOLLOW" | "NONBLOCK";
type RareOpenFlag = "DIRECTORY" | "PATH" | "TMPFILE" | "SYNC" | "DSYNC";
type Protection = "NONE" | "READ" | "WRITE" | "EXEC";
type MapFlag =
  "SHARED" | "PRIVATE" | "SHARED_VALIDATE" | "FIXED" | "FIXED_NOREPLACE" | "ANONYMOUS" | "NORESERVE";
type RareMapFlag = "POPULATE" | "LOCKED" | "HUGETLB" | "SYNC" | "NONBLOCK" | "STACK";
type Advice =
  "NORMAL" | "RANDOM" | "SEQUENTIAL" | "WILLNEED" | "DONTNEED" | "FREE" | "REMOVE" | "COLD" | "PAGEOUT";
type ForkAdvice = "DONTFORK" | "DOFORK" | "MERGEABLE" | "UNMERGEABLE" | "DONTDUMP" | "DODUMP";
type PageAdvice = "HUGEPAGE" | "NOHUGEPAGE" | "POPULATE_READ" | "POPULATE_WRITE" | "COLLAPSE";
type SyncFlag = "ASYNC" | "SYNC" | "INVALIDATE";
type MemfdFlag = "CLOEXEC" | "ALLOW_SEALING" | "HUGETLB" | "NOEXEC_SEAL" | "EXEC";
type FallocateFlag =
  "KEEP_SIZE" | "PUNCH_HOLE" | "COLLAPSE_RANGE" | "ZERO_RANGE" | "INSERT_RANGE" | "UNSHARE_RANGE";
type IpcFlag = "CREAT" | "EXCL" | "NOWAIT" | "PRIVATE" | "RMID" | "SET" | "STAT";
type ShmFlag =
  "RDONLY" | "RND" | "REMAP" | "EXEC" | "HUGETLB" | "NORESERVE" | "DEST" | "LOCKED" | "LOCK" | "UNLOCK";

/** The names of this machine's flags, and of its page size in bytes. */
export type ConstantName =
  | `O_${OpenFlag | RareOpenFlag}`
  | `PROT_${Protection}`
  | `MAP_${MapFlag | RareMapFlag}`
  | `MADV_${Advice | ForkAdvice | PageAdvice}`
  | `MS_${SyncFlag}`
  | `MFD_${MemfdFlag}`
  | `FALLOC_FL_${FallocateFlag}`
  | `IPC_${IpcFlag}`
  | `SHM_${ShmFlag}`
  | "PAGE_SIZE";

/** The addon's exports. Results are non-negative, or -errno. Addresses, lengths and offsets are in bytes. */
export interface Native {
  /** Descriptors are close-on-exec and belong to the calling thread: they close when it ends. */
  open(path: string, flags: number, mode: number): number;
  shmOpen(name: string, flags: number, mode: number): number;
  shmUnlink(name: string): number;
  memfdCreate(name: string, flags: number): number;
  close(fd: number): number;
  ftruncate(fd: number, lengthBytes: number): number;
  fallocate(fd: number, mode: number, offset: number, lengthBytes: number): number;
  /** Fills: size, mode, uid, gid, dev, ino, nlink, bytes occupied. */
  fstat(fd: number, out: Float64Array): number;
  pread(fd: number, into: Uint8Array, offset: number): number;
  pwrite(fd: number, from: Uint8Array, offset: number): number;
  fchmod(fd: number, mode: number): number;
  /** Fills the view, of at most 256 bytes. */
  getrandom(into: Uint8Array): number;

  mmap(
    address: number,
    lengthBytes: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ): number;
  munmap(address: number, lengthBytes: number): number;
  mprotect(address: number, lengthBytes: number, protection: number): number;
  madvise(address: number, lengthBytes: number, advice: number): number;
  msync(address: number, lengthBytes: number, flags: number): number;
  /** The mapping is undone when the calling thread ends; length 0: a System V attachment. A token for mapDisown. */
  mapOwn(address: number, lengthBytes: number): number;
  mapDisown(token: number): number;

  /** The address of the view's first byte; the view may lie on a SharedArrayBuffer. */
  addressOf(view: ArrayBufferView | ArrayBuffer): number;
  /** An ArrayBuffer over memory that it does not own, or -ENOTSUP. */
  externalBuffer(address: number, lengthBytes: number): ArrayBuffer | number;
  detach(buffer: ArrayBuffer): number;

  shmget(key: number, sizeBytes: number, flags: number): number;
  shmat(id: number, address: number, flags: number): number;
  shmdt(address: number): number;
  /** Fills: size, mode, uid, gid, creator's pid, last pid, attaches, key. */
  shmctlStat(id: number, out: Float64Array): number;
  shmctlRemove(id: number): number;
  /** Fills: largest segment, smallest segment, most segments, most pages in all, segments in use. */
  shmLimits(out: Float64Array): number;

  /** 0 woken, -EAGAIN the word had another value, -ETIMEDOUT, -EINTR. timeoutMs -1: no limit. */
  futexWait(address: number, expected: number, timeoutMs: number): number;
  futexWake(address: number, count: number): number;
  /** Waits on a thread of its own; the event loop stays alive until `done` was called. Never -EINTR. */
  futexWaitAsync(
    address: number,
    expected: number,
    timeoutMs: number,
    done: (result: number) => void,
  ): number;

  /**
   * Watches a participant's bell and its segment's slots (src/os/waiter.ts) on the process's one thread for that.
   * Starts inactive, and does not keep the event loop alive. An id for the other four.
   */
  waiterOpen(
    bell: number,
    slots: number,
    used: number,
    slotCount: number,
    ownIndex: number,
    lockFd: number,
    lockOffset: number,
    notify: (reasons: number) => void,
  ): number;
  waiterActive(id: number, isActive: 0 | 1): number;
  waiterTicking(id: number, isTicking: 0 | 1): number;
  waiterRef(id: number, isRef: 0 | 1): number;
  /** After it, neither the memory nor the descriptor is touched. */
  waiterClose(id: number): number;
  /** For tests: the whole process's thread does as on a kernel without futex_waitv. */
  waiterPoll(polls: 0 | 1): number;

  /** Kind 0 unlock, 1 shared, 2 exclusive; -EAGAIN when another open file holds it. Never waits. */
  lockSet(fd: number, offset: number, lengthBytes: number, kind: number): number;
  /** 0 free, 1 another open file holds it shared, 2 exclusively. */
  lockGet(fd: number, offset: number, lengthBytes: number): number;
  gettid(): number;

  /** Pages of the span that are lost become zero pages, and `flags[0] |= 2`. An id for guardRemove. */
  guardAdd(address: number, lengthBytes: number, flags: Int32Array): number;
  /** Lay zero pages over the span, or unmap nothing in it, before: see native/guard.c. */
  guardRemove(id: number): number;

  /** Maps without access (PROT_NONE), shared; the references after it; -EEXIST when something else is there. */
  pinAcquire(address: number, lengthBytes: number, fd: number, dev: number, ino: number): number;
  /** As pinAcquire, for System V; attached readable and writable. */
  pinAcquireSysv(address: number, lengthBytes: number, id: number): number;
  /** The references left in the process; unmapped at 0; -ENOENT when this thread holds none. */
  pinRelease(address: number): number;

  readonly constants: Readonly<Record<ConstantName, number>> & {
    /** From an error's number to its name. */
    readonly errno: Readonly<Record<number, string>>;
  };
}

/** The folder of the package named shoal that this file belongs to, compiled or bundled. */
function findPackageRoot(): string {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; ; folder = dirname(folder)) {
    const manifest = join(folder, "package.json");
    if (existsSync(manifest) && /"name"\s*:\s*"shoal"/.test(readFileSync(manifest, "utf8"))) return folder;
    if (folder === dirname(folder)) return start;
  }
}

/** Where the package lies: the addon and the core are found from here. */
export const packageRoot = findPackageRoot();

function listCandidates(): string[] {
  const explicit = process.env["SHOAL_NATIVE"];
  if (explicit !== undefined && explicit !== "") return [explicit];
  const prebuilt = join(packageRoot, "prebuilds", `linux-${process.arch}`, "shoal.node");
  return [prebuilt, join(packageRoot, "build", "shoal.node")];
}

function load(): Native {
  const require = createRequire(import.meta.url);
  const failures: string[] = [];
  let cause: unknown;
  for (const path of listCandidates()) {
    if (!existsSync(path)) {
      failures.push(`${path}: no such file`);
      continue;
    }
    try {
      const loaded = require(path) as Partial<Native>;
      if (typeof loaded.waiterOpen === "function" && loaded.constants !== undefined) return loaded as Native;
      failures.push(`${path}: not Shoal's addon, or of another version`);
    } catch (error) {
      cause ??= error;
      failures.push(`${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const tried = failures.map((failure) => `\n  ${failure}`).join("");
  const advice = "build it with `npm run build`, or set SHOAL_NATIVE to its path";
  const where = `${process.platform}-${process.arch}`;
  throw shoalError(
    "ERR_SHOAL_NATIVE",
    `no native addon for ${where}; ${advice}. Tried:${tried}`,
    { where },
    cause,
  );
}

/** The addon, loaded when this module is. */
export const native: Native = load();
