/** Options that name a segment, and what they mean to the library. */
import { Option } from "commander";
import type { BackendName } from "../region/index.ts";
import type { CommonOptions } from "./output.ts";

export interface SegmentOptions extends CommonOptions {
  readonly backend: BackendName;
}

/** "anonymous" is missing: what has no name cannot be found from outside. */
export function backendOption(): Option {
  return new Option("-b, --backend <kind>", "what the segment is kept in")
    .choices(["posix", "file", "sysv"])
    .default("posix");
}
