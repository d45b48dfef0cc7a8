/** `shoal receive`: takes messages out of a queue or ring, and prints them. */
import type { Message } from "../data/index.ts";
import { hasCode, openChannel, openHeap, waitOptions } from "./channel-options.ts";
import type { ChannelCommandOptions } from "./channel-options.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { jsonOf, lineOf, stopSignal } from "./messages.ts";
import {
  describeError,
  EXIT_FAILED,
  EXIT_INTERRUPTED,
  EXIT_OK,
  printError,
  printJson,
  writeOut,
} from "./output.ts";

export interface ReceiveOptions extends ChannelCommandOptions {
  readonly count?: number;
  readonly follow?: boolean;
}

export async function run(name: string, channelName: string, options: ReceiveOptions): Promise<number> {
  using interrupt = listenForInterrupt();
  const signal = stopSignal(interrupt.signal);
  using heap = openHeap(name, options);
  const channel = openChannel(heap, channelName, options);
  const most = options.follow === true ? Infinity : (options.count ?? 1);
  const kept: unknown[] = [];
  let count = 0;
  let ended = false;
  let failure: unknown;

  /** Received once it is written: what nobody has read is given back. */
  const pass = async (message: Message<unknown>): Promise<void> => {
    const { value } = message;
    if (options.json) kept.push(jsonOf(value));
    else if (!(await writeOut(lineOf(value)))) return message.giveBack();
    message.release();
    count++;
  };

  try {
    // oxlint-disable-next-line no-unmodified-loop-condition -- counted by pass
    while (count < most && !signal.aborted)
      await pass(await channel.borrowAsync(waitOptions(signal, options)));
  } catch (error) {
    if (hasCode(error, "ERR_SHOAL_ENDED")) ended = true;
    else if (!hasCode(error, "ERR_SHOAL_ABORTED")) failure = error;
  }
  const interrupted = interrupt.signal.aborted;
  const error = failure === undefined ? {} : { error: describeError(failure) };
  if (options.json)
    printJson({ name, channel: channelName, messages: kept, count, ended, interrupted, ...error });
  else if (failure !== undefined) printError(failure, false);
  if (failure !== undefined) return EXIT_FAILED;
  return interrupted ? EXIT_INTERRUPTED : EXIT_OK;
}
