/** `shoal draw`: a heap's own bookkeeping, row by row. */
import { drawSegment, formatDrawing } from "../inspect/index.ts";
import { EXIT_OK, print, printJson } from "./output.ts";
import type { SegmentOptions } from "./segment-options.ts";

export interface DrawCommandOptions extends SegmentOptions {
  readonly blocks?: { readonly from: number; readonly to: number };
}

export function run(name: string, { backend, blocks, json }: DrawCommandOptions): number {
  const drawing = drawSegment(name, { backend, ...blocks });
  if (json) printJson(drawing);
  else print(formatDrawing(drawing));
  return EXIT_OK;
}
