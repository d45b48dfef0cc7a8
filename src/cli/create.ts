/** `shoal create`: makes a segment, with a heap in it or plain, and leaves it there. */
import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import { ALLOCATOR_NAMES, Heap } from "../heap/index.ts";
import type { AllocatorName, HeapCreateOptions } from "../heap/index.ts";
import {
  DEFAULT_MODE,
  DEFAULT_PARTICIPANT_COUNT,
  DEFAULT_REGION_SIZE_BYTES,
  MOST_PARTICIPANT_COUNT,
  Region,
} from "../region/index.ts";
import type { CreateOptions } from "../region/index.ts";
import { EXIT_OK, print, printJson } from "./output.ts";
import type { SegmentOptions } from "./segment-options.ts";
import { formatMode, formatSize, parseCount, parseMode, parseSize } from "./sizes.ts";

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

/** Its options, with the defaults and limits that the library has. */
export function addOptions(command: Command): void {
  const plan = Heap.plan();
  const buddy = Heap.plan({ allocator: "buddy" });
  const others = ALLOCATOR_NAMES.filter((name) => name !== plan.allocator);
  const spans = others.map((allocator) => `${allocator} ${formatSize(Heap.plan({ allocator }).spanBytes)}`);
  const [heapSize, plainSize] = [formatSize(plan.dataBytes), formatSize(DEFAULT_REGION_SIZE_BYTES)];
  const span = `default ${formatSize(plan.spanBytes)}; ${spans.join(", ")}`;
  const participants = `1 to ${MOST_PARTICIPANT_COUNT}, default ${DEFAULT_PARTICIPANT_COUNT}`;
  const allocator = new Option(
    "-a, --allocator <name>",
    `how the heap finds blocks (default ${plan.allocator})`,
  );
  command
    .option(
      "-s, --size <size>",
      `room for data to begin with (default ${heapSize}; without a heap ${plainSize})`,
      parseSize,
    )
    .option("--span <size>", `what the whole segment may grow to (${span})`, parseSize)
    .option("-m, --mode <octal>", `permissions (default ${formatMode(DEFAULT_MODE)})`, parseMode)
    .option(
      "--participants <n>",
      `how many may have it open at once (${participants})`,
      parseCount(1, MOST_PARTICIPANT_COUNT),
    )
    .option("--fixed-address", "map it at one address in all processes, so that pointers can be shared")
    .option("--no-heap", "a plain segment, without a heap in it")
    .addOption(allocator.choices(ALLOCATOR_NAMES))
    .option(
      "--min-block <size>",
      `buddy: the smallest block (default ${formatSize(buddy.minBlockBytes)})`,
      parseSize,
    )
    .option(
      "--max-block <size>",
      `buddy: the largest block (default ${formatSize(buddy.maxBlockBytes)})`,
      parseSize,
    );
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
    mode: formatMode(options.mode ?? DEFAULT_MODE),
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
