/** What a channel can be told, checked; and what an existing one says of itself. */

import { shoalError } from "../../errors.ts";
import type { Heap } from "../../heap/index.ts";
import {
  C_CELL_BYTES,
  CELL_DATA,
  CHANNEL_CODEC_MASK,
  CHANNEL_CODEC_SHIFT,
  CHANNEL_LEAST_SHIFT,
  CHANNEL_MOST_CELL_BYTES,
  CHANNEL_MOST_SHIFT,
  CHANNEL_OVERFLOW_MASK,
  CHANNEL_OVERFLOW_SHIFT,
  CHANNEL_REDELIVER,
} from "../../layout/channel.ts";
import { Y_FLAGS, Y_LIMIT } from "../../layout/sync.ts";
import { CODEC_NUMBERS, codecOf } from "./codec.ts";
import type { AnyCodec, Codec, CodecName } from "./codec.ts";
import { cellBytesFor, placesOf } from "./places.ts";

/**
 * What a sender does that finds no room: waits; fails with ERR_SHOAL_FULL; drops its message; or drops the oldest one. What is
 * dropped is counted.
 */
export type Overflow = "wait" | "fail" | "drop-newest" | "drop-oldest";

/** How a channel is made. Of one that there is already, only what is named is compared: ERR_SHOAL_KIND if it differs. */
export interface ChannelOptions<T = unknown> {
  /** How many messages it has room for, rounded up to a power of two; 2 to 262,144. Default 1024. */
  readonly capacity?: number;
  /** Room for a message in the channel itself; larger ones get a block of their own. 1 to 1,048,560 bytes. Default 256. */
  readonly messageBytes?: number;
  /** A message that somebody had borrowed who died: is it given back, and delivered to another? Default false: it is dropped. */
  readonly redeliver?: boolean;
  /** Default "wait". */
  readonly overflow?: Overflow;
  /** Default "json". */
  readonly codec?: CodecName | Codec<T>;
}

export const DEFAULT_CAPACITY = 1024;
const DEFAULT_MESSAGE_BYTES = 256;

const OVERFLOWS: readonly Overflow[] = ["wait", "fail", "drop-newest", "drop-oldest"];

/** What a new channel would be. */
export interface ChannelPlan {
  readonly capacity: number;
  readonly cellBytes: number;
  readonly flags: number;
  readonly sizeBytes: number;
}

/** What a channel is. */
export interface ChannelTraits {
  readonly capacity: number;
  readonly cellBytes: number;
  /** Room for a message in a cell. */
  readonly inlineBytes: number;
  readonly redeliver: boolean;
  readonly overflow: Overflow;
  readonly codec: AnyCodec;
}

export function checkNumber(option: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  const message = `${option} must be a whole number from ${least} to ${most}, not ${String(value)}`;
  throw shoalError("ERR_SHOAL_ARGUMENT", message, { [option]: String(value) });
}

export function capacityFor(wished: number): number {
  checkNumber("capacity", wished, 1, 2 ** CHANNEL_MOST_SHIFT);
  return 2 ** Math.max(CHANNEL_LEAST_SHIFT, Math.ceil(Math.log2(wished)));
}

function cellFor(messageBytes: number): number {
  checkNumber("messageBytes", messageBytes, 1, CHANNEL_MOST_CELL_BYTES - CELL_DATA);
  return cellBytesFor(messageBytes);
}

function overflowNumber(overflow: Overflow, noun: string): number {
  const number = OVERFLOWS.indexOf(overflow);
  if (number >= 0 && !(noun === "ring" && overflow === "drop-oldest")) return number;
  const allowed = OVERFLOWS.filter((one) => noun !== "ring" || one !== "drop-oldest").join(", ");
  const message = `overflow of a ${noun} must be one of ${allowed}, not ${String(overflow)}`;
  throw shoalError("ERR_SHOAL_ARGUMENT", message, { overflow: String(overflow) });
}

function codecNumber(codec: CodecName | Codec<never>): number {
  return typeof codec === "string" ? CODEC_NUMBERS[codec] : CODEC_NUMBERS.own;
}

/** @throws ERR_SHOAL_ARGUMENT */
export function planChannel(
  heap: Heap,
  noun: string,
  options: ChannelOptions<never>,
  subscribers = 0,
): ChannelPlan {
  const {
    capacity: wished = DEFAULT_CAPACITY,
    messageBytes = DEFAULT_MESSAGE_BYTES,
    redeliver = false,
    overflow = "wait",
    codec = "json",
  } = options;
  const capacity = capacityFor(wished);
  const cellBytes = cellFor(messageBytes);
  codecOf(codec as Codec);
  const flags =
    (redeliver ? CHANNEL_REDELIVER : 0) |
    (overflowNumber(overflow, noun) << CHANNEL_OVERFLOW_SHIFT) |
    (codecNumber(codec) << CHANNEL_CODEC_SHIFT);
  const { slotCount } = heap.region.session.geometry;
  const { sizeBytes } = placesOf(slotCount, capacity, cellBytes, subscribers);
  return { capacity, cellBytes, flags, sizeBytes };
}

/**
 * What the channel at `object` is, seen by somebody who asked for these options.
 *
 * @throws ERR_SHOAL_KIND when it is something else than was asked for
 */
export function traitsOf(
  heap: Heap,
  object: number,
  label: string,
  plan: ChannelPlan,
  options: ChannelOptions<never>,
): ChannelTraits {
  const words = new Uint32Array(heap.region.buffer, object, (C_CELL_BYTES >> 2) + 1);
  const capacity = words[Y_LIMIT >> 2]!;
  const cellBytes = words[C_CELL_BYTES >> 2]!;
  const flags = words[Y_FLAGS >> 2]!;
  const overflowAt = (flags >>> CHANNEL_OVERFLOW_SHIFT) & CHANNEL_OVERFLOW_MASK;
  const codecAt = (flags >>> CHANNEL_CODEC_SHIFT) & CHANNEL_CODEC_MASK;
  const present = {
    capacity,
    messageBytes: cellBytes - CELL_DATA,
    redeliver: (flags & CHANNEL_REDELIVER) !== 0,
    overflow: OVERFLOWS[overflowAt] ?? "wait",
    codec: Object.entries(CODEC_NUMBERS).find(([, number]) => number === codecAt)?.[0] ?? "own",
  };
  const wanted = {
    capacity: options.capacity === undefined ? undefined : plan.capacity,
    messageBytes: options.messageBytes === undefined ? undefined : plan.cellBytes - CELL_DATA,
    redeliver: options.redeliver,
    overflow: options.overflow,
    codec:
      options.codec === undefined || typeof options.codec === "string" ? options.codec : ("own" as const),
  };
  for (const option of ["capacity", "messageBytes", "redeliver", "overflow", "codec"] as const) {
    if (wanted[option] === undefined || wanted[option] === present[option]) continue;
    throw differs(label, option, String(present[option]), String(wanted[option]));
  }
  if (options.codec === undefined && present.codec === "own")
    throw differs(label, "codec", "one of its maker's own", "json");
  const codec = codecOf((options.codec ?? present.codec) as CodecName | Codec);
  const { redeliver, overflow, messageBytes: inlineBytes } = present;
  return { capacity, cellBytes, inlineBytes, redeliver, overflow, codec };
}

export function differs(label: string, option: string, present: string, wanted: string): Error {
  return shoalError(
    "ERR_SHOAL_KIND",
    `${label} was made with other options (${option} ${present}, not ${wanted}); name the same, leave the option out, or choose another name`,
    { label, option, present, wanted },
  );
}
