/** `shoal write`: passes the lines of standard input on, and ends when all of them were read. */
import { listenForInterrupt } from "./interrupt.ts";
import {
  BARE_LINE,
  finishLines,
  hasUnread,
  joinLines,
  leaveLines,
  LINE,
  sendLines,
  stopLines,
} from "./lines.ts";
import type { Line, LineEnd } from "./lines.ts";
import { EXIT_INTERRUPTED, EXIT_OK, note, printJson } from "./output.ts";
import type { CommonOptions } from "./output.ts";

const NEWLINE = 10;

interface Tally {
  lines: number;
  bytes: number;
}

/** The chunk's whole lines, the first with what was left of earlier chunks before it; the rest goes to `rest`. */
function splitLines(chunk: Buffer, rest: Buffer[]): Line[] {
  const messages: Line[] = [];
  let start = 0;
  for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
    const piece = chunk.subarray(start, end);
    const bytes = rest.length === 0 ? piece : Buffer.concat([...rest.splice(0), piece]);
    messages.push({ kind: LINE, bytes });
    start = end + 1;
  }
  if (start < chunk.length) rest.push(chunk.subarray(start));
  return messages;
}

async function pass(end: LineEnd, messages: readonly Line[], tally: Tally): Promise<boolean> {
  if (messages.length === 0) return true;
  if (!(await sendLines(end, messages))) return false;
  tally.lines += messages.length;
  for (const { kind, bytes } of messages) tally.bytes += bytes.length + (kind === LINE ? 1 : 0);
  return true;
}

/** False: interrupted. */
async function passInput(end: LineEnd, tally: Tally): Promise<boolean> {
  const rest: Buffer[] = [];
  try {
    for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
      if (!(await pass(end, splitLines(chunk, rest), tally))) return false;
    }
  } catch (error) {
    if (end.stop.signal.aborted) return false; // the interrupt destroyed the input under the loop
    throw error;
  }
  if (end.stop.signal.aborted) return false;
  // What ends without a newline comes out without one.
  const last: Line[] = rest.length === 0 ? [] : [{ kind: BARE_LINE, bytes: Buffer.concat(rest) }];
  return (await pass(end, last, tally)) && finishLines(end);
}

export async function run(name: string, options: CommonOptions): Promise<number> {
  using interrupt = listenForInterrupt();
  const end = await joinLines(name, "writer");
  const stop = (): void => {
    stopLines(end);
    process.stdin.destroy();
  };
  if (interrupt.signal.aborted) stop();
  interrupt.signal.addEventListener("abort", stop);
  const tally: Tally = { lines: 0, bytes: 0 };
  let isDone = false;
  let hasLeft = false;
  let isRemoved = false;
  try {
    isDone = await passInput(end, tally);
  } finally {
    hasLeft = hasUnread(end);
    isRemoved = await leaveLines(end);
    interrupt.signal.removeEventListener("abort", stop);
  }
  if (hasLeft && isRemoved) note("lines that nobody had read are gone with the channel");
  if (options.json) printJson({ name, ...tally, interrupted: !isDone });
  return isDone ? EXIT_OK : EXIT_INTERRUPTED;
}
