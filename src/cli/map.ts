/** `shoal map`: shared mappings, of one process or of every process whose mappings this user may read. */
import { readdirSync } from "node:fs";
import { ShoalError } from "../errors.ts";
import { sharedMappings } from "../os/index.ts";
import type { SharedMapping } from "../os/index.ts";
import { EXIT_OK, formatTable, print, printJson } from "./output.ts";
import type { CommonOptions } from "./output.ts";
import { formatSize } from "./sizes.ts";

interface Row extends SharedMapping {
  readonly pid: number;
}

function readAll(): Row[] {
  const pids = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid)
    .sort((one, other) => one - other);
  return pids.flatMap((pid) => {
    try {
      return sharedMappings(pid).map((mapping) => ({ pid, ...mapping }));
    } catch (error) {
      if (error instanceof ShoalError) return []; // another user's process, or one that ended meanwhile
      throw error;
    }
  });
}

function describeObject({ name, sysvId, deleted }: Row): string {
  const id = sysvId === undefined ? "" : ` id ${sysvId}`;
  return `${name}${id}${deleted ? " (removed)" : ""}`;
}

export function run(pid: number | undefined, options: CommonOptions): number {
  const rows = pid === undefined ? readAll() : sharedMappings(pid).map((mapping) => ({ pid, ...mapping }));
  if (options.json) printJson(rows);
  else if (rows.length === 0)
    print(pid === undefined ? "no shared mappings" : `process ${pid} has no shared mappings`);
  else {
    const cells = rows.map((row) => [
      String(row.pid),
      row.address.toString(16).padStart(12, "0"),
      formatSize(row.sizeBytes),
      row.permissions,
      row.kind,
      describeObject(row),
    ]);
    print(formatTable([">PID", "ADDRESS", ">SIZE", "PERM", "KIND", "OBJECT"], cells));
  }
  return EXIT_OK;
}
