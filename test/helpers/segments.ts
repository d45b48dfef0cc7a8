/**
 * Segments for tests: names that nobody else has, on any backend, and that are always removed again.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { shmget, shmRemove } from "../../src/os/index.ts";
import { Region, ShoalError } from "../../src/region/index.ts";
import type { BackendName, CreateOptions, OpenOptions } from "../../src/region/index.ts";

let count = 0;

/** A folder that is removed after the test. On a real disk where there is one. */
export function freshFolder(t: TestContext, parent = tmpdir()): string {
  const folder = mkdtempSync(join(parent, `shoal-test-${process.pid}-`));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A POSIX name. */
export function freshPosixName(t: TestContext): string {
  const name = `/shoal-test-${process.pid}-${++count}`;
  t.after(() => rmSync(`/dev/shm${name}`, { force: true }));
  return name;
}

/** A System V key. */
export function freshKey(t: TestContext): string {
  const key = 0x40000000 + (process.pid % 0x400000) * 256 + (++count % 256);
  t.after(() => {
    rmSync(`/dev/shm/shoal-sysv-key-${key.toString(16)}.lock`, { force: true });
    try {
      shmRemove(shmget(key));
    } catch (error) {
      // Gone already, as it should be.
      if (!(error instanceof ShoalError) || error.code !== "ERR_SHOAL_NOT_FOUND") throw error;
    }
  });
  return `0x${key.toString(16)}`;
}

/** What to call a new segment; nothing for "anonymous". */
export function freshName(t: TestContext, backend: BackendName): string | undefined {
  if (backend === "posix") return freshPosixName(t);
  if (backend === "file") return join(freshFolder(t), "segment");
  return backend === "sysv" ? freshKey(t) : undefined;
}

/** A segment's name on a backend that has names. */
export function freshNameOf(t: TestContext, backend: BackendName): string {
  const name = freshName(t, backend);
  if (name === undefined) throw new Error(`${backend} segments have no names`);
  return name;
}

/** A new region, closed after the test and its name removed. */
export function createRegion(t: TestContext, backend: BackendName, options: CreateOptions = {}): Region {
  const region = Region.create(freshName(t, backend), { backend, ...options });
  t.after(() => region.close());
  return region;
}

/** Another participant of the same segment, in this thread; closed after the test. */
export function openAgain(t: TestContext, region: Region, options: OpenOptions = {}): Region {
  const again = Region.open(region.name, { backend: region.backend, ...options });
  t.after(() => again.close());
  return again;
}

/** The path of the segment's file; System V segments have none. */
export function pathOf(region: { readonly name: string; readonly backend: BackendName }): string {
  return region.backend === "posix" ? `/dev/shm${region.name}` : region.name;
}

/** Names in /dev/shm that contain `part`. */
export function shmNames(part: string): string[] {
  return readdirSync("/dev/shm").filter((name) => name.includes(part));
}

/** Whether there is a System V segment under this key, "0x…". (Others' come and go: tests run beside each other.) */
export function hasSysvKey(name: string): boolean {
  const rows = readFileSync("/proc/sysvipc/shm", "latin1").trim().split("\n").slice(1);
  return rows.some((row) => Number(row.trim().split(/\s+/)[0]) >>> 0 === Number(name));
}
