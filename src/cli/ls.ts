/** `shoal ls`: the segments there are. */
import { listSegments } from "../inspect/index.ts";
import { EXIT_OK, formatTable, print, printJson } from "./output.ts";
import type { SegmentOptions } from "./segment-options.ts";
import { formatMode, formatSize } from "./sizes.ts";

export function run(directory: string | undefined, options: SegmentOptions): number {
  const found = listSegments({ backend: options.backend, ...(directory !== undefined && { directory }) });
  if (options.json) {
    printJson(found.map((one) => ({ ...one, mode: formatMode(one.mode) })));
  } else if (found.length === 0) {
    print(`no Shoal segments (${options.backend})`);
  } else {
    const rows = found.map((one) => [
      one.name,
      one.state,
      one.allocator ?? "plain",
      formatSize(one.sizeBytes),
      formatSize(one.spanBytes),
      formatMode(one.mode),
      String(one.ownerUid),
      String(one.participants),
    ]);
    print(formatTable(["NAME", "STATE", "HEAP", ">SIZE", ">SPAN", "MODE", ">OWNER", ">PARTICIPANTS"], rows));
  }
  return EXIT_OK;
}
