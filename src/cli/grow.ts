/** `shoal grow`: makes a segment's data area at least so large, for everybody who has it open. */
import { Region } from "../region/index.ts";
import { EXIT_OK, print, printJson } from "./output.ts";
import type { SegmentOptions } from "./segment-options.ts";
import { formatSize } from "./sizes.ts";

export function run(name: string, sizeBytes: number, options: SegmentOptions): number {
  using region = Region.open(name, { backend: options.backend });
  const beforeBytes = region.sizeBytes;
  region.grow(sizeBytes);
  const facts = {
    name: region.name,
    beforeBytes,
    sizeBytes: region.sizeBytes,
    segmentSizeBytes: region.segmentSizeBytes,
    spanBytes: region.spanBytes,
  };
  const change = facts.sizeBytes === beforeBytes ? "already" : `grew from ${formatSize(beforeBytes)} to`;
  if (options.json) printJson(facts);
  else print(`${facts.name} ${change} ${formatSize(facts.sizeBytes)}`);
  return EXIT_OK;
}
