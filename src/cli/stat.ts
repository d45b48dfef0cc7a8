/** `shoal stat`: one segment in full. */
import { inspectSegment } from "../inspect/index.ts";
import type { SegmentReport } from "../inspect/index.ts";
import { colours, EXIT_OK, formatTable, print, printJson } from "./output.ts";
import type { SegmentOptions } from "./segment-options.ts";
import { formatMode, formatSize } from "./sizes.ts";

const MAP_WIDTH = 64;

function facts(report: SegmentReport): string {
  const address = report.fixedAddress === 0 ? "none" : `0x${report.fixedAddress.toString(16)}`;
  const rows: [string, string][] = [
    ["name", `${report.name} (${report.backend})`],
    ["uuid", report.uuid],
    ["state", report.state],
    ["heap", report.allocator ?? "none"],
    ["size", `${formatSize(report.segmentSizeBytes)} of ${formatSize(report.spanBytes)}`],
    ["data", `${formatSize(report.sizeBytes)} from offset ${report.dataOffset}`],
    ["fixed address", address],
    ["owner, mode", `uid ${report.ownerUid}, ${formatMode(report.mode)}`],
    ["created by", `pid ${report.creatorPid}`],
    ["growths", String(report.growths)],
    ["recoveries", String(report.recoveries)],
  ];
  return rows.map(([name, value]) => `${colours.dim(name.padEnd(14))} ${value}`).join("\n");
}

function participants(report: SegmentReport): string {
  if (report.participants.length === 0) return "nobody has it open";
  const rows = report.participants.map((one) => [
    String(one.index),
    String(one.pid),
    one.threadId === 0 ? "main" : `worker ${one.threadId}`,
    one.alive ? "alive" : "dead",
    one.openedAt.toISOString(),
  ]);
  return formatTable([">SLOT", ">PID", "THREAD", "STATE", "SINCE"], rows);
}

function describeHeap({ heap }: SegmentReport): string[] {
  if (heap === null) return [];
  const rows = heap.classes.map((one) => [
    String(one.sizeBytes),
    String(one.pages),
    String(one.used),
    String(one.free),
  ]);
  const summary = [
    `${heap.blocks.used} blocks in use (${formatSize(heap.usedBytes)}), ${heap.blocks.free} free ones in their pages`,
    `${heap.pages.slab} slab pages, ${heap.pages.run} in ${heap.runs} runs, ${heap.pages.free} free`,
  ].join("\n");
  return rows.length === 0 ? [summary] : [summary, formatTable([">BLOCK", ">PAGES", ">USED", ">FREE"], rows)];
}

function map(report: SegmentReport): string {
  const rows = report.map.match(new RegExp(`.{1,${MAP_WIDTH}}`, "g")) ?? [];
  const scale = report.mapPagesPerCharacter === 1 ? "a page" : `${report.mapPagesPerCharacter} pages`;
  const legend = `a character is ${scale} of 64 KiB; H Shoal's own, d data, . free, 1..9 # slab by fill, R run, r its rest`;
  return [...rows, colours.dim(legend)].join("\n");
}

export function run(name: string, options: SegmentOptions): number {
  const report = inspectSegment(name, { backend: options.backend });
  if (options.json) printJson({ ...report, mode: formatMode(report.mode) });
  else print([facts(report), participants(report), ...describeHeap(report), map(report)].join("\n\n"));
  return EXIT_OK;
}
