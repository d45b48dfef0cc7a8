/** `shoal send`: sends messages, from its arguments or a line each from standard input. */
import { createInterface } from "node:readline";
import { openTopic } from "../data/index.ts";
import { shoalError } from "../errors.ts";
import type { Heap } from "../heap/index.ts";
import { objectKind } from "../inspect/index.ts";
import { hasCode, openChannel, openHeap, optionsOf, waitOptions } from "./channel-options.ts";
import type { ChannelCommandOptions, CreateChannelOptions } from "./channel-options.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { EXIT_INTERRUPTED, EXIT_OK, printJson } from "./output.ts";

export interface SendOptions extends ChannelCommandOptions, CreateChannelOptions {
  /** Messages are strings, not JSON. */
  readonly text?: boolean;
  readonly end?: boolean;
}

/** What messages are sent to. */
interface Sink {
  readonly codec: string;
  send(message: unknown, options: ReturnType<typeof waitOptions>): Promise<void>;
  end(): void;
}

function openSink(heap: Heap, name: string, options: SendOptions): Sink {
  if (objectKind(heap, name) !== "topic") return openChannel(heap, name, options);
  const topic = openTopic(heap, name, optionsOf(options));
  return {
    codec: topic.codec,
    send: (message, wait) => topic.publish(message, wait),
    end: () => topic.end(),
  };
}

/** @throws ERR_SHOAL_CODEC */
function messageOf(text: string, channel: Sink, options: SendOptions): unknown {
  if (channel.codec === "raw") return Buffer.from(text);
  if (options.text === true) return text;
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    const shown = text.length > 40 ? `${text.slice(0, 40)}…` : text;
    const message = `${shown} is no JSON; with --text messages are sent as strings`;
    throw shoalError("ERR_SHOAL_CODEC", message, { codec: "json" }, cause);
  }
}

async function* linesOfInput(signal: AbortSignal): AsyncGenerator<string> {
  const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
  const stop = (): void => {
    lines.close();
    process.stdin.destroy();
  };
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop);
  yield* lines;
}

export async function run(
  name: string,
  channelName: string,
  messages: readonly string[],
  options: SendOptions,
): Promise<number> {
  using interrupt = listenForInterrupt();
  const { signal } = interrupt;
  using heap = openHeap(name, options);
  const channel = openSink(heap, channelName, options);
  let sent = 0;
  try {
    for await (const text of messages.length > 0 ? messages : linesOfInput(signal)) {
      await channel.send(messageOf(text, channel, options), waitOptions(signal, options));
      sent++;
    }
  } catch (error) {
    if (!signal.aborted || !hasCode(error, "ERR_SHOAL_ABORTED")) throw error;
  }
  if (options.end === true && !signal.aborted) channel.end();
  if (options.json) printJson({ name, channel: channelName, sent, interrupted: signal.aborted });
  return signal.aborted ? EXIT_INTERRUPTED : EXIT_OK;
}
