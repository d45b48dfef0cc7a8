/** `shoal tail`: prints what is published on a topic, and takes nothing from anybody. */
import { openTopic } from "../data/index.ts";
import { shoalError } from "../errors.ts";
import { objectKind } from "../inspect/index.ts";
import { hasCode, openHeap, optionsOf, waitOptions } from "./channel-options.ts";
import type { ChannelCommandOptions } from "./channel-options.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { jsonOf, lineOf, stopSignal } from "./messages.ts";
import {
  describeError,
  EXIT_FAILED,
  EXIT_INTERRUPTED,
  EXIT_OK,
  note,
  printError,
  printJson,
  writeOut,
} from "./output.ts";

export interface TailOptions extends ChannelCommandOptions {
  readonly history?: boolean;
  readonly count?: number;
}

/** Messages of these are gone for the others once somebody has them. */
const SHARED_KINDS: readonly (string | undefined)[] = ["queue", "ring"];

function refuse(heapName: string, name: string, kind: string | undefined): Error {
  if (kind === undefined)
    return shoalError("ERR_SHOAL_NOT_FOUND", `there is no topic "${name}" in ${heapName}`, { name });
  const hint = SHARED_KINDS.includes(kind)
    ? "each message goes to one receiver, and printing it would take it away; `shoal receive` does that"
    : "only topics have messages for everybody";
  return shoalError("ERR_SHOAL_KIND", `"${name}" is a ${kind}: ${hint}`, { name, kind });
}

export async function run(name: string, topicName: string, options: TailOptions): Promise<number> {
  using interrupt = listenForInterrupt();
  const signal = stopSignal(interrupt.signal);
  using heap = openHeap(name, options);
  const kind = objectKind(heap, topicName);
  if (kind !== "topic") throw refuse(name, topicName, kind);
  // Publishers never wait for somebody who only looks.
  using subscription = openTopic(heap, topicName, optionsOf(options)).subscribe({
    policy: "drop-oldest",
    from: options.history === true ? "history" : "now",
  });
  const most = options.count ?? Infinity;
  const kept: unknown[] = [];
  let count = 0;
  let ended = false;
  let failure: unknown;
  try {
    while (count < most && !signal.aborted) {
      const value = await subscription.receive(waitOptions(signal, options));
      if (options.json) kept.push(jsonOf(value));
      else if (!(await writeOut(lineOf(value)))) break;
      count++;
    }
  } catch (error) {
    if (hasCode(error, "ERR_SHOAL_ENDED")) ended = true;
    else if (!hasCode(error, "ERR_SHOAL_ABORTED")) failure = error;
  }
  const { dropped } = subscription;
  const interrupted = interrupt.signal.aborted;
  const error = failure === undefined ? {} : { error: describeError(failure) };
  if (options.json)
    printJson({ name, topic: topicName, messages: kept, count, dropped, ended, interrupted, ...error });
  else if (failure !== undefined) printError(failure, false);
  if (!options.json && dropped > 0) note(`${dropped} messages were overwritten before they could be printed`);
  if (failure !== undefined) return EXIT_FAILED;
  return interrupted ? EXIT_INTERRUPTED : EXIT_OK;
}
