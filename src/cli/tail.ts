/** `shoal tail`: prints what is published on a topic, and takes nothing from anybody. */
import { shoalError } from "../errors.ts";
import { objectKind } from "../inspect/index.ts";
import { openHeap } from "./channel-options.ts";
import type { ChannelCommandOptions } from "./channel-options.ts";

/** Messages of these are gone for the others once somebody has them. */
const SHARED_KINDS: readonly string[] = ["queue", "ring"];

export function run(name: string, topic: string, options: ChannelCommandOptions): number {
  using heap = openHeap(name, options);
  const kind = objectKind(heap, topic);
  if (kind === undefined)
    throw shoalError("ERR_SHOAL_NOT_FOUND", `there is no topic "${topic}" in ${heap.region.name}`, {
      name: topic,
    });
  const hint = SHARED_KINDS.includes(kind)
    ? "each message goes to one receiver, and printing it would take it away; `shoal receive` does that"
    : "only topics have messages for everybody";
  throw shoalError("ERR_SHOAL_KIND", `"${topic}" is a ${kind}: ${hint}`, { name: topic, kind });
}
