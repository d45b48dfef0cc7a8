/**
 * Listing: which Shoal segments there are, from their headers alone. Maps nothing and takes no slot.
 */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ShoalError } from "../errors.ts";
import { H_CREATOR_PID, HEADER_SIZE_BYTES, PAGE_SIZE_BYTES } from "../layout/header.ts";
import { SLOT_SIZE_BYTES } from "../layout/slot.ts";
import { probeLock } from "../os/index.ts";
import { backendOf } from "./backends.ts";
import type { Backing } from "./backing.ts";
import { formatUuid, parseHeader, progressOf } from "./header.ts";
import { checkBackend } from "./options.ts";
import type { BackendName } from "./options.ts";

/** Which segments to list. */
export interface ListOptions {
  /** Default "posix". "anonymous" segments have no names to list. */
  readonly backend?: BackendName;
  /** "file": the directory to look in. Default: the current one. */
  readonly directory?: string;
}

/** A segment as its header shows it. */
export interface RegionSummary {
  readonly name: string;
  readonly backend: BackendName;
  readonly state: "initialising" | "ready" | "retired";
  /** Bytes of the whole segment. */
  readonly sizeBytes: number;
  readonly spanBytes: number;
  /** ALLOCATOR_ number; 0 = a plain region. */
  readonly allocator: number;
  readonly uuid: string;
  readonly ownerUid: number;
  readonly mode: number;
  /** How many participants are alive. */
  readonly participants: number;
  readonly creatorPid: number;
}

function posixNames(): string[] {
  return readdirSync("/dev/shm", { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => `/${entry.name}`);
}

function fileNames(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(directory, entry.name));
}

/** Keys and ids of the System V segments in this IPC namespace. */
function sysvNames(): string[] {
  const rows = readFileSync("/proc/sysvipc/shm", "latin1").trim().split("\n").slice(1);
  return rows.map((row) => {
    const [key = "0", id = "0"] = row.trim().split(/\s+/);
    return key === "0" ? `id:${id}` : `0x${(Number(key) >>> 0).toString(16)}`;
  });
}

function namesOf(options: ListOptions): string[] {
  const backend = checkBackend(options.backend ?? "posix");
  if (backend === "posix") return posixNames();
  if (backend === "file") return fileNames(options.directory ?? ".");
  return backend === "sysv" ? sysvNames() : [];
}

/** The Shoal segments of a backend, by name. Objects that are not Shoal's, or not this user's to read, are left out. */
export function listRegions(options: ListOptions = {}): RegionSummary[] {
  const backend = backendOf(options.backend);
  const found: RegionSummary[] = [];
  for (const name of namesOf(options).sort()) {
    try {
      const backing = backend.open(name, true);
      try {
        const summary = summarise(backing);
        if (summary !== undefined) found.push(summary);
      } finally {
        backing.close();
      }
    } catch (error) {
      // Gone meanwhile, not ours to read, another version's, damaged: not a segment that could be opened.
      if (!(error instanceof ShoalError)) throw error;
    }
  }
  return found;
}

function summarise(backing: Backing): RegionSummary | undefined {
  const bytes = new Uint8Array(HEADER_SIZE_BYTES);
  const progress = progressOf(bytes, backing.read(bytes), backing.backend === "sysv");
  if (progress === "foreign" || progress === "empty") return undefined;
  // Still zeros, perhaps a stranger's: nothing says that it is Shoal's.
  if (progress === "initialising" && bytes.every((byte) => byte === 0)) return undefined;
  const status = backing.status();
  const common = {
    name: backing.name,
    backend: backing.backend,
    ownerUid: status.ownerUid,
    mode: status.mode,
  };
  if (progress === "initialising") {
    const creatorPid = new DataView(bytes.buffer).getUint32(H_CREATOR_PID, true);
    const unknown = { spanBytes: 0, allocator: 0, uuid: "", participants: 0 };
    return { ...common, ...unknown, state: progress, sizeBytes: status.sizeBytes, creatorPid };
  }
  const header = parseHeader(bytes, backing.name);
  let participants = 0;
  for (let index = 0; index < Math.min(header.slotCount, 65536); index++) {
    const offset = header.slotsOffset + index * SLOT_SIZE_BYTES;
    if (probeLock(backing.lockFd, { offset }) !== undefined) participants++;
  }
  return {
    ...common,
    state: progress,
    sizeBytes: header.sizePages * PAGE_SIZE_BYTES,
    spanBytes: header.spanPages * PAGE_SIZE_BYTES,
    allocator: header.allocator,
    uuid: formatUuid(header.uuid),
    participants,
    creatorPid: header.creatorPid,
  };
}
