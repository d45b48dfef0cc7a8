/** `shoal rm`: removes names. Who has a segment open keeps it. */
import { Region } from "../region/index.ts";
import { describeError, EXIT_FAILED, EXIT_OK, print, printError, printJson } from "./output.ts";
import type { SegmentOptions } from "./segment-options.ts";

export function run(names: readonly string[], options: SegmentOptions): number {
  const removed: string[] = [];
  const failures: unknown[] = [];
  for (const name of names) {
    try {
      Region.unlink(name, { backend: options.backend });
      removed.push(name);
      if (!options.json) print(`removed ${name}`);
    } catch (error) {
      failures.push(error);
      if (!options.json) printError(error, false);
    }
  }
  if (options.json) printJson({ removed, ...(failures.length > 0 && { error: describeError(failures[0]) }) });
  return failures.length === 0 ? EXIT_OK : EXIT_FAILED;
}
