/** `shoal/inspect`: looking at segments without taking part in them. Everything opens read-only and changes nothing. */
export { writeDebugFile } from "./debug-file.ts";
export type { BuddyBlock, BuddyLevel, BuddyRow } from "./draw-buddy.ts";
export type { FirstFitRow } from "./draw-first-fit.ts";
export type { SlabOwned, SlabRow } from "./draw-slab.ts";
export { formatDrawing } from "./draw-text.ts";
export { DEFAULT_ROWS, drawHeap, drawSegment } from "./draw.ts";
export type { Bookkeeping, DrawOptions, HeapDrawing } from "./draw.ts";
export type { ChannelCounts } from "./channels.ts";
export type { Cycle } from "./cycles.ts";
export type { ObjectKind, Party, Waiter } from "./look.ts";
export { listObjects, objectKind } from "./objects.ts";
export type { ObjectReport, ObjectsReport } from "./objects.ts";
export type { PageMap } from "./page-map.ts";
export { inspectObjects, inspectSegment, listSegments, verifySegment } from "./segment.ts";
export type {
  AllocatorLabel,
  InspectOptions,
  SegmentEntry,
  SegmentReport,
  SegmentVerdict,
} from "./segment.ts";
