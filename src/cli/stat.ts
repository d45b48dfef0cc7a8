/** `shoal stat`: one segment in full. */
import type { HeapStats } from "../heap/index.ts";
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
  const rows = report.participants.map((one) => {
    const part = report.heap?.participants.find(({ slot }) => slot === one.index);
    return [
      String(one.index),
      String(one.pid),
      one.threadId === 0 ? "main" : `worker ${one.threadId}`,
      one.alive ? "alive" : "dead",
      one.openedAt.toISOString(),
      ...(report.heap === null ? [] : [part === undefined ? "" : describeOwned(part)]),
    ];
  });
  const headings = [">SLOT", ">PID", "THREAD", "STATE", "SINCE"];
  return formatTable(report.heap === null ? headings : [...headings, "OWNS"], rows);
}

function describeOwned({ pages, ownedBlocks, ownedBytes }: HeapStats["participants"][number]): string {
  const blocks = ownedBlocks === 0 ? [] : [`${ownedBlocks} blocks (${formatSize(ownedBytes)})`];
  return [...blocks, ...(pages === 0 ? [] : [`${pages} pages`])].join(", ");
}

/** What the heap's parts are called that blocks are taken from. */
function describePages({ allocator, pages, runs, orphanPages }: HeapStats): string {
  if (allocator !== "slab") return `${pages.slab} pages with blocks, ${pages.free} without`;
  const orphans = orphanPages === 0 ? "" : `, ${orphanPages} whose owner has gone`;
  const hollow = pages.hollow === 0 ? "" : ` (${pages.hollow} without storage)`;
  return `${pages.slab} slab pages${orphans}, ${pages.run} in ${runs} runs, ${pages.free} free${hollow}`;
}

function describeHeap({ heap }: SegmentReport): string[] {
  if (heap === null) return [];
  const rows = heap.classes.map((one) => [
    String(one.sizeBytes),
    String(one.pages),
    String(one.used),
    String(one.free),
  ]);
  const where = heap.allocator === "slab" ? "free ones in their pages" : "free pieces";
  const summary = [
    `${heap.blocks.used} blocks in use (${formatSize(heap.usedBytes)}), ${heap.blocks.free} ${where}`,
    describePages(heap),
    `${formatSize(heap.freeBytes)} free, the largest piece ${formatSize(heap.largestFreeBytes)}, fragmentation ${heap.fragmentation.toFixed(2)}`,
    `blocks have reached ${formatSize(heap.highWaterBytes)} of ${formatSize(heap.dataBytes)}`,
  ].join("\n");
  return rows.length === 0 ? [summary] : [summary, formatTable([">BLOCK", ">PAGES", ">USED", ">FREE"], rows)];
}

function channels(report: SegmentReport): string[] {
  if (report.channels.length === 0) return [];
  const rows = report.channels.flatMap(({ name, kind, channel }) =>
    channel === undefined
      ? []
      : [
          [
            name,
            kind,
            ...[
              channel.depth,
              channel.capacity,
              channel.sent,
              channel.received,
              channel.dropped,
              channel.sendWaits,
              channel.receiveWaits,
            ].map(String),
          ],
        ],
  );
  const headings = [
    "CHANNEL",
    "KIND",
    ">DEPTH",
    ">CAPACITY",
    ">SENT",
    ">RECEIVED",
    ">DROPPED",
    ">SENDERS WAITED",
    ">RECEIVERS WAITED",
  ];
  return [formatTable(headings, rows)];
}

function map(report: SegmentReport): string {
  const rows = report.map.match(new RegExp(`.{1,${MAP_WIDTH}}`, "g")) ?? [];
  const scale = report.mapPagesPerCharacter === 1 ? "a page" : `${report.mapPagesPerCharacter} pages`;
  const legend = `a character is ${scale} of 64 KiB; H Shoal's own, d data, . free, 1..9 # by fill, R run, r its rest`;
  return [...rows, colours.dim(legend)].join("\n");
}

export function run(name: string, options: SegmentOptions): number {
  const report = inspectSegment(name, { backend: options.backend });
  if (options.json) printJson({ ...report, mode: formatMode(report.mode) });
  else
    print(
      [facts(report), participants(report), ...describeHeap(report), ...channels(report), map(report)].join(
        "\n\n",
      ),
    );
  return EXIT_OK;
}
