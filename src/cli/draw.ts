/** `shoal draw`: a heap's own bookkeeping, row by row. */
import type { Command } from "commander";
import { DEFAULT_ROWS, drawSegment, formatDrawing } from "../inspect/index.ts";
import { EXIT_OK, print, printJson } from "./output.ts";
import type { SegmentOptions } from "./segment-options.ts";
import { parseRange } from "./sizes.ts";

export interface DrawCommandOptions extends SegmentOptions {
  readonly blocks?: { readonly from: number; readonly to: number };
}

export function addOptions(command: Command): void {
  const text = `which rows: one number, or two: 0-15 (default 0-${DEFAULT_ROWS - 1})`;
  command.option("--blocks <range>", text, parseRange);
}

export function run(name: string, { backend, blocks, json }: DrawCommandOptions): number {
  const drawing = drawSegment(name, { backend, ...blocks });
  if (json) printJson(drawing);
  else print(formatDrawing(drawing));
  return EXIT_OK;
}
