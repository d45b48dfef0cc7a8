/**
 * One segment, or all of them, in facts: header, participants, heap statistics, page map, verification. Stands on the
 * public calls of region and heap, opened read-only: no slot is taken, nothing is written, and a segment that nobody may
 * write to can still be looked at.
 */
import { allocatorName, Heap } from "../heap/index.ts";
import type { AllocatorName, HeapStats, Problem } from "../heap/index.ts";
import { ALLOCATOR_NONE, H_CREATOR_PID, PAGE_SIZE_BYTES } from "../layout/header.ts";
import { Region } from "../region/index.ts";
import type { BackendName, ListOptions, ParticipantInfo, RegionSummary } from "../region/index.ts";
import { listObjects } from "./objects.ts";
import type { ObjectReport, ObjectsReport } from "./objects.ts";
import { drawPages } from "./page-map.ts";
import type { PageMap } from "./page-map.ts";

/** Which heap is in a segment; null: none. */
export type AllocatorLabel = AllocatorName | null;

export interface InspectOptions {
  /** Default "posix". */
  readonly backend?: BackendName;
}

/** A segment in a list. */
export type SegmentEntry = Omit<RegionSummary, "allocator"> & { readonly allocator: AllocatorLabel };

/** All about a segment. Sizes and offsets in bytes. */
export interface SegmentReport extends PageMap {
  readonly name: string;
  readonly backend: BackendName;
  readonly uuid: string;
  readonly state: RegionSummary["state"];
  readonly allocator: AllocatorLabel;
  readonly sizeBytes: number;
  readonly segmentSizeBytes: number;
  readonly spanBytes: number;
  readonly dataOffset: number;
  readonly fixedAddress: number;
  readonly ownerUid: number;
  readonly mode: number;
  readonly creatorPid: number;
  readonly growths: number;
  readonly recoveries: number;
  readonly participants: readonly ParticipantInfo[];
  readonly heap: HeapStats | null;
  /** Named queues, rings and topics. */
  readonly channels: readonly ObjectReport[];
}

/** What verification found. */
export interface SegmentVerdict {
  readonly name: string;
  readonly ok: boolean;
  readonly problems: readonly Problem[];
  readonly pages: number;
  readonly blocks: number;
}

function labelOf(allocator: number): AllocatorLabel {
  return allocator === ALLOCATOR_NONE ? null : allocatorName(allocator);
}

function allocatorOf(region: Region): AllocatorLabel {
  return labelOf(region.session.geometry.allocator);
}

/** How what is only looked at is opened. */
export function openOptions(options: InspectOptions): {
  readOnly: true;
  allowOwners: "any";
  backend: BackendName;
} {
  return { readOnly: true, allowOwners: "any", backend: options.backend ?? "posix" };
}

/** The segments that this user may read. */
export function listSegments(options: ListOptions = {}): SegmentEntry[] {
  return Region.list(options).map((entry) => ({ ...entry, allocator: labelOf(entry.allocator) }));
}

/** What the header alone knows. */
function creatorPidOf(region: Region): number {
  return new DataView(region.buffer).getUint32(H_CREATOR_PID, true);
}

/** What only the heap in a segment knows. */
function lookAtHeap(
  region: Region,
  name: string,
  options: InspectOptions,
): PageMap & Pick<SegmentReport, "heap" | "channels"> {
  const allocator = allocatorOf(region);
  if (allocator === null) return { heap: null, channels: [], ...drawPages(region, false) };
  using heap = Heap.open(name, openOptions(options));
  const blocks = allocator === "slab" ? undefined : heap.blocks();
  const channels = listObjects(heap).objects.filter(({ channel }) => channel !== undefined);
  return { heap: heap.stats(), channels, ...drawPages(region, true, blocks) };
}

/**
 * All about one segment.
 *
 * @throws what Region.open throws
 */
export function inspectSegment(name: string, options: InspectOptions = {}): SegmentReport {
  using region = Region.open(name, openOptions(options));
  const allocator = allocatorOf(region);
  const { ownerUid, mode } = region.session.backing.status();
  return {
    name: region.name,
    backend: region.backend,
    uuid: region.uuid,
    state: region.retired ? "retired" : "ready",
    allocator,
    sizeBytes: region.sizeBytes,
    segmentSizeBytes: region.segmentSizeBytes,
    spanBytes: region.spanBytes,
    dataOffset: region.dataOffset,
    fixedAddress: region.fixedAddress,
    ownerUid,
    mode,
    creatorPid: creatorPidOf(region),
    growths: region.growths,
    recoveries: region.recoveries,
    participants: region.participants(),
    ...lookAtHeap(region, name, options),
  };
}

/**
 * Verifies one segment: that it opens at all (header, format, sizes) and, when there is a heap in it, every invariant
 * of that.
 *
 * @throws what Region.open throws: then there is nothing to verify
 */
export function verifySegment(name: string, options: InspectOptions = {}): SegmentVerdict {
  using region = Region.open(name, openOptions(options));
  if (allocatorOf(region) === null) {
    const pages = region.segmentSizeBytes / PAGE_SIZE_BYTES;
    return { name: region.name, ok: true, problems: [], pages, blocks: 0 };
  }
  using heap = Heap.open(name, openOptions(options));
  return { name: region.name, ...heap.verify() };
}

/**
 * The named objects of a heap.
 *
 * @throws what Heap.open throws
 */
export function inspectObjects(name: string, options: InspectOptions = {}): ObjectsReport {
  using heap = Heap.open(name, openOptions(options));
  return listObjects(heap);
}
