/** `shoal read`: prints the lines that writers pass on, each once it can be printed whole. */
import { listenForInterrupt } from "./interrupt.ts";
import {
  acknowledge,
  beginReading,
  giveBack,
  joinLines,
  leaveLines,
  receiveLines,
  stopLines,
} from "./lines.ts";
import type { LineEnd } from "./lines.ts";
import { EXIT_INTERRUPTED, EXIT_OK, note, printJson, writeOut } from "./output.ts";
import type { CommonOptions } from "./output.ts";

/**
 * Lines are acknowledged once they are written, in batches of so many bytes: what a pipe takes whole (PIPE_BUF), so that
 * a reader that is killed leaves no half line behind, and the next one repeats at most one batch.
 */
const BATCH_BYTES = 4096;

export interface ReadOptions extends CommonOptions {
  readonly follow?: boolean;
}

interface Tally {
  count: number;
  bytes: number;
  deadWriters: number;
}

async function passOn(end: LineEnd, options: ReadOptions, tally: Tally, kept: Buffer[]): Promise<void> {
  const receiving = {
    limitBytes: BATCH_BYTES,
    follow: options.follow ?? false,
    onDead: (count: number) => {
      tally.deadWriters += count;
      note(`${count === 1 ? "a writer has" : `${count} writers have`} died; its input counts as ended`);
    },
  };
  for (;;) {
    const batch = await receiveLines(end, receiving);
    if (batch === undefined) return;
    if (options.json) kept.push(batch.bytes);
    else if (batch.bytes.length > 0 && !(await writeOut(batch.bytes))) return giveBack(batch);
    acknowledge(end, batch);
    tally.count += batch.lineCount;
    tally.bytes += batch.bytes.length;
  }
}

function linesOf(kept: readonly Buffer[]): string[] {
  const text = Buffer.concat(kept).toString("utf8");
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

export async function run(name: string, options: ReadOptions): Promise<number> {
  using interrupt = listenForInterrupt();
  const end = await joinLines(name, "reader");
  const stop = (): void => stopLines(end);
  if (interrupt.signal.aborted) stop();
  interrupt.signal.addEventListener("abort", stop);
  const tally: Tally = { count: 0, bytes: 0, deadWriters: 0 };
  const kept: Buffer[] = [];
  try {
    const hold = await beginReading(end);
    if (hold !== undefined) {
      try {
        await passOn(end, options, tally, kept);
      } finally {
        hold.release();
      }
    }
  } finally {
    interrupt.signal.removeEventListener("abort", stop);
    await leaveLines(end);
  }
  if (options.json) printJson({ name, lines: linesOf(kept), ...tally, interrupted: end.stop.signal.aborted });
  return end.stop.signal.aborted ? EXIT_INTERRUPTED : EXIT_OK;
}
