/**
 * The C library's malloc as a peer of the alloc rows: compiles malloc.c into a private folder and runs it once a
 * round, between Shoal's own samples. Without a C compiler there is no peer, which is said on standard error.
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { projectRoot } from "../harness/runtimes.ts";

/** One measurement: pattern and size, as malloc.c knows them. */
export interface Pattern {
  readonly pattern: string;
  readonly sizeBytes: number;
}

export interface MallocPeer {
  /** Nanoseconds a pair, one for each pattern asked for. */
  readonly run: (repeats: number, patterns: readonly Pattern[]) => number[];
  readonly dispose: () => void;
}

/** Undefined where `cc` is missing or fails. */
export function compileMallocPeer(): MallocPeer | undefined {
  const folder = mkdtempSync(join(tmpdir(), "shoal-bench-"));
  const binary = join(folder, "malloc");
  const dispose = (): void => rmSync(folder, { recursive: true, force: true });
  const compiler = process.env["CC"] ?? "cc";
  const source = join(projectRoot, "bench", "peers", "malloc.c");
  const compiled = spawnSync(compiler, ["-O2", "-o", binary, source], { encoding: "utf8" });
  if (compiled.status !== 0) {
    dispose();
    const reason = compiled.error?.message ?? compiled.stderr.trim();
    process.stderr.write(`no C compiler, so no figures for the peer glibc (${compiler}: ${reason})\n`);
    return undefined;
  }
  return {
    run: (repeats, patterns) => {
      const args = patterns.flatMap(({ pattern, sizeBytes }) => [pattern, String(sizeBytes)]);
      const { status, stdout } = spawnSync(binary, [String(repeats), ...args], { encoding: "utf8" });
      if (status !== 0) throw new Error(`the peer glibc ended with code ${String(status)}.`);
      return stdout.trim().split("\n").map(Number);
    },
    dispose,
  };
}
