/** A file that says what a heap looks like now, as one process sees it: for looking at what happened later. */
import { writeFileSync } from "node:fs";
import { threadId } from "node:worker_threads";
import { shoalError } from "../errors.ts";
import type { Heap } from "../heap/index.ts";
import { formatDrawing } from "./draw-text.ts";
import { drawHeap } from "./draw.ts";
import type { DrawOptions } from "./draw.ts";

function section(title: string, lines: readonly string[]): string {
  return [`${title}:`, ...lines.map((line) => `  ${line}`)].join("\n");
}

/** One line for each number; what has parts is in JSON. */
function facts(values: object): string[] {
  return Object.entries(values).map(([name, value]) => `${name.padEnd(18)} ${JSON.stringify(value)}`);
}

/**
 * Writes who has the heap open, its statistics, what verify() finds and its drawing, as text, replacing the file.
 *
 * @throws ERR_SHOAL_CLOSED, ERR_SHOAL_SYSTEM (the file cannot be written)
 */
export function writeDebugFile(heap: Heap, path: string, options: DrawOptions = {}): void {
  const { region } = heap;
  const { problems } = heap.verify();
  const { participants, ...counts } = heap.stats();
  const text = [
    `${region.name} (${region.backend}, ${region.uuid})`,
    `seen by process ${process.pid}, thread ${threadId}, slot ${region.slotIndex}, ${new Date().toISOString()}`,
    section(
      "participants",
      participants.map((one) => JSON.stringify(one)),
    ),
    section("counts", facts(counts)),
    section("problems", problems.length === 0 ? ["none"] : problems.map(({ message }) => message)),
    formatDrawing(drawHeap(heap, options)),
  ];
  try {
    writeFileSync(path, `${text.join("\n")}\n`);
  } catch (error) {
    const errno = error instanceof Error && "code" in error ? String(error.code) : "";
    throw shoalError(
      "ERR_SHOAL_SYSTEM",
      `the debug file ${path} cannot be written: ${errno}`,
      { path, errno },
      error,
    );
  }
}
