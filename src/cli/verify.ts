/** `shoal verify`: recomputes a segment's invariants, changing nothing. */
import { verifySegment } from "../inspect/index.ts";
import { colours, EXIT_OK, EXIT_PROBLEMS, print, printJson } from "./output.ts";
import type { SegmentOptions } from "./segment-options.ts";

export function run(name: string, options: SegmentOptions): number {
  const report = verifySegment(name, { backend: options.backend });
  if (options.json) printJson(report);
  else if (report.ok)
    print(`${report.name} ${colours.green("is sound")}: ${report.pages} pages, ${report.blocks} blocks`);
  else {
    print(`${report.name} ${colours.red(`has ${report.problems.length} problems`)}:`);
    for (const { code, message } of report.problems) print(`  ${code}: ${message}`);
  }
  return report.ok ? EXIT_OK : EXIT_PROBLEMS;
}
