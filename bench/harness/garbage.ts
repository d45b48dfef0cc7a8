/**
 * Collects garbage between batches, outside of what is timed.
 *
 * Every WebAssembly.Memory reserves some 8 to 10 GiB of address space until it is *collected*, not until its region is
 * closed; a benchmark that makes hundreds of them would at some point measure the engine's emergency collection.
 */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

type Collect = () => void;

function findCollector(): Collect {
  const bun = (globalThis as { Bun?: { gc(isSync: boolean): void } }).Bun;
  if (bun !== undefined) return () => bun.gc(true);
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as Collect;
}

let collect: Collect | undefined;

export function collectGarbage(): void {
  collect ??= findCollector();
  collect();
}
