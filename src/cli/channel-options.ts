/** What `send`, `receive` and `tail` have in common: the channel that a name leads to, and text to and from its messages. */
import { openQueue, openRing } from "../data/index.ts";
import type { Channel, ChannelOptions } from "../data/index.ts";
import { shoalError } from "../errors.ts";
import { Heap } from "../heap/index.ts";
import { objectKind } from "../inspect/index.ts";
import type { SegmentOptions } from "./segment-options.ts";

export interface ChannelCommandOptions extends SegmentOptions {
  readonly codec?: "json" | "raw";
  readonly timeout?: number;
}

export interface CreateChannelOptions {
  readonly create?: boolean;
  readonly capacity?: number;
  readonly bytes?: number;
}

/** What the user asks the library for, and no more. */
export function optionsOf(options: ChannelCommandOptions & CreateChannelOptions): ChannelOptions {
  return {
    ...(options.codec !== undefined && { codec: options.codec }),
    ...(options.create && options.capacity !== undefined && { capacity: options.capacity }),
    ...(options.create && options.bytes !== undefined && { messageBytes: options.bytes }),
  };
}

/**
 * The queue or ring `name`; a queue is made if it is to be.
 *
 * @throws ERR_SHOAL_NOT_FOUND, ERR_SHOAL_KIND, and as openQueue
 */
export function openChannel(
  heap: Heap,
  name: string,
  options: ChannelCommandOptions & CreateChannelOptions,
): Channel {
  const kind = objectKind(heap, name);
  if (kind === undefined && options.create !== true) {
    const message = `there is no channel "${name}" in ${heap.region.name}; \`shoal send --create\` makes a queue`;
    throw shoalError("ERR_SHOAL_NOT_FOUND", message, { name });
  }
  if (kind === "ring") return openRing(heap, name, optionsOf(options));
  return openQueue(heap, name, optionsOf(options));
}

export function openHeap(name: string, { backend }: SegmentOptions): Heap {
  return Heap.open(name, { backend });
}

/** How long to wait, for the library. */
export function waitOptions(signal: AbortSignal, { timeout }: ChannelCommandOptions) {
  return { signal, ...(timeout !== undefined && { timeoutMs: timeout }) };
}

export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
