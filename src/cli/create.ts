/** `shoal create`: makes a segment, with a heap in it or plain, and leaves it there. */
import { InvalidArgumentError } from "commander";
import { Heap } from "../heap/index.ts";
import type { AllocatorName, HeapCreateOptions } from "../heap/index.ts";
import { Region } from "../region/index.ts";
import type { CreateOptions } from "../region/index.ts";
import { EXIT_OK, print, printJson } from "./output.ts";
import type { SegmentOptions } from "./segment-options.ts";
import { formatMode, formatSize } from "./sizes.ts";

export interface CreateCommandOptions extends SegmentOptions {
  readonly size?: number;
  readonly span?: number;
  readonly mode?: number;
  readonly participants?: number;
  readonly fixedAddress?: boolean;
  readonly heap: boolean;
  readonly allocator?: AllocatorName;
  readonly minBlock?: number;
  readonly maxBlock?: number;
}

/** What is said of the heap; nothing may be said of one that is not wanted. */
function heapOptions({ heap, allocator, minBlock, maxBlock }: CreateCommandOptions): HeapCreateOptions {
  const options = {
    ...(allocator !== undefined && { allocator }),
    ...(minBlock !== undefined && { minBlockBytes: minBlock }),
    ...(maxBlock !== undefined && { maxBlockBytes: maxBlock }),
  };
  if (heap || Object.keys(options).length === 0) return options;
  throw new InvalidArgumentError(
    "with --no-heap there is nothing for --allocator, --min-block and --max-block",
  );
}

function createOptions(options: CreateCommandOptions): CreateOptions {
  return {
    backend: options.backend,
    ...(options.size !== undefined && { sizeBytes: options.size }),
    ...(options.span !== undefined && { spanBytes: options.span }),
    ...(options.mode !== undefined && { mode: options.mode }),
    ...(options.participants !== undefined && { maxParticipants: options.participants }),
    fixedAddress: options.fixedAddress ?? false,
  };
}

export function run(name: string, options: CreateCommandOptions): number {
  const heapPart = heapOptions(options);
  using made = options.heap
    ? Heap.create(name, { ...createOptions(options), ...heapPart })
    : Region.create(name, createOptions(options));
  const region = made instanceof Heap ? made.region : made;
  const facts = {
    name: region.name,
    backend: region.backend,
    uuid: region.uuid,
    allocator: made instanceof Heap ? made.allocator : null,
    ...(made instanceof Heap && {
      minBlockBytes: made.plan.minBlockBytes,
      maxBlockBytes: made.plan.maxBlockBytes,
    }),
    sizeBytes: region.sizeBytes,
    segmentSizeBytes: region.segmentSizeBytes,
    spanBytes: region.spanBytes,
    fixedAddress: region.fixedAddress,
    mode: formatMode(options.mode ?? 0o600),
  };
  if (options.json) printJson(facts);
  else {
    const kind = facts.allocator === null ? "plain segment" : `${facts.allocator} heap`;
    const address = facts.fixedAddress === 0 ? "" : ` at 0x${facts.fixedAddress.toString(16)}`;
    print(
      `created ${kind} ${facts.name}${address}: ${formatSize(facts.sizeBytes)}, up to ${formatSize(facts.spanBytes)}`,
    );
  }
  return EXIT_OK;
}
