/** `shoal/inspect`: looking at segments without taking part in them. Everything opens read-only and changes nothing. */
export type { PageMap } from "./page-map.ts";
export { inspectSegment, listSegments, verifySegment } from "./segment.ts";
export type {
  AllocatorLabel,
  InspectOptions,
  SegmentEntry,
  SegmentReport,
  SegmentVerdict,
} from "./segment.ts";
