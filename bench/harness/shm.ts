/** The segments that benchmarks make, by name. */

import { rmSync } from "node:fs";
import { join } from "node:path";

/** The name of a POSIX segment of this run: nobody else's, and known by its beginning as ours. */
export function segmentName(purpose: string): string {
  return `/shoal-bench-${process.pid}-${purpose}`;
}

/** Removes the name, whoever made the segment and whether or not there is one. */
export function removeSegment(name: string): void {
  rmSync(join("/dev/shm", name), { force: true });
}
